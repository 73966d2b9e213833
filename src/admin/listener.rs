//! Answers the operator until the service stops.

use std::path::Path;
use std::sync::Arc;

use maypole_core::ids::RoomId;
use maypole_core::limits;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::WriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::place::{self, Place};
use super::request::Command;
use super::{
    AdminError, AdminLimits, Explanation, FrozenRoom, FrozenRooms, Inspection, Lifted, LogPage, Operate,
};

/// The socket, before anybody is answered. It is removed when this value ends.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    place: Place,
}

/// An answer as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ok(Told),
    Error(String),
}

/// What is told, by what was asked.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Explanation(Box<Explanation>),
    Frozen(FrozenRoom),
    Lifted(Lifted),
    AllFrozen(FrozenRooms),
    Log(LogPage),
    Inspection(Inspection),
    /// What was asked for follows.
    Follows(&'static str),
}

impl Listener {
    /// Opens the socket. Must be called within the runtime.
    pub async fn open(path: &Path) -> Result<Self, AdminError> {
        let (socket, place) = place::open(path).await?;
        tracing::info!(path = %path.display(), "listening for the operator");
        Ok(Self { socket, place })
    }

    /// Answers until `stop`. Then nothing more is read, and what was asked may still be answered.
    pub async fn serve<O: Operate>(self, operator: O, limits: AdminLimits, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(limits.connections));
        let conversations = TaskTracker::new();
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
                let (stream, _) = self.socket.accept().await?;
                Ok::<_, std::io::Error>((place, stream))
            };
            match stop.run_until_cancelled(next).await {
                None => break,
                Some(Ok((place, stream))) => {
                    let (operator, stop) = (operator.clone(), stop.clone());
                    conversations.spawn(async move {
                        converse(stream, &operator, &limits, &stop).await;
                        drop(place);
                    });
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "nothing can be accepted from the operator for now");
                    stop.run_until_cancelled(tokio::time::sleep(limits::HTTP_ACCEPT_PAUSE)).await;
                }
            }
        }
        drop((self.socket, self.place));
        conversations.close();
        conversations.wait().await;
    }
}

/// One request, one answer.
async fn converse<O: Operate>(
    mut stream: UnixStream,
    operator: &O,
    limits: &AdminLimits,
    stop: &CancellationToken,
) {
    let (reader, mut writer) = stream.split();
    let request = timeout(limits.stall, read_line(reader, limits.request_bytes));
    let answer = match stop.run_until_cancelled(request).await {
        None => return,
        Some(Ok(Ok(Some(line)))) => match Command::read(&line) {
            Ok(Command::Copy) => return pour(writer, operator, limits, stop).await,
            Ok(command) => answer(&command, operator, limits).await,
            Err(why) => Answer::Error(why),
        },
        Some(Ok(Ok(None))) => return,
        Some(Ok(Err(why))) => Answer::Error(why),
        Some(Err(_)) => Answer::Error("the request did not arrive in time".to_owned()),
    };
    let line = written(&answer, limits);
    // Whether the operator still listens does not matter any more.
    let _ = timeout(limits.stall, async {
        writer.write_all(&line).await?;
        writer.shutdown().await
    })
    .await;
}

/// A line that says that a copy follows, and the copy. If it breaks off, its end is missing.
async fn pour<O: Operate>(
    mut writer: WriteHalf<'_>,
    operator: &O,
    limits: &AdminLimits,
    stop: &CancellationToken,
) {
    let (pieces, mut taken) = mpsc::channel::<Vec<u8>>(1);
    let pass_on = async {
        let mut next = taken.recv().await;
        if next.is_some() {
            let line = written(&Answer::Ok(Told::Follows("the copy follows")), limits);
            timeout(limits.pour_stall, writer.write_all(&line)).await??;
        }
        while let Some(piece) = next {
            timeout(limits.pour_stall, writer.write_all(&piece)).await??;
            next = taken.recv().await;
        }
        drop(taken);
        Ok::<_, std::io::Error>(())
    };
    let poured = stop.run_until_cancelled(async { tokio::join!(operator.copy(pieces), pass_on) }).await;
    if let Some((Err(why), _)) = poured {
        let line = written(&Answer::Error(why), limits);
        let _ = timeout(limits.stall, writer.write_all(&line)).await;
    }
    let _ = timeout(limits.stall, writer.shutdown()).await;
}

/// Reads a line; nothing where nobody says anything. The error is a sentence for whoever wrote it.
async fn read_line(reader: impl AsyncRead + Unpin, limit: usize) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = BufReader::new(reader.take(most)).read_until(b'\n', &mut line).await;
    read.map_err(|error| format!("the request cannot be read: {error}"))?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= limit => Err(format!("the request has more than {limit} bytes")),
        Some(_) => Err("the request breaks off: it must be a whole line".to_owned()),
    }
}

/// What there is to say to a request.
async fn answer<O: Operate>(command: &Command, operator: &O, limits: &AdminLimits) -> Answer {
    let thought = if matches!(command, Command::Check(_)) { limits.pour_stall } else { limits.thought };
    match timeout(thought, obey(command, operator)).await {
        Ok(Ok(Some(told))) => Answer::Ok(told),
        Ok(Ok(None)) => Answer::Error(format!(
            "this service keeps no group for {}: see that the ID is right, that the room names this service, and that \
             its creator has registered a group",
            command.room().map_or("that room", RoomId::as_str)
        )),
        Ok(Err(why)) => Answer::Error(why),
        Err(_) => Answer::Error("the service did not find the answer in time; ask again".to_owned()),
    }
}

/// Does what is asked. Nothing, where there is no such group.
async fn obey<O: Operate>(command: &Command, operator: &O) -> Result<Option<Told>, String> {
    Ok(match command {
        Command::Explain(room) => {
            operator.explain(room).await?.map(|told| Told::Explanation(Box::new(told.bounded())))
        }
        Command::Freeze(room, reason) => operator.freeze(room, reason.clone()).await?.map(Told::Frozen),
        Command::Unfreeze(room) => operator.unfreeze(room).await?.map(Told::Lifted),
        Command::Log(room, range) => operator.log(room, *range).await?.map(Told::Log),
        Command::Frozen(after) => Some(Told::AllFrozen(operator.frozen(after.clone()).await?)),
        Command::Check(after) => Some(Told::Inspection(operator.check(after.clone()).await?)),
        // It is more than an answer: whoever reads the question pours it.
        Command::Copy => None,
    })
}

/// The answer's line.
fn written(answer: &Answer, limits: &AdminLimits) -> Vec<u8> {
    let line = serde_json::to_vec(answer).ok().filter(|line| line.len() < limits.answer_bytes);
    let mut line = line.unwrap_or_else(|| br#"{"error":"the answer is too long"}"#.to_vec());
    line.push(b'\n');
    line
}
