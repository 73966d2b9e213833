//! Welcomes that wait until the caller says who orders a room's commits: until then anybody may have sent them. Each sender
//! has a place of its own in each room, and only its own Welcomes make room for more of it.

use std::collections::{BTreeMap, VecDeque};

use maypole_core::ids::RoomId;
use maypole_core::limits;

use super::state::WaitingWelcome;
use super::{Device, Step};

impl Device {
    /// Keeps a Welcome. A newer one of the same sender to the same room takes the place of the older.
    pub(super) fn keep_waiting(&mut self, welcome: WaitingWelcome) {
        let waiting = &mut self.state.welcomes;
        waiting.retain(|kept| kept.room_id != welcome.room_id || kept.sender != welcome.sender);
        let of_sender = waiting.iter().filter(|kept| kept.sender == welcome.sender).count();
        if of_sender >= limits::CLIENT_WELCOMES_OF_SENDER {
            let oldest = waiting.iter().position(|kept| kept.sender == welcome.sender);
            oldest.and_then(|oldest| waiting.remove(oldest));
        }
        waiting.push_back(welcome);
        if waiting.len() > limits::CLIENT_WELCOMES_WAITING {
            make_room(waiting);
        }
    }

    /// The service of a room is known: what it sent is used, what others sent was not for them to send.
    pub(super) fn sort_waiting(&mut self, room_id: &RoomId, step: &mut Step) {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return };
        let Some(service) = &mut room.service else { return };
        let waiting = std::mem::take(&mut self.state.welcomes).into_iter();
        let (here, elsewhere): (VecDeque<_>, _) = waiting.partition(|kept| kept.room_id == *room_id);
        self.state.welcomes = elsewhere;
        for kept in here {
            step.changed = true;
            if kept.sender == service.user {
                service.unstable = kept.unstable;
                room.welcome = Some(kept.content);
                room.behind = true;
            } else {
                step.ignore("a Welcome that was not the delivery service's");
            }
        }
    }
}

/// Of all that wait, the oldest of the server goes from which most came: whoever makes up senders loses their own.
fn make_room(waiting: &mut VecDeque<WaitingWelcome>) {
    let mut by_server: BTreeMap<&str, usize> = BTreeMap::new();
    for kept in waiting.iter() {
        *by_server.entry(server_of(kept)).or_default() += 1;
    }
    let most = by_server.into_iter().max_by_key(|(_, count)| *count);
    let oldest = most.and_then(|(server, _)| waiting.iter().position(|kept| server_of(kept) == server));
    oldest.and_then(|oldest| waiting.remove(oldest));
}

fn server_of(welcome: &WaitingWelcome) -> &str {
    welcome.sender.as_str().split_once(':').map_or("", |(_, server)| server)
}
