//! A tree out of the bytes of a `ratchet_tree` (RFC 9420 §12.4.3.3), and what must be true of its shape, its parents
//! and its keys. What its leaves must be is for [`crate::rules`].

use std::collections::HashMap;

use super::{
    Node, Tree, math,
    nodes::{encryption_key, has_unmerged, leaf_at, unmerged},
};
use crate::{
    reader::{Broken, Reader},
    suite::Suite,
    wire::LeafNode,
};

/// Why a tree is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImportError {
    /// The bytes are not what they say they are.
    Broken(Broken),
    /// The last node is blank, or there is none.
    BlankAtEnd,
    /// More leaves than the bound.
    TooMany,
    /// A parent of which one side is empty: no commit leaves one behind (§7.5, §4.1.2).
    OneSided(u32),
    /// A parent whose unmerged leaves are not in order, blank, not below it, or not in the parents between (§12.4.3.1).
    Unmerged(u32),
    /// A node's HPKE key that stands at another node as well (§12.4.3.1).
    EncryptionKeyTwice(u32),
    /// A leaf's signature key that stands at another leaf as well (§7.3).
    SignatureKeyTwice(u32),
    /// A leaf's signature key that is a node's HPKE key as well (§16.7).
    KeyOfBothKinds(u32),
    /// A leaf's credential that stands at another leaf as well.
    CredentialTwice(u32),
    /// A parent's HPKE key that is none.
    BadKey(u32),
    /// A parent that no leaf answers for (§7.9.2).
    ParentHash(u32),
}

impl From<Broken> for ImportError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Tree {
    /// Reads `optional<Node> ratchet_tree<V>`, and judges its shape, and that no key stands in it twice, nor, where members
    /// must be kept apart, a credential.
    pub(crate) fn read(suite: Suite, bytes: &[u8], members: u32, apart: bool) -> Result<Self, ImportError> {
        let mut reader = Reader::new(bytes);
        let mut inside = reader.vector("the ratchet tree is cut short")?;
        reader.end()?;
        let mut nodes: Vec<Node> = Vec::new();
        while !inside.rest().is_empty() {
            if nodes.len() / 2 >= members as usize {
                return Err(ImportError::TooMany);
            }
            let node = read_node(&mut inside, nodes.len().is_multiple_of(2))?;
            nodes.push(node);
        }
        if nodes.last().is_none_or(Option::is_none) {
            return Err(ImportError::BlankAtEnd);
        }
        check_distinct(&nodes, apart)?;
        let tree = Self::of(suite, nodes);
        match tree.one_sided_parent() {
            Some(place) => Err(ImportError::OneSided(place)),
            None => Ok(tree),
        }
    }

    /// Judges parents, without a signature.
    pub(crate) fn check_parents(&self) -> Result<(), ImportError> {
        for (place, node) in self.parents() {
            if !self.suite.is_hpke_key(encryption_key(node)) {
                return Err(ImportError::BadKey(place));
            }
            self.check_unmerged(place, node)?;
        }
        self.unchained_parent().map_or(Ok(()), |place| Err(ImportError::ParentHash(place)))
    }

    fn one_sided_parent(&self) -> Option<u32> {
        let empty = |child| self.resolution(child) == 0;
        let mut parents = self.parents().map(|(place, _)| place);
        parents.find(|place| empty(math::left(*place)) || empty(math::right(*place)))
    }

    fn check_unmerged(&self, place: u32, node: &[u8]) -> Result<(), ImportError> {
        let wrong = Err(ImportError::Unmerged(place));
        let (first, end) = math::leaves_under(place);
        let mut next = first;
        for leaf in unmerged(node) {
            if leaf < next || leaf >= end || self.node(math::place_of(leaf)).is_none() {
                return wrong;
            }
            next = leaf + 1;
            let between = math::direct_path(leaf, self.width).map(|(parent, _)| parent);
            for parent in between.take_while(|parent| *parent != place) {
                if self.node(parent).is_some_and(|node| !has_unmerged(node, leaf)) {
                    return wrong;
                }
            }
        }
        Ok(())
    }
}

/// Judges keys before they come into tables, which would be slow with many equal ones.
fn check_distinct(nodes: &[Node], apart: bool) -> Result<(), ImportError> {
    let mut encryption_keys = HashMap::with_capacity(nodes.len());
    let mut signature_keys = HashMap::new();
    let mut credentials = HashMap::new();
    for (place, node) in (0..).zip(nodes) {
        let Some(node) = node.as_deref() else { continue };
        if let Some(first) = encryption_keys.insert(encryption_key(node), place) {
            return Err(ImportError::EncryptionKeyTwice(first));
        }
        let Some(leaf) = leaf_at(node).filter(|_| math::level(place) == 0) else { continue };
        if let Some(first) = signature_keys.insert(leaf.signature_key, math::leaf_of(place)) {
            return Err(ImportError::SignatureKeyTwice(first));
        }
        match credentials.insert(leaf.credential.raw, math::leaf_of(place)) {
            Some(first) if apart => return Err(ImportError::CredentialTwice(first)),
            _ => {}
        }
    }
    let of_both_kinds = signature_keys.iter().filter(|(key, _)| encryption_keys.contains_key(*key));
    // The first of them, so that one tree has one verdict.
    match of_both_kinds.map(|(_, leaf)| *leaf).min() {
        Some(leaf) => Err(ImportError::KeyOfBothKinds(leaf)),
        None => Ok(()),
    }
}

fn read_node(reader: &mut Reader<'_>, is_leaf: bool) -> Result<Node, Broken> {
    if !reader.present("a node is cut short")? {
        return Ok(None);
    }
    let misplaced = reader.broken("a leaf stands in a parent's place, or a parent in a leaf's");
    match (reader.u8("a node's type is missing")?, is_leaf) {
        (1, true) => Ok(Some(LeafNode::read(reader)?.raw.into())),
        (2, false) => {
            let start = reader.clone();
            reader.opaque("a parent's key is cut short")?;
            reader.opaque("a parent's hash is cut short")?;
            let uneven = reader.broken("a list of unmerged leaves ends in the middle of one");
            if !reader.opaque("a parent's unmerged leaves are cut short")?.len().is_multiple_of(4) {
                return Err(uneven);
            }
            Ok(Some(reader.since(&start).into()))
        }
        _ => Err(misplaced),
    }
}
