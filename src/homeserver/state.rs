//! Single events of a room: a state event set, read, and looked up by its ID.

use maypole_core::ids::{RoomId, UserId};
use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Homeserver;
use super::call::{Call, not_as_promised};
use super::error::CallError;
use super::json::Members;

/// An event of a room, as the homeserver shows it to its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEvent {
    /// Its ID.
    pub event_id: OwnedEventId,
    /// The event type.
    pub kind: String,
    /// The state key, if it is a state event.
    pub state_key: Option<String>,
    /// Who sent it.
    pub sender: UserId,
    /// The content, as the homeserver wrote it.
    pub content: Vec<u8>,
    /// The state event in whose place it came, if there was one.
    pub replaces_state: Option<OwnedEventId>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    event_id: OwnedEventId,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state_key: Option<String>,
    sender: String,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(default)]
    replaces_state: Option<OwnedEventId>,
    #[serde(default, borrow)]
    unsigned: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Sent {
    event_id: OwnedEventId,
}

impl Homeserver {
    /// Sets a state event. Where it is the same already, the homeserver makes no new one and names the old.
    pub async fn put_state(
        &self,
        room: &RoomId,
        kind: &str,
        state_key: &str,
        content: Vec<u8>,
    ) -> Result<OwnedEventId, CallError> {
        const NAME: &str = "PUT /rooms/{room}/state/{type}/{key}";
        if serde_json::from_slice::<Members<'_>>(&content).is_err() {
            let why = "the content is not a JSON object".to_owned();
            return Err(CallError::Unaskable { call: NAME, why });
        }
        let path = ["client", "v3", "rooms", room.as_str(), "state", kind, state_key];
        let Sent { event_id } = self.ask_for(Call::put(NAME, &path, content)).await?;
        Ok(event_id)
    }

    /// The current state event of a type and key, if the room has one.
    pub async fn state_event(
        &self,
        room: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<RoomEvent>, CallError> {
        const NAME: &str = "GET /rooms/{room}/state/{type}/{key}";
        let path = ["client", "v3", "rooms", room.as_str(), "state", kind, state_key];
        let asked = |event: &RoomEvent| event.kind == kind && event.state_key.as_deref() == Some(state_key);
        self.one_event(Call::get(NAME, &path).query("format", "event"), asked).await
    }

    /// An event by its ID, if the homeserver has it and shows it to us.
    pub async fn event(&self, room: &RoomId, event_id: &EventId) -> Result<Option<RoomEvent>, CallError> {
        let path = ["client", "v3", "rooms", room.as_str(), "event", event_id.as_str()];
        let asked = |event: &RoomEvent| event.event_id == event_id;
        self.one_event(Call::get("GET /rooms/{room}/event/{event}", &path), asked).await
    }

    /// Asks for one event, and sees that it is the one that was asked for.
    async fn one_event(
        &self,
        call: Call<'_>,
        asked: impl Fn(&RoomEvent) -> bool,
    ) -> Result<Option<RoomEvent>, CallError> {
        let name = call.name();
        let body = match self.ask(call).await {
            Err(CallError::Refused { status: 404, errcode, .. }) if errcode == "M_NOT_FOUND" => {
                return Ok(None);
            }
            body => body?,
        };
        let event = read(name, &body)?;
        if !asked(&event) {
            return Err(CallError::Broken { call: name, why: "another event than was asked for".to_owned() });
        }
        Ok(Some(event))
    }
}

/// Reads an event. What it replaced must be legible: who follows the chain must not take a hole for its end.
fn read(call: &'static str, body: &[u8]) -> Result<RoomEvent, CallError> {
    let wire: Wire<'_> = serde_json::from_slice(body).map_err(|error| not_as_promised(call, &error))?;
    let broken = |why: &str| CallError::Broken { call, why: why.to_owned() };
    let replaced = wire.unsigned.and_then(Members::of).and_then(|unsigned| unsigned.last("replaces_state"));
    let replaced = match replaced {
        Some(raw) => {
            serde_json::from_str(raw.get()).map_err(|_| broken("a `replaces_state` that is no event ID"))?
        }
        None => None,
    };
    Ok(RoomEvent {
        event_id: wire.event_id,
        kind: wire.kind,
        state_key: wire.state_key,
        sender: UserId::parse(wire.sender).ok_or_else(|| broken("an event without a valid sender"))?,
        content: wire.content.get().as_bytes().to_vec(),
        replaces_state: replaced.or(wire.replaces_state),
    })
}
