//! A bit flips in each kind of record: it is found, and the rest is served.

use maypole_core::batch::{Backend as _, BackendError, Op};
use maypole_core::directory::Standing;
use maypole_core::ids::{InboxSeq, OwedId};

use super::Server;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{
    agenda, answer, aside, batch, client, entry, epoch, frozen, group, head, key, key_package, message, owed,
    reference, snapshot, staged,
};
use crate::storage::postgres::read::{Key, quarantine};
use crate::storage::postgres::record::Table;

/// Turns a bit in the middle of a record.
const FLIP: &str =
    "SET record = set_bit(record, length(record) * 4, 1 - get_bit(record, length(record) * 4))";

#[tokio::test]
async fn a_damaged_row_of_a_queue_is_moved_out_of_the_way() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let ops = (0..3).flat_map(|seed| {
        let answer = answer(seed, 50, 100);
        [
            Op::Receive(message(seed, 50)),
            Op::Owe(owed(seed, 50)),
            Op::SetAside(aside(seed, 50)),
            Op::Remember(key(seed), answer),
            Op::Shelve(key_package("bob", seed, 100, 50)),
        ]
    });
    store.apply(batch(Vec::new(), ops.collect())).await.unwrap();
    for update in [
        format!("UPDATE inbox {FLIP} WHERE seq = 1"),
        format!("UPDATE owed {FLIP} WHERE id = 1"),
        format!("UPDATE set_aside {FLIP} WHERE number = (SELECT min(number) + 1 FROM set_aside)"),
        format!("UPDATE key_packages {FLIP} WHERE reference = '\\x{:?}'", reference(1)),
        format!("UPDATE answers {FLIP} WHERE key = '\\x{:?}'", key(1).0),
    ] {
        assert_eq!(place.run(&update).await, 1, "{update}");
    }
    let rows: Vec<_> = store.inbox(None, 10).await.unwrap().iter().map(|row| row.seq).collect();
    assert_eq!(rows, [InboxSeq::new(0), InboxSeq::new(2)]);
    let rows: Vec<_> = store.owed(None, 10).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(rows, [OwedId::new(0), OwedId::new(2)]);
    assert_eq!(store.set_aside(10).await.unwrap(), [aside(2, 50), aside(0, 50)]);
    // An answer is an error once, and then forgotten.
    assert!(matches!(store.answer(key(1)).await, Err(BackendError::Damaged(_))));
    assert_eq!(store.answer(key(1)).await.unwrap(), None);
    assert_eq!(store.answer(key(2)).await.unwrap(), Some(answer(2, 50, 100)));
    // A KeyPackage may have been handed out: it does not come back.
    assert_eq!(store.standing(&reference(1)).await.unwrap(), Some(Standing::InStock));
    let stocked = store.stocked(&client("bob"), None, 9).await.unwrap();
    let found: Vec<_> = stocked.into_iter().map(|shelved| shelved.key_package.reference).collect();
    assert_eq!(found, [reference(0), reference(2)]);
    assert_eq!(store.standing(&reference(1)).await.unwrap(), Some(Standing::Gone));
    assert_eq!(store.quarantined().await.unwrap(), 5);
    let depths = store.depths().await.unwrap();
    assert_eq!((depths.inbox, depths.owed, depths.set_aside, depths.answers), (2, 2, 2, 2));
    place.close(store).await;
}

