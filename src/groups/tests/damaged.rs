//! A bit has flipped in a record of a group in which something is staged: all that came to the group is answered, once, and
//! nothing of it is tried for ever; the other groups do not notice.

use std::io::Seek as _;
use std::path::Path;
use std::sync::Arc;

use maypole_core::batch::{Backend, Batch, Op};
use maypole_core::group::{Agenda, Command, Head, Request, Staged};
use maypole_core::ids::{DeviceId, GroupId, InboxSeq};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::permit::Permit;
use maypole_testkit::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::forged::snapshot;
use super::{codes, commit_of, message, receive, work_until};
use crate::clock;
use crate::dialects::matrix::questions::Question;
use crate::dialects::matrix::telling::Asker;
use crate::storage::conformance::samples::{agenda, entry, epoch, head};
use crate::storage::{postgres, sled};

/// The group of the samples.
const ROOM: &str = "!room1:a.org";
/// A record of a group, by its table and by the first byte of its key.
const RECORDS: [(&str, u8); 5] =
    [("groups", b'g'), ("log", b'l'), ("snapshots", b'm'), ("agendas", b'e'), ("staged", b'y')];

/// The service ended while a commit of alice was staged; one of bob waits behind it, and one of dan for another group.
async fn ended<B: Backend>(store: B, damaged: &str) {
    let ledger = Ledger::new(store);
    let staged = message("alice", &commit_of(ROOM, 1));
    let asker = Asker::of(&Question::read(&staged).unwrap()).to_bytes();
    let request =
        Request::Commit { epoch: epoch(1), message: vec![1], welcome: None, group_info: Some(vec![2]) };
    let command =
        Command::of(&staged.caller(), DeviceId::parse("D").unwrap(), GroupId::parse(ROOM).unwrap(), request);
    let nothing = Permit { effects: Vec::new(), cited: Vec::new() };
    let staged_command = Staged::new(&command, InboxSeq::new(0), clock::now(), nothing, asker);
    let others = vec![message("bob", &commit_of(ROOM, 2)), message("dan", &commit_of("!other:a.org", 3))];
    receive(&ledger, vec![vec![staged], others]).await;
    // Only what comes after the snapshot is read of the log.
    let at = if damaged == "log" { 2 } else { 1 };
    let head = Head { snapshot_epoch: epoch(1), ..head(1, at, 10) };
    let ops = vec![
        Op::SetHead(head.clone()),
        Op::SetAgenda(Agenda { proposals: Vec::new(), ..agenda(1, 1, 10) }),
        Op::Append(head.group.clone(), entry(at, 100)),
        Op::PutSnapshot(head.group, snapshot(ROOM, 2)),
        Op::Stage(staged_command),
    ];
    ledger.into_backend().apply(Batch { name: "test", expect: Vec::new(), ops }).await.unwrap();
}

/// It begins again, with a record damaged.
async fn begins<B: Backend>(store: B, folder: &Path, damaged: &str) {
    let ledger = Arc::new(Ledger::new(store));
    work_until(&ledger, folder, 0).await;
    let codes = codes(&ledger).await;
    for (account, code) in [
        ("@alice:a.org", "M_MLS_FROZEN"),
        ("@bob:a.org", "M_MLS_FROZEN"),
        ("@dan:a.org", "M_MLS_UNKNOWN_GROUP"),
    ] {
        assert_eq!(codes[account], [code], "{damaged}");
    }
    assert_eq!(ledger.depths().await.unwrap().staged, 0, "{damaged}");
    // A group of which nothing else is damaged must not go on as though nothing had been staged.
    let frozen = ledger.frozen(&GroupId::parse(ROOM).unwrap()).await.unwrap();
    assert_eq!(frozen.is_some(), damaged == "staged", "{damaged}");
}

#[tokio::test]
async fn all_is_answered_from_the_embedded_store() {
    for (name, prefix) in RECORDS {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("store");
        let store = sled::Store::open(&folder).unwrap();
        let closing = store.clone();
        ended(store, name).await;
        closing.close().await;
        flip(&folder, prefix);
        begins(sled::Store::open(&folder).unwrap(), place.path(), name).await;
    }
}

#[tokio::test]
async fn the_log_says_what_the_operator_can_do() {
    let page = Arc::new(tempfile::tempfile().unwrap());
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(page.clone()).finish();
    let _logging = tracing::subscriber::set_default(lines);
    // With one alone, what other tests log at the same time decides what is logged at all.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    let store = sled::Store::open(&folder).unwrap();
    let closing = store.clone();
    ended(store, "snapshots").await;
    closing.close().await;
    flip(&folder, b'm');
    begins(sled::Store::open(&folder).unwrap(), place.path(), "snapshots").await;
    (&*page).rewind().unwrap();
    let text = std::io::read_to_string(&*page).unwrap();
    let told = text.lines().filter(|line| line.contains(ROOM) && line.contains("cannot be read"));
    let told: Vec<&str> = told.collect();
    assert_eq!(told.len(), 2, "once for each message that it refuses: {text}");
    for line in told {
        assert!(line.contains("`maypole db check`") && line.contains("`maypole db import`"), "{line}");
    }
}

