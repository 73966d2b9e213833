//! The laws of the directory of KeyPackages.

use std::collections::BTreeSet;
use std::sync::Arc;

use maypole_core::batch::{Backend, BackendError, Expect, Op};
use maypole_core::directory::{KeyPackage, LastResort, Standing, Stock};
use maypole_core::ids::{ClientId, KeyPackageRef, ShelfPlace};
use maypole_core::time::Timestamp;
use proptest::prelude::*;

use super::Place;
use super::samples::{batch, client, key_package, reference};
use maypole_core::memory::Records;

/// The seventh is a last resort, and so on.
const LAST: u64 = 6;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

pub(super) async fn all<P: Place>(place: &impl Fn() -> P) {
    key_packages_are_stocked_in_the_order_of_their_arrival(&place()).await;
    of_many_claims_of_one_key_package_one_wins(&place()).await;
    what_was_taken_out_stays_known_until_its_time(&place()).await;
    a_last_resort_takes_the_place_of_the_one_before(&place()).await;
    what_names_nothing_does_nothing(&place()).await;
}

/// A device's stock, page by page.
async fn stock_of(store: &impl Backend, client: &ClientId, page: usize) -> Vec<KeyPackage> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let rows = store.stocked(client, after, page).await.unwrap();
        assert!(rows.len() <= page && rows.iter().all(|row| Some(row.place) > after));
        let Some(last) = rows.last() else { return all };
        after = Some(last.place);
        all.extend(rows.into_iter().map(|row| row.key_package));
    }
}

async fn numbers(store: &impl Backend, name: &str) -> Vec<u64> {
    let stock = stock_of(store, &client(name), 3).await;
    stock.into_iter().map(|key_package| key_package.uploaded_at.as_millis()).collect()
}

async fn apply(store: &impl Backend, ops: Vec<Op>) {
    store.apply(batch(Vec::new(), ops)).await.unwrap();
}

async fn key_packages_are_stocked_in_the_order_of_their_arrival(place: &impl Place) {
    let mut store = place.open().await;
    let shelve = |name: &'static str, number| Op::Shelve(key_package(name, number, 50, 100));
    // In one batch and in several, of two devices in turn; neither the references nor the times of others matter.
    apply(
        &store,
        [9, 3, 700].into_iter().flat_map(|at| [shelve("bob", at), shelve("alice", at + 1)]).collect(),
    )
    .await;
    apply(&store, vec![shelve("bob", 2)]).await;
    assert_eq!(numbers(&store, "bob").await, [9, 3, 700, 2]);
    assert_eq!(numbers(&store, "alice").await, [10, 4, 701]);
    assert!(numbers(&store, "carol").await.is_empty());
    assert!(store.stocked(&client("bob"), None, 0).await.unwrap().is_empty());
    assert!(store.stocked(&client("bob"), Some(ShelfPlace::new(u64::MAX)), 9).await.unwrap().is_empty());
    // The first and the last go; what comes stands behind what is left, after a restart too, and twice in one batch.
    apply(&store, vec![Op::TakeOut(reference(9)), Op::Discard(reference(2)), shelve("bob", 5)]).await;
    place.close(store).await;
    store = place.open().await;
    apply(&store, vec![shelve("bob", 4), Op::TakeOut(reference(4)), shelve("bob", 1)]).await;
    assert_eq!(numbers(&store, "bob").await, [3, 700, 5, 1]);
    let stock = store.stock(&client("bob"), Timestamp::from_millis(50_000)).await.unwrap();
    assert_eq!(stock, Stock { key_packages: 4, ..Stock::default() });
    let later = store.stock(&client("bob"), Timestamp::from_millis(50_001)).await.unwrap();
    assert_eq!(later, Stock::default(), "they have ended");
    place.close(store).await;
}

