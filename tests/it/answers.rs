//! Every refusal that a message can meet, provoked by a real user of a real Synapse.

use std::path::Path;
use std::time::Duration;

use maypole_testkit::service::House;
use maypole_testkit::user::User;
use serde_json::{Value, json};

use crate::messages::{base64, commit_for, registration_for, send};

const BOUND: Duration = Duration::from_secs(30);

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_maypole"))
}

async fn rejected(alice: &User, txn_id: &str) -> Value {
    let rejected = alice.next_to_device(BOUND, |event| event["content"]["txn_id"] == txn_id).await.unwrap();
    assert_eq!(rejected["type"], "m.mls.rejected");
    assert_eq!(rejected["sender"], "@:maypole.test");
    rejected["content"].clone()
}

/// What is sent, and the code and the particular that come back.
fn cases() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let blob = |size: u64| json!({"mxc": "mxc://maypole.test/abc", "sha256": base64(&[7; 32]), "size": size});
    let commit = base64(&commit_for(b"!room:maypole.test", 3));
    let cut = base64(&commit_for(b"!room:maypole.test", 3)[..9]);
    vec![
        ("no message", json!({}), "M_BAD_JSON", "field"),
        ("message of a wrong type", json!({"message": 7}), "M_BAD_JSON", "field"),
        ("bad base64", json!({"message": "=?"}), "M_BAD_JSON", "field"),
        ("url-safe base64", json!({"message": "-_8"}), "M_BAD_JSON", "field"),
        ("not MLS", json!({"message": base64(&[0, 1, 0])}), "M_MLS_MALFORMED", "offset"),
        ("cut short", json!({"message": cut}), "M_MLS_MALFORMED", "offset"),
        ("unknown version", json!({"message": base64(&[0, 2, 0, 1])}), "M_MLS_UNSUPPORTED", "supported"),
        ("unknown wire format", json!({"message": base64(&[0, 1, 0, 9])}), "M_MLS_UNSUPPORTED", "supported"),
        ("commit_info of a wrong type", json!({"message": commit, "commit_info": []}), "M_BAD_JSON", "field"),
        (
            "group ID too long",
            json!({"message": base64(&commit_for(&[b'g'; 2_000], 3))}),
            "M_TOO_LARGE",
            "limit_bytes",
        ),
        ("a blob that is not there", json!({"message": blob(12)}), "M_MLS_BLOB", "field"),
        ("blob too large", json!({"message": blob(1 << 40)}), "M_TOO_LARGE", "limit_bytes"),
        ("broken blob", json!({"message": {"mxc": "mxc://maypole.test/abc"}}), "M_BAD_JSON", "field"),
        ("unknown group", json!({"message": commit}), "M_MLS_UNKNOWN_GROUP", "group_id"),
        (
            "late epoch",
            json!({"message": base64(&commit_for(b"g", u64::MAX))}),
            "M_MLS_UNSUPPORTED",
            "supported",
        ),
        (
            "registration",
            json!({"message": base64(&registration_for("!room:maypole.test"))}),
            "M_MLS_INVALID_GROUP_INFO",
            "check",
        ),
    ]
}

#[tokio::test]
async fn every_refusal_reaches_the_device_that_asked() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let phone = alice.login("ALICE2").await.unwrap();
    for (name, content, code, particular) in cases() {
        let mut content = content;
        content["device_id"] = json!("ALICE1");
        content["txn_id"] = json!(name);
        send(&alice, name, "m.mls.message", &content).await;
        let rejected = rejected(&alice, name).await;
        assert_eq!(rejected["errcode"], code, "{name}: {rejected}");
        assert!(rejected.get(particular).is_some(), "{name} lacks {particular}: {rejected}");
        assert!(rejected["error"].is_string() && rejected["advice"].is_string(), "{name}: {rejected}");
    }
    assert!(phone.all_to_device().await.unwrap().is_empty(), "only the device that asked is answered");
    house.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_usable_device_all_devices_are_answered() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let phone = alice.login("ALICE2").await.unwrap();
    for (name, device) in
        [("none", Value::Null), ("star", json!("*")), ("number", json!(7)), ("empty", json!(""))]
    {
        let mut content = json!({"txn_id": name, "message": base64(&commit_for(b"g", 1))});
        if !device.is_null() {
            content["device_id"] = device;
        }
        send(&alice, name, "m.mls.message", &content).await;
        for device in [&alice, &phone] {
            let rejected = rejected(device, name).await;
            assert_eq!(
                (&rejected["errcode"], &rejected["field"]),
                (&json!("M_BAD_JSON"), &json!("device_id"))
            );
        }
    }
    house.stop().await.unwrap();
}

