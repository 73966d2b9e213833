//! Trees that are imported (RFC 9420 §12.4.3.1, §7.9.2): their shape, their parents, their keys.

use maypole_mls::{Bounds, Group, Place, Policy, Rule, Strict, writer::Write as _};
use maypole_testkit::forge::{
    At, Capabilities, Credential, Draft, Forge, Founding, GroupInfoDraft, KeyPackage, KeyPackageDraft,
    LeafDraft, ParentDraft, Shape, Suite,
};

use crate::trial::{Docket, NOW, UNKNOWN, eight, import, keys_that_are_none};

cases![
    no_tree,
    ends,
    nodes_that_are_none,
    one_sided_parents,
    unmerged_leaves,
    unmerged_neighbours,
    unmerged_leaves_beside_a_path,
    unknown_credentials,
    parent_hashes,
    keys_of_parents,
    keys_twice,
    hashes,
    sizes,
    the_first_epoch,
];

const SUITES: [Suite; 3] = [Suite::One, Suite::Two, Suite::Seven];

fn warm(suite: Suite) -> Forge {
    Forge::new(&eight(suite, Shape::Warm)).unwrap()
}

/// The group of a forge goes on by what is drafted in it.
fn play(forge: &mut Forge, draft: impl FnOnce(&Forge) -> Draft) {
    let commit = forge.commit(&draft(forge)).unwrap();
    forge.play(&commit).unwrap();
}

/// People who were never there, one for each leaf that is to be filled.
fn newcomers(forge: &Forge, leaves: &[u32]) -> Vec<KeyPackage> {
    let drafts = leaves.iter().map(|leaf| KeyPackageDraft::of(&format!("@new{leaf}:a.org/D")));
    drafts.map(|draft| forge.key_package(&draft).unwrap()).collect()
}

/// A group of eight that has lost leaf 3, which is filled anew and unmerged.
fn with_unmerged(suite: Suite) -> Forge {
    let mut forge = warm(suite);
    play(&mut forge, |forge| forge.draft_remove(0, &[3]));
    play(&mut forge, |forge| forge.draft_update(2));
    play(&mut forge, |forge| forge.draft_add(0, &newcomers(forge, &[3])));
    import(&forge, &Strict).unwrap();
    forge
}

/// A group of eight of which two neighbours were added after others had committed.
fn with_unmerged_neighbours(suite: Suite) -> Forge {
    let mut forge = warm(suite);
    play(&mut forge, |forge| forge.draft_remove(0, &[4, 5]));
    play(&mut forge, |forge| forge.draft_update(6));
    play(&mut forge, |forge| forge.draft_add(0, &newcomers(forge, &[4, 5])));
    forge
}

/// The place in the array of a place in the tree.
fn node(at: At) -> Place {
    Place::Node(((2 * at.place + 1) << at.level) as u32 - 1)
}

fn with_tree(forge: &Forge, tree: Option<&[u8]>) -> Result<Group, maypole_mls::Refusal> {
    Group::import(&forge.group_info(&GroupInfoDraft::by(0)).unwrap(), tree, &Strict, NOW)
}

fn no_tree(docket: &Docket) {
    for suite in SUITES {
        let forge = warm(suite);
        docket.refused("nowhere", with_tree(&forge, None), (Rule::NoTree, Place::Whole));
        with_tree(&forge, Some(&forge.ratchet_tree())).unwrap();
        let inside = forge.group_info(&GroupInfoDraft::by(0).with_tree()).unwrap();
        Group::import(&inside, None, &Strict, NOW).unwrap();
        // The one that comes apart is the one that counts.
        let verdict = Group::import(&inside, Some(&[0]), &Strict, NOW);
        docket.refused("an empty one apart", verdict, Rule::TreeEnd);
    }
}

/// The encoded nodes of a tree.
fn inside(forge: &Forge) -> Vec<u8> {
    let tree = forge.ratchet_tree();
    let mut reader = maypole_mls::reader::Reader::new(&tree);
    reader.opaque("tree").unwrap().to_vec()
}

