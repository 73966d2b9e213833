//! What a library is that follows groups, and what it says.

use anyhow::{Error, Result, anyhow, ensure};

/// Something that follows a group from what everybody can hear.
pub(crate) trait Follower: Sized {
    /// What it is called in a failure.
    const NAME: &'static str;
    /// Whether it knows the proposal type 0x000A, SelfRemove.
    const READS_SELF_REMOVE: bool;

    /// Begins with an epoch's GroupInfo, and the tree where it comes apart.
    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self>;

    /// What a message was found to be, before anything has come of it.
    type Weighed: Weighed;

    /// Judges a message and changes nothing.
    fn weigh(&self, message: &[u8]) -> Result<Self::Weighed>;

    /// Goes on with a message that was judged in the state that this is.
    fn adopt(&mut self, weighed: Self::Weighed) -> Result<()>;

    /// Keeps a proposal for the epoch's commit.
    fn hear_proposal(&mut self, message: &[u8]) -> Result<()> {
        let weighed = self.weigh(message)?;
        ensure!(weighed.leads_to().is_none(), "not a proposal");
        self.adopt(weighed)
    }

    /// Enters a commit's epoch.
    fn hear_commit(&mut self, message: &[u8]) -> Result<()> {
        let weighed = self.weigh(message)?;
        ensure!(weighed.leads_to().is_some(), "not a commit");
        self.adopt(weighed)
    }

    /// What it believes the epoch to be.
    fn seen(&self) -> Result<Seen>;

    /// Judges a GroupInfo that a member has signed for the epoch, where it can.
    fn check_members_info(&self, group_info: &[u8]) -> Result<()> {
        let _ = group_info;
        Ok(())
    }
}

/// A commit or a proposal that was found valid.
pub(crate) trait Weighed {
    /// Of a commit, the tree hash and the confirmed transcript hash that it leads to.
    fn leads_to(&self) -> Option<[Vec<u8>; 2]>;
}

/// The public state of an epoch, as far as all can tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) epoch: u64,
    pub(crate) tree_hash: Vec<u8>,
    pub(crate) confirmed_transcript_hash: Vec<u8>,
    pub(crate) ratchet_tree: Vec<u8>,
}

impl Seen {
    /// Says in what another differs, in words short enough for a failure.
    pub(crate) fn ensure_same(&self, other: &Self) -> Result<()> {
        ensure!(self.epoch == other.epoch, "epoch {} is not {}", self.epoch, other.epoch);
        ensure!(self.ratchet_tree == other.ratchet_tree, "another ratchet tree");
        ensure!(self.tree_hash == other.tree_hash, "another tree hash");
        ensure!(self.confirmed_transcript_hash == other.confirmed_transcript_hash, "another transcript hash");
        Ok(())
    }
}

/// A library's error with all that it holds: what it says in a sentence is often less.
pub(crate) fn in_full(error: impl std::fmt::Debug) -> Error {
    anyhow!("{error:?}")
}
