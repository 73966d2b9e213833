//! The n-th message to the database does not arrive, or its answer does not come back, for every n: a batch is there whole or
//! not at all, nobody is told of success for what is not there, and the store recovers by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use maypole_core::batch::{Backend as _, BackendError, Batch, Expect, Op};
use maypole_core::ids::{InboxSeq, OwedId, ProcessId};
use maypole_core::records::Progress;
use maypole_core::shares::{Share, Shares};
use maypole_core::time::Timestamp;
use maypole_testkit::wait::eventually;
use sqlx::{AssertSqlSafe, Row as _};

use super::wire::{Cut, Wire};
use super::{Schema, Server};
use crate::storage::Health;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{
    agenda, answer, aside, batch, client, entry, epoch, frozen, group, head, key, key_package, message, owed,
    reference, snapshot, staged, token, transaction, user,
};
use crate::storage::postgres::Store;

/// How many kinds of operations there are.
const OPS: usize = 31;
/// How many kinds of expectations there are.
const EXPECTS: usize = 15;

/// What is there before.
fn before() -> Batch {
    let ops = vec![
        Op::Receive(message(0, 50)),
        Op::Receive(message(1, 50)),
        Op::Receive(message(2, 50)),
        Op::Owe(owed(0, 50)),
        Op::Owe(owed(1, 50)),
        Op::Remember(key(1), answer(1, 50, 11)),
        Op::NoteTransaction(transaction(0)),
        Op::SetHead(head(1, 5, 50)),
        Op::Append(group(1), entry(4, 50)),
        Op::Append(group(1), entry(5, 50)),
        Op::PutSnapshot(group(1), snapshot(3, 50)),
        Op::SetAgenda(agenda(1, 3, 50)),
        Op::SetHead(head(2, 0, 50)),
        Op::Stage(staged(2, 1, 50)),
        Op::SetHead(head(3, 0, 50)),
        Op::Freeze(group(3), frozen(1, 50)),
        Op::Shelve(key_package("bob", 1, 100, 50)),
        Op::Shelve(key_package("bob", 2, 100, 50)),
        Op::Shelve(key_package("bob", 6, 100, 50)),
    ];
    batch(Vec::new(), ops)
}

/// Batches that hold each kind of expectation and of operation.
fn batches() -> [Batch; 5] {
    let row = InboxSeq::new;
    let taken_in = batch(
        vec![
            Expect::Unbound,
            Expect::KeysUnbound,
            Expect::Cursor(None),
            Expect::NewTransaction(transaction(2)),
        ],
        vec![
            Op::Bind(user("_mls_ds")),
            Op::BindKeys(key(1).0),
            Op::MoveCursor(token("s1")),
            Op::Receive(message(5, 5_000)),
            Op::Receive(message(6, 50)),
            Op::NoteTransaction(transaction(2)),
            Op::SetAside(aside(1, 50)),
            Op::Route(row(2), Share::new(7).unwrap()),
        ],
    );
    let decided = batch(
        vec![
            Expect::GroupAt(group(1), Some(epoch(5))),
            Expect::AgendaAt(group(1), Some(3)),
            Expect::StagedIn(group(1), None),
            Expect::InInbox(row(0)),
            Expect::NoAnswer(key(5), Timestamp::from_millis(0)),
            Expect::NotFrozen(group(1)),
        ],
        vec![
            Op::Leave(row(0)),
            Op::SetHead(head(1, 6, 50)),
            Op::Append(group(1), entry(6, 5_000)),
            Op::Remember(key(5), answer(5, 50, 99)),
            Op::SetAgenda(agenda(1, 4, 50)),
            Op::PutSnapshot(group(1), snapshot(5, 5_000)),
            Op::Owe(owed(5, 5_000)),
            Op::Owe(owed(6, 50)),
            Op::RemoveEntry(group(1), epoch(4)),
            Op::RemoveSnapshot(group(1), epoch(3)),
            Op::Forget(key(1)),
        ],
    );
    let staging = batch(
        vec![
            Expect::StagedIn(group(2), Some(row(1))),
            Expect::NotStaged(row(2)),
            Expect::StillOwed(OwedId::new(0)),
        ],
        vec![
            Op::Unstage(group(2)),
            Op::Stage(staged(1, 2, 50)),
            Op::Settle(OwedId::new(0)),
            Op::Freeze(group(1), frozen(2, 50)),
            Op::Unfreeze(group(3)),
        ],
    );
    [taken_in, decided, staging, shelved(), copied()]
}

