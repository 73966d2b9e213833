//! Who follows: this house's engine, and two libraries.
//!
//! Everybody is given the same bytes and starts from its own copy of the same state, made before the clock runs. What a
//! commit takes is measured in two parts where there are two: the verdict, and the effect.

mod mls_rs;
mod nothing;
mod openmls;
mod ours;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use maypole_testkit::wait::Stopwatch;

use crate::scene::{Scene, Start, Step};

/// A follower by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// `maypole_mls::Group`.
    Ours,
    /// OpenMLS' `PublicGroup`, with a store that stores nothing.
    OpenMls,
    /// The same with its store in memory, in which it writes the tree as JSON.
    OpenMlsJson,
    /// mls-rs' `ExternalGroup`, with its cryptography in Rust.
    MlsRs,
    /// The same by AWS-LC.
    MlsRsAwsLc,
}

impl Which {
    pub(crate) const ALL: [Self; 5] =
        [Self::Ours, Self::OpenMls, Self::OpenMlsJson, Self::MlsRs, Self::MlsRsAwsLc];

    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|which| which.name() == name);
        let Some(which) = found else { bail!("nobody is called {name}") };
        Ok(which)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OpenMls => "openmls",
            Self::OpenMlsJson => "openmls-json",
            Self::MlsRs => "mls-rs",
            Self::MlsRsAwsLc => "mls-rs-awslc",
        }
    }

    /// Imports a group, and drops it where nobody measures.
    pub(crate) fn import(self, start: &Start) -> Result<Duration> {
        let timed = match self {
            Self::Ours => timed(|| ours::import(start)),
            Self::OpenMls | Self::OpenMlsJson => timed(|| openmls::import(start)),
            Self::MlsRs => timed(|| mls_rs::import(mls_rs::rust_crypto(), start)),
            Self::MlsRsAwsLc => timed(|| mls_rs::import(mls_rs::aws_lc(), start)),
        };
        timed.with_context(|| format!("{} does not import the group", self.name()))
    }

    /// Imports a group to be followed.
    pub(crate) fn base(self, start: &Start) -> Result<Box<dyn Base>> {
        let imported = match self {
            Self::Ours => ours::base(start),
            Self::OpenMls => openmls::base(start, false),
            Self::OpenMlsJson => openmls::base(start, true),
            Self::MlsRs => mls_rs::base(mls_rs::rust_crypto(), start),
            Self::MlsRsAwsLc => mls_rs::base(mls_rs::aws_lc(), start),
        };
        imported.with_context(|| format!("{} does not import the group", self.name()))
    }
}

fn timed<T>(make: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let watch = Stopwatch::start();
    let made = make()?;
    let elapsed = watch.elapsed();
    drop(made);
    Ok(elapsed)
}

/// A group at the beginning of a chain.
pub(crate) trait Base {
    /// A copy that can go on.
    fn copy(&self) -> Result<Box<dyn Follower>>;
}

/// A group that goes on.
pub(crate) trait Follower {
    /// Takes a commit from its bytes to the next epoch.
    fn hear(&mut self, message: &[u8]) -> Result<Taken>;
    /// The tree hash and the confirmed transcript hash.
    fn hashes(&self) -> (Vec<u8>, Vec<u8>);
}

/// What a commit took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) verdict: Duration,
    /// Nothing where the two cannot be told apart.
    pub(crate) effect: Duration,
}

impl Taken {
    pub(crate) fn sum(self) -> Duration {
        self.verdict + self.effect
    }
}

impl std::ops::AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.verdict += other.verdict;
        self.effect += other.effect;
    }
}

/// Follows a chain to its end, and checks that it leads where it must.
pub(crate) fn follow(which: Which, base: &dyn Base, scene: &Scene) -> Result<Taken> {
    let mut follower = base.copy()?;
    let mut taken = Taken::default();
    for Step { message, tree_hash, confirmed_transcript_hash, .. } in &scene.steps {
        taken += follower.hear(message).with_context(|| format!("{} refuses the commit", which.name()))?;
        let (tree, transcript) = follower.hashes();
        ensure!(&tree == tree_hash, "{} has another tree", which.name());
        ensure!(&transcript == confirmed_transcript_hash, "{} has another transcript", which.name());
    }
    Ok(taken)
}
