//! The store that several processes share, on PostgreSQL.
//!
//! A batch is one transaction, under its name: tried again within a bound where the database undid it because of another,
//! measured, and never taken for written when the database's last word did not come. What lies where is said in
//! `migrations/`; how an expectation is held against rows that others change at the same time in `expect.rs`.

mod connect;
mod copy;
mod depths;
mod expect;
mod failure;
mod leases;
mod number;
mod pages;
mod queues;
mod read;
mod record;
mod shelves;
#[cfg(test)]
mod tests;
mod together;
mod tries;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use maypole_core::batch::{Backend, BackendError, Batch};
use maypole_core::directory::{LastResort, Shelved, Standing, Stock};
use maypole_core::group::{Agenda, Entry, Frozen, Head, Snapshot, SnapshotAt, Staged};
use maypole_core::ids::{
    ClientId, Epoch, GroupId, InboxSeq, KeyPackageRef, OwedId, ProcessId, Sha256, ShelfPlace, SyncToken,
    UserId,
};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, Depths, InboxRow, OwedRow, Progress, Queues, SetAside};
use maypole_core::shares::{Held, Shares};
use maypole_core::time::Timestamp;
use sqlx::PgPool;
use tokio::sync::watch;

pub use self::connect::OpenError;
pub(crate) use self::connect::is_address;
pub use self::copy::Copying;
use self::depths::Counted;
use self::failure::Failure;
use self::tries::tried;
use super::Health;
use crate::telemetry;

/// The store on PostgreSQL. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    /// For saying that a process is alive: never behind the work.
    leases: PgPool,
    counted: Arc<Counted>,
    health: Arc<watch::Sender<Health>>,
}

impl Store {
    /// Opens the store in a database, making its tables if they are not there.
    pub async fn open(address: &str, connections: u32) -> Result<Self, OpenError> {
        let (pool, leases) = connect::connect(address, connections).await?;
        let health = Arc::new(watch::Sender::new(Health::Ready));
        Ok(Self { pool, leases, counted: Arc::default(), health })
    }

    /// Whether the store can be used, as of the last time that it was, and whenever that changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Looks whether the database answers, and notes it.
    pub async fn look(&self) {
        let look = async { sqlx::query("SELECT 1").execute(&self.pool).await.map_err(Failure::from) };
        let _ = self.ask(look).await;
    }

    /// How many damaged records were moved out of the way and are kept for the operator.
    pub async fn quarantined(&self) -> Result<u64, BackendError> {
        self.ask(read::quarantined(&self.pool)).await
    }

    /// Closes every session; whatever comes later is refused.
    pub async fn close(&self) {
        tokio::join!(self.pool.close(), self.leases.close());
        self.health.send_replace(Health::Closed);
    }

    /// Asks something, within a bound whatever becomes of the connection.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, Failure>>) -> Result<T, BackendError> {
        self.noted(in_time(question).await)
    }

    /// Notes what a failure says of the store.
    fn noted<T>(&self, outcome: Result<T, Failure>) -> Result<T, BackendError> {
        let now = match &outcome {
            Err(Failure::Away(error) | Failure::Unknown(error)) => Health::Unavailable(error.to_string()),
            Err(Failure::Silent) => Health::Unavailable("the database does not answer".to_owned()),
            Ok(_)
            | Err(Failure::Beaten(_) | Failure::Damaged(..) | Failure::Broken(_) | Failure::Newer(_)) => {
                Health::Ready
            }
        };
        self.health.send_if_modified(|health| {
            let changes = *health != now && *health != Health::Closed;
            if changes {
                if *health == Health::Ready {
                    telemetry::record::store_failed();
                }
                *health = now;
            }
            changes
        });
        outcome.map_err(BackendError::from)
    }

    /// Carries out a transaction of who works on what, in a session that no other work can take.
    async fn lease<T, F>(&self, name: &'static str, attempt: impl Fn() -> F) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.noted(tried(name, attempt).await)
    }
}

/// What a future says, if it says so in time.
async fn in_time<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limits::POSTGRES_PATIENCE, asked).await.unwrap_or(Err(Failure::Silent))
}

