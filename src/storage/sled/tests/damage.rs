//! A bit flips in each kind of record: it is found, named, moved out of the way, and the rest is served.

use std::fs;

use maypole_core::batch::{Backend, BackendError, Expect, Op};
use maypole_core::directory::Standing;
use maypole_core::ids::InboxSeq;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::records::Depths;
use maypole_core::time::Timestamp;

use super::Somewhere;
use crate::storage::conformance::samples::{
    agenda, answer, aside, batch, client, entry, epoch, frozen, group, head, key, key_package, message, owed,
    reference, snapshot, staged, token, transaction, user,
};
use crate::storage::sled::keys::{self, Kind};
use crate::storage::sled::{OpenError, Store};

const FULL: Depths = Depths { inbox: 3, owed: 3, set_aside: 3, answers: 3, groups: 1, staged: 1 };

/// Three rows of everything.
async fn filled() -> Somewhere {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    let mut ops = vec![Op::Bind(user("_mls_ds")), Op::MoveCursor(token("s1"))];
    for seed in 0..3 {
        ops.extend([
            Op::Receive(message(seed, 9_000 + 100)),
            Op::Owe(owed(seed, 100)),
            Op::Remember(key(seed), answer(seed, 100, 50 + seed)),
            Op::NoteTransaction(transaction(seed)),
            Op::SetAside(aside(seed, 100)),
        ]);
    }
    ops.extend([
        Op::SetHead(head(1, 5, 10)),
        Op::Append(group(1), entry(5, 100)),
        Op::PutSnapshot(group(1), snapshot(4, 100)),
        Op::Stage(staged(1, 7, 100)),
        Op::SetAgenda(agenda(1, 3, 100)),
        Op::Freeze(group(1), frozen(3, 10)),
    ]);
    // Three in stock, one taken out, and a last resort.
    ops.extend([0, 1, 2, GONE, LAST].map(|number| Op::Shelve(key_package("bob", number, 50, 100))));
    ops.push(Op::TakeOut(reference(GONE)));
    store.apply(batch(vec![], ops)).await.unwrap();
    store.close().await;
    place
}

/// A KeyPackage that was handed out.
const GONE: u64 = 3;
/// A last resort.
const LAST: u64 = 6;

/// Flips one bit of what is stored under a key.
fn flip(place: &Somewhere, key: &[u8], byte: usize) {
    let db = place.raw();
    let mut value = db.get(key).unwrap().expect("there is a record to damage").to_vec();
    let byte = byte.min(value.len() - 1);
    value[byte] ^= 0x10;
    db.insert(key, value).unwrap();
    db.flush().unwrap();
}

fn quarantined(place: &Somewhere) -> usize {
    place.raw().scan_prefix([Kind::Quarantined.prefix()]).count()
}

