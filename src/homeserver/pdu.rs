//! Events as servers exchange them, with their hashes recomputed.
//!
//! An event ID is the hash of a *redacted* event: it does not cover most of the content, but it covers the content's
//! own hash. So both are recomputed and compared, and what they do not cover is dropped. Then nobody between the
//! event's maker and us, our homeserver included, has changed a byte of it.

use maypole_core::ids::RoomId;
use ruma::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};
use ruma::room_version_rules::{EventIdFormatVersion, RoomIdFormatVersion, RoomVersionRules};
use ruma::{EventId, OwnedEventId, RoomVersionId};

use super::error::CallError;

/// An event in federation format whose ID and content hash were recomputed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pdu {
    event_id: OwnedEventId,
    object: CanonicalJsonObject,
}

/// There is no such event, or it is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PduError {
    /// The room has a version whose hashes we cannot compute.
    #[error("room version {0} is not supported")]
    RoomVersion(RoomVersionId),
    /// The homeserver does not show us such an event.
    #[error("the homeserver does not show us the event {0}")]
    NotFound(OwnedEventId),
    /// The homeserver ignores the wish for the federation format.
    #[error("the homeserver does not give events in federation format")]
    Format,
    /// Not canonical JSON, or too large for an event.
    #[error("the event cannot be hashed: {0}")]
    Unhashable(String),
    /// The event is another one than was asked for, or was changed.
    #[error("the event's hash gives the ID {computed}, not {expected}")]
    EventId {
        /// What was asked for.
        expected: OwnedEventId,
        /// What the event says by its hash.
        computed: String,
    },
    /// The content is not the one that the event's maker hashed: it was redacted, or changed.
    #[error("the content of {0} is not what its hash says: it was redacted, or changed on the way")]
    ContentHash(OwnedEventId),
    /// The event is of another room.
    #[error("the event {0} is not of this room")]
    Room(OwnedEventId),
    /// The homeserver could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Pdu {
    /// Takes an event in federation format if it is the one that its ID names, and unchanged.
    pub fn check(
        raw: &str,
        event_id: &EventId,
        room: &RoomId,
        version: &RoomVersionId,
    ) -> Result<Self, PduError> {
        let rules = rules(version)?;
        let unhashable = |why: String| PduError::Unhashable(why);
        let mut object: CanonicalJsonObject = serde_json::from_str(raw)
            .map_err(|_| unhashable("it is not a canonical JSON object".to_owned()))?;
        // What homeservers add for their own clients, and no hash covers.
        object.remove("event_id");
        object.remove("unsigned");
        take_derived_room(&mut object, &rules);
        let said = match object.get("hashes") {
            Some(CanonicalJsonValue::Object(hashes)) => {
                hashes.get("sha256").and_then(CanonicalJsonValue::as_str)
            }
            _ => None,
        };
        let said = said.ok_or(PduError::Format)?.to_owned();
        let reference =
            ruma::signatures::reference_hash(&object, &rules).map_err(|why| unhashable(why.to_string()))?;
        if event_id.as_str().strip_prefix('$') != Some(reference.as_str()) {
            return Err(PduError::EventId {
                expected: event_id.to_owned(),
                computed: format!("${reference}"),
            });
        }
        let content = ruma::signatures::content_hash(&object).map_err(|why| unhashable(why.to_string()))?;
        if content.encode() != said {
            return Err(PduError::ContentHash(event_id.to_owned()));
        }
        let own_room = match object.get("room_id") {
            Some(named) => named.as_str() == Some(room.as_str()),
            // The create event whose hash the room is named by.
            None => {
                derives_room(&object, &rules) && room.as_str().strip_prefix('!') == Some(reference.as_str())
            }
        };
        if !own_room {
            return Err(PduError::Room(event_id.to_owned()));
        }
        Ok(Self { event_id: event_id.to_owned(), object })
    }

    /// Its ID.
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// The event, without `event_id` and `unsigned`.
    pub fn object(&self) -> &CanonicalJsonObject {
        &self.object
    }
}

/// Since version 12 a room is named by the hash of its create event, which so cannot name the room. Synapse puts the
/// name in for its clients all the same.
fn take_derived_room(object: &mut CanonicalJsonObject, rules: &RoomVersionRules) {
    if derives_room(object, rules) {
        object.remove("room_id");
    }
}

