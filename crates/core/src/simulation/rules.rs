//! The rules of a group in the simplest words: what becomes of a message, and of the group by it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::chance::Fate;
use crate::group::{Agenda, Cause, Does, FreezeCause, Order, Proposer, Waiting};
use crate::ids::ClientId;
use crate::limits;
use crate::permit::Permit;
use crate::rejection::Code;
use crate::time::Timestamp;

/// What a message is, as whoever made it knows.
#[derive(Clone, Debug)]
pub(super) enum Truth {
    /// A group begins, with this leaf.
    Registers {
        leaf: ClientId,
    },
    Commits(Commits),
    Proposes(Proposes),
    /// A commit of another group.
    Strays,
}

#[derive(Clone, Debug)]
pub(super) struct Commits {
    pub(super) epoch: u64,
    /// Whose leaf it is from: before it, or, from outside, after it.
    pub(super) leaf: ClientId,
    pub(super) from_outside: bool,
    /// By value, by reference, and the joiner.
    pub(super) joins: Vec<ClientId>,
    pub(super) leaves: Vec<ClientId>,
    pub(super) carries: Vec<Vec<u8>>,
    pub(super) lie: Option<Lie>,
}

#[derive(Clone, Debug)]
pub(super) struct Proposes {
    pub(super) epoch: u64,
    pub(super) leaf: ClientId,
    /// It asks to be added, and is in no group.
    pub(super) from_outside: bool,
    pub(super) does: Does,
    pub(super) reference: Vec<u8>,
    pub(super) lie: Option<Lie>,
}

/// What a commit of another group may be told, whoever makes it.
const STRAYED: [Code; 7] = [
    Code::NotJoined,
    Code::StaleEpoch,
    Code::SenderMismatch,
    Code::Frozen,
    Code::Leaving,
    Code::Malformed,
    Code::InvalidCommit,
];

impl Commits {
    fn made_in(&self) -> u64 {
        if self.lie == Some(Lie::Future) { self.epoch - 1 } else { self.epoch }
    }
}

/// In what one point a message is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    Cut,
    Signature,
    Future,
    NoGroupInfo,
    OtherGroupInfo,
    Welcome,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Circle {
    pub(super) epoch: u64,
    pub(super) revision: u64,
    pub(super) members: BTreeSet<ClientId>,
    pub(super) leaving: Vec<(ClientId, BTreeSet<Cause>, Timestamp)>,
    pub(super) waiting: Vec<Waits>,
    pub(super) wanted: BTreeSet<ClientId>,
    pub(super) frozen: BTreeSet<FreezeCause>,
    pub(super) reset_open: bool,
}

/// A proposal that everybody was told of; the service's has nobody's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) reference: Vec<u8>,
    pub(super) by: Option<ClientId>,
    pub(super) does: Does,
    pub(super) at: Timestamp,
}

impl Waits {
    pub(super) fn of(waiting: &Waiting) -> Self {
        let by = match &waiting.by {
            Proposer::Service => None,
            Proposer::Member(client) | Proposer::Joiner(client) => Some(client.clone()),
        };
        let (reference, does, at) = (waiting.reference.clone(), waiting.does.clone(), waiting.proposed_at);
        Self { reference, by, does, at }
    }

    fn concerns(&self) -> Option<&ClientId> {
        match &self.does {
            Does::Adds(client) => Some(client),
            _ => self.removes(),
        }
    }

    pub(super) fn removes(&self) -> Option<&ClientId> {
        match &self.does {
            Does::Removes(client) | Does::Leaves(client) => Some(client),
            _ => None,
        }
    }
}

impl Circle {
    pub(super) fn begun_by(client: ClientId) -> Self {
        Self {
            epoch: 0,
            revision: 0,
            members: BTreeSet::from([client]),
            leaving: Vec::new(),
            waiting: Vec::new(),
            wanted: BTreeSet::new(),
            frozen: BTreeSet::new(),
            reset_open: false,
        }
    }

