//! Texts: room events that members alone can read, each from the user whose leaf sent it.

use std::collections::VecDeque;

use maypole_core::ids::{Epoch, RoomId, UserId};
use maypole_core::limits;
use maypole_room::bytes::{decode, encode};
use maypole_room::identity;
use openmls::prelude::{BasicCredential, ContentType, MlsGroup, ProcessedMessageContent};
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::{Value, json};

use super::outgoing::txn_id_of;
use super::state::{State, Unread};
use super::{Action, Device, DeviceError, Event, RoomMessage, Standing, Step};
use crate::mls;

/// The algorithm of an encrypted event, and of an MLS room.
pub const ALGORITHM: &str = "m.mls.10";

impl Device {
    /// Encrypts a text for everybody in the group.
    pub fn say(&mut self, room_id: &RoomId, text: &[u8]) -> Result<Vec<Action>, DeviceError> {
        self.may_act(room_id)?;
        let limit = limits::CLIENT_TEXT_BYTES;
        if text.len() > limit {
            return Err(DeviceError::TooLarge { what: "the text", limit });
        }
        let Self { provider, state, groups } = self;
        let State { rooms, signer, .. } = state;
        let Some((room, group)) = rooms.get_mut(room_id).zip(groups.get_mut(room_id)) else {
            return Err(DeviceError::NoGroup(room_id.clone()));
        };
        if group.has_pending_proposals() {
            return Err(DeviceError::ProposalsWait(room_id.clone()));
        }
        group.set_aad(Vec::new());
        let message = group.create_message(provider, signer, text);
        let message = message.map_err(|error| DeviceError::Mls(error.to_string()))?;
        let message = message.to_bytes().map_err(|error| DeviceError::Mls(error.to_string()))?;
        let content = json!({
            "algorithm": ALGORITHM,
            "group_id": encode(group.group_id().as_slice()),
            "ciphertext": encode(&message),
        });
        let txn_id = txn_id_of(&message);
        room.unsent.insert(txn_id.clone(), content.to_string());
        let mut step = Step { changed: true, ..Step::default() };
        step.then.push(Action::SendEvent(RoomMessage { room_id: room_id.clone(), txn_id, content }));
        self.finish(step)
    }

    /// The homeserver has a room event.
    pub fn sent(&mut self, room_id: &RoomId, txn_id: &str) -> Result<Vec<Action>, DeviceError> {
        let room = self.state.rooms.get_mut(room_id);
        let changed = room.is_some_and(|room| room.unsent.remove(txn_id).is_some());
        self.finish(Step { changed, ..Step::default() })
    }

    /// After a start: room events that the homeserver may not have.
    pub(super) fn send_unsent(&self, room_id: &RoomId, step: &mut Step) {
        for (txn_id, content) in self.state.rooms.get(room_id).into_iter().flat_map(|room| &room.unsent) {
            if let Ok(content) = serde_json::from_str(content) {
                let (room_id, txn_id) = (room_id.clone(), txn_id.clone());
                step.then.push(Action::SendEvent(RoomMessage { room_id, txn_id, content }));
            }
        }
    }

