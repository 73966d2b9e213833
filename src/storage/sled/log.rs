//! sled, made durable: its own `flush` writes but does not sync, so every flush is followed by our `fdatasync`.
//!
//! Two rules keep a loss of power harmless beyond that:
//!
//! - *No blob files.* sled puts whatever exceeds a quarter of a segment into a file of its own that it never syncs. With
//!   bounded values, keys and page sizes nothing ever does; see [`LARGEST_PAGE_BYTES`].
//! - *What is not synced fits into one segment.* At recovery sled trusts that everything before the segment that was
//!   being written when the newest segment began is whole. That is true only if it was synced by then; and a segment is
//!   overwritten only two segments after its content moved. Hence large segments, and a sync whenever the log
//!   has grown by a quarter of one.
//!
//! What sled does to its files when it opens them is harmless only in a copy: see `generation.rs`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maypole_core::limits;

use super::disk::{self, Disk, Step};
use super::keys::KEY_BYTES;

/// A leaf splits when it is met with more than sixteen items, and takes in at most three from a neighbour.
const LEAF_ITEMS: usize = 16 + 1 + 3;
/// What sled adds to an item, generously.
const ITEM_OVERHEAD_BYTES: usize = 32;
/// The largest page that sled can make of our records.
const LARGEST_PAGE_BYTES: usize = LEAF_ITEMS * (limits::SLED_VALUE_BYTES + KEY_BYTES + ITEM_OVERHEAD_BYTES);
// sled's threshold is a quarter of a segment; half of that is margin.
const _: () = assert!(LARGEST_PAGE_BYTES < limits::SLED_SEGMENT_BYTES / 8);

/// A segment's size, as the log's growth is counted.
pub(super) const SEGMENT_BYTES: u64 = limits::SLED_SEGMENT_BYTES as u64;

/// One change: a value, or nothing, for a key.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

/// The disk or the log failed; what was being written may or may not be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(pub(super) String);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<::sled::Error> for Failure {
    fn from(error: ::sled::Error) -> Self {
        Self(error.to_string())
    }
}

/// The log and the file under it.
pub(super) struct Log {
    db: ::sled::Db,
    /// sled's file, opened beside it: its data is synced through this.
    file: File,
    /// What was written but has not reached sled.
    staged: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Keys written since the log's growth was looked at.
    unmeasured: usize,
    /// How far the log had come when it was last synced.
    synced_at: i64,
    /// Something was written since.
    dirty: bool,
    /// The most that the log has grown between two syncs.
    pub(super) widest: u64,
    disk: Arc<dyn Disk>,
}

impl Log {
    /// Opens sled in a folder and makes durable whatever is in there, above all what sled made by that.
    pub(super) fn open(folder: &Path, disk: &Arc<dyn Disk>) -> Result<Self, ::sled::Error> {
        disk.before(Step::Open)?;
        let db = open_sled(folder)?;
        // The snapshot that sled writes when it opens, the folder for blobs, and `conf`, which it never syncs.
        for path in files_of(folder)? {
            if path.is_dir() { disk::sync_folder(&**disk, &path)? } else { disk::sync_file(&**disk, &path)? }
        }
        disk::sync_folder(&**disk, folder)?;
        let file = OpenOptions::new().read(true).open(folder.join("db"))?;
        let synced_at = db.context.pagecache.log.stable_offset();
        let mut log = Self {
            db,
            file,
            staged: BTreeMap::new(),
            unmeasured: 0,
            synced_at,
            dirty: true,
            widest: 0,
            disk: Arc::clone(disk),
        };
        log.sync().map_err(|failure| io::Error::other(failure.0))?;
        Ok(log)
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<::sled::IVec>, Failure> {
        match self.staged.get(key) {
            Some(staged) => Ok(staged.as_deref().map(::sled::IVec::from)),
            None => Ok(self.db.get(key)?),
        }
    }

    /// Whether there is a value under a key.
    pub(super) fn contains(&self, key: &[u8]) -> Result<bool, Failure> {
        match self.staged.get(key) {
            Some(staged) => Ok(staged.is_some()),
            None => Ok(self.db.contains_key(key)?),
        }
    }

    /// The records from one key to another, both included, in order.
    pub(super) fn range(&mut self, from: &[u8], to: &[u8]) -> Result<::sled::Iter, Failure> {
        self.apply_staged()?;
        Ok(self.db.range(from..=to))
    }

    /// All records.
    pub(super) fn all(&mut self) -> Result<::sled::Iter, Failure> {
        self.apply_staged()?;
        Ok(self.db.iter())
    }

    /// Writes atomically but not yet durably. The caller keeps it within `limits::SLED_BATCH_WRITES`.
    ///
    /// sled pays for each of its batches, so several of ours become one of sled's where they fit.
    pub(super) fn apply(&mut self, writes: impl ExactSizeIterator<Item = Write>) -> Result<(), Failure> {
        if self.staged.len().saturating_add(writes.len()) > limits::SLED_BATCH_WRITES {
            self.apply_staged()?;
        }
        self.staged.extend(writes);
        Ok(())
    }

    fn apply_staged(&mut self) -> Result<(), Failure> {
        if self.staged.is_empty() {
            return Ok(());
        }
        self.disk.before(Step::Apply)?;
        let mut batch = ::sled::Batch::default();
        self.unmeasured = self.unmeasured.saturating_add(self.staged.len());
        for (key, value) in std::mem::take(&mut self.staged) {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.dirty = true;
        self.db.apply_batch(batch)?;
        if self.unmeasured >= limits::SLED_BATCH_WRITES {
            self.flush()?;
            self.unmeasured = 0;
            if self.grown_bytes() > limits::SLED_UNSYNCED_BYTES {
                self.sync_applied()?;
            }
        }
        Ok(())
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        self.apply_staged()?;
        if self.dirty { self.sync_applied() } else { Ok(()) }
    }

    fn sync_applied(&mut self) -> Result<(), Failure> {
        self.flush()?;
        let grown = self.grown_bytes();
        if grown > self.widest {
            self.widest = grown;
            if grown >= SEGMENT_BYTES {
                tracing::error!(grown, "more was written before a sync than a loss of power leaves whole");
            }
        }
        let end = self.position();
        self.disk.before(Step::SyncLog)?;
        self.file.sync_data()?;
        self.synced_at = end;
        self.unmeasured = 0;
        self.dirty = false;
        Ok(())
    }

    fn flush(&self) -> Result<(), Failure> {
        self.disk.before(Step::Flush)?;
        self.db.flush()?;
        Ok(())
    }

    /// How far the log has come, as of the last flush.
    fn position(&self) -> i64 {
        self.db.context.pagecache.log.stable_offset()
    }

    /// How far the log has grown since the last sync, as of the last flush.
    fn grown_bytes(&self) -> u64 {
        u64::try_from(self.position().saturating_sub(self.synced_at)).unwrap_or_default()
    }
}

/// Opens sled as the store does.
pub(super) fn open_sled(folder: &Path) -> Result<::sled::Db, ::sled::Error> {
    ::sled::Config::new()
        .path(folder)
        .segment_size(limits::SLED_SEGMENT_BYTES)
        .cache_capacity(limits::SLED_CACHE_BYTES)
        // Only the writer writes, and only when somebody waits for it.
        .flush_every_ms(None)
        .open()
}

/// What is in a folder.
pub(super) fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}
