//! The laws.

use std::sync::Arc;

use maypole_core::batch::{Backend, BackendError, Expect, Op};
use maypole_core::group::Entry;
use maypole_core::ids::{InboxSeq, OwedId};
use maypole_core::limits;
use maypole_core::memory::Records;
use maypole_core::shares::Shares;
use maypole_core::time::Timestamp;

use super::random::compare;
use super::samples::{
    agenda, answer, aside, batch, client, entry, epoch, frozen, group, head, key, key_package, message, owed,
    owed_to_many, reference, snapshot, staged, token, transaction, user,
};
use super::{Place, directory, key_packages};

/// Every law that needs no random cases. Each gets a place of its own.
pub(crate) async fn all<P: Place>(place: impl Fn() -> P) {
    an_empty_store_is_empty(&place()).await;
    a_conflict_names_what_does_not_hold_and_changes_nothing(&place()).await;
    numbers_are_never_given_out_twice(&place()).await;
    every_size_comes_back_whole(&place()).await;
    an_expired_answer_is_replaced_with_its_expiry(&place()).await;
    push_transactions_are_bounded(&place()).await;
    rows_set_aside_are_bounded(&place()).await;
    a_large_batch_is_one_batch(&place()).await;
    of_many_at_once_one_wins(&place()).await;
    of_many_commits_of_one_epoch_one_wins(&place()).await;
    of_many_amendments_of_one_agenda_one_wins(&place()).await;
    a_log_is_read_in_order_and_in_pages(&place()).await;
    Box::pin(a_page_of_a_log_has_a_bound_in_bytes(&place())).await;
    a_freeze_stays_until_it_is_lifted(&place()).await;
    what_is_in_hand_is_not_given_again(&place()).await;
    a_log_begins_where_what_was_removed_ended(&place()).await;
    Box::pin(trees_are_kept_until_each_is_removed(&place())).await;
    groups_are_listed_in_pages_each_once(&place()).await;
    key_packages::all(&place).await;
    directory::all(&place).await;
}

async fn an_empty_store_is_empty(place: &impl Place) {
    let store = place.open().await;
    compare(&store, &Records::default()).await;
    assert!(store.inbox(Some(InboxSeq::new(u64::MAX)), 10).await.unwrap().is_empty());
    assert!(store.owed(None, 0).await.unwrap().is_empty());
    place.close(store).await;
}

async fn a_conflict_names_what_does_not_hold_and_changes_nothing(place: &impl Place) {
    let store = place.open().await;
    let now = Timestamp::from_millis(10);
    let setup = vec![
        Op::Bind(user("_mls_ds")),
        Op::BindKeys(key(1).0),
        Op::MoveCursor(token("s1")),
        Op::Remember(key(1), answer(1, 10, 11)),
        Op::NoteTransaction(transaction(1)),
        Op::SetHead(head(1, 5, 10)),
        Op::Stage(staged(1, 7, 10)),
        Op::SetAgenda(agenda(1, 3, 10)),
        Op::Freeze(group(1), frozen(3, 10)),
        Op::Shelve(key_package("bob", 1, 10, 10)),
        Op::Shelve(key_package("bob", 2, 10, 10)),
        Op::TakeOut(reference(2)),
        Op::Shelve(key_package("bob", 3, 10, 10)),
    ];
    store
        .apply(batch(vec![Expect::Unbound, Expect::KeysUnbound, Expect::Cursor(None)], setup))
        .await
        .unwrap();
    let broken = [
        Expect::Unbound,
        Expect::KeysUnbound,
        Expect::Cursor(None),
        Expect::Cursor(Some(token("s2"))),
        Expect::InInbox(InboxSeq::new(0)),
        Expect::NoAnswer(key(1), now),
        Expect::NewTransaction(transaction(1)),
        Expect::StillOwed(OwedId::new(0)),
        Expect::GroupAt(group(1), None),
        Expect::GroupAt(group(1), Some(epoch(4))),
        Expect::GroupAt(group(2), Some(epoch(5))),
        Expect::AgendaAt(group(1), None),
        Expect::AgendaAt(group(1), Some(2)),
        Expect::AgendaAt(group(2), Some(3)),
        Expect::StagedIn(group(1), None),
        Expect::StagedIn(group(1), Some(InboxSeq::new(8))),
        Expect::StagedIn(group(2), Some(InboxSeq::new(7))),
        Expect::NotStaged(InboxSeq::new(7)),
        Expect::NotFrozen(group(1)),
        Expect::NewKeyPackage(reference(1)),
        Expect::NewKeyPackage(reference(2)),
        Expect::InStock(reference(2)),
        Expect::InStock(reference(4)),
        Expect::StockAtMost(client("bob"), 1),
    ];
    let before = store.depths().await.unwrap();
    for expect in broken {
        let held = Expect::Cursor(Some(token("s1")));
        let ops = vec![Op::Receive(message(1, 10)), Op::Owe(owed(1, 9_000)), Op::MoveCursor(token("s3"))];
        match store.apply(batch(vec![held, expect.clone()], ops)).await {
            Err(BackendError::Conflict(found)) => assert_eq!(*found, expect),
            other => panic!("{expect:?} gave {other:?}"),
        }
        assert_eq!(store.depths().await.unwrap(), before);
        assert_eq!(store.cursor().await.unwrap(), Some(token("s1")));
    }
    // The same name with another body is another transaction.
    let other =
        vec![Expect::NewTransaction(transaction(0)), Expect::NoAnswer(key(1), Timestamp::from_millis(11))];
    assert!(store.apply(batch(other, Vec::new())).await.unwrap().is_empty());
    place.close(store).await;
}

