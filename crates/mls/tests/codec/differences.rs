//! Where another codec takes what this crate refuses, or refuses what this crate takes, and why that is right.
//!
//! What another takes beyond us is shown by a repair: the one place that it does not mind is changed into what RFC 9420
//! has there, and then this crate must take the rest. What it refuses beyond us is shown by something in the message
//! that it is known to mind.

use crate::codecs::{self, reads_declaring};
use maypole_mls::{
    reader::Reader,
    service::Welcome,
    wire::{
        BASIC, Body, Content, Extensions, GroupInfo, KeyPackage, LeafNode, Listed, Proposal, PublicMessage,
        Unreadable, X509,
    },
};

/// The proposals of draft-ietf-mls-extensions: AppDataUpdate and AppEphemeral, and SelfRemove.
const APP_DATA: [u16; 2] = [8, 9];
const SELF_REMOVE: u16 = 10;
/// A type that nobody has.
const UNKNOWN: [u8; 2] = [0xf0, 0x00];

/// The extensions of RFC 9420 §17.3, and the mark of last-resort KeyPackages.
const KNOWN_EXTENSIONS: &[u16] = &[1, 2, 3, 4, 5, 10];
const OF_CONTEXT: &[u16] = &[3, 5];
const OF_INFO: &[u16] = &[2, 4];
const OF_LEAF: &[u16] = &[1];
const OF_KEY_PACKAGE: &[u16] = &[10];

/// What another codec lets pass and this crate does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leniency {
    /// A version that is not MLS 1.0 (§6) is kept as a number, for somebody else to judge.
    Version,
    /// So is the version in a GroupInfo's context (§8.1).
    ContextVersion,
    /// An application message is read from a PublicMessage. §6.2 forbids it; members' libraries refuse it later.
    PublicApplication,
    /// The reserved content type 0 (§6) is one like the others.
    ReservedContent,
    /// The reserved usage 0 of a resumption key (§8.4) is one like the others.
    ReservedUsage,
    /// An unknown proposal is read as one `opaque<V>`. Nothing says that it is; this crate reads what was declared.
    UnknownProposal,
    /// A chain of certificates is read as one `opaque<V>`, for somebody else to read (§5.3).
    CertificatesUnread,
    /// So is a proposal of a draft. This crate reads it by the draft.
    DraftProposalAsUnknown,
}

/// What another codec minds and this crate does not, when it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// A proposal of a draft is not known, or not by this type.
    DraftProposal,
    /// A leaf's index is bounded by 2^24, where RFC 9420 has a `uint32`. Beyond the tree nobody is found here.
    LeafIndex,
    /// An extension stands in a list twice (§13.4). That is a rule of its own here, judged behind reading.
    ExtensionTwice,
    /// The data of a known extension is read with its list. RFC 9420 has opaque bytes there; here they are read by whoever
    /// needs the extension.
    ExtensionData,
    /// A credential's type is not known. This crate leaves it to the policy, and to §7.3, what types there are.
    Credential,
    /// The version of a KeyPackage or a successor is not known. Here that is a rule of its own (§10.1, §12.1.5).
    Version,
    /// A cipher suite is not known. Here that is judged where a group, or a KeyPackage for it, has one (§5.1, §10.1).
    Suite,
    /// A known extension stands in a list that it is not for (§17.3). That is a rule of its own here, but for the mark of
    /// last-resort KeyPackages, which is of a draft.
    ExtensionPlace,
}

/// What a codec is known for.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) read: fn(&[u8]) -> codecs::Verdict,
    pub(crate) lenient: &'static [Leniency],
    pub(crate) severe: &'static [Severity],
    /// Types of proposals of drafts that it does not know.
    drafts: &'static [u16],
    /// Whether it reads an extension by itself, whole.
    reads_extension: fn(u16, &[u8]) -> bool,
}

/// The others.
pub(crate) const OTHERS: [Known; 3] = [
    Known {
        name: "mls-spec",
        read: codecs::mls_spec,
        lenient: &[
            Leniency::Version,
            Leniency::ContextVersion,
            Leniency::PublicApplication,
            Leniency::ReservedContent,
            Leniency::ReservedUsage,
        ],
        severe: &[Severity::DraftProposal, Severity::ExtensionData, Severity::Credential],
        drafts: &[APP_DATA[0], APP_DATA[1], SELF_REMOVE],
        reads_extension: codecs::mls_spec_extension,
    },
    Known {
        name: "OpenMLS",
        read: codecs::openmls,
        lenient: &[
            Leniency::ContextVersion,
            Leniency::PublicApplication,
            Leniency::UnknownProposal,
            Leniency::CertificatesUnread,
            Leniency::DraftProposalAsUnknown,
        ],
        severe: &[
            Severity::DraftProposal,
            Severity::Version,
            Severity::Suite,
            Severity::ExtensionPlace,
            Severity::ExtensionTwice,
            Severity::ExtensionData,
        ],
        drafts: &APP_DATA,
        reads_extension: codecs::openmls_extension,
    },
    Known {
        name: "mls-rs",
        read: codecs::mls_rs,
        lenient: &[
            Leniency::Version,
            Leniency::ContextVersion,
            Leniency::PublicApplication,
            Leniency::UnknownProposal,
            Leniency::CertificatesUnread,
            Leniency::DraftProposalAsUnknown,
        ],
        severe: &[Severity::DraftProposal, Severity::LeafIndex, Severity::ExtensionTwice],
        drafts: &[APP_DATA[0], APP_DATA[1], SELF_REMOVE],
        // Its lists keep bytes.
        reads_extension: |_, _| true,
    },
];

