//! How a command asks the running service.

use std::io;
use std::path::{Path, PathBuf};

use maypole_core::ids::{FreezeReason, GroupId, RoomId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::request::Command;
use super::{AdminLimits, Explanation, FrozenRoom, FrozenRooms, Inspection, Lifted, LogPage, LogRange};

/// A question that the running service did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no service listens on {}: start it with `maypole serve`, and see that it has the same configuration",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket is another user's.
    #[error("{} may not be opened: run this command as the user that runs the service", .0.display())]
    NotPermitted(PathBuf),
    /// The service said no, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The service does not answer.
    #[error("the service does not answer on {}: see its log", .0.display())]
    Silent(PathBuf),
    /// Something answers that is not this service.
    #[error("{}: what answers is not a service of this version: see that both are the same", .0.display())]
    Garbage(PathBuf),
    /// What came cannot be put where it is wanted.
    #[error("the copy cannot be written: {0}")]
    Unwritten(io::Error),
    /// The system refused.
    #[error("{}: cannot be asked: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// An answer as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    Ok(T),
    Error(String),
}

/// Asks the service that listens on this socket what it knows about a room's group.
pub async fn explain(path: &Path, room: &RoomId, limits: AdminLimits) -> Result<Explanation, AskError> {
    ask(path, &Command::Explain(room.clone()), limits).await
}

/// Tells the service that a room's group takes no commands.
pub async fn freeze(
    path: &Path,
    room: &RoomId,
    reason: FreezeReason,
    limits: AdminLimits,
) -> Result<FrozenRoom, AskError> {
    ask(path, &Command::Freeze(room.clone(), reason), limits).await
}

/// Tells the service that a room's group takes commands again.
pub async fn unfreeze(path: &Path, room: &RoomId, limits: AdminLimits) -> Result<Lifted, AskError> {
    ask(path, &Command::Unfreeze(room.clone()), limits).await
}

/// Asks the service for epochs of the log of a room's group.
pub async fn log(
    path: &Path,
    room: &RoomId,
    range: LogRange,
    limits: AdminLimits,
) -> Result<LogPage, AskError> {
    ask(path, &Command::Log(room.clone(), range), limits).await
}

/// Asks the service which groups take no commands, from behind a group on.
pub async fn frozen(
    path: &Path,
    after: Option<GroupId>,
    limits: AdminLimits,
) -> Result<FrozenRooms, AskError> {
    ask(path, &Command::Frozen(after), limits).await
}

/// Asks the service to look through its store, from behind a group on.
pub async fn check(path: &Path, after: Option<GroupId>, limits: AdminLimits) -> Result<Inspection, AskError> {
    // One group may take longer than any other question.
    let limits = AdminLimits { patience: limits.pour_stall.saturating_add(limits.stall), ..limits };
    ask(path, &Command::Check(after), limits).await
}

/// Asks the service for a copy of its store, and writes it where it is wanted. Whether it is whole the copy says itself.
pub async fn copy(path: &Path, mut to: impl AsyncWrite + Unpin, limits: AdminLimits) -> Result<(), AskError> {
    let silent = |_| AskError::Silent(path.to_owned());
    let failed = |error| failed(path, error);
    let mut stream = UnixStream::connect(path).await.map_err(failed)?;
    stream.write_all(format!("{}\n", Command::Copy.write()).as_bytes()).await.map_err(failed)?;
    let mut from = BufReader::new(stream);
    let mut line = Vec::new();
    let most = u64::try_from(limits.answer_bytes).unwrap_or(u64::MAX);
    let mut bounded = (&mut from).take(most);
    let first = bounded.read_until(b'\n', &mut line);
    timeout(limits.pour_stall, first).await.map_err(silent)?.map_err(failed)?;
    said::<String>(path, &line)?;
    loop {
        let filled = timeout(limits.pour_stall, from.fill_buf()).await.map_err(silent)?.map_err(failed)?;
        if filled.is_empty() {
            return Ok(());
        }
        let count = filled.len();
        to.write_all(filled).await.map_err(AskError::Unwritten)?;
        from.consume(count);
    }
}

/// Asks one thing.
async fn ask<T: DeserializeOwned>(
    path: &Path,
    command: &Command,
    limits: AdminLimits,
) -> Result<T, AskError> {
    let line = match timeout(limits.patience, exchange(path, command, limits.answer_bytes)).await {
        Err(_) => return Err(AskError::Silent(path.to_owned())),
        Ok(Err(error)) => return Err(failed(path, error)),
        Ok(Ok(line)) if line.is_empty() => return Err(AskError::Silent(path.to_owned())),
        Ok(Ok(line)) => line,
    };
    said(path, &line)
}

/// What an answer says.
fn said<T: DeserializeOwned>(path: &Path, line: &[u8]) -> Result<T, AskError> {
    match serde_json::from_slice(line) {
        Ok(Answer::Ok(told)) => Ok(told),
        Ok(Answer::Error(why)) => Err(AskError::Refused(why)),
        Err(_) => Err(AskError::Garbage(path.to_owned())),
    }
}

/// Writes the request, and reads a line, up to one byte more than an answer may have.
async fn exchange(path: &Path, command: &Command, limit: usize) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(format!("{}\n", command.write()).as_bytes()).await?;
    let mut answer = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    BufReader::new(stream.take(most)).read_until(b'\n', &mut answer).await?;
    Ok(answer)
}

fn failed(path: &Path, source: io::Error) -> AskError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning(path),
        io::ErrorKind::PermissionDenied => AskError::NotPermitted(path),
        // A full queue, or a connection that was cut.
        io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            AskError::Silent(path)
        }
        _ => AskError::Io { path, source },
    }
}
