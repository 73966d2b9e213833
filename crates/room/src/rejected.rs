//! `m.mls.rejected`: the service's answer to a message that it refuses.
//!
//! Beside the code it carries what the client needs to do better, and how the client finds the message it is about: its
//! own `txn_id`, the hash of the MLS bytes, or, where there were none, the hash of the content.

use serde_json::{Map, Value, json};

use maypole_core::ids::UserId;
use maypole_core::rejection::{Citable, Rejection, Unsupported};
use maypole_mls::Suite;
use maypole_mls::envelope::MLS_10;

use crate::bytes::encode;
use crate::message::Message;

/// The content of an `m.mls.rejected`.
///
/// ```
/// use maypole_room::{message::Message, rejected};
///
/// let message = Message::read(br#"{"device_id": "ALICE1", "txn_id": "t1", "message": "!"}"#);
/// let rejection = message.asked.clone().unwrap_err();
/// let content = rejected::content(&message, &rejection);
/// assert_eq!(content["errcode"], "M_BAD_JSON");
/// assert_eq!(content["field"], "message");
/// assert_eq!(content["txn_id"], "t1");
/// ```
pub fn content(message: &Message, rejection: &Rejection) -> Value {
    let mut content = about(message);
    let code = rejection.code();
    let facts = code.facts();
    content.insert("errcode".into(), facts.errcode.into());
    content.insert("error".into(), rejection.to_string().into());
    content.insert("advice".into(), facts.advice.into());
    for (key, value) in particulars(rejection) {
        content.insert(key.into(), value);
    }
    Value::Object(content)
}

/// What tells the client which of its messages this is about.
fn about(message: &Message) -> Map<String, Value> {
    let mut content = Map::new();
    if let Some(group) = &message.group {
        content.insert("group_id".into(), encode(group.as_bytes()).into());
        let room =
            std::str::from_utf8(group.as_bytes()).ok().filter(|text| ruma::RoomId::parse(text).is_ok());
        if let Some(room) = room {
            content.insert("room_id".into(), room.into());
        }
    }
    if let Some(txn_id) = &message.txn_id {
        content.insert("txn_id".into(), txn_id.as_str().into());
    }
    match &message.message_hash {
        Some(hash) => content.insert("message_hash".into(), encode(hash.as_bytes()).into()),
        None => content.insert("content_hash".into(), encode(message.content_hash.as_bytes()).into()),
    };
    content
}

/// What the client needs to do better.
pub(crate) fn particulars(rejection: &Rejection) -> Vec<(&'static str, Value)> {
    match rejection {
        Rejection::BadJson { field, .. } => vec![("field", json!(field))],
        Rejection::Malformed { offset, .. } => vec![("offset", json!(offset))],
        Rejection::TooLarge { limit_bytes, .. } => vec![("limit_bytes", json!(limit_bytes))],
        Rejection::TooMany { limit, .. } => vec![("limit", json!(limit))],
        Rejection::LimitExceeded { retry_after } => {
            vec![("retry_after_ms", json!(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX)))]
        }
        Rejection::Unsupported(unsupported) => vec![("supported", supported(*unsupported))],
        Rejection::StaleEpoch { current, reserved } => {
            let reserved =
                reserved.map(|reserved| json!(u64::try_from(reserved.as_millis()).unwrap_or(u64::MAX)));
            let current = current.map(|epoch| ("current_epoch", json!(epoch.get())));
            current.into_iter().chain(reserved.map(|reserved| ("reserved_ms", reserved))).collect()
        }
        Rejection::MissingProposals { proposals } => {
            vec![("proposals", proposals.iter().map(|proposal| encode(proposal)).collect())]
        }
        Rejection::EpochGone { oldest, .. } => vec![("oldest_epoch", json!(oldest.get()))],
        Rejection::EpochAhead { current, .. } => vec![("current_epoch", json!(current.get()))],
        Rejection::Invalid { check, .. } => {
            vec![("check", json!(check.name)), ("section", json!(check.section))]
        }
        Rejection::SenderMismatch { sender, leaf } => vec![("sender", json!(sender)), ("leaf", json!(leaf))],
        Rejection::Identity { leaf, identity, .. } => {
            vec![("identity", json!(identity)), ("leaf_index", json!(leaf))]
        }
        Rejection::StaleAuthEvents { current } | Rejection::MissingAuthEvents { current } => {
            vec![("auth_events", current.iter().map(citable).collect())]
        }
        Rejection::NotJoined { users } | Rejection::Unavailable { users, .. } => {
            vec![("users", users.iter().map(UserId::as_str).collect())]
        }
        Rejection::NotDeliveryService { service } => {
            service.iter().map(|service| ("delivery_service", json!(service))).collect()
        }
        Rejection::Blob { field, .. } => vec![("field", json!(field))],
        Rejection::TxnReused
        | Rejection::Leaving
        | Rejection::UnknownGroup
        | Rejection::Forbidden { .. }
        | Rejection::Frozen { .. } => Vec::new(),
    }
}

/// Something that a commit can cite.
fn citable(citable: &Citable) -> Value {
    json!({"event_id": citable.id, "type": citable.kind, "state_key": citable.key})
}

