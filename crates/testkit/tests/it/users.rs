//! What users of a real Synapse can do through the testkit.

use std::time::Duration;

use maypole_testkit::Refused;
use maypole_testkit::synapse::Synapse;
use reqwest::Method;
use serde_json::json;

const BOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn two_users_exchange_a_to_device_message() {
    let synapse = Synapse::builder().server_name("maypole.test").start().await.unwrap();
    eprintln!("Synapse answered after {:?}", synapse.booted_in());
    let alice = synapse.register("alice", "ALICE1").await.unwrap();
    let bob = synapse.register("bob", "BOB1").await.unwrap();
    assert_eq!(alice.user_id(), "@alice:maypole.test");
    assert_eq!(bob.server_name(), "maypole.test");

    for (txn, n) in [("t1", 1), ("t1", 1), ("t2", 2), ("t3", 3)] {
        let messages = json!({"@bob:maypole.test": {"BOB1": {"n": n}}});
        alice.send_to_device("m.mls.message", txn, &messages).await.unwrap();
    }
    // The second is waited for first; the others stay, in order, and the repeated one came once.
    let second = bob.next_to_device(BOUND, |message| message["content"]["n"] == 2).await.unwrap();
    assert_eq!(second["sender"], "@alice:maypole.test");
    assert_eq!(second["type"], "m.mls.message");
    let rest: Vec<_> =
        bob.all_to_device().await.unwrap().iter().map(|message| message["content"]["n"].clone()).collect();
    assert_eq!(rest, [json!(1), json!(3)]);
    // And nothing comes again.
    let none = bob.next_to_device(Duration::from_millis(200), |_| true).await.unwrap_err();
    assert!(none.to_string().contains("waited 200ms for a to-device message for @bob"), "{none}");
}

#[tokio::test]
async fn users_make_rooms_and_further_devices() {
    let synapse = Synapse::start().await.unwrap();
    assert_eq!(synapse.server_name(), format!("localhost:{}", synapse.port()));
    let alice = synapse.register("alice", "ALICE1").await.unwrap();
    let again = alice.login("ALICE2").await.unwrap();
    assert_eq!(again.whoami().await.unwrap()["device_id"], "ALICE2");
    let bob = synapse.register("bob", "BOB1").await.unwrap();

    let body = json!({
        "room_version": "12", "creation_content": {"encryption_algorithm": "m.mls.10"}, "invite": [bob.user_id()],
        "initial_state": [{"type": "m.test/slash", "state_key": "a/b?c", "content": {"n": 1}}],
        "power_level_content_override": {"invite": 50},
    });
    let room = alice.create_room(&body).await.unwrap();
    assert_eq!(
        alice.state_content(&room, "m.room.create", "").await.unwrap()["encryption_algorithm"],
        "m.mls.10"
    );
    assert_eq!(alice.state_content(&room, "m.test/slash", "a/b?c").await.unwrap()["n"], 1);
    assert_eq!(alice.state_content(&room, "m.room.power_levels", "").await.unwrap()["invite"], 50);
    bob.join(&room).await.unwrap();
    assert_eq!(again.members(&room).await.unwrap()["chunk"].as_array().unwrap().len(), 2);
    assert!(bob.state(&room).await.unwrap().as_array().unwrap().len() > 5);

    // What the room does not permit comes back as a refusal with its code.
    let error = bob.send_state(&room, "m.room.topic", "", &json!({"topic": "bob's"})).await.unwrap_err();
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<Refused>()).unwrap();
    assert_eq!((refused.status.as_u16(), refused.errcode.as_str()), (403, "M_FORBIDDEN"));
    let topic = alice.send_state(&room, "m.room.topic", "", &json!({"topic": "alice's"})).await.unwrap();
    assert!(topic["event_id"].is_string());
    bob.leave(&room).await.unwrap();
    assert_eq!(
        alice.state_content(&room, "m.room.member", bob.user_id()).await.unwrap()["membership"],
        "leave"
    );
    alice.invite(&room, bob.user_id()).await.unwrap();
    alice.kick(&room, bob.user_id()).await.unwrap();
    alice.ban(&room, bob.user_id()).await.unwrap();
    assert_eq!(
        alice.state_content(&room, "m.room.member", bob.user_id()).await.unwrap()["membership"],
        "ban"
    );

    again.logout().await.unwrap();
    let unknown = again.ask(Method::GET, "/_matrix/client/v3/account/whoami", None).await.unwrap();
    assert_eq!(unknown.status.as_u16(), 401);
}

#[tokio::test]
async fn keys_are_published_found_and_claimed_once() {
    let synapse = Synapse::start().await.unwrap();
    let alice = synapse.register("alice", "ALICE1").await.unwrap();
    let bob = synapse.register("bob", "BOB1").await.unwrap();
    let body = json!({
        "device_keys": {
            "user_id": alice.user_id(), "device_id": "ALICE1", "algorithms": ["m.mls.10"],
            "keys": {"ed25519:ALICE1": "a", "mls_ed25519:ALICE1": "b"}, "signatures": {},
        },
        "one_time_keys": {"mls:1": {"key": "package", "signatures": {}}},
    });
    assert_eq!(alice.upload_keys(&body).await.unwrap()["one_time_key_counts"]["mls"], 1);
    let found = bob.query_keys(&json!({"device_keys": {alice.user_id(): []}})).await.unwrap();
    assert_eq!(found["device_keys"][alice.user_id()]["ALICE1"]["keys"]["mls_ed25519:ALICE1"], "b");
    let claim = json!({"one_time_keys": {alice.user_id(): {"ALICE1": "mls"}}});
    let first = bob.claim_keys(&claim).await.unwrap();
    assert_eq!(first["one_time_keys"][alice.user_id()]["ALICE1"]["mls:1"]["key"], "package");
    let second = bob.claim_keys(&claim).await.unwrap();
    assert_eq!(second["one_time_keys"], json!({}));
}
