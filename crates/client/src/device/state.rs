//! What a device remembers, and how it is written: a version, then everything in one piece.

use std::collections::{BTreeMap, VecDeque};

use maypole_core::ids::Sha256;
use maypole_core::ids::{ClientId, RoomId, UserId};
use maypole_room::bytes::Blob;
use maypole_room::names::Prefix;
use openmls_basic_credential::SignatureKeyPair;
use serde::{Deserialize, Serialize};

use super::outgoing::Out;
use super::{DeviceError, TransferId, Wish};

/// The version of the written form.
const VERSION: u8 = 3;

/// Everything besides what OpenMLS stores.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub(super) me: ClientId,
    pub(super) suite: u16,
    pub(super) signer: SignatureKeyPair,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    pub(super) downloads: BTreeMap<TransferId, Download>,
    pub(super) uploads: BTreeMap<TransferId, (RoomId, Field)>,
    pub(super) last_transfer: u64,
    /// Welcomes to rooms whose service is not known, the oldest first.
    pub(super) welcomes: VecDeque<WaitingWelcome>,
}

/// A Welcome that waits until the caller says who the room's delivery service is.
#[derive(Serialize, Deserialize)]
pub(super) struct WaitingWelcome {
    pub(super) room_id: RoomId,
    pub(super) sender: UserId,
    /// Whether its event type had the unstable prefix.
    pub(super) unstable: bool,
    pub(super) content: String,
}

/// The written form: the state, and all entries of OpenMLS's store.
#[derive(Serialize, Deserialize)]
struct Written<S> {
    state: S,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Writes everything.
pub(super) fn write(state: &State, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<u8>, DeviceError> {
    let bytes = postcard::to_extend(&Written { state, entries }, vec![VERSION]);
    bytes.map_err(|error| DeviceError::State(error.to_string()))
}

/// What was read back.
pub(super) type Restored = (State, Vec<(Vec<u8>, Vec<u8>)>);

/// Reads what [`write`] wrote.
pub(super) fn read(bytes: &[u8]) -> Result<Restored, DeviceError> {
    let (version, bytes) = bytes.split_first().ok_or(DeviceError::State("it is empty".into()))?;
    if *version != VERSION {
        return Err(DeviceError::State(format!("its version is {version}, and {VERSION} is known here")));
    }
    let (written, rest) = postcard::take_from_bytes::<Written<State>>(bytes)
        .map_err(|error| DeviceError::State(error.to_string()))?;
    if rest.is_empty() {
        Ok((written.state, written.entries))
    } else {
        Err(DeviceError::State("it does not end".into()))
    }
}

/// A room, and where the device stands in its group.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Room {
    pub(super) service: Option<Service>,
    pub(super) standing: Standing,
    /// The last receipt, as it came.
    pub(super) receipt: Option<String>,
    /// What waits for the service's answer.
    pub(super) out: Option<Out>,
    /// A commit that came too late, to be made again.
    pub(super) again: Option<Again>,
    /// The question for missing commits.
    pub(super) catching_up: Option<String>,
    /// The question for a GroupInfo to join by.
    pub(super) asking: Option<Asking>,
    /// Its answer, while bytes are missing.
    pub(super) group_info: Option<String>,
    /// A Welcome of the room's service that cannot be used yet.
    pub(super) welcome: Option<String>,
    /// The question for its tree, which the media repository does not have.
    pub(super) tree: Option<String>,
    /// How often that was asked.
    pub(super) tree_tries: u32,
    /// It waited until the service was known; what came from the service meanwhile was not heard.
    pub(super) behind: bool,
    /// Commits by the epoch that they make.
    pub(super) ahead: BTreeMap<u64, Ahead>,
    /// Room events of epochs that have not begun.
    pub(super) unread: VecDeque<Unread>,
    /// Room events that the homeserver does not have yet: transaction ID and content.
    pub(super) unsent: BTreeMap<String, String>,
}

/// The delivery service of a room, and how it spells event types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its account, as the room's create event names it.
    pub user: UserId,
    /// Whether its event types have the unstable prefix.
    pub unstable: bool,
}

impl Service {
    /// How its event types begin.
    pub const fn prefix(&self) -> Prefix {
        if self.unstable { Prefix::Unstable } else { Prefix::Stable }
    }
}

/// Where a device stands in the group of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Outside.
    #[default]
    Outside,
    /// It made the group, and the service has not taken it yet.
    Registering,
    /// It made an external commit, and the service has not accepted it yet.
    Joining,
    /// Inside.
    Member,
    /// It was removed.
    Gone,
    /// It could not follow, and may join again.
    Lost,
}

/// A wish that is to be tried again.
#[derive(Serialize, Deserialize)]
pub(super) struct Again {
    pub(super) wish: Wish,
    /// The epoch in which it was tried last.
    pub(super) epoch: u64,
    pub(super) tries: u32,
}

/// A question for a GroupInfo.
#[derive(Serialize, Deserialize)]
pub(super) struct Asking {
    pub(super) request_id: String,
    pub(super) tries: u32,
}

/// A commit that waits for its turn.
#[derive(Serialize, Deserialize)]
pub(super) struct Ahead {
    /// The content of the `m.mls.commit`.
    pub(super) content: String,
    /// Whether it came as such, and not in an answer.
    pub(super) direct: bool,
}

/// A room event that waits for its epoch.
#[derive(Serialize, Deserialize)]
pub(super) struct Unread {
    pub(super) event_id: String,
    pub(super) sender: UserId,
    pub(super) message: Vec<u8>,
    pub(super) epoch: u64,
}

/// Bytes that are awaited from the media repository.
#[derive(Serialize, Deserialize)]
pub(super) struct Download {
    pub(super) room_id: RoomId,
    pub(super) purpose: Purpose,
    pub(super) mxc: String,
    pub(super) sha256: Sha256,
    pub(super) size_bytes: u64,
}

impl Download {
    pub(super) fn blob(&self) -> Blob {
        Blob { mxc: self.mxc.clone(), sha256: self.sha256, size_bytes: self.size_bytes }
    }
}

/// What awaited bytes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// The commit that makes this epoch.
    Commit(u64),
    Welcome,
    GroupInfo,
}

/// A field of an `m.mls.message` that may be a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Field {
    Message,
    Welcome,
    GroupInfo,
}
