//! A new file for a copy: it has its name only when it is whole and on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::storage::copy::{Reader, Tally};

/// A file that is being written.
pub(super) struct Unfinished {
    path: PathBuf,
    unfinished: PathBuf,
}

impl Unfinished {
    /// Makes the file, for its owner alone. One that an earlier command left unfinished is replaced.
    pub(super) fn create(path: &Path) -> io::Result<(Self, File)> {
        if path.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name already"));
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let removed = fs::remove_file(&unfinished);
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        Ok((Self { path: path.to_owned(), unfinished }, file))
    }

    /// Reads what was written, and gives it its name if it is a whole copy: how much is in it, and how many records are not,
    /// because they were damaged.
    pub(super) fn finish(self) -> io::Result<(Tally, u64)> {
        let file = File::open(&self.unfinished)?;
        file.sync_all()?;
        let read = Reader::open(BufReader::new(file)).and_then(Reader::verify);
        let read = read.map_err(|error| io::Error::other(error.to_string()))?;
        // A link refuses to replace what is there, as a rename would not.
        match fs::hard_link(&self.unfinished, &self.path) {
            Ok(()) => fs::remove_file(&self.unfinished)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // There are file systems without links.
            Err(_) if !self.path.exists() => fs::rename(&self.unfinished, &self.path)?,
            Err(error) => return Err(error),
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(read)
    }
}

impl Drop for Unfinished {
    /// What was not finished is not left behind.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}