fn wrapped(nodes: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_opaque(nodes);
    bytes
}

fn ends(docket: &Docket) {
    for suite in SUITES {
        let forge = warm(suite);
        let nodes = inside(&forge);
        with_tree(&forge, Some(&wrapped(&nodes))).unwrap();
        docket.refused("empty", with_tree(&forge, Some(&[0])), (Rule::TreeEnd, Place::Whole));
        for blanks in [1, 2, 16] {
            let longer = [&nodes[..], &vec![0; blanks]].concat();
            let verdict = with_tree(&forge, Some(&wrapped(&longer)));
            docket.refused("blank nodes at the end", verdict, (Rule::TreeEnd, Place::Whole));
        }
        let verdict = with_tree(&forge, Some(&wrapped(&[0; 15])));
        docket.refused("nothing but blank nodes", verdict, Rule::TreeEnd);
    }
}

fn nodes_that_are_none(docket: &Docket) {
    for suite in SUITES {
        let forge = warm(suite);
        let nodes = inside(&forge);
        let cases: [(&str, Vec<u8>); 5] = [
            ("a byte too many", [&wrapped(&nodes)[..], &[0]].concat()),
            ("a leaf that says to be a parent", wrapped(&[&[1, 2], &nodes[2..]].concat())),
            ("a leaf of no type", wrapped(&[&[1, 3], &nodes[2..]].concat())),
            ("neither blank nor filled", wrapped(&[&[2], &nodes[1..]].concat())),
            ("a leaf in a parent's place", wrapped(&[&[0], &nodes[..]].concat())),
        ];
        for (what, tree) in cases {
            docket.refused(what, with_tree(&forge, Some(&tree)), Rule::Malformed);
        }
        // The root's list of unmerged leaves is one byte long.
        let root = forge.parents().last().unwrap().1.encryption_key.clone();
        let at = nodes.windows(root.len()).position(|window| window == root).unwrap() + root.len();
        assert_eq!(nodes[at..at + 2], [0, 0]);
        let uneven = [&nodes[..at], &[0, 1, 7], &nodes[at + 2..]].concat();
        docket.refused("an uneven list", with_tree(&forge, Some(&wrapped(&uneven))), Rule::Malformed);
    }
}

fn one_sided_parents(docket: &Docket) {
    for suite in SUITES {
        for (leaves, at) in [
            (vec![1], At { level: 1, place: 0 }),
            (vec![0], At { level: 1, place: 0 }),
            (vec![6, 7], At { level: 1, place: 3 }),
        ] {
            let mut forge = warm(suite);
            leaves.iter().for_each(|leaf| forge.blank(At::leaf(*leaf)));
            let info = forge.group_info(&GroupInfoDraft::by(2)).unwrap();
            let verdict = Group::import(&info, Some(&forge.ratchet_tree()), &Strict, NOW);
            docket.refused("a side is empty", verdict, (Rule::TreeOneSided, node(at)));
        }
        let mut forge = warm(suite);
        for at in [At::leaf(6), At::leaf(7), At { level: 1, place: 3 }] {
            forge.blank(at);
        }
        docket.refused(
            "a side is empty",
            import(&forge, &Strict),
            (Rule::TreeOneSided, node(At { level: 2, place: 1 })),
        );
    }
}

fn unmerged_neighbours(docket: &Docket) {
    let (half, root) = (At { level: 2, place: 1 }, At { level: 3, place: 0 });
    for suite in SUITES {
        let honest = with_unmerged_neighbours(suite);
        let listed = |at| honest.parents().find(|(other, _)| *other == at).unwrap().1.unmerged.clone();
        assert_eq!((listed(root), honest.parents().any(|(at, _)| at == half)), (vec![4, 5], false));
        import(&honest, &Strict).unwrap();
        for unmerged in [vec![5, 4], vec![4, 4, 5], vec![4, 5, 5]] {
            let mut forge = honest.clone();
            let draft = ParentDraft { unmerged: Some(unmerged), ..Default::default() };
            forge.edit_parent(root, &draft).unwrap();
            docket.refused("not in order", import(&forge, &Strict), (Rule::UnmergedLeaves, node(root)));
        }
    }
}

