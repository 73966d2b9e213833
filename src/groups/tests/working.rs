//! Only so much of groups is at work side by side, and none of it is what waits for the homeserver.

use std::sync::Arc;

use maypole_core::batch::{Backend as _, Batch, Op};
use maypole_core::group::Head;
use maypole_core::ids::GroupId;
use maypole_core::ledger::Ledger;
use maypole_core::records::InboxItem;
use maypole_testkit::wait::eventually;
use serde_json::json;

use super::forged::snapshot;
use super::{BOUND, asked, codes, commit_of, message, receive, work_during, worker};
use crate::homeserver::tests::adapter_with;
use crate::homeserver::tests::faulty::{Faulty, Reply};
use crate::storage::conformance::samples::{epoch, head};
use crate::storage::sled::Store;

/// A question for the epoch in which a group is.
fn request(sender: &str, room: &str) -> InboxItem {
    asked(sender, &json!({"device_id": "D", "request_id": "r", "room_id": room, "want": "group_info"}))
}

#[tokio::test]
async fn a_group_that_waits_for_the_homeserver_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    for room in ["!a:a.org", "!b:a.org"] {
        let group = GroupId::parse(room).unwrap();
        let head = Head { group: group.clone(), snapshot_epoch: epoch(1), ..head(1, 1, 10) };
        let ops = vec![Op::SetHead(head), Op::PutSnapshot(group, snapshot(room, 2))];
        store.apply(Batch { name: "test", expect: Vec::new(), ops }).await.unwrap();
    }
    let ledger = Arc::new(Ledger::new(store));
    // Whether bob may know it is asked of the room, which says nothing; alice's commit is refused by the group alone.
    let commit = commit_of("!b:a.org", 1);
    receive(&ledger, vec![vec![request("bob", "!a:a.org")], vec![message("alice", &commit)]]).await;
    let silent = Faulty::serve(vec![Reply::Stall(Vec::new())]).await;
    let homeserver = adapter_with(&silent.url(), |settings| settings.bounds.request = 2 * BOUND);
    // Every group takes all the room there is.
    let (worker, lanes) = worker(homeserver, &ledger, folder.path(), 1);
    let answered = async {
        let asked = || async { Ok((!silent.requests().is_empty()).then_some(())) };
        let one_left = || async { Ok((ledger.depths().await?.inbox == 1).then_some(())) };
        eventually(BOUND, "the homeserver to be asked", asked).await.unwrap();
        eventually(BOUND, "the other group's answer", one_left).await.unwrap();
    };
    work_during(&worker, answered).await;
    assert_eq!(codes(&ledger).await["@alice:a.org"].len(), 1);
    assert_eq!(ledger.inbox(None, 9).await.unwrap()[0].item.sender().as_str(), "@bob:a.org");
    drop(lanes);
}

#[tokio::test]
async fn where_there_is_no_room_everybody_waits_and_then_all_are_answered() {
    const GROUPS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::new(Store::open(&folder.path().join("store")).unwrap()));
    let commits = (0..GROUPS).map(|n| message("alice", &commit_of(&format!("!room{n}:a.org"), n)));
    receive(&ledger, vec![commits.collect()]).await;
    let homeserver = adapter_with("http://127.0.0.1:1", |_| {});
    let (worker, lanes) = worker(homeserver, &ledger, folder.path(), 8);
    let large = lanes.turn().places.of(usize::MAX);
    large.enter().await;
    let answered = async {
        let rooms = || async { Ok((lanes.open() == GROUPS).then_some(())) };
        eventually(BOUND, "all lanes to be open", rooms).await.unwrap();
        // What did not wait would be answered in far less time than so many looks at the store take.
        for _ in 0..10 * GROUPS {
            assert_eq!(ledger.depths().await.unwrap().inbox, GROUPS as u64);
        }
        large.leave();
        let none_left = || async { Ok((ledger.depths().await?.inbox == 0).then_some(())) };
        eventually(BOUND, "all to be answered", none_left).await.unwrap();
    };
    work_during(&worker, answered).await;
    assert_eq!(codes(&ledger).await["@alice:a.org"], ["M_MLS_UNKNOWN_GROUP"; GROUPS]);
}