async fn numbers_are_never_given_out_twice(place: &impl Place) {
    let mut next = (0, 0);
    for round in 0..3 {
        let store = place.open().await;
        let ops = vec![Op::Owe(owed(round, 10)), Op::Receive(message(round, 10)), Op::Owe(owed(round, 20))];
        let ids = store.apply(batch(Vec::new(), ops)).await.unwrap();
        assert_eq!(ids, [OwedId::new(next.1), OwedId::new(next.1 + 1)]);
        let row = store.inbox(None, 10).await.unwrap()[0].seq;
        assert_eq!(row, InboxSeq::new(next.0));
        let gone = vec![Op::Settle(ids[0]), Op::Settle(ids[1]), Op::Leave(row)];
        store.apply(batch(vec![Expect::InInbox(row), Expect::StillOwed(ids[1])], gone)).await.unwrap();
        assert_eq!(store.depths().await.unwrap().owed, 0);
        place.close(store).await;
        next = (next.0 + 1, next.1 + 2);
    }
}

async fn every_size_comes_back_whole(place: &impl Place) {
    let sizes = [0, 1, 100, 3_800, 3_900, 3_950, 4_000, 4_050, 4_096, 4_200, 60_000, 1_000_000];
    let mut model = Records::default();
    let store = place.open().await;
    for (seed, size) in (1_u64..).zip(sizes) {
        // Alike on purpose: one bulk file may serve them all.
        let ops = vec![
            Op::Receive(message(seed, size)),
            Op::Owe(owed(seed, size)),
            Op::Owe(owed(seed, size)),
            Op::Remember(key(seed), answer(seed, size, 100 + seed)),
            Op::SetAside(aside(seed, size)),
            Op::Owe(owed_to_many(seed, size / 100)),
            Op::MoveCursor(token(&"s".repeat(size.clamp(1, 4_096)))),
            Op::SetHead(head(seed % 4, seed, size.min(10_000))),
            Op::Append(group(seed % 4), entry(seed, size)),
            Op::PutSnapshot(group(seed % 4), snapshot(seed, size)),
            Op::Stage(staged(seed % 4, seed, size)),
            Op::SetAgenda(agenda(seed % 4, seed, size)),
            Op::Freeze(group(seed % 4), frozen(seed, size)),
            Op::Shelve(key_package("bob", seed, seed, size)),
        ];
        model.apply(batch(Vec::new(), ops.clone())).unwrap();
        store.apply(batch(Vec::new(), ops)).await.unwrap();
        // One of the two goes: what they share stays.
        let ops = vec![Op::Settle(OwedId::new(3 * (seed - 1)))];
        model.apply(batch(Vec::new(), ops.clone())).unwrap();
        store.apply(batch(Vec::new(), ops)).await.unwrap();
    }
    compare(&store, &model).await;
    place.close(store).await;
    let store = place.open().await;
    compare(&store, &model).await;
    place.close(store).await;
}

