//! The ratchet tree, level by level, in the plainest form (§4.1, §7.7, §7.8): level 0 holds the leaves, the children of
//! place `p` are places `2p` and `2p + 1` one level down. Hashes are remembered until something below them changes,
//! because a group of 32,768 would otherwise take minutes; nothing else is remembered.

use std::sync::Arc;

use aws_lc_rs::digest::Digest;

use super::keys::Suite;
use super::leaf::LeafNode;
use super::wire::Wire;

/// A place in the tree: the level, 0 being that of leaves, and the count from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Height above the leaves.
    pub level: usize,
    /// Count from the left.
    pub place: usize,
}

impl At {
    /// A leaf.
    pub fn leaf(index: u32) -> Self {
        Self { level: 0, place: index as usize }
    }

    pub(super) fn parent(self) -> Self {
        Self { level: self.level + 1, place: self.place / 2 }
    }

    pub(super) fn sibling(self) -> Self {
        Self { level: self.level, place: self.place ^ 1 }
    }

    fn children(self) -> Option<(Self, Self)> {
        let level = self.level.checked_sub(1)?;
        Some((Self { level, place: 2 * self.place }, Self { level, place: 2 * self.place + 1 }))
    }
}

/// A parent node (§7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentNode {
    /// HPKE public key.
    pub encryption_key: Vec<u8>,
    /// The parent hash of the next node that the same path set.
    pub parent_hash: Vec<u8>,
    /// Leaves below that do not know its secret.
    pub unmerged: Vec<u32>,
}

impl ParentNode {
    fn write(&self, wire: Wire) -> Wire {
        let wire = wire.vector(&self.encryption_key).vector(&self.parent_hash);
        wire.list(&self.unmerged, |wire, leaf| wire.u32(*leaf))
    }
}

/// What is at a place of the tree, if it is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Leaf(Arc<LeafNode>),
    Parent(Arc<ParentNode>),
}

/// A ratchet tree with 2^d leaves, blank or not.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    suite: Suite,
    levels: Vec<Vec<Option<Node>>>,
    hashes: Vec<Vec<Option<Digest>>>,
}

impl Tree {
    /// One blank leaf.
    pub(super) fn new(suite: Suite) -> Self {
        Self { suite, levels: vec![vec![None]], hashes: vec![vec![None]] }
    }

