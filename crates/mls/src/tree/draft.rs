//! Changes laid over a tree: what RFC 9420 §12.3 and §7.5 do to it, without doing it.
//!
//! Only the nodes that change are held here, and those above them, whose hashes change.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Node, Tree, math,
    nodes::{
        encryption_key, leaf_at, leaf_hash, parent_hash, parent_node_hash, signature_key, unmerged_count,
        with_unmerged, write_parent,
    },
    store::Changes,
};
use crate::suite::Hash;

/// A tree with changes.
#[derive(Debug)]
pub(crate) struct Draft<'t> {
    tree: &'t Tree,
    width: u32,
    touched: BTreeMap<u32, Touched>,
    /// Leaves that the draft has made blank and not filled again.
    freed: BTreeSet<u32>,
    /// Below this leaf no blank leaf of the tree is left.
    searched: u32,
    /// Leaves that the draft has filled.
    filled: BTreeSet<u32>,
}

#[derive(Debug, Default)]
struct Touched {
    node: Node,
    settled: Option<(Hash, u32)>,
}

/// A node of a leaf's filtered direct path (§4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathStep {
    /// The node.
    pub(crate) place: u32,
    /// Its child off the path.
    pub(crate) copath: u32,
}

impl<'t> Draft<'t> {
    /// No changes yet.
    pub(super) fn over(tree: &'t Tree) -> Self {
        Self {
            tree,
            width: tree.width,
            touched: BTreeMap::new(),
            freed: BTreeSet::new(),
            searched: 0,
            filled: BTreeSet::new(),
        }
    }

    /// A node's bytes, unless it is blank.
    pub(crate) fn node(&self, place: u32) -> Option<&[u8]> {
        match self.touched.get(&place) {
            Some(touched) => touched.node.as_deref(),
            None => self.tree.node(place),
        }
    }

    /// How many members stay, before anybody comes.
    pub(crate) fn staying(&self) -> usize {
        (self.tree.members() as usize).saturating_sub(self.freed.len())
    }

    /// Replaces a leaf by an Update (§12.1.2).
    pub(crate) fn update(&mut self, leaf: u32, node: Box<[u8]>) {
        self.set(math::place_of(leaf), Some(node));
        self.blank_path(leaf);
    }

    /// Removes a leaf (§12.1.3).
    pub(crate) fn remove(&mut self, leaf: u32) {
        self.set(math::place_of(leaf), None);
        self.blank_path(leaf);
        self.freed.insert(leaf);
    }

    /// Cuts the tree to its members (§7.7), once all that go are gone and before anybody comes.
    pub(crate) fn truncate(&mut self) {
        if self.freed.is_empty() {
            return;
        }
        let mut last = self.tree.occupied.previous(self.width - 1);
        while let Some(leaf) = last.filter(|leaf| self.freed.contains(leaf)) {
            last = leaf.checked_sub(1).and_then(|before| self.tree.occupied.previous(before));
        }
        self.width = math::width_for(last.unwrap_or(0));
    }

    /// Adds a leaf (§12.1.1), and says where.
    pub(crate) fn add(&mut self, node: Box<[u8]>) -> u32 {
        let leaf = self.claim();
        self.set(math::place_of(leaf), Some(node));
        for (place, _) in math::direct_path(leaf, self.width) {
            let node = self.node(place).map(|parent| with_unmerged(parent, leaf));
            self.set(place, node);
        }
        leaf
    }

    /// The leftmost blank leaf, which is the caller's to fill; the tree doubles where there is none.
    pub(crate) fn claim(&mut self) -> u32 {
        let prepared = self.tree.prepared();
        let blank = self.tree.blank.next(self.searched).unwrap_or(prepared.max(self.searched));
        let leaf = match self.freed.first() {
            Some(freed) if *freed < blank => *freed,
            _ => blank,
        };
        if !self.freed.remove(&leaf) {
            self.searched = leaf + 1;
            self.filled.insert(leaf);
        }
        while self.width <= leaf {
            self.width *= 2;
        }
        leaf
    }

    /// A leaf's filtered direct path, from the bottom (§4.1.2).
    pub(crate) fn filtered_path(&mut self, leaf: u32) -> Vec<PathStep> {
        let path: Vec<_> = math::direct_path(leaf, self.width).collect();
        let steps = path.into_iter().map(|(place, copath)| PathStep { place, copath });
        steps.filter(|step| self.resolution(step.copath) > 0).collect()
    }

    /// The size of a node's resolution.
    pub(crate) fn resolution(&mut self, place: u32) -> u32 {
        self.settle(place).1
    }

