//! Parent hashes of a whole tree (RFC 9420 §7.9.2).

use super::{
    Tree, math,
    nodes::{
        leaf_at, leaf_hash, parent_fields, parent_hash, parent_node_hash, unmerged, unmerged_count,
        without_unmerged,
    },
};
use crate::{suite::Hash, wire::LeafSource};

impl Tree {
    /// A parent that is not parent-hash valid with respect to exactly one node below it.
    pub(super) fn unchained_parent(&self) -> Option<u32> {
        let unchained = |(place, parent): &(u32, &[u8])| {
            let (left, right) = (math::left(*place), math::right(*place));
            self.is_chained(parent, left, right) == self.is_chained(parent, right, left)
        };
        self.parents().find(unchained).map(|(place, _)| place)
    }

    /// Whether some node in the resolution of a child has the parent's hash, with the other child as its sibling.
    fn is_chained(&self, parent: &[u8], child: u32, sibling: u32) -> bool {
        let (key, above, _) = parent_fields(parent);
        let Some(below) = self.only_merged_node(parent, child) else { return false };
        let Some(claimed) = self.claimed_parent_hash(below) else { return false };
        let unmerged: Vec<u32> = unmerged(parent).collect();
        let original = self.hash_without(sibling, &unmerged);
        claimed == parent_hash(self.suite, key, above, original.as_ref()).as_ref()
    }

    /// The one node in the resolution of a child that is not an unmerged leaf of the parent, if all the others are, and
    /// all of those are among them.
    fn only_merged_node(&self, parent: &[u8], child: u32) -> Option<u32> {
        let (first, end) = math::leaves_under(child);
        let unmerged: Vec<u32> = unmerged(parent).filter(|leaf| (first..end).contains(leaf)).collect();
        if self.resolution(child) as usize != unmerged.len() + 1 {
            return None;
        }
        let mut merged = self.resolved(child).into_iter().filter(|place| {
            math::level(*place) != 0 || unmerged.binary_search(&math::leaf_of(*place)).is_err()
        });
        merged.next().filter(|_| merged.next().is_none())
    }

    /// The resolution of a node (§4.1.1). Its size is known beforehand to be what the caller can bear.
    pub(crate) fn resolved(&self, place: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            match self.node(place) {
                Some(node) => {
                    found.push(place);
                    if math::level(place) > 0 {
                        found.extend(unmerged(node).map(math::place_of));
                    }
                }
                None if self.resolution(place) > 0 => {
                    open.extend([math::right(place), math::left(place)]);
                }
                None => {}
            }
        }
        found
    }

    fn claimed_parent_hash(&self, place: u32) -> Option<&[u8]> {
        let node = self.node(place)?;
        if math::level(place) > 0 {
            return Some(parent_fields(node).1);
        }
        match leaf_at(node)?.source {
            LeafSource::Commit { parent_hash } => Some(parent_hash),
            LeafSource::KeyPackage { .. } | LeafSource::Update => None,
        }
    }

    /// A node's tree hash as it was before some leaves (in order) were added: the "original" one of §7.9.
    fn hash_without(&self, place: u32, leaves: &[u32]) -> Hash {
        let (first, end) = math::leaves_under(place);
        let from = leaves.partition_point(|leaf| *leaf < first);
        let to = leaves.partition_point(|leaf| *leaf < end);
        let within = leaves.get(from..to).unwrap_or_default();
        if within.is_empty() {
            return self.hash(place);
        }
        if math::level(place) == 0 {
            return leaf_hash(self.suite, math::leaf_of(place), None);
        }
        let left = self.hash_without(math::left(place), within);
        let right = self.hash_without(math::right(place), within);
        let blanked = |leaf| within.binary_search(&leaf).is_ok();
        let node = self.node(place).map(|node| {
            if unmerged_count(node) == 0 { node.into() } else { without_unmerged(node, &blanked) }
        });
        parent_node_hash(self.suite, node.as_deref(), left.as_ref(), right.as_ref())
    }
}
