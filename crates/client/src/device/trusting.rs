//! Who orders the commits of a room: what its create event says, and nothing that came before the room was entered.

use maypole_core::ids::{RoomId, UserId};

use super::state::Service;
use super::{Action, Device, DeviceError, Event, Standing, Step};
use crate::mls;

impl Device {
    /// Who orders the commits of a room, as its own create event says. Needed before anything else about the room.
    ///
    /// The stripped state of an invitation is not that event: whoever invites may have made it up. A group that names
    /// another service is forgotten.
    pub fn trust(&mut self, room_id: &RoomId, service: Service) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        let room = self.state.rooms.entry(room_id.clone()).or_default();
        let before = room.service.replace(service.clone());
        step.changed = before.as_ref() != Some(&service);
        if before.is_some_and(|before| before.user != service.user) {
            self.drop_what_is_not(room_id, service.user, &mut step);
        }
        self.sort_waiting(room_id, &mut step);
        self.use_waiting_welcome(room_id, &mut step);
        self.finish(step)
    }

    /// Another service orders the room's commits now: what was under way with the one before ends, and a group that does
    /// not name the new one is forgotten.
    fn drop_what_is_not(&mut self, room_id: &RoomId, service: UserId, step: &mut Step) {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return };
        room.asking = None;
        room.group_info = None;
        room.drop_welcome();
        room.catching_up = None;
        let Some(group) = self.groups.get(room_id) else { return };
        if mls::service_keys(group.extensions()).is_ok_and(|keys| keys.user == service) {
            return;
        }
        room.unread.clear();
        room.unsent.clear();
        self.forget_group(room_id, Standing::Outside);
        step.tell(Event::OtherService { room_id: room_id.clone(), service });
    }
}