/// Everything is served but for what may be missing; takes the store along, so that its folder can be looked into.
async fn serves_the_rest(store: Store, missing: Kind) {
    let less = |kind| usize::from(kind == missing);
    let inbox = store.inbox(None, 10).await.unwrap();
    let owed_rows = store.owed(None, 10).await.unwrap();
    let asides = store.set_aside(10).await.unwrap();
    assert_eq!(inbox.len(), 3 - less(Kind::Inbox));
    assert_eq!(owed_rows.len(), 3 - less(Kind::Owed));
    assert_eq!(asides.len(), 3 - less(Kind::SetAside));
    assert!(inbox.iter().all(|row| row.item == message(row.seq.get(), 9_100)));
    assert!(owed_rows.iter().all(|row| row.owed == owed(row.id.get(), 100)));
    let answers = [0, 1, 2].map(key);
    let mut there = 0;
    for (seed, key) in (0..).zip(answers) {
        if let Some(found) = store.answer(key).await.unwrap() {
            assert_eq!(found, answer(seed, 100, 50 + seed));
            there += 1;
        }
    }
    assert_eq!(there, 3 - less(Kind::Answer));
    let expired = store.expired_answers(Timestamp::from_millis(1_000), 10).await.unwrap();
    assert_eq!(expired.len(), there, "an expiry row without its answer comes up forever");
    let depths = Depths {
        inbox: FULL.inbox - less(Kind::Inbox) as u64,
        owed: FULL.owed - less(Kind::Owed) as u64,
        set_aside: FULL.set_aside - less(Kind::SetAside) as u64,
        answers: FULL.answers - less(Kind::Answer) as u64,
        ..FULL
    };
    assert_eq!(store.depths().await.unwrap(), depths);
    let stocked = store.stocked(&client("bob"), None, 10).await.unwrap();
    assert_eq!(stocked.len(), 3 - less(Kind::Shelved));
    assert!(stocked.iter().all(|row| row.key_package == key_package("bob", row.place.get(), 50, 100)));
    let last_resorts = store.last_resorts(&client("bob")).await.unwrap();
    assert_eq!(last_resorts.len(), 1 - less(Kind::LastResort));
    for last in last_resorts {
        assert_eq!(last.key_package, key_package("bob", LAST, 50, 100));
    }
    for number in [0, 1, 2, GONE, LAST] {
        let known = store.standing(&reference(number)).await.unwrap();
        assert!(known.is_some() && (number != GONE || known == Some(Standing::Gone)), "{number}: {known:?}");
        let again = batch(vec![Expect::NewKeyPackage(reference(number))], vec![]);
        assert!(store.apply(again).await.is_err(), "KeyPackage {number} could come back");
    }
    let known = store.apply(batch(vec![Expect::NewTransaction(transaction(1))], vec![])).await;
    assert_eq!(known.is_ok(), missing == Kind::Transaction);
    assert_eq!(store.owner().await.unwrap(), Some(user("_mls_ds")));
    assert_eq!(store.cursor().await.unwrap(), Some(token("s1")));
    store.apply(batch(vec![], vec![Op::Receive(message(9, 10)), Op::Owe(owed(9, 10))])).await.unwrap();
    assert!(
        store.inbox(Some(InboxSeq::new(2)), 10).await.unwrap()[0].seq == InboxSeq::new(3),
        "a number twice"
    );
    store.close().await;
}

#[tokio::test]
async fn in_a_row() {
    let one = keys::answer(&key(1));
    let rows = [
        (Kind::Inbox, keys::row(Kind::Inbox, 1)),
        (Kind::Owed, keys::row(Kind::Owed, 1)),
        (Kind::SetAside, keys::row(Kind::SetAside, 1)),
        (Kind::Transaction, keys::row(Kind::Transaction, 1)),
        (Kind::Answer, one),
    ];
    for (kind, key) in rows {
        // Version, kind, place, checksum, payload.
        for byte in [0, 1, 2, 5, 9, usize::MAX] {
            let place = filled().await;
            flip(&place, &key, byte);
            serves_the_rest(Store::open(&place.path()).unwrap(), kind).await;
            assert_eq!(quarantined(&place), 1, "{kind:?}, byte {byte}");
            let raw = place.raw().scan_prefix([Kind::Quarantined.prefix()]).next().unwrap().unwrap().1;
            assert_eq!(raw[1..=key.len()], key, "its former key is kept");
        }
    }
}