/// What happens to KeyPackages.
fn shelved() -> Batch {
    batch(
        vec![
            Expect::NewKeyPackage(reference(8)),
            Expect::InStock(reference(1)),
            Expect::StockAtMost(client("bob"), 5),
        ],
        vec![
            Op::Shelve(key_package("bob", 8, 100, 50)),
            Op::TakeOut(reference(1)),
            Op::UseLastResort(reference(6)),
            // The last resort of the same suite.
            Op::Shelve(key_package("bob", 20, 100, 50)),
            Op::Discard(reference(2)),
            Op::Void(reference(20)),
        ],
    )
}

/// What copies of stores consist of beside that.
fn copied() -> Batch {
    let ops = vec![
        Op::KnowGone(reference(9), Timestamp::from_millis(7)),
        Op::ReceiveAs(InboxSeq::new(40), message(7, 50)),
        Op::OweAs(OwedId::new(40), owed(7, 50)),
        Op::SkipTo(Progress { inbox: 50, owed: 50, issued: 50 }),
    ];
    batch(Vec::new(), ops)
}

/// Which kind an operation is of. A new one belongs into a batch above.
fn kind_of(op: &Op) -> usize {
    match op {
        Op::Bind(_) => 0,
        Op::BindKeys(_) => 1,
        Op::MoveCursor(_) => 2,
        Op::Receive(_) => 3,
        Op::Leave(_) => 4,
        Op::Route(..) => 5,
        Op::Remember(..) => 6,
        Op::Forget(_) => 7,
        Op::Owe(_) => 8,
        Op::Settle(_) => 9,
        Op::NoteTransaction(_) => 10,
        Op::SetAside(_) => 11,
        Op::SetHead(_) => 12,
        Op::SetAgenda(_) => 13,
        Op::Append(..) => 14,
        Op::RemoveEntry(..) => 15,
        Op::PutSnapshot(..) => 16,
        Op::RemoveSnapshot(..) => 30,
        Op::Stage(_) => 17,
        Op::Unstage(_) => 18,
        Op::Freeze(..) => 19,
        Op::Unfreeze(_) => 20,
        Op::Shelve(_) => 21,
        Op::TakeOut(_) => 22,
        Op::UseLastResort(_) => 23,
        Op::Discard(_) => 24,
        Op::ReceiveAs(..) => 25,
        Op::OweAs(..) => 26,
        Op::SkipTo(_) => 27,
        Op::KnowGone(..) => 28,
        Op::Void(_) => 29,
    }
}

/// Which kind an expectation is of. A new one belongs into a batch above.
fn kind_of_expectation(expect: &Expect) -> usize {
    match expect {
        Expect::Unbound => 0,
        Expect::KeysUnbound => 1,
        Expect::Cursor(_) => 2,
        Expect::InInbox(_) => 3,
        Expect::NoAnswer(..) => 4,
        Expect::NewTransaction(_) => 5,
        Expect::StillOwed(_) => 6,
        Expect::GroupAt(..) => 7,
        Expect::AgendaAt(..) => 8,
        Expect::StagedIn(..) => 9,
        Expect::NotStaged(_) => 10,
        Expect::NotFrozen(_) => 11,
        Expect::NewKeyPackage(_) => 12,
        Expect::InStock(_) => 13,
        Expect::StockAtMost(..) => 14,
    }
}

#[test]
fn the_batches_hold_every_kind() {
    let batches = batches();
    let ops: BTreeSet<usize> = batches.iter().flat_map(|batch| &batch.ops).map(kind_of).collect();
    assert!(ops.into_iter().eq(0..OPS));
    let expects: BTreeSet<usize> =
        batches.iter().flat_map(|batch| &batch.expect).map(kind_of_expectation).collect();
    assert!(expects.into_iter().eq(0..EXPECTS));
}

