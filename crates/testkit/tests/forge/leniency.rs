//! What OpenMLS' `PublicGroup` takes although RFC 9420 refuses it, or leaves to the application: forged, and heard by both
//! libraries. When one of them changes its mind, a line here says so.

use maypole_testkit::forge::{
    Capabilities, Credential, Draft, Extension, Forge, Founding, KeyPackageDraft, LeafDraft, PathDraft,
    Proposal, ProposalMessage, PskId, Sender, Shape, Suite, Tag,
};

use crate::followers::{Follower, OpenMls, mls_rs};

const UNKNOWN: u16 = 0xf123;

fn groups() -> impl Iterator<Item = Forge> {
    let both = [Shape::Bare, Shape::Warm].into_iter();
    both.flat_map(|shape| Suite::COMMON.map(|suite| Forge::new(&Founding::of(suite, 8, shape, 77)).unwrap()))
}

fn hear_all(follower: &mut impl Follower, messages: &[&[u8]]) -> Result<(), String> {
    messages.iter().try_for_each(|message| follower.hear(message))
}

fn openmls(forge: &Forge, messages: &[&[u8]]) -> Result<(), String> {
    hear_all(&mut OpenMls::of(forge).unwrap(), messages)
}

fn other(forge: &Forge, messages: &[&[u8]]) -> Result<(), String> {
    hear_all(&mut mls_rs(forge).unwrap(), messages)
}

/// OpenMLS takes the commit, to the hashes that the forge says.
#[track_caller]
fn openmls_takes(what: &str, forge: &Forge, before: &[&ProposalMessage], draft: &Draft) -> Vec<u8> {
    let commit = forge.commit(draft).unwrap();
    let mut follower = OpenMls::of(forge).unwrap();
    for proposal in before {
        follower.hear(&proposal.message).unwrap();
    }
    follower.hear(&commit.message).unwrap_or_else(|why| panic!("{what}: {why}"));
    let ours = (commit.tree_hash().to_vec(), commit.confirmed_transcript_hash().to_vec());
    assert_eq!(follower.hashes(), ours, "{what}");
    commit.message
}

#[track_caller]
fn refused(what: &str, verdict: Result<(), String>, because: &str) {
    match verdict {
        Ok(()) => panic!("{what}: taken"),
        Err(why) => assert!(why.contains(because), "{what}: {why}"),
    }
}

/// OpenMLS takes it, mls-rs does not.
#[track_caller]
fn only_openmls_takes(what: &str, forge: &Forge, draft: &Draft, because: &str) {
    let message = openmls_takes(what, forge, &[], draft);
    refused(what, other(forge, &[&message]), because);
}

/// Both take it.
#[track_caller]
fn both_take(what: &str, forge: &Forge, draft: &Draft) {
    let message = openmls_takes(what, forge, &[], draft);
    other(forge, &[&message]).unwrap_or_else(|why| panic!("{what}: mls-rs: {why}"));
}

fn with_path(mut draft: Draft, change: impl FnOnce(&mut PathDraft)) -> Draft {
    change(draft.path.as_mut().unwrap());
    draft
}

#[test]
fn another_members_signature_key_is_taken_and_then_nobody_can_import() {
    for forge in groups() {
        let stolen = Some(forge.key_of(1).unwrap().clone());
        let update = with_path(forge.draft_update(2), |path| path.leaf.key = stolen.clone());
        let join = forge.draft_external("@mallory:b.org/D", &[]).unwrap();
        let join = with_path(join, |path| path.leaf.key = stolen);
        for draft in [update, join] {
            only_openmls_takes("another's signature key", &forge, &draft, "DuplicateLeafData");
            let mut after = forge.clone();
            after.play(&forge.commit(&draft).unwrap()).unwrap();
            let import = OpenMls::of(&after).map(|_| ());
            refused("an import afterwards", import, "DuplicateSignatureKey");
            assert!(mls_rs(&after).is_err());
        }
    }
}

#[test]
fn the_same_proposal_twice_is_taken_as_one() {
    for forge in groups() {
        only_openmls_takes("Remove", &forge, &forge.draft_remove(0, &[3, 3]), "RemovingNonExistingMember");
        let extensions = forge.extensions().to_vec();
        let draft = forge.draft_extensions(0, &extensions).with(Proposal::Extensions(extensions));
        only_openmls_takes("extensions", &forge, &draft, "MoreThanOneGroupContextExtensionsProposal");
        let mut draft = forge.draft_external("@dan:b.org/D", &[]).unwrap();
        draft.proposals.extend(draft.proposals.clone());
        only_openmls_takes("ExternalInit", &forge, &draft, "ExternalCommitMustHaveExactlyOneExternalInit");
        let package = forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        let mut draft = forge.draft_add(0, &[package.clone(), package.clone()]);
        draft.applied = Some(vec![(Sender::Member(0), Proposal::Add(package))]);
        draft.path = Some(PathDraft::default());
        only_openmls_takes("Add", &forge, &draft, "DuplicateLeafData");
    }
}

