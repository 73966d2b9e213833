//! A store that is as far as was noted, ahead, or behind; and homeservers that do not say.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use maypole_core::batch::{BackendError, Batch, Op};
use maypole_core::directory::Handed;
use maypole_core::ids::OwedId;
use maypole_core::memory::Memory;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::homeserver::tests::facing;
use crate::homeserver::tests::faulty::{Faulty, Reply};
use crate::storage::conformance::directory::{Maker, claim, shelve};
use crate::storage::conformance::samples::{
    batch, frozen, group, head, key_package, message, reference, staged, user,
};
use crate::storage::forward::forward_questions;
use crate::storage::sled::Store;

const NOTHING: &str = r#"{"errcode":"M_NOT_FOUND","error":"No."}"#;

/// A store with two groups, a message and a staged command, a KeyPackage: its progress is 2, 0, 0.
async fn ledger() -> (TempDir, Store, Ledger<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    store.apply(batch(Vec::new(), contents())).await.unwrap();
    (folder, store.clone(), Ledger::new(store))
}

fn contents() -> Vec<Op> {
    let mut ops = vec![Op::Bind(user("_mls_ds")), Op::Receive(message(0, 9)), Op::Receive(message(1, 9))];
    ops.extend([1, 2].map(|number| Op::SetHead(head(number, 3, 9))));
    ops.extend([Op::Stage(staged(1, 1, 9)), Op::Freeze(group(2), frozen(7, 9))]);
    ops.push(Op::Shelve(key_package("bob", 0, 50, 100)));
    ops
}

async fn noted(inbox: u64, owed: u64, issued: u64) -> (Faulty, Homeserver) {
    let note = json!({"inbox": inbox, "owed": owed, "issued": issued});
    facing(Reply::json(200, &note.to_string())).await
}

/// What was written last.
fn written(faulty: &Faulty) -> Option<serde_json::Value> {
    let requests = faulty.requests();
    let put = requests.iter().rev().find(|request| request.starts_with("PUT "))?;
    serde_json::from_str(put.split("\r\n\r\n").nth(1)?).ok()
}

async fn is_as_it_was(store: &Store) -> bool {
    store.frozen(&group(1)).await.unwrap().is_none()
        && store.staged(&group(1)).await.unwrap().is_some()
        && store.inbox(None, 9).await.unwrap().len() == 2
        && store.any_stocked(9).await.unwrap() == [reference(0)]
}

#[test]
fn the_words_by_which_frozen_groups_are_found_again_are_those_of_every_version() {
    let words = "the service's store was restored from a backup, and this group may have gone on since that was made: its \
                 operator will look into it";
    assert_eq!(IN_DOUBT, words);
    assert_eq!(in_doubt(Timestamp::from_millis(7)).unwrap().reason.as_str(), words);
}

