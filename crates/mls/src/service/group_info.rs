//! Whether an uploaded GroupInfo is that of the group (RFC 9420 §12.4.3), so that who joins by it joins this group and no
//! other.

use crate::{
    envelope::MLS_10,
    group::{Delta, Group},
    reader::Reader,
    refusal::{Place, Refusal, Rule},
    rules::Host,
    suite::Suite,
    wire::{GroupContext, GroupInfo, LeafNode},
};

impl Group {
    /// Judges a GroupInfo, bare or as an `MLSMessage`, against the state after a commit: the same context and
    /// confirmation tag, an `external_pub`, and a signature by the leaf that it names, which must be `signer` where that
    /// is given. A tree in it is not looked at: this group's is the one to give out.
    ///
    /// ```
    /// use maypole_mls::{Group, Rule, Strict, UnixSeconds};
    /// use maypole_testkit::mls::Member;
    ///
    /// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let mut group = Group::import(&alice.group_info(true)?, None, &Strict, now)?;
    ///
    /// let commit = alice.update()?;
    /// let early = group.check_group_info(&commit.group_info, Some(0)).unwrap_err();
    /// assert_eq!(early.rule, Rule::ContextDiffers);
    /// group.apply(group.validate(&commit.message, &Strict, now)?).unwrap();
    /// group.check_group_info(&commit.group_info, Some(0))?;
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn check_group_info(&self, bytes: &[u8], signer: Option<u32>) -> Result<(), Refusal> {
        let context = GroupContext::read(&mut Reader::new(self.context()))?;
        let state = State { suite: self.suite(), context, confirmation_tag: self.confirmation_tag() };
        let key = |leaf| self.member(leaf).map(|member| member.node.signature_key);
        state.check(bytes, signer, key)
    }

    /// The same for the state that a commit makes, before it is applied: by the committer, as it must be.
    ///
    /// ```
    /// use maypole_mls::{Group, Strict, UnixSeconds};
    /// use maypole_testkit::mls::Member;
    ///
    /// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let group = Group::import(&alice.group_info(true)?, None, &Strict, now)?;
    ///
    /// let commit = alice.update()?;
    /// let delta = group.validate(&commit.message, &Strict, now)?;
    /// group.check_group_info_after(&delta, &commit.group_info)?;
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// With what is wrong with it; and where the delta is of a proposal, which makes no epoch.
    pub fn check_group_info_after(&self, delta: &Delta, bytes: &[u8]) -> Result<(), Refusal> {
        let (Some(committed), Some(context), Some(confirmation_tag)) =
            (delta.committed(), delta.context(), delta.confirmation_tag())
        else {
            return Err(Rule::NotHandshake.whole());
        };
        let context = GroupContext::read(&mut Reader::new(context))?;
        let state = State { suite: self.suite(), context, confirmation_tag };
        state.check(bytes, Some(committed.committer), |leaf| {
            let renewed = committed.replaced.iter().find(|replaced| replaced.leaf == leaf);
            let joined = committed.joined.iter().find(|joined| joined.leaf == leaf);
            let new = renewed.map(|replaced| &replaced.after).or_else(|| joined.map(|joined| &joined.node));
            match new {
                Some(node) => LeafNode::from_bytes(node).ok().map(|node| node.signature_key),
                None => self.member(leaf).map(|member| member.node.signature_key),
            }
        })
    }
}

/// What a GroupInfo is held against.
struct State<'a> {
    suite: Suite,
    context: GroupContext<'a>,
    confirmation_tag: &'a [u8],
}

impl State<'_> {
    fn check<'k>(
        &self,
        bytes: &[u8],
        signer: Option<u32>,
        key: impl Fn(u32) -> Option<&'k [u8]>,
    ) -> Result<(), Refusal> {
        let info = GroupInfo::from_bytes(bytes)?;
        Host::GroupInfo.check(info.extensions)?;
        let (context, ours) = (info.context, self.context);
        if context.version != MLS_10 {
            return Err(Rule::Version.at(Place::Type(context.version)));
        }
        let same = context.suite == ours.suite
            && context.group_id == ours.group_id
            && context.epoch == ours.epoch
            && context.extensions == ours.extensions;
        if !same {
            return Err(Rule::ContextDiffers.whole());
        }
        if context.tree_hash != ours.tree_hash {
            return Err(Rule::TreeHash.whole());
        }
        if context.confirmed_transcript_hash != ours.confirmed_transcript_hash {
            return Err(Rule::TranscriptHash.whole());
        }
        if info.confirmation_tag != self.confirmation_tag {
            return Err(Rule::TagDiffers.whole());
        }
        if !info.external_pub().is_some_and(|key| self.suite.is_hpke_key(key)) {
            return Err(Rule::NoExternalPub.whole());
        }
        if signer.is_some_and(|signer| signer != info.signer) {
            return Err(Rule::GroupInfoSigner.at(Place::Leaf(info.signer)));
        }
        let key = key(info.signer).ok_or(Rule::GroupInfoSigner.at(Place::Leaf(info.signer)))?;
        info.verify(self.suite, key)
    }
}
