//! A new file that has its name only when it is whole and on the disk, for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file that is being written. If it is dropped before it is kept, nothing is left of it.
pub(crate) struct NewFile {
    path: PathBuf,
    unfinished: PathBuf,
}

/// Where a file is written before it has its name.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

/// Writes a text into a new file.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let (new, mut file) = NewFile::create(path)?;
    file.write_all(text.as_bytes())?;
    new.keep()
}

impl NewFile {
    /// Makes the file, unless there is one of its name. What a crash left unfinished is replaced.
    pub(crate) fn create(path: &Path) -> io::Result<(Self, File)> {
        if path.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name already"));
        }
        let unfinished = unfinished(path);
        let removed = fs::remove_file(&unfinished);
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        Ok((Self { path: path.to_owned(), unfinished }, file))
    }

    /// What was written, to be read before it is kept.
    pub(crate) fn written(&self) -> io::Result<File> {
        File::open(&self.unfinished)
    }

    /// Gives the file its name, when all of it is on the disk.
    pub(crate) fn keep(self) -> io::Result<()> {
        self.written()?.sync_all()?;
        // A link refuses to replace what is there, as a rename would not.
        match fs::hard_link(&self.unfinished, &self.path) {
            Ok(()) => fs::remove_file(&self.unfinished)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // There are file systems without links.
            Err(_) if !self.path.exists() => fs::rename(&self.unfinished, &self.path)?,
            Err(error) => return Err(error),
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (new, mut file) = NewFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()), ["file.unfinished"]);
        assert_eq!(io::read_to_string(new.written().unwrap()).unwrap(), "half");
        new.keep().unwrap();
        assert_eq!(
            (names(folder.path()), fs::read_to_string(&path).unwrap()),
            (vec!["file".to_owned()], "half".to_owned())
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        drop(NewFile::create(&path).unwrap());
        assert!(names(folder.path()).is_empty());
        // What a crash left, and what somebody else makes meanwhile.
        fs::write(unfinished(&path), "of a crash, and longer").unwrap();
        let (new, mut file) = NewFile::create(&path).unwrap();
        file.write_all(b"late").unwrap();
        write_beside(&path);
        assert_eq!(new.keep().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(write(&path, "late").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(
            (names(folder.path()), fs::read_to_string(&path).unwrap()),
            (vec!["file".to_owned()], "first".to_owned())
        );
    }

    fn write_beside(path: &Path) {
        fs::write(path, "first").unwrap();
    }
}
