//! The tree at rest.
//!
//! Places reach to twice the leaves that are in use, which may be beyond the tree's width: there they hold blank nodes with
//! their hashes, made a few at a time as leaves are added ([`Tree::prepare`]). So the doubling of a tree hashes no more
//! than any other Add, although the hashes of its new half are as many as its leaves: each depends on its leaf's index
//! (RFC 9420 §7.8). Nor does it move anything: see [`Places`].

use super::{
    Census, Draft, Node,
    bits::Bits,
    keys::KeyTable,
    math,
    nodes::{encryption_key, leaf_at, leaf_hash, parent_node_hash, unmerged_count},
    places::Places,
};
use crate::{
    suite::{Hash, Suite},
    wire::LeafNode,
};

/// The tree.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(super) suite: Suite,
    /// How many leaves wide it is, blank ones included: a power of two.
    pub(super) width: u32,
    places: Places,
    /// Leaves that hold a member.
    pub(super) occupied: Bits,
    /// Leaves that do not, as far as places reach.
    pub(super) blank: Bits,
    encryption_keys: KeyTable,
    signature_keys: KeyTable,
    credentials: KeyTable,
    census: Census,
    /// The bytes of all nodes.
    bytes: usize,
}

impl Tree {
    /// A tree of these nodes, in order; the last one is not blank. What they say is for the caller to judge.
    pub(crate) fn of(suite: Suite, nodes: Vec<Node>) -> Self {
        let last_leaf = u32::try_from(nodes.len() / 2).unwrap_or(u32::MAX >> 2);
        let mut tree = Self {
            suite,
            width: math::width_for(last_leaf),
            places: Places::new(suite),
            occupied: Bits::default(),
            blank: Bits::default(),
            encryption_keys: KeyTable::default(),
            signature_keys: KeyTable::default(),
            credentials: KeyTable::default(),
            census: Census::default(),
            bytes: 0,
        };
        tree.prepare_to(tree.width);
        for (place, node) in (0..).zip(nodes) {
            tree.put(place, node);
        }
        for level in 0..=tree.width.ilog2() {
            for place in ((1u32 << level) - 1..2 * tree.width - 1).step_by(2 << level) {
                let (hash, resolution) = tree.settled(place);
                tree.places.settle(place, &hash, resolution);
            }
        }
        tree.prepare_to(last_leaf.saturating_add(1).saturating_mul(2));
        tree
    }

    /// Its hash (§7.8).
    pub(crate) fn root_hash(&self) -> Hash {
        self.hash(math::root(self.width))
    }

    /// How many members it has.
    pub(crate) fn members(&self) -> u32 {
        self.occupied.len()
    }

