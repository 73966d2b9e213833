use std::time::Duration;

use maypole_core::batch::{Batch, Op};
use maypole_core::group::Head;
use maypole_core::ids::Epoch;
use tempfile::TempDir;

use super::*;
use crate::storage::conformance::samples::{answer, batch, entry, epoch, group, head, key};
use crate::storage::sled::Store;

/// When every entry of these logs was accepted.
const THEN: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// A log of so many epochs, each accepted at once, with a snapshot of this epoch; the acceptance of each is remembered.
fn log(number: u64, epochs: u64, snapshot_epoch: u64) -> Vec<Batch> {
    let mut batches = Vec::new();
    for at in 0..=epochs {
        let notes = EntryNotes { answer: Some(key(at)), ..EntryNotes::default() };
        let notes = serde_json::to_vec(&notes).unwrap();
        let entry = Entry { accepted_at: THEN, notes, ..entry(at, 20) };
        let ops = vec![Op::Append(group(number), entry), Op::Remember(key(at), answer(at, 5, u64::MAX))];
        batches.push(batch(Vec::new(), ops));
    }
    let head = Head { snapshot_epoch: epoch(snapshot_epoch), ..head(number, epochs, 5) };
    batches.push(batch(Vec::new(), vec![Op::SetHead(head)]));
    batches
}

async fn ledger(folder: &TempDir, batches: Vec<Batch>) -> (Store, Ledger<Store>) {
    let store = Store::open(&folder.path().join("store")).unwrap();
    futures_util::future::join_all(batches.into_iter().map(|batch| store.apply(batch)))
        .await
        .into_iter()
        .for_each(|applied| drop(applied.unwrap()));
    (store.clone(), Ledger::new(store))
}

async fn begins(ledger: &Ledger<Store>, number: u64) -> Option<u64> {
    ledger.log_begins(&group(number)).await.unwrap().map(Epoch::get)
}

#[tokio::test]
async fn the_newest_epochs_and_the_young_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, stop) = (limits::LOG_KEPT_EPOCHS, CancellationToken::new());
    let (store, ledger) = ledger(&folder, log(1, kept + 100, kept + 90)).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    let almost = Timestamp::from_millis(old.as_millis() - 1);
    for now in [Timestamp::from_millis(0), THEN, almost] {
        assert_eq!(trim_all(&ledger, now, &stop).await.unwrap(), 0, "they are young");
    }
    assert_eq!(begins(&ledger, 1).await, Some(0));
    assert_eq!(store.depths().await.unwrap().answers, kept + 101);
    // The last 1,000 epochs are 101 to 1,100.
    assert_eq!(trim_all(&ledger, old, &stop).await.unwrap(), 101);
    assert_eq!(begins(&ledger, 1).await, Some(101));
    assert_eq!(store.depths().await.unwrap().answers, kept);
    assert_eq!(store.answer(key(100)).await.unwrap(), None, "the acceptance goes with its epoch");
    assert!(store.answer(key(101)).await.unwrap().is_some());
    let much_later = old.plus(Duration::from_hours(24 * 365));
    assert_eq!(trim_all(&ledger, much_later, &stop).await.unwrap(), 0, "the newest stay for ever");
    store.close().await;
}

#[tokio::test]
async fn what_brings_the_group_back_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, stop) = (limits::LOG_KEPT_EPOCHS, CancellationToken::new());
    let (store, ledger) = ledger(&folder, log(1, kept + 100, 40)).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    assert_eq!(trim_all(&ledger, old, &stop).await.unwrap(), 41);
    assert_eq!(begins(&ledger, 1).await, Some(41), "the first after the snapshot");
    store.close().await;
}

#[tokio::test]
async fn one_write_removes_a_bounded_number_and_a_stop_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let batches = log(1, limits::LOG_KEPT_EPOCHS + 100, limits::LOG_KEPT_EPOCHS + 90);
    let (store, ledger) = ledger(&folder, batches).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert_eq!(trim_all(&ledger, old, &stopped).await.unwrap(), limits::LOG_TRIMMED_AT_ONCE);
    assert_eq!(begins(&ledger, 1).await, Some(limits::LOG_TRIMMED_AT_ONCE as u64));
    store.close().await;
}

#[tokio::test]
async fn short_logs_are_left_alone_and_all_long_ones_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let kept = limits::LOG_KEPT_EPOCHS;
    let mut batches = log(1, kept - 1, kept - 1);
    batches.extend(log(2, kept, kept));
    // More groups than one page has, without logs.
    let others = (3..3 + limits::GROUPS_PAGE as u64).map(|number| Op::SetHead(head(number, kept + 9, 5)));
    batches.push(batch(Vec::new(), others.collect()));
    batches.extend(log(500, kept + 1, kept));
    let (store, ledger) = ledger(&folder, batches).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    assert_eq!(trim_all(&ledger, old, &CancellationToken::new()).await.unwrap(), 3);
    let found = (begins(&ledger, 1).await, begins(&ledger, 2).await, begins(&ledger, 500).await);
    assert_eq!(found, (Some(0), Some(1), Some(2)));
    store.close().await;
}
