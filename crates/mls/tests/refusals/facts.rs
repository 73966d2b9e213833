//! What libraries that clients run were measured to take, and RFC 9420 refuses or leaves to the application: here it is
//! refused, or a policy says so. That they take it is in the forge's own tests.

use maypole_mls::{Pending, Place, Policy, Rule, Strict, wire};
use maypole_testkit::forge::{
    Capabilities, Credential, Draft, Extension, Forge, Framing, KeyPackageDraft, LeafDraft, Listed,
    PathDraft, Proposal, ProposalDraft, Sender, Shape, Suite, Tag,
};

use crate::lists::{TakesAll, reinit};
use crate::trial::{Docket, NOW, Trial, UNKNOWN, eight, import, worlds};

cases![
    a_path_leaf_with_another_members_signature_key,
    the_same_proposal_twice,
    a_reinit_in_company_or_to_a_lower_version,
    required_capabilities_that_members_lack,
    adds_judged_by_the_old_extensions,
    a_wrong_number_of_path_ciphertexts,
    path_keys_of_existing_parents,
    leaf_keys_equal_to_path_keys,
    a_changed_credential,
    another_members_identity,
    a_second_leaf_with_the_same_identity,
    a_commit_that_omits_a_stored_proposal,
    tags_that_nobody_can_check,
    tags_of_another_length,
    a_resync_is_decided_by_identity,
    external_psks_and_reinits_are_a_policy,
    an_expired_leaf_does_not_hinder_an_import,
    a_path_leaf_without_the_suite_or_the_version,
    an_external_init_from_outside,
    a_remove_of_anothers_leaf_by_external_commit,
    a_self_remove_is_read,
];

fn path(draft: &mut Draft) -> &mut PathDraft {
    draft.path.as_mut().unwrap()
}

fn a_path_leaf_with_another_members_signature_key(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let stolen = forge.key_of(1).unwrap();
        let joins = forge.draft_external("@mallory:b.org/D", &[]).unwrap();
        for honest in [forge.draft_update(2), joins, forge.draft_resync(3).unwrap()] {
            let lie = |draft: &mut Draft| path(draft).leaf.key = Some(stolen.clone());
            let expected = (Rule::SignatureKeyTwice, Place::PathLeaf);
            trial.refuses_changed("another's signature key", &honest, lie, expected);
        }
    }
}

fn the_same_proposal_twice(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let package = forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        let twice = |draft: &mut Draft| draft.proposals.push(draft.proposals[0].clone());
        let cases = [
            (forge.draft_remove(0, &[3]), Rule::LeafTwice),
            (forge.draft_add(0, &[package]), Rule::SignatureKeyTwice),
            (forge.draft_extensions(0, forge.extensions()), Rule::ExtensionsTwice),
            (forge.draft_external("@dan:b.org/D", &[]).unwrap(), Rule::ExternalInitCount),
        ];
        for (honest, rule) in cases {
            trial.refuses_changed("the same twice", &honest, twice, (rule, Place::Proposal(1)));
        }
    }
}

fn a_reinit_in_company_or_to_a_lower_version(docket: &Docket) {
    for trial in worlds(docket) {
        let trial = trial.judged_by(&TakesAll);
        let alone = trial.forge.draft_update(0).with(reinit(&trial, 1));
        let lie = |draft: &mut Draft| draft.proposals.insert(0, Listed::Value(Proposal::Remove(3)));
        trial.refuses_changed("with a Remove", &alone, lie, (Rule::ReInitNotAlone, Place::Proposal(1)));
        let lie = |draft: &mut Draft| draft.proposals = vec![Listed::Value(reinit(&trial, 0))];
        trial.refuses_changed("to version 0", &alone, lie, (Rule::ReInitVersion, Place::Proposal(0)));
    }
}

