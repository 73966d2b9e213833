//! Groups: what they are asked, how that is judged, what is decided and what the store keeps of them.
//!
//! One command at a time goes through [`step`], which has no I/O and no clock: what it lacks, it asks for. A decision is
//! written by the ledger, which makes it durable, and only then enters the group in memory by [`Group::enter`].

mod case;
mod command;
mod commit;
mod decision;
mod records;
mod register;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use case::{Case, Fetched, Input, LeafKey, Need, Outcome, Step, step};
pub use command::{Command, Request};
pub(crate) use decision::Effect;
pub use decision::{Added, Decision, Told};
pub use records::{Entry, Frozen, Head, Snapshot, Staged};
pub use terms::Terms;

use crate::ids::{ClientId, Epoch, GroupId, UserId};
use crate::ledger::Durable;
use crate::limits;
use crate::rejection::{Part, Rejection};

/// A group in memory: its tree, where it stands, and how many leaves each account has.
#[derive(Debug)]
pub struct Group {
    mls: maypole_mls::Group,
    head: Head,
    leaves: BTreeMap<UserId, usize>,
}

/// Why a stored group cannot be brought back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The snapshot cannot be read.
    #[error("the snapshot of epoch {0}: {1}")]
    Snapshot(Epoch, maypole_mls::RestoreError),
    /// A delta of the log does not lead on.
    #[error("the log's entry of epoch {0}: {1}")]
    Delta(Epoch, maypole_mls::ReplayError),
    /// What comes out is not where the head says that the group stands.
    #[error("the log ends in epoch {found}, and the head says {expected}")]
    Epoch {
        /// What came out.
        found: u64,
        /// What the head says.
        expected: Epoch,
    },
    /// A member whom nobody can be told.
    #[error("leaf {0} names no device")]
    Member(u32),
}

/// A group on its way back from what the store keeps: a snapshot, and the log's entries after it, in order.
#[derive(Debug)]
pub struct Restoring(maypole_mls::Group);

impl Restoring {
    /// The group as it was when the snapshot was made.
    pub fn begin(snapshot: &Snapshot) -> Result<Self, RestoreError> {
        let restored = maypole_mls::Group::restore(&snapshot.bytes);
        restored.map(Self).map_err(|error| RestoreError::Snapshot(snapshot.epoch, error))
    }

    /// The next entry of its log.
    pub fn replay(&mut self, entry: &Entry) -> Result<(), RestoreError> {
        self.0.replay(&entry.delta).map_err(|error| RestoreError::Delta(entry.epoch, error))
    }

    /// It stands where the head says.
    pub fn finish(self, head: Head, terms: &dyn Terms) -> Result<Group, RestoreError> {
        let mls = self.0;
        if mls.epoch() != head.epoch.get() || mls.group_id() != head.group.as_bytes() {
            return Err(RestoreError::Epoch { found: mls.epoch(), expected: head.epoch });
        }
        let mut leaves = BTreeMap::new();
        for member in mls.members() {
            let client = member.identity().and_then(|identity| terms.client(identity));
            let client = client.ok_or(RestoreError::Member(member.leaf))?;
            count(&mut leaves, client.user, 1, 0);
        }
        Ok(Group { mls, head, leaves })
    }
}

impl Group {
    /// A decision is durable: the group, or the place where there was none, enters its epoch. A decision of another state
    /// gives `None`: then the group must be brought back from the store.
    pub fn enter(group: Option<Self>, decision: Durable<Decision>) -> Option<Self> {
        let joined = decision.get().entry.joined.clone();
        let left = decision.get().entry.left.clone();
        let (head, effect) = decision.into_parts();
        let (mls, mut leaves) = match (effect, group) {
            (Effect::Begin(mls), None) => (*mls, BTreeMap::new()),
            (Effect::Change(delta), Some(Self { mut mls, leaves, .. })) => {
                mls.apply(*delta).ok()?;
                (mls, leaves)
            }
            _ => return None,
        };
        left.into_iter().for_each(|client| count(&mut leaves, client.user, 0, 1));
        joined.into_iter().for_each(|client| count(&mut leaves, client.user, 1, 0));
        Some(Self { mls, head, leaves })
    }

    /// Where it stands.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Its ID.
    pub fn id(&self) -> &GroupId {
        &self.head.group
    }

    /// The epoch it is in.
    pub fn epoch(&self) -> Epoch {
        self.head.epoch
    }

    /// The epoch it is in, for a device that may know it: one of an account that has a leaf.
    pub(crate) fn epoch_for(&self, client: &ClientId) -> Option<Epoch> {
        (self.leaves_of(&client.user) > 0).then_some(self.head.epoch)
    }

    /// The group as the engine has it.
    pub fn mls(&self) -> &maypole_mls::Group {
        &self.mls
    }

    /// How many leaves an account has.
    pub fn leaves_of(&self, user: &UserId) -> usize {
        self.leaves.get(user).copied().unwrap_or_default()
    }

    /// The devices that have a leaf, by leaf.
    pub fn members<'g>(&'g self, terms: &'g dyn Terms) -> impl Iterator<Item = (u32, ClientId)> + 'g {
        self.mls.members().filter_map(|member| Some((member.leaf, terms.client(member.identity()?)?)))
    }

    /// The leaf of a device.
    pub fn leaf_of(&self, client: &ClientId, terms: &dyn Terms) -> Option<u32> {
        self.members(terms).find(|(_, member)| member == client).map(|(leaf, _)| leaf)
    }

    /// About how many bytes it takes in memory: its tree, and what is kept of each member beside it.
    pub fn weight_bytes(&self) -> usize {
        limits::GROUP_MEMBER_BYTES
            .saturating_mul(usize::try_from(self.mls.member_count()).unwrap_or(usize::MAX))
            .saturating_add(self.mls.tree_bytes())
            .saturating_add(limits::GROUP_BASE_BYTES)
    }
}

/// Refuses a structure that is larger than a bound.
fn is_no_larger(part: Part, bytes: usize, bound: usize) -> Result<(), Rejection> {
    let limit_bytes = u64::try_from(bound).unwrap_or(u64::MAX);
    if bytes > bound { Err(Rejection::TooLarge { what: part.noun(), limit_bytes }) } else { Ok(()) }
}

fn count(leaves: &mut BTreeMap<UserId, usize>, user: UserId, come: usize, go: usize) {
    let number = leaves.entry(user.clone()).or_default();
    *number = number.saturating_add(come).saturating_sub(go);
    if *number == 0 {
        leaves.remove(&user);
    }
}
