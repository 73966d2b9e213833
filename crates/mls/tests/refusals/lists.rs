//! Lists of proposals, taken together (RFC 9420 §12.2), in members' commits.

use maypole_mls::{Bounds, Pending, Place, Policy, Rule, Strict};
use maypole_testkit::forge::{
    Credential, Draft, Extension, KeyPackageDraft, LeafDraft, Listed, Proposal, PskId, Sender,
};

use crate::facts::{Careless, Renames};
use crate::trial::{Docket, Trial, worlds};

cases![
    unknown_references,
    references_twice,
    a_committers_own_update,
    a_committers_own_removal,
    one_leaf_twice,
    an_add_as_who_is_updated,
    one_key_twice,
    extensions_twice,
    a_reinit_in_company,
    an_external_init_inside,
    a_self_remove_by_value,
    what_must_be_committed,
    an_update_that_must_be_committed,
    many_members,
    many_proposals,
];

fn unknown_references(docket: &Docket) {
    for mut trial in worlds(docket) {
        let size = trial.forge.suite().hash_length();
        let known = trial.propose(Sender::Member(2), Proposal::Remove(3));
        let unheard = trial.forge.propose(Sender::Member(2), Proposal::Remove(4)).unwrap();
        let honest = trial.forge.draft_references(0, &[&known]);
        let expected = || (Rule::UnknownReference, Place::Proposal(0));
        for reference in [trial.forge.bytes(size), Vec::new(), known.reference[1..].to_vec()] {
            let lie = |draft: &mut Draft| draft.proposals = vec![Listed::Reference(reference, None)];
            trial.refuses_changed("no such proposal", &honest, lie, expected());
        }
        let lie = |draft: &mut Draft| draft.proposals.push((&unheard).into());
        trial.refuses_changed("unheard", &honest, lie, (Rule::UnknownReference, Place::Proposal(1)));
        trial.play("an epoch later", &trial.forge.draft_update(0));
        let late = trial.forge.draft_references(0, &[&known]);
        trial.refuses_commit("a proposal of the last epoch", &late, expected());
    }
}

fn references_twice(docket: &Docket) {
    for mut trial in worlds(docket) {
        let remove = trial.propose(Sender::Member(2), Proposal::Remove(3));
        let package = trial.forge.key_package(&KeyPackageDraft::of("@new:a.org/D")).unwrap();
        let add = trial.propose(Sender::External(0), Proposal::Add(package));
        for proposal in [&remove, &add] {
            let honest = trial.forge.draft_references(0, &[proposal]);
            let lie = |draft: &mut Draft| draft.proposals.push(proposal.into());
            trial.refuses_changed("twice", &honest, lie, (Rule::ReferenceTwice, Place::Proposal(1)));
        }
    }
}

fn a_committers_own_update(docket: &Docket) {
    for mut trial in worlds(docket) {
        let update = trial.forge.update_of(3, &LeafDraft::default()).unwrap();
        let by_value = trial.forge.draft_update(3).with(update.clone());
        let expected = || (Rule::UpdateByCommitter, Place::Proposal(0));
        trial.refuses_commit("by value", &by_value, expected());
        let proposal = trial.propose(Sender::Member(3), update.clone());
        trial.takes_commit("another's", &trial.forge.draft_references(0, &[&proposal]));
        let own = trial.forge.draft_references(3, &[&proposal]);
        trial.refuses_commit("its own by reference", &own, expected());
        // By value, an Update is the committer's, whoever's leaf it was signed for.
        let anothers = trial.forge.draft_update(0).with(update);
        trial.refuses_commit("another's by value", &anothers, expected());
    }
}

fn a_committers_own_removal(docket: &Docket) {
    for mut trial in worlds(docket) {
        let expected = || (Rule::RemoveCommitter, Place::Proposal(0));
        let honest = trial.forge.draft_remove(3, &[4]);
        let lie = |draft: &mut Draft| draft.proposals = trial.forge.draft_remove(3, &[3]).proposals;
        trial.refuses_changed("by value", &honest, lie, expected());
        for sender in [Sender::External(0), Sender::Member(2), Sender::Member(3)] {
            let proposal = trial.propose(sender, Proposal::Remove(3));
            trial.takes_commit("another commits it", &trial.forge.draft_references(0, &[&proposal]));
            let own = trial.forge.draft_references(3, &[&proposal]);
            trial.refuses_commit("by reference", &own, expected());
        }
        let leaving = trial.propose(Sender::Member(3), Proposal::SelfRemove);
        trial.takes_commit("another commits it", &trial.forge.draft_references(0, &[&leaving]));
        trial.refuses_commit("leaving", &trial.forge.draft_references(3, &[&leaving]), expected());
    }
}

