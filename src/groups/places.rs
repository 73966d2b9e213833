//! Places at work: how much of groups is read and judged side by side.
//!
//! A group has its place before it is read from the store, and gives it up while it waits for anything outside: the homeserver
//! may take as long as it likes, and holds up no other group. Who waits for a place has none, and they are given in the order in
//! which they are asked for; so everybody gets one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Room for the groups at work, by their weight.
#[derive(Debug)]
pub(super) struct Places {
    bound_kib: u32,
    free_kib: Semaphore,
}

/// The place of one group, whether or not it has it now.
#[derive(Debug)]
pub(super) struct Place<'p> {
    places: &'p Places,
    inside: Mutex<Inside<'p>>,
}

#[derive(Debug)]
struct Inside<'p> {
    kib: u32,
    held: Option<SemaphorePermit<'p>>,
}

impl Places {
    /// Room for so many kibibytes of groups.
    pub(super) fn new(bound_kib: u32) -> Self {
        let permits = usize::try_from(bound_kib).unwrap_or(usize::MAX);
        Self { bound_kib, free_kib: Semaphore::new(permits) }
    }

    /// A place for a group of this weight, which it does not have yet. One that is heavier than all the room has all of it.
    pub(super) fn of(&self, bytes: usize) -> Place<'_> {
        let kib = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX);
        let kib = kib.clamp(1, self.bound_kib);
        Place { places: self, inside: Mutex::new(Inside { kib, held: None }) }
    }
}

impl Place<'_> {
    /// Waits until it has it.
    pub(super) async fn enter(&self) {
        let kib = {
            let inside = self.inside();
            if inside.held.is_some() {
                return;
            }
            inside.kib
        };
        // Nobody closes them.
        let held = self.places.free_kib.acquire_many(kib).await.ok();
        self.inside().held = held;
    }

    /// Gives it up, before something outside is waited for.
    pub(super) fn leave(&self) {
        drop(self.inside().held.take());
    }
}

impl<'p> Place<'p> {
    fn inside(&self) -> MutexGuard<'_, Inside<'p>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use maypole_core::group::Head;

    use super::super::tests::forged::{group, snapshot};
    use super::*;
    use crate::storage::conformance::samples::head;

    #[test]
    fn no_more_than_there_is_room_for_in_the_order_of_asking() {
        let places = Places::new(10);
        let [a, b, c] = [6, 6, 4].map(|kib| places.of(kib * 1_024));
        a.enter().now_or_never().unwrap();
        a.enter().now_or_never().expect("it has it already");
        let mut waits = Box::pin(b.enter());
        assert!(waits.as_mut().now_or_never().is_none());
        // There is room for this one, but another one was first.
        let mut next = Box::pin(c.enter());
        assert!(next.as_mut().now_or_never().is_none());
        a.leave();
        waits.now_or_never().unwrap();
        next.now_or_never().unwrap();
        let mut again = Box::pin(a.enter());
        assert!(again.as_mut().now_or_never().is_none());
        drop((b, c));
        again.now_or_never().expect("who ends leaves");
    }

    #[test]
    fn who_waits_for_the_outside_holds_up_nobody_and_who_gives_up_neither() {
        let places = Places::new(10);
        let (a, b) = (places.of(10 * 1_024), places.of(usize::MAX));
        a.enter().now_or_never().unwrap();
        let mut gone = Box::pin(b.enter());
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        a.leave();
        a.leave();
        b.enter().now_or_never().expect("what is heavier than all is alone");
        assert!(a.enter().now_or_never().is_none());
        b.leave();
        a.enter().now_or_never().unwrap();
        assert_eq!(places.of(0).inside().kib, 1, "nothing weighs nothing");
    }

    #[test]
    fn what_a_group_weighs_is_guessed_before_it_is_read_and_not_too_low() {
        for members in [1, 2, 40, 300] {
            let stored = u64::try_from(snapshot("!a:a.org", members).bytes.len()).unwrap();
            let guess = Head { snapshot_bytes: stored, delta_bytes: 0, ..head(1, 1, 10) }.weight_bytes();
            let weight = group("!a:a.org", members).weight_bytes();
            assert!(weight <= guess && guess < 3 * weight, "{members} members: {guess}, {weight}");
        }
    }
}
