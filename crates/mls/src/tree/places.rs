//! What is kept for each place of the tree, in blocks: a tree that grows takes one block more, and nothing that it has is
//! moved. One array would be copied as a whole by whichever Add finds it full.

use super::Node;
use crate::suite::{Hash, Suite};

/// Nodes, their hashes and the sizes of their resolutions, by place.
#[derive(Clone, Debug)]
pub(super) struct Places {
    hash_bytes: usize,
    /// All are full but the last.
    blocks: Vec<Block>,
}

/// So many places in a row. The bytes of hashes lie one after the other.
#[derive(Clone, Debug, Default)]
struct Block {
    nodes: Vec<Node>,
    hashes: Vec<u8>,
    resolutions: Vec<u32>,
}

/// The places of a block: few enough that a new one costs next to nothing, many enough that their list stays in the cache.
const BLOCK_PLACES: usize = 1_024;

impl Places {
    /// No place yet.
    pub(super) fn new(suite: Suite) -> Self {
        Self { hash_bytes: suite.hash_bytes(), blocks: Vec::new() }
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        let last = self.blocks.last().map_or(0, |block| block.nodes.len());
        self.blocks.len().saturating_sub(1) * BLOCK_PLACES + last
    }

    /// Makes room for so many places, where that is less than a block.
    pub(super) fn reserve(&mut self, places: usize) {
        if self.blocks.is_empty() {
            // Most groups are small, and have no second one.
            self.blocks.reserve_exact(1);
            self.blocks.push(Block::default());
        }
        if let [only] = self.blocks.as_mut_slice() {
            let more = places.min(BLOCK_PLACES).saturating_sub(only.nodes.len());
            only.nodes.reserve_exact(more);
            only.hashes.reserve_exact(more * self.hash_bytes);
            only.resolutions.reserve_exact(more);
        }
    }

    /// Makes a further place, which is blank and not settled yet.
    pub(super) fn push(&mut self) {
        if self.blocks.last().is_none_or(|block| block.nodes.len() == BLOCK_PLACES) {
            self.blocks.push(Block {
                nodes: Vec::with_capacity(BLOCK_PLACES),
                hashes: Vec::with_capacity(BLOCK_PLACES * self.hash_bytes),
                resolutions: Vec::with_capacity(BLOCK_PLACES),
            });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.nodes.push(None);
            block.hashes.resize(block.nodes.len() * self.hash_bytes, 0);
            block.resolutions.push(0);
        }
    }

    /// What stands at a place.
    pub(super) fn node(&self, place: u32) -> Option<&Node> {
        let (block, within) = split(place);
        self.blocks.get(block)?.nodes.get(within)
    }

    /// The same, to be replaced.
    pub(super) fn node_mut(&mut self, place: u32) -> Option<&mut Node> {
        let (block, within) = split(place);
        self.blocks.get_mut(block)?.nodes.get_mut(within)
    }

    /// A node's tree hash.
    pub(super) fn hash(&self, place: u32) -> Hash {
        let (block, within) = split(place);
        let bytes = within * self.hash_bytes..(within + 1) * self.hash_bytes;
        Hash::of(self.blocks.get(block).and_then(|block| block.hashes.get(bytes)).unwrap_or_default())
    }

    /// The size of a node's resolution.
    pub(super) fn resolution(&self, place: u32) -> u32 {
        let (block, within) = split(place);
        self.blocks.get(block).and_then(|block| block.resolutions.get(within)).copied().unwrap_or(0)
    }

    /// Notes both.
    pub(super) fn settle(&mut self, place: u32, hash: &Hash, resolution: u32) {
        let (block, within) = split(place);
        let Some(block) = self.blocks.get_mut(block) else { return };
        if let Some(bytes) = block.hashes.get_mut(within * self.hash_bytes..(within + 1) * self.hash_bytes) {
            bytes.copy_from_slice(hash.as_ref());
        }
        if let Some(size) = block.resolutions.get_mut(within) {
            *size = resolution;
        }
    }
}

/// The block of a place, and where in it the place is.
fn split(place: u32) -> (usize, usize) {
    let place = place as usize;
    (place / BLOCK_PLACES, place % BLOCK_PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_keep_what_they_are_given_across_blocks() {
        for suite in Suite::ALL {
            let mut places = Places::new(suite);
            places.reserve(7);
            let count = 2 * BLOCK_PLACES as u32 + 3;
            let hash = |place: u32| suite.hash(&place.to_be_bytes());
            for place in 0..count {
                assert_eq!(places.len(), place as usize);
                assert!(places.node(place).is_none());
                places.push();
                assert_eq!(places.node(place), Some(&None));
                *places.node_mut(place).unwrap() = Some(place.to_be_bytes().into());
                places.settle(place, &hash(place), place + 1);
            }
            for place in 0..count {
                assert_eq!(places.node(place).unwrap().as_deref(), Some(&place.to_be_bytes()[..]));
                assert_eq!(places.hash(place), hash(place), "{place}");
                assert_eq!(places.resolution(place), place + 1);
            }
            assert!(places.node_mut(count).is_none());
            assert_eq!((places.hash(count), places.resolution(count)), (Hash::EMPTY, 0));
        }
    }
}
