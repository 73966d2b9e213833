//! Races for an epoch: whoever is too late again and again gets the next epoch kept for a moment.
//!
//! A majority that commits without pause would starve a slow member for ever. It is kept in memory alone: what a restart
//! forgets is a wait of seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{ClientId, Epoch, UserId};
use crate::limits;
use crate::time::Timestamp;

/// Who was too late, and for whom an epoch is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Races {
    losses: BTreeMap<ClientId, Losses>,
    kept: Option<Kept>,
    kept_for: BTreeMap<UserId, Timestamp>,
}

/// Late commits of one device, one after the other.
#[derive(Clone, Copy, Debug)]
struct Losses {
    /// For which epoch the last of them was.
    epoch: Epoch,
    in_a_row: u8,
}

/// The epoch is kept for somebody.
#[derive(Clone, Debug)]
struct Kept {
    by: ClientId,
    since: Timestamp,
}

impl Races {
    /// How many devices and accounts are watched.
    pub(super) fn len(&self) -> usize {
        self.losses.len().saturating_add(self.kept_for.len())
    }

    /// A commit for `epoch` was too late; the group is in `current`. Says for how long that is kept for the device, if it is.
    /// An epoch counts once, however often a device is late for it.
    pub(super) fn lost(
        &mut self,
        by: &ClientId,
        epoch: Epoch,
        current: Epoch,
        now: Timestamp,
    ) -> Option<Duration> {
        if epoch.next() != Some(current) {
            self.losses.remove(by);
            return None;
        }
        let before = self.losses.get(by).copied().filter(|losses| losses.epoch <= epoch);
        let in_a_row = match before {
            Some(losses) if losses.epoch == epoch => losses.in_a_row,
            Some(losses) => losses.in_a_row.saturating_add(1),
            None => 1,
        };
        self.losses.insert(by.clone(), Losses { epoch, in_a_row });
        while self.losses.len() > limits::RACERS_WATCHED {
            let oldest = self.losses.iter().min_by_key(|(_, losses)| losses.epoch);
            let oldest = oldest.map(|(client, _)| client.clone());
            oldest.map(|client| self.losses.remove(&client));
        }
        if in_a_row < limits::STALE_IN_A_ROW
            || self.kept_until(now).is_some()
            || !self.may_again(&by.user, now)
        {
            return None;
        }
        self.losses.remove(by);
        self.kept = Some(Kept { by: by.clone(), since: now });
        self.kept_for.insert(by.user.clone(), now);
        Some(limits::RESERVED)
    }

    /// A device had another answer than that it was too late.
    pub(super) fn broken(&mut self, by: &ClientId) {
        self.losses.remove(by);
    }

    /// The epoch is over.
    pub(super) fn over(&mut self) {
        self.kept = None;
    }

    /// Until when a commit of this device waits for the one that the epoch is kept for.
    pub(super) fn waits(&self, by: &ClientId, now: Timestamp) -> Option<Timestamp> {
        self.kept_until(now).filter(|_| self.kept.as_ref().is_some_and(|kept| kept.by != *by))
    }

    /// How many devices and accounts are watched.
    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        self.losses.len().max(self.kept_for.len())
    }

    fn kept_until(&self, now: Timestamp) -> Option<Timestamp> {
        let kept = self.kept.as_ref()?;
        let until = kept.since.plus(limits::RESERVED);
        (kept.since <= now && now < until).then_some(until)
    }

    /// Whether an epoch may be kept for an account, which it may not be again so soon.
    fn may_again(&mut self, user: &UserId, now: Timestamp) -> bool {
        self.kept_for.retain(|_, at| *at <= now && now < at.plus(limits::RESERVED_AGAIN));
        self.kept_for.len() < limits::RACERS_WATCHED && !self.kept_for.contains_key(user)
    }
}
