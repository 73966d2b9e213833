//! Commits, by members and from outside.

use maypole_mls::Rule as R;
use maypole_testkit::forge::chance::Kind as K;

use super::{How::*, Row, Who::*};

const COMMITS: &[K] = &[K::Commit, K::ExternalCommit];

/// Beginnings of what is said of messages in which somebody has another's identity, or another one.
const IDENTITY: &[&str] =
    &["another member's credential", "a new name", "a credential without a name", "joins under another name"];

pub(super) const ROWS: &[Row] = &[
    Row::new(
        Both,
        Takes(&[R::PathKeyForm]),
        "§5.1.1",
        "A key in a path that has not the form of the suite's keys is taken; nobody can encrypt to it.",
    )
    .of(COMMITS),
    Row::new(
        Both,
        Takes(&[R::LeafKey]),
        "§5.1.1",
        "An HPKE key of a leaf that has not the form of the suite's keys is taken, by OpenMLS also the \
         init key of a KeyPackage; nobody can encrypt to it.",
    )
    .of(&[K::Commit, K::ExternalCommit, K::Import]),
    Row::new(
        Both,
        Takes(&[R::EncryptionKeyKept]),
        "§12.2",
        "A resync whose leaf keeps the HPKE key of the leaf that it removes is taken; it must meet the \
         criteria of an Update for that leaf.",
    )
    .of(&[K::ExternalCommit]),
    Row::new(
        OpenMls,
        Takes(&[R::RemoveCommitter]),
        "extensions",
        "A commit that refers to the committer's own SelfRemove is taken.",
    )
    .of(&[K::Commit]),
    Row::new(
        OpenMls,
        Refuses(&["InitEncryptionKeyCollision"]),
        "§10.1",
        "A KeyPackage whose init key is another leaf's HPKE key is refused; it must differ from that of \
         its own leaf alone.",
    )
    .of(COMMITS),
    Row::new(
        Both,
        Takes(&[R::PathCiphertexts]),
        "§7.6",
        "A path with too few or too many encrypted secrets for a node is taken: a committer can lock \
         members out.",
    )
    .of(COMMITS),
    Row::new(
        Both,
        Takes(&[R::PathCiphertextSize]),
        "§7.6",
        "An encrypted path secret of a size that none has is taken: whoever is to read it is locked out.",
    )
    .of(COMMITS),
    Row::new(
        OpenMls,
        Takes(&[R::PathKey]),
        "§12.4.2",
        "A key of the path that a parent of the tree has is taken.",
    )
    .of(COMMITS),
    Row::new(
        MlsRs,
        Takes(&[R::PathKey]),
        "§12.4.2",
        "A key of the path that another node has, or that stands in the path twice, is taken.",
    )
    .of(COMMITS),
    Row::new(
        Both,
        Takes(&[R::EncryptionKeyTwice]),
        "§12.4.3.1",
        "A new leaf with the HPKE key of a parent is taken. The tree has one key twice then, and \
         whoever is to join must refuse it.",
    )
    .of(COMMITS),
    Row::new(OpenMls, Takes(&[R::SignatureKeyTwice]), "§12.2", "The same Add twice is taken as one.")
        .of(COMMITS)
        .with(&["list: one entry twice"]),
    Row::new(
        OpenMls,
        Takes(&[R::SignatureKeyTwice]),
        "§7.3",
        "A path's leaf with another member's signature key is taken, and then nobody can join.",
    )
    .of(COMMITS),
    Row::new(OpenMls, Takes(&[R::LeafTwice]), "§12.2", "Two Removes of one leaf are taken as one.")
        .of(COMMITS),
    Row::new(
        OpenMls,
        Takes(&[R::ReferenceTwice]),
        "§12.2",
        "A proposal that is referred to twice is taken once.",
    )
    .of(COMMITS),
    Row::new(
        MlsRs,
        Takes(&[R::ReferenceTwice]),
        "§12.2",
        "A proposal of the application's that is referred to twice is taken twice. §12.2 leaves such \
         types to the application; OpenMLS takes it once, so that ours refuses what the two would apply \
         differently.",
    )
    .of(&[K::Commit])
    .with(&["a referred unknown", "list: refers to what is about the committer, or by it"]),
    Row::new(
        MlsRs,
        Takes(&[R::ExternalReference]),
        "§12.4.3.2",
        "An external commit that refers to a proposal of the application's is taken; it must refer to \
         none.",
    )
    .of(&[K::ExternalCommit]),
    Row::new(
        OpenMls,
        Takes(&[R::ReInitVersion]),
        "§12.1.5",
        "A ReInit to an older protocol version is taken.",
    )
    .of(&[K::Commit]),
    Row::new(
        OpenMls,
        Refuses(&["UnsupportedCredentials"]),
        "§7.3",
        "A type of credential that all members list after the commit is refused because of a member whom \
         the commit removes.",
    )
    .of(&[K::Commit]),
    Row::new(
        OpenMls,
        Refuses(&["DuplicateEncryptionKey"]),
        "§12.4.2",
        "A key in a path is refused because a leaf has it that the commit removes or replaces; it must \
         not stand in the new tree.",
    )
    .of(COMMITS)
    .with(&["path: the key of a leaf that goes"]),
    Row::new(
        Both,
        Refuses(&[
            "(63351)",
            "RequiredExtensionNotSupportedByAllMembers",
            "LeafNodeValidation(UnsupportedProposals)",
        ]),
        "§12.1.7",
        "What an extension asks for is looked up in the leaves before the commit, although the commit \
         removes those that lack it, or brings one that has it; and a path's leaf is held by OpenMLS against \
         what was required before.",
    )
    .of(&[K::Commit])
    .with(&["list: extensions that the committer alone", "capabilities: no proposals"]),
    Row::new(
        MlsRs,
        Refuses(&["RequiredCredentialNotFound(CredentialType(2))"]),
        "§12.1.8.1",
        "Every member must list the type of an external sender's credential; RFC 9420 asks that of \
         members' own credentials alone.",
    )
    .with(&["senders: with X.509"]),
    Row::new(
        OpenMls,
        Takes(&[R::ExtensionsTwice]),
        "§12.2",
        "Two GroupContextExtensions are taken if they are the same.",
    )
    .of(COMMITS),
    Row::new(OpenMls, Takes(&[R::ReInitNotAlone]), "§12.2", "A ReInit with other proposals is taken.")
        .of(COMMITS),
    Row::new(
        OpenMls,
        Takes(&[R::SelfRemoveByValue]),
        "extensions",
        "A SelfRemove by value is taken; only by reference has it a sender who can leave.",
    )
    .of(COMMITS),
    Row::new(
        Both,
        Takes(&[R::ExternalInitKey]),
        "§8.3",
        "An ExternalInit whose secret has another length than the suite's is taken; no member can open it.",
    )
    .of(COMMITS),
    Row::new(
        MlsRs,
        Takes(&[R::LeafVersion, R::LeafSuite]),
        "§11.1",
        "A leaf whose capabilities do not list MLS 1.0, or not the group's suite, is taken.",
    ),
    Row::new(
        MlsRs,
        Takes(&[R::KeyPackageExtension]),
        "§10",
        "A KeyPackage with an extension that its leaf does not list is taken.",
    )
    .of(COMMITS),
    Row::new(
        OpenMls,
        Takes(&[R::LeafRequired, R::RequiredCapabilities]),
        "§12.1.7",
        "required_capabilities that name a proposal or a credential which members lack are taken; only \
         extensions are looked up.",
    )
    .of(COMMITS),
    Row::new(
        OpenMls,
        Refuses(&["ExtensionNotInRequiredCapabilities"]),
        "§12.1.7",
        "An extension of the group must be in required_capabilities or be a default one; RFC 9420 asks \
         only that every member lists it.",
    )
    .of(COMMITS),
    Row::new(
        MlsRs,
        Refuses(&[
            "RequiredExtensionNotFound(ExtensionType(1))",
            "RequiredProposalNotFound(ProposalType(1))",
        ]),
        "§11.1",
        "required_capabilities that name a default type are refused, because no leaf may list it; \
         default types are assumed of all.",
    ),
    Row::new(
        MlsRs,
        Refuses(&["DefaultValueListed"]),
        "§7.2",
        "A leaf that lists a default type is refused. Whoever writes it must not; readers are not asked \
         to refuse it, and OpenMLS does not.",
    ),
    Row::new(
        MlsRs,
        Refuses(&["ExtensionNotInCapabilities(ExtensionType(1))"]),
        "§7.2",
        "A leaf with an application_id is refused, because its capabilities do not list it; as a default \
         type it must not be listed.",
    ),
    Row::new(
        MlsRs,
        Refuses(&["ExternalCommitRemovesOtherIdentity", "InvalidSuccessor"]),
        "§5.3.1",
        "A leaf that takes another's place or another identity is refused by its basic identity provider; \
         OpenMLS and RFC 9420 leave that to the application. Ours does as the policy says.",
    ),
    Row::new(
        MlsRs,
        Refuses(&["DuplicateLeafData"]),
        "§5.3.1",
        "One identity in two leaves is refused; OpenMLS and RFC 9420 leave that to the application. Ours \
         does as the policy says.",
    )
    .with(IDENTITY),
    Row::new(
        MlsRs,
        Refuses(&["IdentityProviderError"]),
        "§5.3.1",
        "Its basic identity provider takes basic credentials alone.",
    ),
];