    /// The leaves that hold members, in order.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.occupied.next(0), |leaf| self.occupied.next(leaf + 1))
    }

    /// The member at a leaf.
    pub(crate) fn leaf(&self, leaf: u32) -> Option<LeafNode<'_>> {
        let place = (leaf < self.width).then(|| math::place_of(leaf))?;
        leaf_at(self.node(place)?)
    }

    /// A node's bytes, unless it is blank.
    pub(crate) fn node(&self, place: u32) -> Option<&[u8]> {
        self.places.node(place)?.as_deref()
    }

    /// Parents that are not blank, in order, with their bytes.
    pub(super) fn parents(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let places = (1..2 * self.width - 1).step_by(2);
        places.filter_map(|place| Some((place, self.node(place)?)))
    }

    /// A draft without changes.
    pub(crate) fn draft(&self) -> Draft<'_> {
        Draft::over(self)
    }

    /// What its members can do.
    pub(crate) fn census(&self) -> &Census {
        &self.census
    }

    /// How many bytes its nodes have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The table of HPKE keys of all nodes, by place.
    pub(super) fn encryption_keys(&self) -> &KeyTable {
        &self.encryption_keys
    }

    /// The table of members' signature keys, by place.
    pub(super) fn signature_keys(&self) -> &KeyTable {
        &self.signature_keys
    }

    /// The table of members' credentials, by place.
    pub(super) fn credentials(&self) -> &KeyTable {
        &self.credentials
    }

    /// How many leaves there are places for.
    pub(super) fn prepared(&self) -> u32 {
        u32::try_from(self.places.len().div_ceil(2)).unwrap_or(u32::MAX)
    }

    /// A node's tree hash.
    pub(super) fn hash(&self, place: u32) -> Hash {
        self.places.hash(place)
    }

    /// The size of a node's resolution (§4.1.1).
    pub(super) fn resolution(&self, place: u32) -> u32 {
        self.places.resolution(place)
    }

    /// Makes what a draft says so. The draft was made over this tree.
    pub(crate) fn apply(&mut self, changes: Changes) {
        // While the width is the old one, what lies beyond it is blank and is hashed as such.
        self.prepare_to(changes.width);
        self.width = changes.width;
        for (place, node, hash, resolution) in changes.nodes {
            self.put(place, node);
            self.places.settle(place, &hash, resolution);
        }
        // An Add moves the last leaf by one at the most. Two leaves more for each keep places at twice the leaves, so
        // that they are at twice the width when the tree is full and doubles.
        for _ in 0..changes.added.saturating_mul(2) {
            if self.prepared() < self.width.saturating_mul(2) {
                self.prepare();
            }
        }
    }

    /// Puts a node in its place and keeps the tables that speak of nodes.
    fn put(&mut self, place: u32, node: Node) {
        let Some(slot) = self.places.node_mut(place) else { return };
        if *slot == node {
            return;
        }
        let old = std::mem::replace(slot, node);
        let new = self.places.node(place).and_then(Option::as_deref);
        self.bytes = self.bytes + new.map_or(0, <[u8]>::len) - old.as_deref().map_or(0, <[u8]>::len);
        if let Some(old) = old.as_deref() {
            self.encryption_keys.remove(encryption_key(old), place);
        }
        if let Some(new) = new {
            self.encryption_keys.insert(encryption_key(new), place);
        }
        if !place.is_multiple_of(2) {
            return;
        }
        let (before, after) = (old.as_deref().and_then(leaf_at), new.and_then(leaf_at));
        if let Some(before) = before {
            self.signature_keys.remove(before.signature_key, place);
            self.credentials.remove(before.credential.raw, place);
        }
        if let Some(after) = after {
            self.signature_keys.insert(after.signature_key, place);
            self.credentials.insert(after.credential.raw, place);
        }
        self.census.replace(before.as_ref(), after.as_ref());
        let leaf = math::leaf_of(place);
        if new.is_some() {
            self.blank.remove(leaf);
            self.occupied.insert(leaf);
        } else {
            self.occupied.remove(leaf);
            self.blank.insert(leaf);
        }
    }

    /// A node's hash and the size of its resolution, by its children's.
    fn settled(&self, place: u32) -> (Hash, u32) {
        let node = self.node(place);
        if math::level(place) == 0 {
            return (leaf_hash(self.suite, math::leaf_of(place), node), u32::from(node.is_some()));
        }
        let (left, right) = (math::left(place), math::right(place));
        let hash = parent_node_hash(self.suite, node, self.hash(left).as_ref(), self.hash(right).as_ref());
        let below = self.resolution(left).saturating_add(self.resolution(right));
        (hash, node.map_or(below, |bytes| 1 + unmerged_count(bytes)))
    }

    fn prepare_to(&mut self, leaves: u32) {
        self.places.reserve((2 * leaves as usize).saturating_sub(1));
        while self.prepared() < leaves {
            self.prepare();
        }
    }

    /// Lets places reach one leaf further, and hashes the blank parents that are complete with it. Those within the
    /// tree's width are hashed with the tree itself.
    fn prepare(&mut self) {
        let leaf = self.prepared();
        for _ in 0..if leaf == 0 { 1 } else { 2 } {
            self.places.push();
        }
        self.blank.insert(leaf);
        let mut place = math::place_of(leaf);
        loop {
            let (first, end) = math::leaves_under(place);
            if first < self.width || end != leaf + 1 {
                return;
            }
            let (hash, resolution) = self.settled(place);
            self.places.settle(place, &hash, resolution);
            place = math::parent(place);
        }
    }
}

/// What a settled draft changes.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    pub(super) width: u32,
    /// Places with what stands there now, their hashes and the sizes of their resolutions.
    pub(super) nodes: Vec<(u32, Node, Hash, u32)>,
    /// How many leaves were filled that were blank.
    pub(super) added: u32,
}

impl Changes {
    /// The bytes of all nodes of the tree that they make.
    pub(crate) fn bytes(&self, tree: &Tree) -> usize {
        let length = |node: Option<&[u8]>| node.map_or(0, <[u8]>::len);
        let (gone, come) = self.nodes.iter().fold((0, 0), |(gone, come), (place, node, ..)| {
            (gone + length(tree.node(*place)), come + length(node.as_deref()))
        });
        (tree.bytes() + come).saturating_sub(gone)
    }

    /// The hash of the tree that they make.
    pub(crate) fn root_hash(&self, tree: &Tree) -> Hash {
        let root = math::root(self.width);
        let found = self.nodes.iter().find(|(place, ..)| *place == root);
        found.map_or_else(|| tree.hash(root), |(_, _, hash, _)| *hash)
    }
}
