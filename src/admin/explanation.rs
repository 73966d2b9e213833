//! What the service knows about a group, as the operator is told: nothing in it is secret, and no message is in it.

use maypole_core::ids::{Epoch, RoomId};
use maypole_core::limits;
use serde::{Deserialize, Serialize};

use super::{Agenda, Freeze};

/// What the service knows about the group of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The room.
    pub room: RoomId,
    /// The group's ID: as text where it is text, otherwise as base64.
    pub group_id: String,
    /// What stands before the names of the group's events, such as `m.mls.`.
    pub prefix: String,
    /// The epoch that the group is in.
    pub epoch: Epoch,
    /// How often the group has changed its delivery service, counted from 1.
    pub term: u64,
    /// How often the room has begun a new group, counted from 0.
    pub generation: u64,
    /// The ciphersuite's number in the registry of RFC 9420.
    pub ciphersuite: u16,
    /// The members, in the order of their leaves; the first of them if there are many.
    pub members: Vec<Member>,
    /// How many members there are.
    pub members_total: u64,
    /// The commit that made the epoch; none in the first.
    pub last_commit: Option<LastCommit>,
    /// The hash of the epoch's receipt, as base64.
    pub receipt: String,
    /// A commit whose effects on the room are being carried out.
    pub staged: Option<Staged>,
    /// That the group takes no commands, if its operator said so.
    pub frozen: Option<Freeze>,
    /// What it owes.
    pub agenda: Agenda,
    /// Messages that wait for their turn in the group's lane.
    pub waiting: u64,
    /// Epochs in the log.
    pub log_epochs: u64,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its identity: `@user:server/DEVICE`.
    pub identity: String,
    /// The index of its leaf.
    pub leaf: u32,
}

/// The commit that made an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCommit {
    /// The epoch that it made.
    pub epoch: Epoch,
    /// Who sent it: `@user:server/DEVICE`.
    pub sender: String,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A commit that waits for the homeserver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// What it does to the room, one sentence each.
    pub effects: Vec<String>,
}

impl Explanation {
    /// The same with no longer lists than an answer may have.
    pub(super) fn bounded(mut self) -> Self {
        self.members.truncate(limits::EXPLAINED_MEMBERS);
        self.agenda = self.agenda.bounded();
        if let Some(staged) = &mut self.staged {
            staged.effects.truncate(limits::EXPLAINED_EFFECTS);
        }
        self
    }
}
