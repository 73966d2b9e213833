//! Thousands of commands wait in one group, behind something that does not end: the others do not notice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use maypole_core::batch::{Backend, BackendError, Batch, Expect};
use maypole_core::ids::{GroupId, OwedId, Sha256, SyncToken};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};

use super::{
    BOUND, codes, commit_of, count, message, receive, work_during, work_until, work_until_with, worker,
};
use crate::homeserver::tests::adapter_with;
use crate::homeserver::tests::faulty::{Faulty, Reply};
use crate::storage::forward::forward_questions;
use crate::storage::sled::Store;

const CROWDED: &str = "!crowded:a.org";

/// A store that never ends a write that rests on one group, and counts how often others are waited for.
struct Endless {
    store: Store,
    group: GroupId,
    under_way: AtomicUsize,
    /// How often a write began while no other one was under way.
    rounds: Arc<AtomicUsize>,
}

macro_rules! within {
    ($this:expr, $store:ident => $asked:expr) => {{
        let $store = &$this.store;
        $asked
    }};
}

impl Backend for Endless {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        let rests = |expect: &Expect| matches!(expect, Expect::GroupAt(group, _) if *group == self.group);
        if batch.expect.iter().any(rests) {
            std::future::pending::<()>().await;
        }
        if self.under_way.fetch_add(1, Ordering::SeqCst) == 0 {
            self.rounds.fetch_add(1, Ordering::SeqCst);
        }
        let applied = self.store.apply(batch).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        applied
    }

    forward_questions!(within);
}

/// A store in a folder of which the crowded group's writes never end.
fn endless(folder: &std::path::Path) -> (Endless, Arc<AtomicUsize>) {
    let rounds = Arc::new(AtomicUsize::new(0));
    let store = Store::open(&folder.join("store")).unwrap();
    let group = GroupId::parse(CROWDED).unwrap();
    (Endless { store, group, under_way: AtomicUsize::new(0), rounds: rounds.clone() }, rounds)
}

#[tokio::test]
async fn a_group_that_does_not_move_slows_no_other() {
    const CROWD: usize = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let (store, rounds) = endless(folder.path());
    let ledger = Arc::new(Ledger::new(store));
    // So many accounts that none of them sends too fast.
    let crowd: Vec<_> =
        (0..CROWD).map(|n| message(&format!("mallory{}", n % 10), &commit_of(CROWDED, n))).collect();
    let others: Vec<_> =
        (0..5).map(|n| message("alice", &commit_of(&format!("!room{n}:a.org"), n))).collect();
    receive(&ledger, vec![crowd, others]).await;
    // One is being done, and a lane is full: these stay.
    let stay = 1 + limits::LANE_ROWS;
    let before = rounds.load(Ordering::SeqCst);
    work_until(&ledger, folder.path(), u64::try_from(stay).unwrap()).await;
    let rounds = rounds.load(Ordering::SeqCst) - before;
    let codes = codes(&ledger).await;
    assert_eq!(codes["@alice:a.org"], ["M_MLS_UNKNOWN_GROUP"; 5]);
    let told: usize = codes.values().map(|codes| count(codes, "M_LIMIT_EXCEEDED")).sum();
    assert_eq!(told, CROWD - stay);
    let left: HashSet<_> = ledger.inbox(None, CROWD).await.unwrap().iter().map(|row| row.seq.get()).collect();
    assert_eq!(left, (0..u64::try_from(stay).unwrap()).collect(), "who came first waits");
    // A page takes one round; one by one it would be as many as were told.
    let pages = CROWD / limits::INBOX_PAGE;
    assert!(rounds <= 2 * pages + 5, "{rounds} rounds for {pages} pages");
}