/// Leaves that were added beside a path since it was made are not in the hashes that it speaks of (§7.9).
fn unmerged_leaves_beside_a_path(docket: &Docket) {
    for gone in (1_u32..15).map(|set| (4..8).filter(|leaf| set >> (leaf - 4) & 1 == 1).collect::<Vec<_>>()) {
        let mut forge = warm(Suite::One);
        let stays = (4..8).find(|leaf| !gone.contains(leaf)).unwrap();
        play(&mut forge, |forge| forge.draft_remove(0, &gone));
        play(&mut forge, |forge| forge.draft_update(stays));
        play(&mut forge, |forge| forge.draft_update(0));
        play(&mut forge, |forge| forge.draft_add(0, &newcomers(forge, &gone)));
        import(&forge, &Strict).unwrap_or_else(|why| panic!("{gone:?}: {why}"));
        let root = At { level: 3, place: 0 };
        for left_out in &gone {
            let unmerged = Some(gone.iter().copied().filter(|leaf| leaf != left_out).collect());
            let mut lie = forge.clone();
            lie.edit_parent(root, &ParentDraft { unmerged, ..Default::default() }).unwrap();
            docket.refused("the root does not know of it", import(&lie, &Strict), Rule::ParentHash);
        }
    }
}

/// Types of credentials that nobody knows are read, and hinder nothing.
fn unknown_credentials(_: &Docket) {
    for suite in SUITES {
        let mut founding = eight(suite, Shape::Warm);
        // The type's bytes look like the length of a short list.
        let kind = 0x0401;
        let capabilities = Capabilities { credentials: vec![kind], ..Capabilities::default() };
        for leaf in 0..8 {
            let credential = Some(Credential::Raw(kind, vec![2, 0, leaf as u8]));
            let capabilities = Some(capabilities.clone());
            founding.leaves.insert(leaf, LeafDraft { credential, capabilities, ..LeafDraft::default() });
        }
        import(&Forge::new(&founding).unwrap(), &Strict).unwrap();
    }
}

fn unmerged_leaves(docket: &Docket) {
    let (low, middle, root) =
        (At { level: 1, place: 1 }, At { level: 2, place: 0 }, At { level: 3, place: 0 });
    for suite in SUITES {
        let honest = with_unmerged(suite);
        let listed: Vec<_> = honest.parents().filter(|(_, parent)| parent.unmerged == [3]).collect();
        assert!(listed.iter().any(|(at, _)| *at == middle), "{listed:?}");
        let cases: [(&str, At, Vec<u32>); 7] = [
            ("twice", middle, vec![3, 3]),
            ("out of order", middle, vec![3, 1]),
            ("not below it", middle, vec![3, 4]),
            ("beyond the tree", root, vec![3, 8]),
            ("far beyond the tree", root, vec![3, u32::MAX]),
            ("not in the parent between", root, vec![3, 7]),
            ("not in the parent between", root, vec![1, 3]),
        ];
        for (what, at, unmerged) in cases {
            let mut forge = honest.clone();
            forge.edit_parent(at, &ParentDraft { unmerged: Some(unmerged), ..Default::default() }).unwrap();
            docket.refused(what, import(&forge, &Strict), (Rule::UnmergedLeaves, node(at)));
        }
        let mut forge = warm(suite);
        let gone = forge.commit(&forge.draft_remove(0, &[5])).unwrap();
        forge.play(&gone).unwrap();
        let draft = ParentDraft { unmerged: Some(vec![5]), ..Default::default() };
        forge.edit_parent(root, &draft).unwrap();
        docket.refused("blank", import(&forge, &Strict), (Rule::UnmergedLeaves, node(root)));
        // Only the parents above know of it.
        let mut forge = honest.clone();
        if forge.parents().any(|(at, _)| at == low) {
            forge
                .edit_parent(low, &ParentDraft { unmerged: Some(Vec::new()), ..Default::default() })
                .unwrap();
            assert!(import(&forge, &Strict).is_err());
        }
        // None of the parents knows of it: then the hashes do not fit.
        let mut forge = honest.clone();
        let all: Vec<At> =
            forge.parents().filter(|(_, parent)| parent.unmerged == [3]).map(|(at, _)| at).collect();
        for at in all {
            forge.edit_parent(at, &ParentDraft { unmerged: Some(Vec::new()), ..Default::default() }).unwrap();
        }
        docket.refused("nobody knows of it", import(&forge, &Strict), Rule::ParentHash);
    }
}

