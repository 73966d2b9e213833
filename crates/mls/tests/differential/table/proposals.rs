//! Proposals that are sent by themselves.

use maypole_mls::Rule as R;
use maypole_testkit::forge::chance::Kind as K;

use super::{How::*, Row, Who::*};

pub(super) const ROWS: &[Row] = &[
    Row::new(
        Both,
        Takes(&[R::ProposalMisplaced]),
        "§12.1.6",
        "An ExternalInit that is sent by itself is kept, although it can stand in external commits alone.",
    )
    .of(&[K::Proposal]),
    Row::new(
        MlsRs,
        Takes(&[R::SenderKind]),
        "§12.1.8",
        "A proposal of a type that external senders may not send, an Update say, is kept; such a message must be \
         rejected as malformed.",
    )
    .of(&[K::Proposal]),
    Row::new(
        Both,
        Takes(&[R::ProposalRepeated]),
        "policy",
        "The same message once more is taken once more. It means nothing new, so that ours says that it \
         is there already.",
    ),
    Row::new(
        OpenMls,
        Refuses(&["UnsupportedProposalType"]),
        "§12.1.8",
        "A PreSharedKey or a ReInit from an external sender is refused, although external senders may \
         send both.",
    )
    .of(&[K::Proposal]),
    Row::new(
        Both,
        Takes(&[R::ProposalUndeclared]),
        "§13.2",
        "A proposal of a type that nobody has declared and not every member lists is kept, its body read \
         as one vector, and judged with the commit that refers to it.",
    )
    .of(&[K::Proposal]),
    Row::new(
        Both,
        Takes(&[R::Malformed]),
        "extensions",
        "An AppDataUpdate or an AppEphemeral, of which there are the numbers 8 and 9, is read as a proposal of the \
         application's with one vector as its body.",
    )
    .with(&["a proposal of some type"]),
    Row::new(
        OpenMls,
        Takes(&[R::SelfRemoveTwice]),
        "extensions",
        "A second SelfRemove of one member in one epoch is kept.",
    )
    .of(&[K::Proposal]),
    Row::new(
        MlsRs,
        Misreads(&[R::Malformed], &["SerializationError"]),
        "extensions",
        "A SelfRemove cannot be read: its number, 10, is read as a proposal of the application's with a \
         body, which is what follows.",
    )
    .with(&["SelfRemove", "a SelfRemove", "a second SelfRemove", "list: a SelfRemove"]),
    Row::new(
        MlsRs,
        Takes(&[
            R::LeafSource,
            R::LeafKey,
            R::LeafVersion,
            R::LeafSuite,
            R::LeafCredential,
            R::LeafExtension,
            R::LeafApplicationId,
            R::LeafRequired,
            R::LeafGroupExtension,
            R::LeafSignature,
            R::ExtensionTwice,
            R::ExtensionPlace,
            R::EncryptionKeyKept,
            R::EncryptionKeyTwice,
            R::SignatureKeyTwice,
            R::CredentialUnsupported,
            R::LifetimeOver,
            R::LifetimeAhead,
            R::KeyPackageVersion,
            R::KeyPackageSuite,
            R::KeyPackageInitKey,
            R::KeyPackageExtension,
            R::KeyPackageSignature,
            R::RemoveBlank,
            R::PskNonce,
            R::PskUsage,
            R::ReInitVersion,
            R::GroupExtensionData,
            R::ProposalUnsupported,
        ]),
        "policy",
        "A proposal that is wrong by itself is kept as soon as the signature around it verifies, and \
         judged with the commit that refers to it. RFC 9420 asks for no more; ours judges a proposal when it \
         comes, by the group as it stands, so that nobody commits it in vain.",
    )
    .of(&[K::Proposal]),
    Row::new(
        OpenMls,
        Takes(&[
            R::LeafSource,
            R::LeafKey,
            R::LeafVersion,
            R::LeafSuite,
            R::LeafCredential,
            R::LeafExtension,
            R::LeafRequired,
            R::LeafGroupExtension,
            R::EncryptionKeyKept,
            R::EncryptionKeyTwice,
            R::SignatureKeyTwice,
            R::CredentialUnsupported,
            R::RemoveBlank,
            R::PskNonce,
            R::PskUsage,
            R::ReInitVersion,
            R::ProposalUnsupported,
            R::KeyPackageSuite,
            R::LifetimeOver,
            R::LifetimeAhead,
        ]),
        "policy",
        "A proposal that is wrong by itself is kept as soon as its signatures verify, those in it too, \
         and judged with the commit that refers to it. RFC 9420 asks for no more; ours judges a proposal \
         when it comes, by the group as it stands, so that nobody commits it in vain.",
    )
    .of(&[K::Proposal]),
    Row::new(
        OpenMls,
        Refuses(&["UnknownValue"]),
        "§12.1.5",
        "A ReInit to a suite whose number is not known cannot be read.",
    )
    .with(&["ReInit: to a suite"]),
];