async fn of_many_claims_of_one_key_package_one_wins(place: &impl Place) {
    let store = Arc::new(place.open().await);
    for number in [1, 2, 3, 4, 5] {
        apply(&*store, vec![Op::Shelve(key_package("bob", number, 50, 5_000))]).await;
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let expect = vec![Expect::InStock(reference(number))];
                    match store.apply(batch(expect.clone(), vec![Op::TakeOut(reference(number))])).await {
                        Ok(_) => true,
                        Err(BackendError::Conflict(found)) if *found == expect[0] => false,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.unwrap());
        }
        assert_eq!(winners, 1, "KeyPackage {number}");
    }
    assert!(numbers(&*store, "bob").await.is_empty());
    place.close(Arc::into_inner(store).unwrap()).await;
}

async fn what_was_taken_out_stays_known_until_its_time(place: &impl Place) {
    let mut store = place.open().await;
    let until = |ends| key_package("bob", 0, ends, 0).known_until();
    let ops = [(1, 30), (2, 10), (3, 20)];
    apply(&store, ops.map(|(number, ends)| Op::Shelve(key_package("bob", number, ends, 9_000))).into()).await;
    apply(&store, vec![Op::TakeOut(reference(1)), Op::TakeOut(reference(2))]).await;
    place.close(store).await;
    store = place.open().await;
    let standing = async |number| store.standing(&reference(number)).await.unwrap();
    assert_eq!([standing(1).await, standing(2).await], [Some(Standing::Gone); 2]);
    assert_eq!([standing(3).await, standing(4).await], [Some(Standing::InStock), None]);
    for number in [1, 2, 3] {
        let again = batch(vec![Expect::NewKeyPackage(reference(number))], Vec::new());
        assert!(store.apply(again).await.is_err(), "KeyPackage {number}");
    }
    let outlived = async |now, limit| store.outlived_key_packages(now, limit).await.unwrap();
    let just_before = Timestamp::from_millis(until(10).as_millis() - 1);
    assert!(outlived(just_before, 9).await.is_empty() && outlived(until(30), 0).await.is_empty());
    assert_eq!(outlived(until(10), 9).await, [reference(2)]);
    assert_eq!(outlived(until(30), 2).await, [reference(2), reference(3)]);
    assert_eq!(outlived(Timestamp::END, 9).await, [reference(2), reference(3), reference(1)]);
    apply(&store, [1, 2, 3].map(|number| Op::Discard(reference(number))).into()).await;
    assert!(outlived(Timestamp::END, 9).await.is_empty());
    assert_eq!([standing(1).await, standing(3).await], [None; 2]);
    assert!(numbers(&store, "bob").await.is_empty());
    place.close(store).await;
}

async fn a_last_resort_takes_the_place_of_the_one_before(place: &impl Place) {
    let mut store = place.open().await;
    let bob = client("bob");
    // Three for one suite, one for another, and one of somebody else.
    let shelved = |name, number: u64| Op::Shelve(key_package(name, LAST + 7 * number, 50, 100));
    let last =
        |number: u64, used| LastResort { key_package: key_package("bob", LAST + 7 * number, 50, 100), used };
    apply(&store, vec![shelved("bob", 0), shelved("bob", 1), shelved("alice", 8)]).await;
    assert_eq!(store.last_resorts(&bob).await.unwrap(), [last(0, false), last(1, false)]);
    apply(&store, vec![Op::UseLastResort(reference(LAST))]).await;
    place.close(store).await;
    store = place.open().await;
    assert_eq!(store.last_resorts(&bob).await.unwrap(), [last(0, true), last(1, false)]);
    let now = Timestamp::from_millis(50_000);
    let stock = Stock { key_packages: 0, last_resorts: 2, last_resort_used: true };
    assert_eq!(store.stock(&bob, now).await.unwrap(), stock);
    assert_eq!(store.stock(&bob, Timestamp::END).await.unwrap(), Stock::default());
    // Two follow each other in one batch.
    apply(&store, vec![shelved("bob", 2), shelved("bob", 4)]).await;
    assert_eq!(store.last_resorts(&bob).await.unwrap(), [last(4, false), last(1, false)]);
    assert_eq!(store.stock(&bob, now).await.unwrap(), Stock { last_resort_used: false, ..stock });
    for number in [0, 2] {
        let standing = store.standing(&reference(LAST + 7 * number)).await.unwrap();
        assert_eq!(standing, Some(Standing::Gone), "last resort {number}");
    }
    assert_eq!(store.standing(&reference(LAST + 7 * 4)).await.unwrap(), Some(Standing::InStock));
    assert!(store.any_stocked(9).await.unwrap().is_empty() && numbers(&store, "bob").await.is_empty());
    apply(&store, vec![Op::TakeOut(reference(LAST + 7 * 4)), Op::Discard(reference(LAST + 7))]).await;
    assert!(store.last_resorts(&bob).await.unwrap().is_empty());
    assert_eq!(store.last_resorts(&client("alice")).await.unwrap().len(), 1);
    place.close(store).await;
}

