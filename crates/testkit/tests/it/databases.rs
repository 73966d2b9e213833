//! A private PostgreSQL comes, goes and comes back.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::Result;
use maypole_testkit::postgres::Postgres;
use maypole_testkit::wait::eventually;
use nix::unistd::Uid;
use tokio::net::TcpStream;

use crate::lives::lives;

const BOUND: Duration = Duration::from_secs(60);

/// Whether somebody listens where a database does.
async fn listens(postgres: &Postgres) -> Result<Option<bool>> {
    Ok(Some(TcpStream::connect(postgres.listens_at()).await.is_ok()))
}

#[tokio::test]
async fn one_comes_back_on_its_port_after_a_stop_and_after_a_kill() {
    let mut postgres = Postgres::start().await.unwrap();
    let url = postgres.url();
    for hard in [false, true, false] {
        assert!(listens(&postgres).await.unwrap().unwrap());
        let pid = postgres.pid().unwrap();
        if hard {
            postgres.kill().unwrap()
        } else {
            postgres.stop().await.unwrap()
        }
        assert!(!lives(pid) && postgres.pid().is_none());
        // After a kill, its other processes let the port go when they have noticed.
        eventually(BOUND, "the port to be let go", async || {
            Ok((!listens(&postgres).await?.unwrap_or(true)).then_some(()))
        })
        .await
        .unwrap();
        postgres.boot().await.unwrap();
        assert_eq!(postgres.url(), url);
    }
    let pid = postgres.pid().unwrap();
    drop(postgres);
    assert!(!lives(pid));
}

#[tokio::test]
async fn one_lies_in_the_folder_that_is_named_and_stays_there_if_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    if Uid::effective().is_root() {
        set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let refusal = Postgres::start_durable_in(folder.path()).await.unwrap_err();
        assert!(
            refusal.to_string().contains("to which") && refusal.to_string().ends_with("is closed"),
            "{refusal:#}"
        );
        set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    }
    let entries = || std::fs::read_dir(folder.path()).unwrap().count();
    let postgres = Postgres::start_durable_in(folder.path()).await.unwrap();
    assert_eq!(entries(), 1);
    drop(postgres);
    assert_eq!(entries(), 0);
    let mut postgres = Postgres::start_durable_in(folder.path()).await.unwrap();
    let (pid, kept) = (postgres.pid().unwrap(), postgres.keep().to_owned());
    drop(postgres);
    assert!(!lives(pid) && kept.starts_with(folder.path().canonicalize().unwrap()));
    assert!(kept.join("data/PG_VERSION").is_file() && kept.join("console.log").is_file());
}
