//! What is read, outside of any transaction. A damaged row of a queue is moved out of the way and kept for the operator; one
//! of a group stays, since without it the group is not what it was.

use maypole_core::group::{Agenda, Entry, Frozen, Head, Snapshot, SnapshotAt, Staged};
use maypole_core::ids::{Epoch, GroupId, InboxSeq, Sha256, SyncToken, UserId};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, Progress, SetAside};
use maypole_core::shares::Shares;
use maypole_core::time::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

use super::failure::Failure;
use super::number::{from_column, limit, to_column};
use super::pages::readable_rows;
use super::record::{Damage, Table, entry_key, open};
use super::tries::tried;
use super::write::BEGIN;
use crate::telemetry;

/// The column of `store` as one of our names.
fn name<T>(row: &PgRow, parse: impl FnOnce(String) -> Option<T>) -> Result<Option<T>, Failure> {
    Ok(row.try_get::<Option<String>, _>(0)?.and_then(parse))
}

pub(super) async fn owner(pool: &PgPool) -> Result<Option<UserId>, Failure> {
    name(&sqlx::query("SELECT owner FROM store").fetch_one(pool).await?, UserId::parse)
}

pub(super) async fn keys(pool: &PgPool) -> Result<Option<Sha256>, Failure> {
    let row = sqlx::query("SELECT keys FROM store").fetch_one(pool).await?;
    let bytes = row.try_get::<Option<Vec<u8>>, _>(0)?.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    Ok(bytes.map(Sha256::from_bytes))
}

pub(super) async fn progress(pool: &PgPool) -> Result<Progress, Failure> {
    let query = "SELECT next_inbox, (SELECT last_value + is_called::int FROM owed_id), \
                 (SELECT sum(count)::bigint FROM issued) FROM store";
    let row = sqlx::query(query).fetch_one(pool).await?;
    let number = |column: usize| row.try_get(column).map(from_column);
    Ok(Progress { inbox: number(0)?, owed: number(1)?, issued: number(2)? })
}

pub(super) async fn cursor(pool: &PgPool) -> Result<Option<SyncToken>, Failure> {
    name(&sqlx::query("SELECT cursor FROM store").fetch_one(pool).await?, SyncToken::parse)
}

/// Shares as the database has them.
pub(super) fn numbers(shares: Shares) -> Vec<i16> {
    shares.iter().map(|share| i16::from(share.get())).collect()
}

pub(super) async fn answer(pool: &PgPool, key: AnswerKey) -> Result<Option<Answer>, Failure> {
    let bytes = key.0.as_bytes().as_slice();
    let query = sqlx::query("SELECT record FROM answers WHERE key = $1").bind(bytes);
    let row = query.fetch_optional(pool).await.map_err(Failure::about(Table::Answers, bytes))?;
    let Some(row) = row else { return Ok(None) };
    let record = row.try_get(0)?;
    match open(Table::Answers, bytes, record) {
        Ok(answer) => Ok(Some(answer)),
        Err(Damage::Version) => Err(Failure::Newer(Table::Answers)),
        Err(damage) => {
            quarantine(pool, Table::Answers, Key::Bytes(bytes), record).await?;
            Err(Failure::Damaged(Table::Answers, bytes.to_vec(), damage))
        }
    }
}

pub(super) async fn expired_answers(
    pool: &PgPool,
    before: Timestamp,
    rows: usize,
) -> Result<Vec<AnswerKey>, Failure> {
    let query = "SELECT key FROM answers WHERE expires_at_ms <= $1 ORDER BY expires_at_ms, key LIMIT $2";
    let query = sqlx::query(query).bind(to_column(before.as_millis())).bind(limit(rows));
    let mut keys = Vec::new();
    for row in query.fetch_all(pool).await? {
        let key: Vec<u8> = row.try_get(0)?;
        // None of another length is ever written.
        keys.extend(<[u8; 32]>::try_from(key).ok().map(|key| AnswerKey(Sha256::from_bytes(key))));
    }
    Ok(keys)
}

pub(super) async fn set_aside(pool: &PgPool, rows: usize) -> Result<Vec<SetAside>, Failure> {
    let query =
        sqlx::query("SELECT number, record FROM set_aside ORDER BY number DESC LIMIT $1").bind(limit(rows));
    let mut found = Vec::new();
    for row in query.fetch_all(pool).await? {
        match open(Table::SetAside, b"", row.try_get(1)?) {
            Ok(aside) => found.push(aside),
            Err(Damage::Version) => return Err(Failure::Newer(Table::SetAside)),
            Err(_) => {
                quarantine(pool, Table::SetAside, Key::Number(row.try_get(0)?), row.try_get(1)?).await?;
            }
        }
    }
    Ok(found)
}

pub(super) async fn head(pool: &PgPool, group: &GroupId) -> Result<Option<Head>, Failure> {
    of_group(pool, Table::Groups, "SELECT record FROM groups WHERE id = $1", group).await
}

