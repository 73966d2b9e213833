//! How much one claimer may take: in all, and of one device. Above that there is only the last resort.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::claim::{Ask, Handed};
use crate::ids::{Claimer, ClientId};
use crate::limits;
use crate::rate::{Allowances, Pace, TooFast};
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// The allowances of all who claimed lately.
#[derive(Debug)]
pub struct ClaimLimits {
    of_claimers: Allowances<Claimer>,
    of_targets: Allowances<(Claimer, ClientId)>,
}

/// A claim as far as its claimer may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is wanted of each device.
    pub asks: Vec<Ask>,
    /// When the claimer may have more again, if it has taken enough of any of them.
    pub retry_after: Option<Duration>,
}

impl Default for ClaimLimits {
    fn default() -> Self {
        let of_claimers = Pace {
            burst: limits::CLAIMER_BURST,
            every: limits::CLAIMER_EVERY,
            watched: limits::CLAIMERS_WATCHED,
        };
        let of_targets = Pace {
            burst: limits::CLAIMER_BURST_OF_TARGET,
            every: limits::CLAIMER_EVERY_OF_TARGET,
            watched: limits::CLAIMERS_OF_TARGETS_WATCHED,
        };
        Self { of_claimers: Allowances::new(of_claimers), of_targets: Allowances::new(of_targets) }
    }
}

impl ClaimLimits {
    /// A claimer wants KeyPackages of these devices.
    pub fn ask(
        &mut self,
        claimer: &Claimer,
        clients: BTreeSet<ClientId>,
        now: Timestamp,
    ) -> Result<Asked, Rejection> {
        if clients.len() > limits::CLAIM_CLIENTS {
            return Err(Rejection::too_many("devices in one claim", limits::CLAIM_CLIENTS));
        }
        let mut asked = Asked { asks: Vec::new(), retry_after: None };
        for client in clients {
            let taken = self.take(claimer, &client, now);
            if let Err(TooFast { retry_after, .. }) = taken {
                asked.retry_after = asked.retry_after.max(Some(retry_after));
            }
            asked.asks.push(Ask { client, once: taken.is_ok() });
        }
        Ok(asked)
    }

    fn take(&mut self, claimer: &Claimer, client: &ClientId, now: Timestamp) -> Result<(), TooFast> {
        self.of_claimers.take(claimer, now)?;
        let taken = self.of_targets.take(&(claimer.clone(), client.clone()), now);
        if taken.is_err() {
            self.of_claimers.give_back(claimer);
        }
        taken
    }

    /// What became of a claim: what was not handed out is given back.
    pub fn settle(&mut self, claimer: &Claimer, asked: Asked, handed: &BTreeMap<ClientId, Handed>) {
        for ask in asked.asks.into_iter().filter(|ask| ask.once) {
            if !matches!(handed.get(&ask.client), Some(Handed::Success(_))) {
                self.of_claimers.give_back(claimer);
                self.of_targets.give_back(&(claimer.clone(), ask.client));
            }
        }
    }
}
