//! The public vectors of trees: `tree-operations`, `tree-validation`, and the trees of `messages`. They look inside the
//! tree, so they are here and not in `tests/vectors`.

use maypole_testkit::vectors::{self, bytes};
use serde_json::Value;

use super::{Draft, ImportError, Node, Tree, nodes::parent_fields, write_tree};
use crate::{
    reader::Reader,
    rules::leaf_content,
    suite::Suite,
    wire::{LeafSource, Proposal},
    writer::{VECTOR_BYTES, Write as _},
};

/// More leaves than any vector has.
const MEMBERS: u32 = 1 << 10;

fn suite(vector: &Value) -> Option<Suite> {
    Suite::from_code(u16::try_from(vector["cipher_suite"].as_u64().unwrap()).unwrap())
}

fn written(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tree(tree, &mut bytes);
    bytes
}

/// What a commit does with a proposal, and the leaf that it touches.
fn carry_out(draft: &mut Draft<'_>, proposal: &Proposal<'_>, sender: u32) -> u32 {
    match proposal {
        Proposal::Add(key_package) => draft.add(key_package.leaf.raw.into()),
        Proposal::Update(leaf) => {
            draft.update(sender, leaf.raw.into());
            sender
        }
        Proposal::Remove(leaf) => {
            draft.remove(*leaf);
            draft.truncate();
            *leaf
        }
        other => panic!("a tree is not changed by {other:?}"),
    }
}

#[test]
fn operations_lead_to_the_same_trees() {
    let Some(vectors) = vectors::read("tree-operations") else { return };
    let mut seen = [0; 3];
    for vector in vectors.as_array().unwrap() {
        let suite = suite(vector).unwrap();
        let before = bytes(&vector["tree_before"]);
        let mut tree = Tree::read(suite, &before, MEMBERS, true).unwrap();
        assert_eq!(written(&tree), before);
        assert_eq!(tree.root_hash().as_ref(), bytes(&vector["tree_hash_before"]));

        let proposal = bytes(&vector["proposal"]);
        let mut reader = Reader::new(&proposal);
        let proposal = Proposal::read(&mut reader, &|_| None).unwrap();
        reader.end().unwrap();
        let sender = u32::try_from(vector["proposal_sender"].as_u64().unwrap()).unwrap();
        let mut draft = tree.draft();
        carry_out(&mut draft, &proposal, sender);
        let changes = draft.settled();
        assert_eq!(changes.root_hash(&tree).as_ref(), bytes(&vector["tree_hash_after"]));
        assert_eq!(written(&tree), before, "a draft changes nothing");

        tree.apply(changes);
        assert_eq!(written(&tree), bytes(&vector["tree_after"]));
        assert_eq!(tree.root_hash().as_ref(), bytes(&vector["tree_hash_after"]));
        seen[usize::from(proposal.kind()) - 1] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "Adds, Updates and Removes: {seen:?}");
}

/// Every tree of the file whose suite is followed, with its vector. Two suites of seven are on the curve 448.
fn validation_trees(vectors: &Value) -> Vec<(Tree, &Value)> {
    let all = vectors.as_array().unwrap();
    let trees: Vec<_> = all
        .iter()
        .filter_map(|vector| {
            let tree = bytes(&vector["tree"]);
            Some((Tree::read(suite(vector)?, &tree, MEMBERS, true).unwrap(), vector))
        })
        .collect();
    println!("{} of {} trees are of suites that are followed", trees.len(), all.len());
    assert_eq!(trees.len() * 7, all.len() * 5);
    trees
}

#[test]
fn every_node_has_its_hash_and_its_resolution() {
    let Some(vectors) = vectors::read("tree-validation") else { return };
    for (tree, vector) in validation_trees(&vectors) {
        assert_eq!(written(&tree), bytes(&vector["tree"]));
        let hashes = vector["tree_hashes"].as_array().unwrap();
        let resolutions = vector["resolutions"].as_array().unwrap();
        assert_eq!(hashes.len(), 2 * tree.width as usize - 1);
        assert_eq!(resolutions.len(), hashes.len());
        for (place, (hash, resolution)) in (0..).zip(hashes.iter().zip(resolutions)) {
            assert_eq!(tree.hash(place).as_ref(), bytes(hash), "the hash at {place}");
            let expected: Vec<u64> =
                resolution.as_array().unwrap().iter().map(|place| place.as_u64().unwrap()).collect();
            let resolved: Vec<u64> = tree.resolved(place).into_iter().map(u64::from).collect();
            assert_eq!(resolved, expected, "the resolution at {place}");
            assert_eq!(tree.resolution(place) as usize, expected.len(), "its size at {place}");
        }
    }
}

/// The same tree with one node another, beyond what reading it judges.
fn with_node(tree: &Tree, place: u32, node: Node) -> Tree {
    let mut nodes: Vec<Node> =
        (0..2 * tree.width - 1).map(|place| tree.node(place).map(Into::into)).collect();
    nodes[place as usize] = node;
    Tree::of(tree.suite, nodes)
}

#[test]
fn parents_are_chained_and_no_other_parents_are() {
    let Some(vectors) = vectors::read("tree-validation") else { return };
    let mut parents = 0;
    for (tree, _) in validation_trees(&vectors) {
        tree.check_parents().unwrap();
        let another = tree.leaves().next().and_then(|leaf| tree.leaf(leaf)).unwrap().encryption_key;
        for place in (1..2 * tree.width - 1).step_by(2) {
            let Some(node) = tree.node(place) else { continue };
            parents += 1;
            let (_, hash, unmerged) = parent_fields(node);
            let mut other = Vec::new();
            other.put_opaque(another);
            other.put_opaque(hash);
            other.put_opaque(unmerged);
            let changed = with_node(&tree, place, Some(other.into()));
            let Err(ImportError::ParentHash(_)) = changed.check_parents() else {
                panic!("another key at {place} is taken");
            };
        }
    }
    assert!(parents > 0);
}

#[test]
fn every_leaf_is_signed_for_its_group_and_its_place() {
    let Some(vectors) = vectors::read("tree-validation") else { return };
    let mut elsewhere = 0;
    for (tree, vector) in validation_trees(&vectors) {
        let group_id = bytes(&vector["group_id"]);
        for place in tree.leaves() {
            let leaf = tree.leaf(place).unwrap();
            let verifies = |group_id: &[u8], index| {
                let content = leaf_content(&leaf, group_id, index);
                tree.suite.verifies(leaf.signature_key, &content, leaf.signature)
            };
            assert!(verifies(&group_id, place), "leaf {place}");
            if !matches!(leaf.source, LeafSource::KeyPackage { .. }) {
                assert!(!verifies(&group_id, place + 1) && !verifies(b"another group", place));
                elsewhere += 1;
            }
        }
    }
    assert!(elsewhere > 0);
}

#[test]
fn trees_of_messages_are_read_whole_and_written_again() {
    let Some(vectors) = vectors::read("messages") else { return };
    for vector in vectors.as_array().unwrap() {
        let whole = bytes(&vector["ratchet_tree"]);
        let read = |bytes: &[u8]| Tree::read(Suite::X25519Aes128, bytes, VECTOR_BYTES as u32, true);
        assert_eq!(written(&read(&whole).unwrap()), whole);
        assert!(matches!(read(&whole[..whole.len() - 1]), Err(ImportError::Broken(_))));
        assert!(matches!(read(&[&whole[..], &[0]].concat()), Err(ImportError::Broken(_))));
    }
}