/// Which leniencies of a codec it takes until this crate takes a message that it refuses; nothing if they do not suffice.
pub(crate) fn repairs(bytes: &[u8], known: &Known) -> Option<Vec<Leniency>> {
    let declared = |_| known.lenient.contains(&Leniency::UnknownProposal).then_some(Body::Opaque);
    let mut bytes = bytes.to_vec();
    let mut used = Vec::new();
    // Each repair takes one fault away; more than these are in no message that is taken by anybody.
    for _ in 0..8 {
        if reads_declaring(&bytes, &declared).is_ok() {
            if codecs::reads(&bytes).is_err() {
                used.push(Leniency::UnknownProposal);
            }
            return Some(used);
        }
        let mut repaired = known
            .lenient
            .iter()
            .filter_map(|leniency| Some((*leniency, leniency.repair(&bytes, known, &declared)?)));
        let (leniency, better) = repaired.next()?;
        used.push(leniency);
        bytes = better;
    }
    None
}

impl Leniency {
    /// The message without this fault, if it is in it.
    fn repair(self, bytes: &[u8], known: &Known, declared: &dyn Fn(u16) -> Option<Body>) -> Option<Vec<u8>> {
        match self {
            Self::Version if !bytes.starts_with(&[0, 1]) => Some([&[0, 1], bytes.get(2..)?].concat()),
            Self::ContextVersion if bytes.get(2..4)? == [0, 4] && bytes.get(4..6)? != [0, 1] => {
                Some([&bytes[..4], &[0, 1], bytes.get(6..)?].concat())
            }
            Self::PublicApplication if bytes.get(2..4)? == [0, 1] => {
                let at = content_type(bytes, true)?;
                // Its content is one `opaque<V>`, as an ExternalInit's is.
                (bytes[at] == 1).then(|| [&bytes[..at], &[2, 0, 6], &bytes[at + 1..]].concat())
            }
            Self::ReservedContent if bytes.get(2..4)? == [0, 2] => {
                let at = content_type(bytes, false)?;
                (bytes[at] == 0).then(|| [&bytes[..at], &[1], &bytes[at + 1..]].concat())
            }
            Self::ReservedUsage => {
                let Err(Unreadable::Broken(broken)) = reads_declaring(bytes, declared) else { return None };
                // The offset is behind the usage, and counted from the wire format's end.
                let at = broken.offset + 3;
                let is_usage = broken.problem == "a resumption's usage is not known" && bytes[at] == 0;
                is_usage.then(|| [&bytes[..at], &[1], &bytes[at + 1..]].concat())
            }
            Self::CertificatesUnread => {
                let Err(Unreadable::Broken(broken)) = reads_declaring(bytes, declared) else { return None };
                // The certificate itself, or its length.
                let in_chain = ["certificate", "length"].iter().any(|word| broken.problem.contains(word));
                in_chain.then(|| further(bytes, X509.to_be_bytes(), BASIC.to_be_bytes(), declared))?
            }
            Self::DraftProposalAsUnknown => {
                known.drafts.iter().find_map(|kind| further(bytes, kind.to_be_bytes(), UNKNOWN, declared))
            }
            Self::Version
            | Self::ContextVersion
            | Self::PublicApplication
            | Self::ReservedContent
            | Self::UnknownProposal => None,
        }
    }
}

/// The message with one type made into another, where that lets this crate read the furthest, and further than before.
fn further(
    bytes: &[u8],
    from: [u8; 2],
    to: [u8; 2],
    declared: &dyn Fn(u16) -> Option<Body>,
) -> Option<Vec<u8>> {
    let reach = |bytes: &[u8]| match reads_declaring(bytes, declared) {
        Ok(()) => usize::MAX,
        Err(Unreadable::Broken(broken)) => broken.offset,
        Err(Unreadable::Undeclared(_)) => 0,
    };
    let changed = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(&from))
        .map(|at| [&bytes[..at], &to, &bytes[at + 2..]].concat());
    changed.max_by_key(|changed| reach(changed)).filter(|changed| reach(changed) > reach(bytes))
}

