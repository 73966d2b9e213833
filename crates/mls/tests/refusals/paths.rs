//! Paths: when there must be one, its length, its secrets, its keys, and the parent hash in its leaf (RFC 9420 §7.5, §7.6,
//! §12.4).

use maypole_mls::{Place, Rule};
use maypole_testkit::forge::{
    At, Draft, Extension, Forge, KeyPackageDraft, LeafDraft, Listed, PathDraft, Proposal, PskId, Sender,
};

use crate::lists::{TakesAll, reinit};
use crate::trial::{Docket, Trial, keys_that_are_none, worlds};

cases![
    missing_paths,
    lengths,
    numbers_of_secrets,
    secrets_for_whom_the_commit_adds,
    sizes_of_secrets,
    keys_that_stand_in_the_tree,
    keys_twice_in_a_path,
    keys_that_the_commit_brings,
    forms_of_keys,
    parent_hashes,
    kept_keys,
    changed_identities,
];

fn with_path(mut draft: Draft, change: impl FnOnce(&mut PathDraft)) -> Draft {
    change(draft.path.as_mut().unwrap());
    draft
}

fn package(forge: &Forge, identity: &str) -> Proposal {
    Proposal::Add(forge.key_package(&KeyPackageDraft::of(identity)).unwrap())
}

fn missing_paths(docket: &Docket) {
    for mut trial in worlds(docket) {
        let update = trial.forge.update_of(3, &LeafDraft::default()).unwrap();
        let update = trial.propose(Sender::Member(3), update);
        let leaving = trial.propose(Sender::Member(4), Proposal::SelfRemove);
        let removal = trial.propose(Sender::External(0), Proposal::Remove(5));
        let forge = &trial.forge;
        let same: Vec<Extension> = forge.extensions().to_vec();
        let needing = [
            forge.draft_update(0),
            forge.draft_remove(0, &[3]),
            forge.draft_remove(0, &[3]).with(package(forge, "@new:a.org/D")),
            forge.draft_references(0, &[&update]),
            forge.draft_references(0, &[&leaving]),
            forge.draft_references(0, &[&removal]),
            forge.draft_extensions(0, &same),
            forge.draft_external("@new:a.org/D", &[]).unwrap(),
            forge.draft_resync(3).unwrap(),
        ];
        for honest in needing {
            let lie = |draft: &mut Draft| draft.path = None;
            trial.refuses_changed("no path", &honest, lie, (Rule::PathMissing, Place::Whole));
        }
        let add = forge.draft_update(0).with(package(forge, "@new:a.org/D"));
        trial.takes_commit("an Add with a path", &add);
        trial.takes_commit("an Add without", &add.without_path());
        let nonce = forge.bytes(forge.suite().hash_length());
        let key = Proposal::PreSharedKey(PskId::External { id: vec![1], nonce });
        let taking = trial.judged_by(&TakesAll);
        taking.takes_commit(
            "a pre-shared key without",
            &forge.draft_update(0).with(key.clone()).without_path(),
        );
        taking
            .takes_commit("a ReInit without", &forge.draft_update(0).with(reinit(&trial, 1)).without_path());
        let honest = forge.draft_remove(0, &[3]).with(key);
        let lie = |draft: &mut Draft| draft.path = None;
        taking.refuses_changed("a Remove beside it", &honest, lie, (Rule::PathMissing, Place::Whole));
    }
}

fn lengths(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let join = forge.draft_external("@new:a.org/D", &[]).unwrap();
        for (honest, due) in [(forge.draft_update(2), 3), (forge.draft_remove(2, &[3]), 2), (join, 1)] {
            for length in [0, 1, 2, 3, 4, 5, 32] {
                if length == due {
                    continue;
                }
                let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().length = Some(length);
                trial.refuses_changed("a length", &honest, lie, (Rule::PathLength, Place::Whole));
            }
            let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().length = Some(33);
            trial.refuses_changed("deeper than any tree", &honest, lie, Rule::Malformed);
        }
    }
}

