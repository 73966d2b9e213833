//! Stores of earlier versions: each is read, and what lies elsewhere by now is moved when the store is opened.

use std::fs;

use maypole_core::batch::{Backend, BackendError, Op};

use super::Somewhere;
use crate::storage::conformance::samples::{batch, epoch, group, snapshot};
use crate::storage::sled::keys::{self, Kind};
use crate::storage::sled::{Store, record};

/// The trees of three groups, as the first version kept them: one of each group, and one of them in a file of its own.
async fn of_the_first_version() -> Somewhere {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    for (number, (at, size)) in (1..).zip([(4, 50), (300, 9_000), (5, 60)]) {
        store.apply(batch(vec![], vec![Op::PutSnapshot(group(number), snapshot(at, size))])).await.unwrap();
    }
    store.close().await;
    let db = place.raw();
    for (key, value) in db.scan_prefix([Kind::Snapshot.prefix()]).map(Result::unwrap) {
        let former = keys::former_snapshot(&key).unwrap();
        let moved = record::moved(&value, Kind::FormerSnapshot, &former).unwrap();
        db.insert(former, moved).unwrap();
        db.remove(key).unwrap();
    }
    db.flush().unwrap();
    fs::write(place.log().join("format"), "maypole store, version 1\n").unwrap();
    place
}

fn formers(place: &Somewhere) -> usize {
    place.raw().scan_prefix([Kind::FormerSnapshot.prefix()]).count()
}

#[tokio::test]
async fn the_one_tree_of_a_group_is_among_its_trees() {
    let place = of_the_first_version().await;
    assert_eq!(formers(&place), 3);
    for again in [false, true] {
        let store = Store::open(&place.path()).unwrap();
        assert_eq!(store.snapshot(&group(1), epoch(9)).await.unwrap(), Some(snapshot(4, 50)));
        assert_eq!(store.snapshot(&group(1), epoch(3)).await.unwrap(), None);
        assert_eq!(store.snapshot(&group(2), epoch(300)).await.unwrap(), Some(snapshot(300, 9_000)));
        assert_eq!(store.snapshots(&group(2), epoch(0), 9).await.unwrap().len(), 1);
        assert_eq!(store.snapshot(&group(3), epoch(9)).await.unwrap(), Some(snapshot(5, 60)));
        store.close().await;
        assert_eq!(fs::read(place.log().join("format")).unwrap(), b"maypole store, version 2\n");
        assert_eq!((formers(&place), place.bulk_files().len()), (0, 1), "{again}");
    }
    let store = Store::open(&place.path()).unwrap();
    store.apply(batch(vec![], vec![Op::RemoveSnapshot(group(2), epoch(300))])).await.unwrap();
    store.depths().await.unwrap();
    assert!(place.bulk_files().is_empty(), "a tree's file goes with it");
    store.close().await;
}

#[tokio::test]
async fn a_damaged_one_stays_until_another_takes_its_place() {
    let place = of_the_first_version().await;
    let key = keys::of_group(Kind::FormerSnapshot, &group(1));
    let db = place.raw();
    let mut value = db.get(&key).unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 0x10;
    db.insert(&key, value).unwrap();
    db.flush().unwrap();
    drop(db);
    let store = Store::open(&place.path()).unwrap();
    let found = store.snapshot(&group(1), epoch(9)).await;
    assert!(matches!(found, Err(BackendError::Damaged(_))), "a group is not without a tree: {found:?}");
    assert_eq!(store.snapshot(&group(3), epoch(9)).await.unwrap(), Some(snapshot(5, 60)));
    assert_eq!(store.quarantined().await.unwrap(), 0);
    store.close().await;
    assert_eq!(formers(&place), 1);
    let store = Store::open(&place.path()).unwrap();
    store.apply(batch(vec![], vec![Op::PutSnapshot(group(1), snapshot(4, 50))])).await.unwrap();
    assert_eq!(store.snapshot(&group(1), epoch(9)).await.unwrap(), Some(snapshot(4, 50)));
    store.close().await;
    assert_eq!(formers(&place), 0);
}
