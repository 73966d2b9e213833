//! Every reason to refuse something, with the section that gives it.
//!
//! A [`Refusal`] is a [`Rule`] and the [`Place`] where it was broken. Sections are RFC 9420's, unless they say
//! otherwise: `policy` is the application's, by [`crate::Policy`]; `extensions` the SelfRemove of the MLS extensions.

use crate::{envelope::EnvelopeError, reader::Broken, tree::ImportError, wire::Unreadable};

/// Why something was refused. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} ({}){place}", rule.section())]
pub struct Refusal {
    /// What was broken.
    pub rule: Rule,
    /// Where.
    pub place: Place,
}

/// Where a rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the message as a whole.
    Whole,
    /// At a byte of it, and what is wrong there.
    Byte(Broken),
    /// At a leaf of the tree.
    Leaf(u32),
    /// At a node of the tree, by its place in the array.
    Node(u32),
    /// At an entry of a commit's list of proposals, counted from 0.
    Proposal(usize),
    /// At the new leaf in a commit's path.
    PathLeaf,
    /// At a node of a commit's path, counted from the bottom.
    PathNode(usize),
    /// At a type of proposal, extension, credential or message.
    Type(u16),
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Byte(broken) => write!(formatter, ": {broken}"),
            Self::Leaf(leaf) => write!(formatter, ": leaf {leaf}"),
            Self::Node(node) => write!(formatter, ": node {node}"),
            Self::Proposal(index) => write!(formatter, ": proposal {index}"),
            Self::PathLeaf => formatter.write_str(": the path's leaf"),
            Self::PathNode(index) => write!(formatter, ": the path's node {index}"),
            Self::Type(kind) => write!(formatter, ": type {kind:#06x}"),
        }
    }
}

/// Makes the enum, its sections, its sentences and the list of all from one table.
macro_rules! rules {
    ($($rule:ident, $section:literal, $sentence:literal;)*) => {
        /// What can be broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(
                #[doc = concat!($sentence, " (", $section, ")")]
                $rule,
            )*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$rule),*];

            /// The section that says so.
            ///
            /// ```
            /// assert_eq!(maypole_mls::Rule::StaleEpoch.section(), "§6");
            /// ```
            pub const fn section(self) -> &'static str {
                match self {
                    $(Self::$rule => $section,)*
                }
            }

            /// Its name, for programs.
            ///
            /// ```
            /// assert_eq!(maypole_mls::Rule::StaleEpoch.name(), "StaleEpoch");
            /// ```
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => stringify!($rule),)*
                }
            }

            const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$rule => $sentence,)*
                }
            }
        }
    };
}

