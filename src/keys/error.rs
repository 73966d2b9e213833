//! Why keys are refused. No message holds any part of a key.

use std::path::PathBuf;

use super::scheme::SignatureScheme;

/// The keys cannot be used, backed up or restored. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The system refused.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others could read the key.
    #[error(
        "{}: others may read this key (mode {mode:04o}); if nobody did, `chmod 600` it, otherwise restore a backup",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others could put keys of theirs into the folder.
    #[error("{}: others may write to this folder (mode {mode:04o}); `chmod 700` it", path.display())]
    FolderOpen {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// What is in the file is not what was written.
    #[error("{}: this key is damaged ({reason}); restore it with `maypole keys restore`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        reason: &'static str,
    },
    /// The file was written by a later version.
    #[error("{}: written by a newer version of Maypole (format {version})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// The store is somebody's, and the keys are not there.
    #[error(
        "{}: keys are missing ({}); the store's groups depend on them, so no new ones are made: restore them with \
         `maypole keys restore`",
        folder.display(), names.join(", ")
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The files that are not there.
        names: Vec<&'static str>,
    },
    /// A restore did not come to its end.
    #[error(
        "{}: a restore was interrupted here; run `maypole keys restore` again, or remove this folder to give it up",
        .0.display()
    )]
    RestoreInterrupted(PathBuf),
    /// The backup is not whole, or not a backup.
    #[error("{}: this backup is damaged, or no backup ({reason})", path.display())]
    BackupDamaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        reason: &'static str,
    },
    /// There are other keys already.
    #[error(
        "{}: other keys are there already ({}); move them away first if the backup's are the right ones",
        folder.display(), names.join(", ")
    )]
    Different {
        /// The folder.
        folder: PathBuf,
        /// The files that differ.
        names: Vec<&'static str>,
    },
    /// Something else is in the folder of the keys.
    #[error("{}: is no key; move it out of the folder, which is to be replaced as a whole", .0.display())]
    OtherFile(PathBuf),
    /// The library could not make a key.
    #[error("a key for {0} could not be made")]
    NotMade(&'static str),
    /// The library could not sign.
    #[error("signing with {0} failed")]
    NotSigned(SignatureScheme),
}

impl KeysError {
    /// For `map_err`: what was being done to which file.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
