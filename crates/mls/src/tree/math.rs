//! Places in a full binary tree as an array (RFC 9420 appendix C): leaves at even places, parents between them.

/// The place of a leaf.
pub(crate) const fn place_of(leaf: u32) -> u32 {
    leaf * 2
}

/// The leaf at an even place.
pub(crate) const fn leaf_of(place: u32) -> u32 {
    place / 2
}

/// How high a node is; leaves are 0.
pub(crate) const fn level(place: u32) -> u32 {
    place.trailing_ones()
}

/// The root of a tree that is `width` leaves wide, a power of two.
pub(crate) const fn root(width: u32) -> u32 {
    width - 1
}

/// The left child of a parent.
pub(crate) const fn left(parent: u32) -> u32 {
    parent ^ (1 << (level(parent) - 1))
}

/// The right child of a parent.
pub(crate) const fn right(parent: u32) -> u32 {
    parent ^ (3 << (level(parent) - 1))
}

/// The parent of a node that is not the root of everything.
pub(crate) const fn parent(place: u32) -> u32 {
    let level = level(place);
    let is_right = (place >> (level + 1)) & 1;
    (place | (1 << level)) ^ (is_right << (level + 1))
}

/// The other child of a node's parent.
pub(crate) const fn sibling(place: u32) -> u32 {
    let parent = parent(place);
    if place < parent { right(parent) } else { left(parent) }
}

/// The leaves under a node: the first, and the one behind the last.
pub(crate) const fn leaves_under(place: u32) -> (u32, u32) {
    let count = 1 << level(place);
    let first = (place + 1 - count) / 2;
    (first, first + count)
}

/// The parents of a leaf from the lowest to the root, each with its child off the path.
pub(crate) fn direct_path(leaf: u32, width: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut place = place_of(leaf);
    std::iter::from_fn(move || {
        if place == root(width) {
            return None;
        }
        let step = (parent(place), sibling(place));
        place = step.0;
        Some(step)
    })
}

/// The width of the smallest tree that has a leaf.
pub(crate) const fn width_for(leaf: u32) -> u32 {
    (leaf + 1).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_know_their_parents() {
        for place in (1..2047).step_by(2) {
            for child in [left(place), right(place)] {
                assert_eq!(parent(child), place);
                assert_eq!(level(child) + 1, level(place));
            }
            assert_eq!(sibling(left(place)), right(place));
            assert_eq!(sibling(right(place)), left(place));
            let (first, end) = leaves_under(place);
            assert_eq!(leaves_under(left(place)), (first, (first + end) / 2));
            assert_eq!(leaves_under(right(place)), ((first + end) / 2, end));
        }
    }

    #[test]
    fn a_direct_path_ends_at_the_root() {
        for width in [1, 2, 4, 1024] {
            for leaf in 0..width {
                let path: Vec<_> = direct_path(leaf, width).collect();
                assert_eq!(path.len() as u32, width.ilog2());
                assert!(
                    path.iter()
                        .all(|(node, _)| (leaves_under(*node).0..leaves_under(*node).1).contains(&leaf))
                );
                assert_eq!(path.last().map_or(place_of(leaf), |(node, _)| *node), root(width));
            }
        }
    }

    /// The public vectors, where they are: `tests/vectors` has the rest of them.
    #[test]
    fn the_public_vectors_agree() {
        let Some(vectors) = maypole_testkit::vectors::read("tree-math") else { return };
        for vector in vectors.as_array().unwrap() {
            let width = vector["n_leaves"].as_u64().unwrap() as u32;
            let expected =
                |field: &str, place: u32| vector[field][place as usize].as_u64().map(|place| place as u32);
            assert_eq!(u64::from(root(width)), vector["root"].as_u64().unwrap());
            assert_eq!(u64::from(2 * width - 1), vector["n_nodes"].as_u64().unwrap());
            for place in 0..2 * width - 1 {
                let is_parent = level(place) > 0;
                let is_root = place == root(width);
                assert_eq!(is_parent.then(|| left(place)), expected("left", place));
                assert_eq!(is_parent.then(|| right(place)), expected("right", place));
                assert_eq!((!is_root).then(|| parent(place)), expected("parent", place));
                assert_eq!((!is_root).then(|| sibling(place)), expected("sibling", place));
            }
        }
    }
}
