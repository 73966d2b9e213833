//! How fast one account may send: a bucket for each, in a table of bounded size.

use std::collections::HashMap;
use std::time::Duration;

use crate::ids::UserId;
use crate::limits;
use crate::time::Timestamp;

/// One account's allowance.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Messages that may still be sent at `as_of`, in thousandths.
    left_milli: u64,
    as_of: Timestamp,
    told_at: Option<Timestamp>,
}

/// The account sends too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFast {
    /// How long until it may send again.
    pub retry_after: Duration,
    /// Whether to tell it: it was not told lately. A flood must not be answered with a flood.
    pub tell: bool,
}

/// The allowances of all accounts that sent lately.
#[derive(Debug, Default)]
pub struct Allowances {
    buckets: HashMap<UserId, Bucket>,
}

const BURST_MILLI: u64 = limits::SENDER_BURST_MESSAGES * 1_000;

impl Allowances {
    /// Takes one message off the account's allowance, or says how long to wait for it.
    pub fn take(&mut self, user: &UserId, now: Timestamp) -> Result<(), TooFast> {
        if self.buckets.len() >= limits::SENDERS_WATCHED && !self.buckets.contains_key(user) {
            self.buckets.retain(|_, bucket| {
                *bucket = refilled(*bucket, now);
                bucket.left_milli < BURST_MILLI
            });
            if self.buckets.len() >= limits::SENDERS_WATCHED {
                return Err(TooFast { retry_after: Duration::from_secs(1), tell: false });
            }
        }
        let full = Bucket { left_milli: BURST_MILLI, as_of: now, told_at: None };
        let bucket = self.buckets.entry(user.clone()).or_insert(full);
        *bucket = refilled(*bucket, now);
        if let Some(left) = bucket.left_milli.checked_sub(1_000) {
            bucket.left_milli = left;
            return Ok(());
        }
        let missing_milli = 1_000 - bucket.left_milli;
        let retry_after = Duration::from_millis(missing_milli.div_ceil(limits::SENDER_MESSAGES_PER_SECOND));
        let tell = bucket
            .told_at
            .is_none_or(|told_at| now >= told_at.plus(limits::LIMIT_NOTICE_EVERY) || now < told_at);
        if tell {
            bucket.told_at = Some(now);
        }
        Err(TooFast { retry_after, tell })
    }

    /// Gives one message back to the account: what it was taken for did not happen.
    pub fn give_back(&mut self, user: &UserId) {
        if let Some(bucket) = self.buckets.get_mut(user) {
            bucket.left_milli = bucket.left_milli.saturating_add(1_000).min(BURST_MILLI);
        }
    }
}

/// The bucket as it stands now. A clock that jumps back gives nothing and takes nothing.
fn refilled(bucket: Bucket, now: Timestamp) -> Bucket {
    let passed_ms = now.as_millis().saturating_sub(bucket.as_of.as_millis());
    let gained_milli = passed_ms.saturating_mul(limits::SENDER_MESSAGES_PER_SECOND);
    let left_milli = bucket.left_milli.saturating_add(gained_milli).min(BURST_MILLI);
    Bucket { left_milli, as_of: now, ..bucket }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(format!("@{name}:a.org")).unwrap()
    }

    #[test]
    fn a_burst_passes_then_the_wait_is_told_and_is_enough() {
        let mut allowances = Allowances::default();
        let start = Timestamp::from_millis(1_000_000);
        for _ in 0..limits::SENDER_BURST_MESSAGES {
            assert_eq!(allowances.take(&user("mallory"), start), Ok(()));
        }
        let TooFast { retry_after: wait, tell } = allowances.take(&user("mallory"), start).unwrap_err();
        assert!(tell, "told the first time");
        assert!(!allowances.take(&user("mallory"), start).unwrap_err().tell, "and not again at once");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(allowances.take(&user("alice"), start), Ok(()), "others are not held up");
        assert_eq!(allowances.take(&user("mallory"), start.plus(wait)), Ok(()));
        assert!(allowances.take(&user("mallory"), start.plus(wait)).is_err());
        let later = start.plus(limits::LIMIT_NOTICE_EVERY);
        for _ in 0..limits::SENDER_MESSAGES_PER_SECOND - 1 {
            assert_eq!(allowances.take(&user("mallory"), later), Ok(()));
        }
        assert!(allowances.take(&user("mallory"), later).unwrap_err().tell, "told again after a while");
    }

    #[test]
    fn what_did_not_happen_is_given_back() {
        let mut allowances = Allowances::default();
        let start = Timestamp::from_millis(0);
        for _ in 0..limits::SENDER_BURST_MESSAGES {
            allowances.take(&user("alice"), start).unwrap();
        }
        allowances.give_back(&user("alice"));
        assert_eq!(allowances.take(&user("alice"), start), Ok(()));
        assert!(allowances.take(&user("alice"), start).is_err());
    }

    #[test]
    fn a_clock_that_jumps_neither_gives_nor_takes_for_long() {
        let mut allowances = Allowances::default();
        let day = Duration::from_hours(24);
        let start = Timestamp::from_millis(day.as_millis() as u64 * 3);
        assert_eq!(allowances.take(&user("alice"), start), Ok(()));
        let yesterday = Timestamp::from_millis(start.as_millis() - day.as_millis() as u64);
        assert_eq!(allowances.take(&user("alice"), yesterday), Ok(()));
        assert_eq!(allowances.take(&user("alice"), start.plus(day)), Ok(()));
    }

    #[test]
    fn a_clock_that_jumps_back_a_day_does_not_keep_the_table_full_for_a_day() {
        let mut allowances = Allowances::default();
        let day = Duration::from_hours(24);
        let wrong = Timestamp::from_millis(0).plus(day);
        for n in 0..limits::SENDERS_WATCHED {
            allowances.take(&user(&n.to_string()), wrong).unwrap();
        }
        let right = Timestamp::from_millis(0);
        assert!(allowances.take(&user("late"), right).is_err());
        assert_eq!(allowances.take(&user("late"), right.plus(Duration::from_secs(1))), Ok(()));
    }

    #[test]
    fn a_clock_that_jumps_back_a_day_does_not_stop_a_sender_for_a_day() {
        let mut allowances = Allowances::default();
        let wrong = Timestamp::from_millis(0).plus(Duration::from_hours(24));
        while allowances.take(&user("alice"), wrong).is_ok() {}
        let right = Timestamp::from_millis(0);
        let TooFast { retry_after: wait, .. } = allowances.take(&user("alice"), right).unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(allowances.take(&user("alice"), right.plus(wait)), Ok(()));
    }

    #[test]
    fn the_table_has_a_bound() {
        let mut allowances = Allowances::default();
        let start = Timestamp::from_millis(0);
        for n in 0..limits::SENDERS_WATCHED {
            allowances.take(&user(&n.to_string()), start).unwrap();
        }
        assert!(allowances.take(&user("late"), start).is_err());
        assert_eq!(allowances.take(&user("late"), start.plus(Duration::from_mins(2))), Ok(()));
        assert!(allowances.buckets.len() <= limits::SENDERS_WATCHED);
    }
}