    /// The number of leaves, blank ones counted.
    pub(super) fn width(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    pub(super) fn root(&self) -> At {
        At { level: self.levels.len() - 1, place: 0 }
    }

    pub(super) fn contains(&self, at: At) -> bool {
        self.levels.get(at.level).is_some_and(|level| at.place < level.len())
    }

    pub(super) fn node(&self, at: At) -> Option<&Node> {
        self.levels.get(at.level)?.get(at.place)?.as_ref()
    }

    pub(super) fn leaf(&self, index: u32) -> Option<&Arc<LeafNode>> {
        match self.node(At::leaf(index))? {
            Node::Leaf(leaf) => Some(leaf),
            Node::Parent(_) => None,
        }
    }

    pub(super) fn parent(&self, at: At) -> Option<&Arc<ParentNode>> {
        match self.node(at)? {
            Node::Parent(parent) => Some(parent),
            Node::Leaf(_) => None,
        }
    }

    /// Puts a node at a place, or blanks it, and forgets the hashes above.
    pub(super) fn set(&mut self, at: At, node: Option<Node>) {
        if let Some(slot) = self.levels.get_mut(at.level).and_then(|level| level.get_mut(at.place)) {
            *slot = node;
        }
        let mut above = at;
        while self.contains(above) {
            if let Some(hash) = self.hashes.get_mut(above.level).and_then(|level| level.get_mut(above.place))
            {
                *hash = None;
            }
            above = above.parent();
        }
    }

    pub(super) fn set_leaf(&mut self, index: u32, leaf: LeafNode) {
        self.set(At::leaf(index), Some(Node::Leaf(Arc::new(leaf))));
    }

    /// All parents of a place, from below to the root.
    pub(super) fn direct_path(&self, at: At) -> Vec<At> {
        let mut path = Vec::new();
        let mut next = at.parent();
        while self.contains(next) {
            path.push(next);
            next = next.parent();
        }
        path
    }

    pub(super) fn blank_path(&mut self, index: u32) {
        for at in self.direct_path(At::leaf(index)) {
            self.set(at, None);
        }
    }

    pub(super) fn leftmost_blank(&self) -> Option<u32> {
        let leaves = self.levels.first()?;
        leaves.iter().position(Option::is_none).map(|place| place as u32)
    }

    /// Puts a new leaf at the leftmost blank place; every node above has it unmerged (§12.1.1).
    pub(super) fn add(&mut self, leaf: LeafNode) -> u32 {
        let index = self.room();
        self.set_leaf(index, leaf);
        for at in self.direct_path(At::leaf(index)) {
            if let Some(parent) = self.parent(at) {
                let mut parent = (**parent).clone();
                parent.unmerged.push(index);
                parent.unmerged.sort_unstable();
                self.set(at, Some(Node::Parent(Arc::new(parent))));
            }
        }
        index
    }

    /// The leftmost blank leaf, the tree extended if there is none.
    pub(super) fn room(&mut self) -> u32 {
        self.leftmost_blank().unwrap_or_else(|| {
            let width = self.width() as u32;
            self.extend();
            width
        })
    }

    fn extend(&mut self) {
        for (level, hashes) in self.levels.iter_mut().zip(&mut self.hashes) {
            let width = 2 * level.len();
            level.resize(width, None);
            hashes.resize(width, None);
        }
        self.levels.push(vec![None]);
        self.hashes.push(vec![None]);
    }

    /// Blanks a leaf and all above it (§12.1.3).
    pub(super) fn remove(&mut self, index: u32) {
        self.set(At::leaf(index), None);
        self.blank_path(index);
    }

    /// Drops the right half of the tree for as long as all its leaves are blank (§7.7).
    pub(super) fn truncate(&mut self) {
        while self.levels.len() > 1 && self.right_half_is_blank() {
            self.levels.pop();
            self.hashes.pop();
            for (level, hashes) in self.levels.iter_mut().zip(&mut self.hashes) {
                let width = level.len() / 2;
                level.truncate(width);
                hashes.truncate(width);
            }
        }
    }

    fn right_half_is_blank(&self) -> bool {
        let half = self.width() / 2;
        self.levels.first().is_some_and(|leaves| leaves.iter().skip(half).all(Option::is_none))
    }

    /// The fewest nodes that stand for all leaves below a place (§4.1.1).
    pub(super) fn resolution(&self, at: At) -> Vec<At> {
        match (self.node(at), at.children()) {
            (Some(Node::Leaf(_)), _) => vec![at],
            (Some(Node::Parent(parent)), _) => {
                std::iter::once(at).chain(parent.unmerged.iter().map(|leaf| At::leaf(*leaf))).collect()
            }
            (None, None) => Vec::new(),
            (None, Some((left, right))) => [self.resolution(left), self.resolution(right)].concat(),
        }
    }

    fn has_leaves(&self, at: At) -> bool {
        match (self.node(at), at.children()) {
            (Some(_), _) => true,
            (None, None) => false,
            (None, Some((left, right))) => self.has_leaves(left) || self.has_leaves(right),
        }
    }

    /// The parents of a leaf that a path sets, each with its child that is off the path (§4.1.2).
    pub(super) fn filtered_path(&self, index: u32) -> Vec<(At, At)> {
        let leaf = At::leaf(index);
        let below = std::iter::once(leaf).chain(self.direct_path(leaf));
        let steps = below.filter(|at| *at != self.root()).map(|at| (at.parent(), at.sibling()));
        steps.filter(|(_, copath)| self.has_leaves(*copath)).collect()
    }

    /// Sets the path of a leaf to these keys, from below, and gives the parent hash for the leaf (§7.5, §7.9).
    pub(super) fn set_path(&mut self, index: u32, keys: &[Vec<u8>]) -> Vec<u8> {
        let path = self.filtered_path(index);
        self.blank_path(index);
        let mut parent_hash = Vec::new();
        for ((at, copath), key) in path.iter().zip(keys).rev() {
            let sibling = self.hash(*copath);
            let above = Wire::new().vector(key).vector(&parent_hash).vector(sibling.as_ref()).done();
            let parent = ParentNode { encryption_key: key.clone(), parent_hash, unmerged: Vec::new() };
            self.set(*at, Some(Node::Parent(Arc::new(parent))));
            parent_hash = self.suite.hash(&above).as_ref().to_vec();
        }
        parent_hash
    }

    /// The tree hash of a place (§7.8).
    pub(super) fn hash(&mut self, at: At) -> Digest {
        if let Some(Some(known)) = self.hashes.get(at.level).and_then(|level| level.get(at.place)) {
            return *known;
        }
        let input = match at.children() {
            None => {
                let wire = Wire::new().u8(1).u32(at.place as u32);
                wire.optional(self.leaf(at.place as u32), |wire, leaf| leaf.write(wire))
            }
            Some((left, right)) => {
                let (left, right) = (self.hash(left), self.hash(right));
                let wire = Wire::new().u8(2).optional(self.parent(at), |wire, parent| parent.write(wire));
                wire.vector(left.as_ref()).vector(right.as_ref())
            }
        };
        let hash = self.suite.hash(&input.done());
        if let Some(slot) = self.hashes.get_mut(at.level).and_then(|level| level.get_mut(at.place)) {
            *slot = Some(hash);
        }
        hash
    }

    /// `optional<Node> ratchet_tree<V>` (§12.4.3.3).
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut nodes = Vec::new();
        self.in_order(self.root(), &mut nodes);
        let end = nodes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let list = nodes.iter().take(end);
        let node = |wire: Wire, node: &&Node| match node {
            Node::Leaf(leaf) => leaf.write(wire.u8(1)),
            Node::Parent(parent) => parent.write(wire.u8(2)),
        };
        Wire::new().list(list, |wire, entry| wire.optional(entry.as_ref(), node)).done()
    }

    fn in_order<'a>(&'a self, at: At, nodes: &mut Vec<Option<&'a Node>>) {
        let children = at.children();
        if let Some((left, _)) = children {
            self.in_order(left, nodes);
        }
        nodes.push(self.node(at));
        if let Some((_, right)) = children {
            self.in_order(right, nodes);
        }
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = (u32, &LeafNode)> {
        (0..self.width() as u32).filter_map(|index| Some((index, &**self.leaf(index)?)))
    }

    pub(super) fn parents(&self) -> impl Iterator<Item = (At, &ParentNode)> {
        let places = self.levels.iter().enumerate().skip(1);
        let places = places.flat_map(|(level, nodes)| (0..nodes.len()).map(move |place| At { level, place }));
        places.filter_map(|at| Some((at, &**self.parent(at)?)))
    }
}
