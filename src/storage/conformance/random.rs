//! Random batches against the model.

use maypole_core::batch::{Backend, BackendError, Batch, Expect, Op};
use maypole_core::group::SnapshotAt;
use maypole_core::ids::{InboxSeq, OwedId};
use maypole_core::memory::Records;
use maypole_core::records::{Progress, Queues};
use maypole_core::time::Timestamp;
use proptest::prelude::*;

use super::samples::{
    agenda, answer, aside, batch, entry, epoch, frozen, group, head, key, message, owed, snapshot, staged,
    token, transaction, user,
};
use super::{Place, key_packages};

/// Random batches, with right and wrong expectations, and the store opened again now and then: as the model has it.
pub(crate) fn agrees_with_the_model<P: Place>(cases: u32, place: impl Fn() -> P) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        runtime.block_on(follow(&place(), steps));
    });
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Apply(Batch),
    Reopen,
}

async fn follow(place: &impl Place, steps: Vec<Step>) {
    let store = place.open().await;
    let mut model = Records::default();
    let store = carry_out(place, store, &mut model, steps).await;
    compare(&store, &model).await;
    place.close(store).await;
}

/// Carries steps out on a store and on the model, which agree about each.
pub(crate) async fn carry_out<P: Place>(
    place: &P,
    mut store: P::Store,
    model: &mut Records,
    steps: Vec<Step>,
) -> P::Store {
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Reopen => {
                place.close(store).await;
                store = place.open().await;
                compare(&store, model).await;
            }
            Step::Apply(batch) => {
                let expected = model.apply(batch.clone());
                match (store.apply(batch).await, expected) {
                    (Ok(ids), Ok(expected)) => assert_eq!(ids, expected, "step {number}"),
                    (Err(BackendError::Conflict(found)), Err(expected)) => {
                        assert_eq!(*found, expected, "step {number}");
                    }
                    (found, expected) => panic!("step {number}: {found:?}, but {expected:?}"),
                }
                assert_eq!(store.depths().await.unwrap(), model.depths(), "step {number}");
            }
        }
    }
    store
}

