//! Bulk files live as long as something names them.

use std::fs;

use maypole_core::batch::{Backend, Expect, Op};
use maypole_core::ids::{InboxSeq, OwedId};

use super::Somewhere;
use crate::storage::conformance::samples::{answer, batch, key, message, owed, owed_to_many};
use crate::storage::sled::Store;

#[tokio::test]
async fn a_bulk_file_lives_as_long_as_a_record_names_it() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    // An answer and what is owed by it share their bytes.
    let both = vec![Op::Remember(key(1), answer(1, 9_000, 5)), Op::Owe(owed(1, 9_000))];
    store.apply(batch(vec![], both)).await.unwrap();
    assert_eq!(place.bulk_files().len(), 1);
    store.apply(batch(vec![], vec![Op::Settle(OwedId::new(0))])).await.unwrap();
    store.depths().await.unwrap();
    assert_eq!(place.bulk_files().len(), 1);
    // It goes and comes back within one batch.
    let again = vec![Op::Forget(key(1)), Op::Owe(owed(1, 9_000))];
    store.apply(batch(vec![], again)).await.unwrap();
    store.depths().await.unwrap();
    assert_eq!(place.bulk_files().len(), 1);
    assert_eq!(store.owed(None, 5).await.unwrap()[0].owed, owed(1, 9_000));
    store
        .apply(batch(vec![], vec![Op::Settle(OwedId::new(1)), Op::Owe(owed_to_many(1, 900))]))
        .await
        .unwrap();
    store.depths().await.unwrap();
    assert_eq!(place.bulk_files().len(), 1);
    assert_eq!(store.owed(None, 5).await.unwrap()[0].owed, owed_to_many(1, 900));
}

#[tokio::test]
async fn a_refused_batch_leaves_no_bulk_file() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    let refused = batch(vec![Expect::InInbox(InboxSeq::new(0))], vec![Op::Receive(message(1, 60_000))]);
    store.apply(refused).await.unwrap_err();
    store.depths().await.unwrap();
    assert!(place.bulk_files().is_empty());
}

#[tokio::test]
async fn leftovers_are_swept_at_opening() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    store.apply(batch(vec![], vec![Op::Receive(message(1, 60_000))])).await.unwrap();
    store.close().await;
    let [kept] = place.bulk_files().try_into().unwrap();
    let bulk = place.path().join("bulk");
    fs::write(bulk.join("abc.new"), "unfinished").unwrap();
    fs::write(kept.with_file_name("f".repeat(64)), "named by nobody").unwrap();
    fs::write(kept.with_file_name("README"), "not even a hash").unwrap();
    let store = Store::open(&place.path()).unwrap();
    assert_eq!(place.bulk_files(), [kept]);
    assert_eq!(store.inbox(None, 5).await.unwrap()[0].item, message(1, 60_000));
}

#[tokio::test]
async fn many_at_once_share_bulk_files_and_syncs() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|seed| {
            let store = store.clone();
            tokio::spawn(
                async move { store.apply(batch(vec![], vec![Op::Owe(owed(seed % 16, 9_000))])).await },
            )
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(place.bulk_files().len(), 16);
    let rows = store.owed(None, 100).await.unwrap();
    assert_eq!(rows.len(), 64);
    for row in rows {
        store.apply(batch(vec![Expect::StillOwed(row.id)], vec![Op::Settle(row.id)])).await.unwrap();
    }
    store.depths().await.unwrap();
    assert!(place.bulk_files().is_empty());
}
