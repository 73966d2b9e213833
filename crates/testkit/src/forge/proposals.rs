//! Proposals (§12.1), honest or not, as they are written in messages and in commits.

use super::key_package::KeyPackage;
use super::leaf::{Extension, Leaf, write_extensions};
use super::wire::Wire;
use super::{APP_DATA_UPDATE, APP_EPHEMERAL, SELF_REMOVE};

/// Something that somebody proposes.
#[derive(Debug, Clone)]
pub enum Proposal {
    /// 1: somebody is added.
    Add(KeyPackage),
    /// 2: the sender has a new leaf.
    Update(Leaf),
    /// 3: a leaf is removed.
    Remove(u32),
    /// 4: a secret from elsewhere goes in.
    PreSharedKey(PskId),
    /// 5: the group ends, and another begins.
    ReInit {
        /// ID of the other group.
        group_id: Vec<u8>,
        /// Its protocol version.
        version: u16,
        /// Its ciphersuite.
        suite: u16,
        /// Its extensions.
        extensions: Vec<Extension>,
    },
    /// 6: somebody comes in from outside.
    ExternalInit(Vec<u8>),
    /// 7: the group's extensions are replaced.
    Extensions(Vec<Extension>),
    /// 8: a component's data grows by this, or is taken away.
    AppDataUpdate(u16, Option<Vec<u8>>),
    /// 9: something is said to a component.
    AppEphemeral(u16, Vec<u8>),
    /// 10: the sender leaves.
    SelfRemove,
    /// Any type with any body. The tree knows nothing of it.
    Raw(u16, Vec<u8>),
}

/// Which secret a `PreSharedKey` proposal means (§8.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PskId {
    /// One that the application knows.
    External {
        /// Its name.
        id: Vec<u8>,
        /// What makes this use of it unique.
        nonce: Vec<u8>,
    },
    /// One of an earlier epoch.
    Resumption {
        /// 1 application, 2 reinit, 3 branch.
        usage: u8,
        /// The group it comes from.
        group_id: Vec<u8>,
        /// The epoch it comes from.
        epoch: u64,
        /// What makes this use of it unique.
        nonce: Vec<u8>,
    },
}

impl PskId {
    fn write(&self, wire: Wire) -> Wire {
        match self {
            Self::External { id, nonce } => wire.u8(1).vector(id).vector(nonce),
            Self::Resumption { usage, group_id, epoch, nonce } => {
                wire.u8(2).u8(*usage).vector(group_id).u64(*epoch).vector(nonce)
            }
        }
    }
}

impl Proposal {
    /// The number of its type.
    pub fn number(&self) -> u16 {
        match self {
            Self::Add(_) => 1,
            Self::Update(_) => 2,
            Self::Remove(_) => 3,
            Self::PreSharedKey(_) => 4,
            Self::ReInit { .. } => 5,
            Self::ExternalInit(_) => 6,
            Self::Extensions(_) => 7,
            Self::AppDataUpdate(..) => APP_DATA_UPDATE,
            Self::AppEphemeral(..) => APP_EPHEMERAL,
            Self::SelfRemove => SELF_REMOVE,
            Self::Raw(number, _) => *number,
        }
    }

    pub(super) fn write(&self, wire: Wire) -> Wire {
        let wire = wire.u16(self.number());
        match self {
            Self::Add(key_package) => wire.raw(&key_package.bytes),
            Self::Update(leaf) => leaf.node.write(wire),
            Self::Remove(leaf) => wire.u32(*leaf),
            Self::PreSharedKey(id) => id.write(wire),
            Self::ReInit { group_id, version, suite, extensions } => {
                write_extensions(wire.vector(group_id).u16(*version).u16(*suite), extensions)
            }
            Self::ExternalInit(kem_output) => wire.vector(kem_output),
            Self::Extensions(extensions) => write_extensions(wire, extensions),
            Self::AppDataUpdate(component, Some(update)) => wire.u16(*component).u8(1).vector(update),
            Self::AppDataUpdate(component, None) => wire.u16(*component).u8(2),
            Self::AppEphemeral(component, data) => wire.u16(*component).vector(data),
            Self::SelfRemove => wire,
            Self::Raw(_, body) => wire.raw(body),
        }
    }

    /// The bytes of the proposal alone.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.write(Wire::new()).done()
    }
}

/// Who sends something (§6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The member at a leaf.
    Member(u32),
    /// The external sender at a place of the list.
    External(u32),
    /// Somebody who proposes to be added.
    NewMemberProposal,
    /// Somebody who comes in by an external commit.
    NewMemberCommit,
}

impl Sender {
    pub(super) fn write(self, wire: Wire) -> Wire {
        match self {
            Self::Member(leaf) => wire.u8(1).u32(leaf),
            Self::External(place) => wire.u8(2).u32(place),
            Self::NewMemberProposal => wire.u8(3),
            Self::NewMemberCommit => wire.u8(4),
        }
    }

    /// Whether what is signed covers the group's state.
    pub(super) fn knows_the_group(self) -> bool {
        matches!(self, Self::Member(_) | Self::NewMemberCommit)
    }
}
