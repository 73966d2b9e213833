//! What members can do is counted (RFC 9420 §7.3, §12.1.7): whoever goes, comes or changes by a commit is counted as
//! after it, and once.

use std::collections::BTreeMap;

use maypole_mls::{Place, Rule};
use maypole_testkit::forge::{
    Capabilities, Credential, Draft, Extension, Founding, KeyPackageDraft, LeafDraft, Proposal, Sender,
    Shape, Suite,
};

use crate::facts::Renames;
use crate::proposals::with;
use crate::trial::{Docket, Trial, UNKNOWN, eight};

cases![
    a_committer_that_learns,
    a_committer_that_forgets,
    a_committer_of_another_kind,
    a_joiner_in_its_old_place,
    the_last_of_a_kind_goes,
];

const KINDS: [(Suite, Shape); 2] = [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)];

/// A leaf that reads these types of credentials.
fn reads(credentials: &[u16]) -> LeafDraft {
    let capabilities = Capabilities { credentials: credentials.to_vec(), ..Capabilities::default() };
    LeafDraft { capabilities: Some(capabilities), ..LeafDraft::default() }
}

/// A leaf with a certificate.
fn certified() -> LeafDraft {
    LeafDraft { credential: Some(Credential::X509(vec![b"certificate".to_vec()])), ..reads(&[1, 2]) }
}

/// A group of eight whose members read certificates, but for these leaves.
fn readers(suite: Suite, shape: Shape, others: &[(u32, LeafDraft)]) -> Founding {
    let mut leaves: BTreeMap<u32, LeafDraft> = (0..8).map(|leaf| (leaf, reads(&[1, 2]))).collect();
    leaves.extend(others.iter().cloned());
    Founding { leaves, ..eight(suite, shape) }
}

fn a_committer_that_learns(docket: &Docket) {
    let all = Capabilities {
        extensions: vec![UNKNOWN],
        proposals: vec![UNKNOWN],
        credentials: vec![1, 2],
        ..Capabilities::default()
    };
    let able = LeafDraft { capabilities: Some(all), ..LeafDraft::default() };
    for (suite, shape) in KINDS {
        let leaves = (0..8).filter(|leaf| *leaf != 5).map(|leaf| (leaf, able.clone())).collect();
        let trial = Trial::of(docket, &Founding { leaves, ..eight(suite, shape) });
        let demand = Extension::required_capabilities(&[UNKNOWN], &[UNKNOWN], &[2]);
        for (extension, rule) in
            [(Extension::new(UNKNOWN, vec![1]), Rule::LeafGroupExtension), (demand, Rule::LeafRequired)]
        {
            let unable = trial.forge.draft_update(5).with(with(&trial.forge, extension));
            let learns = unable.clone().with_leaf(able.clone());
            let lie = |draft: &mut Draft| *draft = unable;
            trial.refuses_changed("the last who lacks it", &learns, lie, (rule, Place::PathLeaf));
        }
    }
}

fn a_committer_that_forgets(docket: &Docket) {
    for (suite, shape) in KINDS {
        let trial = Trial::of(docket, &readers(suite, shape, &[(6, certified())]));
        let forge = &trial.forge;
        let honest = forge.draft_update(3).with_leaf(reads(&[2, 1]));
        let lie = |draft: &mut Draft| draft.path.as_mut().unwrap().leaf = reads(&[1]);
        let expected = (Rule::CredentialUnsupported, Place::Type(2));
        trial.refuses_changed("cannot read leaf 6 any more", &honest, lie, expected);
        let update = |leaf: &LeafDraft| forge.update_of(3, leaf).unwrap();
        trial.takes_proposal("an Update", Sender::Member(3), update(&reads(&[2, 1])));
        trial.refuses_proposal("an Update", Sender::Member(3), update(&reads(&[1])), expected);
    }
}

fn a_committer_of_another_kind(docket: &Docket) {
    for (suite, shape) in KINDS {
        let all = Trial::under(docket, &readers(suite, shape, &[]), &Renames);
        let but_one = Trial::under(docket, &readers(suite, shape, &[(5, reads(&[1]))]), &Renames);
        let commit = |trial: &Trial<'_>| trial.forge.draft_update(3).with_leaf(certified());
        let update = |trial: &Trial<'_>| trial.forge.update_of(3, &certified()).unwrap();
        all.takes_commit("all can read it", &commit(&all));
        all.takes_proposal("all can read it", Sender::Member(3), update(&all));
        let expected = (Rule::CredentialUnsupported, Place::Type(2));
        but_one.refuses_commit("one cannot", &commit(&but_one), expected);
        but_one.refuses_proposal("one cannot", Sender::Member(3), update(&but_one), expected);
    }
}

fn a_joiner_in_its_old_place(docket: &Docket) {
    for (suite, shape) in KINDS {
        let others = [(3, reads(&[1])), (5, reads(&[1]))];
        let all_others = Trial::under(docket, &readers(suite, shape, &others[..1]), &Renames);
        let but_one = Trial::under(docket, &readers(suite, shape, &others), &Renames);
        let back = |trial: &Trial<'_>| trial.forge.draft_resync(3).unwrap().with_leaf(certified());
        all_others.takes_commit("all others can read it", &back(&all_others));
        let expected = (Rule::CredentialUnsupported, Place::Type(2));
        but_one.refuses_commit("one cannot", &back(&but_one), expected);
    }
}

fn the_last_of_a_kind_goes(docket: &Docket) {
    for (suite, shape) in KINDS {
        let one = Trial::of(docket, &readers(suite, shape, &[(6, certified())]));
        let package = one.forge.key_package(&KeyPackageDraft::of("@new:a.org/D")).unwrap();
        let instead = one.forge.draft_remove(0, &[6]).with(Proposal::Add(package));
        let lie = |draft: &mut Draft| drop(draft.proposals.remove(0));
        let expected = (Rule::CredentialUnsupported, Place::Type(2));
        one.refuses_changed("in place of who has a certificate", &instead, lie, expected);
    }
}
