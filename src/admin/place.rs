//! The socket's place in the file system: whose it is, who may write there, and what was left over.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use maypole_core::limits;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::AdminError;

const OWNER_ONLY: u32 = 0o600;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A socket's file, which is removed with this value if it is still the same.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Drop for Place {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| identity(&there) == self.file)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the operator's socket cannot be removed");
        }
    }
}

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Opens a socket for its owner alone. One that a dead process left there is replaced.
pub(super) async fn open(path: &Path) -> Result<(UnixListener, Place), AdminError> {
    let io = |what| move |source| AdminError::Io { what, path: path.to_owned(), source };
    let too_long = |_| AdminError::TooLong { path: path.to_owned(), bytes: path.as_os_str().len() };
    std::os::unix::net::SocketAddr::from_pathname(path).map_err(too_long)?;
    refuse_open_folder(path)?;
    clear(path).await?;
    let socket = UnixSocket::new_stream().map_err(io("cannot be made"))?;
    socket.bind(path).map_err(io("cannot be made"))?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))
        .map_err(io("cannot be closed to others"))?;
    let file = fs::symlink_metadata(path).map_err(io("cannot be looked at"))?;
    let place = Place { path: path.to_owned(), file: identity(&file) };
    // Until here whoever connects is refused, so that nobody gets in who could not do so afterwards.
    let listener = socket.listen(limits::ADMIN_BACKLOG).map_err(io("cannot listen"))?;
    Ok((listener, place))
}

/// Refuses a folder to which others may write.
fn refuse_open_folder(path: &Path) -> Result<(), AdminError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let looked = fs::metadata(folder);
    let folder = folder.to_owned();
    match looked {
        Ok(there) if there.permissions().mode() & WRITABLE_BY_OTHERS != 0 => {
            Err(AdminError::FolderOpen { folder, mode: there.permissions().mode() & 0o7777 })
        }
        Ok(_) => Ok(()),
        Err(source) => Err(AdminError::Io { what: "needs this folder", path: folder, source }),
    }
}

/// Removes a socket on which nobody listens any more.
async fn clear(path: &Path) -> Result<(), AdminError> {
    let io = |what| move |source| AdminError::Io { what, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("cannot be looked at")(error)),
        Ok(there) if !there.file_type().is_socket() => return Err(AdminError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "a socket that a dead process left is replaced");
            fs::remove_file(path).map_err(io("cannot be replaced"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full queue is somebody's queue.
        Ok(_) => Err(AdminError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(AdminError::InUse(path.to_owned())),
        Err(error) => Err(io("cannot be tried")(error)),
    }
}
