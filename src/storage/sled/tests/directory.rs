//! The directory over folders: what a copy of the store, or a death in the middle, makes of KeyPackages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use maypole_core::directory::Handed;
use maypole_core::ledger::Ledger;

use super::Somewhere;
use crate::storage::conformance::directory::{Maker, claim, shelve};
use crate::storage::sled::Store;

const BOB: &str = "@bob:b.org/LAPTOP";

fn open(place: &Somewhere) -> Ledger<Store> {
    Ledger::new(Store::open(&place.path()).unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn of_an_old_backup_nothing_is_handed_out_that_was_since() {
    let (place, maker) = (Somewhere::new(), Maker::new());
    let ledger = open(&place);
    let offered = maker.some(BOB, 10);
    let last = maker.last_resort(BOB);
    shelve(&ledger, BOB, &offered).await.unwrap();
    shelve(&ledger, BOB, &[last]).await.unwrap();
    ledger.into_backend().close().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&place.path(), &backup.path().join("store"));

    let ledger = open(&place);
    for _ in 0..4 {
        assert!(matches!(claim(&ledger, BOB, 7).await, Handed::Success(_)));
    }
    ledger.into_backend().close().await;
    fs::remove_dir_all(place.path()).unwrap();
    copy(&backup.path().join("store"), &place.path());

    let ledger = open(&place);
    while ledger.void_key_packages().await.unwrap() > 0 {}
    assert!(matches!(claim(&ledger, BOB, 7).await, Handed::OnlyLastResort(_)));
    for (nth, offered) in offered.into_iter().enumerate() {
        assert!(shelve(&ledger, BOB, &[offered]).await.is_err(), "KeyPackage {nth} came back");
    }
    let new = maker.some(BOB, 1);
    shelve(&ledger, BOB, &new).await.unwrap();
    let Handed::Success(found) = claim(&ledger, BOB, 7).await else { panic!("a new one is good") };
    assert_eq!(found.get().bytes, new[0].bytes);
    ledger.into_backend().close().await;
}

/// Claims that are dropped at any await, as by clients that hang up: what they may have taken is lost, and nothing comes
/// twice.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_loses_at_most_what_was_meant_for_them() {
    let (place, maker) = (Somewhere::new(), Maker::new());
    let ledger = Arc::new(open(&place));
    let offered = maker.some(BOB, 60);
    shelve(&ledger, BOB, &offered).await.unwrap();
    let tasks: Vec<_> = (0..40_u64)
        .map(|number| {
            let ledger = Arc::clone(&ledger);
            let chance = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            tokio::spawn(async move { claim(&ledger, BOB, chance).await })
        })
        .collect();
    // Those that were not polled yet are dropped before they begin, others anywhere on their way.
    for task in tasks.iter().step_by(2) {
        task.abort();
    }
    let mut found = BTreeSet::new();
    let mut dropped = 0;
    for task in tasks {
        match task.await {
            Ok(Handed::Success(one)) => assert!(found.insert(one.get().bytes.clone()), "one came twice"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                dropped += 1;
            }
        }
    }
    assert!(found.len() >= 20, "those who stay are served");
    while let Handed::Success(one) = claim(&ledger, BOB, 7).await {
        assert!(found.insert(one.get().bytes.clone()), "one came twice");
    }
    assert!(found.len() + dropped >= 60, "more was lost than was dropped");
    Arc::into_inner(ledger).unwrap().into_backend().close().await;
}