    /// As an agenda has it.
    pub(super) fn seen(epoch: u64, members: BTreeSet<ClientId>, agenda: &Agenda) -> Self {
        let leaving = agenda.leaving.iter();
        let leaving =
            leaving.map(|it| (it.client.clone(), it.causes.iter().copied().collect(), it.announced_at));
        Self {
            epoch,
            revision: agenda.revision,
            members,
            leaving: leaving.collect(),
            waiting: agenda.proposals.iter().map(Waits::of).collect(),
            wanted: agenda.wanted.iter().cloned().collect(),
            frozen: agenda.frozen.iter().map(|freeze| freeze.cause).collect(),
            reset_open: agenda.reset_open,
        }
    }

    /// Without what only the engine knows of the service's proposals.
    pub(super) fn without_references(&self) -> Self {
        let mut plain = self.clone();
        let of_service = plain.waiting.iter_mut().filter(|waits| waits.by.is_none());
        of_service.for_each(|waits| waits.reference.clear());
        plain
    }

    fn has_user(&self, client: &ClientId) -> bool {
        self.members.iter().any(|member| member.user == client.user)
    }

    pub(super) fn is_leaving(&self, client: &ClientId) -> bool {
        self.leaving.iter().any(|(leaving, ..)| leaving == client)
    }

    pub(super) fn is_removed(&self, client: &ClientId) -> bool {
        self.waiting.iter().any(|waits| waits.removes() == Some(client))
    }

    pub(super) fn is_dormant(&self) -> bool {
        self.leaving.len() == self.members.len()
    }

    pub(super) fn needs_commit(&self) -> bool {
        let waits = !self.leaving.is_empty() || !self.waiting.is_empty() || !self.wanted.is_empty();
        waits && self.frozen.is_empty()
    }

    /// What becomes of a message: nothing stands in its way, or it is refused, with one of these codes.
    pub(super) fn verdict(&self, by: &ClientId, truth: &Truth, fate: &Fate, now: Timestamp) -> Vec<Code> {
        let code = match truth {
            Truth::Registers { .. } => Some(Code::StaleEpoch),
            Truth::Commits(commit) => self.refuses_commit(by, commit, fate, now),
            Truth::Proposes(proposal) => self.refuses_proposal(by, proposal, fate),
            Truth::Strays => return STRAYED.to_vec(),
        };
        let (epoch, made_in, from_outside) = match truth {
            Truth::Registers { .. } | Truth::Strays => (0, 0, false),
            Truth::Commits(commit) => (commit.epoch, commit.made_in(), commit.from_outside),
            Truth::Proposes(proposal) => (proposal.epoch, proposal.epoch, proposal.from_outside),
        };
        // Whose leaf it is in another epoch, the place of a leaf does not say: somebody's, who may have to go or has too much
        // waiting, or nobody's.
        let mut codes: Vec<Code> = code.into_iter().collect();
        if made_in != self.epoch && epoch >= self.epoch && !from_outside {
            codes.extend([Code::SenderMismatch, Code::Frozen, Code::Leaving, Code::LimitExceeded]);
            codes.extend([Code::Malformed, Code::InvalidCommit, Code::InvalidProposal]);
        }
        codes
    }