/// Where the content's type stands in a PublicMessage, or in a PrivateMessage.
fn content_type(bytes: &[u8], public: bool) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    reader.u32("envelope").ok()?;
    reader.opaque("group ID").ok()?;
    reader.u64("epoch").ok()?;
    if public {
        match reader.u8("sender").ok()? {
            1 | 2 => drop(reader.u32("index").ok()?),
            _ => {}
        }
        reader.opaque("authenticated data").ok()?;
    }
    reader.rest().first().map(|_| reader.offset())
}

/// Which of the things that a codec minds are in a message that this crate takes.
pub(crate) fn minded(bytes: &[u8], known: &Known) -> Vec<Severity> {
    let parts = Parts::of(bytes);
    known.severe.iter().copied().filter(|severity| parts.have(*severity, known)).collect()
}

/// What stands in a message, wherever.
#[derive(Default)]
struct Parts<'a> {
    /// With the types that RFC 9420 has for each list.
    extensions: Vec<(Extensions<'a>, &'static [u16])>,
    leaves: Vec<LeafNode<'a>>,
    indices: Vec<u32>,
    versions: Vec<u16>,
    suites: Vec<u16>,
    proposals: Vec<u16>,
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut parts = Self::default();
        let mut reader = Reader::new(&bytes[4..]);
        match bytes[3] {
            1 => parts.add_message(&PublicMessage::read(&mut reader, &|_| None).unwrap()),
            4 => {
                let info = GroupInfo::from_bytes(bytes).unwrap();
                parts.extensions.extend([(info.context.extensions, OF_CONTEXT), (info.extensions, OF_INFO)]);
                parts.suites.push(info.context.suite);
                parts.indices.push(info.signer);
            }
            5 => parts.add_key_package(&KeyPackage::read(&mut reader).unwrap()),
            3 => parts.suites.push(Welcome::read(bytes).unwrap().suite),
            _ => {}
        }
        parts
    }

    fn add_message(&mut self, message: &PublicMessage<'a>) {
        if let maypole_mls::envelope::Sender::Member(leaf) = message.sender {
            self.indices.push(leaf);
        }
        match &message.content {
            Content::Proposal(proposal) => self.add_proposal(proposal),
            Content::Commit(commit) => {
                for listed in &commit.proposals {
                    if let Listed::Value(proposal) = listed {
                        self.add_proposal(proposal);
                    }
                }
                if let Some(path) = &commit.path {
                    self.add_leaf(&path.leaf);
                }
            }
        }
    }

    fn add_proposal(&mut self, proposal: &Proposal<'a>) {
        self.proposals.push(proposal.kind());
        match proposal {
            Proposal::Add(key_package) => self.add_key_package(key_package),
            Proposal::Update(leaf) => self.add_leaf(leaf),
            Proposal::Remove(leaf) => self.indices.push(*leaf),
            Proposal::ReInit(reinit) => {
                self.versions.push(reinit.version);
                self.suites.push(reinit.suite);
                self.extensions.push((reinit.extensions, OF_CONTEXT));
            }
            Proposal::GroupContextExtensions(extensions) => self.extensions.push((*extensions, OF_CONTEXT)),
            Proposal::PreSharedKey(_)
            | Proposal::SelfRemove
            | Proposal::ExternalInit(_)
            | Proposal::AppDataUpdate(_)
            | Proposal::AppEphemeral(_)
            | Proposal::Other { .. } => {}
        }
    }

    fn add_key_package(&mut self, key_package: &KeyPackage<'a>) {
        self.versions.push(key_package.version);
        self.suites.push(key_package.suite);
        self.extensions.push((key_package.extensions, OF_KEY_PACKAGE));
        self.add_leaf(&key_package.leaf);
    }

    fn add_leaf(&mut self, leaf: &LeafNode<'a>) {
        self.extensions.push((leaf.extensions, OF_LEAF));
        self.leaves.push(*leaf);
    }

    fn have(&self, severity: Severity, known: &Known) -> bool {
        match severity {
            Severity::DraftProposal => self.proposals.iter().any(|kind| known.drafts.contains(kind)),
            Severity::LeafIndex => self.indices.iter().any(|index| *index >= 1 << 24),
            Severity::ExtensionTwice => self.extensions.iter().any(|(list, _)| list.twice().is_some()),
            Severity::ExtensionData => self.extensions.iter().any(|(list, _)| {
                list.iter().any(|extension| !(known.reads_extension)(extension.kind, extension.data))
            }),
            Severity::ExtensionPlace => self.extensions.iter().any(|(list, own)| {
                let mut kinds = list.iter().map(|extension| extension.kind);
                kinds.any(|kind| KNOWN_EXTENSIONS.contains(&kind) && !own.contains(&kind))
            }),
            Severity::Suite => self.suites.iter().any(|suite| !(1..=7).contains(suite)),
            Severity::Credential => {
                self.leaves.iter().any(|leaf| ![BASIC, X509].contains(&leaf.credential.kind))
            }
            Severity::Version => self.versions.iter().any(|version| *version != 1),
        }
    }
}