rules! {
    // The message.
    Malformed, "§2.1", "the bytes are not what they say they are";
    Version, "§6", "the protocol version is not MLS 1.0";
    NotHandshake, "§6", "this is neither a commit nor a proposal to a group";
    Encrypted, "§6.3", "the message is private: only members can read it";
    TooLarge, "policy", "it is larger than the bound";
    OtherGroup, "§6", "the message is for another group";
    StaleEpoch, "§6", "the message is for an earlier epoch";
    FutureEpoch, "§6", "the message is for a later epoch";
    LastEpoch, "§8.1", "the epoch's number cannot grow any more";
    Closed, "§12.4.2", "the group was closed by a ReInit";
    SenderBlank, "§6.1", "the sender's leaf is blank or beyond the tree";
    SenderUnknown, "§12.1.8", "the external sender is not in the group's list";
    SenderKind, "§6.1", "this kind of sender may not send this kind of content";
    Signature, "§6.1", "the message's signature does not verify";
    ConfirmationTag, "§6.1", "the confirmation tag does not have the length of a MAC";
    MembershipTag, "§6.2", "the membership tag does not have the length of a MAC";

    // GroupInfo and tree.
    Suite, "§5.1", "the cipher suite is not supported";
    NoTree, "§12.4.3.3", "there is no ratchet tree, neither in the GroupInfo nor apart";
    TreeEnd, "§12.4.3.3", "the ratchet tree ends with a blank node or is empty";
    TreeOneSided, "§7.5", "a parent that is not blank has nobody on one of its sides";
    UnmergedLeaves, "§12.4.3.1", "a parent's unmerged leaves are not in order, not below it, blank, or missing between";
    ParentHash, "§7.9.2", "a parent is not chained to exactly one leaf by parent hashes";
    TreeHash, "§12.4.3.1", "the tree does not have the hash that is stated";
    TranscriptHash, "§8.2", "the transcript hash is not the group's";
    TagDiffers, "§12.4.3", "the confirmation tag is not that of the commit";
    ContextDiffers, "§8.1", "the GroupInfo's group, epoch, suite or extensions are not the group's";
    GroupInfoSigner, "§12.4.3", "the GroupInfo was signed by another leaf, or by a blank one";
    GroupInfoSignature, "§12.4.3", "the GroupInfo's signature does not verify";
    NoExternalPub, "§12.4.3.2", "the GroupInfo has no external_pub, or one that is no key";
    ExtensionTwice, "§13.4", "a list has two extensions of one type";
    ExtensionPlace, "§17.3", "an extension stands where it may not";
    WelcomeRecipients, "§12.4.3.1", "the Welcome's recipients are not exactly those whom the commit adds";

    // Leaves.
    LeafSignature, "§7.3", "a leaf's signature does not verify";
    LeafSource, "§7.3", "a leaf does not say that it came as it came";
    LeafVersion, "§11.1", "a leaf's capabilities do not list MLS 1.0";
    LeafSuite, "§11.1", "a leaf's capabilities do not list the group's cipher suite";
    LeafCredential, "§7.2", "a leaf's capabilities do not list its own credential's type";
    LeafExtension, "§7.3", "a leaf has an extension that its capabilities do not list";
    LeafApplicationId, "§5.3.3", "a leaf's application_id cannot be read";
    LeafRequired, "§7.3", "a leaf lacks a capability that the group requires";
    LeafGroupExtension, "§13.4", "a leaf does not list an extension that the group has";
    LeafKey, "§5.1.1", "a key does not have the form of the suite's keys";
    LeafParentHash, "§7.9.2", "a leaf's parent hash is not that of its path";
    CredentialUnsupported, "§7.3", "a type of credential is in use that not every member lists";
    SignatureKeyTwice, "§7.3", "two members would have one signature key";
    EncryptionKeyTwice, "§12.4.3.1", "two nodes would have one HPKE key";
    EncryptionKeyKept, "§7.3", "the leaf's HPKE key is the one that it replaces";
    LifetimeOver, "§7.3", "a lifetime is over";
    LifetimeAhead, "§7.3", "a lifetime has not begun";
    LifetimeTooLong, "§7.2", "a lifetime is longer than the maximum";
    IdentityTwice, "§12.2", "two members would have one identity";
    IdentityChanged, "§5.3.1", "a member would become somebody else";
    CredentialRefused, "§5.3.1", "the application does not take this credential";

    // KeyPackages.
    KeyPackageVersion, "§10.1", "a KeyPackage is for another protocol version";
    KeyPackageSuite, "§10.1", "a KeyPackage is for another cipher suite";
    KeyPackageSignature, "§10.1", "a KeyPackage's signature does not verify";
    KeyPackageInitKey, "§10.1", "a KeyPackage's init key is also its leaf's key";
    KeyPackageExtension, "§10", "a KeyPackage has an extension that its leaf does not list";

    // Proposals.
    ProposalUndeclared, "§12.1", "nobody has declared this type of proposal";
    ProposalUnsupported, "§12.2", "not every member lists this type of proposal";
    ProposalMisplaced, "§12.1", "this proposal cannot be sent by itself, or not by this sender";
    ProposalRepeated, "policy", "this very proposal is pending already";
    TooManyPending, "policy", "too many proposals are pending";
    RemoveBlank, "§12.1.3", "the leaf to remove is blank or beyond the tree";
    RequiredCapabilities, "§12.1.7", "not every member has what the new extensions require";
    GroupExtension, "§13.4", "not every member lists an extension that the group would have";
    GroupExtensionData, "§12.1.7", "an extension's data cannot be read";
    PskNonce, "§12.1.4", "a pre-shared key's nonce does not have the length of a hash";
    PskUsage, "§12.1.4", "a resumption key is used for what is not happening";
    PskRefused, "policy", "pre-shared keys are not taken";
    ReInitVersion, "§12.1.5", "the successor would have an older protocol version";
    ReInitRefused, "policy", "ReInit is not taken";
    ExternalInitKey, "§8.3", "the encapsulated secret does not have the suite's length";

    // Lists of proposals.
    UnknownReference, "§12.4", "the commit refers to a proposal that was not seen in this epoch";
    ReferenceTwice, "§12.2", "the commit refers to one proposal twice";
    UpdateByCommitter, "§12.2", "the committer cannot commit its own Update";
    RemoveCommitter, "§12.2", "the committer cannot remove itself";
    LeafTwice, "§12.2", "two proposals update or remove one leaf";
    PskTwice, "§12.2", "one pre-shared key is named twice";
    ExtensionsTwice, "§12.2", "two proposals replace the group's extensions";
    ReInitNotAlone, "§12.2", "a ReInit stands beside other proposals";
    ExternalInitInside, "§12.2", "a member's commit has an ExternalInit";
    ExternalInitCount, "§12.2", "an external commit does not have exactly one ExternalInit";
    ExternalProposal, "§12.2", "an external commit has a proposal that it may not have";
    ExternalReference, "§12.4.3.2", "an external commit refers to a proposal that is not a SelfRemove";
    ExternalRemoves, "§12.2", "an external commit removes more than one leaf";
    SelfRemoveByValue, "extensions", "a SelfRemove stands in a commit by value";
    MustCommit, "policy", "the commit leaves out a proposal that it must have";
    TooManyMembers, "policy", "the group would have more members than the bound";

    // Paths.
    PathMissing, "§12.4", "the commit needs a path and has none";
    PathLength, "§7.6", "the path does not have one node for each of the filtered direct path";
    PathCiphertexts, "§7.6", "a path's node does not have one secret for each of the resolution";
    PathCiphertextSize, "§7.6", "an encrypted path secret does not have the suite's size";
    PathKey, "§12.4.2", "a key of the path stands in the tree already, or twice in the path";
    PathKeyForm, "§5.1.1", "a key of the path does not have the form of the suite's keys";
}

