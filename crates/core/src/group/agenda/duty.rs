//! The duty to commit: one device is asked at a time, so that not everybody tries at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Agenda;
use crate::ids::ClientId;
use crate::limits;
use crate::time::Timestamp;

/// Who can be asked to commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    /// Those that were heard lately, the last one first.
    pub(crate) lately: Vec<ClientId>,
    /// The others, in their own order.
    pub(crate) silent: Vec<ClientId>,
}

/// Who is to make the commit that a group needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The device.
    pub holder: ClientId,
    /// Since when.
    pub since: Timestamp,
    /// Who had the duty before and let it pass, up to a bound.
    pub tried: Vec<ClientId>,
}

impl Lease {
    /// When the duty goes to another.
    pub fn until(&self) -> Timestamp {
        self.since.plus(limits::DUTY_LEASE)
    }

    /// Whether it still holds. One from the future was made by a clock that was wrong.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until()
    }
}

impl Agenda {
    /// Whether somebody should commit: a leaf must go, a proposal waits, or a device is to be added; and something is
    /// ordered at all.
    pub fn needs_commit(&self) -> bool {
        let waits = !self.leaving.is_empty() || !self.proposals.is_empty() || !self.wanted.is_empty();
        waits && self.frozen.is_empty()
    }

    /// Gives the duty to somebody if it is nobody's: to the first of those heard lately that has not had it yet, then to
    /// the others in turn, and when all have had it, to the first again but for the one who had it last.
    pub(crate) fn lease(&mut self, candidates: &Candidates, now: Timestamp) {
        let leaving: BTreeSet<&ClientId> = self.leaving.iter().map(|leaving| &leaving.client).collect();
        let able = |client: &&ClientId| !leaving.contains(client);
        let lately: Vec<&ClientId> = candidates.lately.iter().filter(able).collect();
        let silent: Vec<&ClientId> = candidates.silent.iter().filter(able).collect();
        let all = || lately.iter().chain(&silent).copied();
        if !self.needs_commit() {
            self.lease = None;
            return;
        }
        let mut tried = Vec::new();
        if let Some(lease) = self.lease.take() {
            if lease.holds(now) && all().any(|client| *client == lease.holder) {
                self.lease = Some(lease);
                return;
            }
            tried = lease.tried;
            tried.push(lease.holder);
        }
        if tried.len() > limits::DUTY_TRIED {
            tried.drain(..tried.len() - limits::DUTY_TRIED);
        }
        let heard = lately.iter().copied().find(|client| !tried.contains(client));
        let holder = heard.or_else(|| in_turn(&silent, &tried)).cloned().or_else(|| {
            let last = tried.last().cloned();
            tried.clear();
            all().find(|client| Some(*client) != last.as_ref()).or_else(|| all().next()).cloned()
        });
        self.lease = holder.map(|holder| Lease { holder, since: now, tried });
    }
}

/// Of those in a circle the one whose turn it is: the first after whoever had it last that is not known to have had it. So
/// the turn goes round more of them than are remembered.
fn in_turn<'a>(circle: &[&'a ClientId], tried: &[ClientId]) -> Option<&'a ClientId> {
    let place = |had: &ClientId| circle.iter().position(|client| *client == had);
    let next = tried.iter().rev().find_map(place).map_or(0, |place| place + 1);
    let (before, after) = circle.split_at_checked(next)?;
    after.iter().chain(before).copied().find(|client| !tried.contains(client))
}
