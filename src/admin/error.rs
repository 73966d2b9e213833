//! Why the socket cannot be opened, in words for the operator.

use std::io;
use std::path::PathBuf;

/// The operator's socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The path is longer than the system's addresses of sockets.
    #[error(
        "{}: a path of {bytes} bytes is too long for a Unix socket (about 100 are allowed): set `admin.socket` to a \
         shorter one",
        path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// How long it is.
        bytes: usize,
    },
    /// Others may write to the folder, and so put a socket of their own there.
    #[error(
        "{}: others may write to this folder (mode {mode:o}), so the operator's socket cannot be in it: \
         `chmod go-w` it, or set `admin.socket`",
        folder.display()
    )]
    FolderOpen {
        /// The folder.
        folder: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another process listens there.
    #[error("{}: another process listens on this socket: give each service its own `admin.socket`", .0.display())]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{}: there is something that is not a socket: move it away, or set `admin.socket`", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("{}: the operator's socket {what}: {source}", path.display())]
    Io {
        /// What failed.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
