//! Processes that share a store, each with its part of the work.

use std::collections::BTreeSet;
use std::time::Duration;

use maypole_core::batch::{Backend as _, Op};
use maypole_core::ids::{InboxSeq, ProcessId};
use maypole_core::shares::{Held, Share, Shares};
use maypole_testkit::wait::eventually;

use super::Server;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{batch, message, owed};
use crate::storage::postgres::Store;

const BOUND: Duration = Duration::from_secs(60);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3_600);

fn process(number: u8) -> ProcessId {
    ProcessId::from_bytes([number; 16])
}

/// Each says that it is alive, and gives up what it has too much of, until nothing changes any more.
async fn settle(store: &Store, processes: &[u8]) -> Vec<Held> {
    let mut before = Vec::new();
    loop {
        let mut all = Vec::new();
        for number in processes {
            let held = store.renew(process(*number), LONG).await.unwrap();
            store.give_up(process(*number), held.surplus).await.unwrap();
            all.push(held);
        }
        let whole: u32 = all.iter().map(|held| held.shares.count()).sum();
        if whole == 64 && all == before {
            return all;
        }
        before = all;
    }
}

fn are_apart(all: &[Held]) {
    for share in Share::all() {
        assert_eq!(all.iter().filter(|held| held.shares.contains(share)).count(), 1, "{share:?}");
    }
    assert_eq!(all.iter().filter(|held| held.stream).count(), 1);
}

#[tokio::test]
async fn work_is_dealt_evenly_and_dealt_anew_as_processes_come_and_go() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let first = store.renew(process(1), LONG).await.unwrap();
    assert_eq!((first.shares, first.surplus, first.stream), (Shares::ALL, Shares::NONE, true));
    for processes in [&[1, 2][..], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
        let all = settle(&store, processes).await;
        are_apart(&all);
        let fair = 64_u32.div_ceil(u32::try_from(processes.len()).unwrap());
        assert!(all.iter().all(|held| held.shares.count() <= fair && held.shares.count() > 0), "{all:?}");
        assert!(all[0].stream, "whoever reads the stream goes on");
    }
    for leaving in [1, 3, 5] {
        store.retire(process(leaving)).await.unwrap();
    }
    are_apart(&settle(&store, &[2, 4]).await);
    place.close(store).await;
}

#[tokio::test]
async fn who_is_not_heard_of_in_time_has_nothing() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    assert!(store.renew(process(1), Duration::from_millis(300)).await.unwrap().stream);
    let heir = eventually(BOUND, "the term to end", async || {
        let held = store.renew(process(2), LONG).await?;
        Ok((held.shares == Shares::ALL && held.stream).then_some(held))
    });
    heir.await.unwrap();
    // The one that was thought dead comes back to nothing, until something is left to it.
    let back = store.renew(process(1), LONG).await.unwrap();
    assert_eq!((back.shares, back.stream), (Shares::NONE, false));
    are_apart(&settle(&store, &[1, 2]).await);
    place.close(store).await;
}

/// A process may be stopped in the middle of anything: what it has locked is passed over.
#[tokio::test]
async fn who_hangs_in_the_middle_holds_up_nobody() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    store.renew(process(1), Duration::from_millis(200)).await.unwrap();
    let mut hanging = place.session().await;
    for statement in [
        "BEGIN",
        "UPDATE processes SET until = now() + interval '1 hour'",
        "UPDATE shares SET holder = holder WHERE number IN (3, 64)",
    ] {
        sqlx::query(statement).execute(&mut hanging).await.unwrap();
    }
    let heir = eventually(BOUND, "what is not locked", async || {
        let held = store.renew(process(2), LONG).await?;
        Ok((held.shares.count() == 63).then_some(held))
    });
    let heir = heir.await.unwrap();
    assert!(!heir.stream && !heir.shares.contains(Share::new(3).unwrap()));
    sqlx::query("ROLLBACK").execute(&mut hanging).await.unwrap();
    let whole = store.renew(process(2), LONG).await.unwrap();
    assert_eq!((whole.shares, whole.stream), (Shares::ALL, true));
    place.close(store).await;
}

/// What the process does itself takes no session from it in which it says that it is alive.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_much_to_write_says_so_all_the_same() {
    let server = Server::start().await;
    let place = server.schema();
    place.close(place.open().await).await;
    let store = Store::open(&place.url(), 1).await.unwrap();
    let mut holding = place.session().await;
    for statement in ["BEGIN", "SELECT 1 FROM store FOR UPDATE"] {
        sqlx::query(statement).execute(&mut holding).await.unwrap();
    }
    let writing = {
        let store = store.clone();
        tokio::spawn(async move { store.apply(batch(Vec::new(), vec![Op::Receive(message(0, 10))])).await })
    };
    let waits = eventually(BOUND, "the only session to wait", async || {
        let waiting = sqlx::query("SELECT 1 FROM pg_locks WHERE NOT granted");
        Ok(waiting.fetch_optional(&mut place.session().await).await?.map(drop))
    });
    waits.await.unwrap();
    // Sooner than the write gives up.
    let held = tokio::time::timeout(Duration::from_secs(5), store.renew(process(1), LONG)).await;
    assert_eq!(held.unwrap().unwrap().shares, Shares::ALL);
    sqlx::query("ROLLBACK").execute(&mut holding).await.unwrap();
    writing.await.unwrap().unwrap();
    store.retire(process(1)).await.unwrap();
    place.close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_come_at_once_get_different_shares() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let all: Vec<_> = (1..=5)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.renew(process(number), LONG).await.unwrap() })
        })
        .collect();
    let mut seen = Vec::new();
    for one in all {
        seen.push(one.await.unwrap());
    }
    for share in Share::all() {
        assert!(seen.iter().filter(|held| held.shares.contains(share)).count() <= 1, "{share:?}");
    }
    are_apart(&settle(&store, &[1, 2, 3, 4, 5]).await);
    place.close(store).await;
}

#[tokio::test]
async fn each_sees_its_own_rows_and_what_was_routed_to_it() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let ops = vec![Op::Receive(message(0, 10)), Op::Receive(message(1, 10)), Op::Owe(owed(0, 10))];
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    let (sender, lane) = (Share::of_user(message(0, 10).sender()), Share::of_lane(&owed(0, 10).lane));
    let unanswered = async |of: Shares| {
        let rows = store.unanswered(of, BTreeSet::new(), 9).await.unwrap();
        rows.into_iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    let one = |share: Share| Shares::from_iter([share]);
    assert_eq!(unanswered(one(sender)).await, [InboxSeq::new(0), InboxSeq::new(1)]);
    assert!(unanswered(Shares::ALL.without(one(sender))).await.is_empty());
    let other = Share::all().find(|share| *share != sender).unwrap();
    let routed = vec![Op::Route(InboxSeq::new(0), other), Op::Route(InboxSeq::new(9), other)];
    store.apply(batch(Vec::new(), routed)).await.unwrap();
    assert_eq!(unanswered(one(other)).await, [InboxSeq::new(0)]);
    assert_eq!(unanswered(one(sender)).await, [InboxSeq::new(1)]);
    assert_eq!(store.undelivered(one(lane), BTreeSet::new(), 9).await.unwrap().len(), 1);
    assert!(store.undelivered(Shares::ALL.without(one(lane)), BTreeSet::new(), 9).await.unwrap().is_empty());
    place.close(store).await;
}