async fn what_names_nothing_does_nothing(place: &impl Place) {
    let store = place.open().await;
    let mut model = Records::default();
    let name_nothing =
        || vec![Op::TakeOut(reference(9)), Op::UseLastResort(reference(9)), Op::Discard(reference(9))];
    let mut ops = name_nothing();
    ops.extend([Op::Shelve(key_package("bob", 1, 50, 10)), Op::UseLastResort(reference(1))]);
    ops.extend(name_nothing());
    assert!(model.apply(batch(Vec::new(), ops.clone())).is_ok());
    apply(&store, ops).await;
    compare(&store, &model).await;
    place.close(store).await;
}

/// Whether the store has what the model has.
pub(super) async fn compare(store: &impl Backend, model: &Records) {
    for name in NAMES {
        let client = client(name);
        for page in [1, 3, 1_000] {
            assert_eq!(stock_of(store, &client, page).await, model.stocked(&client));
        }
        assert_eq!(store.last_resorts(&client).await.unwrap(), model.last_resorts(&client));
        for now in [0, 3_000, 5_001, u64::MAX].map(Timestamp::from_millis) {
            assert_eq!(store.stock(&client, now).await.unwrap(), model.stock(&client, now));
        }
    }
    for number in 0..28 {
        let reference = reference(number);
        assert_eq!(store.standing(&reference).await.unwrap(), model.standing(&reference));
    }
    let mut all = store.any_stocked(1_000).await.unwrap();
    all.sort();
    assert_eq!(all, model.any_stocked());
    assert_eq!(store.any_stocked(1).await.unwrap().len(), all.len().min(1));
    for ends in [0, 3, 1_000] {
        let now = key_package("bob", 0, ends, 0).known_until();
        let expected = model.outlived(now);
        let found = store.outlived_key_packages(now, 1_000).await.unwrap();
        let set = |references: &[KeyPackageRef]| references.iter().cloned().collect::<BTreeSet<_>>();
        let all: Vec<_> = expected.iter().map(|(_, reference)| reference.clone()).collect();
        assert_eq!((found.len(), set(&found)), (all.len(), set(&all)));
        let time = |reference| expected.iter().find(|(_, known)| known == reference).map(|(time, _)| *time);
        assert!(found.is_sorted_by_key(time), "the earliest first");
        assert_eq!(store.outlived_key_packages(now, 2).await.unwrap(), found[..found.len().min(2)]);
    }
}

pub(super) fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        (0_u64..28).prop_map(|number| Expect::NewKeyPackage(reference(number))),
        (0_u64..28).prop_map(|number| Expect::InStock(reference(number))),
        (0_usize..3, 0_usize..4).prop_map(|(name, most)| Expect::StockAtMost(client(NAMES[name]), most)),
    ]
}

pub(super) fn op(size: impl Strategy<Value = usize>) -> impl Strategy<Value = Op> {
    (0_u64..28, 0_usize..3, 0_u64..8, 0_u8..9, size).prop_map(|(number, name, ends, what, size)| match what {
        0 => Op::Discard(reference(number)),
        1 | 2 => Op::TakeOut(reference(number)),
        3 => Op::UseLastResort(reference(number)),
        4 => Op::KnowGone(reference(number), key_package(NAMES[name], number, ends, 0).known_until()),
        _ => Op::Shelve(key_package(NAMES[name], number, ends, size)),
    })
}
