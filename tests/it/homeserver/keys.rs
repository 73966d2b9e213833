//! Published keys as a real Synapse lists them.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use maypole_core::ids::{DeviceId, UserId};
use maypole_room::bytes::encode;
use maypole_testkit::user::User;
use serde_json::{Value, json};

use super::{Registration, US, adapter, synapse};

/// The keys of a device, with one for MLS, signed by the device itself.
pub(crate) fn device_keys(user: &User, mls_key: &str) -> Value {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let device = user.device_id();
    let mut keys = json!({
        "user_id": user.user_id(), "device_id": device, "algorithms": ["m.megolm.v1.aes-sha2"],
        "keys": {
            format!("ed25519:{device}"): encode(pair.public_key().as_ref()),
            format!("curve25519:{device}"): encode(&[2; 32]), format!("mls_ed25519:{device}"): mls_key,
        },
    });
    let object = serde_json::from_value(keys.clone()).unwrap();
    let text = ruma::signatures::to_canonical_json_string_for_signing(&object).unwrap();
    let signature = encode(pair.sign(text.as_bytes()).as_ref());
    keys["signatures"] = json!({user.user_id(): {format!("ed25519:{device}"): signature}});
    keys
}

#[tokio::test]
async fn keys_that_devices_publish_are_listed_by_user_and_device() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    let tablet = alice.login("TABLET").await.unwrap();
    let bob = synapse.register("bob", "LAPTOP").await.unwrap();
    for (device, key) in [(&alice, "m1"), (&tablet, "m2"), (&bob, "m3"), (&alice, "m4")] {
        device.upload_keys(&json!({"device_keys": device_keys(device, key)})).await.unwrap();
    }
    let users: BTreeSet<UserId> = [alice.user_id(), bob.user_id(), US, "@nobody:maypole.test"]
        .map(|user| UserId::parse(user).unwrap())
        .into();
    let found = homeserver.query_keys(&users).await.unwrap();
    assert!(found.failed.is_empty(), "{found:?}");
    let key = |device: &User| {
        let id = DeviceId::parse(device.device_id()).unwrap();
        let keys = &found.users[&UserId::parse(device.user_id()).unwrap()][&id];
        assert_eq!(keys.len(), 3, "{keys:?}");
        keys[&format!("mls_ed25519:{id}")].clone()
    };
    assert_eq!([&alice, &tablet, &bob].map(key), ["m4", "m2", "m3"]);
    let devices = |user: &str| found.users[&UserId::parse(user).unwrap()].len();
    assert_eq!([alice.user_id(), bob.user_id(), US, "@nobody:maypole.test"].map(devices), [2, 1, 0, 0]);

    tablet.logout().await.unwrap();
    let found = homeserver.query_keys(&users).await.unwrap();
    assert_eq!(found.users[&UserId::parse(alice.user_id()).unwrap()].len(), 1);
}

#[tokio::test]
async fn a_user_whose_server_cannot_be_asked_has_failed() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    // Nobody listens on port 1 of loopback.
    let away = UserId::parse("@carol:127.0.0.1:1").unwrap();
    let users = [UserId::parse(alice.user_id()).unwrap(), away.clone()].into();
    let found = homeserver.query_keys(&users).await.unwrap();
    assert_eq!(found.failed, [away]);
    assert_eq!(found.users.len(), 1);
}
