//! Registrations that are refused, until there is a group; and whoever no longer may, where there is one.

use maypole_testkit::service::House;
use serde_json::{Value, json};

use super::cast::explained;
use super::hall::{Hall, SERVICE, creation, joined, room};
use super::outlaw::{Outlaw, external_sender, refuses};
use crate::answers::binary;
use crate::messages::{base64, registration_for};

/// Checks that a registration is refused with this code, and that there is no group. Gives the refusal's content.
async fn fails(house: &House, room: &str, by: &mut Outlaw, group_info: &[u8], errcode: &str) -> Value {
    let answer = by.ask(json!({"message": base64(group_info)})).await;
    assert_eq!(answer["content"]["errcode"], errcode, "{answer}");
    let config = house.service.config();
    let asked = ["explain", room, "--json", "--config", config.to_str().unwrap()];
    assert!(house.service.run(&asked).is_err(), "no group has begun");
    answer["content"].clone()
}

/// The registration of a device's new group in a room.
async fn registration(house: &House, by: &mut Outlaw, room: &str) -> Vec<u8> {
    by.member.forget_group().unwrap();
    by.member.create_group(room.as_bytes(), &[external_sender(house).await]).unwrap();
    by.member.group_info(true).unwrap()
}

#[tokio::test]
async fn what_cannot_begin() {
    let house = House::start(binary()).await.unwrap();
    let mut alice = Outlaw::new(&house, "alice", "ALICE1").await;
    let mut bob = Outlaw::new(&house, "bob", "LAPTOP").await;
    let room = room(&alice.user, 99, &[bob.user.user_id()]).await;
    bob.user.join(&room).await.unwrap();

    // A group in which the service has no place, with its creator beside others, of another device, without its tree.
    fails(&house, &room, &mut alice, &registration_for(&room), "M_MLS_INVALID_GROUP_INFO").await;
    let sound = registration(&house, &mut alice, &room).await;
    let content = fails(&house, &room, &mut bob, &sound, "M_MLS_SENDER_MISMATCH").await;
    assert_eq!(content["leaf"], "@alice:maypole.test/ALICE1");
    let bare = alice.member.group_info(false).unwrap();
    fails(&house, &room, &mut alice, &bare, "M_MLS_INVALID_GROUP_INFO").await;
    let commit = alice.member.add(&[bob.member.key_package().unwrap()]).unwrap();
    alice.member.merge().unwrap();
    let later = alice.member.group_info(true).unwrap();
    fails(&house, &room, &mut alice, &later, "M_MLS_INVALID_GROUP_INFO").await;
    fails(&house, &room, &mut alice, &commit.message, "M_MLS_UNKNOWN_GROUP").await;
    fails(&house, &room, &mut alice, &sound[..40], "M_MLS_MALFORMED").await;
    let package = alice.member.key_package().unwrap();
    fails(&house, &room, &mut alice, &package, "M_MLS_UNSUPPORTED").await;

    // Whoever did not make the room, and whose device publishes no key.
    let bobs = registration(&house, &mut bob, &room).await;
    fails(&house, &room, &mut bob, &bobs, "M_FORBIDDEN").await;
    let mut desktop = Outlaw::of(alice.user.login("DESKTOP").await.unwrap());
    let unpublished = registration(&house, &mut desktop, &room).await;
    let content = fails(&house, &room, &mut desktop, &unpublished, "M_MLS_IDENTITY").await;
    assert_eq!(content["identity"], "@alice:maypole.test/DESKTOP");

    // And at last it begins, once.
    let answer = alice.ask(json!({"message": base64(&sound)})).await;
    assert_eq!(answer["type"], "m.mls.accepted", "{answer}");
    let state = alice.user.state_content(&room, "m.mls.delivery_service", SERVICE).await.unwrap();
    assert_eq!(state["group_id"], base64(room.as_bytes()));
    let before = explained(&house.service, &room);
    let second = registration(&house, &mut alice, &room).await;
    let answer = alice.ask(json!({"message": base64(&second)})).await;
    refuses(&house, &before, &answer, "M_MLS_STALE_EPOCH");
    house.stop().await.unwrap();
}

/// Rooms in which the service cannot do its work, or is not.
#[tokio::test]
async fn where_it_cannot_begin() {
    let house = House::start(binary()).await.unwrap();
    let mut alice = Outlaw::new(&house, "alice", "ALICE1").await;
    let powerless = room(&alice.user, 0, &[]).await;
    let sound = registration(&house, &mut alice, &powerless).await;
    let content = fails(&house, &powerless, &mut alice, &sound, "M_MLS_FROZEN").await;
    assert!(content["error"].as_str().unwrap().contains("has power 0"), "{content}");

    let empty = alice.user.create_room(&creation(&alice.user, 99, &[], false)).await.unwrap();
    let sound = registration(&house, &mut alice, &empty).await;
    fails(&house, &empty, &mut alice, &sound, "M_MLS_NOT_DELIVERY_SERVICE").await;

    let left = room(&alice.user, 99, &[]).await;
    let sound = registration(&house, &mut alice, &left).await;
    alice.user.leave(&left).await.unwrap();
    let content = fails(&house, &left, &mut alice, &sound, "M_MLS_NOT_JOINED").await;
    assert_eq!(content["users"], json!(["@alice:maypole.test"]));

    // No room at all.
    alice.member.forget_group().unwrap();
    alice.member.create_group(b"no room", &[external_sender(&house).await]).unwrap();
    let sound = alice.member.group_info(true).unwrap();
    let answer = alice.ask(json!({"message": base64(&sound)})).await;
    assert_eq!(answer["content"]["errcode"], "M_MLS_INVALID_GROUP_INFO", "{answer}");
    house.stop().await.unwrap();
}

/// A group whose service was put out of the room, or whose room was left behind.
#[tokio::test]
async fn where_it_cannot_go_on() {
    let mut hall = Hall::open().await;
    let before = hall.explained();
    hall.bob.user.leave(&hall.room).await.unwrap();
    let commit = hall.bob.member.update().unwrap();
    let answer = hall.bob.commit(&commit).await;
    refuses(&hall.house, &before, &answer, "M_MLS_NOT_JOINED");
    hall.alice.user.kick(&hall.room, SERVICE).await.unwrap();
    let commit = hall.alice.member.update().unwrap();
    let answer = hall.alice.commit(&commit).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_FROZEN");
    assert!(content["error"].as_str().unwrap().contains("is not in the room"), "{content}");
    let asked = json!({"room_id": hall.room, "want": "group_info"});
    assert_eq!(hall.bob.request(asked).await["errcode"], "M_MLS_NOT_JOINED");

    // Back in the room, and all goes on.
    hall.alice.user.invite(&hall.room, SERVICE).await.unwrap();
    joined(&hall.alice.user, &hall.room).await;
    let answer = hall.alice.commit(&commit).await;
    assert_eq!(answer["content"]["epoch"], 2, "{answer}");
    hall.alice
        .user
        .send_state(&hall.room, "m.room.tombstone", "", &json!({"replacement_room": "!new:maypole.test"}))
        .await
        .unwrap();
    hall.alice.member.merge().unwrap();
    let before = hall.explained();
    let commit = hall.alice.member.update().unwrap();
    let answer = hall.alice.commit(&commit).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_FROZEN");
    assert!(content["error"].as_str().unwrap().contains("upgraded"), "{content}");
    hall.house.stop().await.unwrap();
}
