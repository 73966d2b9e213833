//! Our own engine as a follower. With every step it also checks itself: what was validated has changed nothing before it
//! was applied, and a snapshot with the deltas replayed comes to the same bytes.

use anyhow::{Result, ensure};
use maypole_mls::{Group, Strict, UnixSeconds};
use maypole_testkit::wait::unix_seconds;

use super::{Follower, Seen};

pub(crate) struct Ours {
    group: Group,
    /// The same group, followed by its deltas alone.
    copy: Group,
}

impl Ours {
    fn hear(&mut self, message: &[u8]) -> Result<()> {
        let before = self.group.snapshot();
        let delta = self.group.validate(message, &Strict, UnixSeconds(unix_seconds()));
        ensure!(self.group.snapshot() == before, "a verdict has changed the group");
        let delta = delta?;
        self.copy.replay(&delta.to_bytes())?;
        self.group.apply(delta)?;
        let after = self.group.snapshot();
        ensure!(self.copy.snapshot() == after, "the deltas come to another state");
        ensure!(Group::restore(&after)?.snapshot() == after, "the snapshot comes to another state");
        Ok(())
    }
}

impl Follower for Ours {
    const NAME: &'static str = "ours";
    const READS_SELF_REMOVE: bool = true;

    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self> {
        let group = Group::import(group_info, ratchet_tree, &Strict, UnixSeconds(unix_seconds()))?;
        Ok(Self { copy: Group::restore(&group.snapshot())?, group })
    }

    fn hear_proposal(&mut self, message: &[u8]) -> Result<()> {
        self.hear(message)
    }

    fn hear_commit(&mut self, message: &[u8]) -> Result<()> {
        self.hear(message)
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen {
            epoch: self.group.epoch(),
            tree_hash: self.group.tree_hash().to_vec(),
            confirmed_transcript_hash: self.group.confirmed_transcript_hash().to_vec(),
            ratchet_tree: self.group.ratchet_tree(),
        })
    }

    fn check_members_info(&self, group_info: &[u8]) -> Result<()> {
        Ok(self.group.check_group_info(group_info, None)?)
    }
}
