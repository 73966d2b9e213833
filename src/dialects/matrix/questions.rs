//! Reads a message of the inbox: is it for us, who asks, what, and under which key is the answer remembered.

use maypole_core::auth::Caller;
use maypole_core::ids::{DeviceId, Sha256, UserId};
use maypole_core::records::{AnswerKey, InboxItem, Incoming};
use maypole_room::message::Message;
use maypole_room::names::{self, Name, Prefix};

/// A question of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The account that asks, as the homeserver vouches for it.
    pub caller: Caller,
    /// How it spells its event types; the answer is spelled the same.
    pub prefix: Prefix,
    /// What it sent.
    pub message: Message,
    /// Under what the answer is remembered.
    pub key: AnswerKey,
}

impl Question {
    /// Reads a to-device message; `None` for event types that are none of ours.
    pub fn read(item: &InboxItem) -> Option<Self> {
        let Incoming::ToDevice { kind, content } = &item.message else { return None };
        let (prefix, Name::Message) = names::parse(kind)? else { return None };
        let message = Message::read(content);
        let key = answer_key(item.sender(), &message);
        Some(Self { caller: item.caller(), prefix, message, key })
    }
}

/// The same sender, device and transaction ID make the same key. Where the device gave no transaction ID, the content
/// takes its place: what is the same in every point is the same question.
fn answer_key(sender: &UserId, message: &Message) -> AnswerKey {
    let device = message.device.as_ref().map_or("", DeviceId::as_str);
    let (kind, name) = match &message.txn_id {
        Some(txn_id) => ("txn", txn_id.as_str().as_bytes()),
        None => ("content", message.question_hash.as_bytes().as_slice()),
    };
    let mut hashed = Vec::new();
    for part in [
        b"maypole answer key 1".as_slice(),
        sender.as_str().as_bytes(),
        device.as_bytes(),
        kind.as_bytes(),
        name,
    ] {
        hashed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        hashed.extend_from_slice(part);
    }
    AnswerKey(Sha256::of(&hashed))
}

#[cfg(test)]
mod tests {
    use maypole_core::auth::{AuthToken, Authenticated};
    use maypole_core::time::Timestamp;
    use serde_json::json;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
    fn item(sender: &str, kind: &str, content: &serde_json::Value) -> InboxItem {
        let caller = Authenticated::by(AuthToken::make(), UserId::parse(sender).unwrap());
        let message = Incoming::ToDevice { kind: kind.into(), content: content.to_string().into_bytes() };
        InboxItem::new(caller, Timestamp::from_millis(0), message)
    }

    fn key(sender: &str, content: &serde_json::Value) -> AnswerKey {
        Question::read(&item(sender, "m.mls.message", content)).unwrap().key
    }

    #[test]
    fn other_types_are_not_ours() {
        for kind in ["m.room_key", "m.mls.rejected", "m.mls.request", "m.room.encrypted", ""] {
            assert_eq!(Question::read(&item("@alice:a.org", kind, &json!({}))), None, "{kind}");
        }
        let question = Question::read(&item("@alice:a.org", "org.matrix.msc4244.mls.message", &json!({})));
        assert_eq!(question.unwrap().prefix, Prefix::Unstable);
    }

    #[test]
    fn the_key_is_the_sender_the_device_and_the_transaction() {
        let content = json!({"device_id": "A", "txn_id": "t", "message": "AA"});
        let same = json!({"device_id": "A", "txn_id": "t", "message": "AAAA"});
        assert_eq!(key("@alice:a.org", &content), key("@alice:a.org", &same));
        assert_ne!(key("@alice:a.org", &content), key("@bob:a.org", &content));
        let other_device = json!({"device_id": "B", "txn_id": "t", "message": "AA"});
        assert_ne!(key("@alice:a.org", &content), key("@alice:a.org", &other_device));
        let other_txn = json!({"device_id": "A", "txn_id": "t2", "message": "AA"});
        assert_ne!(key("@alice:a.org", &content), key("@alice:a.org", &other_txn));
    }

    #[test]
    fn without_a_transaction_the_content_is_the_key() {
        let content = json!({"device_id": "A", "message": "AA"});
        let same = json!({"message": "AA", "device_id": "A", "unsigned": {"age": 1}});
        assert_eq!(key("@alice:a.org", &content), key("@alice:a.org", &same));
        let mended = json!({"device_id": "A", "message": "AA", "commit_info": {}});
        assert_ne!(key("@alice:a.org", &content), key("@alice:a.org", &mended));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = json!({"device_id": "AB", "txn_id": "C"});
        let other = json!({"device_id": "A", "txn_id": "BC"});
        assert_ne!(key("@alice:a.org", &one), key("@alice:a.org", &other));
    }
}
