//! What is asked of a KeyPackage, and which of a stock is handed out.

use maypole_mls::{Suite, wire};

use super::records::{KeyPackage, LastResort};
use crate::ids::ClientId;
use crate::ledger::Durable;
use crate::limits;
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// What a KeyPackage must be for: the group that its client is to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    suites: Vec<Suite>,
    extensions: Vec<u16>,
    proposals: Vec<u16>,
    credentials: Vec<u16>,
}

impl Demand {
    /// KeyPackages for one of these suites, the first ones before the others.
    ///
    /// ```
    /// use maypole_core::directory::Demand;
    /// use maypole_mls::Suite;
    ///
    /// assert!(Demand::of(vec![Suite::X25519Aes128, Suite::P256Aes128]).is_ok());
    /// assert!(Demand::of(vec![Suite::X25519Aes128; 100]).is_err());
    /// ```
    pub fn of(suites: Vec<Suite>) -> Result<Self, Rejection> {
        if suites.len() > limits::CLAIM_SUITES {
            return Err(Rejection::too_many("acceptable cipher suites", limits::CLAIM_SUITES));
        }
        Ok(Self { suites, extensions: Vec::new(), proposals: Vec::new(), credentials: Vec::new() })
    }

    /// Of clients that have all of these capabilities. Those that every client has (RFC 9420 §7.2) need not be listed.
    pub fn require(self, required: &wire::RequiredCapabilities<'_>) -> Result<Self, Rejection> {
        let types = |types: wire::Types<'_>| {
            let types: Vec<u16> = types.iter().take(limits::CLAIM_TYPES.saturating_add(1)).collect();
            if types.len() > limits::CLAIM_TYPES {
                return Err(Rejection::too_many("required capabilities of a kind", limits::CLAIM_TYPES));
            }
            Ok(types)
        };
        Ok(Self {
            extensions: types(required.extensions)?,
            proposals: types(required.proposals)?,
            credentials: types(required.credentials)?,
            ..self
        })
    }

    /// How much a KeyPackage is wanted, the less the more; not at all if it does not serve.
    fn rank(&self, key_package: &KeyPackage) -> Option<usize> {
        let rank = self.suites.iter().position(|suite| *suite == key_package.suite)?;
        let read = wire::KeyPackage::from_bytes(&key_package.bytes).ok()?;
        let can = read.leaf.capabilities;
        let serves = can.has_extensions(self.extensions.iter().copied())
            && can.has_proposals(self.proposals.iter().copied())
            && can.has_credentials(self.credentials.iter().copied());
        serves.then_some(rank)
    }
}

/// One device of which a KeyPackage is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The device.
    pub client: ClientId,
    /// Whether it may be one that is used once; else it is the last resort.
    pub once: bool,
}

/// What a claim brings for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// A KeyPackage that nobody else got, or gets.
    Success(Durable<KeyPackage>),
    /// The device's last resort: there is nothing else that serves, or the claimer has taken enough.
    OnlyLastResort(Durable<KeyPackage>),
    /// The device has nothing left.
    Exhausted,
    /// The device has KeyPackages, and none of them serves.
    NothingCompatible,
}

/// What a search found for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// This one, which is used once.
    Once(KeyPackage),
    /// This last resort.
    LastResort(LastResort),
    /// Nothing at all.
    Exhausted,
    /// Nothing that serves.
    NothingCompatible,
}

/// A look through one device's KeyPackages, oldest first.
pub(crate) struct Search<'d> {
    demand: &'d Demand,
    now: Timestamp,
    /// How many to choose among: one, or more for those who come too late again and again.
    width: usize,
    /// Those that serve, by rank, in order.
    found: Vec<Vec<KeyPackage>>,
    has_any: bool,
}

impl<'d> Search<'d> {
    pub(crate) fn new(demand: &'d Demand, width: usize, now: Timestamp) -> Self {
        let found = vec![Vec::new(); demand.suites.len()];
        Self { demand, now, width: width.max(1), found, has_any: false }
    }

    /// Looks at the next one.
    pub(crate) fn see(&mut self, key_package: KeyPackage) {
        if !key_package.is_good_at(self.now) {
            return;
        }
        self.has_any = true;
        let rank = self.demand.rank(&key_package);
        if let Some(found) = rank.and_then(|rank| self.found.get_mut(rank))
            && found.len() < self.width
        {
            found.push(key_package);
        }
    }

    /// Whether nothing that comes later would be chosen.
    pub(crate) fn is_over(&self) -> bool {
        self.found.first().is_some_and(|best| best.len() >= self.width)
    }

    /// What is handed out: the oldest one of the first suite that has any; or, of as many as there are to choose among,
    /// one by chance.
    pub(crate) fn pick(self, last_resorts: Vec<LastResort>, chance: u64) -> Pick {
        if let Some(found) = self.found.into_iter().find(|found| !found.is_empty()) {
            let count = u64::try_from(found.len()).unwrap_or(1).max(1);
            let nth = usize::try_from(chance % count).unwrap_or_default();
            if let Some(chosen) = found.into_iter().nth(nth) {
                return Pick::Once(chosen);
            }
        }
        let good = last_resorts.into_iter().filter(|last| last.key_package.is_good_at(self.now));
        let good: Vec<LastResort> = good.collect();
        let has_any = self.has_any || !good.is_empty();
        let ranked = good.into_iter().filter_map(|last| Some((self.demand.rank(&last.key_package)?, last)));
        match ranked.min_by_key(|(rank, _)| *rank) {
            Some((_, last_resort)) => Pick::LastResort(last_resort),
            None if has_any => Pick::NothingCompatible,
            None => Pick::Exhausted,
        }
    }
}
