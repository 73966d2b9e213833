//! Which databases are taken for a store.

use maypole_core::batch::{Backend as _, Op};

use super::{CONNECTIONS, Server};
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{batch, epoch, group, message, snapshot, user};
use crate::storage::postgres::connect::is_new_enough;
use crate::storage::postgres::{OpenError, Store};

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused_without_repeating_it() {
    for address in ["", "data", "mysql://maypole:secret@127.0.0.1/x", "postgres://maypole:secret@host:port/x"]
    {
        let error = Store::open(address, CONNECTIONS).await.unwrap_err();
        assert!(matches!(error, OpenError::Address), "{address}: {error:?}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_to_be() {
    let mut server = Server::start().await;
    let error = Store::open(&server.postgres.url_of("nowhere"), CONNECTIONS).await.unwrap_err();
    assert!(error.to_string().contains("\"nowhere\" does not exist"), "{error}");
    let url = server.postgres.url();
    server.postgres.stop().await.unwrap();
    let error = Store::open(&url, CONNECTIONS).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn one_that_forgets_is_refused() {
    let server = Server::start().await;
    let place = server.schema();
    place.close(place.open().await).await;
    let url = format!("{}%20-c%20synchronous_commit%3Doff", place.url());
    let error = Store::open(&url, CONNECTIONS).await.unwrap_err();
    assert!(matches!(error, OpenError::Forgetful { setting: "synchronous_commit" }), "{error:?}");
}

#[test]
fn one_that_is_too_old_is_refused() {
    let error = is_new_enough(13, "13.22 (Debian)").unwrap_err().to_string();
    assert!(error.contains("PostgreSQL 13.22 (Debian)") && error.contains("needs 14 or newer"), "{error}");
    is_new_enough(14, "14.0").unwrap();
}

#[tokio::test]
async fn tables_of_a_newer_program_and_changed_ones_are_refused() {
    let server = Server::start().await;
    let place = server.schema();
    place.close(place.open().await).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'from the future', true, '', 0)";
    place.run(newer).await;
    match Store::open(&place.url(), CONNECTIONS).await {
        Err(OpenError::Newer { found: 999, known }) => assert!(known < 999),
        other => panic!("{other:?}"),
    }
    place.run("DELETE FROM _sqlx_migrations WHERE version = 999").await;
    place.close(place.open().await).await;
    place.run("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1").await;
    let error = Store::open(&place.url(), CONNECTIONS).await.unwrap_err();
    assert!(matches!(error, OpenError::Foreign(_)), "{error:?}");
}

/// As the program before the second change of the tables left them: one tree of each group.
#[tokio::test]
async fn tables_of_an_older_program_are_changed_and_all_in_them_is_read() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let trees =
        vec![Op::PutSnapshot(group(1), snapshot(4, 9_000)), Op::PutSnapshot(group(2), snapshot(7, 50))];
    store.apply(batch(Vec::new(), trees)).await.unwrap();
    place.close(store).await;
    place.run("ALTER TABLE snapshots DROP CONSTRAINT snapshots_pkey, ADD PRIMARY KEY (group_id)").await;
    assert_eq!(place.run("DELETE FROM _sqlx_migrations WHERE version = 2").await, 1);
    let store = place.open().await;
    assert_eq!(store.snapshot(&group(1), epoch(9)).await.unwrap(), Some(snapshot(4, 9_000)));
    store.apply(batch(Vec::new(), vec![Op::PutSnapshot(group(1), snapshot(6, 50))])).await.unwrap();
    assert_eq!(store.snapshot(&group(1), epoch(5)).await.unwrap(), Some(snapshot(4, 9_000)));
    assert_eq!(store.snapshot(&group(1), epoch(9)).await.unwrap(), Some(snapshot(6, 50)));
    assert_eq!(store.snapshot(&group(2), epoch(9)).await.unwrap(), Some(snapshot(7, 50)));
    place.close(store).await;
}

/// Tables of somebody else stay as they are.
#[tokio::test]
async fn tables_that_are_in_the_way_are_left_alone() {
    let server = Server::start().await;
    let place = server.schema();
    place.run(&format!("CREATE SCHEMA {}", place.name)).await;
    place.run("CREATE TABLE groups (theirs text)").await;
    let error = Store::open(&place.url(), CONNECTIONS).await.unwrap_err();
    assert!(error.to_string().contains("groups"), "{error}");
    assert_eq!(place.run("INSERT INTO groups VALUES ('theirs')").await, 1);
    // Nothing is half made: the table made before it is not there.
    assert!(sqlx::query("SELECT 1 FROM store").execute(&mut place.session().await).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_open_an_empty_one_at_once() {
    let server = Server::start().await;
    let place = server.schema();
    place.run(&format!("CREATE SCHEMA {}", place.name)).await;
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let url = place.url();
            tokio::spawn(async move { Store::open(&url, 2).await.unwrap() })
        })
        .collect();
    let mut stores = Vec::new();
    for store in opened {
        stores.push(store.await.unwrap());
    }
    stores[0]
        .apply(batch(Vec::new(), vec![Op::Bind(user("_mls_ds")), Op::Receive(message(1, 10))]))
        .await
        .unwrap();
    for store in &stores {
        assert_eq!(store.owner().await.unwrap(), Some(user("_mls_ds")));
        assert_eq!(store.inbox(None, 10).await.unwrap().len(), 1);
    }
}
