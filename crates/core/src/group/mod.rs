//! Groups: what they are asked, how that is judged, what is decided and what the store keeps of them.
//!
//! One command at a time goes through [`step`], which has no I/O and no clock: what it lacks, it asks for. A decision is
//! written by the ledger, which makes it durable, and only then enters the group in memory by [`Group::enter`].

mod agenda;
mod amendment;
mod case;
mod command;
mod commit;
mod decision;
mod heard;
mod issue;
mod orders;
mod propose;
mod races;
mod records;
mod register;
mod standing;
mod terms;
#[cfg(test)]
pub(crate) mod tests;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

pub use agenda::{Agenda, Cause, Does, Freeze, FreezeCause, Lease, Leaving, Proposer, Waiting};
pub use amendment::{Amendment, Draft};
pub use case::{Case, Fetched, Input, LeafKey, Need, Outcome, Step, step};
pub use command::{Command, Request};
pub(crate) use decision::Effect;
pub use decision::{Added, Decision, Told};
pub use issue::ToSign;
pub use orders::{Order, heed};
pub use records::{Entry, Frozen, Head, Snapshot, SnapshotAt, Staged};
pub use standing::Standing;
pub use terms::Terms;
#[cfg(test)]
pub(crate) use turn::Turn;
pub use turn::{Around, Course};

use agenda::Candidates;
use heard::Heard;
use races::Races;

use crate::ids::{ClientId, Epoch, GroupId, UserId};
use crate::ledger::Durable;
use crate::limits;
use crate::rejection::{Part, Rejection};
use crate::time::Timestamp;

/// A group in memory: its tree, where it stands, what it owes, and how many leaves each account has.
#[derive(Debug)]
pub struct Group {
    mls: maypole_mls::Group,
    head: Head,
    agenda: Agenda,
    leaves: BTreeMap<UserId, usize>,
    heard: Heard,
    races: Races,
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
    /// A proposal of the agenda is none of the epoch.
    #[error("a waiting proposal: {0}")]
    Proposal(maypole_mls::ReplayError),
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

    /// The ratchet tree of the epoch that it has come to, as MLS writes it.
    pub fn ratchet_tree(&self) -> Vec<u8> {
        self.0.ratchet_tree()
    }

    /// The hash of that tree.
    pub fn tree_hash(&self) -> Vec<u8> {
        self.0.tree_hash().to_vec()
    }

    /// The snapshot of that epoch.
    pub fn snapshot(&self) -> Vec<u8> {
        self.0.snapshot()
    }

    /// Whether a device has a leaf in that tree.
    pub fn has_leaf(&self, client: &ClientId, terms: &dyn Terms) -> bool {
        let mut members = self.0.members().filter_map(|member| terms.client(member.identity()?));
        members.any(|member| member == *client)
    }

    /// It stands where the head says, and what waits is there again.
    pub fn finish(
        self,
        head: Head,
        agenda: Option<Agenda>,
        terms: &dyn Terms,
    ) -> Result<Group, RestoreError> {
        let mut mls = self.0;
        if mls.epoch() != head.epoch.get() || mls.group_id() != head.group.as_bytes() {
            return Err(RestoreError::Epoch { found: mls.epoch(), expected: head.epoch });
        }
        let mut leaves = BTreeMap::new();
        for member in mls.members() {
            let client = member.identity().and_then(|identity| terms.client(identity));
            let client = client.ok_or(RestoreError::Member(member.leaf))?;
            count(&mut leaves, client.user, 1, 0);
        }
        let agenda = agenda.unwrap_or_else(|| Agenda::of(head.group.clone()));
        for waiting in &agenda.proposals {
            mls.replay(&waiting.delta).map_err(RestoreError::Proposal)?;
        }
        Ok(Group { mls, head, agenda, leaves, heard: Heard::default(), races: Races::default() })
    }
}

