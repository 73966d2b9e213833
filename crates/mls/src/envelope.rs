//! The outside of an `MLSMessage` (RFC 9420 §6): its version, its kind, the group and epoch that it is for.
//!
//! What stands before the part that only members of the group can judge is read strictly; the content of a
//! `PublicMessage` is left as the bytes that it is.

use crate::{
    reader::{Broken, Reader},
    wire::GroupInfo,
};

/// The one protocol version there is: MLS 1.0.
pub const MLS_10: u16 = 1;

// Wire formats (§6).
pub(crate) const PUBLIC_MESSAGE: u16 = 1;
pub(crate) const PRIVATE_MESSAGE: u16 = 2;
pub(crate) const WELCOME: u16 = 3;
pub(crate) const GROUP_INFO: u16 = 4;
pub(crate) const KEY_PACKAGE: u16 = 5;

/// An `MLSMessage`, as far as its envelope goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope<'a> {
    /// A `PublicMessage` (§6.2): a commit or a proposal that a delivery service can read.
    Public(Public<'a>),
    /// A `PrivateMessage` (§6.3): only members can read its content.
    Private(Private<'a>),
    /// A `GroupInfo` (§12.4.3).
    GroupInfo(GroupInfo<'a>),
    /// A `Welcome` (§12.4.3.1), unread.
    Welcome(&'a [u8]),
    /// A `KeyPackage` (§10), unread.
    KeyPackage(&'a [u8]),
}

/// What bytes hold (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// An application message.
    Application,
    /// A proposal.
    Proposal,
    /// A commit.
    Commit,
}

/// Who sent a `PublicMessage` (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The member at a leaf.
    Member(u32),
    /// One of the group's external senders.
    External(u32),
    /// Somebody who proposes to be added.
    NewMemberProposal,
    /// Somebody who joins by an external commit.
    NewMemberCommit,
}

/// The envelope of a `PublicMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public<'a> {
    /// The group.
    pub group_id: &'a [u8],
    /// The epoch that it was made in.
    pub epoch: u64,
    /// Who sent it, by their own word.
    pub sender: Sender,
    /// Data that is authenticated but not part of the content.
    pub authenticated_data: &'a [u8],
    /// What it holds.
    pub content_type: ContentType,
    /// The content, signature and tags, unread.
    pub content: &'a [u8],
}

/// The envelope of a `PrivateMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private<'a> {
    /// The group.
    pub group_id: &'a [u8],
    /// The epoch that it was made in.
    pub epoch: u64,
    /// What it holds.
    pub content_type: ContentType,
    /// Data that is authenticated but not encrypted.
    pub authenticated_data: &'a [u8],
}

/// Why an envelope cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A protocol version that is not MLS 1.0.
    #[error("protocol version {0} is not known")]
    Version(u16),
    /// A wire format that RFC 9420 does not have.
    #[error("wire format {0} is not known")]
    WireFormat(u16),
    /// The bytes are not what they say they are.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of an `MLSMessage`.
    ///
    /// ```
    /// use maypole_mls::envelope::{Envelope, EnvelopeError};
    ///
    /// assert_eq!(Envelope::read(&[0x00, 0x02, 0x00, 0x01]), Err(EnvelopeError::Version(2)));
    ///
    /// // A PrivateMessage for the group "g" in epoch 5, holding a commit.
    /// let bytes = [0, 1, 0, 2, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 5, 3, 0, 1, 0xaa, 1, 0xbb];
    /// let Ok(Envelope::Private(message)) = Envelope::read(&bytes) else { panic!() };
    /// assert_eq!((message.group_id, message.epoch), (&b"g"[..], 5));
    /// ```
    pub fn read(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u16("the protocol version is missing")?;
        if version != MLS_10 {
            return Err(EnvelopeError::Version(version));
        }
        let envelope = match reader.u16("the wire format is missing")? {
            PUBLIC_MESSAGE => Self::Public(read_public(&mut reader)?),
            PRIVATE_MESSAGE => Self::Private(read_private(&mut reader)?),
            WELCOME => Self::Welcome(reader.rest()),
            GROUP_INFO => Self::GroupInfo(read_group_info(&mut reader)?),
            KEY_PACKAGE => Self::KeyPackage(reader.rest()),
            unknown => return Err(EnvelopeError::WireFormat(unknown)),
        };
        Ok(envelope)
    }
}

/// What is in an `MLSMessage` of a wire format, or all of it where there is no such envelope.
///
/// A bare structure could begin like an envelope: a GroupInfo of suite 4 or a KeyPackage of suite 5; but behind the envelope
/// stands the high byte of a version, which is 0, and there the length of a group's ID or of an init key, which is not. A
/// Welcome of suite 1 begins like one only without a reader.
pub(crate) fn bare(bytes: &[u8], wire_format: u16) -> Result<Reader<'_>, Broken> {
    let mut reader = Reader::new(bytes);
    let [high, low] = wire_format.to_be_bytes();
    let begins = bytes.starts_with(&[0, 1, high, low]);
    if begins && (wire_format == WELCOME || bytes.get(4) == Some(&0)) {
        reader.u32("the envelope is cut short")?;
    }
    Ok(reader)
}

