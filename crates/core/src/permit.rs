//! What the core asks of a dialect's policy, and what it is told.
//!
//! The core knows who is in a group; whether that may change is for the place that the group belongs to. The question says
//! who asks and what would change for each account, the answer what must happen outside before the change counts.

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, DeviceId, UserId};

/// May this caller do that?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub caller: ClientId,
    /// What the commit says in its authenticated data; empty for a registration.
    pub authenticated_data: Vec<u8>,
    /// What would happen.
    pub intent: Intent,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A group begins.
    Register,
    /// A group begins anew, in the place of one that nobody can go on with.
    Succeed {
        /// Somebody could go on with it: it is begun anew because what it has become is disputed.
        disputed: bool,
    },
    /// A group changes.
    Commit {
        /// The committer joins by it.
        external: bool,
        /// Every account of which a leaf comes or goes by the committer's own will, in the order of their names. Not those
        /// whose leaf is merely renewed, nor leaves that must go, nor what others proposed.
        users: Vec<UserChange>,
        /// The group's own extensions change by the committer's own will.
        extends: bool,
        /// What others proposed and this commit carries out. Each answers for their own.
        proposed: Vec<Proposed>,
    },
    /// Somebody proposes a change.
    Propose(Proposed),
}

/// What somebody proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Who proposes it.
    pub by: ClientId,
    /// The device that comes or goes, one of the same account.
    pub device: Option<DeviceId>,
    /// The group's own extensions change.
    pub extends: bool,
}

/// What would change for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange {
    /// The account.
    pub user: UserId,
    /// How many leaves it has before.
    pub leaves_before: usize,
    /// How many it has after.
    pub leaves_after: usize,
    /// Devices whose leaf comes.
    pub added: Vec<DeviceId>,
    /// Devices whose leaf goes; one that is in both comes back.
    pub removed: Vec<DeviceId>,
}

/// Yes, and what must happen outside first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// What must happen before the change counts, in this order.
    pub effects: Vec<Effect>,
    /// What the permit rests on, whole, for those who must be able to check it.
    pub cited: Vec<Vec<u8>>,
}

/// Something that must happen outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The account that it is about, if it is about one.
    pub about: Option<UserId>,
    /// What, in the dialect's own words.
    pub words: Vec<u8>,
}
