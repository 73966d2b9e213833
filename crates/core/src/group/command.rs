//! What can be asked of a group, with all its bytes at hand.

use serde::{Deserialize, Serialize};

use crate::auth::{Authenticated, Caller};
use crate::ids::{ClientId, DeviceId, Epoch, GroupId, Sha256};

/// Something that a device asks of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The group.
    pub group: GroupId,
    /// Who asks. The account is authenticated; the device is its own word, and must be that of the leaf.
    pub by: ClientId,
    /// What it asks.
    pub request: Request,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// To take care of a new group.
    Register {
        /// The `MLSMessage` with the GroupInfo of its first epoch.
        group_info: Vec<u8>,
    },
    /// To accept a commit.
    Commit {
        /// The epoch that it was made in.
        epoch: Epoch,
        /// The `MLSMessage`.
        message: Vec<u8>,
        /// The Welcome for those whom it adds.
        welcome: Option<Vec<u8>>,
        /// The GroupInfo of the epoch that it makes. A commit is not accepted without.
        group_info: Option<Vec<u8>>,
    },
    /// To accept a proposal.
    Propose {
        /// The epoch that it was made in.
        epoch: Epoch,
        /// The `MLSMessage`.
        message: Vec<u8>,
    },
}

impl Command {
    /// A command of a device of an authenticated account.
    pub fn of(caller: &Caller, device: DeviceId, group: GroupId, request: Request) -> Authenticated<Self> {
        let by = ClientId { user: caller.get().clone(), device };
        Authenticated::stored(Self { group, by, request })
    }

    /// The account that asks.
    pub fn caller(command: &Authenticated<Self>) -> Caller {
        Authenticated::stored(command.get().by.user.clone())
    }

    /// The message that is ordered.
    pub fn message(&self) -> &[u8] {
        match &self.request {
            Request::Register { group_info } => group_info,
            Request::Commit { message, .. } | Request::Propose { message, .. } => message,
        }
    }

    /// Its hash.
    pub fn message_hash(&self) -> Sha256 {
        Sha256::of(self.message())
    }
}
