//! Generations of the log: sled recovers in a copy, which becomes the store only when all of it is durable.
//!
//! When sled opens, it writes a snapshot of what it found, and gives the space free that the snapshot makes superfluous. If
//! the power fails once more before that snapshot is durable under its name, there may be neither. So what a crash has left is
//! never touched: its files are copied into a new folder, sled is opened there, whatever it made is synced, and last that folder
//! gets its `format`. The newest generation that has one is the store. Older ones, and unfinished ones, are removed.
//!
//! A generation lies at its own path from the beginning and is never renamed, because sled keeps its path.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maypole_core::limits;

use super::OpenError;
use super::disk::{self, Disk, Step};
use super::folder::Folder;
use super::log::{self, Log};
use super::seal;
use crate::clock;

/// The version of the store that this program makes. It reads those before it: what lies elsewhere since then is moved when
/// the store is opened.
const VERSION: u32 = 2;
/// The first version of all.
const FIRST_VERSION: u32 = 1;
const FORMAT: &str = "maypole store, version ";
/// The file that says it, which is there only when everything else of a generation is.
const FORMAT_FILE: &str = "format";
const PREFIX: &str = "sled.";

/// Whether a name is that of a generation.
pub(super) fn is_generation(name: &str) -> bool {
    number_of(name).is_some()
}

/// The generation that is the store, if there is one.
#[cfg(test)]
pub(super) fn current(store: &Path) -> io::Result<Option<PathBuf>> {
    Ok(Generations::of(store)?.current.map(|number| path_of(store, number)))
}

/// Opens the log in a new generation, which then is the store. Without an older one, `begin` fills it.
pub(super) fn renew(
    folder: &Folder,
    disk: &Arc<dyn Disk>,
    begin: impl FnOnce(&mut Log) -> io::Result<()>,
) -> Result<Log, OpenError> {
    let store = folder.path();
    let io = |source| OpenError::Io { folder: store.to_owned(), source };
    let generations = Generations::of(store).map_err(io)?;
    let old = generations.current.map(|number| path_of(store, number));
    if let Some(old) = &old {
        check_version(store, old)?;
        if let Some(what) = seal::broken(old).map_err(io)? {
            return Err(damaged(store, &what));
        }
    } else if folder.bulk().exists() {
        // It is made when the first generation is durable.
        return Err(damaged(store, "its format file is not there"));
    }
    let new = path_of(store, generations.last.saturating_add(1));
    disk.before(Step::Write).map_err(io)?;
    // Made before others are removed, so that no number comes twice while an earlier handle may still use its path.
    DirBuilder::new().mode(0o700).create(&new).map_err(io)?;
    generations.remove_others(store, disk);
    let held = old.as_deref().map(|old| held_copy(old, &new, &**disk)).transpose().map_err(|error| {
        if error.kind() == io::ErrorKind::ResourceBusy {
            OpenError::InUse { folder: store.to_owned() }
        } else {
            io(error)
        }
    })?;
    let mut log = Log::open(&new, disk).map_err(|error| match error {
        ::sled::Error::Io(source) => io(source),
        other => damaged(store, &other.to_string()),
    })?;
    if old.is_none() {
        begin(&mut log).map_err(io)?;
    }
    finish(&new, store, &**disk).map_err(io)?;
    drop(held);
    if let Some(old) = old {
        remove(&old, &**disk);
    }
    Ok(log)
}

/// What generations there are.
struct Generations {
    /// The newest that is whole.
    current: Option<u64>,
    /// The newest at all.
    last: u64,
    numbers: Vec<u64>,
}

impl Generations {
    fn of(store: &Path) -> io::Result<Self> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(store)? {
            numbers.extend(entry?.file_name().to_str().and_then(number_of));
        }
        let whole = |number: &u64| path_of(store, *number).join(FORMAT_FILE).exists();
        let current = numbers.iter().copied().filter(whole).max();
        Ok(Self { current, last: numbers.iter().copied().max().unwrap_or_default(), numbers })
    }

    fn remove_others(&self, store: &Path, disk: &Arc<dyn Disk>) {
        for number in self.numbers.iter().filter(|number| Some(**number) != self.current) {
            remove(&path_of(store, *number), &**disk);
        }
    }
}

fn path_of(store: &Path, number: u64) -> PathBuf {
    store.join(format!("{PREFIX}{number}"))
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let number = digits.parse().ok()?;
    (format!("{number}") == digits).then_some(number)
}

