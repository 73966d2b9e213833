//! What the extensions that a commit sets, and those who come and go by it, ask of the rest of it (RFC 9420 §12.1.7, §12.3).

use maypole_mls::{Place, Rule};
use maypole_testkit::forge::{
    Capabilities, Credential, Draft, Extension, Framing, KeyPackageDraft, LeafDraft, Listed, Proposal,
    ProposalDraft, Sender, Shape, Suite,
};

use crate::lists::{TakesAll, reinit};
use crate::proposals::{listing, refused_everywhere, taken_everywhere, with};
use crate::trial::{Docket, Trial, UNKNOWN, worlds};

cases![
    updates_judged_by_the_new_extensions,
    credentials_after_the_commit,
    what_outlives_its_sender,
    successors_extensions_that_cannot_be_read,
];

/// An Update that was good when it came is judged again by the extensions that its commit sets; and one that brings what
/// they ask for makes them possible (§12.3).
fn updates_judged_by_the_new_extensions(docket: &Docket) {
    let asked = [
        (Extension::new(UNKNOWN, vec![1]), Rule::LeafGroupExtension, Rule::GroupExtension),
        (
            Extension::required_capabilities(&[UNKNOWN], &[], &[]),
            Rule::LeafRequired,
            Rule::RequiredCapabilities,
        ),
        (
            Extension::required_capabilities(&[], &[UNKNOWN], &[]),
            Rule::LeafRequired,
            Rule::RequiredCapabilities,
        ),
        (Extension::required_capabilities(&[], &[], &[2]), Rule::LeafRequired, Rule::RequiredCapabilities),
    ];
    for (suite, shape) in [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)] {
        let able = listing(suite, shape);
        let skilled = able.leaves[&5].clone();
        let unskilled = LeafDraft { capabilities: Some(Capabilities::default()), ..LeafDraft::default() };
        let mut but_one = able.clone();
        but_one.leaves.remove(&5);
        for (extension, own, others) in asked.clone() {
            let mut all = Trial::of(docket, &able);
            let proposal = with(&all.forge, extension.clone());
            let worse = all.propose(Sender::Member(5), all.forge.update_of(5, &unskilled).unwrap());
            let same = all.propose(Sender::Member(6), all.forge.update_of(6, &LeafDraft::default()).unwrap());
            let honest = all.forge.draft_references(2, &[&same]).with(proposal);
            let lie = |draft: &mut Draft| draft.proposals[0] = (&worse).into();
            all.refuses_changed("an Update that forgets", &honest, lie, (own, Place::Proposal(0)));

            let mut one = Trial::of(docket, &but_one);
            let proposal = with(&one.forge, extension);
            let learns = one.propose(Sender::Member(5), one.forge.update_of(5, &skilled).unwrap());
            let honest = one.forge.draft_references(2, &[&learns]).with(proposal);
            let lie = |draft: &mut Draft| drop(draft.proposals.remove(0));
            one.refuses_changed("without the Update that learns", &honest, lie, others);
        }
    }
}

/// Types of credentials are judged by those who are members after the commit (§7.3, §12.2).
fn credentials_after_the_commit(docket: &Docket) {
    let x509 = || Some(Credential::X509(vec![b"certificate".to_vec()]));
    for (suite, shape) in [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)] {
        let mut founding = listing(suite, shape);
        founding.leaves.insert(5, LeafDraft::default());
        let trial = Trial::of(docket, &founding);
        let forge = &trial.forge;
        let add = |leaf| {
            let draft = KeyPackageDraft { leaf, ..KeyPackageDraft::of("@new:a.org/D") };
            Proposal::Add(forge.key_package(&draft).unwrap())
        };
        let skilled = LeafDraft { credential: x509(), ..founding.leaves[&4].clone() };
        let expected = || (Rule::CredentialUnsupported, Place::Type(2));
        let honest = forge.draft_remove(0, &[5]).with(add(skilled.clone()));
        let lie = |draft: &mut Draft| draft.proposals[0] = Listed::Value(Proposal::Remove(6));
        trial.refuses_changed("one cannot read it", &honest, lie, expected());
        let mut join = forge.draft_external("", &[]).unwrap();
        join.path.as_mut().unwrap().leaf = skilled.clone();
        trial.refuses_commit("a joiner's", &join, expected());

        let mut mixed = listing(suite, shape);
        mixed.leaves.insert(6, skilled);
        let mixed = Trial::of(docket, &mixed);
        let honest = mixed.forge.draft_remove(0, &[6]).with(add(LeafDraft::default()));
        mixed.takes_commit("who needed it goes", &honest);
        let bare = mixed.forge.draft_remove(0, &[3]).with(add(LeafDraft::default()));
        mixed.refuses_commit("who needs it stays", &bare, expected());
    }
}

/// A proposal is good for its epoch, whoever sent it: the commit may remove its sender, or take it from the list.
fn what_outlives_its_sender(docket: &Docket) {
    for mut trial in worlds(docket) {
        let package =
            |name: &str| Proposal::Add(trial.forge.key_package(&KeyPackageDraft::of(name)).unwrap());
        let (one, two) = (package("@one:a.org/D"), package("@two:a.org/D"));
        let by_service = trial.propose(Sender::External(0), one);
        let by_member = trial.propose(Sender::Member(5), two);
        let both = trial.forge.draft_references(0, &[&by_service, &by_member]);
        let alone = both.clone().with(Proposal::Extensions(Vec::new())).with(Proposal::Remove(5));
        trial.takes_commit("without the service and the member", &alone);
        trial.play("without the service and the member", &alone);
        let framing = Framing::by(Sender::External(0));
        let draft = ProposalDraft { framing, proposal: Proposal::Remove(1) };
        trial.refuses_draft("an epoch later", &draft, Rule::SenderUnknown);
    }
}

fn successors_extensions_that_cannot_be_read(docket: &Docket) {
    for trial in worlds(docket) {
        let taking = trial.judged_by(&TakesAll);
        let next = |extension: &Extension| {
            let Proposal::ReInit { group_id, version, suite, .. } = reinit(&trial, 1) else {
                panic!("a ReInit")
            };
            Proposal::ReInit { group_id, version, suite, extensions: vec![extension.clone()] }
        };
        let required = Extension::required_capabilities(&[UNKNOWN], &[], &[2]);
        for honest in [&trial.forge.extensions()[0], &required] {
            taken_everywhere(&taking, "a successor's", &next(honest));
            let cut = Extension::new(honest.kind, honest.data[1..].to_vec());
            refused_everywhere(&taking, "cut short", &next(&cut), Rule::GroupExtensionData);
        }
    }
}
