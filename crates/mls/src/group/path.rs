//! A commit's update path against the tree that the proposals have made (RFC 9420 §7.6, §12.4.2).

use std::collections::HashSet;

use super::Group;
use crate::{
    refusal::{Place, Refusal, Rule},
    rules::{Demands, Entry, ProposalContext},
    tree::{Draft, leaves_under},
    wire::{LeafNode, LeafSource, UpdatePath},
};

/// Keys and credentials that a commit brings, as far as it was read.
#[derive(Default)]
pub(super) struct Fresh<'m> {
    encryption_keys: HashSet<&'m [u8]>,
    signature_keys: HashSet<&'m [u8]>,
    credentials: HashSet<&'m [u8]>,
}

impl<'m> Fresh<'m> {
    /// Notes by what a leaf's client is known.
    pub(super) fn note_client(&mut self, leaf: &LeafNode<'m>) {
        self.signature_keys.insert(leaf.signature_key);
        self.credentials.insert(leaf.credential.raw);
    }

    /// Judges that a leaf's client is none of those that were noted.
    pub(super) fn check_client(
        &self,
        leaf: &LeafNode<'_>,
        place: Place,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        if self.signature_keys.contains(leaf.signature_key) {
            return Err(Rule::SignatureKeyTwice.at(place));
        }
        if self.credentials.contains(leaf.credential.raw) && !demands.policy.may_share_identity() {
            return Err(Rule::IdentityTwice.at(place));
        }
        Ok(())
    }

    /// Judges that what a new leaf brings stands nowhere else: in the draft, at leaves other than the one that it
    /// replaces, or among what is fresh (§7.3, §12.2, §12.4.3.1, §16.7).
    pub(super) fn check_leaf(
        &mut self,
        draft: &Draft<'_>,
        leaf: &LeafNode<'m>,
        own: Option<u32>,
        place: Place,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        let signs = draft.finds_signature_key(leaf.encryption_key, own).is_some();
        let reads = draft.finds_encryption_key(leaf.signature_key, own).is_some();
        let crossed = self.signature_keys.contains(leaf.encryption_key)
            || self.encryption_keys.contains(leaf.signature_key);
        if signs || reads || crossed {
            return Err(Rule::KeyOfBothKinds.at(place));
        }
        let twice = draft.finds_signature_key(leaf.signature_key, own).is_some();
        if twice || !self.signature_keys.insert(leaf.signature_key) {
            return Err(Rule::SignatureKeyTwice.at(place));
        }
        let twice = draft.finds_encryption_key(leaf.encryption_key, own).is_some();
        if twice || !self.encryption_keys.insert(leaf.encryption_key) {
            return Err(Rule::EncryptionKeyTwice.at(place));
        }
        if !demands.policy.may_share_identity() {
            let twice = draft.finds_credential(leaf.credential.raw, own).is_some();
            if twice || !self.credentials.insert(leaf.credential.raw) {
                return Err(Rule::IdentityTwice.at(place));
            }
        }
        Ok(())
    }
}

/// Who commits, in the draft that has all proposals.
pub(super) struct Committer {
    /// Its leaf's index.
    pub(super) leaf: u32,
    /// The leaf that it replaces: its own, or of a joiner that comes back, the one that goes.
    pub(super) replaces: Option<u32>,
    /// Whether it joins by this commit.
    pub(super) joins: bool,
}

impl Group {
    /// Judges a path and lays it over the draft. `added` are the leaves that the commit has added, in order.
    pub(super) fn judge_path<'m>(
        &self,
        draft: &mut Draft<'_>,
        path: &UpdatePath<'m>,
        committer: &Committer,
        added: &[u32],
        fresh: &mut Fresh<'m>,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        let place = Place::PathLeaf;
        demands.check_leaf(&path.leaf, Entry::Path, place)?;
        if let Some(old) = committer.replaces.and_then(|leaf| self.tree.leaf(leaf)) {
            let context = ProposalContext { tree: &self.tree, epoch: self.epoch, demands };
            context.check_replacement(&old, &path.leaf, place)?;
        }
        let own = (!committer.joins).then_some(committer.leaf);
        fresh.check_leaf(draft, &path.leaf, own, place, demands)?;

        let steps = draft.filtered_path(committer.leaf);
        if steps.len() != path.nodes.len() {
            return Err(Rule::PathLength.whole());
        }
        let mut keys = Vec::with_capacity(steps.len());
        for (index, (step, node)) in steps.iter().zip(&path.nodes).enumerate() {
            let place = Place::PathNode(index);
            if !self.suite.is_hpke_key(node.encryption_key) {
                return Err(Rule::PathKeyForm.at(place));
            }
            let stands = draft.finds_encryption_key(node.encryption_key, None).is_some();
            if stands || !fresh.encryption_keys.insert(node.encryption_key) {
                return Err(Rule::PathKey.at(place));
            }
            let signs = draft.finds_signature_key(node.encryption_key, None).is_some();
            if signs || fresh.signature_keys.contains(node.encryption_key) {
                return Err(Rule::KeyOfBothKinds.at(place));
            }
            let (first, end) = leaves_under(step.copath);
            let new = added.partition_point(|leaf| *leaf < end) - added.partition_point(|leaf| *leaf < first);
            let expected = (draft.resolution(step.copath) as usize).saturating_sub(new);
            if node.ciphertexts.count as usize != expected {
                return Err(Rule::PathCiphertexts.at(place));
            }
            let size = (self.suite.hpke_key_bytes(), self.suite.path_ciphertext_bytes());
            if expected > 0 && node.ciphertexts.sizes != Some(size) {
                return Err(Rule::PathCiphertextSize.at(place));
            }
            keys.push(node.encryption_key);
        }
        let expected = draft.renew_path(committer.leaf, &steps, &keys);
        match path.leaf.source {
            LeafSource::Commit { parent_hash } if parent_hash == expected.as_ref() => {}
            _ => return Err(Rule::LeafParentHash.at(place)),
        }
        draft.place(committer.leaf, path.leaf.raw.into());
        Ok(())
    }
}
