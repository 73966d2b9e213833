//! Validation of a proposal by itself (RFC 9420 §12.1), when it arrives and again when it is committed.

use super::{Demands, Entry};
use crate::{
    envelope::{MLS_10, Sender},
    refusal::{Place, Refusal, Rule},
    tree::{Kind, Moves, Tree},
    wire::{Extensions, LeafNode, PreSharedKey, Proposal, ReInit, is_default_proposal},
};

/// The usage of a resumption key that an application may ask for (§8.4).
const USAGE_APPLICATION: u8 = 1;

/// What a proposal is judged against.
pub(crate) struct ProposalContext<'a> {
    pub(crate) tree: &'a Tree,
    /// What the group asks of new leaves: of the commit's own extensions, where it has some.
    pub(crate) demands: &'a Demands<'a>,
}

impl ProposalContext<'_> {
    /// Judges everything but signatures.
    pub(crate) fn check(&self, proposal: &Proposal<'_>, sender: Sender, place: Place) -> Result<(), Refusal> {
        let demands = self.demands;
        match proposal {
            Proposal::Add(key_package) => demands.check_key_package(key_package, place),
            Proposal::Update(leaf) => self.check_update(leaf, sender, place),
            Proposal::Remove(leaf) if self.tree.leaf(*leaf).is_none() => Err(Rule::RemoveBlank.at(place)),
            Proposal::Remove(_) => Ok(()),
            Proposal::PreSharedKey(key) => self.check_pre_shared_key(key, place),
            Proposal::ReInit(reinit) => self.check_reinit(reinit, place),
            Proposal::ExternalInit(kem_output) if kem_output.len() == demands.suite.hpke_key_bytes() => {
                Ok(())
            }
            Proposal::ExternalInit(_) => Err(Rule::ExternalInitKey.at(place)),
            Proposal::GroupContextExtensions(extensions) => self.check_group_extensions(*extensions, place),
            // Types beyond RFC 9420's must be listed by all who will process them; whether they are is judged with
            // the list of the commit, because who is removed by it does not count.
            Proposal::SelfRemove | Proposal::Other { .. } => Ok(()),
        }
    }

    /// Whether every member lists a type of proposal, those aside who go (§12.2).
    pub(crate) fn is_supported(&self, kind: u16, gone: &Moves) -> bool {
        is_default_proposal(kind) || self.tree.census().all_list(Kind::Proposal, kind, gone)
    }

    fn check_update(&self, leaf: &LeafNode<'_>, sender: Sender, place: Place) -> Result<(), Refusal> {
        let Sender::Member(index) = sender else { return Err(Rule::SenderKind.at(place)) };
        let old = self.tree.leaf(index).ok_or(Rule::SenderBlank.at(place))?;
        self.check_replacement(&old, leaf, place)?;
        self.demands.check_leaf(leaf, Entry::Update, place)
    }

    /// Whether one leaf may take another's place.
    pub(crate) fn check_replacement(
        &self,
        old: &LeafNode<'_>,
        new: &LeafNode<'_>,
        place: Place,
    ) -> Result<(), Refusal> {
        if old.encryption_key == new.encryption_key {
            return Err(Rule::EncryptionKeyKept.at(place));
        }
        if !self.demands.policy.may_replace(&old.credential, &new.credential) {
            return Err(Rule::IdentityChanged.at(place));
        }
        Ok(())
    }

    fn check_pre_shared_key(&self, key: &PreSharedKey<'_>, place: Place) -> Result<(), Refusal> {
        if key.nonce.len() != self.demands.suite.hash_bytes() {
            return Err(Rule::PskNonce.at(place));
        }
        if key.usage.is_some_and(|usage| usage != USAGE_APPLICATION) {
            return Err(Rule::PskUsage.at(place));
        }
        if !self.demands.policy.takes_pre_shared_keys() {
            return Err(Rule::PskRefused.at(place));
        }
        Ok(())
    }

    fn check_reinit(&self, reinit: &ReInit<'_>, place: Place) -> Result<(), Refusal> {
        if reinit.version < MLS_10 {
            return Err(Rule::ReInitVersion.at(place));
        }
        self.check_group_extensions(reinit.extensions, place)?;
        if !self.demands.policy.takes_reinit() {
            return Err(Rule::ReInitRefused.at(place));
        }
        Ok(())
    }

    /// Whether a group may have these extensions, and their data can be read.
    fn check_group_extensions(&self, extensions: Extensions<'_>, place: Place) -> Result<(), Refusal> {
        let demands = self.demands;
        Demands::of(demands.suite, extensions, demands.policy, demands.now)
            .map(drop)
            .map_err(|refusal| refusal.rule.at(place))
    }
}