pub(super) async fn agenda(pool: &PgPool, group: &GroupId) -> Result<Option<Agenda>, Failure> {
    of_group(pool, Table::Agendas, "SELECT record FROM agendas WHERE group_id = $1", group).await
}

pub(super) async fn snapshot(
    pool: &PgPool,
    group: &GroupId,
    at_or_before: Epoch,
) -> Result<Option<Snapshot>, Failure> {
    let (table, id) = (Table::Snapshots, group.as_bytes());
    let query =
        "SELECT epoch, record FROM snapshots WHERE group_id = $1 AND epoch <= $2 ORDER BY epoch DESC LIMIT 1";
    let query = sqlx::query(query).bind(id).bind(to_column(at_or_before.get()));
    let row = query.fetch_optional(pool).await.map_err(Failure::about(table, id))?;
    let Some(row) = row else { return Ok(None) };
    let snapshot = open_snapshot(id, row.try_get(0)?, row.try_get(1)?);
    snapshot.map(Some).map_err(Failure::damaged(table, id))
}

/// A group's tree. It is sealed for its group, and says itself which epoch's it is.
pub(super) fn open_snapshot(group: &[u8], epoch: i64, record: &[u8]) -> Result<Snapshot, Damage> {
    let snapshot: Snapshot = open(Table::Snapshots, group, record)?;
    if to_column(snapshot.epoch.get()) == epoch { Ok(snapshot) } else { Err(Damage::Elsewhere) }
}

/// Of which epochs a group has trees, from the newest at or before an epoch on. How long a record is can be told without reading it.
pub(super) async fn snapshots(
    pool: &PgPool,
    group: &GroupId,
    from: Epoch,
    rows: usize,
) -> Result<Vec<SnapshotAt>, Failure> {
    let query = "SELECT epoch, octet_length(record)::bigint FROM snapshots WHERE group_id = $1 AND epoch >= \
                 coalesce((SELECT max(epoch) FROM snapshots WHERE group_id = $1 AND epoch <= $2), 0) \
                 ORDER BY epoch LIMIT $3";
    let query = sqlx::query(query).bind(group.as_bytes()).bind(to_column(from.get())).bind(limit(rows));
    let mut found = Vec::new();
    for row in query.fetch_all(pool).await.map_err(Failure::about(Table::Snapshots, group.as_bytes()))? {
        let bytes = from_column(row.try_get(1)?);
        let epoch = Epoch::new(from_column(row.try_get(0)?));
        found.extend(epoch.map(|epoch| SnapshotAt { epoch, bytes }));
    }
    Ok(found)
}

pub(super) async fn staged(pool: &PgPool, group: &GroupId) -> Result<Option<Staged>, Failure> {
    of_group(pool, Table::Staged, "SELECT record FROM staged WHERE group_id = $1", group).await
}

pub(super) async fn frozen(pool: &PgPool, group: &GroupId) -> Result<Option<Frozen>, Failure> {
    of_group(pool, Table::Frozen, "SELECT record FROM frozen WHERE group_id = $1", group).await
}

/// The one record of a group in a table.
async fn of_group<T: DeserializeOwned>(
    pool: &PgPool,
    table: Table,
    query: &'static str,
    group: &GroupId,
) -> Result<Option<T>, Failure> {
    let id = group.as_bytes();
    let row = sqlx::query(query).bind(id).fetch_optional(pool).await.map_err(Failure::about(table, id))?;
    let opened = row.map(|row| open(table, id, row.try_get(0)?).map_err(Failure::damaged(table, id)));
    opened.transpose()
}

pub(super) async fn log(
    pool: &PgPool,
    group: &GroupId,
    from: Epoch,
    rows: usize,
) -> Result<Vec<Entry>, Failure> {
    // How long a record is can be told without reading it.
    let query = "WITH page AS (SELECT epoch, record FROM log WHERE group_id = $1 AND epoch >= $2 ORDER BY epoch LIMIT $3), \
                 sized AS (SELECT epoch, record, sum(octet_length(record)) OVER run AS bytes, \
                 row_number() OVER run AS place FROM page WINDOW run AS (ORDER BY epoch)) \
                 SELECT epoch, record FROM sized WHERE place = 1 OR bytes <= $4 ORDER BY epoch";
    let query = sqlx::query(query).bind(group.as_bytes()).bind(to_column(from.get())).bind(limit(rows));
    let query = query.bind(limit(limits::LOG_PAGE_BYTES));
    let first = entry_key(group, to_column(from.get()));
    let mut entries = Vec::new();
    for row in query.fetch_all(pool).await.map_err(Failure::about(Table::Log, &first))? {
        let key = entry_key(group, row.try_get(0)?);
        entries.push(open(Table::Log, &key, row.try_get(1)?).map_err(Failure::damaged(Table::Log, &key))?);
    }
    Ok(entries)
}