#[test]
fn a_reinit_in_company_or_to_a_lower_version_is_taken() {
    for forge in groups() {
        let suite = forge.suite().number();
        let reinit = |version| {
            let group_id = b"!next:a.org".to_vec();
            Proposal::ReInit { group_id, version, suite, extensions: Vec::new() }
        };
        let draft = forge.draft_remove(0, &[3]).with(reinit(1));
        only_openmls_takes("with a Remove", &forge, &draft, "OtherProposalWithReInit");
        let draft = forge.draft_update(0).with(reinit(0));
        only_openmls_takes("to version 0", &forge, &draft, "InvalidProtocolVersionInReInit");
    }
}

#[test]
fn required_capabilities_that_members_lack_are_taken() {
    for forge in groups() {
        let demand = |extensions: &[u16], proposals: &[u16], credentials: &[u16]| {
            let mut all = forge.extensions().to_vec();
            all.push(Extension::required_capabilities(extensions, proposals, credentials));
            forge.draft_extensions(0, &all)
        };
        only_openmls_takes("a proposal", &forge, &demand(&[], &[UNKNOWN], &[]), "RequiredProposalNotFound");
        only_openmls_takes("a credential", &forge, &demand(&[], &[], &[2]), "RequiredCredentialNotFound");
        let extension = forge.commit(&demand(&[UNKNOWN], &[], &[])).unwrap().message;
        refused("an extension", openmls(&forge, &[&extension]), "RequiredExtensionNotSupportedByAllMembers");
        refused("an extension", other(&forge, &[&extension]), "RequiredExtensionNotFound");
    }
}

#[test]
fn adds_are_judged_by_the_extensions_before_the_commit() {
    for suite in Suite::COMMON {
        let mut founding = Founding::of(suite, 8, Shape::Bare, 78);
        let able = Capabilities { extensions: vec![UNKNOWN], ..Capabilities::default() };
        let able = LeafDraft { capabilities: Some(able), ..LeafDraft::default() };
        founding.leaves = (0..8).map(|leaf| (leaf, able.clone())).collect();
        let free = Forge::new(&founding).unwrap();
        let demand = Extension::required_capabilities(&[UNKNOWN], &[], &[]);
        let unable =
            |forge: &Forge| Proposal::Add(forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap());
        let mut all = free.extensions().to_vec();
        all.push(demand.clone());
        let draft = free.draft_extensions(0, &all).with(unable(&free));
        only_openmls_takes("a new demand", &free, &draft, "RequiredExtensionNotFound");

        founding.extensions = vec![demand];
        let bound = Forge::new(&founding).unwrap();
        let draft = bound.draft_extensions(0, &bound.extensions()[1..]).with(unable(&bound));
        let honest = bound.commit(&draft).unwrap().message;
        refused("a demand dropped", openmls(&bound, &[&honest]), "UnsupportedExtensions");
        other(&bound, &[&honest]).unwrap();
    }
}

#[test]
fn a_wrong_number_of_ciphertexts_is_taken_by_both() {
    for forge in groups() {
        for node in 0..3 {
            for ciphertexts in [0, 7] {
                let draft = with_path(forge.draft_update(2), |path| {
                    path.ciphertexts.insert(node, ciphertexts);
                });
                both_take("ciphertexts", &forge, &draft);
            }
        }
    }
}