    fn refuses_commit(&self, by: &ClientId, commit: &Commits, fate: &Fate, now: Timestamp) -> Option<Code> {
        let lies = |lie| commit.lie == Some(lie);
        let brings_keys = !commit.joins.is_empty();
        let waits = |reference: &Vec<u8>| self.waiting.iter().any(|waits| waits.reference == *reference);
        let answers = [
            (!commit.from_outside && !self.has_user(by), Code::NotJoined),
            (commit.epoch < self.epoch, Code::StaleEpoch),
            (!commit.from_outside && commit.leaf != *by, Code::SenderMismatch),
            (!commit.from_outside && !self.frozen.is_empty(), Code::Frozen),
            (!commit.from_outside && self.is_leaving(by), Code::Leaving),
            (lies(Lie::Cut), Code::Malformed),
            (lies(Lie::Signature) || lies(Lie::Future) || commit.epoch > self.epoch, Code::InvalidCommit),
            (!commit.carries.iter().all(waits), Code::InvalidCommit),
            (commit.leaf != *by, Code::SenderMismatch),
            (self.is_missing(commit, now), Code::MissingProposals),
            (lies(Lie::Welcome), Code::InvalidWelcome),
            (lies(Lie::NoGroupInfo) || lies(Lie::OtherGroupInfo), Code::InvalidGroupInfo),
            (!fate.permits(), Code::Forbidden),
            (brings_keys && !fate.publishes, Code::Identity),
            (!self.frozen.is_empty(), Code::Frozen),
        ];
        answers.into_iter().find_map(|(holds, code)| holds.then_some(code))
    }

    /// Whether a commit leaves somebody where they are who must go.
    fn is_missing(&self, commit: &Commits, now: Timestamp) -> bool {
        let is_old = |at: Timestamp| at.plus(Duration::from_secs(10)) <= now;
        if commit.from_outside {
            let asked = self.waiting.iter().filter(|waits| matches!(waits.does, Does::Leaves(_)));
            let mut asked = asked.filter(|waits| is_old(waits.at)).filter_map(Waits::removes);
            return asked.any(|client| !commit.leaves.contains(client));
        }
        let mut due = self.leaving.iter().filter(|(client, _, at)| is_old(*at) && self.is_removed(client));
        due.any(|(client, ..)| !commit.leaves.contains(client))
    }

    fn refuses_proposal(&self, by: &ClientId, proposal: &Proposes, fate: &Fate) -> Option<Code> {
        let outside = proposal.from_outside;
        let own = self.waiting.iter().filter(|waits| waits.by.as_ref() == Some(by)).count();
        let others = |waits: &&Waits| waits.does == proposal.does;
        let adds_twice =
            matches!(proposal.does, Does::Adds(_)) && self.waiting.iter().any(|waits| others(&waits));
        let is_there = self.waiting.iter().any(|waits| waits.reference == proposal.reference);
        let goes = match &proposal.does {
            Does::Leaves(client) | Does::Removes(client) => Some(client),
            _ => None,
        };
        let goes_twice = goes.is_some_and(|client| self.is_leaving(client) || self.is_removed(client));
        let brings_keys = matches!(proposal.does, Does::Adds(_));
        let answers = [
            (!outside && !self.has_user(by), Code::NotJoined),
            (proposal.epoch < self.epoch, Code::StaleEpoch),
            (!outside && proposal.leaf != *by, Code::SenderMismatch),
            (!outside && !self.frozen.is_empty(), Code::Frozen),
            (!outside && self.is_leaving(by), Code::Leaving),
            (own >= limits::PROPOSALS_OF_ONE, Code::LimitExceeded),
            (proposal.lie == Some(Lie::Cut), Code::Malformed),
            (proposal.lie.is_some() || proposal.epoch > self.epoch, Code::InvalidProposal),
            (adds_twice || is_there, Code::InvalidProposal),
            (outside && proposal.leaf.user != by.user, Code::Forbidden),
            (outside && proposal.leaf != *by, Code::SenderMismatch),
            (goes_twice, Code::InvalidProposal),
            (!fate.permits(), Code::Forbidden),
            (brings_keys && !fate.publishes, Code::Identity),
            (!self.frozen.is_empty(), Code::Frozen),
        ];
        answers.into_iter().find_map(|(holds, code)| holds.then_some(code))
    }

