//! What a permit makes necessary at the homeserver before a command counts: state events of the service.
//!
//! An effect is the whole event, written once, so that carrying it out again writes the same bytes. Before it is carried
//! out a second time, after a restart or an answer that did not come, the room is looked at: the state event, and those
//! that it replaced, show whether it was sent.

use std::time::Duration;

use maypole_core::ids::{RoomId, UserId};
use maypole_core::limits;
use maypole_core::permit::Effect;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::homeserver::{Backoff, CallError, Homeserver, RoomEvent};

/// A state event that must be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEffect {
    /// In which room.
    pub room: RoomId,
    /// Its type.
    pub kind: String,
    /// Its state key.
    pub state_key: String,
    /// Its content.
    pub content: serde_json::Value,
}

impl StateEffect {
    /// As the core keeps it.
    pub fn into_effect(self, about: Option<UserId>) -> Effect {
        // A struct of texts and a JSON value always has a JSON form.
        Effect { about, words: serde_json::to_vec(&self).unwrap_or_default() }
    }

    /// As it was written, if it was.
    pub fn read(effect: &Effect) -> Option<Self> {
        serde_json::from_slice(&effect.words).ok()
    }

    /// In a few words, for the operator.
    pub fn in_words(&self) -> String {
        let what = self.content.get("membership").and_then(serde_json::Value::as_str);
        format!("{} {} {}", self.kind, self.state_key, what.unwrap_or_default()).trim_end().to_owned()
    }
}

/// How one try to carry an effect out ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The homeserver has the event.
    Sent,
    /// The homeserver refuses it, for this reason.
    Refused(String),
    /// The homeserver failed, for this reason, and has it not, as far as can be seen; it may be tried again after the wait
    /// that it asks for.
    Failed(String, Option<Duration>),
}

/// Sends one event, once.
pub async fn send(homeserver: &Homeserver, effect: &StateEffect) -> Tried {
    let StateEffect { room, kind, state_key, content } = effect;
    match homeserver.put_state(room, kind, state_key, content.to_string().into_bytes()).await {
        Ok(_) => Tried::Sent,
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "what a commit needs cannot be sent");
            Tried::Failed(error.to_string(), error.retry_after())
        }
        Err(CallError::Refused { errcode, error, .. }) => Tried::Refused(format!("{errcode}: {error}")),
        Err(error) => Tried::Refused(error.to_string()),
    }
}

/// Whether the room's state, or what it replaced lately, is the event. As long as the homeserver cannot say, nobody can, and
/// it is asked again.
pub async fn was_sent(homeserver: &Homeserver, effect: &StateEffect) -> Result<bool, CallError> {
    let StateEffect { room, kind, state_key, .. } = effect;
    let mut found = until_it_says(|| homeserver.state_event(room, kind, state_key)).await?;
    for _ in 0..limits::REPLACED_EVENTS {
        let Some(event) = found else { return Ok(false) };
        if is_same(&event, homeserver.user_id(), effect) {
            return Ok(true);
        }
        let Some(before) = event.replaces_state else { return Ok(false) };
        found = until_it_says(|| homeserver.event(room, &before)).await?;
    }
    Ok(false)
}

async fn until_it_says<T, F: Future<Output = Result<T, CallError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, CallError> {
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "a room cannot be looked at; trying again");
                clock::back_off(&mut backoff, error.retry_after()).await;
            }
            answer => return answer,
        }
    }
}

/// Whether an event is the one that was to be sent. Homeservers add to what they are given: the name and the picture of
/// whoever is invited.
fn is_same(event: &RoomEvent, us: &UserId, effect: &StateEffect) -> bool {
    let Ok(content) = serde_json::from_slice::<serde_json::Value>(&event.content) else { return false };
    let Some(sent) = effect.content.as_object() else { return false };
    event.sender == *us && sent.iter().all(|(name, value)| content.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn effect(content: Value) -> StateEffect {
        let room = RoomId::parse("!room:a.org").unwrap();
        StateEffect { room, kind: "m.room.member".into(), state_key: "@bob:b.org".into(), content }
    }

    fn event(sender: &str, content: &Value) -> RoomEvent {
        let sender = UserId::parse(sender).unwrap();
        RoomEvent {
            event_id: ruma::owned_event_id!("$invitation"),
            kind: "m.room.member".into(),
            state_key: Some("@bob:b.org".into()),
            sender,
            content: content.to_string().into_bytes(),
            replaces_state: None,
        }
    }

    #[test]
    fn an_event_is_known_again_by_all_that_was_sent() {
        let us = UserId::parse("@:a.org").unwrap();
        let commit =
            |epoch: u64| json!({"membership": "invite", "mls_commit": {"epoch": epoch, "commit": "AA"}});
        let sent = effect(commit(3));
        assert!(is_same(&event("@:a.org", &commit(3)), &us, &sent));
        let mut named = commit(3);
        named["displayname"] = "bob".into();
        named["avatar_url"] = Value::Null;
        assert!(is_same(&event("@:a.org", &named), &us, &sent), "the homeserver adds a name");

        assert!(!is_same(&event("@alice:a.org", &commit(3)), &us, &sent), "somebody else's");
        assert!(!is_same(&event("@:a.org", &commit(4)), &us, &sent), "another commit's");
        assert!(!is_same(&event("@:a.org", &json!({"membership": "invite"})), &us, &sent), "a plain one");
        named["membership"] = "leave".into();
        assert!(!is_same(&event("@:a.org", &named), &us, &sent), "another membership");
        assert!(!is_same(&event("@:a.org", &json!("invite")), &us, &sent), "no object");
    }
}
