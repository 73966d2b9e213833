//! What a ratchet tree looks like: its width, its blanks, its unmerged leaves, and whose keys its leaves hold.

use std::collections::BTreeMap;

use anyhow::Result;
use openmls::prelude::ParentNode;
use openmls::prelude::tls_codec::{Deserialize as _, VLBytes};

use super::super::{Member, reading};

/// A tree, as far as it matters for telling what a commit did to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Leaves, blank ones included.
    pub(super) width: usize,
    /// Leaves that nobody holds.
    pub(super) blank_leaves: usize,
    /// Parents without a key.
    pub(super) blank_parents: usize,
    /// Parents with a key.
    pub(super) full_parents: usize,
    /// Parents that list unmerged leaves.
    pub(super) parents_with_unmerged: usize,
    /// Identity and signature key of each leaf.
    pub(super) leaves: BTreeMap<u32, (Vec<u8>, Vec<u8>)>,
}

impl Shape {
    /// The tree that a member sees.
    pub(super) fn seen_by(member: &Member) -> Result<Self> {
        let tree = member.group()?.treesync();
        let leaves = tree.full_leaves().map(|(index, leaf)| {
            let identity = leaf.credential().serialized_content().to_vec();
            (index.u32(), (identity, leaf.signature_key().as_slice().to_vec()))
        });
        let mut parents_with_unmerged = 0;
        for (_, parent) in tree.full_parents() {
            parents_with_unmerged += usize::from(lists_unmerged(parent)?);
        }
        Ok(Self {
            width: tree.leaves().len(),
            blank_leaves: tree.blank_leaves().count(),
            blank_parents: tree.blank_parents().count(),
            full_parents: tree.full_parents().count(),
            parents_with_unmerged,
            leaves: leaves.collect(),
        })
    }

    /// Where an identity sits.
    pub(super) fn leaf_of(&self, identity: &str) -> Option<u32> {
        let holder =
            |(_, (holder, _)): &(&u32, &(Vec<u8>, Vec<u8>))| holder.as_slice() == identity.as_bytes();
        self.leaves.iter().find(holder).map(|(leaf, _)| *leaf)
    }
}

/// `ParentNode` ends with `uint32 unmerged_leaves<V>`, after two vectors of bytes (RFC 9420 §7.1); OpenMLS shows it
/// only in this encoding.
fn lists_unmerged(parent: &ParentNode) -> Result<bool> {
    let bytes = reading::encode(parent)?;
    let mut rest = bytes.as_slice();
    VLBytes::tls_deserialize(&mut rest)?;
    VLBytes::tls_deserialize(&mut rest)?;
    Ok(!VLBytes::tls_deserialize(&mut rest)?.as_slice().is_empty())
}