/// Every row of every table, but for the numbers that the database gives out itself: it leaves some out where a transaction
/// was undone.
async fn everything(place: &Schema) -> Vec<String> {
    let mut session = place.session().await;
    let tables = "SELECT table_name::text FROM information_schema.tables \
                  WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations'";
    let tables = sqlx::query(tables).fetch_all(&mut session).await.unwrap();
    let of_table = |table: &str| {
        let own = if table == "owed" { "- 'id'" } else { "- 'number' - 'place'" };
        format!("SELECT '{table} ' || (to_jsonb(row) {own})::text FROM {table} AS row")
    };
    let names = tables.iter().map(|row| row.get::<&str, _>(0));
    let all = names.map(of_table).collect::<Vec<_>>().join(" UNION ALL ") + " ORDER BY 1";
    let rows = sqlx::query(AssertSqlSafe(all)).fetch_all(&mut session).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A place in which everything is as before, and a store that reaches it over a wire.
async fn scene(server: &Server, wire: &Wire) -> (Schema, Store) {
    let place = server.schema();
    let store = place.open().await;
    store.apply(before()).await.unwrap();
    place.close(store).await;
    let far = place.url().replace(&server.postgres.listens_at().to_string(), &wire.address().to_string());
    assert_ne!(far, place.url());
    // One session: of two, one may know statements that the other asks for first, and then messages cannot be counted.
    (place, Store::open(&far, 1).await.unwrap())
}

/// Tries a batch with a cut after one message more each time, until there is nothing left to cut.
async fn each_message(cut: Cut) {
    let server = Server::start().await;
    let wire = Wire::to(server.postgres.listens_at()).await;
    for (number, batch) in batches().into_iter().enumerate() {
        let (place, store) = scene(&server, &wire).await;
        let before = everything(&place).await;
        store.apply(batch.clone()).await.unwrap();
        let after = everything(&place).await;
        assert_ne!(before, after);

        let (mut place, mut store) = scene(&server, &wire).await;
        let (mut messages, mut unseen) = (0, 0);
        loop {
            let what = format!("batch {number}, {cut:?} {messages}");
            // A session that is given back is tried first; that must not be counted in one round and not in the next.
            eventually(Duration::from_secs(60), "the session to be given back", async || {
                Ok((store.pool.num_idle() == 1).then_some(()))
            })
            .await
            .unwrap();
            wire.cut_after(messages, cut);
            let outcome = store.apply(batch.clone()).await;
            let was_cut = wire.mend();
            let found = everything(&place).await;
            match outcome {
                Ok(_) => assert_eq!(found, after, "{what}: what was acknowledged is not there"),
                Err(BackendError::Unavailable(_)) => {
                    assert!(was_cut, "{what}: unavailable without reason");
                    assert_ne!(*store.health().borrow(), Health::Ready, "{what}");
                    let is_there = cut == Cut::BeforeAnswer && found == after;
                    assert!(is_there || found == before, "{what}: a batch is there in part: {found:#?}");
                    unseen += u64::from(is_there);
                }
                Err(other) => panic!("{what}: {other}"),
            }
            // Nobody does anything for it to recover.
            store.depths().await.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(*store.health().borrow(), Health::Ready, "{what}");
            if !was_cut {
                break;
            }
            if found == after {
                (place, store) = scene(&server, &wire).await;
            }
            messages += 1;
        }
        // At the least: begin, lock, look, write, commit; and the first time each is asked for it is prepared.
        assert!(messages > 7, "only {messages} messages were there to cut at");
        // The last word of a transaction may arrive, and nobody hears that it did.
        assert_eq!(unseen > 0, cut == Cut::BeforeAnswer, "batch {number}: {unseen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_any_message_that_does_not_arrive() {
    each_message(Cut::BeforeMessage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_any_answer_that_does_not_come_back() {
    each_message(Cut::BeforeAnswer).await;
}

/// What a process holds is written outside of batches.
#[tokio::test(flavor = "multi_thread")]
async fn of_any_message_about_who_holds_what() {
    const LONG: Duration = Duration::from_secs(3_600);
    let server = Server::start().await;
    let wire = Wire::to(server.postgres.listens_at()).await;
    let [one, other] = [1, 2].map(|number| ProcessId::from_bytes([number; 16]));
    for cut in [Cut::BeforeMessage, Cut::BeforeAnswer] {
        let (_, store) = scene(&server, &wire).await;
        for messages in 0.. {
            wire.cut_after(messages, cut);
            let given_up = match store.renew(one, LONG).await {
                Ok(held) => store.give_up(one, held.surplus).await,
                Err(error) => Err(error),
            };
            let retired = store.retire(other).await;
            let was_cut = wire.mend();
            for outcome in [given_up, retired] {
                let is_well = matches!(&outcome, Ok(()) | Err(BackendError::Unavailable(_)));
                assert!(is_well && (was_cut || outcome.is_ok()), "{cut:?} {messages}: {outcome:?}");
            }
            // Each share has one holder at most, and in the end all have one.
            let first = store.renew(one, LONG).await.unwrap();
            let second = store.renew(other, LONG).await.unwrap();
            assert_eq!(first.shares.without(second.shares), first.shares, "{cut:?} {messages}");
            store.retire(other).await.unwrap();
            assert_eq!(store.renew(one, LONG).await.unwrap().shares, Shares::ALL, "{cut:?} {messages}");
            if !was_cut {
                // At the least: begin, lock, look, write, commit; and the first time each is asked for it is prepared.
                assert!(messages > 7, "only {messages} messages were there to cut at");
                break;
            }
        }
    }
}
