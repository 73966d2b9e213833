//! The store on a real PostgreSQL.

mod conformance;
mod cuts;
mod damage;
mod depths;
mod faults;
mod leases;
mod opening;
mod pages;
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};

use maypole_testkit::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::Store;
use crate::storage::conformance::Place;

/// Sessions of one store under test.
const CONNECTIONS: u32 = 6;

/// A PostgreSQL of the test's own, in which stores lie side by side.
struct Server {
    postgres: Postgres,
    schemas: AtomicUsize,
}

impl Server {
    async fn start() -> Self {
        Self { postgres: Postgres::start().await.unwrap(), schemas: AtomicUsize::new(0) }
    }

    /// A schema of its own for one store.
    fn schema(&self) -> Schema {
        let number = self.schemas.fetch_add(1, Ordering::SeqCst);
        Schema { server: self.postgres.url(), name: format!("store{number}") }
    }
}

/// Where one store lies.
struct Schema {
    server: String,
    name: String,
}

impl Schema {
    fn url(&self) -> String {
        format!("{}?options=-c%20search_path%3D{}", self.server, self.name)
    }

    /// A session of the test itself.
    async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Has a statement of the test carried out.
    async fn run(&self, statement: &str) -> u64 {
        let statement = sqlx::query(AssertSqlSafe(statement.to_owned()));
        statement.execute(&mut self.session().await).await.unwrap().rows_affected()
    }
}

impl Place for Schema {
    type Store = Store;

    async fn open(&self) -> Store {
        self.run(&format!("CREATE SCHEMA IF NOT EXISTS {}", self.name)).await;
        Store::open(&self.url(), CONNECTIONS).await.unwrap()
    }

    async fn close(&self, store: Store) {
        store.close().await;
    }
}