fn parent_hashes(docket: &Docket) {
    for suite in SUITES {
        for honest in [warm(suite), with_unmerged(suite)] {
            let all: Vec<At> = honest.parents().map(|(at, _)| at).collect();
            for at in all {
                let new_key = Some(honest.new_hpke_key().unwrap());
                let mut forge = honest.clone();
                forge
                    .edit_parent(at, &ParentDraft { encryption_key: new_key, ..Default::default() })
                    .unwrap();
                docket.refused("another key", import(&forge, &Strict), Rule::ParentHash);
                let size = suite.hash_length();
                for hash in [vec![1; size], vec![1; size - 1]] {
                    let mut forge = honest.clone();
                    let draft = ParentDraft { parent_hash: Some(hash), ..Default::default() };
                    forge.edit_parent(at, &draft).unwrap();
                    docket.refused("another hash", import(&forge, &Strict), Rule::ParentHash);
                }
                let mut forge = honest.clone();
                forge.blank(at);
                match at.level {
                    // A blank root asks nobody to answer for it.
                    3 => drop(import(&forge, &Strict).unwrap()),
                    _ => docket.refused("a blank parent", import(&forge, &Strict), Rule::ParentHash),
                }
            }
        }
        // A parent out of nothing, in a tree that has none.
        let mut bare = Forge::new(&eight(suite, Shape::Bare)).unwrap();
        let at = At { level: 1, place: 2 };
        let draft = ParentDraft { encryption_key: Some(bare.new_hpke_key().unwrap()), ..Default::default() };
        bare.edit_parent(at, &draft).unwrap();
        docket.refused("out of nothing", import(&bare, &Strict), (Rule::ParentHash, node(at)));
        // A leaf beside the path is another one than when the path was made.
        let founding = eight(suite, Shape::Warm);
        let mut forge = Forge::new(&founding).unwrap();
        forge
            .edit_leaf(
                1,
                &LeafDraft { encryption_key: Some(forge.new_hpke_key().unwrap()), ..Default::default() },
            )
            .unwrap();
        docket.refused("another sibling", import(&forge, &Strict), (Rule::ParentHash, Place::Node(1)));
        // A leaf that has committed says another parent hash, and is signed anew.
        let other = LeafDraft { parent_hash: Some(vec![1; suite.hash_length()]), ..Default::default() };
        let forge = Forge::new(&Founding { leaves: [(0, other)].into(), ..founding }).unwrap();
        docket.refused("another leaf's word", import(&forge, &Strict), Rule::ParentHash);
    }
}

fn keys_of_parents(docket: &Docket) {
    for suite in SUITES {
        let honest = warm(suite);
        let key = honest.new_hpke_key().unwrap();
        let lengths = [Vec::new(), key[1..].to_vec(), [&key[..], &[0]].concat()];
        for key in lengths.into_iter().chain(keys_that_are_none(&honest)) {
            let mut forge = honest.clone();
            let at = At { level: 2, place: 1 };
            forge.edit_parent(at, &ParentDraft { encryption_key: Some(key), ..Default::default() }).unwrap();
            docket.refused("a form", import(&forge, &Strict), (Rule::LeafKey, node(at)));
        }
    }
}

