//! The one writer: a thread that owns the engine, takes what waits, and answers only when the disk has it.
//!
//! A group of batches shares one sync. Questions of the group are answered after that sync, so that nobody ever acts on
//! what a loss of power could take back. When anything fails, nobody in the group is answered with success, the engine is
//! dropped, and the store is opened anew, as long as it takes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use maypole_core::limits;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::disk::Disk;
use super::engine::Engine;
use super::folder::Folder;
use super::generation;
use super::log::Failure;
use super::record::BulkFile;
use super::{Health, OpenError};
use crate::clock;
use crate::telemetry;

/// Delivers an answer, when it may be given.
pub(super) type Reply = Box<dyn FnOnce() + Send>;
/// Does something with the engine, once. Dropped unanswered, it tells whoever waits that the store is unavailable; so it
/// outlives the attempt, and is dropped when the store's health says the same.
pub(super) type Job = Box<dyn FnMut(&mut Engine) -> Result<Reply, Failure> + Send>;

/// What the writer is asked to do.
pub(super) enum Command {
    /// A batch.
    Write {
        /// Bulk files that it names.
        bulk: Vec<BulkFile>,
        /// How it is applied.
        job: Job,
        /// Its place in the queue.
        place: OwnedSemaphorePermit,
    },
    /// A question.
    Read {
        /// How it is answered.
        job: Job,
        /// Its place in the queue.
        place: OwnedSemaphorePermit,
    },
    /// Nothing more will come.
    Close,
}

/// The writer, apart from the engine that it drives.
pub(super) struct Writer {
    pub(super) folder: Folder,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) queue: Receiver<Command>,
    pub(super) health: watch::Sender<Health>,
}

/// What was taken from the queue at once.
#[derive(Default)]
struct Group {
    bulk: Vec<BulkFile>,
    writes: Vec<Job>,
    reads: Vec<Job>,
    replies: Vec<Reply>,
    places: Vec<OwnedSemaphorePermit>,
    last: bool,
}

impl Group {
    fn add(&mut self, command: Command) {
        match command {
            Command::Write { bulk, job, place } => {
                self.bulk.extend(bulk);
                self.writes.push(job);
                self.places.push(place);
            }
            Command::Read { job, place } => {
                self.reads.push(job);
                self.places.push(place);
            }
            Command::Close => self.last = true,
        }
    }

    fn is_full(&self) -> bool {
        self.last || self.places.len() >= limits::STORE_GROUP
    }
}

impl Writer {
    /// Works until told to close.
    pub(super) fn run(self, engine: Engine) {
        let mut engine = Some(engine);
        while let Some(working) = engine.as_mut() {
            let Some(mut group) = self.next_group() else { break };
            let last = group.last;
            match guarded(|| serve(working, &mut group)) {
                Ok(()) if last => break,
                Ok(()) => {}
                Err(failure) => {
                    self.fail(&failure);
                    drop(group);
                    drop_quietly(engine.take());
                    engine = if last { None } else { self.reopen(failure) };
                }
            }
        }
        let in_order = engine.is_some();
        let synced = guarded(|| engine.as_mut().map_or(Ok(()), Engine::sync))
            .inspect_err(|failure| tracing::warn!(%failure, "the store could not be synced at its end"));
        drop_quietly(engine);
        if in_order && synced.is_ok() {
            let _ = guarded(|| Ok(generation::seal_current(&self.folder, &*self.disk)?))
                .inspect_err(|failure| tracing::warn!(%failure, "the store could not be sealed at its end"));
        }
    }

    fn next_group(&self) -> Option<Group> {
        let mut group = Group::default();
        group.add(self.queue.recv().ok()?);
        while !group.is_full() {
            match self.queue.try_recv() {
                Ok(command) => group.add(command),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        Some(group)
    }

    fn fail(&self, failure: &Failure) {
        tracing::error!(%failure, "the store failed and is opened anew");
        telemetry::record::store_failed();
        self.health.send_replace(Health::Unavailable(failure.to_string()));
    }

    /// Opens the store again, waiting longer each time; refuses everybody meanwhile. `None`: told to close.
    ///
    /// After a sync that failed the system may hold bytes that it believes are on the disk, and only a new write makes it
    /// try again. That the log is opened in a copy is such a write.
    fn reopen(&self, mut failure: Failure) -> Option<Engine> {
        let mut wait = limits::STORE_REOPEN_FIRST;
        loop {
            self.refuse_for(wait)?;
            match guarded(|| {
                Engine::open(&self.folder, &self.disk).map_err(|error| Failure(error.to_string()))
            }) {
                Ok(engine) => {
                    tracing::info!("the store is open again");
                    self.health.send_replace(Health::Ready);
                    return Some(engine);
                }
                Err(again) if again == failure => {}
                Err(other) => {
                    failure = other;
                    self.fail(&failure);
                }
            }
            wait = wait.saturating_mul(2).min(limits::STORE_REOPEN_LAST);
        }
    }

    /// Drops whatever comes within a time. `None`: told to close.
    fn refuse_for(&self, wait: Duration) -> Option<()> {
        let end = clock::monotonic() + wait;
        loop {
            match self.queue.recv_timeout(end.saturating_duration_since(clock::monotonic())) {
                Ok(Command::Close) | Err(RecvTimeoutError::Disconnected) => return None,
                Ok(Command::Write { .. } | Command::Read { .. }) => {}
                Err(RecvTimeoutError::Timeout) => return Some(()),
            }
        }
    }
}

fn serve(engine: &mut Engine, group: &mut Group) -> Result<(), Failure> {
    engine.write_bulk(group.bulk.iter())?;
    if !group.writes.is_empty() {
        telemetry::record::write_group(group.writes.len());
    }
    for job in &mut group.writes {
        group.replies.push(job(engine)?);
    }
    engine.sync()?;
    for job in &mut group.reads {
        group.replies.push(job(engine)?);
    }
    // A read that met a damaged record moved it away.
    engine.sync()?;
    for reply in group.replies.drain(..) {
        reply();
    }
    engine.remove_idle();
    Ok(())
}

/// A panic inside sled is a failure like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no word");
        Err(Failure(format!("the store panicked: {said}")))
    })
}

fn drop_quietly(engine: Option<Engine>) {
    let _ = guarded(|| {
        drop(engine);
        Ok(())
    });
}

/// Opens the engine for the first time.
pub(super) fn first_open(folder: &Folder, disk: &Arc<dyn Disk>) -> Result<Engine, OpenError> {
    catch_unwind(AssertUnwindSafe(|| Engine::open(folder, disk))).unwrap_or_else(|_| {
        Err(OpenError::Damaged {
            folder: folder.path().to_owned(),
            what: "sled panicked while it read its files".to_owned(),
        })
    })
}