/// Flips a bit in the one record of a kind.
fn flip(folder: &Path, prefix: u8) {
    let mut logs = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.find(|path| path.join("format").exists()).unwrap();
    // As after a crash; a store that was left in order is held to its seal.
    std::fs::remove_file(log.join("sealed")).unwrap();
    let db = ::sled::Config::new().path(log).segment_size(limits::SLED_SEGMENT_BYTES).open().unwrap();
    let records: Vec<_> = db.scan_prefix([prefix]).map(Result::unwrap).collect();
    let [(key, value)] = records.as_slice() else { panic!("{} records", records.len()) };
    let mut value = value.to_vec();
    *value.last_mut().unwrap() ^= 0x10;
    db.insert(key, value).unwrap();
    db.flush().unwrap();
}

/// In a schema of its own, what was left there when the service ended; what is done to it, and the store opened again.
async fn ended_in(server: &Postgres, schema: &str, damaged: &str, done: &[&str]) -> postgres::Store {
    let mut session = PgConnection::connect(&server.url()).await.unwrap();
    let new = [format!("CREATE SCHEMA {schema}"), format!("SET search_path TO {schema}")];
    let url = format!("{}?options=-c%20search_path%3D{schema}", server.url());
    for step in new {
        sqlx::query(AssertSqlSafe(step)).execute(&mut session).await.unwrap();
    }
    let store = postgres::Store::open(&url, 6).await.unwrap();
    let closing = store.clone();
    ended(store, damaged).await;
    closing.close().await;
    let flip = format!(
        "UPDATE {damaged} SET record = set_bit(record, length(record) * 4, \
         1 - get_bit(record, length(record) * 4))"
    );
    assert_eq!(sqlx::query(AssertSqlSafe(flip)).execute(&mut session).await.unwrap().rows_affected(), 1);
    for step in done {
        sqlx::raw_sql(AssertSqlSafe(*step)).execute(&mut session).await.unwrap();
    }
    postgres::Store::open(&url, 6).await.unwrap()
}

#[tokio::test]
async fn all_is_answered_from_a_database() {
    let server = Postgres::start().await.unwrap();
    for (table, _) in RECORDS {
        let place = tempfile::tempdir().unwrap();
        let store = ended_in(&server, &format!("of_{table}"), table, &[]).await;
        Box::pin(begins(store, place.path(), table)).await;
    }
}

#[tokio::test]
async fn what_is_staged_is_given_up_where_its_message_is_lost_as_well() {
    let server = Postgres::start().await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let lost = "DELETE FROM inbox WHERE seq = 0";
    let ledger = Arc::new(Ledger::new(ended_in(&server, "lost", "staged", &[lost]).await));
    work_until(&ledger, place.path(), 0).await;
    let codes = codes(&ledger).await;
    assert!(!codes.contains_key("@alice:a.org"), "nobody knows what she had asked: {codes:?}");
    assert_eq!(codes["@bob:a.org"], ["M_MLS_FROZEN"]);
    assert_eq!(ledger.depths().await.unwrap().staged, 0);
    assert!(ledger.frozen(&GroupId::parse(ROOM).unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_staged_is_answered_where_answers_cannot_be_read_either() {
    let server = Postgres::start().await.unwrap();
    let place = tempfile::tempdir().unwrap();
    // As the database fails whoever meets a page with a wrong checksum.
    let key = Question::read(&message("alice", &commit_of(ROOM, 1))).unwrap().key;
    let broken = format!(
        "ALTER TABLE answers RENAME TO kept; \
         INSERT INTO kept (key, expires_at_ms, record) VALUES ('\\x{:?}', {}, ''); \
         CREATE FUNCTION meets_damage(bytea) RETURNS bytea LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'a page is damaged' USING ERRCODE = 'XX001'; END $$; \
         CREATE VIEW answers AS SELECT key, expires_at_ms, meets_damage(record) AS record FROM kept",
        key.0,
        i64::MAX
    );
    let ledger = Arc::new(Ledger::new(ended_in(&server, "broken", "snapshots", &[&broken]).await));
    // The others' answers would be written where nothing can be.
    work_until(&ledger, place.path(), 2).await;
    let codes = codes(&ledger).await;
    assert_eq!(codes["@alice:a.org"], ["M_MLS_FROZEN"]);
    assert_eq!(ledger.staged_groups().await.unwrap(), []);
}