fn one_leaf_twice(docket: &Docket) {
    for mut trial in worlds(docket) {
        let update = trial.forge.update_of(3, &LeafDraft::default()).unwrap();
        let (own, others) = (Sender::Member(3), Sender::Member(2));
        let update = trial.propose(own, update);
        let second = trial.forge.update_of(3, &LeafDraft::default()).unwrap();
        let second = trial.propose(own, second);
        let leaving = trial.propose(own, Proposal::SelfRemove);
        let removed = trial.propose(others, Proposal::Remove(3));
        let removed_from_outside = trial.propose(Sender::External(0), Proposal::Remove(3));
        let all = [&update, &second, &leaving, &removed, &removed_from_outside];
        for (number, first) in all.into_iter().enumerate() {
            let honest = trial.forge.draft_references(0, &[first]);
            for other in all.into_iter().skip(number + 1) {
                let lie = |draft: &mut Draft| draft.proposals.push(other.into());
                let expected = (Rule::LeafTwice, Place::Proposal(1));
                trial.refuses_changed("by reference", &honest, lie, expected);
            }
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(Proposal::Remove(3)));
            trial.refuses_changed("by value", &honest, lie, (Rule::LeafTwice, Place::Proposal(1)));
        }
        let honest = trial.forge.draft_remove(0, &[3, 4]);
        let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(Proposal::Remove(3)));
        trial.refuses_changed("both by value", &honest, lie, (Rule::LeafTwice, Place::Proposal(2)));
    }
}

/// Only a Remove makes room for a client that is in the group: an Update does not (§12.2).
fn an_add_as_who_is_updated(docket: &Docket) {
    let package = |trial: &Trial<'_>, leaf: LeafDraft| {
        let draft = KeyPackageDraft { leaf, ..KeyPackageDraft::of("@new:a.org/D") };
        Proposal::Add(trial.forge.key_package(&draft).unwrap())
    };
    for trial in worlds(docket) {
        let mut renews = trial.clone();
        let old = LeafDraft { key: Some(trial.forge.key_of(3).unwrap().clone()), ..LeafDraft::default() };
        let renewed = LeafDraft { key: Some(renews.forge.new_key().unwrap()), ..LeafDraft::default() };
        let update = renews.forge.update_of(3, &renewed).unwrap();
        let update = renews.propose(Sender::Member(3), update);
        let same = package(&renews, old);
        let honest =
            renews.forge.draft_references(0, &[&update]).with(package(&renews, LeafDraft::default()));
        let lie = |draft: &mut Draft| draft.proposals[1] = Listed::Value(same.clone());
        renews.refuses_changed("its old key", &honest, lie, (Rule::SignatureKeyTwice, Place::Proposal(1)));
        let by_commit = renews.forge.draft_update(3).with_leaf(renewed).with(same.clone());
        let expected = (Rule::SignatureKeyTwice, Place::Proposal(0));
        renews.refuses_commit("the committer's old key", &by_commit, expected);
        renews.takes_commit("in place of who goes", &renews.forge.draft_remove(0, &[3]).with(same));

        let mut renames = trial.judged_by(&Renames);
        let called =
            |name: &str| LeafDraft { credential: Some(Credential::basic(name)), ..LeafDraft::default() };
        let update = renames.forge.update_of(4, &called("@dan:b.org/D")).unwrap();
        let update = renames.propose(Sender::Member(4), update);
        let honest =
            renames.forge.draft_references(0, &[&update]).with(package(&renames, called("@carol:b.org/D")));
        let lie = |draft: &mut Draft| {
            draft.proposals[1] = Listed::Value(package(&renames, called("@user4:a.org/D")));
        };
        renames.refuses_changed("its old name", &honest, lie, (Rule::IdentityTwice, Place::Proposal(1)));
        let mut shared = honest.clone();
        shared.proposals[1] = Listed::Value(package(&renames, called("@user4:a.org/D")));
        renames.judged_by(&Careless).takes_commit("where names are shared", &shared);
    }
}

pub(crate) struct TakesAll;

impl Policy for TakesAll {
    fn takes_pre_shared_keys(&self) -> bool {
        true
    }

    fn takes_reinit(&self) -> bool {
        true
    }
}

