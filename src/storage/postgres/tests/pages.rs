//! A bit flips in the database's own files, whose checksums find it: what lies elsewhere is served.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use maypole_core::batch::{Backend as _, BackendError, Expect, Op};
use maypole_core::records::Queues;
use maypole_core::shares::Shares;
use maypole_core::time::Timestamp;
use sqlx::Row as _;

use super::{Schema, Server};
use crate::storage::Health;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{
    answer, batch, entry, epoch, group, head, key, message, owed, staged,
};

/// Bytes of a page.
const PAGE_BYTES: u64 = 8_192;

/// Where a table's rows lie, or the parts of its large values.
async fn file_of(place: &Schema, table: &str, large: bool) -> String {
    let what = if large { "reltoastrelid" } else { "oid" };
    let query = format!(
        "SELECT pg_relation_filepath({what}::regclass) FROM pg_class WHERE oid = '{table}'::regclass"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(query));
    query.fetch_one(&mut place.session().await).await.unwrap().get(0)
}

/// Turns a bit near the end of a file's page, where rows lie.
fn flip(path: PathBuf, page: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let at = (page + 1) * PAGE_BYTES - 200;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Turns a bit in a page of each of these while the server is stopped.
async fn damage(server: &mut Server, place: &Schema, tables: &[(&str, bool)]) {
    let mut files = Vec::new();
    for (table, large) in tables {
        files.push(server.postgres.file(&file_of(place, table, *large).await));
    }
    server.postgres.stop().await.unwrap();
    files.into_iter().for_each(|file| flip(file, 0));
    server.postgres.boot().await.unwrap();
}

#[tokio::test]
async fn a_page_of_groups_is_the_damage_of_those_groups() {
    let mut server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let ops = (0..12).flat_map(|number| {
        [
            Op::SetHead(head(number, 5, 1_500)),
            Op::Append(group(number), entry(5, 9_000)),
            Op::Remember(key(number), answer(number, 1_500, 100)),
            Op::Stage(staged(number, number, 1_200)),
        ]
    });
    store.apply(batch(Vec::new(), ops.collect())).await.unwrap();
    place.close(store).await;
    damage(&mut server, &place, &[("groups", false), ("log", true), ("answers", false), ("staged", false)])
        .await;
    let store = place.open().await;
    let (mut heads, mut logs, mut answers) = (0, 0, 0);
    for number in 0..12 {
        match store.head(&group(number)).await {
            Ok(found) => assert_eq!(found, Some(head(number, 5, 1_500))),
            Err(BackendError::Damaged(what)) => {
                assert!(what.starts_with("groups !room"), "{what}");
                heads += 1;
                let at = Expect::GroupAt(group(number), Some(epoch(5)));
                let refused = store.apply(batch(vec![at], vec![Op::SetHead(head(number, 6, 9))])).await;
                assert!(matches!(refused, Err(BackendError::Damaged(_))), "{refused:?}");
            }
            Err(error) => panic!("{error}"),
        }
        match store.log(&group(number), epoch(0), 9).await {
            Ok(found) => assert_eq!(found, [entry(5, 9_000)]),
            Err(BackendError::Damaged(_)) => logs += 1,
            Err(error) => panic!("{error}"),
        }
        match store.answer(key(number)).await {
            Ok(found) => assert_eq!(found, Some(answer(number, 1_500, 100))),
            Err(BackendError::Damaged(_)) => answers += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(*store.health().borrow(), Health::Ready);
    }
    for (damaged, what) in [(heads, "heads"), (logs, "logs"), (answers, "answers")] {
        assert!((1..=6).contains(&damaged), "{damaged} {what} of 12 are damaged");
    }
    let staged = store.staged_groups(100).await.unwrap().len();
    assert!((6..12).contains(&staged), "{staged} are staged");
    place.close(store).await;
}

#[tokio::test]
async fn a_page_of_a_queue_and_a_large_value_are_passed_over() {
    let mut server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    // Of rows of this size five lie in a page; the last two are too large for any.
    let size = |seed| if seed < 12 { 1_500 } else { 9_000 };
    let ops =
        (0..14).flat_map(|seed| [Op::Receive(message(seed, size(seed))), Op::Owe(owed(seed, size(seed)))]);
    store.apply(batch(Vec::new(), ops.collect())).await.unwrap();
    place.close(store).await;
    damage(&mut server, &place, &[("inbox", false), ("inbox", true), ("owed", false), ("owed", true)]).await;
    let store = place.open().await;
    let inbox = store.inbox(None, 100).await.unwrap();
    assert!(inbox.iter().all(|row| row.item == message(row.seq.get(), size(row.seq.get()))));
    let seqs: Vec<u64> = inbox.iter().map(|row| row.seq.get()).collect();
    assert!(seqs.is_sorted() && seqs.ends_with(&[11, 13]) && (7..11).contains(&seqs.len()), "{seqs:?}");
    let ids: Vec<u64> = store.owed(None, 100).await.unwrap().iter().map(|row| row.id.get()).collect();
    assert!(ids.is_sorted() && ids.ends_with(&[11, 13]) && (7..11).contains(&ids.len()), "{ids:?}");
    // The same by shares, after a place, and but for some.
    let hand: BTreeSet<_> = inbox.iter().take(2).map(|row| row.seq).collect();
    let rest = store.unanswered(Shares::ALL, hand.clone(), 3).await.unwrap();
    assert_eq!(rest, inbox[2..5]);
    assert_eq!(store.inbox(hand.last().copied(), 3).await.unwrap(), inbox[2..5]);
    assert!(store.unanswered(Shares::NONE, BTreeSet::new(), 3).await.unwrap().is_empty());
    let due = store.undelivered(Shares::ALL, BTreeSet::new(), 100).await.unwrap();
    assert_eq!(due.len(), ids.len());
    let Queues { inbox: waiting, owed } = store.queues().await.unwrap();
    assert_eq!((waiting, owed), (seqs.len() as u64 + 1, ids.len() as u64 + 1), "the large one is there");
    // What is read is worked off as ever.
    let row = inbox[0].seq;
    let expect = vec![Expect::InInbox(row), Expect::NoAnswer(key(1), Timestamp::from_millis(0))];
    store.apply(batch(expect, vec![Op::Leave(row)])).await.unwrap();
    assert_eq!(store.inbox(None, 100).await.unwrap(), inbox[1..]);
    assert_eq!(*store.health().borrow(), Health::Ready);
    place.close(store).await;
}