impl Backend for Store {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        let written = tried(batch.name, || write::attempt(&self.pool, &batch)).await;
        self.noted(written)?.map_err(|expect| BackendError::Conflict(Box::new(expect)))
    }

    async fn owner(&self) -> Result<Option<UserId>, BackendError> {
        self.ask(read::owner(&self.pool)).await
    }

    async fn keys(&self) -> Result<Option<Sha256>, BackendError> {
        self.ask(read::keys(&self.pool)).await
    }

    async fn progress(&self) -> Result<Progress, BackendError> {
        self.ask(read::progress(&self.pool)).await
    }

    async fn cursor(&self) -> Result<Option<SyncToken>, BackendError> {
        self.ask(read::cursor(&self.pool)).await
    }

    async fn inbox(&self, after: Option<InboxSeq>, limit: usize) -> Result<Vec<InboxRow>, BackendError> {
        self.ask(queues::inbox(&self.pool, after, limit)).await
    }

    async fn answer(&self, key: AnswerKey) -> Result<Option<Answer>, BackendError> {
        self.ask(read::answer(&self.pool, key)).await
    }

    async fn expired_answers(&self, before: Timestamp, limit: usize) -> Result<Vec<AnswerKey>, BackendError> {
        self.ask(read::expired_answers(&self.pool, before, limit)).await
    }

    async fn owed(&self, after: Option<OwedId>, limit: usize) -> Result<Vec<OwedRow>, BackendError> {
        self.ask(queues::owed(&self.pool, after, limit)).await
    }

    async fn set_aside(&self, limit: usize) -> Result<Vec<SetAside>, BackendError> {
        self.ask(read::set_aside(&self.pool, limit)).await
    }

    async fn head(&self, group: &GroupId) -> Result<Option<Head>, BackendError> {
        self.ask(read::head(&self.pool, group)).await
    }

    async fn agenda(&self, group: &GroupId) -> Result<Option<Agenda>, BackendError> {
        self.ask(read::agenda(&self.pool, group)).await
    }

    async fn snapshot(&self, group: &GroupId, at_or_before: Epoch) -> Result<Option<Snapshot>, BackendError> {
        self.ask(read::snapshot(&self.pool, group, at_or_before)).await
    }

    async fn snapshots(
        &self,
        group: &GroupId,
        from: Epoch,
        limit: usize,
    ) -> Result<Vec<SnapshotAt>, BackendError> {
        self.ask(read::snapshots(&self.pool, group, from, limit)).await
    }

    async fn log(&self, group: &GroupId, from: Epoch, limit: usize) -> Result<Vec<Entry>, BackendError> {
        self.ask(read::log(&self.pool, group, from, limit)).await
    }

    async fn staged(&self, group: &GroupId) -> Result<Option<Staged>, BackendError> {
        self.ask(read::staged(&self.pool, group)).await
    }

    async fn staged_groups(&self, limit: usize) -> Result<Vec<(GroupId, InboxSeq)>, BackendError> {
        self.ask(read::staged_groups(&self.pool, limit)).await
    }

    async fn log_begins(&self, group: &GroupId) -> Result<Option<Epoch>, BackendError> {
        self.ask(read::log_begins(&self.pool, group)).await
    }

    async fn groups(&self, after: Option<&GroupId>, limit: usize) -> Result<Vec<GroupId>, BackendError> {
        self.ask(read::groups(&self.pool, after, limit)).await
    }

    async fn frozen(&self, group: &GroupId) -> Result<Option<Frozen>, BackendError> {
        self.ask(read::frozen(&self.pool, group)).await
    }

    async fn unanswered(
        &self,
        of: Shares,
        but_for: BTreeSet<InboxSeq>,
        limit: usize,
    ) -> Result<Vec<InboxRow>, BackendError> {
        self.ask(queues::unanswered(&self.pool, of, but_for, limit)).await
    }

    async fn undelivered(
        &self,
        of: Shares,
        but_for: BTreeSet<OwedId>,
        limit: usize,
    ) -> Result<Vec<OwedRow>, BackendError> {
        self.ask(queues::undelivered(&self.pool, of, but_for, limit)).await
    }

    async fn renew(&self, process: ProcessId, term: Duration) -> Result<Held, BackendError> {
        self.lease("renew", || leases::renew(&self.leases, process, term)).await
    }

    async fn give_up(&self, process: ProcessId, shares: Shares) -> Result<(), BackendError> {
        self.lease("give_up", || leases::give_up(&self.leases, process, shares)).await
    }

    async fn retire(&self, process: ProcessId) -> Result<(), BackendError> {
        self.lease("retire", || leases::retire(&self.leases, process)).await
    }

    async fn stocked(
        &self,
        client: &ClientId,
        after: Option<ShelfPlace>,
        limit: usize,
    ) -> Result<Vec<Shelved>, BackendError> {
        self.ask(shelves::stocked(&self.pool, client, after, limit)).await
    }

    async fn last_resorts(&self, client: &ClientId) -> Result<Vec<LastResort>, BackendError> {
        self.ask(shelves::last_resorts(&self.pool, client)).await
    }

    async fn stock(&self, client: &ClientId, now: Timestamp) -> Result<Stock, BackendError> {
        self.ask(shelves::stock(&self.pool, client, now)).await
    }

    async fn standing(&self, reference: &KeyPackageRef) -> Result<Option<Standing>, BackendError> {
        self.ask(shelves::standing(&self.pool, reference)).await
    }

    async fn outlived_key_packages(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<KeyPackageRef>, BackendError> {
        self.ask(shelves::outlived(&self.pool, now, limit)).await
    }

    async fn any_stocked(&self, limit: usize) -> Result<Vec<KeyPackageRef>, BackendError> {
        self.ask(shelves::any_stocked(&self.pool, limit)).await
    }

    async fn queues(&self) -> Result<Queues, BackendError> {
        self.ask(queues::queues(&self.pool)).await
    }

    async fn depths(&self) -> Result<Depths, BackendError> {
        self.ask(depths::depths(&self.pool, &self.counted)).await
    }
}