fn one_key_twice(docket: &Docket) {
    for trial in worlds(docket) {
        let trial = trial.judged_by(&TakesAll);
        let one_nonce = trial.forge.bytes(trial.forge.suite().hash_length());
        let nonce = || one_nonce.clone();
        let external =
            |id: &str| Proposal::PreSharedKey(PskId::External { id: id.as_bytes().to_vec(), nonce: nonce() });
        let resumption = |epoch| {
            let group_id = trial.forge.group_id().to_vec();
            Proposal::PreSharedKey(PskId::Resumption { usage: 1, group_id, epoch, nonce: nonce() })
        };
        let honest = trial.forge.draft_update(0).with(external("a")).with(external("b"));
        let honest = honest.with(resumption(0)).with(resumption(1));
        for again in [external("a"), external("b"), resumption(0), resumption(1)] {
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(again));
            trial.refuses_changed("twice", &honest, lie, (Rule::PskTwice, Place::Proposal(4)));
        }
        // The nonce is part of a key's ID (§8.4).
        let nonce = trial.forge.bytes(trial.forge.suite().hash_length());
        let other = Proposal::PreSharedKey(PskId::External { id: b"a".to_vec(), nonce });
        trial.takes_commit("with another nonce", &honest.clone().with(other));
        let mut waiting = trial.clone();
        let proposal = waiting.propose(Sender::Member(2), external("a"));
        let lie = |draft: &mut Draft| draft.proposals.push((&proposal).into());
        waiting.refuses_changed("by reference", &honest, lie, (Rule::PskTwice, Place::Proposal(4)));
    }
}

fn extensions_twice(docket: &Docket) {
    for mut trial in worlds(docket) {
        let same = trial.forge.extensions().to_vec();
        let less: Vec<Extension> = Vec::new();
        let waiting = trial.propose(Sender::External(0), Proposal::Extensions(less.clone()));
        for second in [same.clone(), less] {
            let honest = trial.forge.draft_extensions(0, &same);
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(Proposal::Extensions(second)));
            trial.refuses_changed("by value", &honest, lie, (Rule::ExtensionsTwice, Place::Proposal(1)));
        }
        let honest = trial.forge.draft_references(0, &[&waiting]);
        let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(Proposal::Extensions(same)));
        trial.refuses_changed("by reference", &honest, lie, (Rule::ExtensionsTwice, Place::Proposal(1)));
    }
}

pub(crate) fn reinit(trial: &Trial<'_>, version: u16) -> Proposal {
    Proposal::ReInit {
        group_id: b"!next:a.org".to_vec(),
        version,
        suite: trial.forge.suite().number(),
        extensions: Vec::new(),
    }
}

fn a_reinit_in_company(docket: &Docket) {
    for trial in worlds(docket) {
        let mut trial = trial.judged_by(&TakesAll);
        let alone = trial.forge.draft_update(0).with(reinit(&trial, 1));
        let nonce = trial.forge.bytes(trial.forge.suite().hash_length());
        let key = Proposal::PreSharedKey(PskId::External { id: vec![1], nonce });
        let package = trial.forge.key_package(&KeyPackageDraft::of("@new:a.org/D")).unwrap();
        for other in [Proposal::Remove(3), key, Proposal::Add(package), reinit(&trial, 1)] {
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(other));
            trial.refuses_changed("by value", &alone, lie, (Rule::ReInitNotAlone, Place::Proposal(0)));
        }
        let waiting = trial.propose(Sender::External(0), reinit(&trial, 1));
        let removal = trial.propose(Sender::External(0), Proposal::Remove(3));
        trial.takes_commit("alone", &trial.forge.draft_references(0, &[&waiting]));
        let both = trial.forge.draft_references(0, &[&removal, &waiting]);
        trial.refuses_commit("by reference", &both, (Rule::ReInitNotAlone, Place::Proposal(1)));
    }
}

fn an_external_init_inside(docket: &Docket) {
    for trial in worlds(docket) {
        let init = Proposal::ExternalInit(trial.forge.new_hpke_key().unwrap());
        for honest in [trial.forge.draft_update(0), trial.forge.draft_remove(0, &[3])] {
            let place = Place::Proposal(honest.proposals.len());
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(init.clone()));
            trial.refuses_changed("an ExternalInit", &honest, lie, (Rule::ExternalInitInside, place));
        }
    }
}

fn a_self_remove_by_value(docket: &Docket) {
    for trial in worlds(docket) {
        let expected = || (Rule::SelfRemoveByValue, Place::Proposal(0));
        let alone = trial.forge.draft_update(0).with(Proposal::SelfRemove);
        trial.refuses_commit("in a member's commit", &alone, expected());
        let mut waiting = trial.clone();
        let leaving = waiting.propose(Sender::Member(3), Proposal::SelfRemove);
        waiting.takes_commit("by reference", &waiting.forge.draft_references(0, &[&leaving]));
        let mut join = trial.forge.draft_external("@new:a.org/D", &[]).unwrap();
        trial.takes_commit("an external commit", &join);
        join.proposals.insert(0, Listed::Value(Proposal::SelfRemove));
        trial.refuses_commit("in an external commit", &join, expected());
    }
}

struct Insists;

