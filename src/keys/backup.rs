//! Backups of all keys in one file, and their way back: all of them or none, whenever the power fails.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use maypole_core::ids::Sha256;
use maypole_core::limits;
use serde::{Deserialize, Serialize};

use super::error::KeysError;
use super::key_file::{KeyFile, Slot};
use super::{folder, read_all};
use crate::config::read_text_file;

/// The form that this version writes.
const VERSION: u32 = 1;
const WHAT: &str = "backup of Maypole's keys";

/// What a backup says. It has no `Debug`: it holds the private keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    version: u32,
    what: String,
    keys: BTreeMap<String, KeyFile>,
    checksum: String,
}

/// What is read before anything else.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// What a restore found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The keys were put back.
    PutBack,
    /// The very same keys were there already.
    AlreadyThere,
}

/// Writes all keys into a new file that only its owner may read.
pub fn backup(keys: &Path, file: &Path) -> Result<(), KeysError> {
    let _lock = folder::lock(keys)?;
    let mut backup =
        Backup { version: VERSION, what: WHAT.to_owned(), keys: BTreeMap::new(), checksum: String::new() };
    for (slot, key) in read_all(keys)? {
        backup.keys.insert(slot.file_name().to_owned(), key);
    }
    backup.checksum = backup.expected_checksum();
    // Without a link, which the disks that backups are carried away on often do not know. Half a file is seen by its
    // checksum; it is removed all the same.
    if let Err(error) = folder::write_and_sync(file, &backup.text()) {
        let ours =
            !matches!(&error, KeysError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists);
        if ours {
            folder::remove_file(file)?;
        }
        return Err(error);
    }
    folder::sync(&folder::parent(file))
}

/// Puts the keys of a backup where keys live, unless others are there.
pub fn restore(keys: &Path, file: &Path) -> Result<Restored, KeysError> {
    let restored = Backup::read(file)?;
    let _lock = folder::lock(keys)?;
    let different: Vec<&'static str> = restored
        .iter()
        .filter(|(slot, key)| {
            // A restore that was cut may have moved keys away that nobody else has.
            let folders = [keys.to_path_buf(), super::replaced(keys)];
            folders.iter().any(|folder| differs(&folder.join(slot.file_name()), key))
        })
        .map(|(slot, _)| slot.file_name())
        .collect();
    if !different.is_empty() {
        return Err(KeysError::Different { folder: keys.to_path_buf(), names: different });
    }
    if restored.iter().all(|(slot, _)| keys.join(slot.file_name()).exists()) {
        folder::remove_folder(&super::restoring(keys))?;
        return Ok(Restored::AlreadyThere);
    }
    refuse_other_files(keys)?;
    replace_folder(keys, &restored)?;
    Ok(Restored::PutBack)
}

/// Whether there is a file that is not this key.
fn differs(path: &Path, key: &KeyFile) -> bool {
    match read_text_file(path, limits::KEY_FILE_BYTES) {
        Ok(text) => text != key.text(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Refuses a folder with files that are no keys: it is about to be replaced as a whole.
fn refuse_other_files(keys: &Path) -> Result<(), KeysError> {
    let entries = match fs::read_dir(keys) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(KeysError::io("cannot be read", keys)(error)),
    };
    for entry in entries {
        let path = entry.map_err(KeysError::io("cannot be read", keys))?.path();
        let known = Slot::all().any(|slot| {
            let key = keys.join(slot.file_name());
            path == folder::unfinished(&key) || path == key
        });
        if !known {
            return Err(KeysError::OtherFile(path));
        }
    }
    Ok(())
}

/// Makes the whole folder beside the real one, and gives it its name when every byte is on the disk. What the real one
/// has so far is part of the backup.
fn replace_folder(keys: &Path, restored: &[(Slot, KeyFile)]) -> Result<(), KeysError> {
    let (staged, replaced) = (super::restoring(keys), super::replaced(keys));
    let around = folder::parent(keys);
    folder::remove_folder(&staged)?;
    folder::create(&staged)?;
    for (slot, key) in restored {
        folder::write_and_sync(&staged.join(slot.file_name()), &key.text())?;
    }
    folder::sync(&staged)?;
    folder::remove_folder(&replaced)?;
    if keys.exists() {
        fs::rename(keys, &replaced).map_err(KeysError::io("cannot be moved away", keys))?;
        folder::sync(&around)?;
    }
    fs::rename(&staged, keys).map_err(KeysError::io("cannot be put in place", keys))?;
    folder::sync(&around)?;
    folder::remove_folder(&replaced)
}

impl Backup {
    /// The keys of a backup, if it is whole and has every key.
    fn read(file: &Path) -> Result<Vec<(Slot, KeyFile)>, KeysError> {
        let damaged = |reason| KeysError::BackupDamaged { path: file.to_path_buf(), reason };
        let text = read_text_file(file, limits::KEYS_BACKUP_BYTES).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => damaged("not text"),
            io::ErrorKind::FileTooLarge => damaged("too long"),
            _ => KeysError::Io { doing: "cannot be read", path: file.to_path_buf(), source },
        })?;
        let versioned: Versioned =
            serde_json::from_str(&text).map_err(|_| damaged("not the JSON of a backup"))?;
        if versioned.version > VERSION {
            return Err(KeysError::Newer { path: file.to_path_buf(), version: versioned.version });
        }
        let mut backup: Self =
            serde_json::from_str(&text).map_err(|_| damaged("not the JSON of a backup"))?;
        if backup.version != VERSION || backup.what != WHAT || backup.checksum != backup.expected_checksum() {
            return Err(damaged("its checksum is another"));
        }
        if backup.text() != text {
            return Err(damaged("it is not as it was written"));
        }
        let mut keys = Vec::new();
        for slot in Slot::all() {
            let key = backup.keys.remove(slot.file_name()).ok_or_else(|| damaged("a key is not in it"))?;
            KeyFile::parse(slot, &key.text(), file).map_err(|_| damaged("a key in it is damaged"))?;
            keys.push((slot, key));
        }
        if !backup.keys.is_empty() {
            return Err(damaged("a key in it is unknown"));
        }
        Ok(keys)
    }

    fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    fn expected_checksum(&self) -> String {
        let texts: Vec<String> =
            self.keys.iter().map(|(name, key)| format!("{name}\n{}", key.text())).collect();
        let parts: Vec<&[u8]> =
            std::iter::once(WHAT).chain(texts.iter().map(String::as_str)).map(str::as_bytes).collect();
        format!("{:?}", Sha256::of_parts(&parts))
    }
}
