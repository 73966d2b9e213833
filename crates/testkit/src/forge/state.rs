//! What a group is between two commits (§8.1, §8.2).

use std::collections::BTreeMap;

use super::keys::{SigningKey, Suite};
use super::leaf::{Extension, write_extensions};
use super::tree::Tree;
use super::wire::Wire;

/// A group at one epoch, with everybody's signature key.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) group_id: Vec<u8>,
    pub(super) epoch: u64,
    pub(super) tree: Tree,
    pub(super) tree_hash: Vec<u8>,
    pub(super) keys: BTreeMap<u32, SigningKey>,
    pub(super) extensions: Vec<Extension>,
    pub(super) confirmed: Vec<u8>,
    pub(super) interim: Vec<u8>,
    pub(super) confirmation_tag: Vec<u8>,
}

impl State {
    /// The encoded `GroupContext`.
    pub(super) fn context(&self, suite: Suite) -> Vec<u8> {
        let wire = Wire::new().u16(1).u16(suite.number()).vector(&self.group_id).u64(self.epoch);
        write_extensions(wire.vector(&self.tree_hash).vector(&self.confirmed), &self.extensions).done()
    }

    /// Brings the tree hash up to date with the tree.
    pub(super) fn hash_tree(&mut self) {
        let root = self.tree.root();
        self.tree_hash = self.tree.hash(root).as_ref().to_vec();
    }

    /// Brings the interim transcript hash up to date with the confirmed one and the tag.
    pub(super) fn hash_interim(&mut self, suite: Suite) {
        let input = Wire::new().raw(&self.confirmed).vector(&self.confirmation_tag).done();
        self.interim = suite.hash(&input).as_ref().to_vec();
    }
}