    /// An `m.room.encrypted` came. Events of other algorithms are not this device's business.
    pub fn read(
        &mut self,
        room_id: &RoomId,
        event_id: &str,
        sender: &str,
        content: &Value,
    ) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        if content.get("algorithm").and_then(Value::as_str) != Some(ALGORITHM) {
            return self.finish(step);
        }
        match self.open(room_id, event_id, sender, content) {
            Ok(unread) => self.read_or_keep(room_id, unread, &mut step),
            Err(problem) => step.tell(unreadable(room_id, event_id, problem)),
        }
        self.finish(step)
    }

    /// The message in an event's content.
    fn open(
        &self,
        room_id: &RoomId,
        event_id: &str,
        sender: &str,
        content: &Value,
    ) -> Result<Unread, &'static str> {
        let bytes = |field: &str| content.get(field).and_then(Value::as_str).and_then(decode);
        let group_id = bytes("group_id").ok_or("it has no `group_id`")?;
        let message = bytes("ciphertext").ok_or("it has no `ciphertext`")?;
        let sender = UserId::parse(sender).ok_or("its sender is no user")?;
        if group_id != room_id.as_str().as_bytes() {
            return Err("it is of another group");
        }
        if !self.groups.contains_key(room_id) {
            return Err("this device is not in the group");
        }
        let (read, public) = mls::message(&message).ok_or("it is no message to a group")?;
        if public || read.content_type() != ContentType::Application || read.group_id().as_slice() != group_id
        {
            return Err("it is no text to this group");
        }
        Ok(Unread { event_id: event_id.to_owned(), sender, epoch: read.epoch().as_u64(), message })
    }

    fn read_or_keep(&mut self, room_id: &RoomId, unread: Unread, step: &mut Step) {
        let Self { provider, state, groups } = self;
        let Some((room, group)) = state.rooms.get_mut(room_id).zip(groups.get_mut(room_id)) else { return };
        let later = room.standing == Standing::Member && unread.epoch > group.epoch().as_u64();
        let early = later || matches!(room.standing, Standing::Registering | Standing::Joining);
        step.changed = true;
        if early {
            // Its commits may be lost, and nothing else may come that would show it.
            let ask = later && room.catching_up.is_none();
            room.unread.push_back(unread);
            if room.unread.len() > limits::CLIENT_EVENTS_AHEAD
                && let Some(oldest) = room.unread.pop_front()
            {
                step.tell(unreadable(room_id, &oldest.event_id, "too many events wait for their epoch"));
            }
            if ask {
                self.ask_for_commits(room_id, step);
            }
            return;
        }
        step.told.extend(decrypt(provider, group, room_id, &unread));
    }

    /// Reads the events whose epoch has begun.
    pub(super) fn read_waiting(&mut self, room_id: &RoomId, step: &mut Step) {
        let Self { provider, state, groups } = self;
        let Some((room, group)) = state.rooms.get_mut(room_id).zip(groups.get_mut(room_id)) else { return };
        if room.standing != Standing::Member {
            return;
        }
        let epoch = group.epoch().as_u64();
        let unread = std::mem::take(&mut room.unread).into_iter();
        let (ready, waiting): (VecDeque<Unread>, _) = unread.partition(|unread| unread.epoch <= epoch);
        room.unread = waiting;
        step.changed |= !ready.is_empty();
        step.told.extend(ready.iter().filter_map(|unread| decrypt(provider, group, room_id, unread)));
    }
}

fn unreadable(room_id: &RoomId, event_id: &str, problem: impl Into<String>) -> Event {
    Event::Unreadable { room_id: room_id.clone(), event_id: event_id.to_owned(), problem: problem.into() }
}

/// Reads a text. The device's own comes back to it unread, and tells nothing.
fn decrypt(
    provider: &OpenMlsRustCrypto,
    group: &mut MlsGroup,
    room_id: &RoomId,
    unread: &Unread,
) -> Option<Event> {
    let refuse = |problem: String| Some(unreadable(room_id, &unread.event_id, problem));
    let Some((message, _)) = mls::message(&unread.message) else {
        return refuse("it is no message to a group".into());
    };
    let processed = match group.process_message(provider, message) {
        Ok(processed) => processed,
        Err(error) => return refuse(error.to_string()),
    };
    let credential = BasicCredential::try_from(processed.credential().clone());
    let client = credential.ok().and_then(|credential| identity::parse(credential.identity()));
    let text = match processed.into_content() {
        ProcessedMessageContent::ApplicationMessage(text) => text.into_bytes(),
        ProcessedMessageContent::OwnPrivateMessage => return None,
        _ => return refuse("it is no text".into()),
    };
    let Some(client) = client else { return refuse("its leaf names no device of a Matrix user".into()) };
    if client.user != unread.sender {
        return refuse(format!("{} sent it, and the leaf is {client}'s", unread.sender));
    }
    Some(Event::Text {
        room_id: room_id.clone(),
        event_id: unread.event_id.clone(),
        sender: client,
        epoch: Epoch::new(unread.epoch).unwrap_or(Epoch::ZERO),
        text: text.into(),
    })
}
