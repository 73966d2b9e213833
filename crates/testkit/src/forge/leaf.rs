//! Leaves (§7.2): what a member's device says of itself, and every way in which it can say it wrongly.

use anyhow::Result;

use super::keys::{Seal, SigningKey};
use super::wire::Wire;

/// Who somebody claims to be (§5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A bare identity.
    Basic(Vec<u8>),
    /// A chain of certificates.
    X509(Vec<Vec<u8>>),
    /// Any type with any body.
    Raw(u16, Vec<u8>),
}

impl Credential {
    /// A bare identity, from text.
    pub fn basic(identity: &str) -> Self {
        Self::Basic(identity.as_bytes().to_vec())
    }

    /// The number of its type.
    pub fn number(&self) -> u16 {
        match self {
            Self::Basic(_) => 1,
            Self::X509(_) => 2,
            Self::Raw(number, _) => *number,
        }
    }

    pub(super) fn write(&self, wire: Wire) -> Wire {
        let wire = wire.u16(self.number());
        match self {
            Self::Basic(identity) => wire.vector(identity),
            Self::X509(chain) => wire.list(chain, |wire, certificate| wire.vector(certificate)),
            Self::Raw(_, body) => wire.raw(body),
        }
    }
}

/// What a client says it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Protocol versions.
    pub versions: Vec<u16>,
    /// Ciphersuites.
    pub suites: Vec<u16>,
    /// Extension types beyond the default ones.
    pub extensions: Vec<u16>,
    /// Proposal types beyond the default ones.
    pub proposals: Vec<u16>,
    /// Credential types.
    pub credentials: Vec<u16>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            versions: vec![1],
            suites: vec![1, 2, 3, 5, 7],
            extensions: Vec::new(),
            proposals: vec![super::SELF_REMOVE],
            credentials: vec![1],
        }
    }
}

impl Capabilities {
    fn write(&self, wire: Wire) -> Wire {
        wire.numbers(&self.versions)
            .numbers(&self.suites)
            .numbers(&self.extensions)
            .numbers(&self.proposals)
            .numbers(&self.credentials)
    }
}

/// An extension of a leaf, a KeyPackage, a GroupInfo or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The number of its type.
    pub kind: u16,
    /// What it holds.
    pub data: Vec<u8>,
}

impl Extension {
    /// Any type with any content.
    pub fn new(kind: u16, data: Vec<u8>) -> Self {
        Self { kind, data }
    }

    /// `required_capabilities` (§11.1): types of extensions, proposals and credentials.
    pub fn required_capabilities(extensions: &[u16], proposals: &[u16], credentials: &[u16]) -> Self {
        Self::new(3, Wire::new().numbers(extensions).numbers(proposals).numbers(credentials).done())
    }

    /// `external_senders` (§12.1.8.1).
    pub fn external_senders(senders: &[(Vec<u8>, Credential)]) -> Self {
        let list =
            Wire::new().list(senders, |wire, (key, credential)| credential.write(wire.vector(key))).done();
        Self::new(5, list)
    }

    /// `external_pub` (§12.4.3.2).
    pub fn external_pub(key: &[u8]) -> Self {
        Self::new(4, Wire::new().vector(key).done())
    }

    pub(super) fn write(&self, wire: Wire) -> Wire {
        wire.u16(self.kind).vector(&self.data)
    }
}

pub(super) fn write_extensions(wire: Wire, extensions: &[Extension]) -> Wire {
    wire.list(extensions, |wire, extension| extension.write(wire))
}

/// How a leaf came into the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From a KeyPackage, valid from and until these seconds.
    KeyPackage(u64, u64),
    /// By an Update.
    Update,
    /// By a commit with a path, and with this parent hash.
    Commit(Vec<u8>),
    /// Any number, followed by any bytes.
    Raw(u8, Vec<u8>),
}

impl Source {
    fn write(&self, wire: Wire) -> Wire {
        match self {
            Self::KeyPackage(not_before, not_after) => wire.u8(1).u64(*not_before).u64(*not_after),
            Self::Update => wire.u8(2),
            Self::Commit(parent_hash) => wire.u8(3).vector(parent_hash),
            Self::Raw(number, rest) => wire.u8(*number).raw(rest),
        }
    }
}