async fn an_expired_answer_is_replaced_with_its_expiry(place: &impl Place) {
    let store = place.open().await;
    let at = Timestamp::from_millis;
    let remember = |expires_at| vec![Op::Remember(key(1), answer(expires_at, 5_000, expires_at))];
    store.apply(batch(vec![Expect::NoAnswer(key(1), at(0))], remember(10))).await.unwrap();
    assert_eq!(store.expired_answers(at(9), 10).await.unwrap(), []);
    assert_eq!(store.expired_answers(at(10), 10).await.unwrap(), [key(1)]);
    assert_eq!(store.expired_answers(at(10), 0).await.unwrap(), []);
    assert!(store.apply(batch(vec![Expect::NoAnswer(key(1), at(9))], remember(20))).await.is_err());
    store.apply(batch(vec![Expect::NoAnswer(key(1), at(10))], remember(20))).await.unwrap();
    assert_eq!(store.expired_answers(at(19), 10).await.unwrap(), []);
    assert_eq!(store.expired_answers(at(20), 10).await.unwrap(), [key(1)]);
    assert_eq!(store.answer(key(1)).await.unwrap(), Some(answer(20, 5_000, 20)));
    assert_eq!(store.depths().await.unwrap().answers, 1);
    store.apply(batch(Vec::new(), vec![Op::Forget(key(1)), Op::Forget(key(2))])).await.unwrap();
    assert_eq!(store.expired_answers(at(u64::MAX), 10).await.unwrap(), []);
    assert_eq!(store.depths().await.unwrap().answers, 0);
    place.close(store).await;
}

async fn push_transactions_are_bounded(place: &impl Place) {
    let store = place.open().await;
    let count = limits::PUSH_TRANSACTIONS_REMEMBERED as u64;
    let ops = (0..=count).map(|number| Op::NoteTransaction(transaction(number))).collect();
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    place.close(store).await;
    let store = place.open().await;
    let new = |number| batch(vec![Expect::NewTransaction(transaction(number))], Vec::new());
    assert!(store.apply(new(0)).await.is_ok(), "the oldest is forgotten");
    assert!(store.apply(new(1)).await.is_err(), "the next is not");
    assert!(store.apply(new(count)).await.is_err());
    place.close(store).await;
}

async fn rows_set_aside_are_bounded(place: &impl Place) {
    let store = place.open().await;
    let count = limits::SET_ASIDE_ROWS as u64;
    for first in (0..count).step_by(1_000) {
        let ops = (first..first + 1_000).map(|seed| Op::SetAside(aside(seed, 10))).collect();
        store.apply(batch(Vec::new(), ops)).await.unwrap();
    }
    store.apply(batch(Vec::new(), vec![Op::SetAside(aside(count, 5_000))])).await.unwrap();
    assert_eq!(store.depths().await.unwrap().set_aside, count);
    let rows = store.set_aside(usize::MAX).await.unwrap();
    assert_eq!(rows.first(), Some(&aside(count, 5_000)));
    assert_eq!(rows.last(), Some(&aside(1, 10)));
    place.close(store).await;
}

async fn a_large_batch_is_one_batch(place: &impl Place) {
    let store = place.open().await;
    let mut model = Records::default();
    let mut ops: Vec<Op> = (0..1_000).map(|seed| Op::Receive(message(seed, 1_000))).collect();
    ops.extend((0..500).map(|seed| Op::Remember(key(seed), answer(seed, 500, seed))));
    ops.push(Op::MoveCursor(token("s1")));
    let received = batch(vec![Expect::Cursor(None)], ops);
    assert!(model.apply(received.clone()).is_ok());
    store.apply(received.clone()).await.unwrap();
    compare(&store, &model).await;
    match store.apply(received).await {
        Err(BackendError::Conflict(_)) => {}
        other => panic!("received twice: {other:?}"),
    }
    let all = store.expired_answers(Timestamp::from_millis(u64::MAX), 500).await.unwrap();
    assert_eq!(all.len(), 500);
    let forget = batch(Vec::new(), all.into_iter().map(Op::Forget).collect());
    assert!(model.apply(forget.clone()).is_ok());
    store.apply(forget).await.unwrap();
    place.close(store).await;
    let store = place.open().await;
    compare(&store, &model).await;
    place.close(store).await;
}

