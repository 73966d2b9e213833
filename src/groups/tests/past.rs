//! Trees of epochs that have passed: who gets one, what everybody else is told, and that a damaged one hurts nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::batch::{Backend as _, Batch, Op};
use maypole_core::group::{Entry, Head, Restoring};
use maypole_core::ids::{ClientId, DeviceId, GroupId, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::records::{Delivery, InboxItem, Incoming};
use maypole_room::bytes::encode;
use serde_json::{Value, json};

use super::forged::snapshot_of;
use super::{commit_of, message, receive, work_until};
use crate::clock;
use crate::storage::conformance::samples::{entry, epoch, head};
use crate::storage::sled::Store;

/// The group of the samples.
const ROOM: &str = "!room1:a.org";

/// What a device is told that did not come with the epoch whose tree it wants.
const NOT_ITS_FIRST: &str = "the tree of a past epoch is for the devices that came in with it; \
                             who has lost its state joins again from outside";

/// A question for the tree of an epoch.
#[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
fn request(sender: &str, epoch: u64) -> InboxItem {
    let caller = Authenticated::by(AuthToken::make(), UserId::parse(format!("@{sender}:a.org")).unwrap());
    let name = format!("{sender} {epoch}");
    let content = json!({"device_id": "D", "request_id": name, "room_id": ROOM, "want": "ratchet_tree", "epoch": epoch});
    let content = content.to_string().into_bytes();
    InboxItem::new(caller, clock::now(), Incoming::ToDevice { kind: "m.mls.request".into(), content })
}

/// A device of the group.
fn member(name: &str) -> ClientId {
    ClientId { user: UserId::parse(format!("@{name}:a.org")).unwrap(), device: DeviceId::parse("D").unwrap() }
}

/// What is owed, by the request that it answers.
async fn answers(ledger: &Ledger<Store>) -> BTreeMap<String, Value> {
    let rows = ledger.owed(None, 100).await.unwrap();
    let contents = rows.iter().map(|row| {
        let Delivery::ToDevice { content, .. } = &row.get().owed.delivery;
        let content: Value = serde_json::from_slice(content).unwrap();
        (content["request_id"].as_str().unwrap_or("commit").to_owned(), content)
    });
    contents.collect()
}

#[tokio::test]
async fn each_is_told_what_it_may_know_and_the_group_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    // Two members in epoch 1, three in epoch 3. What the log says of epoch 2 leads nowhere.
    let trees = [snapshot_of(ROOM, 2, 1), snapshot_of(ROOM, 3, 3)];
    let id = GroupId::parse(ROOM).unwrap();
    let mut ops = vec![Op::SetHead(Head { snapshot_epoch: epoch(3), ..head(1, 3, 10) })];
    // The first member came with epochs 1 and 2, the third with epoch 1, in which it has no leaf.
    for (at, came) in
        [(1, vec![member("user0"), member("user2")]), (2, vec![member("user0")]), (3, Vec::new())]
    {
        ops.push(Op::Append(id.clone(), Entry { joined: came, ..entry(at, 100) }));
    }
    ops.extend(trees.iter().map(|tree| Op::PutSnapshot(id.clone(), tree.clone())));
    store.apply(Batch { name: "test", expect: Vec::new(), ops }).await.unwrap();
    let ledger = Arc::new(Ledger::new(store));
    let asked = [
        ("mallory", 1),
        ("mallory", 3),
        ("user1", 1),
        ("user1", 2),
        ("user2", 1),
        ("user0", 4),
        ("user0", 0),
        ("user0", 2),
        ("user0", 1),
        ("user1", 3),
    ];
    let requests = asked.iter().map(|(sender, epoch)| request(sender, *epoch)).collect();
    let commit = message("mallory", &commit_of(ROOM, 1));
    receive(&ledger, vec![requests, vec![commit]]).await;
    work_until(&ledger, folder.path(), 0).await;

    let told = answers(&ledger).await;
    for (name, errcode, key, value) in [
        ("mallory 1", "M_FORBIDDEN", "want", json!("ratchet_tree")),
        ("mallory 3", "M_FORBIDDEN", "want", json!("ratchet_tree")),
        ("user1 1", "M_FORBIDDEN", "error", json!(NOT_ITS_FIRST)),
        ("user1 2", "M_FORBIDDEN", "error", json!(NOT_ITS_FIRST)),
        ("user2 1", "M_FORBIDDEN", "error", json!(NOT_ITS_FIRST)),
        ("user0 4", "M_MLS_EPOCH_AHEAD", "current_epoch", json!(3)),
        ("user0 0", "M_MLS_EPOCH_GONE", "oldest_epoch", json!(1)),
        ("user0 2", "M_MLS_UNAVAILABLE", "users", json!([])),
    ] {
        let content = &told[name];
        assert_eq!((&content["errcode"], &content[key]), (&json!(errcode), &value), "{name}: {content}");
        assert!(content["advice"].is_string() && content.get("ratchet_tree").is_none(), "{name}: {content}");
    }
    for ((name, at), tree) in [("user0 1", 1), ("user1 3", 3)].into_iter().zip(&trees) {
        let tree = Restoring::begin(tree).unwrap().ratchet_tree();
        let expected = json!({
            "want": "ratchet_tree", "request_id": name, "room_id": ROOM, "group_id": encode(ROOM.as_bytes()),
            "epoch": at, "ratchet_tree": encode(&tree),
        });
        assert_eq!(told[name], expected);
    }
    // Commands are judged as ever.
    assert_eq!(told["commit"]["errcode"], "M_MLS_NOT_JOINED", "{}", told["commit"]);
    assert_eq!((told.len(), ledger.frozen(&id).await.unwrap()), (asked.len() + 1, None));
    assert_eq!(ledger.head(&id).await.unwrap().unwrap().epoch, epoch(3));
}

/// Each may have to be brought back from the store.
#[tokio::test]
async fn who_asks_for_too_many_is_told_so_and_others_get_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let id = GroupId::parse(ROOM).unwrap();
    let tree = Op::PutSnapshot(id.clone(), snapshot_of(ROOM, 2, 3));
    let ops = vec![Op::SetHead(Head { snapshot_epoch: epoch(3), ..head(1, 3, 10) }), tree];
    store.apply(Batch { name: "test", expect: Vec::new(), ops }).await.unwrap();
    let ledger = Arc::new(Ledger::new(store));
    let burst = usize::try_from(limits::SENDER_BURST_TREES).unwrap();
    let flood = (0..burst + 100).map(|_| request("user0", 3)).collect();
    receive(&ledger, vec![flood, vec![request("user1", 3)]]).await;
    work_until(&ledger, folder.path(), 0).await;
    let rows = ledger.owed(None, 1_000).await.unwrap();
    let contents = rows.iter().map(|row| {
        let Delivery::ToDevice { content, .. } = &row.get().owed.delivery;
        serde_json::from_slice::<Value>(content).unwrap()
    });
    let (trees, refused): (Vec<_>, Vec<_>) = contents.partition(|content| content["errcode"].is_null());
    assert_eq!(trees.iter().filter(|content| content["request_id"] == "user1 3").count(), 1);
    assert!(trees.len() > burst && trees.len() < burst + 50, "{}", trees.len());
    assert!(!refused.is_empty() && refused.len() < 50, "told now and then: {}", refused.len());
    assert!(refused.iter().all(|content| content["errcode"] == "M_LIMIT_EXCEEDED"), "{refused:?}");
}
