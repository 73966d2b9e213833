//! Whether what a batch expects holds, in a way that it still holds when the batch is written.
//!
//! First the rows that are expected are locked, and the groups, there or not, of which anything is expected. Then, in a
//! statement of its own, which sees what was written by whoever had them locked before, is looked at what stands beside them.
//! Any other row that must not be there cannot be locked: it is noted as absent, and written so that the database refuses it if
//! somebody else was faster; the batch is then tried again, and finds the other's row.

use std::collections::{BTreeMap, BTreeSet};

use maypole_core::batch::Expect;
use maypole_core::ids::{Epoch, GroupId, InboxSeq, KeyPackageRef, Sha256};
use maypole_core::records::{AnswerKey, PushTransaction};
use sqlx::{PgConnection, Row as _};

use super::failure::Failure;
use super::number::{from_column, to_column};
use super::shelves;

/// Rows that were expected not to be there, and are not.
#[derive(Debug, Default)]
pub(super) struct Absent {
    pub(super) answers: Vec<AnswerKey>,
    pub(super) transactions: Vec<PushTransaction>,
    pub(super) key_packages: Vec<KeyPackageRef>,
}

/// What expectations are about, in the columns' terms.
#[derive(Default)]
struct Asked<'e> {
    groups: BTreeSet<&'e GroupId>,
    inbox: BTreeSet<i64>,
    owed: BTreeSet<i64>,
    /// Rows that must not be staged.
    unstaged: BTreeSet<i64>,
    answers: BTreeSet<AnswerKey>,
    /// Whether anything is expected of a group but its epoch.
    beside: bool,
}

/// What is there of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    epochs: BTreeMap<GroupId, Option<u64>>,
    beside: BTreeMap<GroupId, Beside>,
    inbox: BTreeSet<i64>,
    owed: BTreeSet<i64>,
    staged: BTreeSet<i64>,
    /// With the times when they expire.
    answers: BTreeMap<Vec<u8>, u64>,
}

/// What stands beside a group.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    revision: Option<u64>,
    staged: Option<u64>,
    frozen_at: Option<u64>,
}

const LOCK: &str = "WITH of_groups AS (SELECT id, epoch FROM groups WHERE id = ANY($1) ORDER BY id FOR UPDATE), \
                    of_inbox AS (SELECT seq FROM inbox WHERE seq = ANY($2) ORDER BY seq FOR UPDATE), \
                    of_owed AS (SELECT id FROM owed WHERE id = ANY($3) ORDER BY id FOR UPDATE) \
                    SELECT ARRAY(SELECT id FROM of_groups ORDER BY id), ARRAY(SELECT epoch FROM of_groups ORDER BY id), \
                    ARRAY(SELECT seq FROM of_inbox), ARRAY(SELECT id FROM of_owed)";

const LOOK: &str = "WITH asked AS (SELECT id, place FROM unnest($1::bytea[]) WITH ORDINALITY AS rows (id, place)), \
                    of_answers AS (SELECT key, expires_at_ms FROM answers WHERE key = ANY($3) ORDER BY key FOR UPDATE) \
                    SELECT ARRAY(SELECT (SELECT revision FROM agendas WHERE group_id = id) FROM asked ORDER BY place), \
                    ARRAY(SELECT (SELECT inbox_seq FROM staged WHERE group_id = id) FROM asked ORDER BY place), \
                    ARRAY(SELECT (SELECT at_ms FROM frozen WHERE group_id = id) FROM asked ORDER BY place), \
                    ARRAY(SELECT inbox_seq FROM staged WHERE inbox_seq = ANY($2)), \
                    ARRAY(SELECT key FROM of_answers ORDER BY key), \
                    ARRAY(SELECT expires_at_ms FROM of_answers ORDER BY key)";

impl<'e> Asked<'e> {
    fn by(expect: &'e [Expect]) -> Self {
        let mut asked = Self::default();
        for expect in expect {
            match expect {
                Expect::InInbox(seq) => drop(asked.inbox.insert(to_column(seq.get()))),
                Expect::StillOwed(id) => drop(asked.owed.insert(to_column(id.get()))),
                Expect::NotStaged(seq) => drop(asked.unstaged.insert(to_column(seq.get()))),
                Expect::NoAnswer(key, _) => drop(asked.answers.insert(*key)),
                Expect::GroupAt(group, _) => drop(asked.groups.insert(group)),
                Expect::AgendaAt(group, _) | Expect::StagedIn(group, _) | Expect::NotFrozen(group) => {
                    asked.groups.insert(group);
                    asked.beside = true;
                }
                Expect::Unbound
                | Expect::KeysUnbound
                | Expect::Cursor(_)
                | Expect::NewTransaction(_)
                | Expect::NewKeyPackage(_)
                | Expect::InStock(_)
                | Expect::StockAtMost(..) => {}
            }
        }
        asked
    }
}

impl Found {
    /// Locks what a batch expects, and looks at what stands beside it.
    pub(super) async fn of(connection: &mut PgConnection, expect: &[Expect]) -> Result<Self, Failure> {
        let asked = Asked::by(expect);
        let mut found = Self::default();
        if !(asked.groups.is_empty() && asked.inbox.is_empty() && asked.owed.is_empty()) {
            found.lock(connection, &asked).await?;
        }
        if asked.beside || !(asked.unstaged.is_empty() && asked.answers.is_empty()) {
            found.look(connection, &asked).await?;
        }
        Ok(found)
    }

