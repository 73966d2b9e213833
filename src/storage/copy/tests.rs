//! A copy is the store that it was made of, whichever way it goes.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use maypole_core::batch::{Backend as _, Op};
use maypole_core::ledger::Ledger;
use maypole_core::memory::{Memory, Records};
use maypole_testkit::postgres::Postgres;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;

use super::{Copied as _, Copying, ImportError, Reader, Record, Writer, restore};
use crate::storage::conformance::Place;
use crate::storage::conformance::random::{Step, carry_out, compare, step};
use crate::storage::conformance::samples::{batch, frozen, group, head, key, message, owed, user};
use crate::storage::{Store, postgres};

/// Where a store of either kind can be opened.
enum Somewhere {
    Folder(TempDir),
    Database(String),
}

/// A server with a schema for each store.
struct Server(Postgres, AtomicUsize);

impl Server {
    async fn start() -> Self {
        Self(Postgres::start().await.unwrap(), AtomicUsize::new(0))
    }

    async fn somewhere(&self, in_database: bool) -> Somewhere {
        if !in_database {
            return Somewhere::Folder(tempfile::tempdir().unwrap());
        }
        let name = format!("store{}", self.1.fetch_add(1, Ordering::SeqCst));
        let mut session = <sqlx::PgConnection as sqlx::Connection>::connect(&self.0.url()).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        sqlx::query(create).execute(&mut session).await.unwrap();
        Somewhere::Database(format!("{}?options=-c%20search_path%3D{name}", self.0.url()))
    }
}

impl Place for Somewhere {
    type Store = Store;

    async fn open(&self) -> Store {
        match self {
            Self::Folder(folder) => Store::open_folder(folder.path().join("store")).await.unwrap(),
            Self::Database(url) => Store::Postgres(postgres::Store::open(url, 4).await.unwrap()),
        }
    }

    async fn close(&self, store: Store) {
        store.close().await;
    }
}

/// All of a copy, with something done between its pages.
async fn copied<F: Future<Output = ()>>(mut copying: Copying, mut between: impl FnMut() -> F) -> Vec<u8> {
    let (mut writer, mut bytes) = Writer::begin();
    loop {
        let records = copying.next().await.unwrap();
        if records.is_empty() {
            bytes.extend(writer.end(copying.damaged()).unwrap());
            return bytes;
        }
        bytes.extend(writer.records(records).unwrap());
        between().await;
    }
}

fn steps(runner: &mut TestRunner, count: usize) -> Vec<Step> {
    prop::collection::vec(step(), count).new_tree(runner).unwrap().current()
}