fn keys_twice(docket: &Docket) {
    for suite in SUITES {
        let honest = warm(suite);
        let root = At { level: 3, place: 0 };
        let others = honest.parents().filter(|(at, _)| *at != root);
        let others = others.map(|(_, parent)| parent.encryption_key.clone());
        let leaves = honest.members().map(|(_, leaf)| leaf.encryption_key.clone());
        for key in others.chain(leaves) {
            let mut forge = honest.clone();
            forge
                .edit_parent(root, &ParentDraft { encryption_key: Some(key), ..Default::default() })
                .unwrap();
            docket.refused("the root's", import(&forge, &Strict), Rule::EncryptionKeyTwice);
        }
        let bare = Forge::new(&eight(suite, Shape::Bare)).unwrap();
        let mut forge = bare.clone();
        let key = bare.leaf(5).unwrap().encryption_key.clone();
        forge.edit_leaf(7, &LeafDraft { encryption_key: Some(key), ..Default::default() }).unwrap();
        docket.refused("two leaves", import(&forge, &Strict), (Rule::EncryptionKeyTwice, Place::Node(10)));
    }
}

fn hashes(docket: &Docket) {
    for suite in SUITES {
        let (forge, other) = (warm(suite), with_unmerged(suite));
        let expected = || (Rule::TreeHash, Place::Whole);
        docket.refused("another tree", with_tree(&forge, Some(&other.ratchet_tree())), expected());
        let size = suite.hash_length();
        for hash in [Vec::new(), vec![1; size], forge.tree_hash()[1..].to_vec()] {
            let draft = GroupInfoDraft { tree_hash: Some(hash), ..GroupInfoDraft::by(0) };
            let info = forge.group_info(&draft).unwrap();
            let verdict = Group::import(&info, Some(&forge.ratchet_tree()), &Strict, NOW);
            docket.refused("another hash", verdict, expected());
        }
    }
}

struct Small {
    members: u32,
    tree_bytes: usize,
}

impl Policy for Small {
    fn bounds(&self) -> Bounds {
        Bounds { members: self.members, tree_bytes: self.tree_bytes, ..Strict.bounds() }
    }
}

fn sizes(docket: &Docket) {
    for suite in SUITES {
        let forge = warm(suite);
        let (info, tree) = (forge.group_info(&GroupInfoDraft::by(0)).unwrap(), forge.ratchet_tree());
        let import =
            |members, tree_bytes| Group::import(&info, Some(&tree), &Small { members, tree_bytes }, NOW);
        let bytes = info.len() + tree.len();
        import(8, bytes).unwrap();
        docket.refused("members", import(7, bytes), (Rule::TooManyMembers, Place::Whole));
        docket.refused("bytes", import(8, bytes - 1), (Rule::TooLarge, Place::Whole));
    }
    // A leaf that does not fit the group's extensions is a matter of leaves; that it stands in the tree is not.
    let able = eight(Suite::One, Shape::Bare);
    let extensions = vec![maypole_testkit::forge::Extension::new(UNKNOWN, Vec::new())];
    let forge = Forge::new(&Founding { extensions, ..able }).unwrap();
    docket.refused(
        "an extension of nobody",
        import(&forge, &Strict),
        (Rule::LeafGroupExtension, Place::Leaf(0)),
    );
}

/// A group begins with its creator alone (§11).
fn the_first_epoch(docket: &Docket) {
    for suite in SUITES {
        let begins = |members, epoch| {
            let founding = Founding { epoch, members, ..eight(suite, Shape::Bare) };
            import(&Forge::new(&founding).unwrap(), &Strict)
        };
        begins(1, 0).unwrap();
        begins(2, 1).unwrap();
        for members in [2, 3, 8] {
            docket.refused("with others", begins(members, 0), (Rule::FirstEpoch, Place::Whole));
        }
        let mut second = Forge::new(&Founding { epoch: 0, members: 2, ..eight(suite, Shape::Bare) }).unwrap();
        second.blank(At::leaf(0));
        let info = second.group_info(&GroupInfoDraft::by(1)).unwrap();
        let verdict = Group::import(&info, Some(&second.ratchet_tree()), &Strict, NOW);
        docket.refused("at leaf 1", verdict, (Rule::FirstEpoch, Place::Whole));
    }
}
