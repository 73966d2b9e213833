//! GroupInfos and trees, to begin with.

use maypole_mls::Rule as R;
use maypole_testkit::forge::chance::Kind as K;

use super::{How::*, Row, Who::*};

pub(super) const ROWS: &[Row] = &[
    Row::new(
        Both,
        Takes(&[R::ConfirmationTag]),
        "§8.2",
        "A GroupInfo with a confirmation tag of another length than the suite's MAC is taken.",
    )
    .of(&[K::Import]),
    Row::new(
        Both,
        Takes(&[R::TranscriptHash]),
        "§8.2",
        "A GroupInfo with a transcript hash that is none of the suite's is taken.",
    )
    .of(&[K::Import]),
    Row::new(
        OpenMls,
        Takes(&[R::UnmergedLeaves]),
        "§12.4.3.1",
        "A tree is imported in which an unmerged leaf is blank.",
    )
    .of(&[K::Import]),
    Row::new(
        OpenMls,
        Takes(&[R::ParentHash]),
        "§7.9.2",
        "A parent whose unmerged leaves lack one that was added later is taken: the hash is compared, the \
         resolution is not.",
    )
    .of(&[K::Import]),
    Row::new(
        OpenMls,
        Panics("Unmerged leaves should not be blank"),
        "§12.4.3.1",
        "A tree in which an unmerged leaf is blank makes a build with debug assertions panic, before \
         the GroupInfo's signature is verified.",
    )
    .of(&[K::Import]),
    Row::new(
        MlsRs,
        Takes(&[R::EncryptionKeyTwice]),
        "§12.4.3.1",
        "A tree is imported in which a leaf has the HPKE key of a parent.",
    )
    .of(&[K::Import]),
    Row::new(
        OpenMls,
        Takes(&[R::LeafGroupExtension]),
        "§13.4",
        "A group is imported that has an extension which members do not list.",
    )
    .of(&[K::Import]),
    Row::new(MlsRs, Takes(&[R::Malformed]), "§12.4.3.3", "Bytes after the end of a tree are not noticed.")
        .of(&[K::Import]),
    Row::new(
        MlsRs,
        Takes(&[R::ExtensionPlace]),
        "§17.3",
        "Extensions of RFC 9420 may stand anywhere: an application_id in a group, required_capabilities \
         in a GroupInfo.",
    ),
    Row::new(
        MlsRs,
        Takes(&[R::GroupExtensionData]),
        "§12.1.7",
        "Extensions of a group whose data cannot be read are taken.",
    ),
];
