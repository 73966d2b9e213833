//! The store that the configuration names.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use maypole_core::batch::{Backend, BackendError, Batch};
use maypole_core::directory::{LastResort, Shelved, Standing, Stock};
use maypole_core::group::{Agenda, Entry, Frozen, Head, Snapshot, Staged};
use maypole_core::ids::{
    ClientId, Epoch, GroupId, InboxSeq, KeyPackageRef, OwedId, ProcessId, ShelfPlace, SyncToken, UserId,
};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, Depths, InboxRow, OwedRow, Queues, SetAside};
use maypole_core::shares::{Held, Shares};
use maypole_core::time::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Health, postgres, sled};

/// One of the stores. Clones are the same store.
#[derive(Clone, Debug)]
pub enum Store {
    /// The embedded one.
    Sled(sled::Store),
    /// The one that several processes share.
    Postgres(postgres::Store),
}

/// Does the same on whichever store it is.
macro_rules! on {
    ($store:expr, $inside:ident => $does:expr) => {
        match $store {
            Store::Sled($inside) => $does,
            Store::Postgres($inside) => $does,
        }
    };
}

/// Why no store could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded one.
    #[error(transparent)]
    Sled(#[from] sled::OpenError),
    /// The one that several processes share.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// Whoever was to open it broke off.
    #[error("the store could not be opened: {0}")]
    BrokeOff(String),
}

impl Store {
    /// Opens the embedded store in a folder.
    pub async fn open_folder(folder: PathBuf) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking(move || sled::Store::open(&folder)).await;
        Ok(Self::Sled(opened.map_err(|error| OpenError::BrokeOff(error.to_string()))??))
    }

    /// Opens the store in a PostgreSQL.
    pub async fn open_postgres(address: &str) -> Result<Self, OpenError> {
        Ok(Self::Postgres(postgres::Store::open(address, limits::POSTGRES_CONNECTIONS).await?))
    }

    /// Whether the store can be used, now and whenever that changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        on!(self, store => store.health())
    }

    /// Keeps looking whether the store can be used, where that does not show by itself.
    pub async fn keep_looking(&self, stop: CancellationToken) {
        let Self::Postgres(store) = self else { return };
        while stop.run_until_cancelled(tokio::time::sleep(limits::POSTGRES_LOOK)).await.is_some() {
            if *store.health().borrow() != Health::Ready {
                store.look().await;
            }
        }
    }

    /// Closes the store; whatever comes later is refused.
    pub async fn close(&self) {
        on!(self, store => store.close().await);
    }
}

