//! Where a group stands, what it owes and what is staged is looked at with every answer: without reading large files.

use maypole_core::batch::{Backend, BackendError, Expect, Op};
use maypole_core::ids::InboxSeq;

use super::Somewhere;
use crate::storage::conformance::samples::{agenda, batch, epoch, group, head, staged};
use crate::storage::sled::Store;

#[tokio::test]
async fn what_is_looked_at_is_not_read() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    // Each of them lies in a file of its own.
    let ops = vec![
        Op::SetHead(head(1, 5, 9_000)),
        Op::SetAgenda(agenda(1, 3, 9_000)),
        Op::Stage(staged(1, 7, 9_000)),
    ];
    store.apply(batch(vec![], ops)).await.unwrap();
    let files = place.bulk_files();
    assert_eq!(files.len(), 3);
    files.into_iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let (at, of) = (Some(epoch(5)), Some(InboxSeq::new(7)));
    let holds = vec![
        Expect::GroupAt(group(1), at),
        Expect::AgendaAt(group(1), Some(3)),
        Expect::StagedIn(group(1), of),
        Expect::NotStaged(InboxSeq::new(8)),
    ];
    store.apply(batch(holds.clone(), vec![])).await.unwrap();
    for broken in [
        Expect::GroupAt(group(1), Some(epoch(4))),
        Expect::AgendaAt(group(1), None),
        Expect::StagedIn(group(1), None),
        Expect::NotStaged(InboxSeq::new(7)),
    ] {
        let refused = store.apply(batch(vec![broken], vec![])).await;
        assert!(matches!(refused, Err(BackendError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(store.staged_groups(9).await.unwrap(), [(group(1), InboxSeq::new(7))]);
    store.close().await;
    // Who begins anew knows nothing but what is there: that the group is not free.
    let store = Store::open(&place.path()).unwrap();
    for damaged in
        holds.into_iter().take(3).chain([Expect::StagedIn(group(1), None), Expect::GroupAt(group(1), None)])
    {
        let refused = store.apply(batch(vec![damaged], vec![])).await;
        assert!(matches!(refused, Err(BackendError::Damaged(_))), "{refused:?}");
    }
    assert!(store.staged_groups(9).await.unwrap().is_empty());
    assert_eq!(store.depths().await.unwrap().staged, 1);
    // What takes its place is known again.
    store.apply(batch(vec![], vec![Op::Stage(staged(1, 9, 10))])).await.unwrap();
    store.apply(batch(vec![Expect::StagedIn(group(1), Some(InboxSeq::new(9)))], vec![])).await.unwrap();
    store.apply(batch(vec![], vec![Op::Unstage(group(1))])).await.unwrap();
    let free = vec![Expect::StagedIn(group(1), None), Expect::NotStaged(InboxSeq::new(9))];
    store.apply(batch(free, vec![])).await.unwrap();
}

#[tokio::test]
async fn what_was_staged_is_known_after_a_start() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    let ops = (0..3).map(|number| Op::Stage(staged(number, 10 + number, 9_000))).collect();
    store.apply(batch(vec![], ops)).await.unwrap();
    store.close().await;
    let store = Store::open(&place.path()).unwrap();
    let mut found = store.staged_groups(9).await.unwrap();
    found.sort();
    assert_eq!(found, [0, 1, 2].map(|number| (group(number), InboxSeq::new(10 + number))));
    assert!(store.apply(batch(vec![Expect::NotStaged(InboxSeq::new(11))], vec![])).await.is_err());
}
