//! Nodes as they are kept: in the bytes of RFC 9420 §7.1 and §7.2, read anew when something is asked of them.
//!
//! Every node was read once, strictly, before it was kept, so reading it again cannot fail; where the compiler wants an
//! answer all the same, it is a node of which nothing is true.

use crate::{
    reader::Reader,
    suite::{Hash, Suite},
    wire::LeafNode,
    writer::{Write as _, opaque_bytes},
};

/// The leaf in a node's bytes.
pub(crate) fn leaf_at(bytes: &[u8]) -> Option<LeafNode<'_>> {
    LeafNode::from_bytes(bytes).ok()
}

/// The HPKE key of a node of either kind: both begin with it.
pub(crate) fn encryption_key(bytes: &[u8]) -> &[u8] {
    Reader::new(bytes).opaque("key").unwrap_or_default()
}

/// The signature key of a leaf.
pub(crate) fn signature_key(bytes: &[u8]) -> &[u8] {
    let mut reader = Reader::new(bytes);
    let key = reader.opaque("encryption key").and_then(|_| reader.opaque("signature key"));
    key.unwrap_or_default()
}

/// A parent's key, its parent hash, and its unmerged leaves as they are written.
pub(crate) fn parent_fields(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut next = || reader.opaque("parent").unwrap_or_default();
    (next(), next(), next())
}

/// The leaves in a parent's list.
pub(crate) fn unmerged(bytes: &[u8]) -> impl Iterator<Item = u32> {
    parent_fields(bytes).2.as_chunks::<4>().0.iter().map(|leaf| u32::from_be_bytes(*leaf))
}

/// Whether a leaf is in a parent's list, which is in order.
pub(crate) fn has_unmerged(bytes: &[u8], leaf: u32) -> bool {
    parent_fields(bytes)
        .2
        .as_chunks::<4>()
        .0
        .binary_search_by_key(&leaf, |listed| u32::from_be_bytes(*listed))
        .is_ok()
}

/// How many leaves a parent's list has.
pub(crate) fn unmerged_count(bytes: &[u8]) -> u32 {
    (parent_fields(bytes).2.len() / 4) as u32
}

/// A parent with these fields.
pub(crate) fn write_parent(key: &[u8], parent_hash: &[u8], unmerged: &[u8]) -> Box<[u8]> {
    let fields = [key, parent_hash, unmerged];
    let mut bytes = Vec::with_capacity(fields.iter().map(|field| opaque_bytes(field.len())).sum());
    fields.iter().for_each(|field| bytes.put_opaque(field));
    bytes.into_boxed_slice()
}

/// A parent with one unmerged leaf more.
pub(crate) fn with_unmerged(bytes: &[u8], leaf: u32) -> Box<[u8]> {
    let (key, parent_hash, list) = parent_fields(bytes);
    let smaller = list.as_chunks::<4>().0.partition_point(|listed| u32::from_be_bytes(*listed) < leaf) * 4;
    let (before, after) = list.split_at_checked(smaller).unwrap_or((list, &[]));
    write_parent(key, parent_hash, &[before, &leaf.to_be_bytes(), after].concat())
}

/// A parent without some unmerged leaves.
pub(crate) fn without_unmerged(bytes: &[u8], blanked: &dyn Fn(u32) -> bool) -> Box<[u8]> {
    let (key, parent_hash, _) = parent_fields(bytes);
    let kept: Vec<u8> = unmerged(bytes).filter(|leaf| !blanked(*leaf)).flat_map(u32::to_be_bytes).collect();
    write_parent(key, parent_hash, &kept)
}

/// The tree hash of a leaf (§7.8).
pub(crate) fn leaf_hash(suite: Suite, leaf: u32, node: Option<&[u8]>) -> Hash {
    let mut input = Vec::with_capacity(node.map_or(0, <[u8]>::len) + 8);
    input.put_u8(1);
    input.put_u32(leaf);
    put_optional(&mut input, node);
    suite.hash(&input)
}

/// The tree hash of a parent (§7.8).
pub(crate) fn parent_node_hash(suite: Suite, node: Option<&[u8]>, left: &[u8], right: &[u8]) -> Hash {
    let mut input = Vec::with_capacity(node.map_or(0, <[u8]>::len) + left.len() + right.len() + 8);
    input.put_u8(2);
    put_optional(&mut input, node);
    input.put_opaque(left);
    input.put_opaque(right);
    suite.hash(&input)
}

/// The parent hash of a parent (§7.9).
pub(crate) fn parent_hash(suite: Suite, key: &[u8], above: &[u8], original_sibling: &[u8]) -> Hash {
    let mut input = Vec::with_capacity(key.len() + above.len() + original_sibling.len() + 12);
    input.put_opaque(key);
    input.put_opaque(above);
    input.put_opaque(original_sibling);
    suite.hash(&input)
}

fn put_optional(input: &mut Vec<u8>, node: Option<&[u8]>) {
    input.put_u8(u8::from(node.is_some()));
    input.put(node.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmerged_leaves_stay_in_order() {
        let mut parent = write_parent(b"key", b"hash", &[]);
        for leaf in [7, 3, 5, 1 << 20] {
            parent = with_unmerged(&parent, leaf);
        }
        assert_eq!(unmerged(&parent).collect::<Vec<_>>(), [3, 5, 7, 1 << 20]);
        assert_eq!(unmerged_count(&parent), 4);
        let fewer = without_unmerged(&parent, &|leaf| leaf == 5);
        assert_eq!(unmerged(&fewer).collect::<Vec<_>>(), [3, 7, 1 << 20]);
        assert_eq!(parent_fields(&fewer).0, b"key");
    }
}