fn required_capabilities_that_members_lack(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let demand = |extensions: &[u16], proposals: &[u16], credentials: &[u16]| {
            let mut all = forge.extensions().to_vec();
            all.push(Extension::required_capabilities(extensions, proposals, credentials));
            all
        };
        trial.takes_commit("nothing", &forge.draft_extensions(0, &demand(&[], &[], &[1])));
        for lacking in [demand(&[UNKNOWN], &[], &[]), demand(&[], &[UNKNOWN], &[]), demand(&[], &[], &[2])] {
            let draft = forge.draft_extensions(0, &lacking);
            trial.refuses_commit("the committer", &draft, (Rule::LeafRequired, Place::PathLeaf));
            let capabilities = Capabilities {
                extensions: vec![UNKNOWN],
                proposals: vec![UNKNOWN],
                credentials: vec![1, 2],
                ..Capabilities::default()
            };
            let able = LeafDraft { capabilities: Some(capabilities), ..LeafDraft::default() };
            trial.refuses_commit("the others", &draft.with_leaf(able), Rule::RequiredCapabilities);
        }
    }
}

fn adds_judged_by_the_old_extensions(docket: &Docket) {
    let able = Capabilities { extensions: vec![UNKNOWN], ..Capabilities::default() };
    let able = LeafDraft { capabilities: Some(able), ..LeafDraft::default() };
    let mut founding = eight(Suite::One, Shape::Bare);
    founding.leaves = (0..8).map(|leaf| (leaf, able.clone())).collect();
    let trial = Trial::of(docket, &founding);
    let forge = &trial.forge;
    let mut all = forge.extensions().to_vec();
    all.push(Extension::required_capabilities(&[UNKNOWN], &[], &[]));
    let unable = Proposal::Add(forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap());
    let honest = forge.draft_extensions(0, &all);
    let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(unable));
    trial.refuses_changed("unable", &honest, lie, (Rule::LeafRequired, Place::Proposal(1)));
}

fn a_wrong_number_of_path_ciphertexts(docket: &Docket) {
    for trial in worlds(docket) {
        for node in 0..3 {
            for count in [0, 7] {
                let lie = |draft: &mut Draft| path(draft).ciphertexts = [(node, count)].into();
                let expected = (Rule::PathCiphertexts, Place::PathNode(node));
                trial.refuses_changed("a number", &trial.forge.draft_update(2), lie, expected);
            }
        }
    }
}

fn path_keys_of_existing_parents(docket: &Docket) {
    let trial = Trial::of(docket, &eight(Suite::One, Shape::Warm));
    for (_, parent) in trial.forge.parents() {
        for node in 0..3 {
            let lie = |draft: &mut Draft| {
                path(draft).keys = [(node, parent.encryption_key.clone())].into();
            };
            let expected = (Rule::PathKey, Place::PathNode(node));
            trial.refuses_changed("a parent's", &trial.forge.draft_update(2), lie, expected);
        }
        let lie = |draft: &mut Draft| path(draft).leaf.encryption_key = Some(parent.encryption_key.clone());
        let expected = (Rule::EncryptionKeyTwice, Place::PathLeaf);
        trial.refuses_changed("a parent's", &trial.forge.draft_update(2), lie, expected);
    }
}

fn leaf_keys_equal_to_path_keys(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let key = forge.new_hpke_key().unwrap();
        let mine_and_above = |draft: &mut Draft| {
            path(draft).keys.insert(0, key.clone());
            path(draft).leaf.encryption_key = Some(key.clone());
        };
        let expected = || (Rule::PathKey, Place::PathNode(0));
        trial.refuses_changed("its own", &forge.draft_update(2), mine_and_above, expected());
        for leaf in [2, 5] {
            let key = forge.leaf(leaf).unwrap().encryption_key.clone();
            let lie = |draft: &mut Draft| path(draft).keys = [(0, key)].into();
            trial.refuses_changed("a leaf's", &forge.draft_update(2), lie, expected());
        }
    }
}

/// Lets anybody be anybody.
pub(crate) struct Careless;

