//! A ratchet tree with its hashes, in the plainest way: all of them at once, with what each is the hash of.

use anyhow::{Context as _, Result, ensure};
use maypole_mls::{reader::Reader, wire::LeafNode, writer::Write as _};

use crate::floor::sha256;

/// The tree.
#[derive(Debug)]
pub(crate) struct HashedTree {
    /// Nodes in the order of RFC 9420's appendix C, up to the full width.
    nodes: Vec<Option<Vec<u8>>>,
    inputs: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
}

/// A node of a direct path that is not blank.
#[derive(Debug)]
pub(crate) struct Step {
    /// What its parent hash is the hash of.
    pub(crate) input: Vec<u8>,
    /// The parent hash that it holds.
    pub(crate) parent_hash: Vec<u8>,
}

impl HashedTree {
    /// Reads a tree whose parents of a committer's path have no unmerged leaves.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let mut inside = reader.vector("tree")?;
        let mut nodes = Vec::new();
        while !inside.rest().is_empty() {
            nodes.push(read_node(&mut inside)?);
        }
        let width = (nodes.len().div_ceil(2)).next_power_of_two();
        nodes.resize(2 * width - 1, None);
        let mut tree =
            Self { inputs: vec![Vec::new(); nodes.len()], hashes: vec![Vec::new(); nodes.len()], nodes };
        for level in 0..=width.trailing_zeros() {
            for place in ((1usize << level) - 1..2 * width - 1).step_by(2 << level) {
                let input = tree.input(place, level)?;
                if let Some(hash) = tree.hashes.get_mut(place) {
                    *hash = sha256(&input).as_ref().to_vec();
                }
                if let Some(slot) = tree.inputs.get_mut(place) {
                    *slot = input;
                }
            }
        }
        Ok(tree)
    }

    fn root(&self) -> usize {
        self.nodes.len() / 2
    }

    pub(crate) fn root_hash(&self) -> Result<&[u8]> {
        self.hash(self.root())
    }

    fn hash(&self, place: usize) -> Result<&[u8]> {
        Ok(self.hashes.get(place).context("no such node")?)
    }

    fn node(&self, place: usize) -> Option<&[u8]> {
        self.nodes.get(place)?.as_deref()
    }

    /// What a node's tree hash is the hash of (§7.8), its children's being there.
    fn input(&self, place: usize, level: u32) -> Result<Vec<u8>> {
        let mut input = Vec::new();
        let node = self.node(place);
        if level == 0 {
            input.put_u8(1);
            input.put_u32(u32::try_from(place / 2)?);
        } else {
            input.put_u8(2);
        }
        input.put_u8(u8::from(node.is_some()));
        input.put(node.unwrap_or_default());
        if level > 0 {
            let half = 1 << (level - 1);
            input.put_opaque(self.hash(place - half)?);
            input.put_opaque(self.hash(place + half)?);
        }
        Ok(input)
    }

    /// The inputs of the hashes that another tree does not have at the same place, but for what is blank beyond its width.
    pub(crate) fn inputs_that_differ(&self, old: &Self) -> Result<Vec<Vec<u8>>> {
        let mut inputs = Vec::new();
        for (place, input) in self.inputs.iter().enumerate() {
            let known = old.hashes.get(place).is_some_and(|hash| Some(hash) == self.hashes.get(place));
            let beforehand = place >= old.nodes.len() && self.is_all_blank(place)?;
            if !known && !beforehand {
                inputs.push(input.clone());
            }
        }
        Ok(inputs)
    }

    fn is_all_blank(&self, place: usize) -> Result<bool> {
        let reach = (1usize << place.trailing_ones()) - 1;
        let below = self.nodes.get(place - reach..=place + reach).context("no such node")?;
        Ok(below.iter().all(Option::is_none))
    }

    /// The nodes of a leaf's direct path that are not blank, from below.
    pub(crate) fn path(&self, leaf: u32) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut place = 2 * leaf as usize;
        while place != self.root() {
            let level = place.trailing_ones();
            let bit = 1usize << (level + 1);
            let parent = (place | (1 << level)) & !bit;
            // Left of its parent, a node's sibling is to the right of that, and the other way round.
            let sibling = if place < parent { place + bit } else { place - bit };
            place = parent;
            let Some(node) = self.node(place) else { continue };
            let mut reader = Reader::new(node);
            let key = reader.opaque("key")?;
            let parent_hash = reader.opaque("parent hash")?;
            ensure!(reader.opaque("unmerged leaves")?.is_empty(), "a fresh path has unmerged leaves");
            let mut input = Vec::new();
            input.put_opaque(key);
            input.put_opaque(parent_hash);
            input.put_opaque(self.hash(sibling)?);
            steps.push(Step { input, parent_hash: parent_hash.to_vec() });
        }
        Ok(steps)
    }
}

fn read_node(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>> {
    if !reader.present("node")? {
        return Ok(None);
    }
    let is_leaf = reader.u8("type")? == 1;
    let start = reader.clone();
    if is_leaf {
        LeafNode::read(reader)?;
    } else {
        for field in ["key", "parent hash", "unmerged leaves"] {
            reader.opaque(field)?;
        }
    }
    Ok(Some(reader.since(&start).to_vec()))
}

/// The leaves of a tree that are not blank, with their indices.
pub(crate) fn leaves(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>> {
    let mut reader = Reader::new(bytes);
    let mut inside = reader.vector("tree")?;
    let mut leaves = Vec::new();
    let mut place = 0;
    while !inside.rest().is_empty() {
        if let (Some(node), true) = (read_node(&mut inside)?, place % 2 == 0) {
            leaves.push((place / 2, node));
        }
        place += 1;
    }
    Ok(leaves)
}
