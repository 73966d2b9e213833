//! Whether what a batch expects holds, in a way that it still holds when the batch is written.
//!
//! A row that is expected is locked, and so is a group, there or not, of which anything is expected. Any other row that must
//! not be there cannot be locked: it is noted as absent, and written so that the database refuses it if somebody else was
//! faster; the batch is then tried again, and finds the other's row.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use maypole_core::batch::Expect;
use maypole_core::ids::{Epoch, GroupId, InboxSeq, KeyPackageRef, Sha256};
use maypole_core::records::{AnswerKey, PushTransaction};
use sqlx::{PgConnection, Row as _};

use super::failure::Failure;
use super::number::{from_column, to_column};
use super::shelves;

/// Rows that were expected not to be there, and are not; and the groups that are locked, as they are.
#[derive(Debug, Default)]
pub(super) struct Absent {
    locked: BTreeMap<GroupId, Locked>,
    pub(super) answers: Vec<AnswerKey>,
    pub(super) transactions: Vec<PushTransaction>,
    pub(super) key_packages: Vec<KeyPackageRef>,
}

/// Whether an expectation holds.
pub(super) async fn holds(
    connection: &mut PgConnection,
    expect: &Expect,
    absent: &mut Absent,
) -> Result<bool, Failure> {
    Ok(match expect {
        Expect::Unbound => {
            let row = sqlx::query("SELECT owner FROM store FOR UPDATE").fetch_one(connection).await?;
            row.try_get::<Option<&str>, _>(0)?.is_none()
        }
        Expect::KeysUnbound => {
            let row = sqlx::query("SELECT keys FROM store FOR UPDATE").fetch_one(connection).await?;
            row.try_get::<Option<&[u8]>, _>(0)?.is_none()
        }
        Expect::Cursor(cursor) => {
            let row = sqlx::query("SELECT cursor FROM store FOR UPDATE").fetch_one(connection).await?;
            row.try_get::<Option<&str>, _>(0)? == cursor.as_ref().map(|cursor| cursor.as_str())
        }
        Expect::InInbox(seq) => {
            let there = sqlx::query("SELECT 1 FROM inbox WHERE seq = $1 FOR UPDATE");
            there.bind(to_column(seq.get())).fetch_optional(connection).await?.is_some()
        }
        Expect::NotStaged(seq) => {
            // Whoever stages it has locked its row, as whoever expects this has.
            let there = sqlx::query("SELECT 1 FROM staged WHERE inbox_seq = $1");
            there.bind(to_column(seq.get())).fetch_optional(connection).await?.is_none()
        }
        Expect::StillOwed(id) => {
            let there = sqlx::query("SELECT 1 FROM owed WHERE id = $1 FOR UPDATE");
            there.bind(to_column(id.get())).fetch_optional(connection).await?.is_some()
        }
        Expect::NewTransaction(transaction) => {
            let there = sqlx::query("SELECT 1 FROM push_transactions WHERE id = $1 AND body = $2")
                .bind(transaction.id.as_str())
                .bind(transaction.body.as_bytes().as_slice());
            let is_new = there.fetch_optional(connection).await?.is_none();
            absent.transactions.extend(is_new.then(|| transaction.clone()));
            is_new
        }
        Expect::NoAnswer(key, now) => {
            let found = sqlx::query("SELECT expires_at_ms FROM answers WHERE key = $1 FOR UPDATE");
            match found.bind(key.0.as_bytes().as_slice()).fetch_optional(connection).await? {
                Some(row) => from_column(row.try_get(0)?) <= now.as_millis(),
                None => {
                    absent.answers.push(*key);
                    true
                }
            }
        }
        Expect::NewKeyPackage(reference) => {
            let is_new = shelves::is_new(connection, reference).await?;
            absent.key_packages.extend(is_new.then(|| reference.clone()));
            is_new
        }
        Expect::InStock(reference) => shelves::is_in_stock(connection, reference).await?,
        Expect::StockAtMost(client, most) => shelves::count(connection, client).await? <= *most,
        Expect::GroupAt(group, epoch) => absent.lock(connection, group).await?.epoch == epoch.map(Epoch::get),
        Expect::AgendaAt(group, revision) => {
            absent.lock(connection, group).await?.beside(connection).await?.revision == *revision
        }
        Expect::NotFrozen(group) => {
            absent.lock(connection, group).await?.beside(connection).await?.frozen_at.is_none()
        }
        Expect::StagedIn(group, seq) => {
            absent.lock(connection, group).await?.beside(connection).await?.staged == seq.map(InboxSeq::get)
        }
    })
}

