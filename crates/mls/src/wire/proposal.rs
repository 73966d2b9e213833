//! Proposals (RFC 9420 §12.1), and those of draft-ietf-mls-extensions.

use super::{APP_DATA_UPDATE, APP_EPHEMERAL, AppDataUpdate, AppEphemeral, Extensions, KeyPackage, LeafNode};
use crate::reader::{Broken, Reader};

/// A `Proposal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal<'a> {
    /// Adds a client (§12.1.1).
    Add(Box<KeyPackage<'a>>),
    /// Replaces the sender's leaf (§12.1.2).
    Update(Box<LeafNode<'a>>),
    /// Removes a leaf (§12.1.3).
    Remove(u32),
    /// Mixes in a key that members share (§12.1.4).
    PreSharedKey(PreSharedKey<'a>),
    /// Closes the group in favour of another (§12.1.5).
    ReInit(ReInit<'a>),
    /// Lets a joiner in by an external commit: the encapsulated secret (§12.1.6).
    ExternalInit(&'a [u8]),
    /// Replaces the group's extensions (§12.1.7).
    GroupContextExtensions(Extensions<'a>),
    /// Changes an application's data in the group.
    AppDataUpdate(AppDataUpdate<'a>),
    /// Says something to an application with a commit.
    AppEphemeral(AppEphemeral<'a>),
    /// Removes its sender.
    SelfRemove,
    /// Any other type that was declared.
    Other {
        /// Its type.
        kind: u16,
        /// Its content as it was written.
        body: &'a [u8],
    },
}

/// A `PreSharedKeyID` (§8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreSharedKey<'a> {
    /// Of a resumption key: its usage; of an external one: nothing.
    pub usage: Option<u8>,
    /// Which key it is, without the nonce.
    pub id: &'a [u8],
    /// Makes each use another.
    pub nonce: &'a [u8],
}

/// What a group is to be succeeded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReInit<'a> {
    /// The successor's ID.
    pub group_id: &'a [u8],
    /// The successor's protocol version.
    pub version: u16,
    /// The successor's cipher suite.
    pub suite: u16,
    /// The successor's extensions.
    pub extensions: Extensions<'a>,
    /// The whole of it as it was written.
    pub raw: &'a [u8],
}

/// How the content of a proposal type is written that this crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It has no content.
    Empty,
    /// It is one `opaque<V>`.
    Opaque,
    /// It is some number of `opaque<V>`, one after the other.
    Opaques(u8),
}

/// The type of an Add.
pub(crate) const ADD: u16 = 1;
/// The type of an Update.
pub(crate) const UPDATE: u16 = 2;
/// The type of a GroupContextExtensions.
pub(crate) const GROUP_CONTEXT_EXTENSIONS: u16 = 7;
/// The type of a SelfRemove.
pub(crate) const SELF_REMOVE: u16 = 10;

impl<'a> Proposal<'a> {
    /// Reads one. `declared` says how types are written that are not known here; others cannot be read, because a
    /// proposal does not say where it ends.
    pub fn read(reader: &mut Reader<'a>, declared: &dyn Fn(u16) -> Option<Body>) -> Result<Self, Unreadable> {
        let kind = reader.u16("a proposal's type is cut short")?;
        Ok(match kind {
            ADD => Self::Add(Box::new(KeyPackage::read(reader)?)),
            UPDATE => Self::Update(Box::new(LeafNode::read(reader)?)),
            3 => Self::Remove(reader.u32("a Remove is cut short")?),
            4 => Self::PreSharedKey(PreSharedKey::read(reader)?),
            5 => Self::ReInit(ReInit::read(reader)?),
            6 => Self::ExternalInit(reader.opaque("an ExternalInit is cut short")?),
            GROUP_CONTEXT_EXTENSIONS => Self::GroupContextExtensions(Extensions::read(reader)?),
            APP_DATA_UPDATE => Self::AppDataUpdate(AppDataUpdate::read(reader)?),
            APP_EPHEMERAL => Self::AppEphemeral(AppEphemeral::read(reader)?),
            SELF_REMOVE => Self::SelfRemove,
            _ => {
                let body = declared(kind).ok_or(Unreadable::Undeclared(kind))?;
                Self::Other { kind, body: body.read(reader)? }
            }
        })
    }

    /// Its type.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Add(_) => ADD,
            Self::Update(_) => UPDATE,
            Self::Remove(_) => 3,
            Self::PreSharedKey(_) => 4,
            Self::ReInit(_) => 5,
            Self::ExternalInit(_) => 6,
            Self::GroupContextExtensions(_) => GROUP_CONTEXT_EXTENSIONS,
            Self::AppDataUpdate(_) => APP_DATA_UPDATE,
            Self::AppEphemeral(_) => APP_EPHEMERAL,
            Self::SelfRemove => SELF_REMOVE,
            Self::Other { kind, .. } => *kind,
        }
    }
}

/// Why a proposal could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The bytes are not what they say they are.
    Broken(Broken),
    /// Nobody has declared this type.
    Undeclared(u16),
}

impl From<Broken> for Unreadable {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Body {
    fn read<'a>(self, reader: &mut Reader<'a>) -> Result<&'a [u8], Broken> {
        let start = reader.clone();
        let count = match self {
            Self::Empty => 0,
            Self::Opaque => 1,
            Self::Opaques(count) => count,
        };
        for _ in 0..count {
            reader.opaque("a proposal is cut short")?;
        }
        Ok(reader.since(&start))
    }
}

impl<'a> PreSharedKey<'a> {
    /// Whether it is of a group that this one was made from, by a ReInit or as a branch (§11.2, §11.3).
    pub(crate) fn says_origin(&self) -> bool {
        const APPLICATION: u8 = 1;
        self.usage.is_some_and(|usage| usage != APPLICATION)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let usage = match reader.u8("a pre-shared key's type is missing")? {
            1 => {
                reader.opaque("a pre-shared key's ID is cut short")?;
                None
            }
            2 => {
                let usage = reader.u8("a resumption's usage is missing")?;
                if !(1..=3).contains(&usage) {
                    return Err(reader.broken("a resumption's usage is not known"));
                }
                reader.opaque("a resumption's group ID is cut short")?;
                reader.u64("a resumption's epoch is cut short")?;
                Some(usage)
            }
            _ => return Err(start.broken("a pre-shared key's type is not known")),
        };
        let id = reader.since(&start);
        let nonce = reader.opaque("a pre-shared key's nonce is cut short")?;
        Ok(Self { usage, id, nonce })
    }
}

impl<'a> ReInit<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let group_id = reader.opaque("a successor's group ID is cut short")?;
        let version = reader.u16("a successor's version is cut short")?;
        let suite = reader.u16("a successor's cipher suite is cut short")?;
        let extensions = Extensions::read(reader)?;
        Ok(Self { group_id, version, suite, extensions, raw: reader.since(&start) })
    }
}
