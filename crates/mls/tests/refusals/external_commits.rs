//! Commits from outside (RFC 9420 §12.2, §12.4.3.2): what they may have, and whom they may replace.

use maypole_mls::{Place, Rule};
use maypole_testkit::forge::{
    Credential, Draft, Founding, KeyPackageDraft, LeafDraft, Listed, PathDraft, Proposal, PskId, Sender,
    Shape, Suite,
};

use crate::lists::{TakesAll, reinit};
use crate::trial::{Docket, Trial, eight, keys_that_are_none, worlds};

cases![
    numbers_of_inits,
    secrets_that_are_none,
    proposals_that_do_not_belong,
    references,
    removals,
    whom_a_joiner_replaces,
    what_a_joiner_shares,
    where_a_joiner_sits,
    what_is_said_of_the_past,
];

fn numbers_of_inits(docket: &Docket) {
    for trial in worlds(docket) {
        let join = trial.forge.draft_external("@new:a.org/D", &[]).unwrap();
        let none = |draft: &mut Draft| draft.proposals.clear();
        trial.refuses_changed("none", &join, none, (Rule::ExternalInitCount, Place::Whole));
        let same = |draft: &mut Draft| draft.proposals.push(draft.proposals[0].clone());
        trial.refuses_changed("the same twice", &join, same, (Rule::ExternalInitCount, Place::Proposal(1)));
        let second = Proposal::ExternalInit(trial.forge.new_hpke_key().unwrap());
        let two = |draft: &mut Draft| draft.proposals.push(Listed::Value(second));
        trial.refuses_changed("two", &join, two, (Rule::ExternalInitCount, Place::Proposal(1)));
        let back = trial.forge.draft_resync(3).unwrap();
        let none = |draft: &mut Draft| drop(draft.proposals.remove(0));
        trial.refuses_changed("a Remove alone", &back, none, (Rule::ExternalInitCount, Place::Whole));
    }
}

fn secrets_that_are_none(docket: &Docket) {
    for trial in worlds(docket) {
        let join = trial.forge.draft_external("@new:a.org/D", &[]).unwrap();
        let key = trial.forge.new_hpke_key().unwrap();
        let lengths = [Vec::new(), key[1..].to_vec(), [&key[..], &[0]].concat()];
        for secret in lengths.into_iter().chain(keys_that_are_none(&trial.forge)) {
            let lie = |draft: &mut Draft| {
                draft.proposals[0] = Listed::Value(Proposal::ExternalInit(secret));
            };
            trial.refuses_changed("a length", &join, lie, (Rule::ExternalInitKey, Place::Proposal(0)));
        }
    }
}

fn proposals_that_do_not_belong(docket: &Docket) {
    for trial in worlds(docket) {
        let trial = trial.judged_by(&TakesAll);
        let forge = &trial.forge;
        let join = forge.draft_external("@new:a.org/D", &[]).unwrap();
        let package = forge.key_package(&KeyPackageDraft::of("@two:a.org/D")).unwrap();
        let others = [
            Proposal::Add(package),
            forge.update_of(3, &LeafDraft::default()).unwrap(),
            Proposal::Extensions(forge.extensions().to_vec()),
            reinit(&trial, 1),
        ];
        for other in others {
            let what = format!("type {}", other.number());
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(other));
            trial.refuses_changed(&what, &join, lie, (Rule::ExternalProposal, Place::Proposal(1)));
        }
        let nonce = forge.bytes(forge.suite().hash_length());
        let key = Proposal::PreSharedKey(PskId::External { id: vec![1], nonce });
        trial.takes_commit("a pre-shared key", &join.with(key));
    }
}