#[tokio::test]
async fn one_account_does_not_fill_a_lane() {
    const CROWD: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = endless(folder.path());
    let ledger = Arc::new(Ledger::new(store));
    receive(&ledger, vec![vec![message("mallory", &commit_of(CROWDED, 0))]]).await;
    let homeserver = adapter_with("http://127.0.0.1:1", |_| {});
    let (worker, lanes) = worker(homeserver, &ledger, folder.path(), limits::GROUPS_AT_WORK_KIB);
    let group = GroupId::parse(CROWDED).unwrap();
    let crowd = async {
        let begun = || async { Ok((lanes.open() == 1 && lanes.waiting(&group) == 0).then_some(())) };
        eventually(BOUND, "the first to be at work", begun).await.unwrap();
        let crowd = (1..=CROWD).map(|n| message("mallory", &commit_of(CROWDED, n)));
        let crowd = crowd.chain([message("bob", &commit_of(CROWDED, CROWD + 1))]);
        let token = |name: &str| SyncToken::parse(name).unwrap();
        ledger.receive(Some(&token("s0")), &token("s1"), crowd.collect(), Vec::new()).await.unwrap();
        let left = u64::try_from(1 + limits::LANE_ROWS_OF_ONE + 1).unwrap();
        let look = || async { Ok((ledger.queues().await?.inbox == left).then_some(())) };
        eventually(BOUND, "the others to be told", look).await.unwrap();
    };
    work_during(&worker, crowd).await;
    let codes = codes(&ledger).await;
    let told = (codes["@mallory:a.org"].len(), count(&codes["@mallory:a.org"], "M_LIMIT_EXCEEDED"));
    assert_eq!(told, (CROWD - limits::LANE_ROWS_OF_ONE, CROWD - limits::LANE_ROWS_OF_ONE));
    assert!(!codes.contains_key("@bob:a.org"), "bob has a place: {codes:?}");
}

#[test]
fn forty_groups_that_do_not_move_leave_the_inbox_open() {
    const { assert!(40 * (limits::LANE_ROWS + 1) + limits::INBOX_PAGE < limits::INBOX_ROWS) };
    let (rows, mib) = (limits::LANE_ROWS, limits::BLOBS_MEMORY_PER_LANE_KIB / 1_024);
    let of_one = limits::LANE_ROWS_OF_ONE;
    let told = format!("at most {rows} wait, {of_one} of one account, with blobs of at most {mib} MiB");
    assert!(include_str!("../../../docs/protocol.md").contains(&told), "{told}");
}

/// A commit whose Welcome lies in the media repository.
fn with_welcome(group: &str, n: usize, welcome: &[u8]) -> Value {
    let mut content = commit_of(group, n);
    let sha256 = maypole_room::bytes::encode(Sha256::of(welcome).as_bytes());
    let blob = json!({"mxc": "mxc://a.org/welcome", "sha256": sha256, "size": welcome.len()});
    content["commit_info"] = json!({"welcome": blob, "group_info": "AAE"});
    content
}

#[tokio::test]
async fn a_group_that_does_not_move_keeps_no_memory_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = endless(folder.path());
    let ledger = Arc::new(Ledger::new(store));
    // Four fit into a lane; ten into all the memory.
    let welcome = vec![7; limits::WELCOME_BYTES];
    let crowd = (0..12).map(|n| message(&format!("mallory{n}"), &with_welcome(CROWDED, n, &welcome)));
    let other = message("alice", &with_welcome("!other:a.org", 0, &welcome));
    receive(&ledger, vec![crowd.chain([other]).collect()]).await;
    let media = Faulty::serve(vec![Reply::full(200, "", &welcome)]).await;
    let homeserver = adapter_with(&media.url(), |settings| {
        settings.bounds.response_bytes = limits::RESPONSE_BYTES;
        settings.bounds.request = BOUND;
    });
    work_until_with(homeserver, &ledger, folder.path(), 4).await;
    let codes = codes(&ledger).await;
    assert_eq!(codes["@alice:a.org"], ["M_MLS_UNKNOWN_GROUP"]);
    let told: usize = codes.values().map(|codes| count(codes, "M_LIMIT_EXCEEDED")).sum();
    assert_eq!((told, codes.len()), (8, 9), "{codes:?}");
}