pub(super) async fn staged_groups(pool: &PgPool, rows: usize) -> Result<Vec<(GroupId, InboxSeq)>, Failure> {
    let query =
        sqlx::query("SELECT group_id, inbox_seq FROM staged ORDER BY group_id LIMIT $1").bind(limit(rows));
    let staged = match query.fetch_all(pool).await.map_err(Failure::from) {
        Err(Failure::Broken(_)) => readable_rows(pool, Table::Staged, "group_id, inbox_seq").await,
        staged => staged,
    };
    let mut found = Vec::new();
    for row in staged?.into_iter().take(rows) {
        let seq = InboxSeq::new(from_column(row.try_get(1)?));
        found.extend(GroupId::parse(row.try_get::<Vec<u8>, _>(0)?).map(|group| (group, seq)));
    }
    Ok(found)
}

pub(super) async fn log_begins(pool: &PgPool, group: &GroupId) -> Result<Option<Epoch>, Failure> {
    let query = sqlx::query("SELECT min(epoch) FROM log WHERE group_id = $1").bind(group.as_bytes());
    let first: Option<i64> = query.fetch_one(pool).await?.try_get(0)?;
    Ok(first.map(from_column).and_then(Epoch::new))
}

/// Groups after a place, by their IDs. One whose head is damaged is left out.
pub(super) async fn groups(
    pool: &PgPool,
    after: Option<&GroupId>,
    rows: usize,
) -> Result<Vec<GroupId>, Failure> {
    let query = "SELECT id, record FROM groups WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2";
    let (mut found, mut after) = (Vec::new(), after.map(|group| group.as_bytes().to_vec()));
    while found.len() < rows {
        let wanted = rows.saturating_sub(found.len());
        let page = sqlx::query(query).bind(&after).bind(limit(wanted)).fetch_all(pool).await?;
        for row in &page {
            let (id, record): (Vec<u8>, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            if open::<Head>(Table::Groups, &id, record).is_ok() {
                found.extend(GroupId::parse(id.clone()));
            }
            after = Some(id);
        }
        if page.len() < wanted {
            break;
        }
    }
    Ok(found)
}

/// How many damaged records are kept for the operator.
pub(super) async fn quarantined(pool: &PgPool) -> Result<u64, Failure> {
    Ok(from_column(sqlx::query("SELECT count(*) FROM quarantined").fetch_one(pool).await?.try_get(0)?))
}

/// What a row is found by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'k> {
    Number(i64),
    Bytes(&'k [u8]),
}

/// Moves a damaged row out of the way, as it was found: one that somebody has written anew meanwhile stays.
pub(super) async fn quarantine(
    pool: &PgPool,
    table: Table,
    key: Key<'_>,
    found: &[u8],
) -> Result<(), Failure> {
    let remove = match table {
        Table::Inbox => "DELETE FROM inbox WHERE seq = $1 AND record = $2 RETURNING 1",
        Table::Owed => "DELETE FROM owed WHERE id = $1 AND record = $2 RETURNING 1",
        Table::SetAside => "DELETE FROM set_aside WHERE number = $1 AND record = $2 RETURNING 1",
        Table::Answers => "DELETE FROM answers WHERE key = $1 AND record = $2 RETURNING 1",
        // It may have been handed out: it stays known.
        Table::KeyPackages => {
            "UPDATE key_packages SET record = NULL WHERE reference = $1 AND record = $2 RETURNING 1"
        }
        Table::Groups | Table::Log | Table::Snapshots | Table::Staged | Table::Frozen | Table::Agendas => {
            return Ok(());
        }
    };
    let name = match key {
        Key::Number(number) => number.to_be_bytes().to_vec(),
        Key::Bytes(bytes) => bytes.to_vec(),
    };
    if tried("quarantine", || move_away(pool, table, remove, key, found, &name)).await? {
        tracing::error!(table = table.name(), key = %name.escape_ascii(), "a damaged record was moved out of the way");
        telemetry::record::quarantined(table.name());
    }
    Ok(())
}

/// Moves what was found from its table to the others that are kept; says whether it was still there.
async fn move_away(
    pool: &PgPool,
    table: Table,
    remove: &'static str,
    key: Key<'_>,
    found: &[u8],
    name: &[u8],
) -> Result<bool, Failure> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let remove = match key {
        Key::Number(number) => sqlx::query(remove).bind(number),
        Key::Bytes(bytes) => sqlx::query(remove).bind(bytes),
    };
    if remove.bind(found).fetch_optional(&mut *transaction).await?.is_none() {
        return Ok(false);
    }
    let keep = "INSERT INTO quarantined (table_name, key, record) VALUES ($1, $2, $3)";
    let keep = sqlx::query(keep).bind(table.name()).bind(name).bind(found);
    keep.execute(&mut *transaction).await?;
    let drop = "DELETE FROM quarantined WHERE number <= \
                (SELECT number FROM quarantined ORDER BY number DESC OFFSET $1 LIMIT 1)";
    sqlx::query(drop).bind(limit(limits::QUARANTINED_ROWS)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}