fn references(docket: &Docket) {
    for mut trial in worlds(docket) {
        let package = trial.forge.key_package(&KeyPackageDraft::of("@two:a.org/D")).unwrap();
        let update = trial.forge.update_of(3, &LeafDraft::default()).unwrap();
        let extensions = Proposal::Extensions(trial.forge.extensions().to_vec());
        let waiting = [
            trial.propose(Sender::External(0), Proposal::Remove(3)),
            trial.propose(Sender::Member(2), Proposal::Remove(3)),
            trial.propose(Sender::NewMemberProposal, Proposal::Add(package)),
            trial.propose(Sender::Member(3), update),
            trial.propose(Sender::Member(2), extensions),
        ];
        let leaving = trial.propose(Sender::Member(4), Proposal::SelfRemove);
        let join = trial.forge.draft_external("@new:a.org/D", &[]).unwrap();
        trial.takes_commit("a SelfRemove", &join.clone().referring_to(&leaving));
        for proposal in &waiting {
            let what = format!("type {}", proposal.proposal.number());
            let lie = |draft: &mut Draft| draft.proposals.push(proposal.into());
            trial.refuses_changed(&what, &join, lie, (Rule::ExternalReference, Place::Proposal(1)));
        }
        let lie = |draft: &mut Draft| draft.proposals.extend([(&leaving).into(), (&leaving).into()]);
        trial.refuses_changed("twice", &join, lie, (Rule::ReferenceTwice, Place::Proposal(2)));
        let unknown = Listed::Reference(vec![1; 32], None);
        let lie = |draft: &mut Draft| draft.proposals.push(unknown);
        trial.refuses_changed("unheard", &join, lie, (Rule::UnknownReference, Place::Proposal(1)));
        let back = trial.forge.draft_resync(4).unwrap();
        let lie = |draft: &mut Draft| draft.proposals.push((&leaving).into());
        trial.refuses_changed("its own leaf twice", &back, lie, (Rule::LeafTwice, Place::Proposal(2)));
    }
}

fn removals(docket: &Docket) {
    for mut trial in worlds(docket) {
        trial.play("a gap", &trial.forge.draft_remove(0, &[5]));
        let back = trial.forge.draft_resync(3).unwrap();
        for second in [3, 4] {
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(Proposal::Remove(second)));
            trial.refuses_changed("two", &back, lie, (Rule::ExternalRemoves, Place::Proposal(2)));
        }
        for nobody in [5, 8, u32::MAX] {
            let lie = |draft: &mut Draft| draft.proposals[1] = Listed::Value(Proposal::Remove(nobody));
            trial.refuses_changed("nobody", &back, lie, (Rule::RemoveBlank, Place::Proposal(1)));
        }
    }
}

fn whom_a_joiner_replaces(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let back = forge.draft_resync(3).unwrap();
        let expected = || (Rule::IdentityChanged, Place::PathLeaf);
        for identity in ["@mallory:b.org/D", "@user4:a.org/D", ""] {
            let lie = |draft: &mut Draft| {
                draft.path.as_mut().unwrap().leaf.credential = Some(Credential::basic(identity));
            };
            trial.refuses_changed("somebody else", &back, lie, expected());
        }
        let theft = forge.draft_external("@mallory:b.org/D", &[3]).unwrap();
        trial.refuses_commit("with a key of its own", &theft, expected());
        trial.takes_commit("beside", &forge.draft_external("@mallory:b.org/D", &[]).unwrap());
        let mut renewed = back.clone();
        renewed.path.as_mut().unwrap().leaf.key = None;
        trial.takes_commit("back with a new key", &renewed);
    }
}

fn what_a_joiner_shares(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let join = forge.draft_external("@new:a.org/D", &[]).unwrap();
        let third = forge.leaf(3).unwrap();
        let path = |leaf: LeafDraft| PathDraft { leaf, ..PathDraft::default() };
        let own = LeafDraft { credential: Some(Credential::basic("@new:a.org/D")), ..LeafDraft::default() };
        let shared = [
            (
                LeafDraft { key: Some(forge.key_of(3).unwrap().clone()), ..own.clone() },
                Rule::SignatureKeyTwice,
            ),
            (
                LeafDraft { encryption_key: Some(third.encryption_key.clone()), ..own.clone() },
                Rule::EncryptionKeyTwice,
            ),
            (LeafDraft { credential: Some(third.credential.clone()), ..own }, Rule::IdentityTwice),
        ];
        for (leaf, rule) in shared {
            let lie = |draft: &mut Draft| draft.path = Some(path(leaf.clone()));
            trial.refuses_changed("shared", &join, lie, (rule, Place::PathLeaf));
        }
        // A member that is gone by the same commit has left its names and keys behind.
        let mut waiting = trial.clone();
        let leaving = waiting.propose(Sender::Member(3), Proposal::SelfRemove);
        let mut heir = join.referring_to(&leaving);
        let leaf = LeafDraft {
            key: Some(forge.key_of(3).unwrap().clone()),
            credential: Some(third.credential.clone()),
            ..LeafDraft::default()
        };
        heir.path = Some(path(leaf));
        waiting.takes_commit("in place of who leaves", &heir);
    }
}