async fn of_many_at_once_one_wins(place: &impl Place) {
    let store = Arc::new(place.open().await);
    for round in 0..20 {
        let from = (round > 0).then(|| token(&format!("round {round}")));
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (store, from) = (Arc::clone(&store), from.clone());
                let to = token(&format!("round {}", round + 1));
                tokio::spawn(async move {
                    let ops = vec![Op::MoveCursor(to), Op::Receive(message(round, 5_000))];
                    store.apply(batch(vec![Expect::Cursor(from)], ops)).await.is_ok()
                })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.unwrap());
        }
        assert_eq!(winners, 1, "round {round}");
    }
    assert_eq!(store.depths().await.unwrap().inbox, 20);
    place.close(Arc::into_inner(store).unwrap()).await;
}

async fn of_many_commits_of_one_epoch_one_wins(place: &impl Place) {
    let store = Arc::new(place.open().await);
    for round in 0..20 {
        let before = u64::checked_sub(round, 1).map(epoch);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let ops =
                        vec![Op::SetHead(head(1, round, 10)), Op::Append(group(1), entry(round, 2_000))];
                    store.apply(batch(vec![Expect::GroupAt(group(1), before)], ops)).await.is_ok()
                })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.unwrap());
        }
        assert_eq!(winners, 1, "epoch {round}");
    }
    assert_eq!(store.head(&group(1)).await.unwrap(), Some(head(1, 19, 10)));
    assert_eq!(store.log(&group(1), epoch(0), 100).await.unwrap().len(), 20);
    place.close(Arc::into_inner(store).unwrap()).await;
}

async fn of_many_amendments_of_one_agenda_one_wins(place: &impl Place) {
    let store = Arc::new(place.open().await);
    for round in 0..20 {
        let before = u64::checked_sub(round, 1);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let ops = vec![Op::SetAgenda(agenda(1, round, 100)), Op::Owe(owed(round, 100))];
                    store.apply(batch(vec![Expect::AgendaAt(group(1), before)], ops)).await.is_ok()
                })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.unwrap());
        }
        assert_eq!(winners, 1, "revision {round}");
    }
    assert_eq!(store.agenda(&group(1)).await.unwrap(), Some(agenda(1, 19, 100)));
    assert_eq!(store.depths().await.unwrap().owed, 20, "what goes with an agenda goes with the one that won");
    place.close(Arc::into_inner(store).unwrap()).await;
}

async fn a_log_is_read_in_order_and_in_pages(place: &impl Place) {
    let store = place.open().await;
    // Neither the order of writing nor another group's log matters.
    for at in [300, 2, 255, 256, 0, 1] {
        let ops = vec![Op::Append(group(1), entry(at, 50)), Op::Append(group(2), entry(at + 1, 50))];
        store.apply(batch(Vec::new(), ops)).await.unwrap();
    }
    let epochs = async |from, limit| {
        let page = store.log(&group(1), epoch(from), limit).await.unwrap();
        page.into_iter().map(|entry| entry.epoch.get()).collect::<Vec<_>>()
    };
    assert_eq!(epochs(0, 100).await, [0, 1, 2, 255, 256, 300]);
    assert_eq!(epochs(2, 3).await, [2, 255, 256]);
    assert_eq!(epochs(257, 3).await, [300]);
    assert!(epochs(301, 3).await.is_empty() && epochs(0, 0).await.is_empty());
    assert!(store.log(&group(3), epoch(0), 3).await.unwrap().is_empty());
    place.close(store).await;
}

async fn a_log_begins_where_what_was_removed_ended(place: &impl Place) {
    let store = place.open().await;
    assert_eq!(store.log_begins(&group(1)).await.unwrap(), None);
    // Large and alike: entries may share what lies beside the records.
    let both = |at| [Op::Append(group(1), entry(at, 9_000)), Op::Append(group(2), entry(at, 9_000))];
    store.apply(batch(Vec::new(), (254..258).flat_map(both).collect())).await.unwrap();
    assert_eq!(store.log_begins(&group(1)).await.unwrap(), Some(epoch(254)));
    let removed = |at| Op::RemoveEntry(group(1), epoch(at));
    store.apply(batch(Vec::new(), vec![removed(254), removed(255), removed(9)])).await.unwrap();
    place.close(store).await;
    let store = place.open().await;
    assert_eq!(store.log_begins(&group(1)).await.unwrap(), Some(epoch(256)));
    assert_eq!(store.log(&group(1), epoch(0), 9).await.unwrap(), [entry(256, 9_000), entry(257, 9_000)]);
    assert_eq!(store.log(&group(2), epoch(0), 9).await.unwrap().len(), 4, "another group's log is whole");
    store.apply(batch(Vec::new(), vec![removed(256), removed(257)])).await.unwrap();
    assert_eq!(store.log_begins(&group(1)).await.unwrap(), None);
    place.close(store).await;
}