    /// Puts new keys on a leaf's filtered direct path and makes the rest of its direct path blank (§7.5), and says the
    /// parent hash that belongs into the leaf (§7.9).
    pub(crate) fn renew_path(&mut self, leaf: u32, path: &[PathStep], keys: &[&[u8]]) -> Hash {
        let suite = self.tree.suite;
        let mut above = Hash::EMPTY;
        self.blank_path(leaf);
        for (step, key) in path.iter().zip(keys).rev() {
            let sibling = self.settle(step.copath).0;
            self.set(step.place, Some(write_parent(key, above.as_ref(), &[])));
            above = parent_hash(suite, key, above.as_ref(), sibling.as_ref());
        }
        above
    }

    /// Fills a leaf whose path was renewed.
    pub(crate) fn place(&mut self, leaf: u32, node: Box<[u8]>) {
        self.set(math::place_of(leaf), Some(node));
    }

    /// A node, other than the leaf `own`, that has this HPKE key already in the tree with what the draft has changed so
    /// far. Of what it has added itself it knows nothing.
    pub(crate) fn finds_encryption_key(&self, key: &[u8], own: Option<u32>) -> Option<u32> {
        let stands = |place| self.node(place).is_some_and(|node| encryption_key(node) == key);
        self.tree.encryption_keys().find(key, |place| own.map(math::place_of) != Some(place) && stands(place))
    }

    /// The same for a signature key; says the leaf.
    pub(crate) fn finds_signature_key(&self, key: &[u8], own: Option<u32>) -> Option<u32> {
        let stands = |place| self.node(place).is_some_and(|node| signature_key(node) == key);
        let found = self
            .tree
            .signature_keys()
            .find(key, |place| own.map(math::place_of) != Some(place) && stands(place));
        found.map(math::leaf_of)
    }

    /// The same for a credential; says the leaf.
    pub(crate) fn finds_credential(&self, credential: &[u8], own: Option<u32>) -> Option<u32> {
        let stands =
            |place| self.node(place).and_then(leaf_at).is_some_and(|leaf| leaf.credential.raw == credential);
        let found = self
            .tree
            .credentials()
            .find(credential, |place| own.map(math::place_of) != Some(place) && stands(place));
        found.map(math::leaf_of)
    }

    /// All hashes, and what is to change.
    pub(crate) fn settled(mut self) -> Changes {
        self.settle(math::root(self.width));
        // What was cut off must be right as well: it is what the tree grows into again.
        let cut: Vec<u32> = self.touched.range(2 * self.width - 1..).map(|(place, _)| *place).collect();
        for place in cut {
            self.settle(place);
        }
        let added = u32::try_from(self.filled.len()).unwrap_or(u32::MAX);
        let nodes = self.touched.into_iter().filter_map(|(place, touched)| {
            let (hash, resolution) = touched.settled?;
            Some((place, touched.node, hash, resolution))
        });
        Changes { width: self.width, nodes: nodes.collect(), added }
    }

    fn set(&mut self, place: u32, node: Node) {
        self.touched.insert(place, Touched { node, settled: None });
    }

    fn blank_path(&mut self, leaf: u32) {
        for (place, _) in math::direct_path(leaf, self.width) {
            self.set(place, None);
        }
    }

    /// A node's hash and the size of its resolution.
    fn settle(&mut self, place: u32) -> (Hash, u32) {
        let is_leaf = math::level(place) == 0;
        match self.touched.get(&place) {
            Some(Touched { settled: Some(settled), .. }) => return *settled,
            None if self.is_settled_in_tree(place) => {
                return (self.tree.hash(place), self.tree.resolution(place));
            }
            _ if is_leaf => {}
            _ => return self.settle_parent(place),
        }
        let node = self.node(place);
        let settled = (leaf_hash(self.tree.suite, math::leaf_of(place), node), u32::from(node.is_some()));
        self.remember(place, settled)
    }

    fn settle_parent(&mut self, place: u32) -> (Hash, u32) {
        let (left, left_size) = self.settle(math::left(place));
        let (right, right_size) = self.settle(math::right(place));
        let node = self.node(place);
        let hash = parent_node_hash(self.tree.suite, node, left.as_ref(), right.as_ref());
        let size = node.map_or(left_size.saturating_add(right_size), |bytes| 1 + unmerged_count(bytes));
        self.remember(place, (hash, size))
    }

    /// The tree knows the hashes of what is within its width, and of blank nodes beyond it whose leaves are prepared.
    fn is_settled_in_tree(&self, place: u32) -> bool {
        let (first, end) = math::leaves_under(place);
        end <= self.tree.width || (first >= self.tree.width && end <= self.tree.prepared())
    }

    fn remember(&mut self, place: u32, settled: (Hash, u32)) -> (Hash, u32) {
        // Blank nodes beyond what is prepared are not touched, and hashed for this draft alone.
        if let Some(touched) = self.touched.get_mut(&place) {
            touched.settled = Some(settled);
        }
        settled
    }
}
