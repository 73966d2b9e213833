//! The first commits of a room, from its creation on.

use maypole_client::device::Event;
use maypole_client::matrix::RoomVersion;
use maypole_testkit::postgres::Postgres;

use super::cast::{Stage, event, hears, reaches, service_joins, within};

/// A room is made, a member invited by a commit, messages are read, an update is raced, a device joins from outside.
async fn from_creation_on(stage: Stage, version: RoomVersion, suite: u16) {
    let mut alice = stage.user("alice", "PHONE", suite).await;
    let mut bob = stage.user("bob", "LAPTOP", suite).await;
    let room = within("a room", alice.create_room(version, "hall")).await;
    service_joins(&alice, &room).await;
    within("a group", alice.register_group(&room)).await;

    let bob_id = bob.device().me().user.to_string();
    within("an invitation", alice.invite(&room, &bob_id)).await;
    within("it to be accepted", alice.settle(&room)).await;
    assert_eq!(within("an invitation", bob.next_invite()).await, room);
    within("bob in the room", bob.join_room(&room)).await;
    event(&mut bob, "a Welcome", |event| matches!(event, Event::Joined { .. })).await;

    within("a text", alice.say(&room, "hello bob")).await;
    hears(&mut bob, "hello bob").await;
    within("a text", bob.say(&room, "hello alice")).await;
    hears(&mut alice, "hello alice").await;

    // Both at once: one is told to try again, and does.
    let (one, other) = tokio::join!(alice.update(&room), bob.update(&room));
    one.and(other).unwrap();
    let (one, other) = tokio::join!(
        within("alice's update", alice.settle(&room)),
        within("bob's update", bob.settle(&room))
    );
    let ((), ()) = (one, other);
    reaches(&mut alice, &room, 3).await;
    reaches(&mut bob, &room, 3).await;
    assert_eq!(alice.device().epoch_authenticator(&room), bob.device().epoch_authenticator(&room));

    let mut laptop = stage.device("alice", "LAPTOP", suite).await;
    within("a device from outside", laptop.join_from_outside(&room)).await;
    within("a text", laptop.say(&room, "from my laptop")).await;
    hears(&mut bob, "from my laptop").await;
    hears(&mut alice, "from my laptop").await;
    assert_eq!(laptop.device().epoch(&room).map(|epoch| epoch.get()), Some(4));
    assert_eq!(laptop.device().epoch_authenticator(&room), bob.device().epoch_authenticator(&room));
    let suspect = |event: &&Event| matches!(event, Event::Suspect { .. } | Event::Unchecked { .. });
    for client in [&alice, &bob, &laptop] {
        assert_eq!(client.told().find(suspect), None, "everything is what Matrix says");
    }
    stage.house.stop().await.unwrap();
}

#[tokio::test]
async fn from_creation_on_in_a_room_of_version_12() {
    from_creation_on(Stage::open().await, RoomVersion::V12, 1).await;
}

#[tokio::test]
async fn from_creation_on_in_a_room_of_version_11_with_p256() {
    from_creation_on(Stage::open().await, RoomVersion::V11, 2).await;
}

#[tokio::test]
async fn from_creation_on_with_a_database() {
    let postgres = Postgres::start().await.unwrap();
    from_creation_on(Stage::open_on(&postgres.url()).await, RoomVersion::V12, 1).await;
}