    /// Whom a committer answers for: devices that come, and that go, by its own will. Not what was proposed, each of which
    /// has its own proposer, and not who must go.
    pub(super) fn answers_for(&self, commit: &Commits) -> (BTreeSet<ClientId>, BTreeSet<ClientId>) {
        let carried = self.waiting.iter().filter(|waits| commit.carries.contains(&waits.reference));
        let proposed: BTreeSet<&ClientId> = carried.filter_map(Waits::concerns).collect();
        let own = |client: &&ClientId| !proposed.contains(*client);
        let comes = commit.joins.iter().filter(own).cloned().collect();
        let goes =
            commit.leaves.iter().filter(own).filter(|client| !self.is_leaving(client)).cloned().collect();
        (comes, goes)
    }

    /// The group after a commit.
    pub(super) fn after_commit(
        &self,
        commit: &Commits,
        fate: &Fate,
        permit: Option<&Permit>,
        now: Timestamp,
    ) -> Self {
        let mut after = self.clone();
        after.epoch += 1;
        after.members.retain(|client| !commit.leaves.contains(client));
        after.members.extend(commit.joins.iter().cloned());
        after.leaving.retain(|(client, ..)| !commit.leaves.contains(client));
        after.wanted.retain(|client| !commit.joins.contains(client));
        after.waiting.clear();
        for client in &commit.joins {
            if permit.is_some_and(|permit| fate.withholds(permit, client)) {
                after.announce(client, Cause::Withheld, now);
            }
        }
        if fate.signs {
            after.propose_removals(now);
        }
        after
    }

    /// The group after a proposal.
    pub(super) fn after_proposal(
        &self,
        by: &ClientId,
        does: &Does,
        reference: Vec<u8>,
        now: Timestamp,
    ) -> Self {
        let mut after = self.clone();
        if let Does::Leaves(client) = does {
            after.announce(client, Cause::SelfRemove, now);
        }
        after.waiting.push(Waits { reference, by: Some(by.clone()), does: does.clone(), at: now });
        after
    }

    /// The group after an order of the service.
    pub(super) fn after_order(&self, order: &Order, signs: bool, now: Timestamp) -> Self {
        let mut after = self.clone();
        match order {
            Order::Announce { clients, cause } => {
                clients.iter().for_each(|client| after.announce(client, *cause, now));
            }
            Order::Withdraw { clients, cause } => {
                for (client, causes, _) in &mut after.leaving {
                    if clients.contains(client) {
                        causes.remove(cause);
                    }
                }
                after.leaving.retain(|(_, causes, _)| !causes.is_empty());
            }
            Order::Want { clients } => {
                let outside = clients.iter().filter(|client| !self.members.contains(client));
                for client in outside {
                    if after.wanted.len() < limits::WANTED_DEVICES {
                        after.wanted.insert(client.clone());
                    }
                }
            }
            Order::Unwant { clients } => after.wanted.retain(|client| !clients.contains(client)),
            Order::Freeze { cause, .. } => drop(after.frozen.insert(*cause)),
            Order::Unfreeze { cause } => drop(after.frozen.remove(cause)),
            Order::Reset { open } => after.reset_open = *open,
            Order::Tend => {}
        }
        if signs {
            after.propose_removals(now);
        }
        after
    }

    fn announce(&mut self, client: &ClientId, cause: Cause, now: Timestamp) {
        if !self.members.contains(client) {
            return;
        }
        match self.leaving.iter_mut().find(|(leaving, ..)| leaving == client) {
            Some((_, causes, _)) => drop(causes.insert(cause)),
            None => self.leaving.push((client.clone(), BTreeSet::from([cause]), now)),
        }
    }

    /// One removal for each leaf that must go and has none.
    fn propose_removals(&mut self, now: Timestamp) {
        for (client, ..) in self.leaving.clone() {
            if !self.is_removed(&client) {
                let does = Does::Removes(client);
                self.waiting.push(Waits { reference: Vec::new(), by: None, does, at: now });
            }
        }
    }
}
