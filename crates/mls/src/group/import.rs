//! A group out of a GroupInfo and its tree (RFC 9420 §12.4.3.1, §7.3, §7.8, §7.9): everything that a joiner checks and
//! that needs no secret.

use std::{num::NonZero, thread};

use super::Group;
use crate::{
    envelope::MLS_10,
    policy::{Policy, UnixSeconds},
    refusal::{Place, Refusal, Rule},
    rules::{Demands, Entry, Host, leaf_content},
    suite::{Hash, Suite},
    tree::{Moves, Tree},
    wire::{GroupInfo, KeyPackage, RATCHET_TREE},
};

/// Fewer signatures than this are not worth another thread.
const LEAVES_PER_THREAD: usize = 32;

impl Group {
    /// Imports a group from its GroupInfo, bare or as an `MLSMessage`, with its tree apart or in the extension.
    ///
    /// ```
    /// use maypole_mls::{Group, Rule, Strict, UnixSeconds};
    /// use maypole_testkit::mls::Member;
    ///
    /// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let info = alice.group_info(false)?;
    /// let group = Group::import(&info, Some(&alice.ratchet_tree()?), &Strict, now)?;
    /// assert_eq!(group.member(0).and_then(|member| member.identity()), Some(&b"@alice:a.org/PHONE"[..]));
    ///
    /// let refusal = Group::import(&info, None, &Strict, now).unwrap_err();
    /// assert_eq!(refusal.rule, Rule::NoTree);
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// With the rule that is broken, and where.
    pub fn import(
        group_info: &[u8],
        tree: Option<&[u8]>,
        policy: &dyn Policy,
        now: UnixSeconds,
    ) -> Result<Self, Refusal> {
        let bounds = policy.bounds();
        if group_info.len().saturating_add(tree.map_or(0, <[u8]>::len)) > bounds.tree_bytes {
            return Err(Rule::TooLarge.whole());
        }
        let info = GroupInfo::from_bytes(group_info)?;
        if info.context.version != MLS_10 {
            return Err(Rule::Version.at(Place::Type(info.context.version)));
        }
        let suite =
            Suite::from_code(info.context.suite).ok_or(Rule::Suite.at(Place::Type(info.context.suite)))?;
        Host::GroupInfo.check(info.extensions)?;
        if info.confirmation_tag.len() != suite.hash_bytes() {
            return Err(Rule::ConfirmationTag.whole());
        }
        let confirmed = info.context.confirmed_transcript_hash.len();
        if confirmed != if info.context.epoch == 0 { 0 } else { suite.hash_bytes() } {
            return Err(Rule::TranscriptHash.whole());
        }
        let demands = Demands::of(suite, info.context.extensions, policy, now)?;
        let bytes = tree.or_else(|| info.extensions.find(RATCHET_TREE)).ok_or(Rule::NoTree.whole())?;
        let tree = Tree::read(suite, bytes, bounds.members, !policy.may_share_identity())?;
        if tree.root_hash().as_ref() != info.context.tree_hash {
            return Err(Rule::TreeHash.whole());
        }
        let alone = tree.members() == 1 && tree.leaf(0).is_some();
        if info.context.epoch == 0 && !alone {
            return Err(Rule::FirstEpoch.whole());
        }
        demands.check_external_senders()?;
        let group = Self::assemble(&info.context, suite, info.confirmation_tag, tree);
        group.check_leaves(&demands)?;
        group.tree.check_parents()?;
        let signer =
            group.tree.leaf(info.signer).ok_or(Rule::GroupInfoSigner.at(Place::Leaf(info.signer)))?;
        info.verify(suite, signer.signature_key)?;
        group.verify_leaves()?;
        Ok(group)
    }

    /// Judges every leaf by itself, but for its signature, and what all of them can do.
    fn check_leaves(&self, demands: &Demands<'_>) -> Result<(), Refusal> {
        for leaf in self.tree.leaves() {
            let Some(node) = self.tree.leaf(leaf) else { continue };
            demands.check_leaf(&node, Entry::Tree, Place::Leaf(leaf))?;
        }
        match self.tree.census().unsupported_credential(&Moves::default()) {
            Some(kind) => Err(Rule::CredentialUnsupported.at(Place::Type(kind))),
            None => Ok(()),
        }
    }

    /// Verifies the signatures of all leaves, on all cores.
    fn verify_leaves(&self) -> Result<(), Refusal> {
        let leaves: Vec<u32> = self.tree.leaves().collect();
        let verify = |leaves: &[u32]| leaves.iter().copied().find(|leaf| !self.leaf_verifies(*leaf));
        // How many cores there are is a question to the system, which a small group does not ask.
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        let threads = if leaves.len() > LEAVES_PER_THREAD { cores() } else { 1 };
        let share = leaves.len().div_ceil(threads).max(LEAVES_PER_THREAD);
        let forged = thread::scope(|scope| {
            let mut shares = leaves.chunks(share);
            let own = shares.next().unwrap_or_default();
            let others: Vec<_> = shares
                .map(|share| (share, thread::Builder::new().spawn_scoped(scope, move || verify(share))))
                .collect();
            let first = verify(own);
            // A thread that could not be had, or did not end well, has verified nothing.
            let others =
                others.into_iter().filter_map(|(share, thread)| match thread.map(|thread| thread.join()) {
                    Ok(Ok(forged)) => forged,
                    Ok(Err(_)) | Err(_) => verify(share),
                });
            others.fold(first, |first, forged| Some(first.unwrap_or(forged)))
        });
        match forged {
            Some(leaf) => Err(Rule::LeafSignature.at(Place::Leaf(leaf))),
            None => Ok(()),
        }
    }

    fn leaf_verifies(&self, leaf: u32) -> bool {
        let Some(node) = self.tree.leaf(leaf) else { return false };
        let content = leaf_content(&node, self.group_id(), leaf);
        self.suite.verifies(node.signature_key, &content, node.signature)
    }
}

/// Judges a KeyPackage by itself (§10.1), bare or as an `MLSMessage`, for a directory that hands it out; says its
/// `KeyPackageRef`.
///
/// ```
/// use maypole_mls::{Rule, Strict, UnixSeconds, check_key_package};
/// use maypole_testkit::mls::Member;
///
/// let key_package = Member::new("@alice:a.org/PHONE", 1)?.key_package()?;
/// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
/// assert_eq!(check_key_package(&key_package, &Strict, now)?.as_ref().len(), 32);
///
/// let in_a_year = UnixSeconds(now.0 + 365 * 24 * 60 * 60);
/// let refusal = check_key_package(&key_package, &Strict, in_a_year).unwrap_err();
/// assert_eq!(refusal.rule, Rule::LifetimeOver);
/// # anyhow::Ok(())
/// ```
///
/// # Errors
/// With the rule that it breaks.
pub fn check_key_package(bytes: &[u8], policy: &dyn Policy, now: UnixSeconds) -> Result<Hash, Refusal> {
    if bytes.len() > policy.bounds().proposal_bytes {
        return Err(Rule::TooLarge.whole());
    }
    let key_package = KeyPackage::from_bytes(bytes)?;
    if key_package.version != MLS_10 {
        return Err(Rule::KeyPackageVersion.whole());
    }
    let suite = Suite::from_code(key_package.suite).ok_or(Rule::Suite.at(Place::Type(key_package.suite)))?;
    let demands = Demands::of(suite, crate::wire::Extensions::NONE, policy, now)?;
    demands.check_key_package(&key_package, Place::Whole)?;
    demands.verify_key_package(&key_package, Place::Whole)?;
    Ok(key_package.reference(suite))
}