/// A group that this transaction has locked, there or not.
#[derive(Debug)]
struct Locked {
    group: GroupId,
    epoch: Option<u64>,
    beside: Option<Beside>,
}

/// What stands beside a group.
#[derive(Debug)]
struct Beside {
    revision: Option<u64>,
    staged: Option<u64>,
    frozen_at: Option<u64>,
}

impl Absent {
    /// Locks a group, once in a transaction. All that belongs to a group is written by who has locked it: whoever else writes
    /// waits for the end of this transaction, or is done by now.
    async fn lock(&mut self, connection: &mut PgConnection, group: &GroupId) -> Result<&mut Locked, Failure> {
        Ok(match self.locked.entry(group.clone()) {
            Entry::Occupied(locked) => locked.into_mut(),
            Entry::Vacant(free) => {
                let epoch = lock(connection, group).await?;
                free.insert(Locked { group: group.clone(), epoch, beside: None })
            }
        })
    }
}

impl Locked {
    /// What stands beside the group. Asked after it was locked, in a statement of its own: that one sees what was written by who
    /// had it locked before.
    async fn beside(&mut self, connection: &mut PgConnection) -> Result<&Beside, Failure> {
        const BESIDE: &str = "SELECT (SELECT revision FROM agendas WHERE group_id = $1), \
                              (SELECT inbox_seq FROM staged WHERE group_id = $1), \
                              (SELECT at_ms FROM frozen WHERE group_id = $1)";
        let beside = match self.beside.take() {
            Some(beside) => beside,
            None => {
                let row = sqlx::query(BESIDE).bind(self.group.as_bytes()).fetch_one(connection).await?;
                let number =
                    |place: usize| Ok::<_, Failure>(row.try_get::<Option<i64>, _>(place)?.map(from_column));
                Beside { revision: number(0)?, staged: number(1)?, frozen_at: number(2)? }
            }
        };
        Ok(self.beside.insert(beside))
    }
}

/// The number that a group has in a table, if it stands there.
async fn number_of(
    connection: &mut PgConnection,
    query: &'static str,
    group: &GroupId,
) -> Result<Option<u64>, Failure> {
    let row = sqlx::query(query).bind(group.as_bytes()).fetch_optional(connection).await?;
    row.map(|row| Ok(from_column(row.try_get(0)?))).transpose()
}

/// Locks a group for this transaction, whether it is there or not; its epoch if it is.
pub(super) async fn lock(connection: &mut PgConnection, group: &GroupId) -> Result<Option<u64>, Failure> {
    const EPOCH: &str = "SELECT epoch FROM groups WHERE id = $1 FOR UPDATE";
    if let Some(epoch) = number_of(connection, EPOCH, group).await? {
        return Ok(Some(epoch));
    }
    // Whoever else finds no such group waits here for the end of this transaction, and looks again.
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_of(group));
    lock.execute(&mut *connection).await?;
    number_of(connection, EPOCH, group).await
}

/// The number of the lock for a group that is not there. Two groups may share one, and then wait for each other.
fn lock_of(group: &GroupId) -> i64 {
    let hash = Sha256::of(group.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    i64::from_le_bytes(*first)
}