/// The leftmost leaf that is blank when all that go are gone (§12.4.3.2): where the old one was, further left, or beyond.
fn where_a_joiner_sits(docket: &Docket) {
    for mut trial in worlds(docket) {
        let leaf_after = |trial: &Trial<'_>, draft: &Draft| {
            let message = trial.forge.commit(draft).unwrap().message;
            trial.takes_commit("a join", draft);
            trial.takes("a join", &message).committed().unwrap().committer
        };
        let (join, back) =
            (trial.forge.draft_external("@new:a.org/D", &[]).unwrap(), trial.forge.draft_resync(7).unwrap());
        assert_eq!((leaf_after(&trial, &join), leaf_after(&trial, &back)), (8, 7));
        // Signed for the old place where it does not come back to it.
        trial.play("a gap", &trial.forge.draft_remove(0, &[3]));
        let back = trial.forge.draft_resync(7).unwrap();
        assert_eq!(leaf_after(&trial, &back), 3);
        let bound_to = Some((trial.forge.group_id().to_vec(), 7));
        let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().leaf.bound_to = bound_to;
        trial.refuses_changed("its old place", &back, lie, (Rule::LeafSignature, Place::PathLeaf));
        // All leave as one comes: it has the tree for itself.
        let mut left = trial.clone();
        let members: Vec<u32> = left.forge.members().map(|(leaf, _)| leaf).collect();
        let leaving = members.iter().map(|leaf| left.propose(Sender::Member(*leaf), Proposal::SelfRemove));
        let leaving: Vec<_> = leaving.collect();
        let join = left.forge.draft_external("@new:a.org/D", &[]).unwrap();
        let join = leaving.iter().fold(join, Draft::referring_to);
        assert_eq!(leaf_after(&left, &join), 0);
    }
    let alone = Trial::of(docket, &Founding { members: 1, ..eight(Suite::One, Shape::Bare) });
    let back = alone.forge.draft_resync(0).unwrap();
    alone.takes_commit("the only member comes back", &back);
    let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().length = Some(1);
    alone.refuses_changed("with a path to nobody", &back, lie, (Rule::PathLength, Place::Whole));
    // Without a path there is no parent hash either.
    for honest in [back, alone.forge.draft_update(0)] {
        let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().leaf.parent_hash = Some(vec![1; 32]);
        let expected = (Rule::LeafParentHash, Place::PathLeaf);
        alone.refuses_changed("with a parent hash", &honest, lie, expected);
    }
}

/// A resumption key of a ReInit or a branch has no place in a join, not in the first epoch either (§12.1.4).
fn what_is_said_of_the_past(docket: &Docket) {
    let founding = Founding { epoch: 0, members: 1, ..eight(Suite::One, Shape::Bare) };
    let first = Trial::under(docket, &founding, &TakesAll);
    for trial in worlds(docket).map(|trial| trial.judged_by(&TakesAll)).chain([first]) {
        for join in [trial.forge.draft_external("@new:a.org/D", &[]), trial.forge.draft_resync(0)] {
            let nonce = trial.forge.bytes(trial.forge.suite().hash_length());
            let key = |usage| {
                let (group_id, nonce) = (trial.forge.group_id().to_vec(), nonce.clone());
                Proposal::PreSharedKey(PskId::Resumption { usage, group_id, epoch: 0, nonce })
            };
            let honest = join.unwrap().with(key(1));
            let place = Place::Proposal(honest.proposals.len() - 1);
            for usage in [2, 3] {
                let lie =
                    |draft: &mut Draft| *draft.proposals.last_mut().unwrap() = Listed::Value(key(usage));
                trial.refuses_changed("a usage", &honest, lie, (Rule::PskUsage, place));
            }
        }
    }
}
