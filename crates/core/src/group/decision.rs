//! A decision: all that follows from accepting a command, before and after it is written.

use std::collections::BTreeSet;

use maypole_mls::Delta;

use super::agenda::{Agenda, Lease};
use super::records::{Entry, Head, Snapshot};
use super::standing::Standing;
use crate::ids::{ClientId, Sha256, UserId};
use crate::receipt::Receipt;
use crate::records::{Answer, AnswerKey, Owed};

/// What was decided. It counts when it is durable; see [`crate::ledger::Ledger::decide`].
#[derive(Debug)]
pub struct Decision {
    pub(crate) head: Head,
    pub(crate) entry: Entry,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) effect: Effect,
    /// Something had to happen outside first, so it must have been staged.
    pub(crate) is_staged: bool,
    /// What the group owes before.
    pub(crate) agenda_before: Agenda,
    /// What it owes from now on.
    pub(crate) agenda: Agenda,
    /// What the service's own proposals for the new epoch do.
    pub(crate) issued: Vec<Delta>,
    /// The generation that ends by it, as it stood.
    pub(crate) succeeds: Option<Standing>,
    /// The receipt, to be written and signed by the dialect.
    pub receipt: Receipt,
    /// Devices with a leaf before.
    pub members_before: Vec<ClientId>,
    /// Devices that an Add brings, with the references of their KeyPackages.
    pub added: Vec<Added>,
    /// Accounts that are added and must not learn how to join: what had to happen for them did not.
    pub withheld: BTreeSet<UserId>,
    /// The Removes of what must go, for the new epoch: they go out with the commit.
    pub stapled: Vec<Vec<u8>>,
    /// Who has the duty to commit in the new epoch, if anybody must.
    pub lease: Option<Lease>,
    /// The ratchet tree of the new epoch; only where somebody is added.
    pub ratchet_tree: Option<Vec<u8>>,
    /// The Welcome, if there is one.
    pub welcome: Option<Vec<u8>>,
}

/// What a decision does to the group in memory.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It begins.
    Begin(Box<maypole_mls::Group>),
    /// It changes.
    Change(Box<Delta>),
}

/// A device that an Add brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The device.
    pub client: ClientId,
    /// The `KeyPackageRef` by which its entry in the Welcome is found.
    pub key_package: Vec<u8>,
}

/// What the dialect makes of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The receipt as it is given out.
    pub receipt: Vec<u8>,
    /// Its hash.
    pub receipt_hash: Sha256,
    /// What the log notes of it for the dialect.
    pub notes: Vec<u8>,
    /// What the head notes for the dialect from now on, if that changes.
    pub head_notes: Option<Vec<u8>>,
    /// The answer to the device that asked, and the key under which it is remembered.
    pub answer: (AnswerKey, Answer),
    /// What is owed to everybody, in order.
    pub owed: Vec<Owed>,
}

impl Decision {
    /// The log's entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What the head notes for the dialect.
    pub fn notes(&self) -> &[u8] {
        &self.head.notes
    }

    /// What the group owes from now on.
    pub fn agenda(&self) -> &Agenda {
        &self.agenda
    }
}
