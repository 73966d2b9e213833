//! Groups that are played by chance: founded, and then told message after message, most of them honest, many with up to
//! three lies in them, some damaged after they were signed.
//!
//! Everything is read from [`Choices`], so that a test can draw it from a seed and a fuzzer from its input. What a
//! message is and what lies are in it, it says in words.

mod bytes;
mod choices;
mod commits;
mod contents;
mod extensions;
mod founding;
mod framing;
mod imports;
mod joins;
mod leaves;
mod lists;
mod packages;
mod paths;
mod proposals;
#[cfg(test)]
mod tests;
mod trees;
mod values;

pub use choices::Choices;

use anyhow::Result;

use super::{Capabilities, Commit, Forge, ProposalMessage};

/// A type of proposals, extensions and credentials that no library knows; the body of such a proposal is one vector.
pub const UNKNOWN: u16 = 0xf123;

/// How many earlier messages are kept, to be said again.
const KEPT: usize = 12;

/// What somebody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A proposal by itself.
    Proposal,
    /// A commit by a member.
    Commit,
    /// A commit by somebody who comes in by it.
    ExternalCommit,
    /// A GroupInfo with its tree, to begin with.
    Import,
    /// Something else that may be sent to a group.
    Other,
}

/// A message, and what is known of it.
#[derive(Debug, Clone)]
pub struct Said {
    /// What it is.
    pub kind: Kind,
    /// What it does, in words.
    pub does: Vec<&'static str>,
    /// The lies in it, in words.
    pub lies: Vec<&'static str>,
    /// The bytes of the `MLSMessage`.
    pub message: Vec<u8>,
    /// The tree that comes beside a GroupInfo.
    pub tree: Option<Vec<u8>>,
    meaning: Meaning,
}

/// What becomes of the group if a message is believed.
#[derive(Debug, Clone)]
enum Meaning {
    Nothing,
    Proposal(Box<ProposalMessage>),
    Commit(Box<Commit>),
}

impl Said {
    /// Whether there is no lie in it.
    pub fn is_honest(&self) -> bool {
        self.lies.is_empty()
    }

    /// Of a commit, the tree hash and the confirmed transcript hash that it leads to.
    pub fn leads_to(&self) -> Option<(&[u8], &[u8])> {
        match &self.meaning {
            Meaning::Commit(commit) => Some((commit.tree_hash(), commit.confirmed_transcript_hash())),
            Meaning::Nothing | Meaning::Proposal(_) => None,
        }
    }

    /// Whether it would close the group.
    pub fn closes(&self) -> bool {
        matches!(self.meaning, Meaning::Commit(_)) && self.does.contains(&REINIT)
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}: {}", self.kind, self.does.join(", "))?;
        match self.lies.is_empty() {
            true => formatter.write_str("; honest"),
            false => write!(formatter, "; lies: {}", self.lies.join(" | ")),
        }
    }
}

/// What a commit does that ends the group.
const REINIT: &str = "ReInit";

/// A group, and the choices that say what happens in it.
///
/// ```
/// use maypole_testkit::forge::chance::{Choices, Story};
///
/// let bytes = Choices::bytes_of(1, 4_096);
/// let mut story = Story::begin(Choices::new(&bytes), 1_800_000_000)?;
/// for _ in 0..20 {
///     let said = story.say()?;
///     if said.is_honest() {
///         story.believe(&said)?;
///     }
/// }
/// # anyhow::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Story<'a> {
    choices: Choices<'a>,
    forge: Forge,
    now: u64,
    /// What every member can do, but for those who can do more.
    able: Capabilities,
    pending: Vec<ProposalMessage>,
    /// Proposals of earlier epochs.
    forgotten: Vec<ProposalMessage>,
    heard: Vec<Said>,
    names: u32,
}

impl<'a> Story<'a> {
    /// Founds a group. `now` is the time that lifetimes are about, in seconds of Unix time.
    pub fn begin(choices: Choices<'a>, now: u64) -> Result<Self> {
        founding::found(choices, now)
    }

    /// The group as it is.
    pub fn forge(&self) -> &Forge {
        &self.forge
    }

    /// Whether there is nothing more to choose from.
    pub fn is_over(&self) -> bool {
        self.choices.are_spent()
    }

    /// The next message. Nothing comes of it before it is believed.
    pub fn say(&mut self) -> Result<Said> {
        let mut said = match self.choices.below(32) {
            0..=11 => self.say_commit()?,
            12..=20 => self.say_proposal()?,
            21..=24 => self.say_join()?,
            25..=28 => self.say_import()?,
            _ => self.say_something_else()?,
        };
        if self.choices.rarely(6) {
            self.damage(&mut said);
        }
        if said.kind != Kind::Import {
            self.keep(&said);
        }
        Ok(said)
    }

    /// The group goes on with what was said.
    pub fn believe(&mut self, said: &Said) -> Result<()> {
        match &said.meaning {
            Meaning::Nothing => {}
            Meaning::Proposal(proposal) => self.pending.push((**proposal).clone()),
            Meaning::Commit(commit) => {
                self.forge.play(commit)?;
                self.forgotten = std::mem::take(&mut self.pending);
            }
        }
        Ok(())
    }

    fn keep(&mut self, said: &Said) {
        if self.heard.len() == KEPT {
            self.heard.remove(0);
        }
        let mut said = Said { meaning: Meaning::Nothing, ..said.clone() };
        said.lies.retain(|lie| *lie != bytes::AGAIN);
        self.heard.push(said);
    }

    /// How many lies are to be in a message.
    fn lies(&mut self) -> usize {
        match self.choices.below(16) {
            0..=7 => 0,
            8..=12 => 1,
            13..=14 => 2,
            _ => 3,
        }
    }

    /// A name that nobody has.
    fn name(&mut self) -> String {
        self.names += 1;
        let who = self.choices.one_of("alice", &["bob", "carol", "dan"]);
        let server = self.choices.one_of("a.org", &["b.org"]);
        format!("@{who}:{server}/{}", self.names)
    }
}
