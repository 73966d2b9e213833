//! Bulk files: bytes too large for the log, each file named by the hash of its content.
//!
//! A file is on the disk, with its name, before a record that names it; it is removed only after the removal of the last
//! such record is durable. The writer alone adds and removes, so that nothing can come between. What a crash left
//! behind is swept at the next opening.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maypole_core::ids::Sha256;
use maypole_core::limits;

use super::disk::{self, Disk, Step};
use super::record::{BulkFile, BulkRef, Damage};

/// Why a bulk file could not be read.
#[derive(Debug)]
pub(super) enum BulkFault {
    /// The file is not what the record says: reading again will not help.
    Damage(Damage),
    /// The disk did not answer.
    Io(io::Error),
}

/// The folder of bulk files.
pub(super) struct Bulk {
    root: PathBuf,
    /// How many records name each file. A file that is in here is durable.
    names: HashMap<Sha256, u32>,
    /// Files that were found damaged by whoever read them: they are written anew when somebody has their bytes.
    broken: RefCell<HashSet<Sha256>>,
    /// Files that no record may name any more.
    idle: HashSet<Sha256>,
    disk: Arc<dyn Disk>,
}

impl Bulk {
    pub(super) fn new(root: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { root, names: HashMap::new(), broken: RefCell::default(), idle: HashSet::new(), disk }
    }

    fn folder(&self, name: &Sha256) -> PathBuf {
        let first = name.as_bytes().first().copied().unwrap_or_default();
        self.root.join(format!("{first:02x}"))
    }

    fn unnamed(&self, name: &Sha256) -> PathBuf {
        self.root.join(format!("{name:?}.new"))
    }

    fn path(&self, name: &Sha256) -> PathBuf {
        self.folder(name).join(format!("{name:?}"))
    }

    /// Makes files durable that are to be named by records.
    pub(super) fn write<'a>(&mut self, files: impl Iterator<Item = &'a BulkFile>) -> io::Result<()> {
        let mut new: BTreeMap<[u8; 32], &BulkFile> = BTreeMap::new();
        for file in files {
            if self.names.contains_key(&file.name) && !self.broken.borrow().contains(&file.name) {
                continue;
            }
            // Until a record names it, nobody needs it.
            self.idle.insert(file.name);
            new.insert(*file.name.as_bytes(), file);
        }
        let new: Vec<&BulkFile> = new.into_values().collect();
        let mut folders: Vec<PathBuf> = new.iter().map(|file| self.folder(&file.name)).collect();
        folders.dedup();
        self.make(&folders)?;
        let disk = &*self.disk;
        let unnamed: Vec<_> = new.iter().map(|file| (self.unnamed(&file.name), &file.bytes)).collect();
        side_by_side(&unnamed, |(path, bytes)| disk::write_file(disk, path, bytes))?;
        for file in &new {
            disk::rename(disk, &self.unnamed(&file.name), &self.path(&file.name))?;
        }
        side_by_side(&folders, |folder| disk::sync_folder(disk, folder))?;
        for file in new {
            self.broken.get_mut().remove(&file.name);
        }
        Ok(())
    }

    /// Makes those of the folders that are not there.
    fn make(&self, folders: &[PathBuf]) -> io::Result<()> {
        let mut missing = folders.iter().filter(|folder| !folder.is_dir()).peekable();
        if missing.peek().is_none() {
            return Ok(());
        }
        for folder in missing {
            self.disk.before(Step::Write)?;
            fs::create_dir(folder)?;
        }
        disk::sync_folder(&*self.disk, &self.root)
    }

    /// Reads a file whole and holds it against its name. One that is damaged is noted.
    pub(super) fn read(&self, file: BulkRef) -> Result<Vec<u8>, BulkFault> {
        let name = file.name;
        let read = self.read_whole(file);
        if matches!(read, Err(BulkFault::Damage(_))) {
            self.broken.borrow_mut().insert(name);
        }
        read
    }

    fn read_whole(&self, file: BulkRef) -> Result<Vec<u8>, BulkFault> {
        let mut bytes = Vec::new();
        match File::open(self.path(&file.name))
            .and_then(|opened| opened.take(limits::BULK_FILE_BYTES).read_to_end(&mut bytes))
        {
            Ok(_) if bytes.len() != usize::try_from(file.length).unwrap_or(usize::MAX) => {
                Err(BulkFault::Damage(Damage::BulkDiffers))
            }
            Ok(_) if Sha256::of(&bytes) != file.name => Err(BulkFault::Damage(Damage::BulkDiffers)),
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BulkFault::Damage(Damage::BulkMissing))
            }
            Err(error) => Err(BulkFault::Io(error)),
        }
    }

    /// A record names the file from now on.
    pub(super) fn name(&mut self, name: Sha256) {
        let count = self.names.entry(name).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// A record that named the file is gone.
    pub(super) fn unname(&mut self, name: Sha256) {
        if let Some(count) = self.names.get_mut(&name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.names.remove(&name);
                self.idle.insert(name);
            }
        }
    }

    /// Removes files that no record names, now that this is durable. What cannot be removed waits for the next opening.
    pub(super) fn remove_idle(&mut self) {
        for name in std::mem::take(&mut self.idle) {
            if !self.names.contains_key(&name) {
                self.remove(&self.path(&name));
            }
        }
    }

    /// Removes everything that no record names.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if !path.is_dir() {
                self.remove(&path);
                continue;
            }
            for entry in fs::read_dir(&path)? {
                let path = entry?.path();
                if !self.is_named(&path) {
                    self.remove(&path);
                }
            }
        }
        Ok(())
    }

    fn is_named(&self, path: &Path) -> bool {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(parse_hex)
            .is_some_and(|name| self.names.contains_key(&name))
    }

    fn remove(&self, path: &Path) {
        let removed = self.disk.before(Step::Remove).and_then(|()| fs::remove_file(path));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %path.display(), "a bulk file that nobody needs stays until the next start");
        }
    }
}

/// Does the same to several things on a few threads: syncs that wait at the same time share the file system's own.
fn side_by_side<T: Sync>(things: &[T], work: impl Fn(&T) -> io::Result<()> + Sync) -> io::Result<()> {
    if let [one] = things {
        return work(one);
    }
    let share = things.len().div_ceil(limits::BULK_THREADS).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            things.chunks(share).map(|some| scope.spawn(|| some.iter().try_for_each(&work))).collect();
        let done: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.into_iter()
            .try_for_each(|result| result.unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
    })
}

fn parse_hex(text: &str) -> Option<Sha256> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0_u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Sha256::from_bytes(bytes))
}
