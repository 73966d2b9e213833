//! Leaf nodes (RFC 9420 §7.2).

use super::{Capabilities, Credential, Extensions, SUPPORTED_WIRE_FORMATS, Types, read_wire_formats};
use crate::reader::{Broken, Reader};

/// A `LeafNode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafNode<'a> {
    /// The HPKE key to which path secrets are encrypted.
    pub encryption_key: &'a [u8],
    /// The key that the member signs with.
    pub signature_key: &'a [u8],
    /// Who the member is.
    pub credential: Credential<'a>,
    /// What the member's client can do.
    pub capabilities: Capabilities<'a>,
    /// How the leaf came into the tree.
    pub source: LeafSource<'a>,
    /// Its extensions.
    pub extensions: Extensions<'a>,
    /// What stands before the signature: the start of `LeafNodeTBS`.
    pub signed: &'a [u8],
    /// The signature by `signature_key`.
    pub signature: &'a [u8],
    /// The whole leaf as it was written.
    pub raw: &'a [u8],
}

/// A `LeafNodeSource` with what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafSource<'a> {
    /// Out of a KeyPackage, good for a time in Unix seconds.
    KeyPackage {
        /// The first second.
        not_before: u64,
        /// The last second.
        not_after: u64,
    },
    /// By an Update proposal.
    Update,
    /// By a commit's path.
    Commit {
        /// The parent hash of the nearest parent that is not blank.
        parent_hash: &'a [u8],
    },
}

impl<'a> LeafNode<'a> {
    /// Reads one out of what follows it.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let encryption_key = reader.opaque("a leaf's encryption key is cut short")?;
        let signature_key = reader.opaque("a leaf's signature key is cut short")?;
        let credential = Credential::read(reader)?;
        let capabilities = Capabilities::read(reader)?;
        let source = LeafSource::read(reader)?;
        let extensions = Extensions::read(reader)?;
        let signed = reader.since(&start);
        let signature = reader.opaque("a leaf's signature is cut short")?;
        Ok(Self {
            encryption_key,
            signature_key,
            credential,
            capabilities,
            source,
            extensions,
            signed,
            signature,
            raw: reader.since(&start),
        })
    }

    /// The wire formats that it lists, beyond those that every client knows.
    pub fn wire_formats(&self) -> Types<'a> {
        let listed = self.extensions.find(SUPPORTED_WIRE_FORMATS);
        listed.and_then(|data| read_wire_formats(data).ok()).unwrap_or(Types::NONE)
    }

    /// Reads one that is all there is.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let leaf = Self::read(&mut reader)?;
        reader.end()?;
        Ok(leaf)
    }
}

impl<'a> LeafSource<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let unknown = reader.broken("a leaf's source is not known");
        match reader.u8("a leaf's source is missing")? {
            1 => Ok(Self::KeyPackage {
                not_before: reader.u64("a lifetime is cut short")?,
                not_after: reader.u64("a lifetime is cut short")?,
            }),
            2 => Ok(Self::Update),
            3 => Ok(Self::Commit { parent_hash: reader.opaque("a parent hash is cut short")? }),
            _ => Err(unknown),
        }
    }
}