async fn trees_are_kept_until_each_is_removed(place: &impl Place) {
    let store = place.open().await;
    assert_eq!(store.snapshot(&group(1), epoch(9)).await.unwrap(), None);
    assert_eq!(store.snapshots(&group(1), epoch(9), 9).await.unwrap(), []);
    // Large and alike: trees of several groups may share what lies beside the records. Nor does the order matter.
    let both = |at| [1, 2].map(|number| Op::PutSnapshot(group(number), snapshot(at, 9_000)));
    store.apply(batch(Vec::new(), [300, 2, 256].into_iter().flat_map(both).collect())).await.unwrap();
    let at = async |number, at| {
        let found = store.snapshot(&group(number), epoch(at)).await.unwrap();
        assert!(found.as_ref().is_none_or(|found| *found == snapshot(found.epoch.get(), 9_000)));
        found.map(|found| found.epoch.get())
    };
    assert_eq!((at(1, 1).await, at(1, 2).await, at(1, 255).await), (None, Some(2), Some(2)));
    assert_eq!((at(1, 256).await, at(1, 299).await, at(1, 9_999).await), (Some(256), Some(256), Some(300)));
    let from = async |from, limit| {
        let found = store.snapshots(&group(1), epoch(from), limit).await.unwrap();
        assert!(found.iter().all(|found| (9_000..20_000).contains(&found.bytes)), "{found:?}");
        found.into_iter().map(|found| found.epoch.get()).collect::<Vec<_>>()
    };
    assert_eq!((from(0, 9).await, from(255, 9).await), (vec![2, 256, 300], vec![2, 256, 300]));
    assert_eq!((from(256, 1).await, from(9_999, 9).await), (vec![256], vec![300]));
    assert!(from(0, 0).await.is_empty() && store.snapshots(&group(3), epoch(0), 9).await.unwrap().is_empty());
    // One is written anew, one goes, and one that is not there.
    let ops = vec![
        Op::PutSnapshot(group(1), snapshot(300, 9_000)),
        Op::RemoveSnapshot(group(1), epoch(256)),
        Op::RemoveSnapshot(group(1), epoch(257)),
    ];
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    place.close(store).await;
    let store = place.open().await;
    let epochs = async |number| {
        let found = store.snapshots(&group(number), epoch(0), 9).await.unwrap();
        found.into_iter().map(|found| found.epoch.get()).collect::<Vec<_>>()
    };
    assert_eq!((epochs(1).await, epochs(2).await), (vec![2, 300], vec![2, 256, 300]));
    assert_eq!(store.snapshot(&group(1), epoch(299)).await.unwrap(), Some(snapshot(2, 9_000)));
    assert_eq!(store.snapshot(&group(2), epoch(299)).await.unwrap(), Some(snapshot(256, 9_000)));
    let all = [2, 300].map(|at| Op::RemoveSnapshot(group(1), epoch(at)));
    store.apply(batch(Vec::new(), all.into())).await.unwrap();
    assert_eq!(store.snapshot(&group(1), epoch(9_999)).await.unwrap(), None);
    place.close(store).await;
}

async fn a_page_of_a_log_has_a_bound_in_bytes(place: &impl Place) {
    let store = place.open().await;
    let large = limits::LOG_PAGE_BYTES / 4;
    // Of the largest the message alone is more than a page.
    let sizes = [large, large, large, 10, 2 * limits::LOG_PAGE_BYTES, 10, large, 10];
    for (at, size) in (1..).zip(sizes) {
        store.apply(batch(Vec::new(), vec![Op::Append(group(1), entry(at, size))])).await.unwrap();
    }
    let (mut next, mut pages) = (epoch(0), Vec::new());
    loop {
        let page = store.log(&group(1), next, limits::LOG_PAGE).await.unwrap();
        let Some(last) = page.last() else { break };
        next = last.epoch.next().unwrap();
        pages.push(page);
    }
    let epochs = |page: &[Entry]| page.iter().map(|entry| entry.epoch.get()).collect::<Vec<_>>();
    let found: Vec<_> = pages.iter().map(|page| epochs(page)).collect();
    assert_eq!(found, [vec![1, 2], vec![3, 4], vec![5], vec![6, 7, 8]]);
    for (entry_found, (at, size)) in pages.iter().flatten().zip((1..).zip(sizes)) {
        assert!(*entry_found == entry(at, size), "epoch {at}");
    }
    assert_eq!(epochs(&store.log(&group(1), epoch(5), 1).await.unwrap()), [5]);
    assert!(store.log(&group(1), epoch(1), 0).await.unwrap().is_empty());
    place.close(store).await;
}

