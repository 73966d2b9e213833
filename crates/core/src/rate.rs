//! How fast somebody may go: a bucket for each, in a table of bounded size.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::ids::UserId;
use crate::limits;
use crate::time::Timestamp;

/// How fast everybody in a table may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How much at once.
    pub burst: u64,
    /// How often one more after that.
    pub every: Duration,
    /// How many are watched at once.
    pub watched: usize,
}

/// How fast an account may send messages.
const OF_SENDERS: Pace = Pace {
    burst: limits::SENDER_BURST_MESSAGES,
    every: Duration::from_millis(1_000 / limits::SENDER_MESSAGES_PER_SECOND),
    watched: limits::SENDERS_WATCHED,
};

/// One's allowance.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// What may still be taken at `as_of`, as the time in which so much comes back.
    left_ms: u64,
    as_of: Timestamp,
    told_at: Option<Timestamp>,
}

/// Somebody goes too fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFast {
    /// How long until it may go on.
    pub retry_after: Duration,
    /// Whether to tell it: it was not told lately. A flood must not be answered with a flood.
    pub tell: bool,
}

/// The allowances of all who were active lately.
#[derive(Debug)]
pub struct Allowances<K = UserId> {
    pace: Pace,
    buckets: HashMap<K, Bucket>,
    /// When those who have their whole allowance were last looked for.
    swept_at: Option<Timestamp>,
}

impl Default for Allowances {
    /// Those of accounts that send messages.
    fn default() -> Self {
        Self::new(OF_SENDERS)
    }
}

impl<K: Clone + Eq + Hash> Allowances<K> {
    /// Allowances that nobody has used.
    pub fn new(pace: Pace) -> Self {
        Self { pace, buckets: HashMap::new(), swept_at: None }
    }

    /// Takes one off somebody's allowance, or says how long to wait for it.
    pub fn take(&mut self, who: &K, now: Timestamp) -> Result<(), TooFast> {
        let pace = self.pace;
        if self.buckets.len() >= pace.watched && !self.buckets.contains_key(who) {
            self.sweep(now);
            if self.buckets.len() >= pace.watched {
                return Err(TooFast { retry_after: limits::FULL_TABLE_SWEPT_EVERY, tell: false });
            }
        }
        let full = Bucket { left_ms: pace.full_ms(), as_of: now, told_at: None };
        let bucket = self.buckets.entry(who.clone()).or_insert(full);
        *bucket = pace.refilled(*bucket, now);
        if let Some(left_ms) = bucket.left_ms.checked_sub(pace.one_ms()) {
            bucket.left_ms = left_ms;
            return Ok(());
        }
        let retry_after = Duration::from_millis(pace.one_ms().saturating_sub(bucket.left_ms));
        let tell = bucket
            .told_at
            .is_none_or(|told_at| now >= told_at.plus(limits::LIMIT_NOTICE_EVERY) || now < told_at);
        if tell {
            bucket.told_at = Some(now);
        }
        Err(TooFast { retry_after, tell })
    }

    /// Makes room; not again and again in a table that stays full, because that means a look at all of it.
    fn sweep(&mut self, now: Timestamp) {
        if self
            .swept_at
            .is_some_and(|swept_at| swept_at <= now && now < swept_at.plus(limits::FULL_TABLE_SWEPT_EVERY))
        {
            return;
        }
        self.swept_at = Some(now);
        let pace = self.pace;
        self.buckets.retain(|_, bucket| {
            *bucket = pace.refilled(*bucket, now);
            bucket.left_ms < pace.full_ms()
        });
    }

    /// Gives one back: what it was taken for did not happen.
    pub fn give_back(&mut self, who: &K) {
        if let Some(bucket) = self.buckets.get_mut(who) {
            bucket.left_ms = bucket.left_ms.saturating_add(self.pace.one_ms()).min(self.pace.full_ms());
        }
    }
}

impl Pace {
    fn one_ms(self) -> u64 {
        u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX)
    }

    fn full_ms(self) -> u64 {
        self.burst.saturating_mul(self.one_ms())
    }

    /// The bucket as it stands now. A clock that jumps back gives nothing and takes nothing.
    fn refilled(self, bucket: Bucket, now: Timestamp) -> Bucket {
        let passed_ms = now.as_millis().saturating_sub(bucket.as_of.as_millis());
        let left_ms = bucket.left_ms.saturating_add(passed_ms).min(self.full_ms());
        Bucket { left_ms, as_of: now, ..bucket }
    }
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
    fn a_full_table_is_not_looked_through_for_everybody_who_is_turned_away() {
        let pace = Pace { burst: 2, every: Duration::from_millis(100), watched: 1 };
        let mut allowances = Allowances::new(pace);
        let at = Timestamp::from_millis;
        assert_eq!(allowances.take(&1, at(1_000)), Ok(()));
        assert!(allowances.take(&2, at(1_050)).is_err());
        // By now the first has its whole allowance, but nobody looks.
        assert!(allowances.take(&2, at(2_049)).is_err());
        assert_eq!(allowances.take(&2, at(2_050)), Ok(()));
        // A clock that jumps back is no reason to wait.
        assert!(allowances.take(&3, at(2_060)).is_err());
        allowances.give_back(&2);
        assert_eq!(allowances.take(&3, at(2_049)), Ok(()));
    }

    #[test]
    fn a_slow_pace_loses_nothing_to_those_who_ask_often() {
        let pace = Pace { burst: 1, every: Duration::from_mins(10), watched: 10 };
        let mut allowances = Allowances::new(pace);
        let start = Timestamp::from_millis(0);
        assert_eq!(allowances.take(&1, start), Ok(()));
        for second in 1..600 {
            let wait = allowances.take(&1, start.plus(Duration::from_secs(second))).unwrap_err().retry_after;
            assert_eq!(wait, Duration::from_secs(600 - second));
        }
        assert_eq!(allowances.take(&1, start.plus(Duration::from_mins(10))), Ok(()));
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