#[tokio::test]
async fn the_same_question_gets_the_same_answer() {
    let mut house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let content = json!({"device_id": "ALICE1", "txn_id": "t", "message": base64(&commit_for(b"g", 1))});
    send(&alice, "first", "m.mls.message", &content).await;
    let first = rejected(&alice, "t").await;
    send(&alice, "again", "m.mls.message", &content).await;
    assert_eq!(rejected(&alice, "t").await, first);

    house.service.kill().unwrap();
    house.service.start().unwrap();
    send(&alice, "after a restart", "m.mls.message", &content).await;
    assert_eq!(rejected(&alice, "t").await, first);

    let mut other = content.clone();
    other["message"] = json!(base64(&commit_for(b"h", 1)));
    send(&alice, "reused", "m.mls.message", &other).await;
    assert_eq!(rejected(&alice, "t").await["errcode"], "M_MLS_TXN_REUSED");
    send(&alice, "the first stands", "m.mls.message", &content).await;
    assert_eq!(rejected(&alice, "t").await, first);

    let bob = house.synapse.register("bob", "ALICE1").await.unwrap();
    send(&bob, "another account", "m.mls.message", &other).await;
    assert_eq!(rejected(&bob, "t").await["errcode"], "M_MLS_UNKNOWN_GROUP", "keys are per account");
    house.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_transaction_the_hashes_tell_answers_apart() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let message = commit_for(b"g", 1);
    send(&alice, "m", "m.mls.message", &json!({"device_id": "ALICE1", "message": base64(&message)})).await;
    let hash = base64(maypole_core::ids::Sha256::of(&message).as_bytes());
    let by_message =
        alice.next_to_device(BOUND, |event| event["content"]["message_hash"] == hash.as_str()).await;
    assert_eq!(by_message.unwrap()["content"]["errcode"], "M_MLS_UNKNOWN_GROUP");

    send(&alice, "c", "m.mls.message", &json!({"device_id": "ALICE1"})).await;
    let hash = base64(maypole_core::ids::Sha256::of(br#"{"device_id":"ALICE1"}"#).as_bytes());
    let by_content =
        alice.next_to_device(BOUND, |event| event["content"]["content_hash"] == hash.as_str()).await;
    assert_eq!(by_content.unwrap()["content"]["errcode"], "M_BAD_JSON");
    house.stop().await.unwrap();
}

#[tokio::test]
async fn other_types_are_ignored_and_both_spellings_understood() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    for kind in ["m.room_key_request", "m.mls.commit", "org.example.thing"] {
        send(&alice, kind, kind, &json!({"device_id": "ALICE1", "txn_id": kind})).await;
    }
    let content = json!({"device_id": "ALICE1", "txn_id": "unstable"});
    send(&alice, "unstable", "org.matrix.msc4244.mls.message", &content).await;
    let answer = alice.next_to_device(BOUND, |_| true).await.unwrap();
    assert_eq!(answer["type"], "org.matrix.msc4244.mls.rejected", "the ignored ones were sent first");
    assert_eq!(answer["content"]["txn_id"], "unstable");
    assert!(alice.all_to_device().await.unwrap().is_empty());
    let others = r#"maypole_to_device_received_total{kind="other"}"#;
    assert!((house.service.metric(others).await.unwrap() - 3.0).abs() < f64::EPSILON);
    house.stop().await.unwrap();
}

#[tokio::test]
async fn the_delivery_service_is_described_to_any_page() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let path = "/_matrix/client/unstable/org.matrix.msc4244/delivery_service";
    let url = format!("{}{path}", house.service.url());
    let client = reqwest::Client::new();
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let body: Value = serde_json::from_str(&maypole_testkit::text_of(answer).await.unwrap()).unwrap();
    assert_eq!((&body["user_id"], &body["device_id"]), (&json!("@:maypole.test"), &json!("")));
    let identity = body["external_sender"]["credential"]["identity"].as_str().unwrap();
    let (key_id, key) = (&body["receipt_key"]["key_id"], &body["receipt_key"]["public_key"]);
    let expected = format!("@:maypole.test/{}/{}", key_id.as_str().unwrap(), key.as_str().unwrap());
    assert_eq!(identity, expected);
    assert!(body["external_sender"]["signature_keys"].as_object().unwrap().len() >= 2);
    let options = client.request(reqwest::Method::OPTIONS, &url).send().await.unwrap();
    assert!(options.status().is_success());
    assert_eq!(options.headers()["access-control-allow-origin"], "*");

    // The account that it names is the one that answers.
    send(&alice, "x", "m.mls.message", &json!({"device_id": "ALICE1", "txn_id": "x"})).await;
    rejected(&alice, "x").await;
    house.stop().await.unwrap();
}
