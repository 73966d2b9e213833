//! `m.mls.request`: who may know what, and how a device comes back that was away for long.

use maypole_client::device::Event;
use maypole_client::matrix::RoomVersion;
use maypole_room::bytes::decode;
use serde_json::{Value, json};

use super::cast::{Stage, event, hears, service_joins, within};
use super::hall::Hall;
use super::outlaw::Outlaw;
use super::told::{one_story, told};

/// Commits that a device misses: more than fit into one answer.
const MISSED: u64 = 70;

#[tokio::test]
async fn who_may_not_know_is_told_so() {
    let hall = Hall::open().await;
    let before = hall.explained();
    let mut carol = Outlaw::new(&hall.house, "carol", "TABLET").await;
    let mut desktop = Outlaw::of(hall.bob.user.login("DESKTOP").await.unwrap());
    let room = hall.room.clone();
    let group_info = json!({"room_id": room, "want": "group_info"});
    let commits = json!({"room_id": room, "want": "commits", "from_epoch": 0});
    for (joined, asked, errcode) in [
        (false, group_info.clone(), "M_MLS_NOT_JOINED"),
        (false, commits.clone(), "M_FORBIDDEN"),
        (true, commits.clone(), "M_FORBIDDEN"),
        (true, json!({"room_id": room, "want": "commits"}), "M_BAD_JSON"),
        (true, json!({"room_id": room, "want": "commits", "from_epoch": -1}), "M_BAD_JSON"),
        (true, json!({"want": "group_info"}), "M_BAD_JSON"),
        (true, json!({"room_id": room, "want": "secrets"}), "M_MLS_UNSUPPORTED"),
        (true, json!({"room_id": "!other:maypole.test", "want": "group_info"}), "M_MLS_UNKNOWN_GROUP"),
    ] {
        let asker = if joined { &mut desktop } else { &mut carol };
        let answer = asker.request(asked.clone()).await;
        assert_eq!(answer["errcode"], errcode, "{asked}: {answer}");
        assert!(answer.get("commits").is_none() && answer.get("group_info").is_none(), "{answer}");
    }
    let answer = desktop.request(group_info).await;
    assert_eq!((&answer["epoch"], &answer["errcode"]), (&1.into(), &Value::Null), "{answer}");
    assert_eq!(hall.explained(), before);
    hall.house.stop().await.unwrap();
}

#[tokio::test]
async fn a_device_that_missed_commits_gets_them_page_by_page() {
    let mut hall = Hall::open().await;
    for epoch in 2..2 + MISSED {
        let commit = hall.alice.member.update().unwrap();
        assert_eq!(hall.alice.commit(&commit).await["content"]["epoch"], epoch);
        hall.alice.member.merge().unwrap();
    }
    // bob was in epoch 1; nothing of before that, and of his own joining, is his to see.
    for before_him in 0..2 {
        let asked = json!({"room_id": hall.room, "want": "commits", "from_epoch": before_him});
        assert_eq!(hall.bob.request(asked).await["commits"][0]["epoch"], 2);
    }
    let (mut pages, mut more) = (0, true);
    while more {
        let from = hall.bob.member.epoch().unwrap();
        let asked = json!({"room_id": hall.room, "want": "commits", "from_epoch": from});
        let page = hall.bob.request(asked).await;
        assert!(page.to_string().len() <= 60_000);
        assert_eq!(
            (&page["from_epoch"], &page["current_epoch"]),
            (&from.into(), &(MISSED + 1).into()),
            "{page}"
        );
        for commit in page["commits"].as_array().unwrap() {
            hall.bob.member.hear(&decode(commit["message"].as_str().unwrap()).unwrap()).unwrap();
            assert_eq!(commit["epoch"], hall.bob.member.epoch().unwrap());
            assert!(commit["txn_id"].is_null(), "the committer's own name is for it alone");
        }
        more = page["more"] == true;
        pages += 1;
    }
    assert!(pages > 1, "{pages} page");
    assert_eq!(
        hall.bob.member.epoch_authenticator().unwrap(),
        hall.alice.member.epoch_authenticator().unwrap()
    );
    // Who is up to date, or ahead, gets an empty page.
    for from in [MISSED + 1, MISSED + 2, 1 << 52] {
        let asked = json!({"room_id": hall.room, "want": "commits", "from_epoch": from});
        let page = hall.bob.request(asked).await;
        assert_eq!((&page["commits"], &page["more"]), (&json!([]), &json!(false)), "{page}");
    }
    hall.house.stop().await.unwrap();
}

/// A tree, a commit and Welcomes that are too large for an event go by way of the media repository, as the service's own.
#[tokio::test]
async fn what_is_large_goes_as_a_blob() {
    const DEVICES: usize = 80;
    let (stage, proxy) = Stage::open_behind_proxy().await;
    let mut alice = stage.user("alice", "PHONE", 1).await;
    let mut last = stage.device("alice", "DEVICE0", 1).await;
    for number in 1..DEVICES {
        last = stage.device("alice", &format!("DEVICE{number}"), 1).await;
    }
    let room = within("a room", alice.create_room(RoomVersion::V12, "hall")).await;
    service_joins(&alice, &room).await;
    within("a group", alice.register_group(&room)).await;
    let me = alice.device().me().user.to_string();
    within("all devices", alice.invite(&room, &me)).await;
    within("them to be accepted", alice.settle(&room)).await;
    event(&mut last, "a Welcome", |event| matches!(event, Event::Joined { .. })).await;

    let mut laptop = stage.device("alice", "LAPTOP", 1).await;
    within("a device from outside", laptop.join_from_outside(&room)).await;
    within("a text", laptop.say(&room, "from far")).await;
    hears(&mut last, "from far").await;
    hears(&mut alice, "from far").await;
    assert_eq!(laptop.device().members(&room).len(), DEVICES + 2);
    assert_eq!(one_story(&proxy, &room), 2);
    let mut blobs = 0;
    for (kind, _, content) in told(&proxy, &room) {
        let large = match kind.as_str() {
            "welcome" | "response" => &content["ratchet_tree"],
            "commit" if content["epoch"] == 1 => &content["message"],
            _ => continue,
        };
        let mxc = large["mxc"].as_str().unwrap_or_default();
        assert!(mxc.starts_with("mxc://maypole.test/"), "{kind}: {large}");
        blobs += 1;
    }
    assert_eq!(blobs, DEVICES + 2, "each Welcome, the first commit, and the answer to who came from outside");
    stage.house.stop().await.unwrap();
}
