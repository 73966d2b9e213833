//! What the demo shows: events as they are, with long values cut, and to-device messages before their device reads them.

use anyhow::Context as _;
use maypole_client::matrix::Client;
use maypole_core::ids::RoomId;
use maypole_room::names::{self, Name, Prefix};
use maypole_testkit::path_part;
use maypole_testkit::wait::eventually;
use reqwest::Method;
use serde_json::Value;

use super::Story;
use super::cast::PATIENCE;

/// Characters of a string that are shown.
const SHOWN_CHARS: usize = 32;

impl Story<'_> {
    /// Some fields of an object, a line for each.
    pub(super) fn show(&mut self, object: &Value, fields: &[&str]) -> anyhow::Result<()> {
        for field in fields {
            if let Some(value) = object.get(field) {
                self.say(&format!("      {field}: {}", cut(value)))?;
            }
        }
        Ok(())
    }

    /// A refusal: its code, what is wrong, and what to do next.
    pub(super) fn show_refusal(&mut self, to: &str, refusal: &Value) -> anyhow::Result<()> {
        self.say(&format!("  Maypole to {to}: {}", text(refusal, "errcode")))?;
        self.say(&format!("      {}", text(refusal, "error")))?;
        self.say(&format!("      {}", text(refusal, "advice")))
    }
}

/// The same with every long string cut.
fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > SHOWN_CHARS => {
            format!("{}…", text.chars().take(SHOWN_CHARS).collect::<String>()).into()
        }
        Value::Array(values) => values.iter().map(cut).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), cut(value))).collect())
        }
        other => other.clone(),
    }
}

/// A text in an object.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The content of a to-device message that lies at the homeserver for a device, once it is there. Looking does not take it
/// away: only the device's own `/sync` acknowledges it.
pub(super) async fn arrived(client: &Client, name: Name, epoch: Option<u64>) -> anyhow::Result<Value> {
    let mut looks = 0_u32;
    let what = format!("{} for {}", Prefix::Stable.event_type(name), client.device().me());
    eventually(PATIENCE, &what, || {
        // Synapse remembers its answer to the same question for a while; another timeout makes it another question.
        looks += 1;
        lying(client, name, epoch, looks)
    })
    .await
}

/// The content of such a message, if it is there. Which look it is makes the request differ from the one before.
pub(super) async fn lying(
    client: &Client,
    name: Name,
    epoch: Option<u64>,
    look: u32,
) -> anyhow::Result<Option<Value>> {
    let path = format!("/_matrix/client/v3/sync?timeout={look}");
    let answer = client.http().json(Method::GET, &path, None).await?;
    let events = answer.pointer("/to_device/events").and_then(Value::as_array);
    let is_it = |event: &&Value| {
        let of = event.pointer("/content/epoch").and_then(Value::as_u64);
        is_named(text(event, "type"), name) && (epoch.is_none() || of == epoch)
    };
    Ok(events.into_iter().flatten().find(is_it).and_then(|event| event.get("content")).cloned())
}

/// Whether an event type is one of ours, in either spelling.
fn is_named(kind: &str, name: Name) -> bool {
    names::parse(kind).is_some_and(|(_, known)| known == name)
}

/// The state event by which the service says which group is a room's.
pub(super) async fn delivery_service(client: &Client, room: &RoomId) -> anyhow::Result<Value> {
    let state = client.http().room_state(room.as_str()).await?;
    let found = state.into_iter().find(|event| is_named(text(event, "type"), Name::DeliveryService));
    found.context("the room has no m.mls.delivery_service")
}

/// A state event of a room, whole.
pub(super) async fn state_event(
    client: &Client,
    room: &RoomId,
    kind: &str,
    state_key: &str,
) -> anyhow::Result<Value> {
    let state = client.http().room_state(room.as_str()).await?;
    let is_it = |event: &Value| text(event, "type") == kind && text(event, "state_key") == state_key;
    state.into_iter().find(is_it).with_context(|| format!("the room has no {kind} {state_key:?}"))
}

/// The newest event of a room's timeline.
pub(super) async fn newest_event(client: &Client, room: &RoomId) -> anyhow::Result<Value> {
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=1", path_part(room.as_str()));
    let answer = client.http().json(Method::GET, &path, None).await?;
    answer.pointer("/chunk/0").cloned().context("the room has no events")
}

/// How often a user was invited to a room, lately.
pub(super) async fn invitations(client: &Client, room: &RoomId, user: &str) -> anyhow::Result<usize> {
    let filter = path_part(r#"{"types":["m.room.member"]}"#);
    let room = path_part(room.as_str());
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100&filter={filter}");
    let answer = client.http().json(Method::GET, &path, None).await?;
    let events = answer.pointer("/chunk").and_then(Value::as_array).context("the room has no events")?;
    let is_one = |event: &&Value| {
        let membership = event.pointer("/content/membership").and_then(Value::as_str);
        text(event, "state_key") == user && membership == Some("invite")
    };
    Ok(events.iter().filter(is_one).count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_strings_are_cut_wherever_they_stand() {
        let long = "é".repeat(SHOWN_CHARS + 1);
        let shown = cut(&json!({"a": [long, "short", 7], "b": {"c": long}}));
        let expected = format!("{}…", "é".repeat(SHOWN_CHARS));
        assert_eq!(shown, json!({"a": [expected, "short", 7], "b": {"c": expected}}));
    }
}
