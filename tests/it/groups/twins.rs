//! Two processes of one service on one database: each works on its part, and one takes over what the other leaves.

use std::collections::BTreeSet;

use maypole_client::matrix::{Client, RoomVersion};
use maypole_core::ids::{GroupId, RoomId};
use maypole_core::shares::Share;
use maypole_testkit::postgres::Postgres;
use maypole_testkit::service::Service;
use maypole_testkit::wait::eventually;

use super::cast::{BOUND, Stage, explained, hears, reaches, service_joins, within};
use super::scene::accept;

/// Rooms, at least.
const ROOMS: usize = 4;

async fn shares(service: &Service) -> f64 {
    service.metric("maypole_shares").await.unwrap_or_default()
}

/// A room with both in its group, in epoch 1.
async fn room(alice: &mut Client, bob: &mut Client) -> RoomId {
    let room = within("a room", alice.create_room(RoomVersion::V12, "hall")).await;
    service_joins(alice, &room).await;
    within("a group", alice.register_group(&room)).await;
    let bob_id = bob.device().me().user.to_string();
    within("an invitation", alice.invite(&room, &bob_id)).await;
    within("it to be accepted", alice.settle(&room)).await;
    accept(bob, &room).await;
    room
}

/// Both commit at once in every room; each epoch has one winner, and everybody hears of it.
async fn race(alice: &mut Client, bob: &mut Client, rooms: &[RoomId], epoch: u64) {
    for room in rooms {
        let (one, other) = tokio::join!(alice.update(room), bob.update(room));
        one.and(other).unwrap();
    }
    for room in rooms {
        tokio::join!(within("alice's update", alice.settle(room)), within("bob's update", bob.settle(room)));
        reaches(alice, room, epoch + 2).await;
        reaches(bob, room, epoch + 2).await;
        assert_eq!(alice.device().epoch_authenticator(room), bob.device().epoch_authenticator(room));
        let text = format!("in epoch {}", epoch + 2);
        within("a text", alice.say(room, &text)).await;
        hears(bob, &text).await;
    }
}

#[tokio::test]
async fn one_is_killed_and_the_other_goes_on_with_everything() {
    let postgres = Postgres::start().await.unwrap();
    let mut stage = Stage::open_on(&postgres.url()).await;
    let mut alice = stage.user("alice", "PHONE", 1).await;
    let mut bob = stage.user("bob", "LAPTOP", 1).await;
    within("KeyPackages", bob.publish(40)).await;
    // So many that each process has some of their groups: the second gets the lower half of the shares.
    let mut rooms = Vec::new();
    let mut halves = BTreeSet::new();
    while rooms.len() < ROOMS || halves.len() < 2 {
        let room = room(&mut alice, &mut bob).await;
        halves.insert(Share::of_group(&GroupId::parse(room.as_str()).unwrap()).get() / 32);
        rooms.push(room);
    }
    let service = &stage.house.service;
    let mut twin = service.twin().unwrap();
    let keys = format!("keys: {{path: {:?}}}", service.keys());
    twin.configure(&stage.house.synapse.base_url(), &keys).unwrap();
    twin.start().unwrap();
    twin.ready().await.unwrap();
    eventually(BOUND, "the work to be dealt evenly", async || {
        Ok((shares(service).await == 32.0 && shares(&twin).await == 32.0).then_some(()))
    })
    .await
    .unwrap();
    race(&mut alice, &mut bob, &rooms, 1).await;
    let accepted =
        (service.metric("maypole_accepted_total").await, twin.metric("maypole_accepted_total").await);
    assert!(accepted.1.unwrap() > 0.0, "the second process has decided something");

    // The first one reads the homeserver's stream. It ends in the middle of what it does.
    for room in &rooms {
        alice.update(room).await.unwrap();
    }
    stage.house.service.kill().unwrap();
    for room in &rooms {
        within("it to be accepted", alice.settle(room)).await;
        reaches(&mut bob, room, 4).await;
    }
    eventually(BOUND, "the other to have everything", async || {
        Ok((shares(&twin).await == 64.0).then_some(()))
    })
    .await
    .unwrap();
    race(&mut alice, &mut bob, &rooms, 4).await;

    // It comes back, takes its part, and the other one leaves in order.
    stage.house.service.start().unwrap();
    stage.house.service.ready().await.unwrap();
    let service = &stage.house.service;
    eventually(
        BOUND,
        "the work to be dealt anew",
        async || Ok((shares(service).await == 32.0).then_some(())),
    )
    .await
    .unwrap();
    race(&mut alice, &mut bob, &rooms, 6).await;
    assert!(twin.stop().await.unwrap().success(), "{}", twin.log());
    race(&mut alice, &mut bob, &rooms, 8).await;
    for room in &rooms {
        assert_eq!(explained(&stage.house.service, room.as_str())["epoch"], 10);
    }
    stage.house.stop().await.unwrap();
}
