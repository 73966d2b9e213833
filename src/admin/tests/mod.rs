//! The operator's socket, and those who misuse it.

mod asking;
mod misuse;
mod places;
pub(crate) mod receipts;

use std::path::{Path, PathBuf};
use std::time::Duration;

use maypole_core::ids::{Epoch, FreezeReason, GroupId, RoomId};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    AdminLimits, Agenda, Duty, Explanation, Freeze, FrozenRoom, FrozenRooms, Inspection, LastCommit, Leaving,
    Lifted, Listener, LogPage, LogRange, LoggedEpoch, Member, Operate, Problem, Proposal, Staged,
    group_as_text,
};

use crate::storage::copy::Writer;

/// What is known about the one group that there is.
pub(crate) fn explanation() -> Explanation {
    let member = |identity: &str, leaf| Member { identity: identity.to_owned(), leaf };
    Explanation {
        room: RoomId::parse("!room:a.org").unwrap(),
        group_id: "!room:a.org".to_owned(),
        prefix: "m.mls.".to_owned(),
        epoch: Epoch::new(3).unwrap(),
        term: 1,
        generation: 0,
        ciphersuite: 1,
        members: vec![member("@alice:a.org/PHONE", 0), member("@bob:b.org/LAPTOP", 2)],
        members_total: 2,
        last_commit: Some(LastCommit {
            epoch: Epoch::new(3).unwrap(),
            sender: "@alice:a.org/PHONE".to_owned(),
            at_ms: 7_000,
        }),
        receipt: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
        staged: Some(Staged { since_ms: 8_000, effects: vec!["invite @carol:b.org".to_owned()] }),
        frozen: Some(frozen(38_000, "moving to another server", None)),
        agenda: agenda(),
        waiting: 5,
        log_epochs: 4,
    }
}

fn frozen(since_ms: u64, reason: &str, cause: Option<&str>) -> Freeze {
    Freeze { since_ms, reason: reason.to_owned(), cause: cause.map(str::to_owned) }
}

/// What the group owes.
fn agenda() -> Agenda {
    let carol = || "@carol:b.org/PHONE".to_owned();
    Agenda {
        freezes: vec![frozen(0, "it may not ban", Some("the service lacks power in the room"))],
        dormant: false,
        reset_open: true,
        successor: None,
        duty: Some(Duty { holder: "@alice:a.org/PHONE".to_owned(), since_ms: 60_000, until_ms: 90_000 }),
        leaving: vec![Leaving {
            identity: carol(),
            causes: vec!["its user left".to_owned(), "its device is gone".to_owned()],
            since_ms: 50_000,
        }],
        leaving_total: 3,
        proposals: vec![Proposal {
            by: "the service".to_owned(),
            does: format!("removes {}", carol()),
            since_ms: 50_000,
        }],
        proposals_total: 1,
        wanted: vec!["@bob:b.org/TABLET".to_owned()],
        wanted_total: 1,
    }
}

/// Knows one group, or fails, or never comes to an end.
#[derive(Clone)]
pub(crate) enum Fake {
    Knows(Box<Explanation>),
    Fails(&'static str),
    Ponders,
}

impl Operate for Fake {
    async fn explain(&self, room: &RoomId) -> Result<Option<Explanation>, String> {
        match self {
            Self::Knows(explanation) => Ok(Some((**explanation).clone()).filter(|known| known.room == *room)),
            Self::Fails(why) => Err((*why).to_owned()),
            Self::Ponders => std::future::pending().await,
        }
    }

    async fn freeze(&self, room: &RoomId, reason: FreezeReason) -> Result<Option<FrozenRoom>, String> {
        let freeze = frozen(1, reason.as_str(), None);
        Ok(self.explain(room).await?.map(|known| FrozenRoom { room: known.room, freeze }))
    }

    async fn unfreeze(&self, room: &RoomId) -> Result<Option<Lifted>, String> {
        let lifted = |known: Explanation| Lifted { room: known.room, was_frozen: known.frozen.is_some() };
        Ok(self.explain(room).await?.map(lifted))
    }

