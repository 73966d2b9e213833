//! The same bytes for everybody: a group, and a chain of commits in it, each the valid next one.
//!
//! A chain is short beside the group, and of one kind, so that each commit in it is as dear as the others.

use anyhow::{Context as _, Result, bail};
use maypole_testkit::{
    forge::{Draft, Forge, Founding, GroupInfoDraft, KeyPackageDraft, Proposal, Shape, Suite},
    wait::unix_seconds,
};

use crate::floor::Floor;

/// What the commits of a chain do. All have a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but the committer's new keys.
    Update,
    /// Removes one member.
    Remove,
    /// Adds one member, by value, to a leaf that is there.
    Add,
    /// The same to a tree without a blank leaf, so that its width doubles.
    Grow,
    /// A stranger comes in from outside, to a leaf that is there.
    External,
    /// A member comes in from outside again, with its old signature key, and takes its old leaf out.
    Resync,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Update, Self::Remove, Self::Add, Self::External, Self::Resync, Self::Grow];

    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        let Some(found) = found else { bail!("no kind of commit is called {name}") };
        Ok(found)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Add => "add",
            Self::Grow => "grow",
            Self::External => "external",
            Self::Resync => "resync",
        }
    }

    /// Whether its chain fills leaves that are blank at first.
    fn fills(self) -> bool {
        matches!(self, Self::Add | Self::External)
    }
}

/// A commit of a chain, and what everybody must come to by it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) message: Vec<u8>,
    pub(crate) tree_hash: Vec<u8>,
    pub(crate) confirmed_transcript_hash: Vec<u8>,
    /// The GroupInfo of the epoch that it makes, without the tree.
    pub(crate) group_info: Vec<u8>,
    pub(crate) floor: Floor,
}

/// A group as it is given to who follows it.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) members: u32,
    /// Without the tree.
    pub(crate) group_info: Vec<u8>,
    pub(crate) tree: Vec<u8>,
    /// When all this happens.
    pub(crate) now: u64,
}

/// A group and its chain.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) start: Start,
    pub(crate) steps: Vec<Step>,
}

/// The most commits of a chain.
const LONGEST_CHAIN: u32 = 16;

/// Makes a group of so many members.
pub(crate) fn found(members: u32, bare: bool, seed: u64) -> Result<(Forge, u64)> {
    let shape = if bare { Shape::Bare } else { Shape::Warm };
    let now = unix_seconds();
    Ok((Forge::new(&Founding::of(Suite::One, members, shape, seed).at(now))?, now))
}

impl Start {
    pub(crate) fn of(forge: &Forge, now: u64) -> Result<Self> {
        Ok(Self {
            members: u32::try_from(forge.members().count())?,
            group_info: forge.group_info(&GroupInfoDraft::by(0))?,
            tree: forge.ratchet_tree(),
            now,
        })
    }
}

impl Scene {
    /// Makes a chain of a kind in a group that has `members` when it is full.
    pub(crate) fn make(kind: Kind, members: u32, bare: bool, seed: u64) -> Result<Self> {
        let length = match kind {
            Kind::Grow => 1,
            _ => (members / 4).min(LONGEST_CHAIN),
        };
        let at_first = if kind.fills() { members - length } else { members };
        let (mut forge, now) = found(at_first, bare, seed)?;
        let start = Start::of(&forge, now)?;
        let mut steps = Vec::new();
        for turn in 0..length {
            let commit = forge.commit(&draft(&forge, kind, at_first, length, turn)?)?;
            let mut after = forge.clone();
            after.play(&commit)?;
            let floor = Floor::of(&forge, &after, &commit).context("the floor")?;
            steps.push(Step {
                tree_hash: commit.tree_hash().to_vec(),
                confirmed_transcript_hash: commit.confirmed_transcript_hash().to_vec(),
                group_info: after.group_info(&GroupInfoDraft::by(commit.committer))?,
                message: commit.message,
                floor,
            });
            forge = after;
        }
        Ok(Self { start, steps })
    }
}

/// The commit of a turn, by members from all over the tree, none of whom is removed by another, or by strangers.
fn draft(forge: &Forge, kind: Kind, members: u32, length: u32, turn: u32) -> Result<Draft> {
    Ok(match kind {
        Kind::Update => forge.draft_update(scattered(turn, members)),
        Kind::Remove => forge.draft_remove(scattered(length + turn, members), &[scattered(turn, members)]),
        Kind::Add | Kind::Grow => {
            let new = forge.key_package(&KeyPackageDraft::of(&format!("@new{turn}:b.org/D")))?;
            forge.draft_update(scattered(turn, members)).with(Proposal::Add(new))
        }
        Kind::External => forge.draft_external(&format!("@new{turn}:b.org/D"), &[])?,
        Kind::Resync => forge.draft_resync(scattered(turn, members))?,
    })
}

/// Goes through all leaves, each once, in steps of about 0.618 of the tree.
fn scattered(turn: u32, members: u32) -> u32 {
    let divides = |step: u32| {
        let (mut a, mut b) = (step, members);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a > 1
    };
    let step = (members * 618 / 1_000..members).find(|step| !divides(*step)).unwrap_or(1);
    (1 + turn * step) % members
}
