//! `m.mls.request` and its answer: commits that are missing, and the epoch to join by.

use maypole_core::ids::{Epoch, RequestId, RoomId, UserId};
use maypole_core::limits;
use maypole_room::names::Name;
use maypole_room::request::{Asked, Want};
use maypole_room::response::{Answer, CommitPage, Response};
use serde_json::Value;

use super::state::Asking;
use super::{Action, Device, DeviceError, Event, Outgoing, Standing, Step};

impl Device {
    /// Asks the service for commits that this device may have missed.
    pub fn catch_up(&mut self, room_id: &RoomId) -> Result<Vec<Action>, DeviceError> {
        self.may_act(room_id)?;
        let mut step = Step::default();
        self.ask_for_commits(room_id, &mut step);
        self.finish(step)
    }

    /// Asks for commits where a later one is there and the next one is not.
    pub(super) fn ask_for_gap(&mut self, room_id: &RoomId, step: &mut Step) {
        let Some((room, group)) = self.state.rooms.get(room_id).zip(self.groups.get(room_id)) else { return };
        let next = group.epoch().as_u64() + 1;
        let gap = room.standing == Standing::Member
            && !room.ahead.is_empty()
            && !room.ahead.contains_key(&next)
            && room.catching_up.is_none();
        if gap {
            self.ask_for_commits(room_id, step);
        }
    }

    pub(super) fn ask_for_commits(&mut self, room_id: &RoomId, step: &mut Step) {
        let epoch = self.groups.get(room_id).and_then(|group| Epoch::new(group.epoch().as_u64()));
        let Some(from_epoch) = epoch else { return };
        let asked = self.ask(room_id, Want::Commits { from_epoch }, step);
        if let Some(room) = self.state.rooms.get_mut(room_id) {
            room.catching_up = asked;
        }
    }

    /// Asks for the epoch to join by, unless it was asked for too often.
    pub(super) fn ask_for_group_info(&mut self, room_id: &RoomId, tries: u32, step: &mut Step) -> bool {
        if tries > limits::CLIENT_TRIES {
            return false;
        }
        let asked = self.ask(room_id, Want::GroupInfo, step);
        let Some(room) = self.state.rooms.get_mut(room_id) else { return false };
        room.asking = asked.map(|request_id| Asking { request_id, tries });
        room.group_info = None;
        room.asking.is_some()
    }

    /// After a start: the questions that have no answer yet, and the one for what a commit waits for that is to be made again.
    pub(super) fn ask_again(&mut self, room_id: &RoomId, step: &mut Step) {
        if self.state.rooms.get(room_id).is_some_and(|room| room.tree.is_some())
            && !self.ask_for_tree(room_id, None, step)
        {
            self.refuse_welcome(room_id, "its tree was asked for too often", step);
        }
        let Some(room) = self.state.rooms.get(room_id) else { return };
        if room.catching_up.is_some() || room.again.is_some() {
            self.ask_for_commits(room_id, step);
        } else if let Some(Asking { tries, .. }) = &room.asking {
            let tries = *tries;
            self.ask_for_group_info(room_id, tries, step);
        }
    }

    /// Sends a question, and gives its name.
    pub(super) fn ask(&mut self, room_id: &RoomId, want: Want, step: &mut Step) -> Option<String> {
        let request_id = match self.new_request_id() {
            Ok(request_id) => request_id,
            Err(error) => {
                step.ignore(format!("a question could not be asked: {error}"));
                return None;
            }
        };
        let service = self.state.rooms.get(room_id)?.service.clone()?;
        let asked = Asked {
            device: self.state.me.device.clone(),
            request_id: RequestId::parse(request_id.clone())?,
            room_id: room_id.clone(),
            group_id: None,
            want,
        };
        let kind = service.prefix().event_type(Name::Request);
        step.then.push(Action::Send(Outgoing { to: service.user, kind, content: asked.content() }));
        step.changed = true;
        Some(request_id)
    }

    /// `m.mls.response`.
    pub(super) fn hear_response(&mut self, sender: &UserId, content: &Value, step: &mut Step) {
        let response = match Response::read(content) {
            Ok(response) => response,
            Err(error) => return step.ignore(format!("an answer: {error}")),
        };
        let id = response.request_id.as_str();
        let about = self.state.rooms.iter().find(|(_, room)| {
            let asked = room.catching_up.as_deref() == Some(id)
                || room.tree.as_deref() == Some(id)
                || room.asking.as_ref().is_some_and(|asking| asking.is(id));
            asked && room.service.as_ref().is_some_and(|service| service.user == *sender)
        });
        let Some(room_id) = about.map(|(room_id, _)| room_id.clone()) else {
            return step.ignore("an answer to nothing that was asked");
        };
        let Some(room) = self.state.rooms.get_mut(&room_id) else { return };
        if room.tree.as_deref() == Some(id) {
            return self.hear_tree(&room_id, response.answer, content, step);
        }
        let commits = room.catching_up.as_deref() == Some(id);
        match response.answer {
            Answer::Commits(page) if commits && page.room_id == room_id => {
                room.catching_up = None;
                self.hear_page(&room_id, page, step);
            }
            Answer::GroupInfo(current) if !commits && current.room_id == room_id => {
                room.group_info = Some(content.to_string());
                step.changed = true;
                self.join_by_answer(&room_id, step);
            }
            Answer::Refused(refused) => {
                let again = if commits { room.again.take() } else { None };
                if commits {
                    room.catching_up = None
                } else {
                    room.asking = None
                }
                step.changed = true;
                let (errcode, content, wish) =
                    (refused.errcode, content.clone(), again.map(|again| again.wish));
                step.tell(Event::Refused { room_id, wish, errcode, content });
            }
            _ => {
                // No other answer comes to it: the next commit asks anew. A question by which to join stays, to be asked again.
                if commits {
                    room.catching_up = None;
                    step.changed = true;
                }
                step.ignore("an answer to another question");
            }
        }
    }

    fn hear_page(&mut self, room_id: &RoomId, page: CommitPage, step: &mut Step) {
        let CommitPage { commits, more, .. } = page;
        step.changed = true;
        let before = self.groups.get(room_id).map(|group| group.epoch().as_u64());
        for event in commits {
            if event.room_id == *room_id {
                self.keep_commit(event, false, step);
            } else {
                step.ignore("a commit of another room");
            }
        }
        self.go_on(room_id, step);
        let after = self.groups.get(room_id).map(|group| group.epoch().as_u64());
        let idle = self.state.rooms.get(room_id).is_some_and(|room| room.catching_up.is_none());
        // A page that led nowhere is not asked for again: the next commit that arrives asks anew.
        if more && idle && after > before && self.standing(room_id) == Standing::Member {
            self.ask_for_commits(room_id, step);
        }
    }
}
