//! What a group owes: which leaves must go, what waits for a commit, who is to make it, and whether anything is ordered.
//!
//! The agenda stands beside the group's head. It is replaced in the write that changes it, and a write that rests on it
//! names its revision. It keeps true: every leaf that must go is one of the group; the leaves stand in the order in which
//! they were announced; at most one proposal removes a leaf; what waits is of the group's own epoch; all of it is bounded.

mod duty;
mod leaving;
mod proposals;

use serde::{Deserialize, Serialize};

pub(crate) use duty::Candidates;
pub use duty::Lease;
pub use leaving::{Cause, Leaving};
pub use proposals::{Does, Proposer, Waiting};

use crate::ids::{ClientId, GroupId};
use crate::limits;
use crate::time::Timestamp;

/// What a group owes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agenda {
    /// The group.
    pub group: GroupId,
    /// How often it was changed; 0 is an agenda that was never written.
    pub revision: u64,
    /// Leaves that must go, in the order in which they were announced.
    pub leaving: Vec<Leaving>,
    /// What waits for the epoch's commit, in the order in which it came.
    pub proposals: Vec<Waiting>,
    /// Devices of joined users that somebody should add.
    pub wanted: Vec<ClientId>,
    /// Who is to make the next commit.
    pub lease: Option<Lease>,
    /// Why nothing is ordered; one entry for each cause.
    pub frozen: Vec<Freeze>,
    /// The group may be begun anew although somebody could go on with it.
    pub reset_open: bool,
}

/// Why nothing is ordered in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// By what.
    pub cause: FreezeCause,
    /// In a sentence for those who ask.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What can freeze a group, besides its operator ([`super::Frozen`]), whose word takes effect whatever is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FreezeCause {
    /// The service lacks the power that it needs.
    Power,
    /// The place of the group has moved elsewhere.
    Upgraded,
    /// The next generation has begun. It never ends.
    Succeeded,
}

impl Agenda {
    /// The agenda of a group that owes nothing yet.
    pub fn of(group: GroupId) -> Self {
        Self {
            group,
            revision: 0,
            leaving: Vec::new(),
            proposals: Vec::new(),
            wanted: Vec::new(),
            lease: None,
            frozen: Vec::new(),
            reset_open: false,
        }
    }

    /// The revision that is stored; none where nothing is.
    pub fn stored(&self) -> Option<u64> {
        (self.revision > 0).then_some(self.revision)
    }

    /// About how many bytes it takes in memory. Of each proposal the engine keeps another copy.
    pub(crate) fn weight_bytes(&self) -> usize {
        let tried = self.lease.as_ref().map_or(0, |lease| lease.tried.len());
        let lists = [self.leaving.len(), self.proposals.len(), self.wanted.len(), self.frozen.len(), tried];
        let notes = lists.into_iter().fold(0, usize::saturating_add);
        let waiting = self.proposals.iter().flat_map(|waiting| {
            [waiting.message.len(), waiting.message.len(), waiting.delta.len(), waiting.reference.len()]
        });
        waiting.fold(limits::GROUP_NOTE_BYTES.saturating_mul(notes), usize::saturating_add)
    }

    /// Why nothing is ordered, if nothing is.
    pub fn frozen(&self) -> Option<&Freeze> {
        self.frozen.first()
    }

    /// Freezes the group by one cause more. The first reason of a cause stands.
    pub(crate) fn freeze(&mut self, cause: FreezeCause, reason: &str, now: Timestamp) {
        if !self.frozen.iter().any(|freeze| freeze.cause == cause) {
            let reason = reason.chars().take(limits::FREEZE_REASON_BYTES / 4).collect();
            self.frozen.push(Freeze { cause, reason, since: now });
        }
        self.lease = None;
    }

    /// A cause is gone. The group stays frozen while another is left.
    pub(crate) fn unfreeze(&mut self, cause: FreezeCause) {
        self.frozen.retain(|freeze| freeze.cause != cause || cause == FreezeCause::Succeeded);
    }

    /// Devices that somebody should add, up to a bound, each once.
    pub(crate) fn want(&mut self, clients: &[ClientId]) {
        for client in clients {
            if self.wanted.len() < limits::WANTED_DEVICES && !self.wanted.contains(client) {
                self.wanted.push(client.clone());
            }
        }
    }

    /// The agenda after a commit that took leaves out and brought others in: what waited is void with the epoch, and the duty
    /// with it.
    pub(crate) fn after_commit(&self, left: &[ClientId], joined: &[ClientId]) -> Self {
        let mut after = self.clone();
        let gone: std::collections::BTreeSet<&ClientId> = left.iter().collect();
        after.leaving.retain(|leaving| !gone.contains(&leaving.client));
        after.wanted.retain(|client| !joined.contains(client));
        after.proposals.clear();
        after.lease = None;
        after
    }

    /// This agenda as the one that comes after another; the other itself where nothing has changed.
    pub(crate) fn following(mut self, before: &Self) -> Self {
        self.revision = before.revision;
        if self != *before {
            self.revision = before.revision.saturating_add(1);
        }
        self
    }
}
