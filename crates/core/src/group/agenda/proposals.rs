//! What waits for the epoch's commit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Agenda;
use super::leaving::at_most;
use crate::ids::ClientId;
use crate::limits;
use crate::time::Timestamp;

/// A proposal that everybody was told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Whose it is.
    pub by: Proposer,
    /// What it does.
    pub does: Does,
    /// By what commits refer to it.
    pub reference: Vec<u8>,
    /// The `MLSMessage`, as it was sent to everybody.
    pub message: Vec<u8>,
    /// What it does to the group, as the engine writes it.
    pub delta: Vec<u8>,
    /// When it was accepted.
    pub proposed_at: Timestamp,
}

/// Who proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proposer {
    /// The service.
    Service,
    /// A member.
    Member(ClientId),
    /// A device that asks to be added.
    Joiner(ClientId),
}

/// What a proposal does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Does {
    /// It renews its sender's leaf.
    Updates,
    /// It brings a leaf.
    Adds(ClientId),
    /// It removes a leaf.
    Removes(ClientId),
    /// It removes its sender's own leaf, which nobody else could ask for.
    Leaves(ClientId),
    /// It replaces the group's extensions.
    Extends,
}

impl Waiting {
    /// Whose leaf it removes, if it removes one.
    pub fn removes(&self) -> Option<&ClientId> {
        match &self.does {
            Does::Removes(client) | Does::Leaves(client) => Some(client),
            Does::Updates | Does::Adds(_) | Does::Extends => None,
        }
    }

    /// Whose leaf comes or goes by it, if one does.
    pub fn concerns(&self) -> Option<&ClientId> {
        match &self.does {
            Does::Adds(client) => Some(client),
            _ => self.removes(),
        }
    }

    /// The device that answers for it; nobody's is the service's.
    pub fn sender(&self) -> Option<&ClientId> {
        match &self.by {
            Proposer::Service => None,
            Proposer::Member(client) | Proposer::Joiner(client) => Some(client),
        }
    }
}

impl Agenda {
    /// The clients whose leaf a waiting proposal removes.
    pub(crate) fn removed_clients(&self) -> BTreeSet<&ClientId> {
        self.proposals.iter().filter_map(Waiting::removes).collect()
    }

    /// How many of the waiting proposals are the service's.
    pub(crate) fn of_service(&self) -> usize {
        self.proposals.iter().filter(|waiting| waiting.by == Proposer::Service).count()
    }

    /// Whether a device may have one more proposal of so many bytes waiting.
    pub(crate) fn has_room_for(&self, client: &ClientId, bytes: usize) -> bool {
        let others = || self.proposals.iter().filter(|waiting| waiting.by != Proposer::Service);
        let own = others().filter(|waiting| waiting.sender() == Some(client)).count();
        let all_bytes = others().fold(bytes, |sum, waiting| sum.saturating_add(waiting.message.len()));
        own < limits::PROPOSALS_OF_ONE
            && others().count() < limits::PROPOSALS_OF_MEMBERS
            && all_bytes <= limits::PROPOSALS_OF_MEMBERS_BYTES
    }

    /// The SelfRemoves, as they were sent, that an external commit must carry and does not: those of leaves that stay,
    /// which are known for long enough.
    pub(crate) fn uncarried(&self, removed: &BTreeSet<&ClientId>, now: Timestamp) -> Vec<Vec<u8>> {
        let lacking = self.proposals.iter().filter(|waiting| {
            matches!(&waiting.does, Does::Leaves(client) if !removed.contains(client))
                && waiting.proposed_at.plus(limits::MUST_GO_GRACE) <= now
        });
        at_most(lacking.map(|waiting| &waiting.message), limits::MISSING_PROPOSALS_BYTES)
    }
}
