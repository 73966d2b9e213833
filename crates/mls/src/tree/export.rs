//! The tree as RFC 9420 §12.4.3.3 writes it.

use super::{Tree, math};
use crate::writer::Write;

/// Writes `optional<Node> ratchet_tree<V>`.
pub(crate) fn write_tree(tree: &Tree, bytes: &mut Vec<u8>) {
    let last = tree.occupied.previous(tree.width - 1).map_or(0, math::place_of);
    let mut inside = Vec::with_capacity(tree.bytes() + 2 * last as usize + 2);
    for place in 0..=last {
        match tree.node(place) {
            None => inside.put_u8(0),
            Some(node) => {
                inside.put_u8(1);
                inside.put_u8(if math::level(place) == 0 { 1 } else { 2 });
                inside.put(node);
            }
        }
    }
    bytes.put_opaque(&inside);
}
