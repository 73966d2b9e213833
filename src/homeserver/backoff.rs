//! How long to wait before asking again: doubling, with jitter, between two bounds whatever anybody says.

use std::time::Duration;

use maypole_core::limits;

/// The waits after failures in a row. Pure: jitter comes in, time is the caller's.
#[derive(Clone, Debug)]
pub struct Backoff {
    step: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { step: limits::BACKOFF_FIRST }
    }
}

impl Backoff {
    /// The wait after one more failure: never shorter than [`limits::BACKOFF_FIRST`], so that no loop is busy, and
    /// never longer than [`limits::BACKOFF_LAST`]. A hint of the homeserver can only lengthen it.
    pub fn next(&mut self, jitter: u64, hint: Option<Duration>) -> Duration {
        let step = self.step;
        self.step = step.saturating_mul(2).min(limits::BACKOFF_LAST);
        let wait = step.saturating_sub(quarter(step, jitter));
        wait.max(hint.unwrap_or_default()).clamp(limits::BACKOFF_FIRST, limits::BACKOFF_LAST)
    }

    /// Something succeeded: the next failure is a first one.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Up to a quarter of the step, so that many who failed together do not come back together.
fn quarter(step: Duration, jitter: u64) -> Duration {
    let quarter = u64::try_from(step.as_micros()).unwrap_or(u64::MAX) / 4;
    Duration::from_micros(jitter.checked_rem(quarter.saturating_add(1)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_doubles_up_to_the_last_and_starts_over() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.next(0, None).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.next(0, None), limits::BACKOFF_FIRST);
    }

    #[test]
    fn a_hint_lengthens_and_never_shortens() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.next(0, Some(Duration::ZERO)), Duration::from_millis(500));
        assert_eq!(backoff.next(0, Some(Duration::from_hours(9_999))), limits::BACKOFF_LAST);
        assert_eq!(backoff.next(0, Some(Duration::MAX)), limits::BACKOFF_LAST);
    }

    #[test]
    fn jitter_spreads_the_waits() {
        let later = |jitter| {
            let mut backoff = Backoff { step: limits::BACKOFF_LAST };
            backoff.next(jitter, None)
        };
        assert_ne!(later(1), later(5_000_000));
    }

    proptest! {
        #[test]
        fn no_wait_is_busy_or_endless(jitter: u64, failures in 0..100, hint_ms: Option<u64>) {
            let mut backoff = Backoff::default();
            for _ in 0..failures {
                let wait = backoff.next(jitter, hint_ms.map(Duration::from_millis));
                prop_assert!((limits::BACKOFF_FIRST..=limits::BACKOFF_LAST).contains(&wait));
            }
        }
    }
}
