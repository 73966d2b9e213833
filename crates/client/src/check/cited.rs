//! The events that a commit cites: each is what its ID says, content included, and none is missing.

use std::collections::BTreeSet;

use maypole_core::ids::RoomId;
use maypole_room::permit::AuthenticatedData;
use ruma::room_version_rules::RoomVersionRules;
use ruma::signatures::{content_hash, reference_hash};
use ruma::{EventId, OwnedEventId};
use serde_json::Value;

use super::canonical;

/// Why what a commit cites cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncited {
    /// The authenticated data says nothing that can be understood.
    #[error("the commit's authenticated data cannot be read: {0}")]
    Unreadable(String),
    /// An event has no form that can be hashed.
    #[error("a cited event is none")]
    NoEvent,
    /// An event's content is not the one that its hash is of.
    #[error("the content of {0} is not its own")]
    OtherContent(OwnedEventId),
    /// An event of another room.
    #[error("{0} is of another room")]
    OtherRoom(OwnedEventId),
    /// What came along is not what is cited.
    #[error("the events that came along are not those that the commit cites")]
    Others,
}

/// Whether the whole events that came with a commit are those that its authenticated data cites, by their hashes.
///
/// ```
/// use maypole_client::check::{Uncited, cited};
/// use maypole_core::ids::RoomId;
/// use ruma::room_version_rules::RoomVersionRules;
///
/// let room = RoomId::parse("!room:a.org").unwrap();
/// assert_eq!(cited(&room, &RoomVersionRules::V12, b"", &[]), Ok(()));
/// assert_eq!(cited(&room, &RoomVersionRules::V12, b"$levels", &[]), Err(Uncited::Others));
/// ```
pub fn cited(
    room_id: &RoomId,
    rules: &RoomVersionRules,
    authenticated_data: &[u8],
    events: &[Value],
) -> Result<(), Uncited> {
    let data = AuthenticatedData::read(authenticated_data);
    let data = data.map_err(|error| Uncited::Unreadable(error.to_string()))?;
    let mut brought = BTreeSet::new();
    for event in events {
        let object = canonical(event).ok_or(Uncited::NoEvent)?;
        let hash = reference_hash(&object, rules).map_err(|_| Uncited::NoEvent)?;
        let event_id = EventId::parse(format!("${hash}")).map_err(|_| Uncited::NoEvent)?;
        let content = content_hash(&object).map_err(|_| Uncited::NoEvent)?;
        let said = event.pointer("/hashes/sha256").and_then(Value::as_str);
        if said != Some(content.encode().as_str()) {
            return Err(Uncited::OtherContent(event_id));
        }
        if event.get("room_id").and_then(Value::as_str) != Some(room_id.as_str()) {
            return Err(Uncited::OtherRoom(event_id));
        }
        brought.insert(event_id);
    }
    if data.cited.into_iter().collect::<BTreeSet<_>>() == brought { Ok(()) } else { Err(Uncited::Others) }
}

#[cfg(test)]
pub(super) mod tests {
    use ruma::signatures::add_content_hash_to_event;
    use serde_json::json;

    use super::*;

    pub(crate) fn event(room: &str, invite: u64) -> (Value, String) {
        let event = json!({
            "type": "m.room.power_levels", "state_key": "", "sender": "@alice:a.org", "room_id": room,
            "content": {"invite": invite}, "depth": 3, "origin_server_ts": 7, "auth_events": [], "prev_events": [],
            "hashes": {},
        });
        let mut object = canonical(&event).unwrap();
        add_content_hash_to_event(&mut object).unwrap();
        let hash = reference_hash(&object, &RoomVersionRules::V12).unwrap();
        (serde_json::to_value(object).unwrap(), format!("${hash}"))
    }

    #[test]
    fn events_that_are_not_what_is_cited_are_seen() {
        let room = RoomId::parse("!room:a.org").unwrap();
        let (levels, id) = event("!room:a.org", 50);
        let check = |data: &[u8], events: &[Value]| cited(&room, &RoomVersionRules::V12, data, events);
        let data = json!({"auth_events": [id]}).to_string().into_bytes();
        assert_eq!(check(&data, std::slice::from_ref(&levels)), Ok(()));
        assert_eq!(check(id.as_bytes(), std::slice::from_ref(&levels)), Ok(()));
        assert_eq!(check(&data, &[]), Err(Uncited::Others));
        assert_eq!(check(b"", std::slice::from_ref(&levels)), Err(Uncited::Others));
        assert!(matches!(check(b"{", &[]), Err(Uncited::Unreadable(_))));
        let (other, _) = event("!room:a.org", 0);
        assert_eq!(check(&data, &[other]), Err(Uncited::Others));
        // Redaction keeps the ID and takes content away: that alone does not make another content.
        let mut changed = levels.clone();
        changed["content"]["hidden"] = 1.into();
        assert!(matches!(check(&data, &[changed]), Err(Uncited::OtherContent(_))));
        let (elsewhere, id) = event("!other:a.org", 50);
        assert!(matches!(check(id.as_bytes(), &[elsewhere]), Err(Uncited::OtherRoom(_))));
        for none in [json!({}), json!({"a": 1.5}), json!(7)] {
            assert_eq!(check(&data, &[none]), Err(Uncited::NoEvent));
        }
    }
}