#[tokio::test]
async fn in_a_record_of_a_group_which_is_then_neither_new_nor_older() {
    let rows = [
        keys::of_group(Kind::Head, &group(1)),
        keys::entry(&group(1), 5),
        keys::snapshot(&group(1), 4),
        keys::of_group(Kind::Staged, &group(1)),
        keys::of_group(Kind::Agenda, &group(1)),
        keys::of_group(Kind::Frozen, &group(1)),
    ];
    for (damaged, key) in rows.iter().enumerate() {
        for byte in [0, 1, 2, 5, 9, usize::MAX] {
            let place = filled().await;
            flip(&place, key, byte);
            let store = Store::open(&place.path()).unwrap();
            let group = group(1);
            let found = [
                store.head(&group).await.map(|found| found == Some(head(1, 5, 10))),
                store.log(&group, epoch(0), 9).await.map(|found| found == [entry(5, 100)]),
                store.snapshot(&group, epoch(9)).await.map(|found| found == Some(snapshot(4, 100))),
                store.staged(&group).await.map(|found| found == Some(staged(1, 7, 100))),
                store.agenda(&group).await.map(|found| found == Some(agenda(1, 3, 100))),
                store.frozen(&group).await.map(|found| found == Some(frozen(3, 10))),
            ];
            for (place, found) in found.into_iter().enumerate() {
                match found {
                    Ok(whole) => assert!(whole && place != damaged, "record {place}, byte {byte}"),
                    Err(BackendError::Damaged(_)) => assert_eq!(place, damaged, "byte {byte}"),
                    Err(error) => panic!("{error}"),
                }
            }
            // Whoever takes the group for a new one is refused, because its place is not empty.
            for expect in [
                Expect::GroupAt(group.clone(), None),
                Expect::StagedIn(group.clone(), None),
                Expect::AgendaAt(group.clone(), None),
                Expect::NotFrozen(group.clone()),
            ] {
                let begun = store.apply(batch(vec![expect], vec![Op::SetHead(head(1, 0, 10))])).await;
                assert!(begun.is_err(), "record {damaged}, byte {byte}");
            }
            serves_the_rest(store, Kind::Snapshot).await;
            assert_eq!(quarantined(&place), 0);
        }
    }
}

#[tokio::test]
async fn in_a_freeze_which_the_operator_lifts_all_the_same() {
    let place = filled().await;
    flip(&place, &keys::of_group(Kind::Frozen, &group(1)), 9);
    let ledger = Ledger::new(Store::open(&place.path()).unwrap());
    assert!(
        matches!(ledger.frozen(&group(1)).await, Err(LedgerError::Damaged(what)) if what.contains("freeze"))
    );
    assert!(ledger.unfreeze(&group(1)).await.unwrap());
    assert_eq!(ledger.frozen(&group(1)).await.unwrap(), None);
    assert!(!ledger.unfreeze(&group(1)).await.unwrap(), "nothing is left to lift");
}

#[tokio::test]
async fn in_an_expiry_row_that_is_mended() {
    let until = key_package("bob", 1, 50, 0).known_until();
    let rows = [
        keys::expiry(Timestamp::from_millis(51), &key(1)),
        keys::known_until(until, &reference(1)),
        keys::known_until(until, &reference(GONE)),
    ];
    for row in rows {
        let place = filled().await;
        flip(&place, &row, 4);
        let store = Store::open(&place.path()).unwrap();
        assert_eq!(store.outlived_key_packages(until, 10).await.unwrap().len(), 5);
        serves_the_rest(store, Kind::Expiry).await;
        assert_eq!(quarantined(&place), 0);
    }
}

#[tokio::test]
async fn in_a_key_package_which_then_is_gone() {
    let shelf = keys::shelf(&client("bob"));
    let suite = key_package("bob", LAST, 50, 0).suite;
    let rows = [
        (Kind::Shelved, 2, keys::shelved(&shelf, 2)),
        (Kind::LastResort, LAST, keys::last_resort(&shelf, suite)),
    ];
    for (kind, number, key) in rows {
        for byte in [0, 1, 2, 5, 9, usize::MAX] {
            let place = filled().await;
            flip(&place, &key, byte);
            let store = Store::open(&place.path()).unwrap();
            let standing = store.standing(&reference(number)).await.unwrap();
            assert_eq!(standing, Some(Standing::Gone), "{kind:?}, byte {byte}");
            let claimed = batch(vec![Expect::InStock(reference(number))], vec![]);
            assert!(store.apply(claimed).await.is_err(), "{kind:?}, byte {byte}");
            serves_the_rest(store, kind).await;
            assert_eq!(quarantined(&place), 1, "{kind:?}, byte {byte}");
            // Its place is free; whoever takes it is not taken for it.
            let store = Store::open(&place.path()).unwrap();
            let new = key_package("bob", number + 70, 50, 100);
            let ops = vec![Op::Shelve(new.clone()), Op::TakeOut(reference(number))];
            store.apply(batch(vec![], ops)).await.unwrap();
            assert_eq!(store.standing(&new.reference).await.unwrap(), Some(Standing::InStock));
            assert_eq!(store.standing(&reference(number)).await.unwrap(), Some(Standing::Gone));
            store.close().await;
        }
    }
}

