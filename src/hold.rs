//! What this process works on, among all that share its store.
//!
//! It says again and again that it is alive, and holds its shares for a term from the moment at which it began to say so. Where
//! the store does not answer in time it holds nothing any more, by its own clock, before anybody else can take it. What is
//! still under way then does no harm: every write says what it expects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use maypole_core::batch::Backend;
use maypole_core::ids::ProcessId;
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::shares::{Held, Share, Shares};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::telemetry::record;

/// What this process holds. Clones are the same.
#[derive(Clone, Debug)]
pub struct Hold {
    process: ProcessId,
    state: Arc<watch::Sender<State>>,
    busy: Arc<Mutex<BTreeMap<Share, usize>>>,
    let_go: Arc<Mutex<Shares>>,
}

/// Something is under way in a share as long as this lives: it is not given up meanwhile.
#[derive(Debug)]
pub struct Busy {
    busy: Arc<Mutex<BTreeMap<Share, usize>>>,
    share: Share,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.share) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                busy.remove(&self.share);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    held: Held,
    since: Option<Instant>,
}

impl Hold {
    /// Nothing yet, for a process that was just named.
    pub fn new(process: ProcessId) -> Self {
        let state = State { held: Held::NOTHING, since: None };
        let let_go = Arc::new(Mutex::new(Shares::NONE));
        Self { process, state: Arc::new(watch::Sender::new(state)), busy: Arc::default(), let_go }
    }

    /// What the only process of a store holds.
    #[cfg(test)]
    pub(crate) fn of_everything() -> Self {
        let hold = Self::new(ProcessId::from_bytes([7; 16]));
        hold.tell(Held::EVERYTHING);
        hold
    }

    /// What is said of what it holds, without a term.
    #[cfg(test)]
    pub(crate) fn tell(&self, held: Held) {
        self.note(State { held, since: None });
    }

    /// What it holds at this moment.
    pub fn held(&self) -> Held {
        let state = *self.state.borrow();
        let is_current = state.since.is_some_and(|since| since.elapsed() < limits::LEASE_TERM);
        if is_current || !state.held.others { state.held } else { Held::NOTHING }
    }

    /// Whether what was said of what it holds is current; nothing if nothing was said yet.
    pub fn knows(&self) -> Option<bool> {
        self.state.borrow().since.map(|since| since.elapsed() < limits::LEASE_TERM)
    }

    /// The shares that it takes up new work in.
    pub fn shares(&self) -> Shares {
        let held = self.held();
        held.shares.without(held.surplus)
    }

    /// Waits until nothing new is begun in a share any more: it is to be given up, or lost.
    pub async fn leaves(&self, share: Share) {
        let mut state = self.state.subscribe();
        while self.shares().contains(share) {
            // That a term is over nobody says: it is looked at.
            let since = state.borrow_and_update().since;
            let left = since.map(|since| limits::LEASE_TERM.saturating_sub(since.elapsed()));
            let left = left.filter(|left| !left.is_zero() && *left < limits::LEASE_EVERY);
            let _ = tokio::time::timeout(left.unwrap_or(limits::LEASE_EVERY), state.changed()).await;
        }
    }

    /// What was under way in a share was let go unfinished. If the share is still held then, or again, it is to be taken up.
    pub fn let_go(&self, share: Share) {
        self.with_let_go(|shares| *shares = shares.with(share));
    }

    /// The shares in which something was let go since this was asked last.
    pub fn take_let_go(&self) -> Shares {
        self.with_let_go(|shares| std::mem::replace(shares, Shares::NONE))
    }