/// What is supported instead.
fn supported(unsupported: Unsupported) -> Value {
    match unsupported {
        Unsupported::ProtocolVersion(_) => json!({"protocol_versions": [MLS_10]}),
        Unsupported::WireFormat(_)
        | Unsupported::ApplicationMessage
        | Unsupported::PrivateHandshake
        | Unsupported::Proposal => {
            json!({"wire_formats": ["mls_public_message", "mls_group_info"], "content_types": ["commit"]})
        }
        Unsupported::ProposalType(_) => json!({"proposal_types": [1, 2, 3, 7, 10]}),
        Unsupported::Epoch => json!({"epochs_below": maypole_core::limits::EPOCH_END}),
        Unsupported::CipherSuite(_) => json!({"ciphersuites": Suite::ALL.map(Suite::code)}),
        Unsupported::ByRule(refusal) => json!({"check": refusal.rule.name(), "section": refusal.section()}),
        Unsupported::Want => json!({"want": ["group_info", "commits", "ratchet_tree"]}),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use maypole_core::ids::{Epoch, Sha256};
    use maypole_core::rejection::Part;

    use super::*;

    fn rejected(content: &Value, rejection: &Rejection) -> Value {
        super::content(&Message::read(content.to_string().as_bytes()), rejection)
    }

    /// The beginning of a PublicMessage for a group, in epoch 5, holding a commit.
    fn commit_for(group: &[u8]) -> String {
        let length = u8::try_from(group.len()).unwrap();
        let rest = [0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 3, 0xaa];
        encode(&[&[0, 1, 0, 1, length], group, &rest].concat())
    }

    #[test]
    fn an_unknown_group_is_named() {
        let message = commit_for(b"!room:a.org");
        let content = json!({"device_id": "D", "txn_id": "t", "message": message});
        let rejected = rejected(&content, &Rejection::UnknownGroup);
        assert_eq!(rejected["room_id"], "!room:a.org");
        assert_eq!(rejected["group_id"], encode(b"!room:a.org"));
        assert_eq!(rejected["errcode"], "M_MLS_UNKNOWN_GROUP");
        assert!(rejected.get("content_hash").is_none());
    }

    #[test]
    fn a_group_that_is_no_room_has_no_room_id() {
        let content = json!({"device_id": "D", "message": commit_for(b"\xff\x00")});
        assert!(rejected(&content, &Rejection::UnknownGroup).get("room_id").is_none());
    }

    #[test]
    fn without_a_message_the_content_hash_identifies_it() {
        let content = json!({"device_id": "D"});
        let parsed = Message::read(content.to_string().as_bytes());
        let rejected = rejected(&content, &parsed.asked.unwrap_err());
        assert_eq!(rejected["content_hash"], encode(Sha256::of(br#"{"device_id":"D"}"#).as_bytes()));
        assert!(rejected.get("message_hash").is_none());
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let all = [
            (Rejection::BadJson { field: "message", problem: "is missing" }, "field"),
            (
                Rejection::Malformed { part: Part::Message, offset: 3, problem: "the epoch is cut short" },
                "offset",
            ),
            (Rejection::TooLarge { what: "the blob", limit_bytes: 5 }, "limit_bytes"),
            (Rejection::too_many("KeyPackages", 5), "limit"),
            (Rejection::LimitExceeded { retry_after: Duration::from_millis(70) }, "retry_after_ms"),
            (Rejection::Unsupported(Unsupported::ProtocolVersion(2)), "supported"),
            (Rejection::Unsupported(Unsupported::WireFormat(3)), "supported"),
            (Rejection::Unsupported(Unsupported::Epoch), "supported"),
            (Rejection::Unsupported(Unsupported::PrivateHandshake), "supported"),
            (Rejection::Unsupported(Unsupported::Proposal), "supported"),
            (Rejection::Unsupported(Unsupported::CipherSuite(4)), "supported"),
            (Rejection::Unsupported(Unsupported::Want), "supported"),
            (Rejection::StaleEpoch { current: Some(Epoch::ZERO), reserved: None }, "current_epoch"),
            (
                Rejection::StaleEpoch { current: Some(Epoch::ZERO), reserved: Some(Duration::from_secs(5)) },
                "reserved_ms",
            ),
            (Rejection::StaleEpoch { current: None, reserved: None }, "advice"),
            (Rejection::MissingProposals { proposals: vec![vec![7]] }, "proposals"),
            (Rejection::Leaving, "advice"),
            (Rejection::Unsupported(Unsupported::ProposalType(4)), "supported"),
            (Rejection::EpochGone { from: Epoch::ZERO, oldest: Epoch::ZERO }, "oldest_epoch"),
            (Rejection::EpochAhead { asked: Epoch::ZERO, current: Epoch::ZERO }, "current_epoch"),
            (Rejection::terms(Part::Welcome, "Missing", "§12.4", "it is missing"), "check"),
            (Rejection::SenderMismatch { sender: "@a:b".into(), leaf: "@c:d/E".into() }, "leaf"),
            (
                Rejection::Identity { leaf: Some(1), identity: "@a:b/C".into(), problem: "is none" },
                "identity",
            ),
            (Rejection::forbidden("no"), "advice"),
            (Rejection::StaleAuthEvents { current: Vec::new() }, "auth_events"),
            (Rejection::MissingAuthEvents { current: Vec::new() }, "auth_events"),
            (Rejection::NotJoined { users: Vec::new() }, "users"),
            (Rejection::NotDeliveryService { service: Some("@:b.org".into()) }, "delivery_service"),
            (Rejection::Frozen { reason: "no power".into() }, "advice"),
            (Rejection::Blob { field: "message", problem: "is gone" }, "field"),
            (Rejection::Unavailable { users: Vec::new(), problem: "silence" }, "users"),
            (Rejection::TxnReused, "advice"),
            (Rejection::UnknownGroup, "advice"),
        ];
        for (rejection, key) in all {
            let rejected = rejected(&json!({}), &rejection);
            assert!(rejected.get(key).is_some() && rejected["error"].is_string(), "{rejection:?}");
        }
    }
}