#[test]
fn a_path_with_keys_of_other_nodes_is_taken() {
    for suite in Suite::COMMON {
        let forge = Forge::new(&Founding::of(suite, 8, Shape::Warm, 79)).unwrap();
        for (at, parent) in forge.parents() {
            for node in 0..3 {
                let key = parent.encryption_key.clone();
                let draft = with_path(forge.draft_update(2), |path| {
                    path.keys.insert(node, key);
                });
                both_take(&format!("node {node} with the key of {at:?}"), &forge, &draft);
            }
            let key = Some(parent.encryption_key.clone());
            let draft = with_path(forge.draft_update(2), |path| path.leaf.encryption_key = key);
            both_take(&format!("the leaf with the key of {at:?}"), &forge, &draft);
        }
    }
    for forge in groups() {
        let key = forge.new_hpke_key().unwrap();
        let within = with_path(forge.draft_update(2), |path| {
            path.keys.insert(0, key.clone());
            path.leaf.encryption_key = Some(key);
        });
        let of_leaf = |leaf| forge.leaf(leaf).unwrap().encryption_key.clone();
        let others = [2, 5].map(|leaf| {
            with_path(forge.draft_update(2), |path| {
                path.keys.insert(0, of_leaf(leaf));
            })
        });
        for draft in [within].iter().chain(&others) {
            let message = forge.commit(draft).unwrap().message;
            refused("a leaf's key in the path", openmls(&forge, &[&message]), "DuplicateEncryptionKey");
            other(&forge, &[&message]).unwrap();
        }
    }
}

#[test]
fn identities_are_left_to_the_application() {
    for forge in groups() {
        for identity in ["@mallory:b.org/D", "@user1:a.org/D"] {
            let credential = Some(Credential::basic(identity));
            let draft = with_path(forge.draft_update(2), |path| path.leaf.credential = credential);
            only_openmls_takes("another identity", &forge, &draft, "InvalidSuccessor");
        }
        let second = forge.key_package(&KeyPackageDraft::of("@user1:a.org/D")).unwrap();
        only_openmls_takes("a second leaf", &forge, &forge.draft_add(0, &[second]), "DuplicateLeafData");
        let join = forge.draft_external("@user1:a.org/D", &[]).unwrap();
        only_openmls_takes("a second leaf from outside", &forge, &join, "DuplicateLeafData");
        let theft = forge.draft_external("@mallory:b.org/D", &[3]).unwrap();
        only_openmls_takes(
            "a join over another's leaf",
            &forge,
            &theft,
            "ExternalCommitRemovesOtherIdentity",
        );
        let stranger = Some(Credential::basic("@mallory:b.org/D"));
        let renamed = with_path(forge.draft_resync(3).unwrap(), |path| path.leaf.credential = stranger);
        only_openmls_takes("a renamed resync", &forge, &renamed, "ExternalCommitRemovesOtherIdentity");
        let rekeyed = with_path(forge.draft_resync(3).unwrap(), |path| path.leaf.key = None);
        both_take("a resync with a new key", &forge, &rekeyed);
    }
}

#[test]
fn nobody_without_secrets_can_check_tags_or_miss_a_proposal() {
    for forge in groups() {
        let proposal = forge.propose(Sender::Member(3), Proposal::Remove(4)).unwrap();
        openmls_takes("a proposal left out", &forge, &[&proposal], &forge.draft_update(0));
        let mut draft = forge.draft_update(2);
        draft.framing.membership_tag = Tag::Bytes(vec![0; 32]);
        draft.framing.confirmation_tag = Tag::Bytes(vec![1; 5]);
        both_take("tags", &forge, &draft);
    }
}

#[test]
fn some_messages_cannot_be_followed_at_all() {
    for forge in groups() {
        let private = forge.private_message(3, b"", 100);
        refused("a PrivateMessage", openmls(&forge, &[&private]), "IncompatibleWireFormat");
        let id = PskId::External { id: b"id".to_vec(), nonce: forge.bytes(32) };
        let (group_id, suite) = (b"!next:a.org".to_vec(), forge.suite().number());
        let reinit = Proposal::ReInit { group_id, version: 1, suite, extensions: Vec::new() };
        for proposal in [Proposal::PreSharedKey(id), reinit] {
            let outside = forge.propose(Sender::External(0), proposal.clone()).unwrap().message;
            refused("from outside", openmls(&forge, &[&outside]), "UnsupportedProposalType");
            other(&forge, &[&outside]).unwrap();
            let inside = forge.propose(Sender::Member(0), proposal).unwrap();
            openmls_takes("from inside", &forge, &[&inside], &forge.draft_references(1, &[&inside]));
        }
        let leaving = forge.propose(Sender::Member(3), Proposal::SelfRemove).unwrap().message;
        openmls(&forge, &[&leaving]).unwrap();
        refused("SelfRemove", other(&forge, &[&leaving]), "UnexpectedEOF");
    }
}

#[test]
fn a_group_with_an_expired_leaf_cannot_be_imported() {
    let mut founding = Founding::of(Suite::One, 3, Shape::Bare, 80);
    founding.lifetime = (0, 1_000_000_000);
    let forge = Forge::new(&founding).unwrap();
    let import = OpenMls::of(&forge).map(|_| ());
    refused("an import", import, "Lifetime");
}