#[tokio::test]
async fn in_what_is_known_of_a_key_package_which_comes_back_only_if_it_is_in_stock() {
    for (number, standing) in [(1, Standing::InStock), (LAST, Standing::InStock), (GONE, Standing::Gone)] {
        for byte in [0, 1, 2, 5, 9, usize::MAX] {
            let place = filled().await;
            flip(&place, &keys::known(&reference(number)), byte);
            let store = Store::open(&place.path()).unwrap();
            assert_eq!(store.standing(&reference(number)).await.unwrap(), Some(standing), "{number}, {byte}");
            let used = store.last_resorts(&client("bob")).await.unwrap()[0].used;
            assert_eq!(used, number == LAST, "who cannot know takes it for used");
            serves_the_rest(store, Kind::Known).await;
            assert_eq!(quarantined(&place), 0);
            // When its time is over it is forgotten like the others.
            let store = Store::open(&place.path()).unwrap();
            let outlived = store.outlived_key_packages(Timestamp::END, 10).await.unwrap();
            assert_eq!(outlived.len(), if number == GONE { 4 } else { 5 });
            let ops = outlived.into_iter().map(Op::Discard).collect();
            store.apply(batch(vec![], ops)).await.unwrap();
            assert_eq!(store.standing(&reference(number)).await.unwrap(), None);
            store.close().await;
            let left = [Kind::Shelved, Kind::LastResort, Kind::Known, Kind::KnownUntil];
            for kind in left {
                assert_eq!(place.raw().scan_prefix([kind.prefix()]).count(), 0, "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn in_a_key_package_of_which_nothing_is_known() {
    let place = filled().await;
    place.raw().remove(keys::known(&reference(1))).unwrap();
    let store = Store::open(&place.path()).unwrap();
    let in_stock = vec![Expect::InStock(reference(1))];
    assert!(store.apply(batch(in_stock, vec![])).await.is_err());
    // Whoever takes all of them out comes to an end.
    assert_eq!(store.any_stocked(10).await.unwrap(), [reference(0), reference(2)]);
    let stocked = store.stocked(&client("bob"), None, 2).await.unwrap();
    assert_eq!(stocked.last().map(|row| row.key_package.clone()), Some(key_package("bob", 2, 50, 100)));
    assert_eq!(store.quarantined().await.unwrap(), 1);
    // The row with its time is left over, and goes.
    assert_eq!(store.outlived_key_packages(Timestamp::END, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn in_a_key_package_whose_bytes_lie_beside() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    let large = key_package("bob", 1, 50, 9_000);
    let small = key_package("bob", 2, 50, 100);
    store.apply(batch(vec![], vec![Op::Shelve(large.clone()), Op::Shelve(small.clone())])).await.unwrap();
    fs::remove_file(&place.bulk_files()[0]).unwrap();
    let stocked = store.stocked(&client("bob"), None, 10).await.unwrap();
    assert_eq!(stocked.into_iter().map(|row| row.key_package).collect::<Vec<_>>(), [small]);
    assert_eq!(store.standing(&large.reference).await.unwrap(), Some(Standing::Gone));
    assert_eq!(store.quarantined().await.unwrap(), 1);
}

#[tokio::test]
async fn in_one_of_two_copies() {
    for kind in [Kind::Owner, Kind::Cursor, Kind::Counters] {
        for copy in keys::copies(kind) {
            let place = filled().await;
            flip(&place, &copy, 9);
            serves_the_rest(Store::open(&place.path()).unwrap(), Kind::Journal).await;
        }
    }
}

#[tokio::test]
async fn in_both_copies() {
    let place = filled().await;
    for kind in [Kind::Owner, Kind::Cursor] {
        keys::copies(kind).iter().for_each(|copy| flip(&place, copy, 9));
    }
    let store = Store::open(&place.path()).unwrap();
    let named = |error: BackendError, name: &str| matches!(&error, BackendError::Damaged(what) if what.contains(name));
    assert!(named(store.owner().await.unwrap_err(), "owner"));
    assert!(named(store.cursor().await.unwrap_err(), "cursor"));
    let moved = batch(vec![Expect::Cursor(None)], vec![Op::MoveCursor(token("s2"))]);
    assert!(named(store.apply(moved).await.unwrap_err(), "cursor"));
    assert!(named(store.apply(batch(vec![Expect::Unbound], vec![])).await.unwrap_err(), "owner"));
    assert_eq!(store.inbox(None, 10).await.unwrap().len(), 3);
    assert_eq!(store.quarantined().await.unwrap(), 0, "copies stay where they are");
    store.close().await;

    keys::copies(Kind::Counters).iter().for_each(|copy| flip(&place, copy, 9));
    let refused = Store::open(&place.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::Damaged { what, .. } if what.contains("counters")), "{refused:?}");
}

#[tokio::test]
async fn in_a_bulk_file() {
    type Harm = fn(&std::path::Path);
    let harms: [Harm; 3] = [
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[4_000] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| fs::write(path, "short").unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for harm in harms {
        let place = filled().await;
        harm(&place.bulk_files()[0]);
        // Nobody reads it at opening, and a page over the rows is not stopped by it.
        let store = Store::open(&place.path()).unwrap();
        assert_eq!(store.depths().await.unwrap(), FULL);
        assert_eq!(store.inbox(None, 10).await.unwrap().len(), 2);
        assert_eq!(store.quarantined().await.unwrap(), 1);
        serves_the_rest(store, Kind::Inbox).await;
        assert_eq!(quarantined(&place), 1);
    }
}

#[tokio::test]
async fn in_an_answer_whose_bytes_lie_beside() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    store.apply(batch(vec![], vec![Op::Remember(key(1), answer(1, 9_000, 50))])).await.unwrap();
    fs::remove_file(&place.bulk_files()[0]).unwrap();
    let damaged = store.answer(key(1)).await.unwrap_err();
    assert!(matches!(&damaged, BackendError::Damaged(what) if what.contains("answer")), "{damaged:?}");
    // It was reported; now the question can be answered anew.
    assert_eq!(store.answer(key(1)).await.unwrap(), None);
    let expect = vec![Expect::NoAnswer(key(1), Timestamp::from_millis(0))];
    store.apply(batch(expect, vec![Op::Remember(key(1), answer(1, 9_000, 60))])).await.unwrap();
    assert_eq!(store.answer(key(1)).await.unwrap(), Some(answer(1, 9_000, 60)), "the file was written anew");
}

#[tokio::test]
async fn in_a_key() {
    let place = filled().await;
    let db = place.raw();
    let row = keys::row(Kind::Owed, 1);
    let value = db.remove(&row).unwrap().unwrap();
    db.insert(keys::row(Kind::Owed, 0x101), value).unwrap();
    db.insert(b"zebra", b"what is this?").unwrap();
    db.flush().unwrap();
    drop(db);
    serves_the_rest(Store::open(&place.path()).unwrap(), Kind::Owed).await;
    assert_eq!(quarantined(&place), 2);
}

#[tokio::test]
async fn in_the_journal_of_a_write_that_cannot_be_finished() {
    let place = filled().await;
    place.raw().insert(keys::journal(), b"nonsense").unwrap();
    let refused = Store::open(&place.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::Damaged { what, .. } if what.contains("journal")), "{refused:?}");
}
