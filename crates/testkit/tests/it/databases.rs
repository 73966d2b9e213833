//! A private PostgreSQL comes, goes and comes back.

use std::time::Duration;

use anyhow::Result;
use maypole_testkit::postgres::Postgres;
use maypole_testkit::wait::eventually;
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
