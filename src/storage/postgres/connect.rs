//! The way to the database: how sessions are opened, whether its promises are good enough, and whether its tables are ours.

use std::str::FromStr as _;

use maypole_core::limits;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Row as _, SqlSafeStr as _};

/// Why a database cannot be the service's store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address makes no sense. It is not repeated: it may have a password in it.
    #[error(
        "the address of the database cannot be read: it looks like postgres://user:password@host/database"
    )]
    Address,
    /// It cannot be reached, or does not let us in.
    #[error("the database cannot be used: {0}")]
    Unreachable(sqlx::Error),
    /// It is older than what the store asks of it.
    #[error(
        "the database is PostgreSQL {found}; the store needs {} or newer: bring the server up to date, or have the store in a \
         folder",
        limits::POSTGRES_OLDEST
    )]
    Old {
        /// Its version, as it says it itself.
        found: String,
    },
    /// A newer program has changed its tables.
    #[error(
        "the database has tables of version {found}; this program knows version {known} at most: run the newer \
         program that changed them, or import a copy that was made before (`maypole db import`) into an empty database"
    )]
    Newer {
        /// The version of its tables.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// Its tables were changed by hand, or are somebody else's.
    #[error(
        "the database's tables are not as this program made them: {0}. Nothing was changed. If they are somebody else's, \
         give the service a database of its own; if ours were changed by hand, undo that, or import a copy (`maypole db \
         import`) into an empty database"
    )]
    Foreign(MigrateError),
    /// It acknowledges what it may forget.
    #[error(
        "the database answers before what was written is on its disk (`{setting} = off`): what the service has \
         promised could be lost"
    )]
    Forgetful {
        /// Which of its settings says so.
        setting: &'static str,
    },
}

/// Each change of the tables, in order. What was released is never changed.
const CHANGES: [(i64, &str, &str); 2] = [
    (1, "records", include_str!("migrations/0001_records.sql")),
    (2, "snapshots", include_str!("migrations/0002_snapshots.sql")),
];

/// Whether a text may be the address of a PostgreSQL.
pub(crate) fn is_address(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Opens a bounded number of sessions for the work, one for the beginning; and later, when they are needed, the few in which a
/// process says that it is alive.
pub(super) async fn connect(address: &str, connections: u32) -> Result<(PgPool, PgPool), OpenError> {
    let options = Some(address).filter(|address| is_address(address)).map(PgConnectOptions::from_str);
    let options = options.and_then(Result::ok).ok_or(OpenError::Address)?;
    let milliseconds = |limit: std::time::Duration| limit.as_millis().to_string();
    let options = options.application_name("maypole").options([
        ("client_min_messages", "warning".to_owned()),
        ("statement_timeout", milliseconds(limits::POSTGRES_STATEMENT)),
        ("lock_timeout", milliseconds(limits::POSTGRES_LOCK)),
        ("idle_in_transaction_session_timeout", milliseconds(limits::POSTGRES_IDLE)),
    ]);
    let pool_of =
        |sessions| PgPoolOptions::new().max_connections(sessions).acquire_timeout(limits::POSTGRES_CONNECT);
    let pool = pool_of(connections).connect_with(options.clone()).await.map_err(OpenError::Unreachable)?;
    check_promises(&pool).await?;
    change_tables(&pool).await?;
    Ok((pool, pool_of(limits::POSTGRES_LEASE_CONNECTIONS).connect_lazy_with(options)))
}

/// Refuses a database that is too old, or that acknowledges what is not on its disk.
async fn check_promises(pool: &PgPool) -> Result<(), OpenError> {
    let query = "SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_version'), \
                 current_setting('server_version_num')::integer / 10000";
    let row = sqlx::query(query).fetch_one(pool).await.map_err(OpenError::Unreachable)?;
    let setting = |column: usize| row.try_get::<String, _>(column).map_err(OpenError::Unreachable);
    is_new_enough(row.try_get(3).map_err(OpenError::Unreachable)?, &setting(2)?)?;
    if setting(0)? == "off" {
        return Err(OpenError::Forgetful { setting: "synchronous_commit" });
    }
    if setting(1)? == "off" {
        tracing::warn!("the database runs with fsync = off: a loss of power may damage it beyond repair");
    }
    Ok(())
}

/// Refuses a version, by its number before the dot.
pub(super) fn is_new_enough(major: i32, found: &str) -> Result<(), OpenError> {
    if major < limits::POSTGRES_OLDEST { Err(OpenError::Old { found: found.to_owned() }) } else { Ok(()) }
}

/// Makes the tables, or changes those of an older program. Several processes may do so at once: one does.
async fn change_tables(pool: &PgPool) -> Result<(), OpenError> {
    let known = CHANGES.iter().map(|(version, ..)| *version).max().unwrap_or_default();
    let changes = CHANGES.iter().map(|(version, name, sql)| {
        let sql = AssertSqlSafe(*sql).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    let migrator = Migrator::with_migrations(changes.collect());
    let changed = migrator.run(pool).await;
    changed.map_err(|error| match error {
        MigrateError::VersionMissing(found) => OpenError::Newer { found, known },
        MigrateError::Execute(error) => OpenError::Unreachable(error),
        other => OpenError::Foreign(other),
    })
}