fn runner(seed: u64) -> TestRunner {
    println!("seed {seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// What every real store has: an owner, and a head for each group of which there is anything.
fn beginning() -> Step {
    let mut ops = vec![Op::Bind(user("_mls_ds")), Op::BindKeys(key(1).0)];
    ops.extend((0..3).map(|number| Op::SetHead(head(number, 1, 20))));
    Step::Apply(batch(Vec::new(), ops))
}

async fn random_stores_are_copied(seed: u64, server: &Server, from_database: bool, to_database: bool) {
    let mut runner = runner(seed);
    let (from, to) = (server.somewhere(from_database).await, server.somewhere(to_database).await);
    let mut model = Records::default();
    let mut before = steps(&mut runner, 60);
    before.insert(0, beginning());
    let store = carry_out(&from, from.open().await, &mut model, before).await;

    // What is written while the copy is made is not in it, wherever the copy has come.
    let copying = store.copy().await.unwrap();
    let mut later: Vec<_> = steps(&mut runner, 90).into_iter().collect();
    let bytes = copied(copying, || {
        let some = later.split_off(later.len().saturating_sub(30));
        let store = store.clone();
        async move {
            for step in some {
                if let Step::Apply(batch) = step {
                    // Whether its expectations hold matters to nobody here.
                    let _ = store.apply(batch).await;
                }
            }
        }
    })
    .await;
    from.close(store).await;

    let (tally, damaged) = Reader::open(&bytes[..]).unwrap().verify().unwrap();
    assert_eq!(damaged, 0);
    let ledger = Ledger::new(to.open().await);
    let restored = restore(&ledger, Reader::open(&bytes[..]).unwrap(), None).await.unwrap();
    assert_eq!((&restored.owner, restored.tally), (&user("_mls_ds"), tally));
    to.close(ledger.into_backend()).await;
    let store = to.open().await;
    compare(&store, &model).await;

    // It goes on as the first would have.
    let store = carry_out(&to, store, &mut model, steps(&mut runner, 20)).await;
    compare(&store, &model).await;
    let again = restore(&Ledger::new(store.clone()), Reader::open(&bytes[..]).unwrap(), None).await;
    assert!(matches!(again, Err(ImportError::NotEmpty)), "{again:?}");
    to.close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_is_made_of_and_taken_into() {
    let server = Server::start().await;
    for seed in 0..2_u64 {
        for (from, to) in [(false, true), (true, false), (true, true), (false, false)] {
            Box::pin(random_stores_are_copied(seed, &server, from, to)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_many_pages_is_told_while_all_of_it_changes() {
    let server = Server::start().await;
    for from_database in [false, true] {
        let (from, to) = (server.somewhere(from_database).await, server.somewhere(!from_database).await);
        let store = from.open().await;
        store
            .apply(batch(Vec::new(), vec![Op::Bind(user("_mls_ds")), Op::BindKeys(key(1).0)]))
            .await
            .unwrap();
        for number in 0..600_u64 {
            let ops = vec![Op::Receive(message(number, 10)), Op::Owe(owed(number, 5_000))];
            store.apply(batch(Vec::new(), ops)).await.unwrap();
        }
        let expected = (store.inbox(None, 9_999).await.unwrap(), store.owed(None, 9_999).await.unwrap());
        let copying = store.copy().await.unwrap();
        let mut pages = 0_u64;
        let bytes = copied(copying, || {
            pages += 1;
            let (page, store) = (pages, store.clone());
            async move {
                let rows = store.inbox(None, 100).await.unwrap();
                let owed_rows = store.owed(None, 100).await.unwrap();
                let mut ops: Vec<_> = rows.iter().map(|row| Op::Leave(row.seq)).collect();
                ops.extend(owed_rows.iter().map(|row| Op::Settle(row.id)));
                ops.extend([Op::Receive(message(page, 20)), Op::SetHead(head(page, 1, 9))]);
                store.apply(batch(Vec::new(), ops)).await.unwrap();
            }
        })
        .await;
        assert!(pages > 5, "{pages}");
        from.close(store).await;
        let ledger = Ledger::new(to.open().await);
        restore(&ledger, Reader::open(&bytes[..]).unwrap(), None).await.unwrap();
        let store = ledger.into_backend();
        let found = (store.inbox(None, 9_999).await.unwrap(), store.owed(None, 9_999).await.unwrap());
        assert_eq!(found, expected);
        assert!(store.groups(None, 9).await.unwrap().is_empty());
        to.close(store).await;
    }
}

/// Anything but the whole of it is refused, and nothing of it is taken for a store.
#[tokio::test]
async fn what_is_cut_changed_or_added_to_is_refused() {
    let folder = Somewhere::Folder(tempfile::tempdir().unwrap());
    let store = folder.open().await;
    let ops = vec![
        Op::Bind(user("_mls_ds")),
        Op::BindKeys(key(1).0),
        Op::Receive(message(1, 40)),
        Op::SetHead(head(1, 1, 9)),
    ];
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    let bytes = copied(store.copy().await.unwrap(), async || {}).await;
    folder.close(store).await;
    assert!(Reader::open(&bytes[..]).unwrap().verify().is_ok());
    for length in 0..bytes.len() {
        let cut = Reader::open(&bytes[..length]).and_then(Reader::verify);
        assert!(cut.is_err(), "{length} bytes");
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(Reader::open(&changed[..]).and_then(Reader::verify).is_err(), "byte {place}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(Reader::open(&longer[..]).and_then(Reader::verify).is_err());

    let to = Somewhere::Folder(tempfile::tempdir().unwrap());
    let ledger = Ledger::new(to.open().await);
    let cut = restore(&ledger, Reader::open(&bytes[..bytes.len() - 1]).unwrap(), None).await;
    assert!(matches!(cut, Err(ImportError::Copy(_))), "{cut:?}");
    assert_eq!(ledger.owner().await.unwrap(), None, "half a store is nobody's");
    assert!(!ledger.is_untouched().await.unwrap());
    let again = restore(&ledger, Reader::open(&bytes[..]).unwrap(), None).await;
    assert!(matches!(again, Err(ImportError::NotEmpty)), "{again:?}");
    to.close(ledger.into_backend()).await;
}

#[test]
fn a_frame_that_is_left_out_or_comes_twice_is_missed() {
    let (mut writer, name) = Writer::begin();
    let record = |row| Record::Inbox(maypole_core::ids::InboxSeq::new(row), message(row, 5));
    let frames: Vec<_> = (0..3).map(|row| writer.records(vec![record(row)]).unwrap()).collect();
    let end = writer.end(2).unwrap();
    let file = |order: &[usize]| {
        let parts = order.iter().map(|frame| &frames[*frame][..]);
        parts.fold(name.clone(), |file, frame| [&file[..], frame].concat())
    };
    let verify = |order: &[usize]| {
        let bytes = [file(order), end.clone()].concat();
        Reader::open(&bytes[..]).and_then(Reader::verify)
    };
    assert_eq!(verify(&[0, 1, 2]).unwrap().1, 2);
    for order in [&[0, 2][..], &[0, 1, 1, 2], &[1, 0, 2], &[]] {
        assert!(verify(order).is_err(), "{order:?}");
    }
    let (broken, name) = Writer::begin();
    let bytes = [name, broken.broken("the disk is full").unwrap()].concat();
    let said = Reader::open(&bytes[..]).unwrap().verify().unwrap_err().to_string();
    assert!(said.contains("the disk is full"), "{said}");
}

/// One that nobody finishes does not keep the store from anything, nor another from being made.
#[tokio::test]
async fn an_unfinished_copy_is_in_nobodys_way() {
    let folder = Somewhere::Folder(tempfile::tempdir().unwrap());
    let store = folder.open().await;
    store
        .apply(batch(Vec::new(), vec![Op::Bind(user("_mls_ds")), Op::Receive(message(1, 9_000))]))
        .await
        .unwrap();
    let mut first = store.copy().await.unwrap();
    assert!(!first.next().await.unwrap().is_empty());
    let second = copied(store.copy().await.unwrap(), async || {}).await;
    assert!(Reader::open(&second[..]).unwrap().verify().is_ok());
    assert!(first.next().await.is_err(), "it was given up");
    folder.close(store).await;
}

/// What is lacking may have been a freeze: taken in as it is, it is nobody's; distrusted, nothing goes on in it.
#[tokio::test]
async fn a_copy_that_lacks_damaged_records_is_refused_or_frozen() {
    let (mut writer, mut bytes) = Writer::begin();
    let records = vec![
        Record::Owner(user("_mls_ds")),
        Record::Keys(key(1).0),
        Record::Head(head(1, 3, 9)),
        Record::Inbox(maypole_core::ids::InboxSeq::new(0), message(0, 9)),
        Record::Progress(maypole_core::records::Progress { inbox: 1, owed: 0, issued: 0 }),
    ];
    bytes.extend(writer.records(records).unwrap());
    bytes.extend(writer.end(1).unwrap());
    let ledger = Ledger::new(Memory::default());
    let refused = restore(&ledger, Reader::open(&bytes[..]).unwrap(), None).await;
    assert!(matches!(refused, Err(ImportError::Incomplete(1))), "{refused:?}");
    assert_eq!(ledger.owner().await.unwrap(), None, "it is nobody's");

    let ledger = Ledger::new(Memory::default());
    let reason = frozen(7, 9);
    restore(&ledger, Reader::open(&bytes[..]).unwrap(), Some(&reason)).await.unwrap();
    let store = ledger.into_backend();
    assert_eq!(store.owner().await.unwrap(), Some(user("_mls_ds")));
    assert_eq!(store.frozen(&group(1)).await.unwrap(), Some(reason));
    assert!(store.inbox(None, 9).await.unwrap().is_empty());
}