impl Rule {
    /// The refusal of a message as a whole.
    pub(crate) const fn whole(self) -> Refusal {
        self.at(Place::Whole)
    }

    /// The refusal at a place.
    pub(crate) const fn at(self, place: Place) -> Refusal {
        Refusal { rule: self, place }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.sentence())
    }
}

impl Refusal {
    /// The section that says so; see [`Rule::section`].
    pub const fn section(&self) -> &'static str {
        self.rule.section()
    }
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        Rule::Malformed.at(Place::Byte(broken))
    }
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Broken(broken) => broken.into(),
            Unreadable::Undeclared(kind) => Rule::ProposalUndeclared.at(Place::Type(kind)),
        }
    }
}

impl From<EnvelopeError> for Refusal {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Version(version) => Rule::Version.at(Place::Type(version)),
            EnvelopeError::WireFormat(format) => Rule::NotHandshake.at(Place::Type(format)),
            EnvelopeError::Broken(broken) => broken.into(),
        }
    }
}

impl From<ImportError> for Refusal {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Broken(broken) => broken.into(),
            ImportError::BlankAtEnd => Rule::TreeEnd.whole(),
            ImportError::TooMany => Rule::TooManyMembers.whole(),
            ImportError::OneSided(node) => Rule::TreeOneSided.at(Place::Node(node)),
            ImportError::Unmerged(node) => Rule::UnmergedLeaves.at(Place::Node(node)),
            ImportError::EncryptionKeyTwice(node) => Rule::EncryptionKeyTwice.at(Place::Node(node)),
            ImportError::SignatureKeyTwice(leaf) => Rule::SignatureKeyTwice.at(Place::Leaf(leaf)),
            ImportError::CredentialTwice(leaf) => Rule::IdentityTwice.at(Place::Leaf(leaf)),
            ImportError::BadKey(node) => Rule::LeafKey.at(Place::Node(node)),
            ImportError::ParentHash(node) => Rule::ParentHash.at(Place::Node(node)),
        }
    }
}
