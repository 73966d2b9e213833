//! `m.mls.request`: who may know what, and how a device comes back that was away for long.

use maypole_client::device::Event;
use maypole_client::matrix::RoomVersion;
use maypole_room::bytes::decode;
use serde_json::{Value, json};

use super::cast::{BOUND, Stage, event, hears, service_joins, within};
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
    let tree = |epoch: Value| json!({"room_id": room, "want": "ratchet_tree", "epoch": epoch});
    for (joined, asked, errcode) in [
        (false, group_info.clone(), "M_MLS_NOT_JOINED"),
        (false, commits.clone(), "M_FORBIDDEN"),
        (true, commits.clone(), "M_FORBIDDEN"),
        (true, json!({"room_id": room, "want": "commits"}), "M_BAD_JSON"),
        (true, json!({"room_id": room, "want": "commits", "from_epoch": -1}), "M_BAD_JSON"),
        (false, tree(json!(0)), "M_FORBIDDEN"),
        (true, tree(json!(1)), "M_FORBIDDEN"),
        (true, tree(json!(9)), "M_FORBIDDEN"),
        (true, tree(json!(-1)), "M_BAD_JSON"),
        (true, tree(json!("1")), "M_BAD_JSON"),
        (true, json!({"room_id": room, "want": "ratchet_tree"}), "M_BAD_JSON"),
        (true, json!({"room_id": room, "want": "ratchet_tree", "epoch": 1, "from_epoch": 1}), "M_BAD_JSON"),
        (true, json!({"want": "group_info"}), "M_BAD_JSON"),
        (true, json!({"room_id": room, "want": "secrets"}), "M_MLS_UNSUPPORTED"),
        (true, json!({"room_id": "!other:maypole.test", "want": "group_info"}), "M_MLS_UNKNOWN_GROUP"),
    ] {
        let asker = if joined { &mut desktop } else { &mut carol };
        let answer = asker.request(asked.clone()).await;
        assert_eq!(answer["errcode"], errcode, "{asked}: {answer}");
        for told in ["commits", "group_info", "ratchet_tree"] {
            assert!(answer.get(told).is_none(), "{answer}");
        }
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

/// It was added long ago, has kept its Welcome, and joins when the group is far from there.
#[tokio::test]
async fn the_tree_that_a_welcome_brought_can_be_had_later() {
    let mut hall = Hall::open().await;
    let mut desktop = Outlaw::of(hall.bob.user.login("DESKTOP").await.unwrap());
    desktop.publish(&desktop.member.signature_key()).await;
    let added = hall.alice.member.add(&[desktop.member.key_package().unwrap()]).unwrap();
    assert_eq!(hall.alice.commit(&added).await["content"]["epoch"], 2);
    hall.alice.member.merge().unwrap();
    let is_welcome = |event: &Value| event["type"] == "m.mls.welcome";
    let welcome = desktop.user.next_to_device(BOUND, is_welcome).await.unwrap()["content"].clone();
    for _ in 0..3 {
        hall.alice_updates().await;
        hall.tree_is_written_anew().await;
        hall.alice_updates().await;
    }
    let before = hall.explained();
    let tree = |epoch: u64| json!({"room_id": hall.room, "want": "ratchet_tree", "epoch": epoch});
    for (epoch, errcode) in [(0, "M_FORBIDDEN"), (1, "M_FORBIDDEN"), (9, "M_MLS_EPOCH_AHEAD")] {
        let answer = desktop.request(tree(epoch)).await;
        assert_eq!(answer["errcode"], errcode, "{answer}");
        assert!(answer.get("ratchet_tree").is_none() && answer["advice"].is_string(), "{answer}");
    }
    let answer = desktop.request(tree(2)).await;
    assert_eq!((&answer["epoch"], &answer["want"]), (&2.into(), &"ratchet_tree".into()), "{answer}");
    assert_eq!((&welcome["epoch"], &answer["ratchet_tree"]), (&2.into(), &welcome["ratchet_tree"]));
    let joined = hall.bob.request(tree(1)).await["ratchet_tree"].clone();
    assert_ne!(joined, answer["ratchet_tree"]);
    assert_eq!(hall.explained(), before);

    let bytes = |value: &Value| decode(value.as_str().unwrap()).unwrap();
    // A Welcome travels bare.
    let whole = [&[0, 1, 0, 3], &bytes(&welcome["welcome"])[..]].concat();
    desktop.member.join(&whole, &bytes(&answer["ratchet_tree"])).unwrap();
    let asked = json!({"room_id": hall.room, "want": "commits", "from_epoch": 2});
    for commit in desktop.request(asked).await["commits"].as_array().unwrap() {
        desktop.member.hear(&bytes(&commit["message"])).unwrap();
    }
    assert_eq!(desktop.member.epoch().unwrap(), 8);
    assert_eq!(
        desktop.member.epoch_authenticator().unwrap(),
        hall.alice.member.epoch_authenticator().unwrap()
    );
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