impl Group {
    /// A decision is durable: the group, or the place where there was none, enters its epoch. A decision of another state
    /// gives `None`: then the group must be brought back from the store.
    pub fn enter(group: Option<Self>, decision: Durable<Decision>) -> Option<Self> {
        let Decision { head, entry, effect, agenda, issued, .. } = decision.into_inner();
        let (mut mls, mut leaves, mut heard, mut races) = match (effect, group) {
            (Effect::Begin(mls), None) => (*mls, BTreeMap::new(), Heard::default(), Races::default()),
            (Effect::Change(delta), Some(Self { mut mls, leaves, heard, races, .. })) => {
                mls.apply(*delta).ok()?;
                (mls, leaves, heard, races)
            }
            _ => return None,
        };
        for delta in issued {
            mls.apply(delta).ok()?;
        }
        entry.left.iter().for_each(|client| {
            count(&mut leaves, client.user.clone(), 0, 1);
            heard.forget(client);
        });
        entry.joined.iter().for_each(|client| count(&mut leaves, client.user.clone(), 1, 0));
        heard.note(&entry.sender, entry.accepted_at);
        races.broken(&entry.sender);
        races.over();
        Some(Self { mls, head, agenda, leaves, heard, races })
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

    /// What it owes.
    pub fn agenda(&self) -> &Agenda {
        &self.agenda
    }

    /// Whether nobody can commit any more: every leaf must go.
    pub fn is_dormant(&self) -> bool {
        self.agenda.leaving.len() >= usize::try_from(self.mls.member_count()).unwrap_or(usize::MAX)
    }

    /// From when on the duty to commit is to be given to somebody, by [`Order::Tend`]; nothing where nobody need commit, or
    /// nobody can.
    pub fn duty_passes_at(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.agenda.needs_commit() || self.is_dormant() {
            return None;
        }
        let lease = self.agenda.lease.as_ref().filter(|lease| lease.holds(now));
        Some(lease.map_or(now, Lease::until))
    }

    /// Those of some devices that have a leaf, or those that have none, each once.
    fn among(&self, clients: &[ClientId], with_leaf: bool, terms: &dyn Terms) -> Vec<ClientId> {
        let asked: BTreeSet<&ClientId> = clients.iter().collect();
        let members = self.members(terms).map(|(_, client)| client);
        let inside: BTreeSet<ClientId> = members.filter(|client| asked.contains(client)).collect();
        let mut seen = BTreeSet::new();
        let fits =
            |client: &&ClientId| inside.contains(*client) == with_leaf && seen.insert((*client).clone());
        clients.iter().filter(fits).cloned().collect()
    }

    /// About how many bytes it takes in memory: its tree, what is kept of each member beside it, what it owes, and what is
    /// known of its devices.
    pub fn weight_bytes(&self) -> usize {
        let members = usize::try_from(self.mls.member_count()).unwrap_or(usize::MAX);
        let noted = self.heard.len().saturating_add(self.races.len());
        [
            limits::GROUP_BASE_BYTES,
            limits::GROUP_MEMBER_BYTES.saturating_mul(members),
            limits::GROUP_NOTE_BYTES.saturating_mul(noted),
            self.mls.tree_bytes(),
            self.head.notes.len(),
            self.agenda.weight_bytes(),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

/// Refuses a structure that is larger than a bound.
fn is_no_larger(part: Part, bytes: usize, bound: usize) -> Result<(), Rejection> {
    let limit_bytes = u64::try_from(bound).unwrap_or(u64::MAX);
    if bytes > bound { Err(Rejection::TooLarge { what: part.noun(), limit_bytes }) } else { Ok(()) }
}

/// The members in the order in which they are asked for a commit: those that were heard lately, then the others.
fn candidates(heard: &Heard, members: &[ClientId], now: Timestamp) -> Candidates {
    let present: BTreeSet<&ClientId> = members.iter().collect();
    let mut lately = heard.lately(now);
    lately.retain(|client| present.contains(client));
    lately.truncate(limits::DUTY_LATELY);
    let known: BTreeSet<&ClientId> = lately.iter().collect();
    let silent = members.iter().filter(|client| !known.contains(client)).cloned().collect();
    Candidates { lately, silent }
}

fn count(leaves: &mut BTreeMap<UserId, usize>, user: UserId, come: usize, go: usize) {
    let number = leaves.entry(user.clone()).or_default();
    *number = number.saturating_add(come).saturating_sub(go);
    if *number == 0 {
        leaves.remove(&user);
    }
}
