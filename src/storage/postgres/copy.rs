//! A copy of the store as it is at one moment: a transaction that sees nothing of what is written after it began.

use std::slice;

use maypole_core::batch::BackendError;
use maypole_core::ids::{GroupId, InboxSeq, KeyPackageRef, OwedId, PushTxnId, Sha256, SyncToken, UserId};
use maypole_core::limits;
use maypole_core::records::{AnswerKey, Progress, PushTransaction};
use maypole_core::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row as _, Transaction};

use super::failure::Failure;
use super::number::from_column;
use super::read::open_snapshot;
use super::record::{Damage, Table, entry_key, open};
use super::{Store, in_time};
use crate::storage::copy::Record;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What is told, table by table: of each row the key, a number, the record, and for a KeyPackage whether it was handed out.
const TABLES: [(Told, &str); 12] = [
    (Told::Record(Table::Inbox), "SELECT ''::bytea, seq, record, false FROM inbox ORDER BY seq"),
    (Told::Record(Table::Owed), "SELECT convert_to(lane, 'UTF8'), id, record, false FROM owed ORDER BY id"),
    (Told::Record(Table::Answers), "SELECT key, 0::bigint, record, false FROM answers"),
    (
        Told::Transactions,
        "SELECT convert_to(id, 'UTF8'), number, body, false FROM push_transactions ORDER BY number",
    ),
    (Told::Record(Table::SetAside), "SELECT ''::bytea, number, record, false FROM set_aside ORDER BY number"),
    (Told::Record(Table::Groups), "SELECT id, epoch, record, false FROM groups"),
    (Told::Record(Table::Agendas), "SELECT group_id, revision, record, false FROM agendas"),
    (Told::Record(Table::Log), "SELECT group_id, epoch, record, false FROM log ORDER BY group_id, epoch"),
    (
        Told::Record(Table::Snapshots),
        "SELECT group_id, epoch, record, false FROM snapshots ORDER BY group_id, epoch",
    ),
    (Told::Record(Table::Staged), "SELECT group_id, inbox_seq, record, false FROM staged"),
    (Told::Record(Table::Frozen), "SELECT group_id, at_ms, record, false FROM frozen"),
    (
        Told::Record(Table::KeyPackages),
        "SELECT reference, known_until_ms, record, used FROM key_packages ORDER BY place",
    ),
];

/// What a row is.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// A sealed record of a table.
    Record(Table),
    /// A push transaction, all of it in columns.
    Transactions,
}

impl Told {
    /// Asks for some rows: one where a record may be large, since nobody knows before how large.
    const fn fetch(self) -> &'static str {
        match self {
            Self::Transactions
            | Self::Record(Table::Answers | Table::Groups | Table::Frozen | Table::KeyPackages) => {
                "FETCH 50 FROM copy"
            }
            Self::Record(_) => "FETCH 1 FROM copy",
        }
    }

    /// The table's name.
    const fn name(self) -> &'static str {
        match self {
            Self::Record(table) => table.name(),
            Self::Transactions => "push_transactions",
        }
    }
}

/// A copy of the database's store that is being made.
pub struct Copying {
    transaction: Transaction<'static, Postgres>,
    first: Vec<Record>,
    tables: slice::Iter<'static, (Told, &'static str)>,
    /// The table whose rows are told now.
    table: Option<Told>,
    damaged: u64,
}

impl std::fmt::Debug for Copying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copying").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Store {
    /// Begins a copy of the store as it is now.
    pub async fn copy(&self) -> Result<Copying, BackendError> {
        self.ask(Copying::begin(&self.pool)).await
    }
}