    /// Two pages: one says what the operator said, and the other that the group has stopped by itself.
    async fn frozen(&self, after: Option<GroupId>) -> Result<FrozenRooms, String> {
        let Some(known) = self.explain(&explanation().room).await? else {
            return Ok(FrozenRooms::default());
        };
        let group = GroupId::parse(*b"!room:a.org").unwrap();
        let (freezes, next) = match after {
            None => (known.frozen.into_iter().collect(), Some(group_as_text(&group))),
            Some(after) => {
                assert_eq!(after, group);
                (known.agenda.freezes, None)
            }
        };
        let rooms = freezes.into_iter().map(|freeze| FrozenRoom { room: known.room.clone(), freeze });
        Ok(FrozenRooms { rooms: rooms.collect(), next })
    }

    /// Two parts, of which the second has a problem.
    async fn check(&self, after: Option<GroupId>) -> Result<Inspection, String> {
        self.explain(&explanation().room).await?;
        let group = GroupId::parse(*b"!room:a.org").unwrap();
        let part = Inspection { groups: 1, epochs: 4, groups_stored: 2, inbox: 5, ..Inspection::default() };
        Ok(match after {
            None => Inspection { next: Some(group_as_text(&group)), ..part },
            Some(after) => {
                assert_eq!(after, group);
                let problem = Problem { group: "!other:a.org".to_owned(), what: "it has no log".to_owned() };
                Inspection { problems: vec![problem], ..part }
            }
        })
    }

    async fn copy(&self, pieces: mpsc::Sender<Vec<u8>>) -> Result<(), String> {
        self.explain(&explanation().room).await?;
        let (writer, name) = Writer::begin();
        for piece in [name, writer.end(0).unwrap()] {
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn log(&self, room: &RoomId, range: LogRange) -> Result<Option<LogPage>, String> {
        let Some(known) = self.explain(room).await? else { return Ok(None) };
        let last = range.to.map_or(known.epoch, |to| to.min(known.epoch));
        let asked = logged(known.epoch.get() + 1).into_iter();
        let mut epochs: Vec<_> =
            asked.filter(|logged| logged.epoch >= range.from && logged.epoch <= last).collect();
        let next = epochs.get(PAGE).map(|logged| logged.epoch);
        epochs.truncate(PAGE);
        let service = Some(receipts::keys().to_string());
        Ok(Some(LogPage {
            room: known.room,
            begins: Epoch::ZERO,
            current: known.epoch,
            service,
            epochs,
            next,
        }))
    }
}

/// Epochs in one answer of the one who knows.
const PAGE: usize = 2;

/// A log of so many epochs.
fn logged(count: u64) -> Vec<LoggedEpoch> {
    let one = |receipt: &maypole_room::receipt::RoomReceipt| LoggedEpoch {
        epoch: receipt.receipt().epoch,
        sender: "@alice:a.org/PHONE".to_owned(),
        accepted_at_ms: receipt.receipt().issued_at.as_millis(),
        joined: vec!["@bob:b.org/LAPTOP".to_owned()],
        joined_total: 3,
        left: Vec::new(),
        left_total: 0,
        commit: maypole_room::bytes::encode(receipt.receipt().commit.as_bytes()),
        receipt: receipts::signed(receipt),
    };
    receipts::chain(count).iter().map(one).collect()
}

/// Bounds with patience for a test that does not wait.
fn patient() -> AdminLimits {
    let bound = Duration::from_secs(20);
    AdminLimits { stall: bound, thought: bound, patience: bound, ..AdminLimits::default() }
}

/// A socket that is served until this is dropped.
struct Served {
    folder: TempDir,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    async fn by(fake: Fake, limits: AdminLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let listener = Listener::open(&socket_in(&folder)).await.unwrap();
        let serving = tokio::spawn(listener.serve(fake, limits, stop.clone()));
        Self { folder, stop, serving }
    }

    async fn knowing() -> Self {
        Self::by(Fake::Knows(Box::new(explanation())), patient()).await
    }

    fn path(&self) -> PathBuf {
        socket_in(&self.folder)
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path()).await.unwrap()
    }

    /// Writes these bytes, says no more, and gives back all that is answered.
    async fn says_to(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The service may have heard enough in the middle.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        rest(&mut stream).await
    }
}

fn socket_in(folder: &TempDir) -> PathBuf {
    folder.path().join("admin.sock")
}

/// All that is still answered.
async fn rest(stream: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        // What a cut connection leaves behind.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    String::from_utf8(answer).unwrap()
}

/// The error of an answer, which is one line.
fn error(answer: &str) -> String {
    let line = answer.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {answer:?}"));
    assert!(!line.contains('\n'), "{answer}");
    let answer: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    answer["error"].as_str().unwrap_or_else(|| panic!("no error: {answer}")).to_owned()
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
