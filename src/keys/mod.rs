//! The service's own keys: made once, owner-only, and never made anew behind the operator's back.
//!
//! Every group names the external sender's key in its context, and its chain of receipts rests on the receipt key, so
//! keys that are lost strand every group. One file per key; a file under its name is whole and on the disk.

mod backup;
mod error;
mod folder;
mod key_file;
mod key_pair;
mod scheme;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use maypole_core::limits;

pub use self::backup::{Restored, backup, restore};
pub use self::error::KeysError;
use self::key_file::{KeyFile, Slot};
pub use self::key_pair::ReceiptKey;
use self::key_pair::{ExternalSenderKey, KeyPair};
pub use self::scheme::SignatureScheme;
use crate::config::read_text_file;

/// All keys of the service.
pub struct Keys {
    external_sender: Vec<ExternalSenderKey>,
    receipt: ReceiptKey,
}

impl Keys {
    /// Reads the keys of a folder, and makes those that are not there.
    ///
    /// With `expect_existing`, which must be set as soon as the store belongs to somebody, none are made: without their
    /// keys its groups would be stranded. So keys are made before the store is, and a crash in between is made good by
    /// the next start.
    pub fn open_or_create(folder: &Path, expect_existing: bool) -> Result<Self, KeysError> {
        let _lock = folder::lock(folder)?;
        if restoring(folder).exists() {
            return Err(KeysError::RestoreInterrupted(restoring(folder)));
        }
        if !expect_existing {
            folder::create(folder)?;
            create_missing(folder)?;
        }
        let files = read_all(folder)?;
        folder::remove_folder(&replaced(folder))?;
        Self::of(folder, &files)
    }

    /// Reads the keys of a folder, and changes nothing there: for who is not the service.
    pub fn read(folder: &Path) -> Result<Self, KeysError> {
        if restoring(folder).exists() {
            return Err(KeysError::RestoreInterrupted(restoring(folder)));
        }
        Self::of(folder, &read_all(folder)?)
    }

    fn of(folder: &Path, files: &[(Slot, KeyFile)]) -> Result<Self, KeysError> {
        let mut external_sender = Vec::new();
        let mut receipt = None;
        for (slot, file) in files {
            match file.key_pair(*slot) {
                Some(KeyPair::ExternalSender(key)) => external_sender.push(key),
                Some(KeyPair::Receipt(key)) => receipt = Some(key),
                None => {
                    let path = folder.join(slot.file_name());
                    return Err(KeysError::Damaged { path, reason: "it is not the key that its name says" });
                }
            }
        }
        let names = vec![Slot::Receipt.file_name()];
        let receipt = receipt.ok_or_else(|| KeysError::Missing { folder: folder.to_path_buf(), names })?;
        Ok(Self { external_sender, receipt })
    }

    /// The external sender's public keys, as MLS writes them.
    pub fn public_keys(&self) -> impl Iterator<Item = (SignatureScheme, &[u8])> {
        self.external_sender.iter().map(|key| (key.scheme(), key.public()))
    }

    /// Signs as the external sender. Whoever calls this frames the bytes with MLS's label first (RFC 9420 §5.1.2).
    pub fn sign(&self, scheme: SignatureScheme, bytes: &[u8]) -> Result<Vec<u8>, KeysError> {
        let key = self.external_sender.iter().find(|key| key.scheme() == scheme);
        key.ok_or(KeysError::NotSigned(scheme))?.sign(bytes)
    }

    /// The key that signs receipts.
    pub fn receipt_key(&self) -> &ReceiptKey {
        &self.receipt
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} external sender keys, {:?})", self.external_sender.len(), self.receipt)
    }
}

/// Where a restore makes the folder before it has its name.
fn restoring(folder: &Path) -> PathBuf {
    folder::beside(folder, ".restoring")
}

/// Where a restore puts the folder that was there.
fn replaced(folder: &Path) -> PathBuf {
    folder::beside(folder, ".replaced")
}

fn create_missing(folder: &Path) -> Result<(), KeysError> {
    for slot in Slot::all() {
        let path = folder.join(slot.file_name());
        // A crash left it; it never counted.
        folder::remove_file(&folder::unfinished(&path))?;
        if !path.exists() {
            folder::write_new(&path, &KeyFile::generate(slot)?.text())?;
        }
    }
    Ok(())
}

/// Every key of a folder, each checked.
fn read_all(folder: &Path) -> Result<Vec<(Slot, KeyFile)>, KeysError> {
    let mut missing = Vec::new();
    let mut files = Vec::new();
    for slot in Slot::all() {
        let path = folder.join(slot.file_name());
        match read_text_file(&path, limits::KEY_FILE_BYTES) {
            Ok(text) => {
                folder::refuse_exposed(&path)?;
                files.push((slot, KeyFile::parse(slot, &text, &path)?));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(slot.file_name()),
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidData => return Err(KeysError::Damaged { path, reason: "not text" }),
                io::ErrorKind::FileTooLarge => return Err(KeysError::Damaged { path, reason: "too long" }),
                _ => return Err(KeysError::io("cannot be read", path)(error)),
            },
        }
    }
    if !missing.is_empty() {
        return Err(KeysError::Missing { folder: folder.to_path_buf(), names: missing });
    }
    folder::refuse_open_folder(folder)?;
    Ok(files)
}

#[cfg(test)]
mod tests;