impl Copying {
    async fn begin(pool: &sqlx::PgPool) -> Result<Self, Failure> {
        let mut transaction = pool.begin_with(BEGIN).await?;
        let patience = format!("{}ms", limits::COPY_IDLE.as_millis());
        let set = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)";
        sqlx::query(set).bind(patience).execute(&mut *transaction).await?;
        let query = "SELECT owner, keys, cursor, next_inbox, (SELECT last_value + is_called::int FROM owed_id), \
                     (SELECT sum(count)::bigint FROM issued) FROM store";
        let row = sqlx::query(query).fetch_one(&mut *transaction).await?;
        let mut first = Vec::new();
        first.extend(row.try_get::<Option<String>, _>(0)?.and_then(UserId::parse).map(Record::Owner));
        let keys = row.try_get::<Option<Vec<u8>>, _>(1)?.and_then(|keys| <[u8; 32]>::try_from(keys).ok());
        first.extend(keys.map(|keys| Record::Keys(Sha256::from_bytes(keys))));
        first.extend(row.try_get::<Option<String>, _>(2)?.and_then(SyncToken::parse).map(Record::Cursor));
        let number = |column: usize| row.try_get(column).map(from_column);
        let progress = Progress { inbox: number(3)?, owed: number(4)?, issued: number(5)? };
        first.push(Record::Progress(progress));
        Ok(Self { transaction, first, tables: TABLES.iter(), table: None, damaged: 0 })
    }

    /// The next records; none when all were told.
    pub async fn next(&mut self) -> Result<Vec<Record>, BackendError> {
        in_time(self.page()).await.map_err(BackendError::from)
    }

    /// How many records could not be told because they are damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    async fn page(&mut self) -> Result<Vec<Record>, Failure> {
        let mut records = std::mem::take(&mut self.first);
        let (mut bytes, mut rows) = (0_usize, 0_usize);
        while bytes < limits::COPY_PAGE_BYTES && rows < limits::COPY_PAGE {
            let Some(table) = self.table else {
                let Some((told, query)) = self.tables.next() else { break };
                let declare = format!("DECLARE copy NO SCROLL CURSOR FOR {query}");
                sqlx::query(sqlx::AssertSqlSafe(declare)).execute(&mut *self.transaction).await?;
                self.table = Some(*told);
                continue;
            };
            let page = sqlx::query(table.fetch()).fetch_all(&mut *self.transaction).await?;
            if page.is_empty() {
                sqlx::query("CLOSE copy").execute(&mut *self.transaction).await?;
                self.table = None;
            }
            for row in page {
                rows = rows.saturating_add(1);
                bytes = bytes.saturating_add(row.try_get::<Option<&[u8]>, _>(2)?.map_or(0, <[u8]>::len));
                match told(table, &row)? {
                    Ok(record) => records.extend(record),
                    Err(Damage::Version) => {
                        if let Told::Record(table) = table {
                            return Err(Failure::Newer(table));
                        }
                    }
                    Err(damage) => {
                        self.damaged = self.damaged.saturating_add(1);
                        tracing::error!(table = table.name(), %damage, "not in the copy: a damaged record");
                    }
                }
            }
        }
        Ok(records)
    }
}

/// What a copy says of a row, if anything.
fn told(told: Told, row: &PgRow) -> Result<Result<Option<Record>, Damage>, Failure> {
    let (key, number): (&[u8], i64) = (row.try_get(0)?, row.try_get(1)?);
    let (record, used): (Option<&[u8]>, bool) = (row.try_get(2)?, row.try_get(3)?);
    Ok(match told {
        Told::Transactions => {
            let id = String::from_utf8(key.to_vec()).ok().and_then(PushTxnId::parse);
            let body = record.and_then(|body| <[u8; 32]>::try_from(body).ok()).map(Sha256::from_bytes);
            let transaction = id.zip(body).map(|(id, body)| PushTransaction { id, body });
            transaction.map(|transaction| Some(Record::Transaction(transaction))).ok_or(Damage::Form)
        }
        Told::Record(table) => record_of(table, key, number, record, used),
    })
}

fn record_of(
    table: Table,
    key: &[u8],
    number: i64,
    record: Option<&[u8]>,
    used: bool,
) -> Result<Option<Record>, Damage> {
    let Some(record) = record else {
        // Of what the table has, only a KeyPackage that is not in stock has no record.
        let reference = KeyPackageRef::parse(key).ok_or(Damage::Form)?;
        return Ok(Some(Record::Gone(reference, Timestamp::from_millis(from_column(number)))));
    };
    let group = || GroupId::parse(key).ok_or(Damage::Form);
    Ok(Some(match table {
        Table::Inbox => Record::Inbox(InboxSeq::new(from_column(number)), open(table, b"", record)?),
        Table::Owed => Record::Owed(OwedId::new(from_column(number)), open(table, key, record)?),
        Table::Answers => {
            let hash = <[u8; 32]>::try_from(key).map_err(|_| Damage::Form)?;
            Record::Answer(AnswerKey(Sha256::from_bytes(hash)), open(table, key, record)?)
        }
        Table::SetAside => Record::Aside(open(table, b"", record)?),
        Table::Groups => Record::Head(open(table, key, record)?),
        Table::Agendas => Record::Agenda(open(table, key, record)?),
        Table::Log => {
            let group = group()?;
            let entry = open(table, &entry_key(&group, number), record)?;
            Record::Entry(group, entry)
        }
        Table::Snapshots => Record::Snapshot(group()?, open_snapshot(key, number, record)?),
        Table::Staged => Record::Staged(open(table, key, record)?),
        Table::Frozen => Record::Frozen(group()?, open(table, key, record)?),
        Table::KeyPackages => Record::KeyPackage(Box::new(open(table, key, record)?), used),
    }))
}
