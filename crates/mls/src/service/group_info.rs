//! Whether an uploaded GroupInfo is that of the group (RFC 9420 §12.4.3), so that who joins by it joins this group and no
//! other.

use crate::{
    envelope::MLS_10,
    group::Group,
    reader::Reader,
    refusal::{Place, Refusal, Rule},
    wire::{EXTERNAL_PUB, GroupInfo, RATCHET_TREE},
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
        let info = GroupInfo::from_bytes(bytes)?;
        if let Some(kind) = info.extensions.twice() {
            return Err(Rule::ExtensionTwice.at(Place::Type(kind)));
        }
        if let Some(kind) = info.extensions.misplaced(&[RATCHET_TREE, EXTERNAL_PUB]) {
            return Err(Rule::ExtensionPlace.at(Place::Type(kind)));
        }
        let context = info.context;
        if context.version != MLS_10 {
            return Err(Rule::Version.at(Place::Type(context.version)));
        }
        let same = context.suite == self.suite().code()
            && context.group_id == self.group_id()
            && context.epoch == self.epoch()
            && context.extensions == self.extensions();
        if !same {
            return Err(Rule::ContextDiffers.whole());
        }
        if context.tree_hash != self.tree_hash() {
            return Err(Rule::TreeHash.whole());
        }
        if context.confirmed_transcript_hash != self.confirmed_transcript_hash() {
            return Err(Rule::TranscriptHash.whole());
        }
        if info.confirmation_tag != self.confirmation_tag() {
            return Err(Rule::TagDiffers.whole());
        }
        if !self.has_external_pub(&info) {
            return Err(Rule::NoExternalPub.whole());
        }
        if signer.is_some_and(|signer| signer != info.signer) {
            return Err(Rule::GroupInfoSigner.at(Place::Leaf(info.signer)));
        }
        self.check_info_signature(&info)
    }

    fn has_external_pub(&self, info: &GroupInfo<'_>) -> bool {
        let Some(data) = info.extensions.find(EXTERNAL_PUB) else { return false };
        let mut reader = Reader::new(data);
        let is_key = reader.opaque("external_pub").is_ok_and(|key| self.suite().is_hpke_key(key));
        is_key && reader.end().is_ok()
    }
}
