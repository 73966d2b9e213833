//! The embedded store, on sled.
//!
//! It keeps true: whoever got an answer finds it after any crash; a batch is there whole or not at all; nothing is seen that
//! is not durable; a number is given out once; a damaged record is found, named and moved out of the way. How sled must be
//! treated for that is said in `log.rs` and `generation.rs`, what lies where in `folder.rs` and `keys.rs`.

mod apply;
mod bulk;
mod disk;
mod engine;
mod folder;
mod forms;
mod generation;
mod keys;
mod log;
mod read;
mod record;
mod seal;
mod shelves;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
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
use tokio::sync::{Semaphore, oneshot, watch};

use self::apply::PackedOp;
use self::disk::{Disk, RealDisk};
use self::engine::Engine;
use self::folder::Folder;
use self::forms::FrozenGroup;
use self::keys::Kind;
use self::log::Failure;
use self::record::BulkFile;
pub use self::view::Copying;
use self::writer::{Command, Job, Reply, Writer};
use super::Health;
use crate::clock;
use crate::telemetry;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody holds the folder.
    #[error("the store in {} is in use: only one process can have it open", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is somebody else's.
    #[error("{} is not a store of maypole: it holds `{what}`", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What is in it that is not ours.
        what: String,
    },
    /// The store was made by a newer program.
    #[error(
        "the store in {} has version {found}; this program knows version {known} at most: run the newer program \
         that wrote it, or import a copy that was made before (`maypole db import`) into an empty folder",
        folder.display()
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// The store's version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The store is damaged so that nothing can be served.
    #[error(
        "the store in {} is damaged: {what}. Nothing in it was changed. Keep the folder, and import the newest copy \
         (`maypole db import`) into an empty one: the service finds out by itself what the copy lacks",
        folder.display()
    )]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk failed.
    #[error("the store in {} cannot be opened: {source}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The embedded store. Clones are the same store; it is closed when the last is dropped.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    queue: mpsc::Sender<Command>,
    places: Arc<Semaphore>,
    health: watch::Receiver<Health>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("health", &*self.shared.health.borrow()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a folder, making it if it is not there. Blocks until everything in it was looked at once.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_on(folder, Arc::new(RealDisk))
    }

    fn open_on(folder: &Path, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let folder = Folder::hold(folder, &*disk)?;
        let path = folder.path().to_owned();
        let engine = writer::first_open(&folder, &disk)?;
        let (queue, commands) = mpsc::channel();
        let (health, watched) = watch::channel(Health::Ready);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let health_at_end = health.clone();
                Writer { folder, disk, queue: commands, health }.run(engine);
                // By now the folder has been let go.
                health_at_end.send_replace(Health::Closed);
            })
            .map_err(|source| OpenError::Io { folder: path, source })?;
        let places = Arc::new(Semaphore::new(limits::STORE_QUEUE));
        let shared = Shared { queue, places, health: watched, thread: Mutex::new(Some(thread)) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether the store can be used, now and whenever that changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.clone()
    }

    /// How many damaged records were moved out of the way and are kept for the operator.
    pub async fn quarantined(&self) -> Result<u64, BackendError> {
        self.read(|engine| Ok(Ok(u64::try_from(engine.quarantined.len()).unwrap_or(u64::MAX)))).await
    }

    /// Closes the store: what waits is still done, whatever comes later is refused, and the folder is let go.
    pub async fn close(&self) {
        let _ = self.shared.queue.send(Command::Close);
        let mut health = self.health();
        let _ = health.wait_for(|health| *health == Health::Closed).await;
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<Result<T, BackendError>, Failure> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.ask(work, |job, place| Command::Read { job, place }).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<Result<T, BackendError>, Failure> + Send + 'static,
        command: impl FnOnce(Job, tokio::sync::OwnedSemaphorePermit) -> Command,
    ) -> Result<T, BackendError> {
        let place = Arc::clone(&self.shared.places).acquire_owned().await.map_err(|_| self.unavailable())?;
        let (sender, receiver) = oneshot::channel();
        let (mut work, mut sender) = (Some(work), Some(sender));
        let job: Job = Box::new(move |engine| {
            let once = || Failure("the same was done twice".to_owned());
            let answer = work.take().ok_or_else(once)?(engine)?;
            let sender = sender.take().ok_or_else(once)?;
            let reply: Reply = Box::new(move || {
                // Whoever asked may have gone.
                let _ = sender.send(answer);
            });
            Ok(reply)
        });
        self.shared.queue.send(command(job, place)).map_err(|_| self.unavailable())?;
        receiver.await.map_err(|_| self.unavailable())?
    }

    /// Has something done that nobody waits for; not at all, if there is no place for it in the queue.
    fn tell(&self, work: impl Fn(&mut Engine) + Send + 'static) {
        let Ok(place) = Arc::clone(&self.shared.places).try_acquire_owned() else { return };
        let job: Job = Box::new(move |engine| {
            work(engine);
            Ok(Box::new(|| {}))
        });
        // A store that is closed has nothing to do it to.
        let _ = self.shared.queue.send(Command::Read { job, place });
    }

    fn unavailable(&self) -> BackendError {
        BackendError::Unavailable(match &*self.shared.health.borrow() {
            Health::Ready => "it failed and was opened anew".to_owned(),
            Health::Unavailable(reason) => reason.clone(),
            Health::Closed => "it was closed".to_owned(),
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.queue.send(Command::Close);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Backend for Store {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        let Batch { name, expect, ops } = batch;
        let mut ops: Vec<PackedOp> = ops
            .into_iter()
            .map(PackedOp::of)
            .collect::<Result<_, _>>()
            .map_err(|damage| BackendError::Unavailable(format!("{name} cannot be stored: {damage}")))?;
        let bulk: Vec<BulkFile> = ops.iter_mut().filter_map(PackedOp::take_bulk).collect();
        let asked_at = clock::monotonic();
        let write = |job, place| Command::Write { bulk, job, place };
        let applied = self.ask(move |engine| engine.apply(expect, ops), write).await;
        telemetry::record::write_took(name, asked_at.elapsed());
        applied
    }

    async fn owner(&self) -> Result<Option<UserId>, BackendError> {
        self.read(|engine| engine.one(Kind::Owner)).await
    }

    async fn keys(&self) -> Result<Option<Sha256>, BackendError> {
        self.read(|engine| engine.one(Kind::Keys)).await
    }

    async fn progress(&self) -> Result<Progress, BackendError> {
        self.read(|engine| Ok(Ok(engine.progress()))).await
    }

    async fn cursor(&self) -> Result<Option<SyncToken>, BackendError> {
        self.read(|engine| engine.one(Kind::Cursor)).await
    }

    async fn inbox(&self, after: Option<InboxSeq>, limit: usize) -> Result<Vec<InboxRow>, BackendError> {
        self.read(move |engine| engine.inbox(after, limit).map(Ok)).await
    }

    async fn unanswered(
        &self,
        _: Shares,
        but_for: BTreeSet<InboxSeq>,
        limit: usize,
    ) -> Result<Vec<InboxRow>, BackendError> {
        self.read(move |engine| engine.unanswered(&but_for, limit).map(Ok)).await
    }

    async fn undelivered(
        &self,
        _: Shares,
        but_for: BTreeSet<OwedId>,
        limit: usize,
    ) -> Result<Vec<OwedRow>, BackendError> {
        self.read(move |engine| engine.undelivered(&but_for, limit).map(Ok)).await
    }

    async fn answer(&self, key: AnswerKey) -> Result<Option<Answer>, BackendError> {
        self.read(move |engine| engine.remembered(&key, Engine::load)).await
    }

    async fn expired_answers(&self, before: Timestamp, limit: usize) -> Result<Vec<AnswerKey>, BackendError> {
        self.read(move |engine| engine.expired(before, limit).map(Ok)).await
    }

    async fn owed(&self, after: Option<OwedId>, limit: usize) -> Result<Vec<OwedRow>, BackendError> {
        self.read(move |engine| engine.owed(after, limit).map(Ok)).await
    }

    async fn set_aside(&self, limit: usize) -> Result<Vec<SetAside>, BackendError> {
        self.read(move |engine| engine.aside(limit).map(Ok)).await
    }

    async fn head(&self, group: &GroupId) -> Result<Option<Head>, BackendError> {
        let group = group.clone();
        self.read(move |engine| engine.of_group(Kind::Head, &group)).await
    }

    async fn agenda(&self, group: &GroupId) -> Result<Option<Agenda>, BackendError> {
        let group = group.clone();
        self.read(move |engine| engine.of_group(Kind::Agenda, &group)).await
    }

    async fn snapshot(&self, group: &GroupId, at_or_before: Epoch) -> Result<Option<Snapshot>, BackendError> {
        let group = group.clone();
        self.read(move |engine| engine.snapshot(&group, at_or_before)).await
    }

    async fn snapshots(
        &self,
        group: &GroupId,
        from: Epoch,
        limit: usize,
    ) -> Result<Vec<SnapshotAt>, BackendError> {
        let group = group.clone();
        self.read(move |engine| engine.snapshots(&group, from, limit).map(Ok)).await
    }

    async fn log(&self, group: &GroupId, from: Epoch, limit: usize) -> Result<Vec<Entry>, BackendError> {
        let group = group.clone();
        self.read(move |engine| engine.log_of(&group, from, limit)).await
    }

    async fn log_begins(&self, group: &GroupId) -> Result<Option<Epoch>, BackendError> {
        let group = group.clone();
        self.read(move |engine| engine.log_begins(&group).map(Ok)).await
    }

    async fn groups(&self, after: Option<&GroupId>, limit: usize) -> Result<Vec<GroupId>, BackendError> {
        let after = after.cloned();
        self.read(move |engine| engine.groups(after.as_ref(), limit).map(Ok)).await
    }

    async fn staged(&self, group: &GroupId) -> Result<Option<Staged>, BackendError> {
        let group = group.clone();
        self.read(move |engine| engine.of_group(Kind::Staged, &group)).await
    }

    async fn staged_groups(&self, limit: usize) -> Result<Vec<(GroupId, InboxSeq)>, BackendError> {
        self.read(move |engine| Ok(Ok(engine.staged_groups(limit)))).await
    }

    async fn frozen(&self, group: &GroupId) -> Result<Option<Frozen>, BackendError> {
        let group = group.clone();
        let found = self.read(move |engine| engine.of_group::<FrozenGroup>(Kind::Frozen, &group)).await?;
        Ok(found.map(|found| found.frozen))
    }

    async fn stocked(
        &self,
        client: &ClientId,
        after: Option<ShelfPlace>,
        limit: usize,
    ) -> Result<Vec<Shelved>, BackendError> {
        let client = client.clone();
        self.read(move |engine| engine.stocked(&client, after, limit).map(Ok)).await
    }

    async fn last_resorts(&self, client: &ClientId) -> Result<Vec<LastResort>, BackendError> {
        let client = client.clone();
        self.read(move |engine| engine.last_resorts(&client).map(Ok)).await
    }

    async fn stock(&self, client: &ClientId, now: Timestamp) -> Result<Stock, BackendError> {
        let client = client.clone();
        self.read(move |engine| engine.stock(&client, now).map(Ok)).await
    }

    async fn standing(&self, reference: &KeyPackageRef) -> Result<Option<Standing>, BackendError> {
        let reference = reference.clone();
        self.read(move |engine| engine.standing(&reference).map(Ok)).await
    }

    async fn outlived_key_packages(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<KeyPackageRef>, BackendError> {
        self.read(move |engine| engine.outlived(now, limit).map(Ok)).await
    }

    async fn any_stocked(&self, limit: usize) -> Result<Vec<KeyPackageRef>, BackendError> {
        self.read(move |engine| engine.any_stocked(limit).map(Ok)).await
    }

    /// Whoever has the folder has everything: no second process can open it.
    async fn renew(&self, _: ProcessId, _: Duration) -> Result<Held, BackendError> {
        Ok(Held::EVERYTHING)
    }

    async fn give_up(&self, _: ProcessId, _: Shares) -> Result<(), BackendError> {
        Ok(())
    }

    async fn retire(&self, _: ProcessId) -> Result<(), BackendError> {
        Ok(())
    }

    async fn queues(&self) -> Result<Queues, BackendError> {
        let Depths { inbox, owed, .. } = self.depths().await?;
        Ok(Queues { inbox, owed })
    }

    async fn depths(&self) -> Result<Depths, BackendError> {
        self.read(|engine| Ok(Ok(engine.depths))).await
    }
}
