//! `m.mls.rejected`, and what the device makes of each refusal.

use maypole_core::ids::{RoomId, UserId};
use maypole_room::commit_event::CommitEvent;
use maypole_room::response::Refused;
use openmls::prelude::OpenMlsProvider as _;
use serde_json::Value;

use super::outgoing::What;
use super::proposals::hear_missing;
use super::state::{Again, Asking, Room};
use super::{Device, Event, Standing, Step, Wish};

impl Device {
    pub(super) fn hear_rejected(&mut self, sender: &UserId, content: &Value, step: &mut Step) {
        let refused = match Refused::read(content) {
            Ok(refused) => refused,
            Err(error) => return step.ignore(format!("a refusal: {error}")),
        };
        let txn_id = refused.particulars.get("txn_id").and_then(Value::as_str);
        // A refusal may not know which room it is about; the name of the message says it.
        let about = self.state.rooms.iter().find(|(_, room)| {
            let out = room.out.as_ref().map(|out| out.txn_id.as_str());
            out.is_some()
                && out == txn_id
                && room.service.as_ref().is_some_and(|service| service.user == *sender)
        });
        let Some(room_id) = about.map(|(room_id, _)| room_id.clone()) else {
            return step.ignore("a refusal of nothing that is out");
        };
        match refused.errcode.as_str() {
            "M_LIMIT_EXCEEDED" | "M_MLS_BLOB" | "M_MLS_UNAVAILABLE" => self.delay(&room_id, &refused, step),
            _ => self.undo(&room_id, &refused, content, step),
        }
    }

    /// What is refused for now stays out. Blobs that could not be fetched are uploaded again.
    fn delay(&mut self, room_id: &RoomId, refused: &Refused, step: &mut Step) {
        if let Some(out) = self.state.rooms.get_mut(room_id).and_then(|room| room.out.as_mut()) {
            if refused.errcode == "M_MLS_BLOB" {
                out.uploaded.clear();
            }
            step.changed = true;
        }
        step.tell(Event::Delayed {
            room_id: room_id.clone(),
            errcode: refused.errcode.clone(),
            retry_after_ms: refused.particulars.get("retry_after_ms").and_then(Value::as_u64),
        });
    }

    /// What was refused is undone; some of it is done again in another way.
    pub(super) fn undo(&mut self, room_id: &RoomId, refused: &Refused, content: &Value, step: &mut Step) {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return };
        let Some(out) = room.out.take() else { return };
        step.changed = true;
        let stale = refused.errcode == "M_MLS_STALE_EPOCH";
        match out.what.clone() {
            What::Commit(wish) => {
                let again = Again { wish, epoch: out.epoch, tries: out.tries };
                self.undo_commit(room_id, again, refused, content, step);
            }
            What::Registration => {
                self.forget_group(room_id, Standing::Outside);
                step.tell(told(room_id, None, refused, content));
            }
            What::Joining => {
                self.forget_group(room_id, Standing::Outside);
                if !self.use_waiting_welcome(room_id, step) {
                    if stale && self.ask_for_group_info(room_id, out.tries + 1, step) {
                        return;
                    }
                    step.tell(told(room_id, None, refused, content));
                }
            }
        }
    }

    fn undo_commit(
        &mut self,
        room_id: &RoomId,
        again: Again,
        refused: &Refused,
        content: &Value,
        step: &mut Step,
    ) {
        let Self { provider, state, groups } = self;
        let Some((room, group)) = state.rooms.get_mut(room_id).zip(groups.get_mut(room_id)) else { return };
        if let Err(error) = group.clear_pending_commit(provider.storage()) {
            step.ignore(format!("a refused commit could not be dropped: {error}"));
        }
        let missing = refused.errcode == "M_MLS_MISSING_PROPOSALS"
            && hear_missing(provider, group, refused.particulars.get("proposals"));
        if missing && again.tries < maypole_core::limits::CLIENT_TRIES {
            let (wish, tries) = (again.wish.clone(), again.tries + 1);
            if let Err(error) = self.make(room_id, wish, tries, step) {
                step.ignore(format!("a commit with the missing proposals: {error}"));
                step.tell(told(room_id, Some(again.wish), refused, content));
            }
            return;
        }
        if refused.errcode == "M_MLS_STALE_EPOCH" {
            room.again = Some(again);
            for commit in refused.particulars.get("commits").and_then(Value::as_array).into_iter().flatten() {
                match CommitEvent::read(commit) {
                    Ok(event) if event.room_id == *room_id => self.keep_commit(event, false, step),
                    _ => step.ignore("a refusal with something that is no commit of its room"),
                }
            }
            self.go_on(room_id, step);
            // Those that did not come with the refusal are asked for.
            let waits = |room: &Room| room.again.is_some() && room.catching_up.is_none();
            if self.state.rooms.get(room_id).is_some_and(waits) {
                self.ask_for_commits(room_id, step);
            }
            return;
        }
        step.tell(told(room_id, Some(again.wish), refused, content));
    }

    /// Forgets a group that the service has not taken, or in which the device is no longer.
    pub(super) fn forget_group(&mut self, room_id: &RoomId, standing: Standing) {
        if let Some(mut group) = self.groups.remove(room_id) {
            // The store is in memory: nothing can fail, and what is left over harms nobody.
            let _left_over = group.delete(self.provider.storage()).is_err();
        }
        if let Some(room) = self.state.rooms.get_mut(room_id) {
            room.standing = standing;
            room.receipt = None;
            room.drop_plans();
        }
    }
}

impl Asking {
    pub(super) fn is(&self, request_id: &str) -> bool {
        self.request_id == request_id
    }
}

fn told(room_id: &RoomId, wish: Option<Wish>, refused: &Refused, content: &Value) -> Event {
    Event::Refused {
        room_id: room_id.clone(),
        wish,
        errcode: refused.errcode.clone(),
        content: content.clone(),
    }
}
