//! The current state of a room.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::Value;

use crate::invite::{Creation, NotOurs};

/// A state event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEvent {
    /// Its ID.
    pub event_id: OwnedEventId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its type.
    pub kind: String,
    /// What tells it from others of its type.
    pub state_key: String,
    /// Its content.
    pub content: Value,
}

/// The state of a room: of every type and state key the event that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomState {
    room_id: OwnedRoomId,
    events: BTreeMap<String, BTreeMap<String, StateEvent>>,
}

impl RoomState {
    /// The state that these events make, each in the place of earlier ones of its type and key.
    pub fn new(room_id: OwnedRoomId, events: impl IntoIterator<Item = StateEvent>) -> Self {
        let mut state = Self { room_id, events: BTreeMap::new() };
        events.into_iter().for_each(|event| state.put(event));
        state
    }

    /// An event takes the place of the one of its type and key.
    pub fn put(&mut self, event: StateEvent) {
        self.events.entry(event.kind.clone()).or_default().insert(event.state_key.clone(), event);
    }

    /// The room.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// The event in force of that type and key.
    pub fn get(&self, kind: &str, state_key: &str) -> Option<&StateEvent> {
        self.events.get(kind)?.get(state_key)
    }

    /// All events in force.
    pub fn events(&self) -> impl Iterator<Item = &StateEvent> {
        self.events.values().flat_map(BTreeMap::values)
    }

    /// What the create event says.
    pub fn creation(&self) -> Result<Creation, NotOurs> {
        let create = self.get("m.room.create", "").ok_or(NotOurs::NoCreateEvent)?;
        Creation::read(create.sender.as_str(), &create.content)
    }

    /// A user's membership; `leave` of somebody who never was here.
    pub fn membership(&self, user: &str) -> &str {
        self.text("m.room.member", user, "membership").unwrap_or("leave")
    }

    /// Whether events from before somebody joined are kept from them altogether. It is the only history visibility under
    /// which an invited user must not be in the group.
    pub fn hides_history_until_joined(&self) -> bool {
        self.text("m.room.history_visibility", "", "history_visibility") == Some("joined")
    }

    /// Whether another room has taken this one's place.
    pub fn is_upgraded(&self) -> bool {
        self.text("m.room.tombstone", "", "replacement_room").is_some()
    }

    fn text(&self, kind: &str, state_key: &str, field: &str) -> Option<&str> {
        self.get(kind, state_key)?.content.get(field)?.as_str()
    }
}
