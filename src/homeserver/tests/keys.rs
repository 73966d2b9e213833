//! Answers of `/keys/query` in which something is wrong.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use maypole_core::ids::{DeviceId, UserId};
use maypole_core::limits;
use maypole_room::bytes::encode;
use serde_json::{Value, json};

use super::super::{CallError, PublishedKeys};
use super::facing;
use super::faulty::{Faulty, Reply};

fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn key_pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// What a device publishes, signed by itself once `change` has been made.
fn device_with(user: &str, device: &str, change: impl FnOnce(&mut Value)) -> Value {
    let key = encode(key_pair(1).public_key().as_ref());
    let mut entry = json!({
        "user_id": user, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {
            format!("ed25519:{device}"): key, format!("curve25519:{device}"): "c", format!("mls_ed25519:{device}"): "m",
        },
    });
    change(&mut entry);
    sign(&mut entry, user, device, 1);
    entry["unsigned"] = json!({"device_display_name": "Phone"});
    entry
}

/// What a device publishes whose key for MLS is this.
pub(crate) fn publishes(user: &str, name: &str, mls: &str) -> Value {
    device_with(user, name, |entry| entry["keys"][format!("mls_ed25519:{name}")] = mls.into())
}

fn sign(entry: &mut Value, user: &str, device: &str, seed: u8) {
    let object = serde_json::from_value(entry.clone()).unwrap();
    let text = ruma::signatures::to_canonical_json_string_for_signing(&object).unwrap();
    let signature = encode(key_pair(seed).sign(text.as_bytes()).as_ref());
    entry["signatures"] =
        json!({user: {format!("ed25519:{device}"): signature, "ed25519:cross-signing": "another's"}});
}

fn device(user: &str, device: &str) -> Value {
    device_with(user, device, |_| ())
}

async fn ask(body: &str, users: &[&str]) -> Result<PublishedKeys, CallError> {
    let (_faulty, homeserver) = facing(Reply::json(200, body)).await;
    homeserver.query_keys(&users.iter().map(|text| user(text)).collect()).await
}

/// The devices of alice that are believed in an answer that lists these.
async fn believed(devices: Value) -> Vec<String> {
    let body = json!({"device_keys": {"@alice:a.org": devices}}).to_string();
    let keys = ask(&body, &["@alice:a.org"]).await.unwrap();
    assert!(keys.failed.is_empty(), "{keys:?}");
    keys.users[&user("@alice:a.org")].keys().map(|device| device.as_str().to_owned()).collect()
}

