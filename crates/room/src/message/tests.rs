use maypole_core::rejection::Code;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bytes::encode;

/// The beginning of a PublicMessage for the group "g" in epoch 5, holding a commit of leaf 0.
const COMMIT: [u8; 22] = [0, 1, 0, 1, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 3, 0xaa];

/// A PrivateMessage for the same.
const PRIVATE_COMMIT: [u8; 20] = [0, 1, 0, 2, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 5, 3, 0, 1, 0xaa, 1, 0xbb];

fn valid() -> Value {
    json!({"device_id": "ALICE1", "txn_id": "t1", "message": encode(&COMMIT)})
}

fn read(content: &Value) -> Message {
    Message::read(content.to_string().as_bytes())
}

fn code_with(key: &str, value: Value) -> Code {
    let mut content = valid();
    content[key] = value;
    read(&content).asked.unwrap_err().code()
}

#[test]
fn a_valid_message_says_everything() {
    let message = read(&valid());
    let group = GroupId::parse(*b"g").unwrap();
    let inside = Inside::Commit { group: group.clone(), epoch: Epoch::new(5).unwrap() };
    let asked = Asked {
        message: Bytes::Inline(COMMIT.to_vec()),
        inside: Some(inside),
        welcome: None,
        group_info: None,
    };
    assert_eq!(message.asked, Ok(asked));
    assert_eq!(message.device, DeviceId::parse("ALICE1"));
    assert_eq!(message.txn_id, TxnId::parse("t1"));
    assert_eq!(message.message_hash, Some(Sha256::of(&COMMIT)));
    assert_eq!(message.group, Some(group));
}

#[test]
fn each_field_is_checked() {
    for device in [json!(null), json!(7), json!(""), json!("*"), json!("A\u{0}"), json!("x".repeat(256))] {
        assert_eq!(code_with("device_id", device), Code::BadJson);
    }
    for txn_id in [json!(null), json!(7), json!(""), json!("x".repeat(256))] {
        assert_eq!(code_with("txn_id", txn_id), Code::BadJson);
    }
    for message in [json!(null), json!(7), json!("a"), json!("AAEAAg=="), json!({})] {
        assert_eq!(code_with("message", message), Code::BadJson);
    }
    for info in [json!(null), json!([]), json!({"welcome": "?"}), json!({"group_info": 1})] {
        assert_eq!(code_with("commit_info", info), Code::BadJson);
    }
}

#[test]
fn the_mls_inside_is_checked() {
    let code = |bytes: &[u8]| code_with("message", json!(encode(bytes)));
    assert_eq!(code(b""), Code::Malformed);
    assert_eq!(code(b"not MLS at all"), Code::Unsupported, "0x6e6f is a protocol version of its own");
    assert_eq!(code(&[0, 2, 0, 1]), Code::Unsupported);
    assert_eq!(code(&[0, 1, 0, 9]), Code::Unsupported);
    assert_eq!(code(&[0, 1, 0, 3, 0]), Code::Unsupported, "a Welcome travels with its commit");
    assert_eq!(code(&[0, 1, 0, 5, 0]), Code::Unsupported, "a KeyPackage is uploaded");
    for length in 4..COMMIT.len() {
        assert_eq!(code(&COMMIT[..length]), Code::Malformed, "cut to {length}");
    }
    assert_eq!(code(&[&PRIVATE_COMMIT[..], &[0]].concat()), Code::Malformed);
    assert_eq!(code(&PRIVATE_COMMIT), Code::Unsupported, "nobody here can read it");
    let mut application = PRIVATE_COMMIT;
    application[14] = 1;
    assert_eq!(code(&application), Code::Unsupported);
    let mut proposal = COMMIT;
    proposal[20] = 2;
    assert_eq!(code(&proposal), Code::Unsupported);
    let mut late = COMMIT;
    late[6..14].copy_from_slice(&(1u64 << 53).to_be_bytes());
    assert_eq!(code(&late), Code::Unsupported);
    let long_name = [&[0, 1, 0, 1, 0x44, 1][..], &[b'g'; 1_025], &COMMIT[6..]].concat();
    assert_eq!(code(&long_name), Code::TooLarge);
}

#[test]
fn a_refused_message_still_says_whom_to_answer() {
    let mut content = valid();
    content["message"] = json!("?");
    let message = read(&content);
    assert_eq!(message.device, DeviceId::parse("ALICE1"));
    assert_eq!(message.txn_id, TxnId::parse("t1"));
    assert_eq!(message.message_hash, None);

    let mut content = valid();
    content.as_object_mut().unwrap().remove("device_id");
    let message = read(&content);
    assert_eq!(message.asked, Err(bad("device_id", "is missing")));
    assert_eq!(message.message_hash, Some(Sha256::of(&COMMIT)));
}

#[test]
fn a_blob_is_known_by_its_hash_until_its_bytes_come() {
    let mut content = valid();
    content["message"] = json!({"mxc": "mxc://a.org/abc", "sha256": encode(&[7; 32]), "size": 12});
    let message = read(&content);
    assert_eq!((message.message_hash, &message.group), (Some(Sha256::from_bytes([7; 32])), &None));
    assert_eq!(message.asked.as_ref().unwrap().inside, None);

    let whole = message.clone().with_bytes(COMMIT.to_vec());
    assert_eq!(whole.asked, read(&valid()).asked);
    assert_eq!(whole.group, GroupId::parse(*b"g"));
    let broken = message.with_bytes(COMMIT[..9].to_vec());
    assert_eq!(broken.asked.unwrap_err().code(), Code::Malformed);
}

#[test]
fn content_that_is_no_object_is_refused() {
    for content in [&b"[]"[..], b"7", b"\"x\"", b"", b"{", b"{\"a\":1,\"a\":1}", b"\xff"] {
        assert_eq!(
            Message::read(content).asked.unwrap_err().code(),
            Code::BadJson,
            "{}",
            content.escape_ascii()
        );
    }
    for length in [limits::TO_DEVICE_CONTENT_BYTES, limits::TO_DEVICE_SPELLED_BYTES] {
        let huge = format!("{{\"device_id\":\"{}\"}}", "x".repeat(length));
        assert_eq!(Message::read(huge.as_bytes()).asked.unwrap_err().code(), Code::TooLarge);
    }
}

#[test]
fn escapes_make_content_longer_but_not_too_large() {
    let escaped =
        format!("{{\"org.example\":\"{}\"}}", "\\u0041".repeat(limits::TO_DEVICE_CONTENT_BYTES / 2));
    assert!(escaped.len() > limits::TO_DEVICE_CONTENT_BYTES);
    assert_eq!(Message::read(escaped.as_bytes()).asked.unwrap_err().code(), Code::BadJson);
}

#[test]
fn fields_that_are_not_known_are_left_alone() {
    let mut content = valid();
    content["org.example.more"] = json!({"anything": [1.5]});
    assert!(read(&content).asked.is_ok());
    assert_eq!(read(&content).question_hash, read(&valid()).question_hash, "they make no other question");
    assert_ne!(read(&content).content_hash, read(&valid()).content_hash);
    content["commit_info"] = json!({});
    assert_ne!(read(&content).question_hash, read(&valid()).question_hash);
}

proptest! {
    #[test]
    fn no_content_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        Message::read(&bytes);
        let content = json!({"device_id": "D", "message": encode(&bytes)});
        read(&content);
    }
}
