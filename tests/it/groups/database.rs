//! The store is a PostgreSQL: the service is killed, the database is killed, and nothing is lost.

use maypole_client::matrix::{Client, RoomVersion};
use maypole_core::ids::RoomId;
use maypole_testkit::postgres::Postgres;
use maypole_testkit::wait::eventually;

use super::cast::{BOUND, Stage, explained, hears, reaches, service_joins, within};
use super::scene::accept;

/// Both commit once more, and each hears of both.
async fn go_on(alice: &mut Client, bob: &mut Client, room: &RoomId, epoch: u64) {
    for (number, committer) in [true, false].into_iter().enumerate() {
        let client = if committer { &mut *alice } else { &mut *bob };
        within("an update", client.update(room)).await;
        within("it to be accepted", client.settle(room)).await;
        for client in [&mut *alice, &mut *bob] {
            reaches(client, room, epoch + 1 + number as u64).await;
        }
    }
    within("a text", alice.say(room, &format!("in epoch {}", epoch + 2))).await;
    hears(bob, &format!("in epoch {}", epoch + 2)).await;
}

#[tokio::test]
async fn what_was_decided_outlives_the_service_and_the_database() {
    let mut postgres = Postgres::start().await.unwrap();
    let mut stage = Stage::open_on(&postgres.url()).await;
    let mut alice = stage.user("alice", "PHONE", 1).await;
    let mut bob = stage.user("bob", "LAPTOP", 1).await;
    let room = within("a room", alice.create_room(RoomVersion::V12, "hall")).await;
    service_joins(&alice, &room).await;
    within("a group", alice.register_group(&room)).await;
    let bob_id = bob.device().me().user.to_string();
    within("an invitation", alice.invite(&room, &bob_id)).await;
    within("it to be accepted", alice.settle(&room)).await;
    accept(&mut bob, &room).await;
    go_on(&mut alice, &mut bob, &room, 1).await;

    stage.house.service.kill().unwrap();
    stage.house.service.start().unwrap();
    stage.house.service.ready().await.unwrap();
    go_on(&mut alice, &mut bob, &room, 3).await;

    // The service goes on running without its database, says that it is not ready, and answers nobody.
    postgres.kill().unwrap();
    let house = &stage.house;
    eventually(BOUND, "the service to notice", async || {
        Ok(house.service.readiness().await.filter(|(ready, _)| !ready).map(drop))
    })
    .await
    .unwrap();
    within("an update", alice.update(&room)).await;
    postgres.boot().await.unwrap();
    within("it to be accepted", alice.settle(&room)).await;
    stage.house.service.ready().await.unwrap();
    for client in [&mut alice, &mut bob] {
        reaches(client, &room, 6).await;
    }
    go_on(&mut alice, &mut bob, &room, 6).await;
    assert_eq!(explained(&stage.house.service, room.as_str())["epoch"], 8);
    stage.house.stop().await.unwrap();
}