#[test]
fn a_note_comes_back_and_what_cannot_be_one_is_none() {
    let progress = Progress { inbox: 7, owed: LARGEST - 1, issued: 0 };
    assert_eq!(progress_of(&note_of(progress)), Some(progress));
    for odd in [
        json!({}),
        json!({"inbox": 1, "owed": 2}),
        json!({"inbox": 1, "owed": 2, "issued": -1}),
        json!({"inbox": 1, "owed": 2, "issued": "3"}),
        json!({"inbox": 1, "owed": 2, "issued": 1.5}),
        json!({"inbox": 1, "owed": LARGEST, "issued": 3}),
    ] {
        assert_eq!(progress_of(odd.as_object().unwrap()), None, "{odd}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_behind_stays_as_it_is_and_is_noted() {
    for note in [(2, 0, 0), (1, 0, 0), (0, 0, 0), (2, 7, 0)] {
        let (_folder, store, ledger) = ledger().await;
        let (faulty, homeserver) = noted(note.0, note.1, note.2).await;
        check(&ledger, &homeserver, 2).await.unwrap();
        assert!(is_as_it_was(&store).await, "{note:?}");
        assert_eq!(written(&faulty), Some(json!({"inbox": 2, "owed": 0, "issued": 0})));
    }
    let (_folder, store, ledger) = ledger().await;
    let (faulty, homeserver) = facing(Reply::json(404, NOTHING)).await;
    check(&ledger, &homeserver, 2).await.unwrap();
    assert!(is_as_it_was(&store).await);
    assert!(
        faulty.lines().iter().any(|line| line.contains("/user/@:localhost/account_data/")),
        "{:?}",
        faulty.lines()
    );
}

/// What no store can know: a KeyPackage that came and was handed out after the copy was made. Its device must not offer it again;
/// if it does, it is taken for a new one (docs/adr/0011-copies-of-the-store.md).
#[tokio::test]
async fn a_key_package_that_came_and_went_after_the_copy_is_unknown() {
    const BOB: &str = "@bob:b.org/LAPTOP";
    let offered = Maker::new().some(BOB, 2);
    let (_folder, _, ledger) = ledger().await;
    // The store that was lost handed out the first one.
    let (_lost, _, before) = self::ledger().await;
    shelve(&before, BOB, &offered[..1]).await.unwrap();
    assert!(matches!(claim(&before, BOB, 7).await, Handed::Success(_)));
    assert!(shelve(&before, BOB, &offered[..1]).await.is_err(), "it was handed out");

    let (_faulty, homeserver) = noted(2, 0, 1).await;
    check(&ledger, &homeserver, 2).await.unwrap();
    shelve(&ledger, BOB, &offered[1..]).await.unwrap();
    shelve(&ledger, BOB, &offered[..1]).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_behind_goes_on_with_nothing_that_may_have_been_decided_otherwise() {
    for note in [(3, 0, 0), (2, 0, 1)] {
        let (_folder, store, ledger) = ledger().await;
        let (faulty, homeserver) = noted(note.0, note.1, note.2).await;
        check(&ledger, &homeserver, 2).await.unwrap();
        assert_eq!(store.frozen(&group(1)).await.unwrap().unwrap().reason.to_string(), IN_DOUBT);
        assert_eq!(store.frozen(&group(2)).await.unwrap(), Some(frozen(7, 9)), "its operator's reason stays");
        assert!(store.staged(&group(1)).await.unwrap().is_none());
        assert!(store.inbox(None, 9).await.unwrap().is_empty());
        assert_eq!(store.set_aside(9).await.unwrap().len(), 2);
        assert!(store.any_stocked(9).await.unwrap().is_empty());
        let beyond = store.progress().await.unwrap();
        assert!(!beyond.is_behind(&Progress { inbox: note.0, owed: note.1, issued: note.2 }));
        assert_eq!(written(&faulty), Some(serde_json::Value::Object(note_of(beyond))));
        // Again, as after a crash before it was noted, it is behind no more: what came since stays.
        store
            .apply(batch(Vec::new(), vec![Op::Receive(message(3, 9)), Op::Unfreeze(group(1))]))
            .await
            .unwrap();
        check(&ledger, &homeserver, 2).await.unwrap();
        assert_eq!(store.inbox(None, 9).await.unwrap().len(), 1);
        assert!(store.frozen(&group(1)).await.unwrap().is_none());
    }
}

/// Of two processes that find it at once, the later one leaves alone what the first has taken in meanwhile.
#[tokio::test]
async fn what_came_after_the_start_stays() {
    let (_folder, store, ledger) = ledger().await;
    let reached = Progress { inbox: 5, owed: 5, issued: 5 };
    let reason = frozen(9, 9);
    ledger.recover(2, reached, &reason, clock::now()).await.unwrap();
    store.apply(batch(Vec::new(), vec![Op::Receive(message(3, 9))])).await.unwrap();
    let again = ledger.recover(2, reached, &reason, clock::now()).await.unwrap();
    assert_eq!((again.frozen, again.set_aside, again.key_packages), (0, 0, 0));
    assert_eq!(store.inbox(None, 9).await.unwrap().len(), 1);
}

/// A store whose n-th write fails, and all after it.
struct Failing {
    store: Memory,
    left: AtomicUsize,
}

macro_rules! through {
    ($failing:expr, $inside:ident => $does:expr) => {{
        let $inside = &$failing.store;
        $does
    }};
}

impl Backend for Failing {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        let left = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        left.map_err(|_| BackendError::Unavailable("so it was asked for".to_owned()))?;
        self.store.apply(batch).await
    }

    forward_questions!(through);
}

/// Whatever told that the store is behind, it is found behind until all is done.
#[tokio::test]
async fn wherever_it_breaks_off_it_is_done_again() {
    for noted_progress in [(9, 0, 0), (2, 0, 1)] {
        let mut writes = 0;
        loop {
            let store = Memory::default();
            store.apply(batch(Vec::new(), contents())).await.unwrap();
            let more = (10..100).map(|number| Op::Shelve(key_package("bob", number, 50, 10))).collect();
            store.apply(batch(Vec::new(), more)).await.unwrap();
            let (_faulty, homeserver) = noted(noted_progress.0, noted_progress.1, noted_progress.2).await;
            let breaking = Ledger::new(Failing { store: store.clone(), left: AtomicUsize::new(writes) });
            let broken = check(&breaking, &homeserver, 2).await;
            let ledger = Ledger::new(store.clone());
            check(&ledger, &homeserver, 2).await.unwrap();
            assert_eq!(store.frozen(&group(1)).await.unwrap().unwrap().reason.to_string(), IN_DOUBT);
            assert!(store.any_stocked(9).await.unwrap().is_empty(), "after {writes} writes");
            assert!(store.inbox(None, 9).await.unwrap().is_empty(), "after {writes} writes");
            let beyond = store.progress().await.unwrap();
            assert!(beyond.inbox >= limits::NUMBERS_SKIPPED && beyond.owed >= limits::NUMBERS_SKIPPED);
            if broken.is_ok() {
                break;
            }
            writes += 1;
        }
        assert!(writes > 4, "{writes}");
    }
}

#[tokio::test]
async fn a_homeserver_that_keeps_no_notes_is_worked_with_and_nothing_is_written_over_what_it_has() {
    for reply in [
        Reply::json(403, r#"{"errcode":"M_FORBIDDEN","error":"No."}"#),
        Reply::json(404, r#"{"errcode":"M_UNRECOGNIZED","error":"No."}"#),
        Reply::json(200, r#"{"inbox": "a lot"}"#),
        Reply::json(200, "{}"),
    ] {
        let (_folder, store, ledger) = ledger().await;
        let (faulty, homeserver) = facing(reply).await;
        let mut mark = check(&ledger, &homeserver, 2).await.unwrap();
        assert!(is_as_it_was(&store).await);
        store.apply(batch(Vec::new(), vec![Op::Receive(message(3, 9))])).await.unwrap();
        look(&ledger, &homeserver, &mut mark, true).await.unwrap();
        assert_eq!(written(&faulty), None);
    }
}

#[tokio::test]
async fn only_what_is_new_is_noted_by_whoever_is_to() {
    let (_folder, store, ledger) = ledger().await;
    let (faulty, homeserver) = noted(0, 0, 0).await;
    let mut mark = Mark { reached: Progress::default(), is_kept: true };
    look(&ledger, &homeserver, &mut mark, true).await.unwrap();
    assert_eq!(written(&faulty), Some(json!({"inbox": 2, "owed": 0, "issued": 0})));
    let asked = faulty.lines().len();
    look(&ledger, &homeserver, &mut mark, true).await.unwrap();
    assert_eq!(faulty.lines().len(), asked, "it is noted already");
    store.apply(batch(Vec::new(), vec![Op::Receive(message(3, 9))])).await.unwrap();
    look(&ledger, &homeserver, &mut mark, false).await.unwrap();
    assert_eq!(faulty.lines().len(), asked, "another process notes it");
}

#[tokio::test]
async fn a_store_that_goes_back_under_the_service_ends_it() {
    let (_folder, _, ledger) = ledger().await;
    let further = Mark { reached: Progress { inbox: 3, ..Progress::default() }, is_kept: true };
    for notes in [true, false] {
        let (faulty, homeserver) = noted(0, 0, 0).await;
        let ended = look(&ledger, &homeserver, &mut further.clone(), notes).await;
        assert!(matches!(ended, Err(ServiceError::WentBack)));
        assert_eq!(written(&faulty), None);
    }
    // So does one beside which another has gone further.
    let (faulty, homeserver) = noted(7, 0, 0).await;
    let mut mark = Mark { reached: Progress::default(), is_kept: true };
    assert!(matches!(look(&ledger, &homeserver, &mut mark, true).await, Err(ServiceError::WentBack)));
    assert_eq!(written(&faulty), None);
}
