//! Our own engine as a follower. With every step it also checks itself: a verdict changes nothing, and a snapshot with
//! the deltas replayed comes to the same bytes.

use anyhow::{Result, ensure};
use maypole_mls::{Delta, Group, Policy, Strict, UnixSeconds};
use maypole_testkit::wait::unix_seconds;

use super::{Follower, Seen, Weighed};

pub(crate) struct Ours {
    group: Group,
    /// The same group, followed by its deltas alone.
    copy: Group,
    policy: &'static dyn Policy,
}

/// A verdict, and the group with it carried out.
pub(crate) struct After {
    delta: Delta,
    group: Group,
}

impl Weighed for After {
    fn leads_to(&self) -> Option<[Vec<u8>; 2]> {
        let hashes = [self.group.tree_hash(), self.group.confirmed_transcript_hash()];
        self.delta.committed().map(|_| hashes.map(<[u8]>::to_vec))
    }
}

impl Ours {
    /// Begins, and judges by another policy than the defaults.
    pub(crate) fn observe_under(
        policy: &'static dyn Policy,
        group_info: &[u8],
        ratchet_tree: Option<&[u8]>,
    ) -> Result<Self> {
        let group = Group::import(group_info, ratchet_tree, policy, UnixSeconds(unix_seconds()))?;
        Ok(Self { copy: Group::restore(&group.snapshot())?, group, policy })
    }

    /// The group.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }
}

impl Follower for Ours {
    const NAME: &'static str = "ours";
    const READS_SELF_REMOVE: bool = true;

    type Weighed = After;

    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self> {
        Self::observe_under(&Strict, group_info, ratchet_tree)
    }

    fn weigh(&self, message: &[u8]) -> Result<After> {
        let before = self.group.snapshot();
        let delta = self.group.validate(message, self.policy, UnixSeconds(unix_seconds()));
        ensure!(self.group.snapshot() == before, "a verdict has changed the group");
        let delta = delta?;
        let mut group = self.group.clone();
        group.apply(delta.clone())?;
        Ok(After { delta, group })
    }

    fn adopt(&mut self, weighed: After) -> Result<()> {
        self.copy.replay(&weighed.delta.to_bytes())?;
        self.group.apply(weighed.delta)?;
        let after = self.group.snapshot();
        ensure!(weighed.group.snapshot() == after, "a copy comes to another state");
        ensure!(self.copy.snapshot() == after, "the deltas come to another state");
        ensure!(Group::restore(&after)?.snapshot() == after, "the snapshot comes to another state");
        Ok(())
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