fn derives_room(object: &CanonicalJsonObject, rules: &RoomVersionRules) -> bool {
    let kind = object.get("type").and_then(CanonicalJsonValue::as_str);
    rules.room_id_format == RoomIdFormatVersion::V2 && kind == Some("m.room.create")
}

/// The rules of a room version whose event IDs are hashes in the form that is still in use.
pub(super) fn rules(version: &RoomVersionId) -> Result<RoomVersionRules, PduError> {
    let known = version.rules().filter(|rules| rules.event_id_format == EventIdFormatVersion::V3);
    known.ok_or_else(|| PduError::RoomVersion(version.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 12, as Synapse 1.163.2 gives it: with `event_id`, `unsigned`, and a room that the hash does not cover.
    const CREATE: &str = r#"{
        "auth_events": [], "content": {"encryption_algorithm": "m.mls.10", "room_version": "12"}, "depth": 1,
        "event_id": "$Z6Xu0hYg3h-XoztA_f95DU-wjh_YUaSKwXZmjpw6s7Q",
        "hashes": {"sha256": "Qs2KDCd6wvEvRRbORc+SHssZ+EU8NO/t1yA++ezlYHI"}, "origin_server_ts": 1795223648655,
        "prev_events": [], "room_id": "!Z6Xu0hYg3h-XoztA_f95DU-wjh_YUaSKwXZmjpw6s7Q",
        "sender": "@alice1795223647605:localhost:34051", "signatures": {"localhost:34051": {"ed25519:a_nsQZ":
        "cNWF0Lgtfts6JgDIOA32MCOr+i3cv7tN6sdk3gMiB0XJRBaRJk4l1gLogdl6Aq4uEk2FkPIu2zQoFmD5CYu4Bg"}},
        "state_key": "", "type": "m.room.create", "unsigned": {"age": 281, "membership": "leave"}
    }"#;
    const CREATE_ID: &str = "$Z6Xu0hYg3h-XoztA_f95DU-wjh_YUaSKwXZmjpw6s7Q";
    const ROOM_12: &str = "!Z6Xu0hYg3h-XoztA_f95DU-wjh_YUaSKwXZmjpw6s7Q";

    /// Version 11, of another room.
    const LEVELS: &str = r#"{
        "auth_events": ["$Bq-rdLf2yZDRAyKWcWV8lIM9RwiuAGHvDtF6o4ReZfQ", "$DwOFe6M6WG0tE3GaBNIU0DW3emNoCAJJTtDItShke0M"],
        "content": {"ban": 50, "events": {"m.room.avatar": 50, "m.room.canonical_alias": 50, "m.room.encryption": 100,
        "m.room.history_visibility": 100, "m.room.name": 50, "m.room.power_levels": 100, "m.room.server_acl": 100,
        "m.room.tombstone": 100}, "events_default": 0, "historical": 100, "invite": 0, "kick": 50, "redact": 50,
        "state_default": 50, "users": {"@alice1795223647605:localhost:34051": 100}, "users_default": 0}, "depth": 3,
        "hashes": {"sha256": "yeo4WAq+m/LMzP4vs8woGMk960K3M45BYgNms1cxnmE"}, "origin_server_ts": 1795223647905,
        "prev_events": ["$Bq-rdLf2yZDRAyKWcWV8lIM9RwiuAGHvDtF6o4ReZfQ"],
        "room_id": "!rKIOMTKglidauFgKnH:localhost:34051", "sender": "@alice1795223647605:localhost:34051",
        "signatures": {"localhost:34051": {"ed25519:a_nsQZ":
        "diaB+M0qaoWRJbAvWbQwJ6ozUfIMWyV0Cjgr+d6CwdvpxP1JtS6+90DUv4L0QiN3euqhVvQPXgdoEoLgFb5NDg"}},
        "state_key": "", "type": "m.room.power_levels"
    }"#;
    const LEVELS_ID: &str = "$UzczLI7Edy-TUQQD1PEOu9X3chNXOfPpe62AdyWsFBo";
    const ROOM_11: &str = "!rKIOMTKglidauFgKnH:localhost:34051";

    fn check(raw: &str, event_id: &str, room: &str, version: &str) -> Result<Pdu, PduError> {
        let event_id = OwnedEventId::try_from(event_id).unwrap();
        let version = RoomVersionId::try_from(version).unwrap();
        Pdu::check(raw, &event_id, &RoomId::parse(room).unwrap(), &version)
    }

    fn levels(from: &str, to: &str) -> Result<Pdu, PduError> {
        assert!(LEVELS.contains(from), "{from}");
        check(&LEVELS.replace(from, to), LEVELS_ID, ROOM_11, "11")
    }

    #[test]
    fn what_is_covered_by_the_id_cannot_be_changed() {
        for (from, to) in [
            (r#""ban": 50"#, r#""ban": 49"#),
            (r#""depth": 3"#, r#""depth": 4"#),
            (r#""state_key": """#, r#""state_key": "x""#),
            ("\"sender\": \"@alice", "\"sender\": \"@mallory"),
            ("yeo4WAq", "xeo4WAq"),
            ("1795223647905", "1795223647906"),
            ("!rKIOMTKglidauFgKnH:localhost:34051", "!other:localhost:34051"),
        ] {
            assert!(matches!(levels(from, to), Err(PduError::EventId { .. })), "{from} → {to}");
        }
        for version in ["4", "10", "12"] {
            let outcome = check(LEVELS, CREATE_ID, ROOM_11, version);
            assert!(matches!(outcome, Err(PduError::EventId { .. })), "{version}");
        }
    }

    #[test]
    fn what_only_the_content_hash_covers_cannot_be_changed_either() {
        for (from, to) in [
            (r#""historical": 100"#, r#""historical": 0"#),
            (r#""historical": 100, "#, ""),
            (r#""kick": 50"#, r#""kick": 50, "extra": {}"#),
            (r#""depth": 3"#, r#""depth": 3, "origin": "localhost""#),
        ] {
            assert!(matches!(levels(from, to), Err(PduError::ContentHash(_))), "{from} → {to}");
        }
    }

    #[test]
    fn what_cannot_be_hashed_is_refused() {
        let deep = format!(r#"{{"content":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        for raw in [
            "",
            "7",
            "[]",
            "{",
            &deep,
            r#"{"hashes":{"sha256":"x"},"depth":1.5}"#,
            r#"{"depth":9007199254740992}"#,
        ] {
            let outcome = check(raw, LEVELS_ID, ROOM_11, "11");
            assert!(matches!(outcome, Err(PduError::Unhashable(_))), "{outcome:?}");
        }
        let large = levels(r#""kick": 50"#, &format!(r#""kick": 50, "x": "{}""#, "x".repeat(70_000)));
        assert!(matches!(large, Err(PduError::Unhashable(_))), "{large:?}");
        for raw in ["{}", r#"{"hashes":7}"#, r#"{"hashes":{"sha256":7}}"#, r#"{"hashes":{}}"#] {
            assert_eq!(check(raw, LEVELS_ID, ROOM_11, "11"), Err(PduError::Format), "{raw}");
        }
    }

    #[test]
    fn rooms_that_it_is_not_of_and_versions_that_are_not_known_are_refused() {
        assert!(matches!(check(LEVELS, LEVELS_ID, "!other:localhost:34051", "11"), Err(PduError::Room(_))));
        assert!(matches!(check(CREATE, CREATE_ID, "!other", "12"), Err(PduError::Room(_))));
        for version in ["1", "2", "3", "org.example.weird"] {
            assert!(matches!(check(LEVELS, LEVELS_ID, ROOM_11, version), Err(PduError::RoomVersion(_))));
        }
    }

    #[test]
    fn what_no_hash_covers_is_dropped() {
        let lies =
            LEVELS.replacen('{', r#"{"event_id": "$other", "unsigned": {"prev_content": {"ban": 1}},"#, 1);
        let plain = check(LEVELS, LEVELS_ID, ROOM_11, "11").unwrap();
        assert_eq!(check(&lies, LEVELS_ID, ROOM_11, "11").unwrap(), plain);
        assert_eq!(plain.event_id(), LEVELS_ID);
    }

    #[test]
    fn a_create_event_is_of_the_room_that_its_hash_names() {
        let named_otherwise = CREATE.replace(ROOM_12, "!other");
        for raw in [CREATE, named_otherwise.as_str()] {
            let create = check(raw, CREATE_ID, ROOM_12, "12").unwrap();
            assert!(!create.object().contains_key("room_id"));
        }
    }
}
