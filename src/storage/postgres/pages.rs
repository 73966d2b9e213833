//! What of a table can still be read where the database finds its own files damaged: everything that does not lie in them.
//!
//! A page with a wrong checksum, or a large value of which a part is gone, fails each statement that meets it. Who asks for
//! many rows at once then asks for them page by page, and goes on without those that cannot be had.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use maypole_core::limits;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::failure::Failure;
use super::record::Table;
use crate::telemetry;

/// What was told already: whoever asks again meets the same damage.
static TOLD: Mutex<BTreeSet<(Table, String)>> = Mutex::new(BTreeSet::new());

/// Says once, to operator and metrics, that something in a table cannot be read.
pub(super) fn note(table: Table, what: String, error: &sqlx::Error) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() >= limits::QUARANTINED_ROWS {
        told.clear();
    }
    if told.insert((table, what.clone())) {
        let table = table.name();
        tracing::error!(table, what, %error, "the database cannot read this from its files: restore them from a copy");
        telemetry::record::quarantined(table);
    }
}

/// The columns of all rows that lie in pages which can be read, in no order. They must be of those that lie in the page itself.
pub(super) async fn readable_rows(
    pool: &PgPool,
    table: Table,
    columns: &'static str,
) -> Result<Vec<PgRow>, Failure> {
    let name = table.name();
    let size = "SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint";
    let pages: i64 = sqlx::query(size).bind(name).fetch_one(pool).await?.try_get(0)?;
    let query = format!(
        "SELECT {columns} FROM {name} WHERE ctid >= format('(%s,0)', $1)::tid AND ctid < format('(%s,0)', $2)::tid"
    );
    let (mut rows, mut ranges) = (Vec::new(), vec![(0, pages)]);
    while let Some((first, end)) = ranges.pop() {
        let some = sqlx::query(AssertSqlSafe(query.as_str())).bind(first).bind(end).fetch_all(pool).await;
        match some.map_err(Failure::from) {
            Ok(some) => rows.extend(some),
            Err(Failure::Broken(error)) if end.saturating_sub(first) <= 1 => {
                note(table, format!("page {first}"), &error);
            }
            Err(Failure::Broken(_)) => {
                let middle = first.midpoint(end);
                ranges.extend([(first, middle), (middle, end)]);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(rows)
}
