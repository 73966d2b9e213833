//! To which rooms the service lets itself be invited (docs/protocol.md §1).
//!
//! Judged twice by the same rule: on the stripped state that comes with an invitation, which its sender may have made
//! up, and after joining on the room's state itself.

use maypole_core::limits;
use ruma::{OwnedServerName, RoomId, RoomVersionId, UserId};
use serde_json::Value;

/// What the create event says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The server of the user who created the room.
    pub creator_server: OwnedServerName,
    /// The room version.
    pub version: RoomVersionId,
    /// The encryption algorithm that the room was created with.
    pub algorithm: Option<String>,
    /// The delivery service that the room names, if it names one.
    pub names_service: Option<String>,
}

/// Why the service does not stay in a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// There is no create event to judge by.
    #[error("the invitation came without the room's create event")]
    NoCreateEvent,
    /// The create event does not say what a create event must.
    #[error("the room's create event is not readable: {0}")]
    Unreadable(&'static str),
    /// A room version that is not served.
    #[error("room version {} is not served here, only 11 and 12", shown(.0.as_str()))]
    Version(RoomVersionId),
    /// Not an MLS room.
    #[error("this is not an MLS room: its create event lacks the encryption algorithm m.mls.10")]
    NotMls,
    /// The room names another delivery service.
    #[error("this room names another delivery service, {}", shown(.0))]
    OtherService(String),
    /// The room was created on another server.
    #[error("this room was created on {0}; its delivery service is one of that server")]
    OtherServer(OwnedServerName),
}

/// A text that anybody may have made up, in a form that fits a log and a reason.
fn shown(text: &str) -> String {
    text.chars().take(limits::FOREIGN_TEXT_CHARS).collect::<String>().escape_debug().to_string()
}

