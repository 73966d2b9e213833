//! The inbox and what is owed. A damaged row is moved out of the way; one that the database itself cannot read is passed over.

use std::collections::BTreeSet;

use maypole_core::ids::{InboxSeq, OwedId};
use maypole_core::limits;
use maypole_core::records::{InboxRow, OwedRow, Queues};
use maypole_core::shares::Shares;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

use super::failure::Failure;
use super::number::{from_column, limit, to_column};
use super::pages::readable_rows;
use super::read::{Key, numbers, quarantine};
use super::record::{Damage, Table, open};

pub(super) async fn inbox(
    pool: &PgPool,
    after: Option<InboxSeq>,
    rows: usize,
) -> Result<Vec<InboxRow>, Failure> {
    let query = "SELECT seq, record FROM inbox WHERE seq > $1 ORDER BY seq LIMIT $2";
    let after = after.map_or(-1, |after| to_column(after.get()));
    let all = sqlx::query(query).bind(after).bind(limit(rows)).fetch_all(pool).await;
    inbox_rows(pool, INBOX.or_readable(pool, all, |seq, _| seq > after, rows).await?).await
}

pub(super) async fn unanswered(
    pool: &PgPool,
    of: Shares,
    but_for: BTreeSet<InboxSeq>,
    rows: usize,
) -> Result<Vec<InboxRow>, Failure> {
    let query =
        "SELECT seq, record FROM inbox WHERE share = ANY($1) AND seq <> ALL($2) ORDER BY seq LIMIT $3";
    let (of, but_for) = (numbers(of), columns(but_for.into_iter().map(InboxSeq::get)));
    let all = sqlx::query(query).bind(&of).bind(&but_for).bind(limit(rows)).fetch_all(pool).await;
    let is_wanted = |seq, share| of.contains(&share) && !but_for.contains(&seq);
    inbox_rows(pool, INBOX.or_readable(pool, all, is_wanted, rows).await?).await
}

async fn inbox_rows(pool: &PgPool, rows: Vec<PgRow>) -> Result<Vec<InboxRow>, Failure> {
    let mut found = Vec::new();
    for row in rows {
        let (seq, record): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        match open(Table::Inbox, b"", record) {
            Ok(item) => found.push(InboxRow { seq: InboxSeq::new(from_column(seq)), item }),
            Err(Damage::Version) => return Err(Failure::Newer(Table::Inbox)),
            Err(_) => quarantine(pool, Table::Inbox, Key::Number(seq), record).await?,
        }
    }
    Ok(found)
}

pub(super) async fn owed(pool: &PgPool, after: Option<OwedId>, rows: usize) -> Result<Vec<OwedRow>, Failure> {
    let query = "SELECT id, lane, record FROM owed WHERE id > $1 ORDER BY id LIMIT $2";
    let after = after.map_or(-1, |after| to_column(after.get()));
    let all = sqlx::query(query).bind(after).bind(limit(rows)).fetch_all(pool).await;
    owed_rows(pool, OWED.or_readable(pool, all, |id, _| id > after, rows).await?).await
}

pub(super) async fn undelivered(
    pool: &PgPool,
    of: Shares,
    but_for: BTreeSet<OwedId>,
    rows: usize,
) -> Result<Vec<OwedRow>, Failure> {
    let query =
        "SELECT id, lane, record FROM owed WHERE share = ANY($1) AND id <> ALL($2) ORDER BY id LIMIT $3";
    let (of, but_for) = (numbers(of), columns(but_for.into_iter().map(OwedId::get)));
    let all = sqlx::query(query).bind(&of).bind(&but_for).bind(limit(rows)).fetch_all(pool).await;
    let is_wanted = |id, share| of.contains(&share) && !but_for.contains(&id);
    owed_rows(pool, OWED.or_readable(pool, all, is_wanted, rows).await?).await
}

async fn owed_rows(pool: &PgPool, rows: Vec<PgRow>) -> Result<Vec<OwedRow>, Failure> {
    let mut found = Vec::new();
    for row in rows {
        let (id, lane, record): (i64, &str, &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        match open(Table::Owed, lane.as_bytes(), record) {
            Ok(owed) => found.push(OwedRow { id: OwedId::new(from_column(id)), owed }),
            Err(Damage::Version) => return Err(Failure::Newer(Table::Owed)),
            Err(_) => quarantine(pool, Table::Owed, Key::Number(id), record).await?,
        }
    }
    Ok(found)
}

/// How much waits in the queues, or as much as anybody asks about.
pub(super) async fn queues(pool: &PgPool) -> Result<Queues, Failure> {
    let query = "SELECT (SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT $1) AS bounded), \
                 (SELECT count(*) FROM (SELECT 1 FROM owed LIMIT $2) AS bounded)";
    let one_more = |rows: usize| limit(rows.saturating_add(1));
    let query = sqlx::query(query).bind(one_more(limits::INBOX_ROWS)).bind(one_more(limits::OWED_ROWS));
    match query.fetch_one(pool).await.map_err(Failure::from) {
        Ok(row) => Ok(Queues { inbox: from_column(row.try_get(0)?), owed: from_column(row.try_get(1)?) }),
        Err(Failure::Broken(_)) => {
            Ok(Queues { inbox: INBOX.readable(pool).await?, owed: OWED.readable(pool).await? })
        }
        Err(other) => Err(other),
    }
}

fn columns(numbers: impl Iterator<Item = u64>) -> Vec<i64> {
    numbers.map(to_column).collect()
}

/// A table that is read in the order of its numbers.
struct Queue {
    table: Table,
    /// A row by its number.
    one: &'static str,
    /// The number and the share of a row.
    numbers: &'static str,
}

const INBOX: Queue =
    Queue { table: Table::Inbox, one: "SELECT seq, record FROM inbox WHERE seq = $1", numbers: "seq, share" };
const OWED: Queue = Queue {
    table: Table::Owed,
    one: "SELECT id, lane, record FROM owed WHERE id = $1",
    numbers: "id, share",
};

impl Queue {
    /// What the database answered, or, where it met damage, the wanted rows that it can read one by one.
    async fn or_readable(
        &self,
        pool: &PgPool,
        answered: Result<Vec<PgRow>, sqlx::Error>,
        is_wanted: impl Fn(i64, i16) -> bool,
        most: usize,
    ) -> Result<Vec<PgRow>, Failure> {
        match answered.map_err(Failure::from) {
            Err(Failure::Broken(_)) => {}
            answered => return answered,
        }
        let mut numbers = BTreeSet::new();
        for row in readable_rows(pool, self.table, self.numbers).await? {
            let number = row.try_get(0)?;
            if is_wanted(number, row.try_get(1)?) {
                numbers.insert(number);
            }
        }
        let mut found = Vec::new();
        for number in numbers {
            if found.len() >= most {
                break;
            }
            let name = number.to_string();
            let row = sqlx::query(self.one).bind(number).fetch_optional(pool).await;
            match row.map_err(Failure::about(self.table, name.as_bytes())) {
                Ok(row) => found.extend(row),
                Err(Failure::Damaged(..)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    /// How many rows lie in pages that can be read.
    async fn readable(&self, pool: &PgPool) -> Result<u64, Failure> {
        let rows = readable_rows(pool, self.table, self.numbers).await?;
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }
}
