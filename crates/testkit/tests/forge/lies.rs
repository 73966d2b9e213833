//! A lie is heard as that lie: each is refused for its own reason, so nothing else about the message was wrong.

use maypole_testkit::forge::{
    At, Capabilities, Credential, Draft, Extension, Forge, Founding, GroupInfoDraft, KeyPackageDraft, Leaf,
    LeafDraft, Listed, ParentDraft, Proposal, Seal, Sender, Shape, Source, Suite, Tag,
};

use crate::followers::{Follower, OpenMls};

fn forge() -> Forge {
    Forge::new(&Founding::of(Suite::One, 8, Shape::Warm, 31)).unwrap()
}

#[track_caller]
fn commit_is_refused(forge: &Forge, draft: &Draft, because: &str) {
    let commit = forge.commit(draft).unwrap();
    let why = OpenMls::of(forge).unwrap().hear(&commit.message).expect_err(because);
    assert!(why.contains(because), "{because}: {why}");
}

#[track_caller]
fn import_is_refused(forge: &Forge, group_info: &GroupInfoDraft, because: &str) {
    let group_info = forge.group_info(group_info).unwrap();
    let why = OpenMls::import(&group_info, &forge.ratchet_tree()).err().expect(because);
    assert!(why.contains(because), "{because}: {why}");
}

#[test]
fn lies_in_a_path_are_refused_for_what_they_are() {
    let forge = forge();
    let honest = LeafDraft::default;
    let cases = [
        (LeafDraft { parent_hash: Some(vec![1; 32]), ..honest() }, "ParentHashMismatch"),
        (LeafDraft { source: Some(Source::Update), ..honest() }, "InvalidType"),
        (LeafDraft { source: Some(Source::KeyPackage(0, u64::MAX)), ..honest() }, "InvalidType"),
        (LeafDraft { signature: Seal::Flipped, ..honest() }, "SignatureError"),
        (LeafDraft { signer: Some(forge.key_of(1).unwrap().clone()), ..honest() }, "SignatureError"),
        (LeafDraft { bound_to: Some((b"elsewhere".to_vec(), 2)), ..honest() }, "SignatureError"),
        (LeafDraft { bound_to: Some((forge.group_id().to_vec(), 3)), ..honest() }, "SignatureError"),
        (
            LeafDraft { encryption_key: Some(forge.leaf(5).unwrap().encryption_key.clone()), ..honest() },
            "DuplicateEncryptionKey",
        ),
        (
            LeafDraft {
                capabilities: Some(Capabilities { suites: vec![2], ..Capabilities::default() }),
                ..honest()
            },
            "CiphersuiteNotInCapabilities",
        ),
        (
            LeafDraft {
                capabilities: Some(Capabilities { credentials: vec![2], ..Capabilities::default() }),
                ..honest()
            },
            "UnsupportedCredentials",
        ),
        (
            LeafDraft { credential: Some(Credential::Raw(9, vec![1, 7])), ..honest() },
            "UnsupportedCredentials",
        ),
        (
            LeafDraft { extensions: Some(vec![Extension::new(0xf123, Vec::new())]), ..honest() },
            "UnsupportedExtensions",
        ),
    ];
    for (leaf, because) in cases {
        commit_is_refused(&forge, &forge.draft_update(2).with_leaf(leaf), because);
    }
    for length in [0, 2, 4] {
        let mut draft = forge.draft_update(2);
        draft.path.as_mut().unwrap().length = Some(length);
        commit_is_refused(&forge, &draft, "PathLengthMismatch");
    }
}

#[test]
fn lies_around_a_commit_are_refused_for_what_they_are() {
    let forge = forge();
    let case = |change: &dyn Fn(&mut Draft), because: &str| {
        let mut draft = forge.draft_update(2);
        change(&mut draft);
        commit_is_refused(&forge, &draft, because);
    };
    let anothers = forge.key_of(1).unwrap();
    case(&|draft| draft.framing.epoch = Some(7), "WrongEpoch");
    case(&|draft| draft.framing.group_id = Some(vec![7]), "WrongGroupId");
    case(&|draft| draft.framing.signer = Some(anothers.clone()), "InvalidSignature");
    case(&|draft| draft.framing.signature = Seal::Flipped, "InvalidSignature");
    case(&|draft| draft.framing.signature = Seal::Bytes(Vec::new()), "InvalidSignature");
    case(&|draft| draft.framing.membership_tag = Tag::Absent, "EndOfStream");
    case(&|draft| draft.framing.confirmation_tag = Tag::Absent, "EndOfStream");
    case(&|draft| draft.framing.trailing = vec![0], "Trailing");
    case(&|draft| draft.path = None, "RequiredPathNotFound");
}

