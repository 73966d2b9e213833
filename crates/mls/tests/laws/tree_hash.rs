//! The tree hash (RFC 9420 §7.8) of any tree that can be read, in the plainest way, so that a tree can be had that is as its
//! GroupInfo states, whatever is wrong with it.

use maypole_mls::{
    Suite,
    reader::{Broken, Reader},
    wire::LeafNode,
    writer::Write as _,
};

/// The hash of a `ratchet_tree`, where its bytes are one.
pub(super) fn of(suite: Suite, tree: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(tree);
    let mut inside = reader.vector("tree").ok()?;
    reader.end().ok()?;
    let mut nodes = Vec::new();
    while !inside.rest().is_empty() {
        nodes.push(node(&mut inside).ok()?);
    }
    let leaves = nodes.len().div_ceil(2).next_power_of_two();
    Some(hash(suite, &nodes, leaves - 1, leaves / 2))
}

/// A node behind the byte that says of which kind it is.
fn node<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Broken> {
    if !reader.present("node")? {
        return Ok(None);
    }
    if reader.u8("kind")? == 1 {
        return Ok(Some(LeafNode::read(reader)?.raw));
    }
    let start = reader.clone();
    for _ in 0..3 {
        reader.opaque("parent")?;
    }
    Ok(Some(reader.since(&start)))
}

/// The hash of the node at a place of the array, to whose children it is so many places.
fn hash(suite: Suite, nodes: &[Option<&[u8]>], place: usize, step: usize) -> Vec<u8> {
    let mut input = Vec::new();
    let node = nodes.get(place).copied().flatten();
    let put_node = |input: &mut Vec<u8>| {
        input.put_u8(u8::from(node.is_some()));
        input.put(node.unwrap_or_default());
    };
    if step == 0 {
        input.put_u8(1);
        input.put_u32((place / 2) as u32);
        put_node(&mut input);
    } else {
        input.put_u8(2);
        put_node(&mut input);
        for child in [place - step, place + step] {
            input.put_opaque(&hash(suite, nodes, child, step / 2));
        }
    }
    suite.hash(&input).as_ref().to_vec()
}