impl Backend for Store {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        on!(self, store => store.apply(batch).await)
    }

    async fn owner(&self) -> Result<Option<UserId>, BackendError> {
        on!(self, store => store.owner().await)
    }

    async fn cursor(&self) -> Result<Option<SyncToken>, BackendError> {
        on!(self, store => store.cursor().await)
    }

    async fn inbox(&self, after: Option<InboxSeq>, limit: usize) -> Result<Vec<InboxRow>, BackendError> {
        on!(self, store => store.inbox(after, limit).await)
    }

    async fn answer(&self, key: AnswerKey) -> Result<Option<Answer>, BackendError> {
        on!(self, store => store.answer(key).await)
    }

    async fn expired_answers(&self, before: Timestamp, limit: usize) -> Result<Vec<AnswerKey>, BackendError> {
        on!(self, store => store.expired_answers(before, limit).await)
    }

    async fn owed(&self, after: Option<OwedId>, limit: usize) -> Result<Vec<OwedRow>, BackendError> {
        on!(self, store => store.owed(after, limit).await)
    }

    async fn set_aside(&self, limit: usize) -> Result<Vec<SetAside>, BackendError> {
        on!(self, store => store.set_aside(limit).await)
    }

    async fn head(&self, group: &GroupId) -> Result<Option<Head>, BackendError> {
        on!(self, store => store.head(group).await)
    }

    async fn agenda(&self, group: &GroupId) -> Result<Option<Agenda>, BackendError> {
        on!(self, store => store.agenda(group).await)
    }

    async fn snapshot(&self, group: &GroupId) -> Result<Option<Snapshot>, BackendError> {
        on!(self, store => store.snapshot(group).await)
    }

    async fn log(&self, group: &GroupId, from: Epoch, limit: usize) -> Result<Vec<Entry>, BackendError> {
        on!(self, store => store.log(group, from, limit).await)
    }

    async fn staged(&self, group: &GroupId) -> Result<Option<Staged>, BackendError> {
        on!(self, store => store.staged(group).await)
    }

    async fn staged_groups(&self, limit: usize) -> Result<Vec<(GroupId, InboxSeq)>, BackendError> {
        on!(self, store => store.staged_groups(limit).await)
    }

    async fn log_begins(&self, group: &GroupId) -> Result<Option<Epoch>, BackendError> {
        on!(self, store => store.log_begins(group).await)
    }

    async fn groups(&self, after: Option<&GroupId>, limit: usize) -> Result<Vec<GroupId>, BackendError> {
        on!(self, store => store.groups(after, limit).await)
    }

    async fn frozen(&self, group: &GroupId) -> Result<Option<Frozen>, BackendError> {
        on!(self, store => store.frozen(group).await)
    }

    async fn frozen_groups(&self, limit: usize) -> Result<Vec<(GroupId, Frozen)>, BackendError> {
        on!(self, store => store.frozen_groups(limit).await)
    }

    async fn unanswered(
        &self,
        of: Shares,
        but_for: BTreeSet<InboxSeq>,
        limit: usize,
    ) -> Result<Vec<InboxRow>, BackendError> {
        on!(self, store => store.unanswered(of, but_for, limit).await)
    }

    async fn undelivered(
        &self,
        of: Shares,
        but_for: BTreeSet<OwedId>,
        limit: usize,
    ) -> Result<Vec<OwedRow>, BackendError> {
        on!(self, store => store.undelivered(of, but_for, limit).await)
    }

    async fn renew(&self, process: ProcessId, term: Duration) -> Result<Held, BackendError> {
        on!(self, store => store.renew(process, term).await)
    }

    async fn give_up(&self, process: ProcessId, shares: Shares) -> Result<(), BackendError> {
        on!(self, store => store.give_up(process, shares).await)
    }

    async fn retire(&self, process: ProcessId) -> Result<(), BackendError> {
        on!(self, store => store.retire(process).await)
    }

    async fn stocked(
        &self,
        client: &ClientId,
        after: Option<ShelfPlace>,
        limit: usize,
    ) -> Result<Vec<Shelved>, BackendError> {
        on!(self, store => store.stocked(client, after, limit).await)
    }

    async fn last_resorts(&self, client: &ClientId) -> Result<Vec<LastResort>, BackendError> {
        on!(self, store => store.last_resorts(client).await)
    }

    async fn stock(&self, client: &ClientId, now: Timestamp) -> Result<Stock, BackendError> {
        on!(self, store => store.stock(client, now).await)
    }

    async fn standing(&self, reference: &KeyPackageRef) -> Result<Option<Standing>, BackendError> {
        on!(self, store => store.standing(reference).await)
    }

    async fn outlived_key_packages(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<KeyPackageRef>, BackendError> {
        on!(self, store => store.outlived_key_packages(now, limit).await)
    }

    async fn any_stocked(&self, limit: usize) -> Result<Vec<KeyPackageRef>, BackendError> {
        on!(self, store => store.any_stocked(limit).await)
    }

    async fn queues(&self) -> Result<Queues, BackendError> {
        on!(self, store => store.queues().await)
    }

    async fn depths(&self) -> Result<Depths, BackendError> {
        on!(self, store => store.depths().await)
    }
}
