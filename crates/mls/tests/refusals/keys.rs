//! Keys that serve to sign and to encrypt (RFC 9420 §16.7), by each way that a key can come.

use maypole_mls::{Place, Rule, Strict, check_key_package};
use maypole_testkit::forge::{
    Draft, Forge, KeyPackageDraft, LeafDraft, Listed, Proposal, Sender, Shape, SigningKey, Suite,
};

use crate::leaves::each_way;
use crate::trial::{Docket, NOW, Trial, eight, import, worlds};

cases![of_one_leaf, of_two_leaves, of_two_new_leaves, of_a_path, of_an_imported_tree];

/// The leaf of somebody who signs with a key.
fn signs(key: &SigningKey) -> LeafDraft {
    LeafDraft { key: Some(key.clone()), ..LeafDraft::default() }
}

/// The leaf of somebody to whom one encrypts with a key that others sign with.
fn reads(key: &SigningKey) -> LeafDraft {
    LeafDraft { encryption_key: Some(key.public().to_vec()), ..LeafDraft::default() }
}

fn package(forge: &Forge, leaf: LeafDraft) -> maypole_testkit::forge::KeyPackage {
    forge.key_package(&KeyPackageDraft { leaf, ..KeyPackageDraft::of("@new:a.org/D") }).unwrap()
}

fn of_one_leaf(docket: &Docket) {
    for trial in worlds(docket) {
        let key = trial.forge.new_key().unwrap();
        let both = LeafDraft { encryption_key: Some(key.public().to_vec()), ..signs(&key) };
        for honest in [signs(&key), reads(&key)] {
            for (way, message, _) in each_way(&trial, &honest) {
                trial.takes(way, &message);
            }
        }
        for (way, message, place) in each_way(&trial, &both) {
            trial.refuses(way, &message, (Rule::KeyOfBothKinds, place));
        }
        let verdict = check_key_package(&package(&trial.forge, both).bytes, &Strict, NOW);
        docket.refused("handed out", verdict, Rule::KeyOfBothKinds);
    }
}

/// A member reads with a key that another comes to sign with. The other way round is among the lies of [`crate::leaves`].
fn of_two_leaves(docket: &Docket) {
    for mut trial in worlds(docket) {
        let key = trial.forge.new_key().unwrap();
        for (way, message, _) in each_way(&trial, &signs(&key)) {
            trial.takes(way, &message);
        }
        trial.play("a new HPKE key", &trial.forge.draft_update(6).with_leaf(reads(&key)));
        for (way, message, place) in each_way(&trial, &signs(&key)) {
            if place == Place::Whole && way != "updated" {
                // Whoever reads with it may go by the same commit.
                trial.takes(way, &message);
            } else {
                trial.refuses(way, &message, (Rule::KeyOfBothKinds, place));
            }
        }
        let gone = trial.forge.draft_remove(0, &[6]).with(Proposal::Add(package(&trial.forge, signs(&key))));
        trial.takes_commit("in place of who goes", &gone);
    }
}

fn of_two_new_leaves(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let key = forge.new_key().unwrap();
        for (one, other) in [(signs(&key), reads(&key)), (reads(&key), signs(&key))] {
            let first = Proposal::Add(package(forge, one));
            let second = |leaf| {
                let draft = KeyPackageDraft { leaf, ..KeyPackageDraft::of("@two:a.org/D") };
                Proposal::Add(forge.key_package(&draft).unwrap())
            };
            let honest = forge.draft_remove(0, &[3]).with(first.clone()).with(second(LeafDraft::default()));
            let lie = |draft: &mut Draft| draft.proposals[2] = Listed::Value(second(other.clone()));
            trial.refuses_changed("two Adds", &honest, lie, (Rule::KeyOfBothKinds, Place::Proposal(2)));
            let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().leaf = other.clone();
            trial.refuses_changed(
                "an Add and the path",
                &honest,
                lie,
                (Rule::KeyOfBothKinds, Place::PathLeaf),
            );

            let mut waiting = trial.clone();
            waiting.propose(Sender::Member(2), first);
            let beside = |sender, proposal| {
                let expected = (Rule::KeyOfBothKinds, Place::Whole);
                waiting.refuses_proposal("beside one that waits", sender, proposal, expected);
            };
            beside(Sender::External(0), second(other.clone()));
            beside(Sender::Member(5), forge.update_of(5, &other).unwrap());
            let honest = forge.update_of(5, &LeafDraft::default()).unwrap();
            waiting.takes_proposal("another Update", Sender::Member(5), honest);
        }
    }
}

fn of_a_path(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let new = forge.new_key().unwrap();
        let added = Proposal::Add(package(forge, signs(&new)));
        let join = forge.draft_external("@dan:a.org/D", &[]).unwrap();
        for leaf in [2, 5] {
            for honest in [forge.draft_update(2), forge.draft_remove(2, &[3]), join.clone()] {
                let key = forge.key_of(leaf).unwrap().public().to_vec();
                let lie = |draft: &mut Draft| drop(draft.path.as_mut().unwrap().keys.insert(0, key));
                let expected = (Rule::KeyOfBothKinds, Place::PathNode(0));
                trial.refuses_changed("a member's", &honest, lie, expected);
            }
        }
        for node in 0..3 {
            let lie = |draft: &mut Draft| {
                draft.path.as_mut().unwrap().keys.insert(node, new.public().to_vec());
            };
            let expected = || (Rule::KeyOfBothKinds, Place::PathNode(node));
            let honest = forge.draft_update(2).with(added.clone());
            trial.refuses_changed("of who is added", &honest, lie, expected());
            let honest = forge.draft_update(2).with_leaf(signs(&new));
            trial.refuses_changed("the committer's new one", &honest, lie, expected());
        }
    }
}

fn of_an_imported_tree(docket: &Docket) {
    for suite in [Suite::One, Suite::Two, Suite::Seven] {
        let mut bare = Forge::new(&eight(suite, Shape::Bare)).unwrap();
        import(&bare, &Strict).unwrap();
        let signed = bare.key_of(5).unwrap().clone();
        bare.edit_leaf(7, &reads(&signed)).unwrap();
        docket.refused("two leaves", import(&bare, &Strict), (Rule::KeyOfBothKinds, Place::Leaf(5)));
        let signed = bare.key_of(2).unwrap().clone();
        bare.edit_leaf(6, &reads(&signed)).unwrap();
        docket.refused("the first of two", import(&bare, &Strict), (Rule::KeyOfBothKinds, Place::Leaf(2)));

        let trial = Trial::of(docket, &eight(suite, Shape::Warm));
        let root = maypole_testkit::forge::At { level: 3, place: 0 };
        let mut forge = trial.forge.clone();
        let key = Some(forge.key_of(4).unwrap().public().to_vec());
        let draft = maypole_testkit::forge::ParentDraft { encryption_key: key, ..Default::default() };
        forge.edit_parent(root, &draft).unwrap();
        docket.refused("a parent", import(&forge, &Strict), (Rule::KeyOfBothKinds, Place::Leaf(4)));
    }
}