async fn groups_are_listed_in_pages_each_once(place: &impl Place) {
    let store = place.open().await;
    assert!(store.groups(None, 9).await.unwrap().is_empty());
    let heads = (0..23).map(|number| Op::SetHead(head(number, 1, 10))).collect();
    store.apply(batch(Vec::new(), heads)).await.unwrap();
    let (mut found, mut last) = (Vec::new(), None);
    loop {
        let page = store.groups(last.as_ref(), 5).await.unwrap();
        assert!(page.len() <= 5);
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        found.extend(page);
    }
    found.sort();
    let mut all: Vec<_> = (0..23).map(group).collect();
    all.sort();
    assert_eq!(found, all);
    assert!(store.groups(None, 0).await.unwrap().is_empty());
    place.close(store).await;
}

async fn what_is_in_hand_is_not_given_again(place: &impl Place) {
    let store = place.open().await;
    let ops = (0..6).flat_map(|seed| [Op::Receive(message(seed, 50)), Op::Owe(owed(seed, 5_000))]);
    store.apply(batch(Vec::new(), ops.collect())).await.unwrap();
    let unanswered = async |but_for: &[u64], limit| {
        let but_for = but_for.iter().copied().map(InboxSeq::new).collect();
        let rows = store.unanswered(Shares::ALL, but_for, limit).await.unwrap();
        rows.into_iter().map(|row| row.seq.get()).collect::<Vec<_>>()
    };
    let undelivered = async |but_for: &[u64], limit| {
        let but_for = but_for.iter().copied().map(OwedId::new).collect();
        let rows = store.undelivered(Shares::ALL, but_for, limit).await.unwrap();
        rows.into_iter().map(|row| row.id.get()).collect::<Vec<_>>()
    };
    assert_eq!(unanswered(&[], 100).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(unanswered(&[0, 2, 99], 3).await, [1, 3, 4]);
    assert_eq!(undelivered(&[5, 0, 1], 100).await, [2, 3, 4]);
    assert!(unanswered(&[0, 1, 2, 3, 4, 5], 9).await.is_empty() && undelivered(&[], 0).await.is_empty());
    let gone = vec![Op::Leave(InboxSeq::new(1)), Op::Settle(OwedId::new(2))];
    store.apply(batch(Vec::new(), gone)).await.unwrap();
    assert_eq!((unanswered(&[0], 1).await, undelivered(&[0, 1], 1).await), (vec![2], vec![3]));
    place.close(store).await;
}

async fn a_freeze_stays_until_it_is_lifted(place: &impl Place) {
    let store = place.open().await;
    let freeze = |at| batch(Vec::new(), vec![Op::Freeze(group(1), frozen(at, 5))]);
    let command = || batch(vec![Expect::NotFrozen(group(1))], vec![Op::SetHead(head(1, 1, 5))]);
    store.apply(freeze(1)).await.unwrap();
    store.apply(freeze(2)).await.unwrap();
    assert!(matches!(store.apply(command()).await, Err(BackendError::Conflict(_))));
    place.close(store).await;
    let store = place.open().await;
    assert_eq!(store.frozen(&group(1)).await.unwrap(), Some(frozen(2, 5)), "the reason given last");
    assert_eq!(store.frozen(&group(2)).await.unwrap(), None);
    assert!(store.apply(command()).await.is_err() && store.head(&group(1)).await.unwrap().is_none());
    let lift = || batch(Vec::new(), vec![Op::Unfreeze(group(1)), Op::Unfreeze(group(2))]);
    store.apply(lift()).await.unwrap();
    store.apply(lift()).await.unwrap();
    assert_eq!(store.frozen(&group(1)).await.unwrap(), None);
    store.apply(command()).await.unwrap();
    // One batch may do both.
    let ops = vec![Op::Freeze(group(1), frozen(3, 5)), Op::Unfreeze(group(1))];
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    store.apply(command()).await.unwrap();
    place.close(store).await;
}