    /// All that belongs to a group is written by who has locked it: whoever else writes waits for the end of this transaction, or
    /// is done by now.
    async fn lock(&mut self, connection: &mut PgConnection, asked: &Asked<'_>) -> Result<(), Failure> {
        let groups: Vec<&[u8]> = asked.groups.iter().map(|group| group.as_bytes()).collect();
        let (inbox, owed): (Vec<i64>, Vec<i64>) =
            (asked.inbox.iter().copied().collect(), asked.owed.iter().copied().collect());
        let row = sqlx::query(LOCK).bind(groups).bind(inbox).bind(owed).fetch_one(&mut *connection).await?;
        let epochs: BTreeMap<Vec<u8>, i64> =
            row.try_get::<Vec<Vec<u8>>, _>(0)?.into_iter().zip(row.try_get::<Vec<i64>, _>(1)?).collect();
        for group in &asked.groups {
            let epoch = match epochs.get(group.as_bytes()) {
                Some(epoch) => Some(from_column(*epoch)),
                None => lock_absent(connection, group).await?,
            };
            self.epochs.insert((*group).clone(), epoch);
        }
        self.inbox.extend(row.try_get::<Vec<i64>, _>(2)?);
        self.owed.extend(row.try_get::<Vec<i64>, _>(3)?);
        Ok(())
    }

    async fn look(&mut self, connection: &mut PgConnection, asked: &Asked<'_>) -> Result<(), Failure> {
        let groups: Vec<&[u8]> = asked.groups.iter().map(|group| group.as_bytes()).collect();
        let unstaged: Vec<i64> = asked.unstaged.iter().copied().collect();
        let answers: Vec<&[u8]> = asked.answers.iter().map(|key| key.0.as_bytes().as_slice()).collect();
        let row = sqlx::query(LOOK).bind(groups).bind(unstaged).bind(answers).fetch_one(connection).await?;
        let numbers = |place: usize| row.try_get::<Vec<Option<i64>>, _>(place);
        let beside = numbers(0)?.into_iter().zip(numbers(1)?).zip(numbers(2)?);
        for (group, ((revision, staged), frozen_at)) in asked.groups.iter().zip(beside) {
            let [revision, staged, frozen_at] =
                [revision, staged, frozen_at].map(|number| number.map(from_column));
            self.beside.insert((*group).clone(), Beside { revision, staged, frozen_at });
        }
        self.staged.extend(row.try_get::<Vec<i64>, _>(3)?);
        let expire = row.try_get::<Vec<i64>, _>(5)?.into_iter().map(from_column);
        self.answers.extend(row.try_get::<Vec<Vec<u8>>, _>(4)?.into_iter().zip(expire));
        Ok(())
    }

    fn epoch(&self, group: &GroupId) -> Option<u64> {
        self.epochs.get(group).copied().flatten()
    }

    fn beside(&self, group: &GroupId) -> Beside {
        self.beside.get(group).copied().unwrap_or_default()
    }

    /// Whether an expectation holds.
    pub(super) async fn holds(
        &self,
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
            Expect::NewTransaction(transaction) => {
                let there = sqlx::query("SELECT 1 FROM push_transactions WHERE id = $1 AND body = $2")
                    .bind(transaction.id.as_str())
                    .bind(transaction.body.as_bytes().as_slice());
                let is_new = there.fetch_optional(connection).await?.is_none();
                absent.transactions.extend(is_new.then(|| transaction.clone()));
                is_new
            }
            Expect::NewKeyPackage(reference) => {
                let is_new = shelves::is_new(connection, reference).await?;
                absent.key_packages.extend(is_new.then(|| reference.clone()));
                is_new
            }
            Expect::InStock(reference) => shelves::is_in_stock(connection, reference).await?,
            Expect::StockAtMost(client, most) => shelves::count(connection, client).await? <= *most,
            Expect::NoAnswer(key, now) => match self.answers.get(key.0.as_bytes().as_slice()) {
                Some(expires_at) => *expires_at <= now.as_millis(),
                None => {
                    absent.answers.push(*key);
                    true
                }
            },
            Expect::InInbox(seq) => self.inbox.contains(&to_column(seq.get())),
            Expect::StillOwed(id) => self.owed.contains(&to_column(id.get())),
            // Whoever stages it has locked its row of the inbox, as whoever expects this has.
            Expect::NotStaged(seq) => !self.staged.contains(&to_column(seq.get())),
            Expect::GroupAt(group, epoch) => self.epoch(group) == epoch.map(Epoch::get),
            Expect::AgendaAt(group, revision) => self.beside(group).revision == *revision,
            Expect::NotFrozen(group) => self.beside(group).frozen_at.is_none(),
            Expect::StagedIn(group, seq) => self.beside(group).staged == seq.map(InboxSeq::get),
        })
    }
}

/// Locks a group for this transaction, whether it is there or not; its epoch if it is.
pub(super) async fn lock(connection: &mut PgConnection, group: &GroupId) -> Result<Option<u64>, Failure> {
    match epoch_of(connection, group).await? {
        None => lock_absent(connection, group).await,
        there => Ok(there),
    }
}

/// Locks a group that was not there; its epoch if it is by now.
async fn lock_absent(connection: &mut PgConnection, group: &GroupId) -> Result<Option<u64>, Failure> {
    // Whoever else finds no such group waits here for the end of this transaction, and looks again.
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_of(group));
    lock.execute(&mut *connection).await?;
    epoch_of(connection, group).await
}

async fn epoch_of(connection: &mut PgConnection, group: &GroupId) -> Result<Option<u64>, Failure> {
    let row = sqlx::query("SELECT epoch FROM groups WHERE id = $1 FOR UPDATE").bind(group.as_bytes());
    let row = row.fetch_optional(connection).await?;
    row.map(|row| Ok(from_column(row.try_get(0)?))).transpose()
}

/// The number of the lock for a group that is not there. Two groups may share one, and then wait for each other.
fn lock_of(group: &GroupId) -> i64 {
    let hash = Sha256::of(group.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    i64::from_le_bytes(*first)
}
