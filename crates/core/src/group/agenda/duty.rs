//! The duty to commit: one device is asked at a time, so that not everybody tries at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Agenda;
use crate::ids::ClientId;
use crate::limits;
use crate::time::Timestamp;

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

    /// Gives the duty to somebody if it is nobody's: to the first of the candidates that has not had it yet, and when all
    /// have, to the first again but for the one who had it last. The candidates stand in the order in which they are asked.
    pub(crate) fn lease(&mut self, candidates: impl Iterator<Item = ClientId> + Clone, now: Timestamp) {
        let leaving: BTreeSet<ClientId> = self.leaving.iter().map(|leaving| leaving.client.clone()).collect();
        let able = candidates.filter(|client| !leaving.contains(client));
        if !self.needs_commit() {
            self.lease = None;
            return;
        }
        let mut tried = Vec::new();
        if let Some(lease) = self.lease.take() {
            if lease.holds(now) && able.clone().any(|client| client == lease.holder) {
                self.lease = Some(lease);
                return;
            }
            tried = lease.tried;
            tried.push(lease.holder);
        }
        if tried.len() > limits::DUTY_TRIED {
            tried.drain(..tried.len() - limits::DUTY_TRIED);
        }
        let last = tried.last().cloned();
        let fresh = able.clone().find(|client| !tried.contains(client));
        let holder = fresh.or_else(|| {
            tried.clear();
            able.clone().find(|client| Some(client) != last.as_ref()).or_else(|| able.clone().next())
        });
        self.lease = holder.map(|holder| Lease { holder, since: now, tried });
    }
}
