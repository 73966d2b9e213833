//! Reads small text files up to a limit, so that a wrong path cannot fill the memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The whole file, if it is UTF-8 and at most `limit_bytes` long.
pub(crate) fn read(path: &Path, limit_bytes: usize) -> io::Result<String> {
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit_bytes} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_too_long_or_no_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(read(&file, 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&folder.path().join("none"), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read(folder.path(), 4).is_err());
        std::fs::write(&file, "1234").unwrap();
        assert_eq!(read(&file, 4).unwrap(), "1234");
    }
}