#[test]
fn lies_among_proposals_are_refused_for_what_they_are() {
    let forge = forge();
    commit_is_refused(&forge, &forge.draft_remove(2, &[2]), "AttemptedSelfRemoval");
    commit_is_refused(&forge, &forge.draft_remove(2, &[20]), "UnknownMemberRemoval");
    commit_is_refused(&forge, &forge.draft_remove(2, &[3]).without_path(), "RequiredPathNotFound");
    let mut draft = forge.draft_update(2);
    draft.proposals = vec![Listed::Reference(vec![3; 32], None)];
    commit_is_refused(&forge, &draft, "MissingProposal");
    let update = forge.update_of(3, &LeafDraft::default()).unwrap();
    let update = forge.propose(Sender::Member(3), update).unwrap();
    let commit = forge.commit(&forge.draft_references(3, &[&update])).unwrap();
    let mut follower = OpenMls::of(&forge).unwrap();
    follower.hear(&update.message).unwrap();
    assert!(follower.hear(&commit.message).unwrap_err().contains("CommitterIncludedOwnUpdate"));
    let init = Proposal::ExternalInit(forge.new_hpke_key().unwrap());
    commit_is_refused(&forge, &forge.draft_update(2).with(init), "ExternalInitProposalInRegularCommit");
    let other: Vec<Extension> = Vec::new();
    let draft = forge.draft_extensions(2, forge.extensions()).with(Proposal::Extensions(other));
    commit_is_refused(&forge, &draft, "TooManyGCEProposals");
}

#[test]
fn lies_in_a_key_package_are_refused_for_what_they_are() {
    let forge = forge();
    let case = |change: &dyn Fn(&mut KeyPackageDraft), because: &str| {
        let mut draft = KeyPackageDraft::of("@ann:a.org/D");
        change(&mut draft);
        let package = forge.key_package(&draft).unwrap();
        commit_is_refused(&forge, &forge.draft_add(0, &[package]), because);
    };
    let key = forge.new_hpke_key().unwrap();
    case(&|draft| draft.leaf.source = Some(Source::KeyPackage(0, 1)), "Lifetime");
    case(&|draft| draft.leaf.source = Some(Source::Update), "InvalidLeafNodeSourceType");
    case(&|draft| draft.leaf.key = Some(forge.key_of(1).unwrap().clone()), "DuplicateSignatureKey");
    case(&|draft| draft.leaf.signature = Seal::Flipped, "InvalidLeafNodeSignature");
    case(&|draft| draft.signature = Seal::Flipped, "InvalidSignature");
    case(&|draft| draft.signer = Some(forge.key_of(1).unwrap().clone()), "InvalidSignature");
    case(&|draft| draft.suite = Some(3), "InvalidAddProposalCiphersuite");
    case(
        &|draft| {
            draft.init_key = Some(key.clone());
            draft.leaf.encryption_key = Some(key.clone());
        },
        "InitKeyEqualsEncryptionKey",
    );
}

#[test]
fn lies_in_a_group_info_are_refused_for_what_they_are() {
    let forge = forge();
    let case = |change: &dyn Fn(&mut GroupInfoDraft), because: &str| {
        let mut draft = GroupInfoDraft::by(3);
        change(&mut draft);
        import_is_refused(&forge, &draft, because);
    };
    OpenMls::import(&forge.group_info(&GroupInfoDraft::by(3)).unwrap(), &forge.ratchet_tree()).unwrap();
    case(&|draft| draft.tree_hash = Some(vec![0; 32]), "TreeHashMismatch");
    case(&|draft| draft.signature = Seal::Flipped, "InvalidGroupInfoSignature");
    case(&|draft| draft.key = Some(forge.key_of(1).unwrap().clone()), "InvalidGroupInfoSignature");
    case(&|draft| draft.trailing = vec![0], "Trailing");
    let nobody = GroupInfoDraft { key: Some(forge.new_key().unwrap()), ..GroupInfoDraft::by(9) };
    import_is_refused(&forge, &nobody, "UnknownSender");
}

#[test]
fn lies_in_a_tree_are_refused_for_what_they_are() {
    let case = |change: &dyn Fn(&mut Forge), because: &str| {
        let mut forge = forge();
        change(&mut forge);
        import_is_refused(&forge, &GroupInfoDraft::by(3), because);
    };
    let (root, low) = (At { level: 3, place: 0 }, At { level: 1, place: 1 });
    let honest = ParentDraft::default;
    let key = forge().new_hpke_key().unwrap();
    let change = ParentDraft { encryption_key: Some(key), ..honest() };
    case(&|forge| forge.edit_parent(root, &change).unwrap(), "InvalidParentHash");
    let change = ParentDraft { parent_hash: Some(vec![2; 32]), ..honest() };
    case(&|forge| forge.edit_parent(At { level: 2, place: 0 }, &change).unwrap(), "InvalidParentHash");
    let change = ParentDraft { unmerged: Some(vec![0]), ..honest() };
    case(&|forge| forge.edit_parent(low, &change).unwrap(), "InvalidParentHash");
    case(&|forge| forge.blank(low), "InvalidParentHash");
    let flipped = LeafDraft { signature: Seal::Flipped, ..LeafDraft::default() };
    let mut founding = Founding::of(Suite::One, 8, Shape::Warm, 31);
    founding.leaves.insert(5, flipped);
    import_is_refused(&Forge::new(&founding).unwrap(), &GroupInfoDraft::by(3), "Signature");
    let Leaf { key, .. } = forge().key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap().leaf;
    let twin = LeafDraft { key: Some(key), ..LeafDraft::default() };
    founding.leaves = [(4, twin.clone()), (5, twin)].into_iter().collect();
    import_is_refused(&Forge::new(&founding).unwrap(), &GroupInfoDraft::by(3), "DuplicateSignatureKey");
}
