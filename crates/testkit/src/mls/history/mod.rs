//! Histories of groups: what real OpenMLS members said to each other, epoch by epoch, for whoever wants to follow.
//!
//! A [`History`] is a random walk whose choices follow from its seed: who joins and leaves, in which way, by whose
//! proposal and in which order. The keys are OpenMLS' own and new each time, so that the same seed gives the same shape
//! and never the same bytes.
//!
//! Of the members of a group a few are alive: clients that hear every message and act. The others were added and never
//! looked at their Welcome, or went to sleep; they hold a leaf and may come back by an external commit. A step counts only
//! when all that are alive agree on its epoch's secrets and public state.

mod cast;
mod kinds;
mod proposing;
mod shape;
mod stepping;

use anyhow::{Context as _, Result};

use super::Member;
use crate::recorder::SplitMix64;
use cast::Cast;
pub use kinds::Kind;

/// A group's public life.
#[derive(Debug, Clone)]
pub struct History {
    /// The ciphersuite.
    pub suite: u16,
    /// What the shape follows from.
    pub seed: u64,
    /// Where following begins.
    pub first: Epoch,
    /// The first epoch's GroupInfo once more, with the tree in it.
    pub first_with_tree: Vec<u8>,
    /// What happened then.
    pub steps: Vec<Step>,
}

/// One epoch's public state, as its members see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Its number.
    pub number: u64,
    /// Its GroupInfo in an `MLSMessage`, with `external_pub` and without the tree.
    pub group_info: Vec<u8>,
    /// Its ratchet tree.
    pub ratchet_tree: Vec<u8>,
    /// The tree hash, as OpenMLS computes it.
    pub tree_hash: Vec<u8>,
    /// The confirmed transcript hash, as OpenMLS computes it.
    pub confirmed_transcript_hash: Vec<u8>,
}

/// What leads from one epoch to the next.
#[derive(Debug, Clone)]
pub struct Step {
    /// The proposals that were heard, in their order.
    pub proposals: Vec<Vec<u8>>,
    /// The commit.
    pub commit: Vec<u8>,
    /// Whether a SelfRemove is among the proposals, which libraries without that type cannot read.
    pub self_remove: bool,
    /// The epoch it makes.
    pub epoch: Epoch,
    /// What it contains, each kind as often as it occurs.
    pub kinds: Vec<Kind>,
}

/// How many steps a history has: at least so many, and below twice as many.
const STEPS_MIN: u64 = 8;

impl History {
    /// Plays a history. Its suite is one of [`super::SUITES`].
    pub fn play(suite: u16, seed: u64) -> Result<Self> {
        let context = || format!("the history of seed {seed} in suite {suite}");
        Self::play_all(suite, seed).with_context(context)
    }

    fn play_all(suite: u16, seed: u64) -> Result<Self> {
        let mut numbers = SplitMix64::new(seed);
        let (steps, recorded_late) = (STEPS_MIN + numbers.below(STEPS_MIN), numbers.coin());
        let mut cast = Cast::new(suite, numbers)?;
        if recorded_late {
            cast.step().context("the step before the first")?;
        }
        let founder = cast.someone_alive()?;
        let mut history = Self {
            suite,
            seed,
            first: Epoch::seen_by(founder)?,
            first_with_tree: founder.group_info(true)?,
            steps: Vec::new(),
        };
        for number in 0..steps {
            history.steps.push(cast.step().with_context(|| format!("step {number}"))?);
        }
        Ok(history)
    }
}

impl Epoch {
    /// The epoch that a member is in.
    fn seen_by(member: &Member) -> Result<Self> {
        Ok(Self {
            number: member.epoch()?,
            group_info: member.group_info(false)?,
            ratchet_tree: member.ratchet_tree()?,
            tree_hash: member.tree_hash()?,
            confirmed_transcript_hash: member.confirmed_transcript_hash()?,
        })
    }
}