impl Policy for Careless {
    fn may_replace(&self, _: &wire::Credential<'_>, _: &wire::Credential<'_>) -> bool {
        true
    }

    fn may_share_identity(&self) -> bool {
        true
    }
}

fn a_changed_credential(docket: &Docket) {
    for trial in worlds(docket) {
        let honest = trial.forge.draft_update(2);
        let changed =
            LeafDraft { credential: Some(Credential::basic("@mallory:b.org/D")), ..LeafDraft::default() };
        let expected = (Rule::IdentityChanged, Place::PathLeaf);
        trial.refuses_changed("changed", &honest, |draft| path(draft).leaf = changed.clone(), expected);
        trial.judged_by(&Careless).takes_commit("allowed", &honest.with_leaf(changed));
    }
}

/// Lets members change their names.
pub(crate) struct Renames;

impl Policy for Renames {
    fn may_replace(&self, _: &wire::Credential<'_>, _: &wire::Credential<'_>) -> bool {
        true
    }
}

fn another_members_identity(docket: &Docket) {
    for trial in worlds(docket) {
        let leaf =
            LeafDraft { credential: Some(Credential::basic("@user1:a.org/D")), ..LeafDraft::default() };
        let draft = trial.forge.draft_update(2).with_leaf(leaf);
        trial.refuses_commit("another's", &draft, (Rule::IdentityChanged, Place::PathLeaf));
        let renaming = trial.judged_by(&Renames);
        renaming.refuses_commit("another's", &draft, (Rule::IdentityTwice, Place::PathLeaf));
        trial.judged_by(&Careless).takes_commit("allowed", &draft);
    }
}

fn a_second_leaf_with_the_same_identity(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let second = forge.key_package(&KeyPackageDraft::of("@user1:a.org/D")).unwrap();
        let add = forge.draft_add(0, &[second]);
        let join = forge.draft_external("@user1:a.org/D", &[]).unwrap();
        trial.refuses_commit("added", &add, (Rule::IdentityTwice, Place::Proposal(0)));
        trial.refuses_commit("joins", &join, (Rule::IdentityTwice, Place::PathLeaf));
        let careless = trial.judged_by(&Careless);
        careless.takes_commit("added", &add);
        careless.takes_commit("joins", &join);
    }
}

struct Insists;

impl Policy for Insists {
    fn must_commit(&self, _: &Pending) -> bool {
        true
    }
}

fn a_commit_that_omits_a_stored_proposal(docket: &Docket) {
    for mut trial in worlds(docket) {
        let stored = trial.propose(Sender::Member(3), Proposal::Remove(4));
        let (omitting, referring) =
            (trial.forge.draft_update(0), trial.forge.draft_references(0, &[&stored]));
        trial.takes_commit("by default", &omitting);
        trial.takes_commit("by default", &referring);
        let insisting = trial.judged_by(&Insists);
        insisting.refuses_commit("insisted on", &omitting, (Rule::MustCommit, Place::Whole));
        insisting.takes_commit("insisted on", &referring);
    }
}

fn tags_that_nobody_can_check(docket: &Docket) {
    for trial in worlds(docket) {
        let mut draft = trial.forge.draft_update(2);
        let size = trial.forge.suite().hash_length();
        draft.framing.membership_tag = Tag::Bytes(vec![0; size]);
        draft.framing.confirmation_tag = Tag::Bytes(vec![1; size]);
        trial.takes_commit("made up", &draft);
    }
}

fn tags_of_another_length(docket: &Docket) {
    for trial in worlds(docket) {
        let honest = trial.forge.draft_update(2);
        let lie = |draft: &mut Draft| draft.framing.confirmation_tag = Tag::Bytes(vec![1; 5]);
        trial.refuses_changed("five bytes", &honest, lie, (Rule::ConfirmationTag, Place::Whole));
        let lie = |draft: &mut Draft| draft.framing.membership_tag = Tag::Bytes(vec![1; 5]);
        trial.refuses_changed("five bytes", &honest, lie, (Rule::MembershipTag, Place::Whole));
    }
}