#[tokio::test]
async fn an_answer_that_lists_no_devices_at_all_is_broken() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"device_keys":[]}"#,
        r#"{"device_keys":null}"#,
        r#"{"device_keys":{},"failures":7}"#,
        r#"{"device_keys":{}"#,
    ] {
        let error = ask(body, &["@alice:a.org"]).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn users_of_whom_nothing_is_said_or_nothing_legible_have_failed_and_spoil_no_others() {
    let repeated = r#"{"X":{},"\u0058":{}}"#;
    let many: serde_json::Map<String, Value> =
        (0..=limits::DEVICES_PER_USER).map(|n| (n.to_string(), json!({}))).collect();
    let many = Value::from(many).to_string();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for entry in ["null", "7", "[]", "\"x\"", repeated, &many, &deep] {
        let alice = device("@alice:a.org", "PHONE");
        let body = format!(
            r#"{{"failures":{{"c.org":{{}}}},"device_keys":{{"@bob:b.org":{entry},"@carol:c.org":{{}},"@alice:a.org":{{"PHONE":{alice}}}}}}}"#
        );
        let asked = ["@alice:a.org", "@bob:b.org", "@carol:c.org", "@dave:a.org"];
        let keys = ask(&body, &asked).await.unwrap();
        let failed = ["@bob:b.org", "@carol:c.org", "@dave:a.org"].map(user);
        assert_eq!(keys.failed, failed);
        assert_eq!(keys.users.keys().collect::<Vec<_>>(), [&user("@alice:a.org")]);
    }
}

#[tokio::test]
async fn a_user_without_devices_has_not_failed() {
    let keys = ask(r#"{"device_keys":{"@alice:a.org":{}},"failures":{"b.org":{}}}"#, &["@alice:a.org"]).await;
    let keys = keys.unwrap();
    assert!(keys.failed.is_empty() && keys.users[&user("@alice:a.org")].is_empty());
}

#[tokio::test]
async fn whoever_was_not_asked_for_is_not_told() {
    let mallory = device("@mallory:b.org", "X");
    let body = json!({"device_keys": {"@mallory:b.org": {"X": mallory}, "@alice:a.org": {}}}).to_string();
    let keys = ask(&body, &["@alice:a.org"]).await.unwrap();
    assert_eq!(keys.users.len(), 1);
}

#[tokio::test]
async fn devices_that_stand_under_other_names_than_their_own_are_left_out() {
    let phone = |change: fn(&mut Value)| device_with("@alice:a.org", "PHONE", change);
    let found = believed(json!({
        "PHONE": device("@alice:a.org", "PHONE"),
        "TABLET": device("@alice:a.org", "PHONE"),
        "BOBS": device("@bob:b.org", "BOBS"),
        "": device("@alice:a.org", ""),
        "x".repeat(256): device("@alice:a.org", &"x".repeat(256)),
    }));
    assert_eq!(found.await, ["PHONE"]);
    for change in [
        (|entry| entry["user_id"] = json!("@bob:b.org")) as fn(&mut Value),
        |entry| entry["device_id"] = json!("OTHER"),
        |entry| entry["user_id"] = json!(7),
        |entry| drop(entry.as_object_mut().unwrap().remove("device_id")),
        |entry| drop(entry.as_object_mut().unwrap().remove("keys")),
        |entry| entry["keys"] = json!([]),
        |entry| entry["keys"] = json!({}),
        |entry| entry["keys"]["ed25519:PHONE"] = json!({}),
        |entry| entry["keys"]["ed25519:PHONE"] = json!("not base64!"),
        |entry| entry["keys"]["ed25519:PHONE"] = json!(""),
    ] {
        assert_eq!(believed(json!({"PHONE": phone(change)})).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_device_without_its_own_signature_is_left_out() {
    let sound = device("@alice:a.org", "PHONE");
    let mut spoilt = vec![json!(null), json!([sound])];
    for change in [
        (|entry| entry["keys"]["mls_ed25519:PHONE"] = json!("another")) as fn(&mut Value),
        |entry| entry["keys"]["mls_p256:PHONE"] = json!("added"),
        |entry| entry["algorithms"] = json!([]),
        |entry| entry["odd"] = json!(1.5),
        |entry| drop(entry.as_object_mut().unwrap().remove("signatures")),
        |entry| entry["signatures"] = json!([]),
        |entry| entry["signatures"]["@alice:a.org"] = json!({}),
        |entry| entry["signatures"]["@alice:a.org"]["ed25519:PHONE"] = json!("AAAA"),
        |entry| entry["signatures"]["@alice:a.org"]["ed25519:PHONE"] = json!(7),
        |entry| entry["signatures"] = json!({"@bob:b.org": entry["signatures"]["@alice:a.org"]}),
        |entry| sign(entry, "@alice:a.org", "PHONE", 2),
        |entry| sign(entry, "@alice:a.org", "TABLET", 1),
    ] {
        let mut entry = sound.clone();
        change(&mut entry);
        assert_ne!(entry, sound);
        spoilt.push(entry);
    }
    for entry in spoilt {
        let other = device("@alice:a.org", "TABLET");
        let found = believed(json!({"PHONE": entry, "TABLET": other})).await;
        assert_eq!(found, ["TABLET"], "{entry}");
    }
}

#[tokio::test]
async fn a_device_that_says_something_twice_is_left_out() {
    let sound = device("@alice:a.org", "PHONE").to_string();
    let twice = [
        sound.replacen('{', r#"{"keys":{},"#, 1),
        sound.replacen(r#""keys":{"#, r#""keys":{"ed25519:PHONE":"x","#, 1),
    ];
    for entry in twice {
        assert!(entry.len() > sound.len());
        let body = format!(r#"{{"device_keys":{{"@alice:a.org":{{"PHONE":{entry}}}}}}}"#);
        let keys = ask(&body, &["@alice:a.org"]).await.unwrap();
        assert!(keys.users[&user("@alice:a.org")].is_empty(), "{entry}");
    }
}

#[tokio::test]
async fn the_keys_of_a_sound_device_are_given_by_their_names() {
    let entry = device_with("@alice:a.org", "PHONE", |entry| entry["keys"]["odd"] = json!([7]));
    let body = json!({"device_keys": {"@alice:a.org": {"PHONE": entry}}}).to_string();
    let keys = ask(&body, &["@alice:a.org"]).await.unwrap();
    let phone = &keys.users[&user("@alice:a.org")][&DeviceId::parse("PHONE").unwrap()];
    let names: Vec<&str> = phone.keys().map(String::as_str).collect();
    assert_eq!(names, ["curve25519:PHONE", "ed25519:PHONE", "mls_ed25519:PHONE"]);
    assert_eq!(phone["mls_ed25519:PHONE"], "m");
}

#[tokio::test]
async fn many_users_are_asked_for_in_several_requests_and_none_in_none() {
    let faulty = Faulty::deciding(|request| {
        let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        let asked = body["device_keys"].as_object().unwrap();
        assert!(
            asked.len() <= limits::KEY_QUERY_USERS && asked.values().all(|devices| *devices == json!([]))
        );
        let empty: serde_json::Map<String, Value> =
            asked.keys().map(|user| (user.clone(), json!({}))).collect();
        Reply::json(200, &json!({"device_keys": empty}).to_string())
    })
    .await;
    let homeserver = super::adapter(&faulty.url());
    assert_eq!(homeserver.query_keys(&BTreeSet::new()).await.unwrap(), PublishedKeys::default());
    assert!(faulty.requests().is_empty());
    let users: BTreeSet<UserId> =
        (0..=2 * limits::KEY_QUERY_USERS).map(|n| user(&format!("@u{n}:a.org"))).collect();
    let keys = homeserver.query_keys(&users).await.unwrap();
    assert!(keys.failed.is_empty() && keys.users.keys().eq(users.iter()));
    assert_eq!(faulty.lines().len(), 3);
    assert!(faulty.lines()[0].starts_with("POST /_matrix/client/v3/keys/query?user_id="));
    assert!(faulty.requests()[0].contains(r#"{"timeout":10000,"device_keys":{"@u0:a.org":[],"#));
}

#[tokio::test]
async fn one_request_that_fails_leaves_no_half_answer() {
    let some = json!({"device_keys": {}}).to_string();
    let faulty = Faulty::serve(vec![Reply::json(200, &some), Reply::json(502, "")]).await;
    let users = (0..=limits::KEY_QUERY_USERS).map(|n| user(&format!("@u{n}:a.org"))).collect();
    let error = super::adapter(&faulty.url()).query_keys(&users).await.unwrap_err();
    assert!(matches!(error, CallError::Broken { .. }), "{error:?}");
}
