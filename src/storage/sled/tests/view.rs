//! A copy of the store that is made while it works: what it costs, and when it is given up.

use std::time::Duration;

use maypole_core::batch::{Backend as _, Op};
use maypole_core::ids::InboxSeq;
use maypole_testkit::wait::eventually;

use super::Somewhere;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{batch, message, user};
use crate::storage::copy::Record;
use crate::storage::sled::{Copying, Store};

async fn fill(store: &Store, messages: u64, size: usize) {
    let mut ops = vec![Op::Bind(user("_mls_ds"))];
    ops.extend((0..messages).map(|number| Op::Receive(message(number, size))));
    store.apply(batch(Vec::new(), ops)).await.unwrap();
}

async fn empty(store: &Store, messages: u64) {
    let ops = (0..messages).map(|row| Op::Leave(InboxSeq::new(row))).collect();
    store.apply(batch(Vec::new(), ops)).await.unwrap();
}

/// How many messages are in the rest of a copy.
async fn messages_of(copying: &mut Copying) -> usize {
    let mut found = 0;
    loop {
        let records = copying.next().await.unwrap();
        if records.is_empty() {
            return found;
        }
        found += records.iter().filter(|record| matches!(record, Record::Inbox(..))).count();
    }
}

#[tokio::test]
async fn one_that_would_need_too_much_is_given_up_and_the_store_goes_on() {
    let place = Somewhere::new();
    let store = place.open().await;
    fill(&store, 20, 1_000).await;
    let mut copying = store.copy().await.unwrap();
    let lower =
        |engine: &mut super::super::Engine| Ok(Ok(engine.view.as_mut().map(|view| view.most = 5_000)));
    assert!(store.read(lower).await.unwrap().is_some());
    empty(&store, 20).await;
    let given_up = copying.next().await.unwrap_err().to_string();
    assert!(given_up.contains("try again"), "{given_up}");
    assert!(store.inbox(None, 99).await.unwrap().is_empty());
    place.close(store).await;
}

#[tokio::test]
async fn files_that_it_may_need_stay_until_its_end() {
    let place = Somewhere::new();
    let store = place.open().await;
    fill(&store, 3, 20_000).await;
    let mut copying = store.copy().await.unwrap();
    empty(&store, 3).await;
    assert_eq!(place.bulk_files().len(), 3);
    assert_eq!(messages_of(&mut copying).await, 3);
    drop(copying);
    eventually(Duration::from_secs(60), "the files to go", async || {
        assert!(store.inbox(None, 99).await.unwrap().is_empty());
        Ok(place.bulk_files().is_empty().then_some(()))
    })
    .await
    .unwrap();
    place.close(store).await;
}

#[tokio::test]
async fn a_damaged_record_is_counted_and_the_rest_told() {
    let place = Somewhere::new();
    let store = place.open().await;
    fill(&store, 3, 20_000).await;
    let mut copying = store.copy().await.unwrap();
    let file = place.bulk_files().remove(0);
    std::fs::write(file, b"something else").unwrap();
    let found = messages_of(&mut copying).await;
    assert_eq!((found, copying.damaged()), (2, 1));
    place.close(store).await;
}