fn a_resync_is_decided_by_identity(docket: &Docket) {
    for trial in worlds(docket) {
        let honest = trial.forge.draft_resync(3).unwrap();
        let mut rekeyed = honest.clone();
        path(&mut rekeyed).leaf.key = None;
        trial.takes_commit("with a new signature key", &rekeyed);
        let renamed = |draft: &mut Draft| {
            path(draft).leaf.credential = Some(Credential::basic("@mallory:b.org/D"));
        };
        let expected = (Rule::IdentityChanged, Place::PathLeaf);
        trial.refuses_changed("with the old key and another name", &honest, renamed, expected);
    }
}

fn external_psks_and_reinits_are_a_policy(docket: &Docket) {
    for trial in worlds(docket) {
        let nonce = trial.forge.bytes(trial.forge.suite().hash_length());
        let id = maypole_testkit::forge::PskId::External { id: b"id".to_vec(), nonce };
        let cases =
            [(Proposal::PreSharedKey(id), Rule::PskRefused), (reinit(&trial, 1), Rule::ReInitRefused)];
        for (proposal, rule) in cases {
            for sender in [Sender::External(0), Sender::Member(0)] {
                trial.refuses_proposal("by default", sender, proposal.clone(), (rule, Place::Whole));
                let mut taking = trial.judged_by(&TakesAll);
                let stored = taking.propose(sender, proposal.clone());
                taking.takes_commit("taken", &taking.forge.draft_references(1, &[&stored]));
            }
        }
    }
}

fn an_expired_leaf_does_not_hinder_an_import(_: &Docket) {
    let mut founding = eight(Suite::One, Shape::Bare);
    founding.lifetime = (NOW.0 - 1_000_000_000, NOW.0 - 999_000_000);
    let forge = Forge::new(&founding).unwrap();
    let group = import(&forge, &Strict).unwrap();
    assert_eq!(group.member_count(), 8);
}

fn a_path_leaf_without_the_suite_or_the_version(docket: &Docket) {
    for trial in worlds(docket) {
        let number = trial.forge.suite().number();
        let suites = Capabilities { suites: vec![number ^ 2], ..Capabilities::default() };
        let versions = Capabilities { versions: vec![2], ..Capabilities::default() };
        for (capabilities, rule) in [(suites, Rule::LeafSuite), (versions, Rule::LeafVersion)] {
            let lie = |draft: &mut Draft| path(draft).leaf.capabilities = Some(capabilities);
            trial.refuses_changed("not listed", &trial.forge.draft_update(2), lie, (rule, Place::PathLeaf));
        }
    }
}

fn an_external_init_from_outside(docket: &Docket) {
    for trial in worlds(docket) {
        let proposal = Proposal::ExternalInit(trial.forge.new_hpke_key().unwrap());
        let draft = ProposalDraft { framing: Framing::by(Sender::External(0)), proposal };
        trial.refuses_draft("an ExternalInit", &draft, (Rule::ProposalMisplaced, Place::Whole));
    }
}

fn a_remove_of_anothers_leaf_by_external_commit(docket: &Docket) {
    for trial in worlds(docket) {
        let honest = trial.forge.draft_external("@mallory:b.org/D", &[]).unwrap();
        trial.takes_commit("a join", &honest);
        let theft = trial.forge.draft_external("@mallory:b.org/D", &[3]).unwrap();
        trial.refuses_commit("in another's place", &theft, (Rule::IdentityChanged, Place::PathLeaf));
    }
}

fn a_self_remove_is_read(docket: &Docket) {
    for mut trial in worlds(docket) {
        let leaving = trial.propose(Sender::Member(3), Proposal::SelfRemove);
        trial.takes_commit("by another", &trial.forge.draft_references(0, &[&leaving]));
    }
}
