use std::time::Duration;

use maypole_core::batch::{Batch, Op};
use maypole_core::group::Head;
use maypole_core::ids::Epoch;
use tempfile::TempDir;

use super::*;
use crate::storage::conformance::samples::{answer, batch, entry, epoch, group, head, key, snapshot};
use crate::storage::sled::Store;

/// When every entry of these logs was accepted.
const THEN: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// A log of so many epochs, each accepted at once, with snapshots of these epochs; the acceptance of each is remembered.
fn log(number: u64, epochs: u64, snapshots: &[u64]) -> Vec<Batch> {
    let mut batches = Vec::new();
    for at in 0..=epochs {
        let notes = EntryNotes { answer: Some(key(at)), ..EntryNotes::default() };
        let notes = serde_json::to_vec(&notes).unwrap();
        let entry = Entry { accepted_at: THEN, notes, ..entry(at, 20) };
        let ops = vec![Op::Append(group(number), entry), Op::Remember(key(at), answer(at, 5, u64::MAX))];
        batches.push(batch(Vec::new(), ops));
    }
    let newest = snapshots.last().copied().unwrap_or_default();
    let head = Head { snapshot_epoch: epoch(newest), ..head(number, epochs, 5) };
    let trees = snapshots.iter().map(|at| Op::PutSnapshot(group(number), snapshot(*at, 5_000)));
    batches.push(batch(Vec::new(), trees.chain([Op::SetHead(head)]).collect()));
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

async fn trees(ledger: &Ledger<Store>, number: u64) -> Vec<u64> {
    let kept = ledger.snapshots(&group(number), Epoch::ZERO, 99).await.unwrap();
    kept.into_iter().map(|snapshot| snapshot.epoch.get()).collect()
}

#[tokio::test]
async fn the_newest_epochs_and_the_young_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, stop) = (limits::LOG_KEPT_EPOCHS, CancellationToken::new());
    let (store, ledger) = ledger(&folder, log(1, kept + 100, &[0, 20, 70, 101, kept])).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    let almost = Timestamp::from_millis(old.as_millis() - 1);
    for now in [Timestamp::from_millis(0), THEN, almost] {
        assert_eq!(trim_all(&ledger, now, &stop).await.unwrap(), 0, "they are young");
    }
    assert_eq!(begins(&ledger, 1).await, Some(0));
    assert_eq!(store.depths().await.unwrap().answers, kept + 101);
    // The last 1,000 epochs are 101 to 1,100.
    assert_eq!(trim_all(&ledger, old, &stop).await.unwrap(), 101);
    assert_eq!((begins(&ledger, 1).await, trees(&ledger, 1).await), (Some(101), vec![101, kept]));
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
    let mut batches = log(1, kept + 100, &[0, 40]);
    batches.extend(log(2, kept + 100, &[0, 40, 102]));
    let (store, ledger) = ledger(&folder, batches).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    assert_eq!(trim_all(&ledger, old, &stop).await.unwrap(), 80);
    let found = (begins(&ledger, 1).await, trees(&ledger, 1).await);
    assert_eq!(found, (Some(40), vec![40]), "the newest tree, and all after it");
    let found = (begins(&ledger, 2).await, trees(&ledger, 2).await);
    assert_eq!(found, (Some(40), vec![40, 102]), "what 101 is brought back from");
    store.close().await;
}

#[tokio::test]
async fn one_write_removes_a_bounded_number_and_a_stop_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let batches = log(1, limits::LOG_KEPT_EPOCHS + 100, &[0, 90, limits::LOG_KEPT_EPOCHS + 90]);
    let (store, ledger) = ledger(&folder, batches).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert_eq!(trim_all(&ledger, old, &stopped).await.unwrap(), limits::LOG_TRIMMED_AT_ONCE);
    assert_eq!(begins(&ledger, 1).await, Some(limits::LOG_TRIMMED_AT_ONCE as u64));
    assert_eq!(trees(&ledger, 1).await.len(), 3, "trees go with the last epoch that needs them");
    store.close().await;
    // It is gone on with, whoever does it.
    let store = Store::open(&folder.path().join("store")).unwrap();
    let ledger = Ledger::new(store.clone());
    let rest = 90 - limits::LOG_TRIMMED_AT_ONCE;
    assert_eq!(trim_all(&ledger, old, &CancellationToken::new()).await.unwrap(), rest);
    let newest = limits::LOG_KEPT_EPOCHS + 90;
    assert_eq!((begins(&ledger, 1).await, trees(&ledger, 1).await), (Some(90), vec![90, newest]));
    store.close().await;
}

#[tokio::test]
async fn short_logs_are_left_alone_and_all_long_ones_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let kept = limits::LOG_KEPT_EPOCHS;
    let mut batches = log(1, kept - 1, &[0, 1, 2, kept - 1]);
    batches.extend(log(2, kept, &[0, 1, 2, kept]));
    // More groups than one page has, without logs.
    let others = (3..3 + limits::GROUPS_PAGE as u64).map(|number| Op::SetHead(head(number, kept + 9, 5)));
    batches.push(batch(Vec::new(), others.collect()));
    batches.extend(log(500, kept + 1, &[0, 2, kept]));
    let (store, ledger) = ledger(&folder, batches).await;
    let old = THEN.plus(limits::LOG_KEPT_FOR);
    assert_eq!(trim_all(&ledger, old, &CancellationToken::new()).await.unwrap(), 3);
    let found = (begins(&ledger, 1).await, begins(&ledger, 2).await, begins(&ledger, 500).await);
    assert_eq!(found, (Some(0), Some(1), Some(2)));
    store.close().await;
}
