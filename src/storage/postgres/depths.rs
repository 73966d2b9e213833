//! How much there is of everything, as often as somebody wants to show it.
//!
//! Queues are short and are counted. What is remembered, and groups, may be very many: up to a number they are counted too, and
//! beyond it now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use maypole_core::limits;
use maypole_core::records::Depths;
use sqlx::{PgPool, Row as _};

use super::failure::Failure;
use super::number::{from_column, limit};
use super::record::Table;
use crate::clock;

/// What was counted whole, and when.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<BTreeMap<Table, (Instant, u64)>>);

pub(super) async fn depths(pool: &PgPool, counted: &Counted) -> Result<Depths, Failure> {
    let query = "SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM owed), (SELECT count(*) FROM set_aside), \
                 (SELECT count(*) FROM staged), (SELECT count(*) FROM (SELECT 1 FROM answers LIMIT $1) AS bounded), \
                 (SELECT count(*) FROM (SELECT 1 FROM groups LIMIT $1) AS bounded)";
    let one_more = limit(limits::POSTGRES_COUNTED_ROWS.saturating_add(1));
    let row = sqlx::query(query).bind(one_more).fetch_one(pool).await?;
    let count = |column: usize| row.try_get(column).map(from_column);
    let answers = "SELECT count(*) FROM answers";
    let groups = "SELECT count(*) FROM groups";
    Ok(Depths {
        inbox: count(0)?,
        owed: count(1)?,
        set_aside: count(2)?,
        staged: count(3)?,
        answers: counted.of(pool, Table::Answers, answers, count(4)?).await?,
        groups: counted.of(pool, Table::Groups, groups, count(5)?).await?,
    })
}

impl Counted {
    /// How many rows a table has, of which some were counted; if those are not all, as of the last time that all were.
    async fn of(&self, pool: &PgPool, table: Table, count: &'static str, some: u64) -> Result<u64, Failure> {
        if usize::try_from(some).is_ok_and(|some| some <= limits::POSTGRES_COUNTED_ROWS) {
            return Ok(some);
        }
        let lately = self.lock().get(&table).copied();
        if let Some((_, all)) = lately.filter(|(at, _)| at.elapsed() < limits::POSTGRES_COUNT_EVERY) {
            return Ok(all);
        }
        let all = from_column(sqlx::query(count).fetch_one(pool).await?.try_get(0)?);
        self.lock().insert(table, (clock::monotonic(), all));
        Ok(all)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Table, (Instant, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
