//! How to get one event in federation format from a homeserver that has no call for that.

use maypole_core::ids::RoomId;
use ruma::{EventId, RoomVersionId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Homeserver;
use super::call::{Call, not_as_promised};
use super::error::CallError;
use super::json::Members;
use super::pdu::{Pdu, PduError, rules};

#[derive(Deserialize)]
struct Place {
    end: String,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    chunk: Vec<&'a RawValue>,
}

impl Homeserver {
    /// An event of a room that we are in, in federation format, its hashes checked.
    ///
    /// `/messages` gives that format, from the place that `/context` names. Where the room hides its past from later
    /// members, these two hide events from before we joined; but its current state is always ours to see, by an
    /// initial `/sync`.
    pub async fn pdu(
        &self,
        room: &RoomId,
        version: &RoomVersionId,
        event_id: &EventId,
    ) -> Result<Pdu, PduError> {
        rules(version)?;
        let answer = match self.pdu_by_place(room, event_id).await {
            Ok(Some(raw)) => Some(raw),
            Ok(None) | Err(CallError::Refused { .. }) => self.pdu_of_state(room, event_id).await?,
            Err(error) => return Err(error.into()),
        };
        let raw = answer.ok_or_else(|| PduError::NotFound(event_id.to_owned()))?;
        Pdu::check(raw.get(), event_id, room, version)
    }

    /// The event from the room's history.
    async fn pdu_by_place(
        &self,
        room: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<Box<RawValue>>, CallError> {
        const NAME: &str = "GET /rooms/{room}/messages";
        // Without this filter the answer would hold the room's whole state.
        let only_place = r#"{"lazy_load_members":true,"types":["m.room.create"]}"#;
        let path = ["client", "v3", "rooms", room.as_str(), "context", event_id.as_str()];
        let call = Call::get("GET /rooms/{room}/context/{event}", &path)
            .query("limit", "0")
            .query("filter", only_place);
        let place: Place = self.ask_for(call).await?;
        let path = ["client", "v3", "rooms", room.as_str(), "messages"];
        let call = Call::get(NAME, &path)
            .query("dir", "b")
            .query("limit", "1")
            .query("from", place.end)
            .query("filter", r#"{"event_format":"federation"}"#);
        let body = self.ask(call).await?;
        let page: Chunk<'_> = serde_json::from_slice(&body).map_err(|error| not_as_promised(NAME, &error))?;
        Ok(page.chunk.into_iter().find(|raw| is(raw, event_id)).map(ToOwned::to_owned))
    }

    /// The event from the room's current state.
    async fn pdu_of_state(
        &self,
        room: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<Box<RawValue>>, CallError> {
        const NAME: &str = "GET /sync for one event";
        let rows = match self.full_state(room).await {
            Err(CallError::Refused { .. }) => return Ok(None),
            rows => rows?,
        };
        let Some(row) = rows.into_iter().find(|row| row.event_id == event_id) else { return Ok(None) };
        // No device is named and no token given, so nobody's to-device messages are read or acknowledged. The
        // number makes the question new: Synapse would answer a repeated one from memory.
        let filter = serde_json::json!({
            "event_format": "federation", "presence": {"types": []}, "account_data": {"types": []},
            "maypole": self.unique(),
            "room": {
                "rooms": [room.as_str()], "timeline": {"types": [], "limit": 1}, "ephemeral": {"types": []},
                "state": {"types": [row.kind], "senders": [row.sender]}, "account_data": {"types": []},
            },
        });
        let call = Call::get(NAME, &["client", "v3", "sync"])
            .query("timeout", "0")
            .query("set_presence", "offline")
            .query("filter", filter.to_string());
        let body = self.ask(call).await?;
        let page: &RawValue = serde_json::from_slice(&body).map_err(|error| not_as_promised(NAME, &error))?;
        Ok(state_of(page, room).into_iter().find(|raw| is(raw, event_id)).map(ToOwned::to_owned))
    }
}

/// The state events that a `/sync` gives of a room, wherever in the page they stand.
fn state_of<'a>(page: &'a RawValue, room: &RoomId) -> Vec<&'a RawValue> {
    let path = ["rooms", "join", room.as_str(), "state", "events"];
    let found = path.iter().try_fold(page, |value, name| Members::of(value)?.last(name));
    found.and_then(|events| serde_json::from_str(events.get()).ok()).unwrap_or_default()
}

/// Whether the homeserver says that this is the event.
fn is(raw: &RawValue, event_id: &EventId) -> bool {
    Members::of(raw)
        .and_then(|members| members.read::<String>("event_id"))
        .is_some_and(|id| id == event_id.as_str())
}
