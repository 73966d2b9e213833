//! Sixty-four devices commit in one epoch: one wins, the others are told who did, and all go on.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use maypole_client::matrix::{Client, RoomVersion};
use maypole_core::ids::RoomId;
use serde_json::json;

use super::cast::{Stage, catches_up, hears, service_joins, within};
use super::told::{one_story, told};
use crate::proxy::Proxy;

const USERS: usize = 8;
const DEVICES: usize = 8;

/// A group in which every device of every user has a leaf.
async fn crowd(stage: &Stage) -> (RoomId, Vec<Client>) {
    let name = |user: usize| format!("user{user}");
    let mut firsts = Vec::new();
    let mut others = Vec::new();
    for user in 0..USERS {
        firsts.push(stage.user(&name(user), "D0", 1).await);
        for device in 1..DEVICES {
            others.push(stage.device(&name(user), &format!("D{device}"), 1).await);
        }
    }
    let mut founder = firsts.remove(0);
    let room = within("a room", founder.create_room(RoomVersion::V12, "hall")).await;
    service_joins(&founder, &room).await;
    within("a group", founder.register_group(&room)).await;
    for user in 0..USERS {
        let user = format!("@{}:{}", name(user), stage.house.synapse.server_name());
        within("a commit", founder.invite(&room, &user)).await;
        within("its answer", founder.settle(&room)).await;
    }
    for first in &mut firsts {
        within("an invitation", first.next_invite()).await;
        within("somebody in the room", first.join_room(&room)).await;
    }
    let mut all = vec![founder];
    all.extend(firsts);
    all.extend(others);
    all_reach(&mut all, &room, USERS as u64).await;
    (room, all)
}

/// Waits until all are in an epoch. They share two cores, and each checks the published keys of all others.
async fn all_reach(all: &mut [Client], room: &RoomId, epoch: u64) {
    let reaching = join_all(all.iter_mut().map(|client| catches_up(client, room, epoch)));
    let reached = tokio::time::timeout(Duration::from_mins(6), reaching).await;
    reached.expect("all of them reach it").into_iter().collect::<Result<(), _>>().unwrap();
}

/// One device was told that its commit made an epoch, and each other, at the first refusal that it got, whose did.
fn one_wins(proxy: &Proxy, room: &RoomId, epoch: u64) {
    let (mut winner, mut refused) = (None, BTreeMap::new());
    for (kind, device, content) in told(proxy, room) {
        match kind.as_str() {
            "commit" if content["epoch"] == epoch && content["txn_id"].is_string() => {
                let first = winner.get_or_insert_with(|| (device.clone(), content["message"].clone()));
                assert_eq!(first.0, device, "two winners");
            }
            "rejected" => drop(refused.entry(device).or_insert(content)),
            _ => {}
        }
    }
    let (winner, commit) = winner.unwrap();
    assert_eq!(refused.len(), USERS * DEVICES - 1, "{:?}", refused.keys());
    assert!(!refused.contains_key(&winner));
    for (device, content) in refused {
        assert_eq!(content["errcode"], "M_MLS_STALE_EPOCH", "{device}");
        assert_eq!(
            (&content["commits"][0]["epoch"], &content["commits"][0]["message"]),
            (&json!(epoch), &commit)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_commits_of_one_epoch_one_wins_and_all_go_on() {
    let (stage, proxy) = Stage::open_behind_proxy().await;
    let (room, mut all) = crowd(&stage).await;
    assert_eq!(all.len(), USERS * DEVICES);
    let epoch = all[0].device().epoch(&room).unwrap().get();
    assert!(all.iter().all(|client| client.device().members(&room).len() == USERS * DEVICES));

    for made in join_all(all.iter_mut().map(|client| client.update(&room))).await {
        made.unwrap();
    }
    // They take turns by themselves until each has made its update, or has tried as often as a client does.
    let going = join_all(all.iter_mut().map(async |client| {
        while client.device().is_waiting(&room) {
            within("its turn", client.sync(Duration::from_secs(2))).await;
        }
        client.device().epoch(&room).unwrap().get()
    }));
    let going = tokio::time::timeout(Duration::from_mins(5), going).await.expect("nobody waits for ever");
    let last = going.into_iter().max().unwrap();
    assert!(last >= epoch + 16, "{last}");
    all_reach(&mut all, &room, last).await;
    one_wins(&proxy, &room, epoch + 1);
    assert_eq!(one_story(&proxy, &room), last);
    let authenticator = all[0].device().epoch_authenticator(&room);
    assert!(all.iter().all(|client| client.device().epoch_authenticator(&room) == authenticator));
    within("a text", all[5].say(&room, "after all")).await;
    hears(&mut all[60], "after all").await;
    stage.house.stop().await.unwrap();
}
