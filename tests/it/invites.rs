//! The service joins the rooms that it serves, and leaves all others with a reason.

use std::time::Duration;

use maypole_testkit::service::House;
use maypole_testkit::user::User;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};

use crate::answers::binary;

const BOUND: Duration = Duration::from_secs(60);
const SERVICE: &str = "@:maypole.test";

/// Waits until the service has answered its invitation; gives its member event's content.
async fn membership(alice: &User, room: &str) -> Value {
    eventually(BOUND, "the service to answer its invitation", async || {
        let content = alice.state_content(room, "m.room.member", SERVICE).await?;
        Ok((content["membership"] != "invite").then_some(content))
    })
    .await
    .unwrap()
}

async fn room(alice: &User, version: &str, creation: &Value) -> String {
    let body = json!({"room_version": version, "creation_content": creation, "invite": [SERVICE]});
    alice.create_room(&body).await.unwrap()
}

#[tokio::test]
async fn rooms_that_it_serves_are_joined() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let named = json!({"encryption_algorithm": "m.mls.10", "m.mls.delivery_service": SERVICE});
    let unstable = json!({"org.matrix.msc4245.encryption_algorithm": "m.mls.10"});
    for version in ["11", "12"] {
        for creation in [&named, &unstable] {
            let room = room(&alice, version, creation).await;
            assert_eq!(membership(&alice, &room).await["membership"], "join", "{version} {creation}");
        }
    }
    house.stop().await.unwrap();
}

#[tokio::test]
async fn other_rooms_are_left_with_a_reason() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let mls = json!({"encryption_algorithm": "m.mls.10"});
    let cases = [
        ("10", mls.clone(), "room version 10"),
        ("12", json!({}), "not an MLS room"),
        ("11", json!({"encryption_algorithm": "m.megolm.v1.aes-sha2"}), "not an MLS room"),
        ("12", json!({"encryption_algorithm": "m.mls.10", "m.mls.delivery_service": "@:b.org"}), "@:b.org"),
        ("12", json!({"encryption_algorithm": "m.mls.10", "m.mls.delivery_service": 7}), "no string"),
    ];
    for (version, creation, reason) in cases {
        let room = room(&alice, version, &creation).await;
        let left = membership(&alice, &room).await;
        assert_eq!(left["membership"], "leave", "{creation}");
        assert!(left["reason"].as_str().unwrap().contains(reason), "{left}");
    }
    // A room that it left does not keep it from the next.
    let good = room(&alice, "12", &mls).await;
    assert_eq!(membership(&alice, &good).await["membership"], "join");
    house.stop().await.unwrap();
}

#[tokio::test]
async fn an_invitation_made_while_the_service_is_away_is_answered() {
    let mut house = House::start_with(binary(), |synapse| synapse.push(true)).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    house.service.kill().unwrap();
    let creation = json!({"encryption_algorithm": "m.mls.10"});
    let room = room(&alice, "12", &creation).await;
    house.service.start().unwrap();
    assert_eq!(membership(&alice, &room).await["membership"], "join");
    house.stop().await.unwrap();
}

#[tokio::test]
async fn an_invitation_that_was_taken_back_holds_nothing_up() {
    let mut house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    house.service.kill().unwrap();
    let creation = json!({"encryption_algorithm": "m.mls.10"});
    let gone = room(&alice, "12", &creation).await;
    alice.kick(&gone, SERVICE).await.unwrap();
    let good = room(&alice, "12", &creation).await;
    house.service.start().unwrap();
    assert_eq!(membership(&alice, &good).await["membership"], "join");
    assert_eq!(membership(&alice, &gone).await["membership"], "leave");
    house.stop().await.unwrap();
}