/// A leaf as it stands in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafNode {
    /// HPKE public key.
    pub encryption_key: Vec<u8>,
    /// Public signature key.
    pub signature_key: Vec<u8>,
    /// Who it claims to be.
    pub credential: Credential,
    /// What it can do.
    pub capabilities: Capabilities,
    /// How it came into the tree.
    pub source: Source,
    /// Its extensions.
    pub extensions: Vec<Extension>,
    /// The signature over all that.
    pub signature: Vec<u8>,
}

impl LeafNode {
    fn write_signed(&self, wire: Wire) -> Wire {
        let wire = wire.vector(&self.encryption_key).vector(&self.signature_key);
        let wire = self.capabilities.write(self.credential.write(wire));
        write_extensions(self.source.write(wire), &self.extensions)
    }

    pub(super) fn write(&self, wire: Wire) -> Wire {
        self.write_signed(wire).vector(&self.signature)
    }
}

/// A leaf, and the key of whoever holds it.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The leaf.
    pub node: LeafNode,
    /// The key that its holder signs with.
    pub key: SigningKey,
}

/// What to write differently in a leaf. It is signed after all that.
#[derive(Debug, Clone, Default)]
pub struct LeafDraft {
    /// Another key pair: its public part is written, and it signs.
    pub key: Option<SigningKey>,
    /// Bytes written for the signature key, whoever signs.
    pub signature_key: Option<Vec<u8>>,
    /// HPKE public key.
    pub encryption_key: Option<Vec<u8>>,
    /// Who it claims to be.
    pub credential: Option<Credential>,
    /// What it can do.
    pub capabilities: Option<Capabilities>,
    /// How it came into the tree.
    pub source: Option<Source>,
    /// The parent hash, where the source is a commit.
    pub parent_hash: Option<Vec<u8>>,
    /// Its extensions.
    pub extensions: Option<Vec<Extension>>,
    /// Who signs it, whatever key it carries.
    pub signer: Option<SigningKey>,
    /// The group and the place that the signature is bound to, where the source has it bound.
    pub bound_to: Option<(Vec<u8>, u32)>,
    /// What becomes of the signature.
    pub signature: Seal,
}

impl LeafDraft {
    /// The honest leaf with the changes made, signed. `group` and `place` are where it is for.
    pub(super) fn on(&self, honest: &Leaf, group: &[u8], place: u32) -> Result<Leaf> {
        let mut node = honest.node.clone();
        let key = self.key.clone().unwrap_or_else(|| honest.key.clone());
        node.signature_key = self.signature_key.clone().unwrap_or_else(|| match self.key {
            Some(_) => key.public().to_vec(),
            None => node.signature_key.clone(),
        });
        let change = |field: &mut Vec<u8>, other: &Option<Vec<u8>>| {
            if let Some(other) = other {
                field.clone_from(other);
            }
        };
        change(&mut node.encryption_key, &self.encryption_key);
        if let Some(source) = &self.source {
            node.source.clone_from(source);
        }
        if let Source::Commit(parent_hash) = &mut node.source {
            change(parent_hash, &self.parent_hash);
        }
        node.credential = self.credential.clone().unwrap_or(node.credential);
        node.capabilities = self.capabilities.clone().unwrap_or(node.capabilities);
        node.extensions = self.extensions.clone().unwrap_or(node.extensions);
        let mut signed = node.write_signed(Wire::new());
        if matches!(node.source, Source::Update | Source::Commit(_)) {
            let (group, place) =
                self.bound_to.as_ref().map_or((group, place), |(group, place)| (group, *place));
            signed = signed.vector(group).u32(place);
        }
        let signer = self.signer.as_ref().unwrap_or(&key);
        node.signature = self.signature.over(signer.sign("LeafNodeTBS", &signed.done())?);
        Ok(Leaf { node, key })
    }
}
