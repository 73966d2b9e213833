//! Validation of a proposal by itself (RFC 9420 §12.1), when it arrives and again when it is committed.

use super::{Demands, Entry};
use crate::{
    envelope::{MLS_10, Sender},
    refusal::{Place, Refusal, Rule},
    tree::{Kind, Moves, Tree},
    wire::{Extensions, LeafNode, PreSharedKey, Proposal, ReInit, is_default_proposal},
};

/// What a proposal is judged against.
pub(crate) struct ProposalContext<'a> {
    pub(crate) tree: &'a Tree,
    /// The epoch that it is made in.
    pub(crate) epoch: u64,
    /// What the group asks of new leaves: of the commit's own extensions, where it has some.
    pub(crate) demands: &'a Demands<'a>,
}

impl<'a> ProposalContext<'a> {
    /// Judges everything but signatures.
    pub(crate) fn check(&self, proposal: &Proposal<'_>, sender: Sender, place: Place) -> Result<(), Refusal> {
        let demands = self.demands;
        match proposal {
            Proposal::Add(key_package) => demands.check_key_package(key_package, place),
            Proposal::Update(leaf) => self.check_update(leaf, sender, place),
            Proposal::Remove(leaf) if self.tree.leaf(*leaf).is_none() => Err(Rule::RemoveBlank.at(place)),
            Proposal::Remove(_) => Ok(()),
            Proposal::PreSharedKey(key) => self.check_pre_shared_key(key, sender, place),
            Proposal::ReInit(reinit) => self.check_reinit(reinit, place),
            // What is encapsulated by a suite's KEM is a key of it (RFC 9180 §4.1).
            Proposal::ExternalInit(kem_output) if demands.suite.is_hpke_key(kem_output) => Ok(()),
            Proposal::ExternalInit(_) => Err(Rule::ExternalInitKey.at(place)),
            Proposal::GroupContextExtensions(extensions) => self
                .asked_by(*extensions, place)?
                .check_external_senders()
                .map_err(|refusal| refusal.rule.at(place)),
            Proposal::AppDataUpdate(update) => {
                let known = demands.policy.component(update.component);
                let known = known.ok_or(Rule::ComponentUnknown.at(place))?;
                if update.update.is_none() && !known.may_remove() {
                    return Err(Rule::AppDataRefused.at(place));
                }
                Ok(())
            }
            Proposal::AppEphemeral(said) => {
                let known = demands.policy.component(said.component);
                let takes = known.ok_or(Rule::ComponentUnknown.at(place))?.takes(said.data);
                if takes { Ok(()) } else { Err(Rule::AppDataRefused.at(place)) }
            }
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

    fn check_pre_shared_key(
        &self,
        key: &PreSharedKey<'_>,
        sender: Sender,
        place: Place,
    ) -> Result<(), Refusal> {
        if key.nonce.len() != self.demands.suite.hash_bytes() {
            return Err(Rule::PskNonce.at(place));
        }
        // What a group was made from is said by its creator in its first commit, and by nobody later (§11.2, §11.3).
        let begins = self.epoch == 0 && matches!(sender, Sender::Member(_));
        if key.says_origin() && !begins {
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
        self.asked_by(reinit.extensions, place)?;
        if !self.demands.policy.takes_reinit() {
            return Err(Rule::ReInitRefused.at(place));
        }
        Ok(())
    }

    /// What a group would ask with other extensions: that it may have them, and that their data can be read.
    fn asked_by<'e>(&self, extensions: Extensions<'e>, place: Place) -> Result<Demands<'e>, Refusal>
    where
        'a: 'e,
    {
        Demands::of(self.demands.suite, extensions, self.demands.policy, self.demands.now)
            .map_err(|refusal| refusal.rule.at(place))
    }
}
