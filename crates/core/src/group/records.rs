//! What the store keeps of a group: its head, the log of its epochs, snapshots of its tree, and what is staged, whether it is frozen.

use serde::{Deserialize, Serialize};

use super::command::Command;
use crate::auth::Authenticated;
use crate::ids::{ClientId, Epoch, FreezeReason, GroupId, InboxSeq, Sha256};
use crate::limits;
use crate::permit::Permit;
use crate::time::Timestamp;

/// A group's head: where it stands. Replaced with every epoch, in the write that appends to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The group.
    pub group: GroupId,
    /// Its epoch.
    pub epoch: Epoch,
    /// How often it has changed its delivery service, counted from 1.
    pub term: u64,
    /// How often it was begun anew, counted from 0.
    pub generation: u64,
    /// The hash of its last receipt.
    pub receipt: Sha256,
    /// The epoch of the newest snapshot; the log leads on from there.
    pub snapshot_epoch: Epoch,
    /// The bytes of that snapshot.
    pub snapshot_bytes: u64,
    /// The bytes of the deltas since.
    pub delta_bytes: u64,
    /// What the dialect notes of it.
    pub notes: Vec<u8>,
}

impl Head {
    /// About how many bytes the group may take in memory that stands here, as can be told before it is read.
    pub fn weight_bytes(&self) -> usize {
        unpacked_bytes(self.snapshot_bytes, self.delta_bytes)
    }
}

/// About how many bytes a group may take in memory of which so many are stored.
fn unpacked_bytes(snapshot_bytes: u64, delta_bytes: u64) -> usize {
    let stored = usize::try_from(snapshot_bytes.saturating_add(delta_bytes));
    let unpacked = stored.unwrap_or(usize::MAX).saturating_mul(limits::GROUP_UNPACKED);
    unpacked.saturating_add(limits::GROUP_BASE_BYTES)
}

/// One epoch of a group's log: what began it, and what it needs to be told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The epoch that it began.
    pub epoch: Epoch,
    /// Who began it.
    pub sender: ClientId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Devices whose leaf came.
    pub joined: Vec<ClientId>,
    /// Devices whose leaf went; one that is in both came back.
    pub left: Vec<ClientId>,
    /// The commit; the GroupInfo of a registration.
    pub message: Vec<u8>,
    /// What it did to the tree, as the engine writes it; empty in the first entry, whose epoch has a snapshot.
    pub delta: Vec<u8>,
    /// The epoch's GroupInfo.
    pub group_info: Vec<u8>,
    /// What the permit rested on.
    pub cited: Vec<Vec<u8>>,
    /// The receipt, as the dialect writes it.
    pub receipt: Vec<u8>,
    /// What the dialect notes of it: where it put what is too large.
    pub notes: Vec<u8>,
}

/// A group's tree at an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The epoch.
    pub epoch: Epoch,
    /// The group, as the engine writes it.
    pub bytes: Vec<u8>,
}

/// That there is a snapshot of an epoch, and how large it is, as can be told without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotAt {
    /// The epoch.
    pub epoch: Epoch,
    /// About how many bytes it has.
    pub bytes: u64,
}

impl SnapshotAt {
    /// About how many bytes a group may take in memory that is brought back from here and led on to before the next one:
    /// that was written when the deltas had outgrown this one.
    pub fn weight_bytes(&self) -> usize {
        unpacked_bytes(self.bytes, self.bytes.max(limits::SNAPSHOT_EVERY_BYTES))
    }
}

/// That a group takes no commands until it is unfrozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Why.
    pub reason: FreezeReason,
    /// Since when.
    pub frozen_at: Timestamp,
}

/// A command that was found valid and waits for what must happen outside first. One group has one at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    command: Command,
    /// The message of the inbox that it came with.
    pub row: InboxSeq,
    /// When it was staged. It is judged again as of then.
    pub staged_at: Timestamp,
    /// What must happen.
    pub permit: Permit,
    /// What the dialect needs for the answer.
    pub notes: Vec<u8>,
}

impl Staged {
    /// A command that is to wait.
    pub fn new(
        command: &Authenticated<Command>,
        row: InboxSeq,
        staged_at: Timestamp,
        permit: Permit,
        notes: Vec<u8>,
    ) -> Self {
        Self { command: command.get().clone(), row, staged_at, permit, notes }
    }

    /// The command, whose caller was authenticated when it was staged.
    pub fn command(&self) -> Authenticated<Command> {
        Authenticated::stored(self.command.clone())
    }

    /// The group.
    pub fn group(&self) -> &GroupId {
        &self.command.group
    }
}
