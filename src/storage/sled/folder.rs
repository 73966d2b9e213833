//! The store's folder: ours alone, and held by one process.
//!
//! ```text
//! lock            held as long as the store is open
//! sled.N/         generations of the log; the newest that has its `format` is the store
//!   format        the version of everything in the store, in words; written last
//!   sealed        checksums of sled's files; there from an orderly end to the next opening
//!   conf db blobs/ snap.*   sled's own
//! bulk/xx/…       bulk files; made when the first generation is durable
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;
use super::disk::{self, Disk};
use super::generation::is_generation;

/// A folder that this process holds.
pub(super) struct Folder {
    path: PathBuf,
    /// Held open for its lock.
    _lock: File,
}

impl Folder {
    /// Takes hold of a folder, making it if it is not there.
    pub(super) fn hold(path: &Path, disk: &dyn Disk) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { folder: path.to_owned(), source };
        make(path, disk).map_err(io)?;
        let path = &path.canonicalize().map_err(io)?;
        // Before anything is changed: it may be somebody's home.
        refuse_foreign(path)?;
        if path.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.clone(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: path.clone() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where bulk files live.
    pub(super) fn bulk(&self) -> PathBuf {
        self.path.join("bulk")
    }

    /// Makes the folder of bulk files, if it is not there, and its name durable.
    pub(super) fn make_bulk(&self, disk: &dyn Disk) -> io::Result<()> {
        if !self.bulk().is_dir() {
            DirBuilder::new().mode(0o700).create(self.bulk())?;
        }
        disk::sync_folder(disk, &self.path)
    }
}

/// Makes the folder and those above it, names included.
fn make(path: &Path, disk: &dyn Disk) -> io::Result<()> {
    let absolute = std::path::absolute(path)?;
    let missing: Vec<&Path> = absolute.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    // Also if it was there: whoever made it may not have synced its name.
    absolute.parent().map_or(Ok(()), |parent| disk::sync_folder(disk, parent))
}

/// Refuses a folder that holds what a store does not.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { folder: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if !name.to_str().is_some_and(|name| name == "lock" || name == "bulk" || is_generation(name)) {
            return Err(OpenError::Foreign {
                folder: path.to_owned(),
                what: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}
