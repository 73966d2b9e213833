//! Which process works on which shares: a row for each process that is alive, and one for each share.
//!
//! The database's clock alone says who is alive, so that no two machines need agree on the time. A process that has not
//! renewed its row in time has lost everything that it held. Shares are dealt evenly: who holds more than its part gives
//! some up when it is asked to, who holds less takes what is free.

use std::time::Duration;

use maypole_core::ids::ProcessId;
use maypole_core::limits;
use maypole_core::shares::{Held, Share, Shares};
use sqlx::{PgConnection, PgPool, Row as _};

use super::failure::Failure;
use super::read::numbers;

/// The number, in the table of shares, of the right to read the homeserver's stream.
const STREAM: i16 = limits::SHARES as i16;
/// The number of the lock under which shares change hands.
const DEAL: i64 = 0x6d61_7970_6f6c_6501;
/// Processes that have not been heard of in time. One that hangs in the middle of saying so holds up nobody.
const BURY: &str = "DELETE FROM processes WHERE id IN \
                    (SELECT id FROM processes WHERE until < now() FOR UPDATE SKIP LOCKED)";

/// Renews what a process holds, and takes what it should hold besides.
pub(super) async fn renew(pool: &PgPool, process: ProcessId, term: Duration) -> Result<Held, Failure> {
    let alive = "INSERT INTO processes (id, until) VALUES ($1, now() + $2) ON CONFLICT (id) DO UPDATE SET until = now() + $2";
    sqlx::query(alive).bind(process.as_bytes().as_slice()).bind(term).execute(pool).await?;
    let mut transaction = pool.begin_with(super::write::BEGIN).await?;
    let connection = &mut *transaction;
    // Shares change hands one process after the other, so that each sees what the one before took. Who cannot deal now
    // keeps what it has, and takes nothing.
    let deals =
        sqlx::query("SELECT pg_try_advisory_xact_lock($1)").bind(DEAL).fetch_one(&mut *connection).await?;
    let deals: bool = deals.try_get(0)?;
    if deals {
        sqlx::query(BURY).execute(&mut *connection).await?;
    }
    let count = sqlx::query("SELECT count(*) FROM processes WHERE until >= now()");
    let count: i64 = count.fetch_one(&mut *connection).await?.try_get(0)?;
    let part = u32::from(limits::SHARES).div_ceil(u32::try_from(count).unwrap_or(u32::MAX).max(1));
    let mut shares = held(connection, process).await?;
    let missing = i64::from(part.saturating_sub(shares.count()));
    if deals && missing > 0 {
        take(connection, process, missing).await?;
        shares = held(connection, process).await?;
    }
    if deals {
        take_stream(connection, process).await?;
    }
    let stream = holds_stream(connection, process).await?;
    transaction.commit().await.map_err(Failure::Unknown)?;
    let over = usize::try_from(shares.count().saturating_sub(part)).unwrap_or_default();
    let surplus = shares.iter().take(over).collect();
    Ok(Held { shares, surplus, stream, others: true })
}

/// The shares of a process.
async fn held(connection: &mut PgConnection, process: ProcessId) -> Result<Shares, Failure> {
    let query = sqlx::query("SELECT number FROM shares WHERE holder = $1 AND number < $2");
    let rows = query.bind(process.as_bytes().as_slice()).bind(STREAM).fetch_all(connection).await?;
    let mut numbers = Vec::new();
    for row in rows {
        numbers.push(row.try_get::<i16, _>(0)?);
    }
    Ok(numbers.into_iter().filter_map(|number| Share::new(u8::try_from(number).ok()?)).collect())
}

/// Takes free shares, so many at most.
async fn take(connection: &mut PgConnection, process: ProcessId, shares: i64) -> Result<(), Failure> {
    let take = "UPDATE shares SET holder = $1 WHERE number IN (\
                    SELECT number FROM shares WHERE number < $2 AND \
                    (holder IS NULL OR holder NOT IN (SELECT id FROM processes WHERE until >= now())) \
                    ORDER BY number LIMIT $3 FOR UPDATE SKIP LOCKED)";
    sqlx::query(take)
        .bind(process.as_bytes().as_slice())
        .bind(STREAM)
        .bind(shares)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes the homeserver's stream if nobody reads it.
async fn take_stream(connection: &mut PgConnection, process: ProcessId) -> Result<(), Failure> {
    let take = "UPDATE shares SET holder = $1 WHERE number IN (\
                    SELECT number FROM shares WHERE number = $2 AND \
                    (holder IS NULL OR holder NOT IN (SELECT id FROM processes WHERE until >= now())) \
                    FOR UPDATE SKIP LOCKED)";
    sqlx::query(take).bind(process.as_bytes().as_slice()).bind(STREAM).execute(connection).await?;
    Ok(())
}

/// Whether a process reads the homeserver's stream.
async fn holds_stream(connection: &mut PgConnection, process: ProcessId) -> Result<bool, Failure> {
    let query = sqlx::query("SELECT 1 FROM shares WHERE holder = $1 AND number = $2");
    let row = query.bind(process.as_bytes().as_slice()).bind(STREAM).fetch_optional(connection).await?;
    Ok(row.is_some())
}

/// Gives shares up.
pub(super) async fn give_up(pool: &PgPool, process: ProcessId, shares: Shares) -> Result<(), Failure> {
    let give = sqlx::query("UPDATE shares SET holder = NULL WHERE holder = $1 AND number = ANY($2)");
    give.bind(process.as_bytes().as_slice()).bind(numbers(shares)).execute(pool).await?;
    Ok(())
}

/// A process ends: what it held is free at once.
pub(super) async fn retire(pool: &PgPool, process: ProcessId) -> Result<(), Failure> {
    let mut transaction = pool.begin_with(super::write::BEGIN).await?;
    sqlx::query("UPDATE shares SET holder = NULL WHERE holder = $1")
        .bind(process.as_bytes().as_slice())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM processes WHERE id = $1")
        .bind(process.as_bytes().as_slice())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