    fn with_let_go<T>(&self, look: impl FnOnce(&mut Shares) -> T) -> T {
        look(&mut self.let_go.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something begins in a share.
    pub fn busy(&self, share: Share) -> Busy {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.entry(share).or_default();
        *count = count.saturating_add(1);
        Busy { busy: self.busy.clone(), share }
    }

    /// The shares in which something is under way.
    fn under_way(&self) -> Shares {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Waits until it may hold something else than before; with others beside it, no longer than until they may have left
    /// something for it.
    pub async fn changes(&self) {
        let mut state = self.state.subscribe();
        let pause =
            if state.borrow_and_update().held.others { limits::SHARED_LOOK } else { limits::LEASE_EVERY };
        // The sender is in our own hands.
        let _ = tokio::time::timeout(pause, state.changed()).await;
    }

    /// Keeps saying that the process is alive until it is told to stop; gives up what it has too much of, once nothing of that
    /// is under way, here or as the caller says.
    pub async fn keep<B: Backend>(
        &self,
        ledger: &Ledger<B>,
        under_way: impl Fn() -> Shares,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let since = clock::monotonic();
            match ledger.renew(self.process, limits::LEASE_TERM).await {
                Ok(held) => {
                    self.note(State { held, since: Some(since) });
                    let idle = held.surplus.without(under_way()).without(self.under_way());
                    if !idle.is_empty()
                        && let Err(error) = ledger.give_up(self.process, idle).await
                    {
                        tracing::warn!(%error, "shares cannot be given up; trying again");
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot say that this process is alive; trying again"),
            }
            record::shares(self.held().shares.count());
            stop.run_until_cancelled(tokio::time::sleep(limits::LEASE_EVERY)).await;
        }
    }

    /// Lets others have at once what this process held.
    pub async fn retire<B: Backend>(&self, ledger: &Ledger<B>) {
        if let Err(error) = ledger.retire(self.process).await {
            tracing::warn!(%error, "what this process held is free only when its term is over");
        }
    }

    fn note(&self, now: State) {
        self.state.send_if_modified(|state| {
            let changes = state.held != now.held;
            *state = now;
            changes
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn shares(numbers: std::ops::Range<u8>) -> Shares {
        numbers.filter_map(Share::new).collect()
    }

    /// What a process was told to hold, so long ago.
    fn told(held: Held, ago: std::time::Duration) -> Hold {
        let hold = Hold::new(ProcessId::from_bytes([1; 16]));
        hold.note(State { held, since: clock::monotonic().checked_sub(ago) });
        hold
    }

    #[test]
    fn nothing_is_held_before_and_after_the_term() {
        let hold = Hold::new(ProcessId::from_bytes([1; 16]));
        assert_eq!((hold.held(), hold.knows()), (Held::NOTHING, None));
        let all = Held { others: true, ..Held::EVERYTHING };
        let hold = told(all, limits::LEASE_TERM / 2);
        assert_eq!((hold.held(), hold.knows()), (all, Some(true)));
        let hold = told(all, limits::LEASE_TERM);
        assert_eq!((hold.held(), hold.knows(), hold.shares()), (Held::NOTHING, Some(false), Shares::NONE));
        // Where nobody else can open the store there is nobody who could take it.
        assert_eq!(told(Held::EVERYTHING, limits::LEASE_TERM).held(), Held::EVERYTHING);
    }

    #[test]
    fn nothing_new_is_begun_in_what_is_to_be_given_up() {
        let held = Held { shares: shares(0..40), surplus: shares(0..8), stream: false, others: true };
        let hold = told(held, std::time::Duration::ZERO);
        assert_eq!((hold.shares(), hold.held().shares), (shares(8..40), shares(0..40)));
    }

    #[tokio::test]
    async fn who_waits_hears_that_a_share_is_to_be_given_up() {
        let hold = Hold::of_everything();
        let share = Share::new(3).unwrap();
        let mut waits = Box::pin(hold.leaves(share));
        assert!(waits.as_mut().now_or_never().is_none());
        hold.tell(Held { surplus: shares(4..9), ..Held::EVERYTHING });
        assert!(waits.as_mut().now_or_never().is_none(), "another one");
        hold.tell(Held { surplus: shares(3..4), ..Held::EVERYTHING });
        waits.await;
        hold.leaves(share).await;
    }

    #[tokio::test]
    async fn who_waits_hears_of_the_end_of_the_term() {
        let all = Held { others: true, ..Held::EVERYTHING };
        let left = limits::LEASE_EVERY / 8;
        let hold = told(all, limits::LEASE_TERM - left);
        let began = clock::monotonic();
        hold.leaves(Share::new(3).unwrap()).await;
        let waited = began.elapsed();
        assert!(hold.shares().is_empty() && waited >= left, "{waited:?}");
    }

    #[test]
    fn what_was_let_go_is_said_once() {
        let hold = Hold::of_everything();
        for number in [3, 9, 3] {
            hold.clone().let_go(Share::new(number).unwrap());
        }
        assert_eq!(hold.take_let_go(), shares(3..4).with(Share::new(9).unwrap()));
        assert_eq!(hold.take_let_go(), Shares::NONE);
    }

    #[test]
    fn a_share_is_busy_as_long_as_anything_in_it_is() {
        let hold = Hold::of_everything();
        let share = Share::new(3).unwrap();
        let (one, other) = (hold.busy(share), hold.clone().busy(share));
        drop(one);
        assert_eq!(hold.under_way(), shares(3..4));
        drop(other);
        assert!(hold.under_way().is_empty());
    }
}