/// A tree with a gap at leaf 5, and with leaves 3 and 8 unmerged where it has parents.
fn with_gaps<'d>(mut trial: Trial<'d>) -> Trial<'d> {
    trial.play("a gap", &trial.forge.draft_remove(0, &[3, 5]));
    let adds = [package(&trial.forge, "@one:a.org/D")];
    let add = adds.into_iter().fold(trial.forge.draft_update(2), Draft::with);
    trial.play("an unmerged leaf", &add.without_path());
    trial
}

fn numbers_of_secrets(docket: &Docket) {
    for trial in worlds(docket) {
        for trial in [trial.clone(), with_gaps(trial)] {
            let forge = &trial.forge;
            let join = forge.draft_external("@new:a.org/D", &[]).unwrap();
            for honest in [forge.draft_update(2), join, forge.draft_resync(4).unwrap()] {
                trial.takes_commit("as many as read them", &honest);
                for node in 0..4 {
                    let mut taken = Vec::new();
                    for count in 0..9 {
                        let draft = with_path(honest.clone(), |path| {
                            path.ciphertexts.insert(node, count);
                        });
                        let message = forge.commit(&draft).unwrap().message;
                        match trial.verdict(&message) {
                            Ok(_) => taken.push(count),
                            Err(_) => {
                                let expected = (Rule::PathCiphertexts, Place::PathNode(node));
                                trial.refuses("another number", &message, expected);
                            }
                        }
                    }
                    // Nodes that the path does not have are not written.
                    assert!(taken.len() == 1 || taken.len() == 9, "node {node}: {taken:?} are taken");
                    assert_ne!(taken[0], 9);
                }
            }
        }
    }
}

fn secrets_for_whom_the_commit_adds(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        // Leaves 3 and 5 are filled anew: node 0 has nobody to read it, node 1 one reader less.
        let honest = forge.draft_remove(2, &[3, 5]);
        let honest = honest.with(package(forge, "@one:a.org/D")).with(package(forge, "@two:a.org/D"));
        trial.takes_commit("none for who is added", &honest);
        for (node, wrong) in [(0, 1), (0, 2), (2, 4), (2, 0)] {
            let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().ciphertexts = [(node, wrong)].into();
            let expected = (Rule::PathCiphertexts, Place::PathNode(node));
            trial.refuses_changed("for who is added", &honest, lie, expected);
        }
    }
}

fn sizes_of_secrets(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let key = forge.leaf(0).unwrap().encryption_key.len();
        let sealed = forge.suite().hash_length() + 16;
        let join = forge.draft_external("@new:a.org/D", &[3]).unwrap();
        let join = with_path(join, |path| {
            path.leaf.credential = Some(forge.leaf(3).unwrap().credential.clone());
        });
        for honest in [forge.draft_update(2), join] {
            trial.takes_commit("the suite's", &honest);
            for node in 0..3 {
                let sizes = [(key - 1, sealed), (key + 1, sealed), (0, sealed), (key, 0)];
                let others = [(key, sealed - 1), (key, sealed + 1), (key, sealed - 16), (sealed, key)];
                for size in sizes.into_iter().chain(others) {
                    let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().sizes = [(node, size)].into();
                    let expected = (Rule::PathCiphertextSize, Place::PathNode(node));
                    trial.refuses_changed(&format!("{size:?}"), &honest, lie, expected);
                }
            }
        }
    }
}

fn keys_that_stand_in_the_tree(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let parents = forge.parents().map(|(_, parent)| parent.encryption_key.clone());
        let leaves = forge.members().map(|(_, leaf)| leaf.encryption_key.clone());
        let join = forge.draft_external("@new:a.org/D", &[]).unwrap();
        for key in parents.chain(leaves) {
            for node in 0..3 {
                let lie = |draft: &mut Draft| {
                    drop(draft.path.as_mut().unwrap().keys.insert(node, key.clone()));
                };
                let expected = (Rule::PathKey, Place::PathNode(node));
                trial.refuses_changed("a node's key", &forge.draft_update(2), lie, expected);
            }
            let lie = |draft: &mut Draft| drop(draft.path.as_mut().unwrap().keys.insert(0, key.clone()));
            trial.refuses_changed("by a joiner", &join, lie, (Rule::PathKey, Place::PathNode(0)));
        }
        // The key of who goes by the same commit stands in the new tree no more.
        let gone = forge.leaf(3).unwrap().encryption_key.clone();
        let reused = with_path(forge.draft_remove(2, &[3]), |path| {
            path.keys.insert(0, gone);
        });
        trial.takes_commit("a key that is gone", &reused);
    }
}

