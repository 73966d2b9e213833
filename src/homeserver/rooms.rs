//! Rooms: their state, and our place in them.

use maypole_core::ids::{RoomId, UserId};
use ruma::OwnedEventId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Homeserver;
use super::call::{Call, not_as_promised};
use super::error::CallError;

/// A row of a room's current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// Which event made it.
    pub event_id: OwnedEventId,
    /// The event type.
    pub kind: String,
    /// The state key.
    pub state_key: String,
    /// Who made it.
    pub sender: UserId,
    /// The content, as the homeserver wrote it.
    pub content: Vec<u8>,
}

#[derive(Deserialize)]
struct WireRow<'a> {
    event_id: OwnedEventId,
    #[serde(rename = "type")]
    kind: String,
    state_key: String,
    sender: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct JoinedRooms {
    joined_rooms: Vec<String>,
}

#[derive(Serialize)]
struct Reason<'a> {
    reason: &'a str,
}

impl Homeserver {
    /// The whole current state of a room that we are in, with event IDs. A row that cannot be read spoils the
    /// answer: a decision must not rest on state with holes.
    pub async fn full_state(&self, room: &RoomId) -> Result<Vec<StateRow>, CallError> {
        const NAME: &str = "GET /rooms/{room}/state";
        let body = self.ask(Call::get(NAME, &["client", "v3", "rooms", room.as_str(), "state"])).await?;
        let rows: Vec<WireRow<'_>> =
            serde_json::from_slice(&body).map_err(|error| not_as_promised(NAME, &error))?;
        let row = |row: WireRow<'_>| {
            Some(StateRow {
                event_id: row.event_id,
                kind: row.kind,
                state_key: row.state_key,
                sender: UserId::parse(row.sender)?,
                content: row.content.get().as_bytes().to_vec(),
            })
        };
        let rows: Option<Vec<StateRow>> = rows.into_iter().map(row).collect();
        rows.ok_or_else(|| CallError::Broken {
            call: NAME,
            why: "an event without a valid sender".to_owned(),
        })
    }

    /// Accepts an invitation.
    pub async fn join(&self, room: &RoomId) -> Result<(), CallError> {
        let path = ["client", "v3", "rooms", room.as_str(), "join"];
        self.ask_to_do(Call::post("POST /rooms/{room}/join", &path, b"{}".to_vec())).await
    }

    /// Leaves a room, or declines an invitation, and says why.
    pub async fn leave(&self, room: &RoomId, reason: &str) -> Result<(), CallError> {
        const NAME: &str = "POST /rooms/{room}/leave";
        let body = serde_json::to_vec(&Reason { reason }).map_err(|_| CallError::Unaskable {
            call: NAME,
            why: "the reason cannot be written".to_owned(),
        })?;
        self.ask_to_do(Call::post(NAME, &["client", "v3", "rooms", room.as_str(), "leave"], body)).await
    }

    /// The rooms that we are in.
    pub async fn joined_rooms(&self) -> Result<Vec<RoomId>, CallError> {
        const NAME: &str = "GET /joined_rooms";
        let JoinedRooms { joined_rooms } =
            self.ask_for(Call::get(NAME, &["client", "v3", "joined_rooms"])).await?;
        let rooms: Option<Vec<RoomId>> = joined_rooms.into_iter().map(RoomId::parse).collect();
        rooms.ok_or_else(|| CallError::Broken { call: NAME, why: "a room without a valid ID".to_owned() })
    }
}
