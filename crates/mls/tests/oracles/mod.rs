//! Libraries that follow the same groups, so that every epoch has more than one judge.

pub(crate) mod mls_rs;
pub(crate) mod openmls;
pub(crate) mod ours;

use anyhow::{Result, ensure};

/// Something that follows a group from what everybody can hear.
pub(crate) trait Follower: Sized {
    /// What it is called in a failure.
    const NAME: &'static str;
    /// Whether it knows the proposal type 0x000A, SelfRemove.
    const READS_SELF_REMOVE: bool;

    /// Begins with an epoch's GroupInfo, and the tree where it comes apart.
    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self>;

    /// Keeps a proposal for the epoch's commit.
    fn hear_proposal(&mut self, message: &[u8]) -> Result<()>;

    /// Enters a commit's epoch.
    fn hear_commit(&mut self, message: &[u8]) -> Result<()>;

    /// What it believes the epoch to be.
    fn seen(&self) -> Result<Seen>;

    /// Judges a GroupInfo that a member has signed for the epoch, where it can.
    fn check_members_info(&self, group_info: &[u8]) -> Result<()> {
        let _ = group_info;
        Ok(())
    }
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
