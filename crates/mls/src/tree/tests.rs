//! Random changes to a tree, against the same tree made anew from its nodes.

use proptest::prelude::*;

use super::*;
use crate::{suite::Suite, writer::Write as _};

const SUITE: Suite = Suite::X25519Aes128;

/// A leaf whose keys and credential are made of a number.
fn leaf(number: u32) -> Box<[u8]> {
    let mut bytes = Vec::new();
    let key = |kind: u8| SUITE.hash(&[&[kind][..], &number.to_be_bytes()].concat());
    bytes.put_opaque(key(0).as_ref());
    bytes.put_opaque(key(1).as_ref());
    bytes.put_u16(1);
    bytes.put_opaque(&number.to_be_bytes());
    // Versions, suites, extensions (a few, by number), proposals, credentials.
    bytes.put_opaque(&[0, 1]);
    bytes.put_opaque(&[0, 1]);
    bytes.put_opaque(&[0, 100 + (number % 3) as u8]);
    bytes.put_opaque(&[]);
    bytes.put_opaque(&[0, 1]);
    // An Update without extensions, and a signature that nobody verifies here.
    bytes.put_u8(2);
    bytes.put_opaque(&[]);
    bytes.put_opaque(&[0; 64]);
    bytes.into_boxed_slice()
}

/// What one commit does, its leaves picked among those there are.
#[derive(Clone, Debug)]
struct Step {
    updates: Vec<prop::sample::Index>,
    removes: Vec<prop::sample::Index>,
    adds: usize,
    committer: prop::sample::Index,
    path: bool,
    joins: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let leaves = |most| prop::collection::vec(any::<prop::sample::Index>(), 0..most);
    // Many go at once now and then, so that the tree is cut; many come at once, so that it more than doubles.
    let removes = prop_oneof![leaves(3), leaves(3), leaves(40)];
    let adds = prop_oneof![0usize..3, 0usize..3, 0usize..30];
    (leaves(3), removes, adds, any::<prop::sample::Index>(), any::<bool>(), any::<bool>()).prop_map(
        |(updates, removes, adds, committer, path, joins)| Step {
            updates,
            removes,
            adds,
            committer,
            path,
            joins,
        },
    )
}

/// Carries a step out as a commit would, with leaves of fresh numbers.
fn carry_out(tree: &mut Tree, step: &Step, fresh: &mut u32) {
    let mut next = || {
        *fresh += 1;
        leaf(*fresh)
    };
    let members: Vec<u32> = tree.leaves().collect();
    let committer = *step.committer.get(&members);
    let mut removes: Vec<u32> = step.removes.iter().map(|index| *index.get(&members)).collect();
    removes.retain(|leaf| step.joins || *leaf != committer);
    removes.sort_unstable();
    removes.dedup();
    let mut updates: Vec<u32> = step.updates.iter().map(|index| *index.get(&members)).collect();
    updates.retain(|leaf| *leaf != committer && !removes.contains(leaf));
    updates.dedup();
    let mut draft = tree.draft();
    for leaf in updates {
        draft.update(leaf, next());
    }
    for leaf in removes {
        draft.remove(leaf);
    }
    draft.truncate();
    for _ in 0..step.adds {
        draft.add(next());
    }
    let committer = if step.joins { draft.claim() } else { committer };
    if step.path || step.joins {
        let steps = draft.filtered_path(committer);
        let keys: Vec<_> = steps.iter().map(|_| SUITE.hash(&next())).collect();
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        draft.renew_path(committer, &steps, &keys);
        draft.place(committer, next());
    }
    let changes = draft.settled();
    let hash = changes.root_hash(tree);
    tree.apply(changes);
    assert_eq!(tree.root_hash(), hash);
}

fn assert_like_new(tree: &Tree) {
    let last = tree.leaves().last().unwrap();
    let nodes: Vec<Node> = (0..=math::place_of(last)).map(|place| tree.node(place).map(Into::into)).collect();
    let new = Tree::of(SUITE, nodes);
    assert_eq!(tree.width, new.width);
    assert!(tree.prepared() > 2 * last, "{} leaves are prepared, {last} is in use", tree.prepared());
    for place in 0..2 * tree.width - 1 {
        assert_eq!(tree.hash(place), new.hash(place), "node {place} of {}", tree.width);
        assert_eq!(tree.resolution(place), new.resolution(place), "node {place}");
        assert_eq!(tree.resolution(place) as usize, tree.resolved(place).len());
    }
    assert_eq!(tree.leaves().collect::<Vec<_>>(), new.leaves().collect::<Vec<_>>());
    assert_eq!(tree.bytes(), new.bytes());
    assert_eq!(tree.census(), new.census());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    write_tree(tree, &mut before);
    write_tree(&new, &mut after);
    assert_eq!(before, after);
    for place in 0..2 * tree.width - 1 {
        let Some(node) = tree.node(place) else { continue };
        let found = tree.encryption_keys().find(nodes::encryption_key(node), |at| at == place);
        assert_eq!(found, Some(place));
    }
    for leaf in tree.leaves() {
        let found = tree.draft().finds_signature_key(tree.leaf(leaf).unwrap().signature_key, None);
        assert_eq!(found, Some(leaf));
        let found = tree.draft().finds_credential(tree.leaf(leaf).unwrap().credential.raw, None);
        assert_eq!(found, Some(leaf));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_tree_that_was_changed_is_like_one_made_anew(
        founders in 1u32..40, steps in prop::collection::vec(step(), 1..12)
    ) {
        let nodes = (0..2 * founders - 1).map(|place| place.is_multiple_of(2).then(|| leaf(place)));
        let mut tree = Tree::of(SUITE, nodes.collect());
        let mut fresh = 1 << 20;
        for step in &steps {
            carry_out(&mut tree, step, &mut fresh);
            assert_like_new(&tree);
        }
    }
}