#[tokio::test]
async fn a_damaged_record_of_a_group_stays_and_says_so() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let ops = (1..=2).flat_map(|number| {
        let id = group(number);
        [
            Op::SetHead(head(number, 5, 50)),
            Op::SetAgenda(agenda(number, 3, 50)),
            Op::Append(id.clone(), entry(5, 50)),
            Op::PutSnapshot(id, snapshot(5, 50)),
            Op::Stage(staged(number, 7, 50)),
            Op::Freeze(group(number), frozen(number, 50)),
        ]
    });
    store.apply(batch(Vec::new(), ops.collect())).await.unwrap();
    for (table, column) in [
        ("groups", "id"),
        ("log", "group_id"),
        ("snapshots", "group_id"),
        ("staged", "group_id"),
        ("frozen", "group_id"),
        ("agendas", "group_id"),
    ] {
        let id: String = group(1).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let update = format!("UPDATE {table} {FLIP} WHERE {column} = '\\x{id}'");
        assert_eq!(place.run(&update).await, 1, "{update}");
    }
    for _ in 0..2 {
        assert!(matches!(store.head(&group(1)).await, Err(BackendError::Damaged(_))));
        assert!(matches!(store.log(&group(1), epoch(0), 10).await, Err(BackendError::Damaged(_))));
        assert!(matches!(store.snapshot(&group(1), epoch(9)).await, Err(BackendError::Damaged(_))));
        assert!(matches!(store.staged(&group(1)).await, Err(BackendError::Damaged(_))));
        assert!(matches!(store.agenda(&group(1)).await, Err(BackendError::Damaged(_))));
        assert!(matches!(store.frozen(&group(1)).await, Err(BackendError::Damaged(_))));
    }
    assert_eq!(store.head(&group(2)).await.unwrap(), Some(head(2, 5, 50)));
    assert_eq!(store.log(&group(2), epoch(0), 10).await.unwrap(), [entry(5, 50)]);
    assert_eq!(store.snapshot(&group(2), epoch(9)).await.unwrap(), Some(snapshot(5, 50)));
    assert_eq!(store.agenda(&group(2)).await.unwrap(), Some(agenda(2, 3, 50)));
    assert_eq!(store.staged(&group(2)).await.unwrap(), Some(staged(2, 7, 50)));
    assert_eq!(store.frozen(&group(2)).await.unwrap(), Some(frozen(2, 50)));
    assert_eq!(store.groups(None, 9).await.unwrap(), [group(2)]);
    assert_eq!(store.quarantined().await.unwrap(), 0);
    place.close(store).await;
}

#[tokio::test]
async fn a_damaged_tree_of_an_epoch_that_has_passed_hides_no_other() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let trees = [2, 5, 9].map(|at| Op::PutSnapshot(group(1), snapshot(at, 50)));
    store.apply(batch(Vec::new(), trees.into())).await.unwrap();
    assert_eq!(place.run(&format!("UPDATE snapshots {FLIP} WHERE epoch = 5")).await, 1);
    for at in [5, 6, 8] {
        assert!(matches!(store.snapshot(&group(1), epoch(at)).await, Err(BackendError::Damaged(_))));
    }
    assert_eq!(store.snapshot(&group(1), epoch(4)).await.unwrap(), Some(snapshot(2, 50)));
    assert_eq!(store.snapshot(&group(1), epoch(9)).await.unwrap(), Some(snapshot(9, 50)));
    let epochs = store.snapshots(&group(1), epoch(0), 9).await.unwrap();
    assert_eq!(epochs.iter().map(|found| found.epoch.get()).collect::<Vec<_>>(), [2, 5, 9]);
    // One in the row of another epoch is whole, and is not that epoch's.
    place.run("UPDATE snapshots SET epoch = 7 WHERE epoch = 9").await;
    assert!(matches!(store.snapshot(&group(1), epoch(9)).await, Err(BackendError::Damaged(_))));
    store.apply(batch(Vec::new(), vec![Op::PutSnapshot(group(1), snapshot(5, 60))])).await.unwrap();
    assert_eq!(store.snapshot(&group(1), epoch(6)).await.unwrap(), Some(snapshot(5, 60)));
    place.close(store).await;
}

/// Another process may write anew what this one has just found damaged.
#[tokio::test]
async fn only_what_was_found_is_moved_out_of_the_way() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let ops = vec![Op::Remember(key(1), answer(1, 50, 100)), Op::Shelve(key_package("bob", 1, 100, 50))];
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    let (hash, of_key_package) = (key(1).0, reference(1));
    for (table, key) in
        [(Table::Answers, hash.as_bytes().as_slice()), (Table::KeyPackages, of_key_package.as_bytes())]
    {
        quarantine(&store.pool, table, Key::Bytes(key), b"as it was").await.unwrap();
    }
    assert_eq!(store.quarantined().await.unwrap(), 0);
    assert_eq!(store.answer(key(1)).await.unwrap(), Some(answer(1, 50, 100)));
    assert_eq!(store.standing(&reference(1)).await.unwrap(), Some(Standing::InStock));
    place.close(store).await;
}