fn keys_twice_in_a_path(docket: &Docket) {
    for trial in worlds(docket) {
        let key = trial.forge.new_hpke_key().unwrap();
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let lie = |draft: &mut Draft| {
                let path = draft.path.as_mut().unwrap();
                path.keys.extend([(one, key.clone()), (other, key.clone())]);
            };
            let expected = (Rule::PathKey, Place::PathNode(other));
            trial.refuses_changed("twice", &trial.forge.draft_update(2), lie, expected);
        }
        for node in 0..3 {
            let lie = |draft: &mut Draft| {
                let path = draft.path.as_mut().unwrap();
                path.keys.insert(node, key.clone());
                path.leaf.encryption_key = Some(key.clone());
            };
            let expected = (Rule::PathKey, Place::PathNode(node));
            trial.refuses_changed("the leaf's", &trial.forge.draft_update(2), lie, expected);
        }
    }
}

fn keys_that_the_commit_brings(docket: &Docket) {
    for mut trial in worlds(docket) {
        let added = package(&trial.forge, "@new:a.org/D");
        let Proposal::Add(brought) = &added else { panic!("an Add") };
        let brought = brought.leaf.clone();
        let updated = trial.forge.update_of(5, &LeafDraft::default()).unwrap();
        let Proposal::Update(new) = &updated else { panic!("an Update") };
        let new = new.clone();
        let update = trial.propose(Sender::Member(5), updated.clone());
        let forge = &trial.forge;
        for (honest, leaf) in
            [(forge.draft_remove(2, &[3]).with(added), brought), (forge.draft_references(2, &[&update]), new)]
        {
            for node in 0..3 {
                let lie = |draft: &mut Draft| {
                    let key = leaf.node.encryption_key.clone();
                    drop(draft.path.as_mut().unwrap().keys.insert(node, key));
                };
                trial.refuses_changed("in a path", &honest, lie, (Rule::PathKey, Place::PathNode(node)));
            }
            let lie = |draft: &mut Draft| {
                draft.path.as_mut().unwrap().leaf.encryption_key = Some(leaf.node.encryption_key.clone());
            };
            let expected = (Rule::EncryptionKeyTwice, Place::PathLeaf);
            trial.refuses_changed("in the leaf", &honest, lie, expected);
            if leaf.key.public() != forge.key_of(5).unwrap().public() {
                let lie = |draft: &mut Draft| {
                    draft.path.as_mut().unwrap().leaf.key = Some(leaf.key.clone());
                };
                let expected = (Rule::SignatureKeyTwice, Place::PathLeaf);
                trial.refuses_changed("in the leaf", &honest, lie, expected);
            }
        }
        two_new_leaves_with_one_key(&trial);
    }
}

/// Two Adds, and an Add and an Update, that bring the same.
fn two_new_leaves_with_one_key(trial: &Trial<'_>) {
    let forge = &trial.forge;
    let one = KeyPackageDraft::of("@one:a.org/D");
    let first = forge.key_package(&one).unwrap();
    let twins = [
        (Rule::SignatureKeyTwice, LeafDraft { key: Some(first.leaf.key.clone()), ..LeafDraft::default() }),
        (
            Rule::EncryptionKeyTwice,
            LeafDraft {
                encryption_key: Some(first.leaf.node.encryption_key.clone()),
                ..LeafDraft::default()
            },
        ),
        (
            Rule::IdentityTwice,
            LeafDraft { credential: Some(first.leaf.node.credential.clone()), ..LeafDraft::default() },
        ),
    ];
    let honest = forge
        .draft_add(0, &[first.clone(), forge.key_package(&KeyPackageDraft::of("@two:a.org/D")).unwrap()]);
    for (rule, leaf) in twins {
        let twin = KeyPackageDraft { leaf: leaf.clone(), ..KeyPackageDraft::of("@two:a.org/D") };
        let twin = forge.key_package(&twin).unwrap();
        let lie = |draft: &mut Draft| draft.proposals[1] = Listed::Value(Proposal::Add(twin));
        trial.refuses_changed("two Adds", &honest, lie, (rule, Place::Proposal(1)));
        if rule == Rule::IdentityTwice {
            continue;
        }
        let mut waiting = trial.clone();
        let update = waiting.propose(Sender::Member(3), forge.update_of(3, &leaf).unwrap());
        let both = forge.draft_references(0, &[&update]).with(Proposal::Add(first.clone()));
        waiting.takes_commit("the Update alone", &forge.draft_references(0, &[&update]));
        waiting.refuses_commit("an Update and an Add", &both, (rule, Place::Proposal(1)));
    }
}

