//! The seam between the store and the disk: every write and sync passes here, so that a test can make any of them fail.
//!
//! Names become durable only by a sync of the folder that holds them; that is done here and nowhere else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What is about to be done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The log is opened.
    Open,
    /// A file of the log is copied.
    Copy,
    /// A batch enters the log.
    Apply,
    /// The log is written out.
    Flush,
    /// The log is synced.
    SyncLog,
    /// A file is written.
    Write,
    /// A file is synced.
    SyncFile,
    /// A file gets its name.
    Rename,
    /// A folder is synced.
    SyncFolder,
    /// A file is removed.
    Remove,
}

/// Asked before every step; an error stands for the step's own failure.
pub(super) trait Disk: Send + Sync + 'static {
    /// Lets a step happen, or fails it.
    fn before(&self, step: Step) -> io::Result<()>;
}

/// The disk as it is.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn before(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    disk.before(Step::SyncFolder)?;
    File::open(folder)?.sync_all()
}

/// Makes a file's content durable.
pub(super) fn sync_file(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.before(Step::SyncFile)?;
    File::open(path)?.sync_all()
}

/// Writes a file and makes its content durable, though not yet its name.
pub(super) fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    disk.before(Step::Write)?;
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    disk.before(Step::SyncFile)?;
    file.sync_all()
}

/// Gives a file its name.
pub(super) fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    disk.before(Step::Rename)?;
    fs::rename(from, to)
}