fn read_public<'a>(reader: &mut Reader<'a>) -> Result<Public<'a>, Broken> {
    let group_id = reader.opaque("the group ID is cut short")?;
    let epoch = reader.u64("the epoch is cut short")?;
    let sender = read_sender(reader)?;
    let authenticated_data = reader.opaque("the authenticated data is cut short")?;
    let content_type = read_content_type(reader)?;
    if content_type == ContentType::Application {
        return Err(reader.broken("an application message is not sent in the open (RFC 9420 §6.2)"));
    }
    if reader.rest().is_empty() {
        return Err(reader.broken("the content is missing"));
    }
    Ok(Public { group_id, epoch, sender, authenticated_data, content_type, content: reader.rest() })
}

pub(crate) fn read_sender(reader: &mut Reader<'_>) -> Result<Sender, Broken> {
    let unknown = reader.broken("the sender type is not known");
    Ok(match reader.u8("the sender is missing")? {
        1 => Sender::Member(reader.u32("the sender's leaf is cut short")?),
        2 => Sender::External(reader.u32("the sender's index is cut short")?),
        3 => Sender::NewMemberProposal,
        4 => Sender::NewMemberCommit,
        _ => return Err(unknown),
    })
}

pub(crate) fn read_content_type(reader: &mut Reader<'_>) -> Result<ContentType, Broken> {
    let unknown = reader.broken("the content type is not known");
    Ok(match reader.u8("the content type is missing")? {
        1 => ContentType::Application,
        2 => ContentType::Proposal,
        3 => ContentType::Commit,
        _ => return Err(unknown),
    })
}

fn read_private<'a>(reader: &mut Reader<'a>) -> Result<Private<'a>, Broken> {
    let group_id = reader.opaque("the group ID is cut short")?;
    let epoch = reader.u64("the epoch is cut short")?;
    let content_type = read_content_type(reader)?;
    let authenticated_data = reader.opaque("the authenticated data is cut short")?;
    reader.opaque("the encrypted sender is cut short")?;
    reader.opaque("the ciphertext is cut short")?;
    reader.end()?;
    Ok(Private { group_id, epoch, content_type, authenticated_data })
}

fn read_group_info<'a>(reader: &mut Reader<'a>) -> Result<GroupInfo<'a>, EnvelopeError> {
    let version = reader.clone().u16("the group's version is cut short")?;
    if version != MLS_10 {
        return Err(EnvelopeError::Version(version));
    }
    let info = GroupInfo::read(reader)?;
    reader.end()?;
    Ok(info)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A GroupInfo of the group "g" at epoch 0, its hashes, tag and signature made up.
    fn group_info() -> Vec<u8> {
        let context = [0, 1, 0, 1, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 0, 2, 9, 9, 0, 0];
        let behind = [4, 0, 5, 1, 7, 1, 8, 0, 0, 0, 2, 1, 6];
        [&[0, 1, 0, 4][..], &context, &behind].concat()
    }

    #[test]
    fn a_group_info_is_read_whole_and_only_whole() {
        let bytes = group_info();
        let Ok(Envelope::GroupInfo(read)) = Envelope::read(&bytes) else { panic!("not taken") };
        assert_eq!((read.context.suite, read.context.group_id, read.context.epoch), (1, &b"g"[..], 0));
        assert_eq!((read.confirmation_tag, read.signer, read.signature), (&[8][..], 2, &[6][..]));
        let longer = [&bytes[..], &[0]].concat();
        let left_over = Broken { offset: bytes.len(), problem: "bytes are left over" };
        assert_eq!(Envelope::read(&longer), Err(EnvelopeError::Broken(left_over)));
        for length in 0..bytes.len() {
            let Err(EnvelopeError::Broken(broken)) = Envelope::read(&bytes[..length]) else {
                panic!("taken when cut to {length} bytes");
            };
            assert!(broken.offset <= length);
        }
    }

    #[test]
    fn what_the_rfc_does_not_have_is_refused() {
        assert_eq!(Envelope::read(&[0, 1, 0, 0]), Err(EnvelopeError::WireFormat(0)));
        assert_eq!(Envelope::read(&[0, 1, 0, 6]), Err(EnvelopeError::WireFormat(6)));
        let mut other_version = group_info();
        other_version[5] = 2;
        assert_eq!(Envelope::read(&other_version), Err(EnvelopeError::Version(2)));
        let application_in_the_open = [0, 1, 0, 1, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0];
        assert!(Envelope::read(&application_in_the_open).is_err());
        let sender_type_five = [0, 1, 0, 1, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 3, 0];
        assert!(Envelope::read(&sender_type_five).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Envelope::read(&bytes);
        }

        #[test]
        fn no_bytes_behind_a_version_are_too_strange(
            format in 0u8..7, bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let whole = [&[0, 1, 0, format], &bytes[..]].concat();
            if let Err(EnvelopeError::Broken(broken)) = Envelope::read(&whole) {
                prop_assert!(broken.offset <= whole.len());
            }
        }
    }
}