fn forms_of_keys(docket: &Docket) {
    for trial in worlds(docket) {
        let key = trial.forge.new_hpke_key().unwrap();
        let mut wrong = vec![Vec::new(), key[1..].to_vec(), [&key[..], &[0]].concat()];
        wrong.extend(keys_that_are_none(&trial.forge));
        for key in wrong {
            for node in 0..3 {
                let lie = |draft: &mut Draft| {
                    drop(draft.path.as_mut().unwrap().keys.insert(node, key.clone()));
                };
                let expected = (Rule::PathKeyForm, Place::PathNode(node));
                trial.refuses_changed("a form", &trial.forge.draft_update(2), lie, expected);
            }
        }
    }
}

fn parent_hashes(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let size = forge.suite().hash_length();
        // The leaf of the very same path, had the tree been another one.
        let mut elsewhere = forge.clone();
        elsewhere.blank(At { level: 0, place: 6 });
        let there = elsewhere.commit(&forge.draft_update(2)).unwrap();
        let mut after = elsewhere.clone();
        after.play(&there).unwrap();
        let maypole_testkit::forge::Source::Commit(other) = after.leaf(2).unwrap().source.clone() else {
            panic!("a leaf of a commit")
        };
        let join = forge.draft_external("@new:a.org/D", &[]).unwrap();
        for hash in [Vec::new(), vec![1; size], vec![1; size - 1], other] {
            for honest in [forge.draft_update(2), join.clone()] {
                let lie = |draft: &mut Draft| {
                    draft.path.as_mut().unwrap().leaf.parent_hash = Some(hash.clone());
                };
                let expected = (Rule::LeafParentHash, Place::PathLeaf);
                trial.refuses_changed("another hash", &honest, lie, expected);
            }
        }
    }
}

fn kept_keys(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let old = |leaf| {
            let encryption_key = Some(forge.leaf(leaf).unwrap().encryption_key.clone());
            LeafDraft { encryption_key, ..LeafDraft::default() }
        };
        let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().leaf = old(2);
        let expected = (Rule::EncryptionKeyKept, Place::PathLeaf);
        trial.refuses_changed("in a path", &forge.draft_update(2), lie, expected);
        let update = forge.update_of(2, &old(2)).unwrap();
        let expected = (Rule::EncryptionKeyKept, Place::Whole);
        trial.refuses_proposal("in an Update", Sender::Member(2), update, expected);
        let lie = |draft: &mut Draft| {
            let path = draft.path.as_mut().unwrap();
            path.leaf.encryption_key = old(3).encryption_key;
        };
        let expected = (Rule::EncryptionKeyKept, Place::PathLeaf);
        trial.refuses_changed("coming back", &forge.draft_resync(3).unwrap(), lie, expected);
    }
}

fn changed_identities(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        for identity in ["@mallory:b.org/D", "@user1:a.org/D", ""] {
            let credential = Some(maypole_testkit::forge::Credential::basic(identity));
            let leaf = LeafDraft { credential, ..LeafDraft::default() };
            let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().leaf = leaf.clone();
            let expected = (Rule::IdentityChanged, Place::PathLeaf);
            trial.refuses_changed("in a path", &forge.draft_update(2), lie, expected);
            let update = forge.update_of(2, &leaf).unwrap();
            let expected = (Rule::IdentityChanged, Place::Whole);
            trial.refuses_proposal("in an Update", Sender::Member(2), update, expected);
        }
    }
}
