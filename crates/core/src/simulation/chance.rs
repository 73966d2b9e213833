//! What is left to chance, and follows from a seed.

use std::cell::Cell;

use crate::ids::{ClientId, InboxSeq};
use crate::permit::{Effect, Intent, Permit, Question};
use crate::rejection::Rejection;

/// Numbers that follow from a seed.
#[derive(Debug)]
pub(super) struct Chance(Cell<u64>);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mixed = (self.0.get() ^ (self.0.get() >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub(super) fn below(&self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    pub(super) fn one_in(&self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// One of them, if there is any.
    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

/// What is frequent in a life: in each something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Devices propose, rather than commit.
    Proposals,
    /// Much must happen outside first, and takes its time.
    Slow,
    /// The same, and the operator freezes groups and lets them go on again.
    Frozen,
    /// Devices send everything twice.
    Twins,
}

impl Habit {
    pub(super) fn of(seed: u64) -> Self {
        match seed % 4 {
            0 => Self::Proposals,
            1 => Self::Slow,
            2 => Self::Frozen,
            _ => Self::Twins,
        }
    }
}

impl Habit {
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::Slow | Self::Frozen)
    }

    /// Whether everything is often sent twice.
    pub(super) fn has_twins(self) -> bool {
        matches!(self, Self::Slow | Self::Twins)
    }
}

/// In calm lives a group goes on and on, and little stands in its way: logs grow, and are cut.
pub(super) fn is_calm(seed: u64) -> bool {
    seed % 16 == 7
}

/// What the world makes of one message: the same whenever it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// How many things must happen outside first; none where it is not permitted.
    effects: Option<usize>,
    /// Whether the devices publish their keys.
    pub(super) publishes: bool,
    /// What happens outside is refused at this place, if it comes that far.
    refused: Option<usize>,
    /// Whether the service can sign at that time.
    pub(super) signs: bool,
}

impl Fate {
    pub(super) fn of(seed: u64, row: InboxSeq) -> Self {
        let chance = Chance::new(seed ^ row.get().wrapping_mul(0xA076_1D64_78BD_642F));
        if is_calm(seed) {
            return Self { effects: Some(0), publishes: true, refused: None, signs: true };
        }
        Self {
            effects: match chance.below(16) {
                0 => None,
                5..=10 if Habit::of(seed).is_slow() => Some(1),
                1..=4 => Some(1 + chance.below(2)),
                _ => Some(0),
            },
            publishes: !chance.one_in(12),
            refused: chance.one_in(3).then(|| chance.below(2)),
            signs: !chance.one_in(10),
        }
    }

    pub(super) fn permits(&self) -> bool {
        self.effects.is_some()
    }

    /// What must happen first: for each account that is added, and something for nobody.
    pub(super) fn permit(&self, question: &Question) -> Result<Permit, Rejection> {
        let number = self.effects.ok_or_else(|| Rejection::forbidden("so chance has it"))?;
        let effect = |about| Effect { about, words: vec![7] };
        let mut effects: Vec<Effect> = (0..number).map(|_| effect(None)).collect();
        if let (Intent::Commit { users, .. }, true) = (&question.intent, number > 0) {
            effects.extend(
                users
                    .iter()
                    .filter(|user| !user.added.is_empty())
                    .map(|user| effect(Some(user.user.clone()))),
            );
        }
        Ok(Permit { effects, cited: Vec::new() })
    }

    /// The place that is refused, of what must happen: the first, or the last.
    pub(super) fn refused_of(&self, permit: &Permit) -> Option<usize> {
        self.refused.map(|place| if place == 0 { 0 } else { permit.effects.len() - 1 })
    }

    /// Whose leaves would never be told how to join.
    pub(super) fn withholds(&self, permit: &Permit, client: &ClientId) -> bool {
        let refused = self.refused_of(permit).and_then(|place| permit.effects.get(place));
        refused.is_some_and(|effect| effect.about.as_ref() == Some(&client.user))
    }
}
