//! Trees that no history leads to, for the checks of an import.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::Forge;
use super::leaf::LeafDraft;
use super::tree::{At, Node, ParentNode};

/// What to write differently in a parent node.
#[derive(Debug, Clone, Default)]
pub struct ParentDraft {
    /// HPKE public key.
    pub encryption_key: Option<Vec<u8>>,
    /// The parent hash.
    pub parent_hash: Option<Vec<u8>>,
    /// Unmerged leaves, in any order.
    pub unmerged: Option<Vec<u32>>,
}

impl Forge {
    /// Changes a leaf where it stands and signs it anew. The tree hash follows, parent hashes do not: in a tree without
    /// parents that is one lie. For one lie among parents, found the group with the leaf.
    pub fn edit_leaf(&mut self, index: u32, draft: &LeafDraft) -> Result<()> {
        let leaf = draft.on(&self.member(index)?, &self.state.group_id, index)?;
        self.state.tree.set_leaf(index, leaf.node);
        self.state.keys.insert(index, leaf.key);
        self.state.hash_tree();
        Ok(())
    }

    /// Changes a parent node where it stands, or makes one where there is none. The tree hash follows.
    pub fn edit_parent(&mut self, at: At, draft: &ParentDraft) -> Result<()> {
        let tree = &mut self.state.tree;
        anyhow::ensure!(at.level > 0 && tree.contains(at), "there is no parent node at {at:?}");
        let mut parent = match tree.parent(at) {
            Some(parent) => (**parent).clone(),
            None => ParentNode {
                encryption_key: draft.encryption_key.clone().context("a new node needs a key")?,
                parent_hash: Vec::new(),
                unmerged: Vec::new(),
            },
        };
        parent.encryption_key = draft.encryption_key.clone().unwrap_or(parent.encryption_key);
        parent.parent_hash = draft.parent_hash.clone().unwrap_or(parent.parent_hash);
        parent.unmerged = draft.unmerged.clone().unwrap_or(parent.unmerged);
        tree.set(at, Some(Node::Parent(Arc::new(parent))));
        self.state.hash_tree();
        Ok(())
    }

    /// Blanks a node. The tree hash follows.
    pub fn blank(&mut self, at: At) {
        self.state.tree.set(at, None);
        if at.level == 0 {
            self.state.keys.remove(&(at.place as u32));
        }
        self.state.hash_tree();
    }

    /// Puts other extensions into the group, as though they had always been there.
    pub fn set_extensions(&mut self, extensions: &[super::Extension]) {
        self.state.extensions = extensions.to_vec();
    }
}
