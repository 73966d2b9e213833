//! The folder of the keys: owner-only, and every step of a change on the disk before the next.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::KeysError;
use crate::new_file;
pub(super) use crate::new_file::unfinished;

const OWNER_ONLY_FILE: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;
const READABLE_BY_OTHERS: u32 = 0o077;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Held while keys are made or restored, so that two processes do not do it at once. Ends with the value.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Locks the keys: by the folder around theirs, since theirs may be replaced as a whole. Makes it if necessary.
pub(super) fn lock(folder: &Path) -> Result<Lock, KeysError> {
    let around = parent(folder);
    create(&around)?;
    let file = File::open(&around).map_err(KeysError::io("cannot be opened", &around))?;
    file.lock().map_err(KeysError::io("cannot be locked", &around))?;
    Ok(Lock(file))
}

/// The folder that a folder or file is in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The same path with something appended to its last name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a folder and those around it, each durably, for the owner alone. One that is there is left as it is.
pub(super) fn create(folder: &Path) -> Result<(), KeysError> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(OWNER_ONLY_FOLDER).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(KeysError::io("cannot be made", path)(error));
            }
            _ => sync(&parent(path))?,
        }
    }
    Ok(())
}

/// Refuses a folder to which others may write.
pub(super) fn refuse_open_folder(folder: &Path) -> Result<(), KeysError> {
    let mode = mode(folder)?;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(KeysError::FolderOpen { path: folder.to_path_buf(), mode });
    }
    Ok(())
}

/// Refuses a file that others may read.
pub(super) fn refuse_exposed(path: &Path) -> Result<(), KeysError> {
    let mode = mode(path)?;
    if mode & READABLE_BY_OTHERS != 0 {
        return Err(KeysError::Exposed { path: path.to_path_buf(), mode });
    }
    Ok(())
}

fn mode(path: &Path) -> Result<u32, KeysError> {
    let metadata = fs::metadata(path).map_err(KeysError::io("cannot be looked at", path))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// Writes a file that is not there yet: under its name it is whole and on the disk, or it is not there.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), KeysError> {
    new_file::write(path, text).map_err(KeysError::io("cannot be made", path))
}

/// Writes a file that is not there yet, in a folder that does not count yet.
pub(super) fn write_and_sync(path: &Path, text: &str) -> Result<(), KeysError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY_FILE)
        .open(path)
        .map_err(KeysError::io("cannot be made", path))?;
    file.write_all(text.as_bytes()).map_err(KeysError::io("cannot be written", path))?;
    file.sync_all().map_err(KeysError::io("cannot be synced", path))
}

/// Puts on the disk which files a folder has.
pub(super) fn sync(folder: &Path) -> Result<(), KeysError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(KeysError::io("cannot be synced", folder))
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<(), KeysError> {
    absent_is_fine(fs::remove_file(path)).map_err(KeysError::io("cannot be removed", path))
}

/// Removes a folder with what is in it, if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), KeysError> {
    absent_is_fine(fs::remove_dir_all(path)).map_err(KeysError::io("cannot be removed", path))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        create(&deep).unwrap();
        create(&deep).unwrap();
        assert_eq!(mode(&deep).unwrap(), 0o700);
        assert_eq!(mode(&folder.path().join("a")).unwrap(), 0o700);
    }
}
