//! A change of what a group owes, without a new epoch: a proposal that is accepted, or an order of the service.

use maypole_mls::Delta;

use super::agenda::{Agenda, Lease, Waiting};
use super::issue::{Issue, ToSign};
use super::terms::Terms;
use super::{Group, candidates};
use crate::ids::{ClientId, Epoch, GroupId};
use crate::ledger::Durable;
use crate::time::Timestamp;

/// A change to which at most signatures are missing.
#[derive(Debug)]
pub struct Draft {
    before: Agenda,
    agenda: Agenda,
    epoch: Epoch,
    deltas: Vec<Delta>,
    issue: Option<Issue>,
    members: Vec<ClientId>,
    left_over: Vec<ClientId>,
}

/// What a group owes from now on. It counts when it is durable; see [`crate::ledger::Ledger::amend`].
#[derive(Debug)]
pub struct Amendment {
    pub(crate) agenda: Agenda,
    pub(crate) before: Agenda,
    pub(crate) epoch: Epoch,
    pub(crate) deltas: Vec<Delta>,
    /// What waits for the next commit from now on: everybody must be told of it, in this order.
    pub proposals: Vec<Waiting>,
    /// Everybody.
    pub members: Vec<ClientId>,
    /// Who has the duty to commit from now on, if it went to somebody.
    pub lease: Option<Lease>,
    /// Leaves that must go and for which there was no room. They are to be announced again.
    pub left_over: Vec<ClientId>,
}

impl Draft {
    /// A change of a group's agenda, and what the engine makes of it; nothing where nothing changes. Without new proposals
    /// the service's own are made where they are lacking.
    pub(super) fn of(
        group: &Group,
        mut agenda: Agenda,
        deltas: Vec<Delta>,
        terms: &dyn Terms,
        now: Timestamp,
    ) -> Option<Self> {
        let members: Vec<ClientId> = group.members(terms).map(|(_, client)| client).collect();
        agenda.lease(&candidates(&group.heard, &members, now), now);
        let issue = if deltas.is_empty() { Issue::of(&agenda, &group.mls, None, terms) } else { None };
        let before = group.agenda.clone();
        (agenda != before || issue.is_some()).then(|| Self {
            before,
            agenda,
            epoch: group.epoch(),
            deltas,
            issue,
            members,
            left_over: Vec::new(),
        })
    }

    /// With leaves for which there was no room.
    pub(super) fn leaving_over(mut self, left_over: Vec<ClientId>) -> Self {
        self.left_over = left_over;
        self
    }

    /// What the service is to sign first; nothing where nothing is.
    pub fn to_sign(&self) -> Option<ToSign> {
        self.issue.as_ref().map(Issue::to_sign)
    }

    /// The change, with the signatures in the order of what was to be signed. One that is none leaves its Remove out: it
    /// is lacking still, and is made with the next change. Nothing where nothing is left to change.
    pub fn signed(self, signatures: &[Vec<u8>], terms: &dyn Terms, now: Timestamp) -> Option<Amendment> {
        let Self { before, mut agenda, epoch, mut deltas, issue, members, left_over } = self;
        if let Some(issue) = issue {
            deltas.extend(issue.signed(signatures, &mut agenda, terms, now));
        }
        let agenda = agenda.following(&before);
        let proposals = agenda.proposals.iter().skip(before.proposals.len()).cloned().collect();
        let lease = agenda.lease.clone().filter(|lease| before.lease.as_ref() != Some(lease));
        (agenda != before).then_some(Amendment {
            agenda,
            before,
            epoch,
            deltas,
            proposals,
            members,
            lease,
            left_over,
        })
    }
}

impl Amendment {
    /// The group.
    pub fn group(&self) -> &GroupId {
        &self.agenda.group
    }

    /// The epoch in which it was made.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the group owes from now on.
    pub fn agenda(&self) -> &Agenda {
        &self.agenda
    }
}

impl Group {
    /// An amendment is durable: it is entered. One of another state gives `None`: then the group must be brought back from
    /// the store.
    pub fn amend(mut self, amendment: Durable<Amendment>) -> Option<Self> {
        let Amendment { agenda, before, epoch, deltas, proposals, .. } = amendment.into_inner();
        if epoch != self.epoch() || before.revision != self.agenda.revision {
            return None;
        }
        for delta in deltas {
            self.mls.apply(delta).ok()?;
        }
        for waiting in &proposals {
            if let Some(client) = waiting.sender() {
                self.heard.note(client, waiting.proposed_at);
                self.races.broken(client);
            }
        }
        self.agenda = agenda;
        Some(self)
    }
}