impl Policy for Insists {
    fn must_commit(&self, proposal: &Pending) -> bool {
        proposal.proposal_type() == 3
    }
}

struct InsistsOnAll;

impl Policy for InsistsOnAll {
    fn must_commit(&self, _: &Pending) -> bool {
        true
    }
}

fn what_must_be_committed(docket: &Docket) {
    for trial in worlds(docket) {
        let mut trial = trial.judged_by(&Insists);
        let remove = trial.propose(Sender::External(0), Proposal::Remove(3));
        let leaving = trial.propose(Sender::Member(4), Proposal::SelfRemove);
        let all = trial.forge.draft_references(0, &[&remove, &leaving]);
        let lie = |draft: &mut Draft| drop(draft.proposals.remove(0));
        trial.refuses_changed("left out", &all, lie, (Rule::MustCommit, Place::Whole));
        trial.refuses_commit("all left out", &trial.forge.draft_update(0), Rule::MustCommit);
        trial.takes_commit("the same by value", &trial.forge.draft_remove(0, &[3]));
        trial.refuses_commit("another by value", &trial.forge.draft_remove(0, &[2]), Rule::MustCommit);
        trial.takes_commit("who cannot commit it", &trial.forge.draft_update(3));
        // Two proposals for one leaf cannot stand in one commit: either does.
        let mut trial = trial.clone();
        let again = trial.propose(Sender::Member(1), Proposal::Remove(3));
        for one in [&remove, &again] {
            trial.takes_commit("one of two for one leaf", &trial.forge.draft_references(0, &[one]));
        }
        trial.takes_commit("no need", &trial.forge.draft_references(0, &[&remove]));
        // Who comes from outside cannot commit it (§12.4.3.2), but must commit a SelfRemove where that is insisted on.
        let strict = trial.judged_by(&InsistsOnAll);
        let join = trial.forge.draft_external("@new:a.org/D", &[]).unwrap();
        strict.refuses_commit("a join without", &join, Rule::MustCommit);
        strict.takes_commit("a join with", &join.referring_to(&leaving));
        trial.takes_commit("a join", &trial.forge.draft_external("@new:a.org/D", &[]).unwrap());
        trial.judged_by(&Strict).takes_commit("by default", &trial.forge.draft_update(0));
    }
}

/// An Update is done with when its leaf goes, and its own sender cannot commit it.
fn an_update_that_must_be_committed(docket: &Docket) {
    for trial in worlds(docket) {
        let mut trial = trial.judged_by(&InsistsOnAll);
        let update = trial.forge.update_of(3, &LeafDraft::default()).unwrap();
        let update = trial.propose(Sender::Member(3), update);
        trial.takes_commit("by reference", &trial.forge.draft_references(0, &[&update]));
        trial.takes_commit("the leaf goes", &trial.forge.draft_remove(0, &[3]));
        trial.takes_commit("by its sender", &trial.forge.draft_update(3));
        trial.refuses_commit("left out", &trial.forge.draft_update(0), (Rule::MustCommit, Place::Whole));
        trial.refuses_commit("another goes", &trial.forge.draft_remove(0, &[4]), Rule::MustCommit);
    }
}

struct Few {
    members: u32,
    proposals: usize,
}

impl Policy for Few {
    fn bounds(&self) -> Bounds {
        Bounds { members: self.members, proposals: self.proposals, ..Strict.bounds() }
    }
}

fn many_members(docket: &Docket) {
    let policy = Few { members: 9, proposals: 100 };
    for trial in worlds(docket) {
        let trial = trial.judged_by(&policy);
        let package = |name: &str| {
            Proposal::Add(trial.forge.key_package(&KeyPackageDraft::of(&format!("@{name}:a.org/D"))).unwrap())
        };
        let one = trial.forge.draft_update(0).with(package("one")).without_path();
        let expected = || (Rule::TooManyMembers, Place::Whole);
        let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(package("two")));
        trial.refuses_changed("two more", &one, lie, expected());
        let both = trial.forge.draft_remove(0, &[3]).with(package("one")).with(package("two"));
        trial.takes_commit("one more, all in all", &both);
        let mut full = trial.clone();
        full.play("the ninth", &one);
        full.refuses_commit("a join", &full.forge.draft_external("@two:a.org/D", &[]).unwrap(), expected());
        full.takes_commit("a return", &full.forge.draft_resync(3).unwrap());
    }
}

fn many_proposals(docket: &Docket) {
    let policy = Few { members: 100, proposals: 3 };
    for trial in worlds(docket) {
        let trial = trial.judged_by(&policy);
        let three = trial.forge.draft_remove(0, &[3, 4, 5]);
        let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(Proposal::Remove(6)));
        trial.refuses_changed("four", &three, lie, (Rule::TooLarge, Place::Whole));
    }
}