/// Whether the store has what the model has.
pub(crate) async fn compare(store: &impl Backend, model: &Records) {
    assert_eq!(store.owner().await.unwrap(), model.owner());
    assert_eq!(store.keys().await.unwrap(), model.keys());
    assert_eq!(store.progress().await.unwrap(), model.progress());
    assert_eq!(store.cursor().await.unwrap(), model.cursor());
    assert_eq!(store.depths().await.unwrap(), model.depths());
    let queues = Queues { inbox: model.depths().inbox, owed: model.depths().owed };
    assert_eq!(store.queues().await.unwrap(), queues);
    for (after, limit) in [(None, 1_000), (None, 2), (Some(0), 1_000), (Some(3), 1), (Some(9_999), 5)] {
        let (row, id) = (after.map(InboxSeq::new), after.map(OwedId::new));
        assert_eq!(store.inbox(row, limit).await.unwrap(), model.inbox(row, limit));
        assert_eq!(store.owed(id, limit).await.unwrap(), model.owed(id, limit));
        assert_eq!(store.set_aside(limit).await.unwrap(), model.set_aside(limit));
    }
    for number in 0..8 {
        assert_eq!(store.answer(key(number)).await.unwrap(), model.answer(key(number)));
    }
    let mut staged = store.staged_groups(1_000).await.unwrap();
    staged.sort();
    assert_eq!(staged, model.staged_groups());
    assert_eq!(store.staged_groups(1).await.unwrap().len(), staged.len().min(1));
    let mut groups = store.groups(None, 1_000).await.unwrap();
    groups.sort();
    assert_eq!(groups, model.groups());
    for number in 0..4 {
        let group = group(number);
        assert_eq!(store.log_begins(&group).await.unwrap(), model.log_begins(&group));
        assert_eq!(store.frozen(&group).await.unwrap(), model.frozen(&group));
        assert_eq!(store.head(&group).await.unwrap(), model.head(&group));
        for at in [0, 2, 5, 9] {
            let at = epoch(at);
            assert_eq!(store.snapshot(&group, at).await.unwrap(), model.snapshot(&group, at));
            let (found, expected) =
                (store.snapshots(&group, at, 9).await.unwrap(), model.snapshots(&group, at));
            let sized = |found: &SnapshotAt, said: &SnapshotAt| {
                found.epoch == said.epoch && found.bytes >= said.bytes
            };
            let alike = found.iter().zip(&expected).all(|(found, said)| sized(found, said));
            assert!(alike && found.len() == expected.len(), "{found:?}, but {expected:?}");
            assert_eq!(
                store.snapshots(&group, at, 1).await.unwrap(),
                found.into_iter().take(1).collect::<Vec<_>>()
            );
        }
        assert_eq!(store.agenda(&group).await.unwrap(), model.agenda(&group));
        assert_eq!(store.staged(&group).await.unwrap(), model.staged(&group));
        for (from, limit) in [(0, 1_000), (3, 2)] {
            let from = epoch(from);
            assert_eq!(store.log(&group, from, limit).await.unwrap(), model.log(&group, from, limit));
        }
    }
    key_packages::compare(store, model).await;
    for (before, limit) in [(0, 100), (5, 100), (u64::MAX, 3), (u64::MAX, 1_000)] {
        let before = Timestamp::from_millis(before);
        assert_eq!(store.expired_answers(before, limit).await.unwrap(), model.expired_answers(before, limit));
    }
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let apply = (prop::collection::vec(expect(), 0..3), prop::collection::vec(op(), 0..6))
        .prop_map(|(expect, ops)| Step::Apply(batch(expect, ops)));
    prop_oneof![12 => apply, 1 => Just(Step::Reopen)]
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        1 => Just(Expect::Unbound),
        1 => Just(Expect::KeysUnbound),
        2 => cursor().prop_map(Expect::Cursor),
        4 => (0_u64..12).prop_map(|row| Expect::InInbox(InboxSeq::new(row))),
        4 => (0_u64..12).prop_map(|row| Expect::StillOwed(OwedId::new(row))),
        4 => (0_u64..6, 0_u64..10).prop_map(|(number, now)| Expect::NoAnswer(key(number), Timestamp::from_millis(now))),
        2 => (0_u64..6).prop_map(|number| Expect::NewTransaction(transaction(number))),
        3 => (0_u64..3, 0_u64..4).prop_map(|(number, at)| Expect::GroupAt(group(number), at.checked_sub(1).map(epoch))),
        3 => (0_u64..3, 0_u64..4)
            .prop_map(|(number, revision)| Expect::AgendaAt(group(number), revision.checked_sub(1))),
        3 => (0_u64..3, 0_u64..4)
            .prop_map(|(number, row)| Expect::StagedIn(group(number), row.checked_sub(1).map(InboxSeq::new))),
        2 => (0_u64..3).prop_map(|number| Expect::NotFrozen(group(number))),
        2 => (0_u64..4).prop_map(|row| Expect::NotStaged(InboxSeq::new(row))),
        4 => key_packages::expect(),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let shape = || (0_u64..6, size());
    prop_oneof![
        1 => Just(Op::Bind(user("_mls_ds"))),
        1 => (0_u64..3).prop_map(|number| Op::BindKeys(key(number).0)),
        2 => cursor().prop_filter_map("a position", |cursor| cursor.map(Op::MoveCursor)),
        6 => shape().prop_map(|(seed, size)| Op::Receive(message(seed, size))),
        1 => (0_u64..12, shape()).prop_map(|(row, (seed, size))| Op::ReceiveAs(InboxSeq::new(row), message(seed, size))),
        4 => (0_u64..12).prop_map(|row| Op::Leave(InboxSeq::new(row))),
        5 => (shape(), 0_u64..10).prop_map(|((seed, size), at)| Op::Remember(key(seed), answer(seed, size, at))),
        2 => (0_u64..6).prop_map(|number| Op::Forget(key(number))),
        6 => shape().prop_map(|(seed, size)| Op::Owe(owed(seed, size))),
        1 => (0_u64..12, shape()).prop_map(|(row, (seed, size))| Op::OweAs(OwedId::new(row), owed(seed, size))),
        4 => (0_u64..12).prop_map(|row| Op::Settle(OwedId::new(row))),
        1 => (0_u64..20, 0_u64..20, 0_u64..9).prop_map(|(inbox, owed, issued)| Op::SkipTo(Progress { inbox, owed, issued })),
        2 => (0_u64..6).prop_map(|number| Op::NoteTransaction(transaction(number))),
        2 => shape().prop_map(|(seed, size)| Op::SetAside(aside(seed, size))),
        3 => (0_u64..3, shape()).prop_map(|(number, (at, size))| Op::SetHead(head(number, at, size))),
        3 => (0_u64..3, shape()).prop_map(|(number, (at, size))| Op::Append(group(number), entry(at, size))),
        2 => (0_u64..3, shape()).prop_map(|(number, (at, size))| Op::PutSnapshot(group(number), snapshot(at, size))),
        2 => (0_u64..3, shape()).prop_map(|(number, (at, size))| Op::SetAgenda(agenda(number, at, size))),
        2 => (0_u64..3, shape()).prop_map(|(number, (row, size))| Op::Stage(staged(number, row, size))),
        2 => (0_u64..3).prop_map(|number| Op::Unstage(group(number))),
        2 => (0_u64..3, 0_u64..6).prop_map(|(number, at)| Op::RemoveEntry(group(number), epoch(at))),
        2 => (0_u64..3, 0_u64..6).prop_map(|(number, at)| Op::RemoveSnapshot(group(number), epoch(at))),
        1 => (0_u64..3, shape()).prop_map(|(number, (at, size))| Op::Freeze(group(number), frozen(at, size))),
        2 => (0_u64..3).prop_map(|number| Op::Unfreeze(group(number))),
        12 => key_packages::op(size()),
    ]
}

fn cursor() -> impl Strategy<Value = Option<maypole_core::ids::SyncToken>> {
    prop_oneof![Just(None), Just(Some(token("s1"))), Just(Some(token("s2")))]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 0_usize..500, 3_700_usize..4_200, Just(20_000)]
}