/// Copies sled's files, while holding them: whoever has the file that is returned has sled's own lock on the old ones.
fn held_copy(old: &Path, new: &Path, disk: &dyn Disk) -> io::Result<File> {
    let held = let_go(old)?;
    for path in files_to_copy(old)? {
        if let Some(name) = path.file_name() {
            disk.before(Step::Copy)?;
            fs::copy(&path, new.join(name))?;
        }
    }
    Ok(held)
}

/// The files of a generation that are sled's own and that it can use.
pub(super) fn files_to_copy(generation: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = log::files_of(generation)?;
    files.retain(|path| {
        let name = path.file_stem().unwrap_or_default();
        let is_ours = name == FORMAT_FILE || name == seal::SEAL_FILE;
        // sled takes a snapshot that it did not finish for the newest one, and refuses to open. Its only folder is empty.
        let is_unfinished = path.extension().is_some_and(|extension| extension == "generating");
        !(is_ours || is_unfinished || path.is_dir())
    });
    Ok(files)
}

/// Seals the generation that is the store, which nobody writes any more.
pub(super) fn seal_current(folder: &Folder, disk: &dyn Disk) -> io::Result<()> {
    let current = Generations::of(folder.path())?.current;
    current.map_or(Ok(()), |number| seal::seal(&path_of(folder.path(), number), disk))
}

/// Waits until an earlier handle of this process has let go: it may still write. No other process holds the store's own lock.
pub(super) fn let_go(generation: &Path) -> io::Result<File> {
    let file = File::open(generation.join("db"))?;
    let give_up = clock::monotonic() + limits::STORE_HANDOVER;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if clock::monotonic() < give_up => {
                std::thread::park_timeout(limits::STORE_REOPEN_FIRST);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "sled's file is in use"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Makes a generation the store, now that everything in it is durable.
fn finish(new: &Path, store: &Path, disk: &dyn Disk) -> io::Result<()> {
    let unnamed = new.join("format.new");
    disk::write_file(disk, &unnamed, format!("{FORMAT}{VERSION}\n").as_bytes())?;
    disk::rename(disk, &unnamed, &new.join(FORMAT_FILE))?;
    disk::sync_folder(disk, new)?;
    disk::sync_folder(disk, store)
}

/// Removes a generation that is not the store. What cannot be removed waits for the next opening.
fn remove(generation: &Path, disk: &dyn Disk) {
    if let Err(error) = disk.before(Step::Remove).and_then(|()| fs::remove_dir_all(generation)) {
        tracing::warn!(%error, folder = %generation.display(), "an old generation of the store stays until the next start");
    }
}

fn check_version(store: &Path, generation: &Path) -> Result<(), OpenError> {
    let text = fs::read(generation.join(FORMAT_FILE))
        .map_err(|_| damaged(store, "its format file cannot be read"))?;
    let version = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.strip_prefix(FORMAT))
        .and_then(|rest| rest.strip_suffix('\n'))
        .and_then(|digits| digits.parse::<u32>().ok())
        .ok_or_else(|| damaged(store, "its format file does not say a version"))?;
    match version {
        FIRST_VERSION..=VERSION => Ok(()),
        found if found > VERSION => Err(OpenError::Newer { folder: store.to_owned(), found, known: VERSION }),
        _ => Err(damaged(store, "its version was never in use")),
    }
}

fn damaged(store: &Path, what: &str) -> OpenError {
    OpenError::Damaged { folder: store.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_name_generations() {
        for name in [
            "sled",
            "sled.",
            "sled.new",
            "sled.+1",
            "sled.01",
            "sled.-1",
            "sled.99999999999999999999",
            "slid.1",
        ] {
            assert!(!is_generation(name), "{name}");
        }
        for name in ["sled.0", "sled.1", "sled.10", "sled.18446744073709551615"] {
            assert!(is_generation(name), "{name}");
        }
    }

    #[test]
    fn the_newest_whole_one_is_the_store() {
        let store = tempfile::tempdir().unwrap();
        assert_eq!(current(store.path()).unwrap(), None);
        for (number, whole) in [(2, true), (9, true), (10, true), (11, false)] {
            let path = path_of(store.path(), number);
            fs::create_dir(&path).unwrap();
            if whole {
                fs::write(path.join(FORMAT_FILE), "").unwrap();
            }
        }
        assert_eq!(current(store.path()).unwrap(), Some(store.path().join("sled.10")));
        assert_eq!(Generations::of(store.path()).unwrap().last, 11);
    }
}