impl Creation {
    /// Reads a create event's sender and content.
    pub fn read(sender: &str, content: &Value) -> Result<Self, NotOurs> {
        let sender = UserId::parse(sender).map_err(|_| NotOurs::Unreadable("its sender is no user"))?;
        let object = content.as_object().ok_or(NotOurs::Unreadable("its content is no object"))?;
        let version = match object.get("room_version") {
            None => RoomVersionId::V1,
            Some(Value::String(version)) => RoomVersionId::try_from(version.as_str())
                .map_err(|_| NotOurs::Unreadable("its room version is no version"))?,
            Some(_) => return Err(NotOurs::Unreadable("its room version is no string")),
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let algorithm =
            text("encryption_algorithm").or_else(|| text("org.matrix.msc4245.encryption_algorithm"));
        let names_service = match object.get("m.mls.delivery_service") {
            None => None,
            Some(Value::String(service)) => Some(service.clone()),
            Some(_) => return Err(NotOurs::Unreadable("its m.mls.delivery_service is no string")),
        };
        Ok(Self { creator_server: sender.server_name().to_owned(), version, algorithm, names_service })
    }

    /// Finds and reads the create event in stripped state.
    pub fn in_stripped_state(events: &[Value]) -> Result<Self, NotOurs> {
        let is_create = |event: &&Value| {
            event.get("type").and_then(Value::as_str) == Some("m.room.create")
                && event.get("state_key").and_then(Value::as_str) == Some("")
        };
        let create = events.iter().find(is_create).ok_or(NotOurs::NoCreateEvent)?;
        let sender = create.get("sender").and_then(Value::as_str);
        let sender = sender.ok_or(NotOurs::Unreadable("it has no sender"))?;
        Self::read(sender, create.get("content").ok_or(NotOurs::Unreadable("it has no content"))?)
    }

    /// Whether a room ID may be that of a room that was created on `service`'s server: older ones name it.
    pub fn may_be_of(room: &RoomId, service: &UserId) -> bool {
        room.server_name().is_none_or(|server| server == service.server_name())
    }

    /// Whether `service` serves this room.
    pub fn is_served_by(&self, service: &UserId) -> Result<(), NotOurs> {
        if !matches!(self.version, RoomVersionId::V11 | RoomVersionId::V12) {
            return Err(NotOurs::Version(self.version.clone()));
        }
        if self.algorithm.as_deref() != Some("m.mls.10") {
            return Err(NotOurs::NotMls);
        }
        if self.creator_server != service.server_name() {
            return Err(NotOurs::OtherServer(self.creator_server.clone()));
        }
        let named = self.names_service.clone().unwrap_or_else(|| format!("@:{}", self.creator_server));
        if named == service.as_str() { Ok(()) } else { Err(NotOurs::OtherService(named)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(sender: &str, content: &Value) -> Result<(), NotOurs> {
        let service = UserId::parse("@:a.org").unwrap();
        let event = json!({"type": "m.room.create", "state_key": "", "sender": sender, "content": content});
        Creation::in_stripped_state(&[json!({"type": "m.room.name"}), event])?.is_served_by(&service)
    }

    fn mls_room() -> Value {
        json!({"room_version": "12", "encryption_algorithm": "m.mls.10", "m.mls.delivery_service": "@:a.org"})
    }

    #[test]
    fn an_mls_room_of_our_server_that_names_us_is_ours() {
        assert_eq!(judge("@alice:a.org", &mls_room()), Ok(()));
        let older = json!({"room_version": "11", "org.matrix.msc4245.encryption_algorithm": "m.mls.10"});
        assert_eq!(
            judge("@alice:a.org", &older),
            Ok(()),
            "a room that names nobody is its creator's server's"
        );
    }

    #[test]
    fn every_other_room_is_left_with_its_reason() {
        let with = |key: &str, value: Value| {
            let mut content = mls_room();
            content[key] = value;
            judge("@alice:a.org", &content).unwrap_err()
        };
        assert_eq!(with("room_version", json!("10")), NotOurs::Version(RoomVersionId::V10));
        assert!(matches!(with("room_version", json!("org.example")), NotOurs::Version(_)));
        assert!(matches!(with("room_version", json!(12)), NotOurs::Unreadable(_)));
        assert_eq!(with("encryption_algorithm", json!("m.megolm.v1.aes-sha2")), NotOurs::NotMls);
        assert_eq!(with("encryption_algorithm", json!(null)), NotOurs::NotMls);
        assert_eq!(with("m.mls.delivery_service", json!("@:b.org")), NotOurs::OtherService("@:b.org".into()));
        assert!(matches!(with("m.mls.delivery_service", json!(1)), NotOurs::Unreadable(_)));
        assert!(matches!(judge("@alice:b.org", &mls_room()), Err(NotOurs::OtherServer(_))));
        assert!(matches!(judge("alice", &mls_room()), Err(NotOurs::Unreadable(_))));
        let versionless = json!({"encryption_algorithm": "m.mls.10"});
        assert_eq!(judge("@alice:a.org", &versionless), Err(NotOurs::Version(RoomVersionId::V1)));
    }

    #[test]
    fn what_an_invitation_says_of_itself_fits_a_log() {
        let named = format!("@x\nERROR forged {}", "x".repeat(100_000));
        let content = json!({"room_version": "12", "encryption_algorithm": "m.mls.10", "m.mls.delivery_service": named});
        let reason = judge("@alice:a.org", &content).unwrap_err().to_string();
        assert!(!reason.contains('\n') && reason.len() < 400, "{reason}");
    }

    #[test]
    fn stripped_state_without_a_create_event_is_refused() {
        let misplaced =
            json!({"type": "m.room.create", "state_key": "x", "sender": "@alice:a.org", "content": {}});
        assert_eq!(Creation::in_stripped_state(&[misplaced]), Err(NotOurs::NoCreateEvent));
        let contentless = json!({"type": "m.room.create", "state_key": "", "sender": "@alice:a.org"});
        assert!(matches!(Creation::in_stripped_state(&[contentless]), Err(NotOurs::Unreadable(_))));
    }
}
