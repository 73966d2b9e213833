//! How the work is shared among processes: in a fixed number of shares, each held by one process at a time.
//!
//! A group belongs to a share, and so does what its members are told; an account belongs to one too, for what it asks that
//! concerns no group. Whoever holds a share works on its groups. That keeps processes out of each other's way; it is not what
//! keeps a group whole: for that every write says what it expects.

use std::fmt;

use crate::ids::{GroupId, Lane, Sha256, UserId};
use crate::limits;

/// One part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u8);

impl Share {
    /// The share with a number, if there is one.
    pub const fn new(number: u8) -> Option<Self> {
        if number < limits::SHARES { Some(Self(number)) } else { None }
    }

    /// The share of a group.
    pub fn of_group(group: &GroupId) -> Self {
        Self::of(group.as_bytes())
    }

    /// The share of an account.
    pub fn of_user(user: &UserId) -> Self {
        Self::of(user.as_str().as_bytes())
    }

    /// The share of a lane: that of whom or what it is for.
    pub fn of_lane(lane: &Lane) -> Self {
        Self(lane.hash_byte() % limits::SHARES)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..limits::SHARES).map(Self)
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }

    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::of(bytes).first() % limits::SHARES)
    }
}

/// Some of the shares.
///
/// ```
/// use maypole_core::shares::{Share, Shares};
///
/// let some: Shares = Share::all().take(3).collect();
/// assert!(some.contains(Share::new(2).unwrap()) && !some.contains(Share::new(3).unwrap()));
/// assert_eq!(Shares::ALL.without(some).count(), 61);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Shares(u64);

impl Shares {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether a share is among them.
    pub const fn contains(self, share: Share) -> bool {
        self.0 & (1 << share.0) != 0
    }

    /// These but for others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// These, and one more.
    #[must_use]
    pub const fn with(self, share: Share) -> Self {
        Self(self.0 | 1 << share.get())
    }

    /// How many.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Share> {
        Share::all().filter(move |share| self.contains(*share))
    }
}

impl FromIterator<Share> for Shares {
    fn from_iter<I: IntoIterator<Item = Share>>(shares: I) -> Self {
        Self(shares.into_iter().fold(0, |bits, share| bits | (1 << share.0)))
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Share::get)).finish()
    }
}

/// What a process holds after it has said that it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its shares.
    pub shares: Shares,
    /// Those of them that it should give up when nothing of theirs is under way, since another process holds less.
    pub surplus: Shares,
    /// Whether it is the one that reads the homeserver's stream.
    pub stream: bool,
    /// Whether others may change what it reads, because they share the store.
    pub others: bool,
}

impl Held {
    /// What the only process of a store holds.
    pub const EVERYTHING: Self =
        Self { shares: Shares::ALL, surplus: Shares::NONE, stream: true, others: false };
    /// What a process holds that has not been heard of in time.
    pub const NOTHING: Self =
        Self { shares: Shares::NONE, surplus: Shares::NONE, stream: false, others: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_the_share_of_whom_it_is_for() {
        for number in 0..500 {
            let group = GroupId::parse(format!("!room{number}:a.org")).unwrap();
            assert_eq!(Share::of_lane(&Lane::of_group(&group)), Share::of_group(&group));
            let user = UserId::parse(format!("@user{number}:a.org")).unwrap();
            assert_eq!(Share::of_lane(&Lane::of_user(&user)), Share::of_user(&user));
        }
    }

    #[test]
    fn every_share_has_some_of_many_groups() {
        let groups = (0..2_000).map(|number| GroupId::parse(format!("!room{number}:a.org")).unwrap());
        let shares: Shares = groups.map(|group| Share::of_group(&group)).collect();
        assert_eq!(shares, Shares::ALL);
    }

    #[test]
    fn sets_are_what_went_in() {
        let odd: Shares = Share::all().filter(|share| share.get() % 2 == 1).collect();
        assert_eq!((odd.count(), Shares::NONE.count(), Shares::ALL.count()), (32, 0, 64));
        assert!(odd.iter().all(|share| odd.contains(share)) && odd.iter().count() == 32);
        assert!(Shares::ALL.without(Shares::ALL).is_empty());
        assert!(Share::new(63).is_some() && Share::new(64).is_none());
    }
}
