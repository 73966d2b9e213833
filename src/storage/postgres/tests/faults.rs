//! The database goes away and comes back; others are in the way.

use std::time::Duration;

use maypole_core::batch::{Backend as _, BackendError, Expect, Op};
use maypole_core::ids::{InboxSeq, OwedId};
use maypole_testkit::wait::eventually;

use super::{CONNECTIONS, Server};
use crate::storage::Health;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{
    answer, batch, entry, epoch, group, head, key, message, owed, staged, token, transaction,
};
use crate::storage::postgres::Store;

const BOUND: Duration = Duration::from_secs(60);

#[tokio::test]
async fn while_it_is_away_nothing_is_answered_and_nothing_that_was_is_lost() {
    let mut server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    for round in 0..3 {
        let from = (round > 0).then(|| token(&format!("s{round}")));
        let ops = vec![Op::MoveCursor(token(&format!("s{}", round + 1))), Op::Receive(message(round, 5_000))];
        store.apply(batch(vec![Expect::Cursor(from)], ops)).await.unwrap();
        assert_eq!(*store.health().borrow(), Health::Ready);
        if round == 1 {
            server.postgres.stop().await.unwrap()
        } else {
            server.postgres.kill().unwrap()
        }
        let refused = store.apply(batch(Vec::new(), vec![Op::Receive(message(9, 10))])).await;
        assert!(matches!(refused, Err(BackendError::Unavailable(_))), "{refused:?}");
        assert!(matches!(*store.health().borrow(), Health::Unavailable(_)));
        server.postgres.boot().await.unwrap();
        eventually(BOUND, "the store to come back", async || {
            store.look().await;
            Ok((*store.health().borrow() == Health::Ready).then_some(()))
        })
        .await
        .unwrap();
        assert_eq!(store.inbox(None, 10).await.unwrap().len() as u64, round + 1);
        assert_eq!(store.cursor().await.unwrap(), Some(token(&format!("s{}", round + 1))));
    }
    place.close(store).await;
}

/// What must not be there cannot be locked: two who find it absent at once are told apart all the same.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_stores_that_find_nothing_one_writes() {
    let server = Server::start().await;
    let place = server.schema();
    let stores = [place.open().await, Store::open(&place.url(), CONNECTIONS).await.unwrap()];
    for round in 0..60_u64 {
        let id = group(round);
        let (expect, ops) = match round % 5 {
            0 => (
                Expect::NoAnswer(key(round), Default::default()),
                vec![Op::Remember(key(round), answer(round, 9, 99))],
            ),
            1 => (Expect::GroupAt(id.clone(), None), vec![Op::SetHead(head(round, 0, 9))]),
            2 => (Expect::StagedIn(id.clone(), None), vec![Op::Stage(staged(round, 7, 9))]),
            3 => (Expect::NewTransaction(transaction(round)), vec![Op::NoteTransaction(transaction(round))]),
            _ => (
                Expect::GroupAt(id.clone(), None),
                vec![Op::Append(id.clone(), entry(0, 9)), Op::SetHead(head(round, 0, 9))],
            ),
        };
        let tasks: Vec<_> = (0..6)
            .map(|number: usize| {
                let store = stores[number % 2].clone();
                let mut ops = ops.clone();
                ops.push(Op::Owe(owed(round, 9)));
                let batch = batch(vec![expect.clone()], ops);
                tokio::spawn(async move { store.apply(batch).await })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => winners += 1,
                Err(BackendError::Conflict(found)) => assert_eq!(*found, expect),
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        assert_eq!(winners, 1, "round {round}: {expect:?}");
    }
    assert_eq!(stores[0].depths().await.unwrap().owed, 60);
}

/// A registration that is staged and one that is decided at the same moment: one of them finds the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_not_begun_while_its_beginning_is_staged() {
    let server = Server::start().await;
    let place = server.schema();
    let stores = [place.open().await, Store::open(&place.url(), CONNECTIONS).await.unwrap()];
    for round in 0..40 {
        let id = group(round);
        let expect = vec![Expect::GroupAt(id.clone(), None), Expect::StagedIn(id.clone(), None)];
        let stage = batch(expect.clone(), vec![Op::Stage(staged(round, 7, 9))]);
        let begin = batch(expect, vec![Op::SetHead(head(round, 0, 9))]);
        let (one, other) = tokio::join!(stores[0].apply(stage), stores[1].apply(begin));
        assert!(one.is_ok() != other.is_ok(), "round {round}: {one:?}, {other:?}");
    }
}

/// Rows of the inbox are seen in the order of their numbers, whoever writes them: a reader that goes on from the last
/// one misses none.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_inbox_misses_nothing() {
    let server = Server::start().await;
    let place = server.schema();
    let stores = [place.open().await, Store::open(&place.url(), CONNECTIONS).await.unwrap()];
    let writers: Vec<_> = (0..8_u64)
        .map(|number| {
            let store = stores[usize::try_from(number).unwrap() % 2].clone();
            tokio::spawn(async move {
                for seed in 0..25 {
                    let ops = vec![Op::Receive(message(seed, 2_000)), Op::Receive(message(seed, 10))];
                    store.apply(batch(Vec::new(), ops)).await.unwrap();
                }
            })
        })
        .collect();
    let (mut after, mut seen) = (None, Vec::new());
    let reading = async {
        while seen.len() < 400 {
            let rows = stores[0].inbox(after, 7).await.unwrap();
            after = rows.last().map(|row| row.seq).or(after);
            seen.extend(rows.into_iter().map(|row| row.seq));
        }
    };
    tokio::time::timeout(BOUND, reading).await.unwrap();
    assert_eq!(seen, (0..400).map(InboxSeq::new).collect::<Vec<_>>());
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Whoever is beaten by others tries again, and in the end each has its number.
#[tokio::test(flavor = "multi_thread")]
async fn epochs_are_contiguous_whoever_commits() {
    let server = Server::start().await;
    let place = server.schema();
    let stores = [place.open().await, Store::open(&place.url(), CONNECTIONS).await.unwrap()];
    let store = &stores[0];
    store.apply(batch(Vec::new(), vec![Op::SetHead(head(1, 0, 9))])).await.unwrap();
    let committers: Vec<_> = (0..8_usize)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                let mut won = 0_u64;
                while won < 10 {
                    let at = store.head(&group(1)).await.unwrap().unwrap().epoch;
                    let next = at.next().unwrap().get();
                    let ops = vec![
                        Op::SetHead(head(1, next, 9)),
                        Op::Append(group(1), entry(next, 9)),
                        Op::Owe(owed(next, 9)),
                    ];
                    match store.apply(batch(vec![Expect::GroupAt(group(1), Some(at))], ops)).await {
                        Ok(ids) => {
                            assert_eq!(ids.len(), 1);
                            won += 1;
                        }
                        Err(BackendError::Conflict(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for committer in committers {
        committer.await.unwrap();
    }
    let log = store.log(&group(1), epoch(0), 1_000).await.unwrap();
    let epochs: Vec<u64> = log.iter().map(|entry| entry.epoch.get()).collect();
    assert_eq!(epochs, (1..=80).collect::<Vec<_>>());
    let owed: Vec<OwedId> = store.owed(None, 1_000).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(owed.len(), 80);
}
