//! A `PublicMessage` (RFC 9420 §6.2), whole.

use super::{
    Commit, Proposal,
    proposal::{Body, Unreadable},
};
use crate::{
    envelope::{ContentType, Sender, read_content_type, read_sender},
    reader::Reader,
};

/// A proposal or commit in the open, with the spans over which it is signed and hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicMessage<'a> {
    /// The group.
    pub group_id: &'a [u8],
    /// The epoch that it was made in.
    pub epoch: u64,
    /// Who sent it, by their own word.
    pub sender: Sender,
    /// Data that is signed beside the content.
    pub authenticated_data: &'a [u8],
    /// What it says.
    pub content: Content<'a>,
    /// The `FramedContent`.
    pub framed: &'a [u8],
    /// The `FramedContent` and the signature, as the confirmed transcript hash takes them.
    pub confirmed: &'a [u8],
    /// The `FramedContent` and the `FramedContentAuthData`, as a proposal's reference takes them.
    pub authenticated: &'a [u8],
    /// The sender's signature.
    pub signature: &'a [u8],
    /// A commit's tag, which only members can check.
    pub confirmation_tag: &'a [u8],
    /// A member's tag, which only members can check.
    pub membership_tag: &'a [u8],
}

/// What a `PublicMessage` says. Application messages are never public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A proposal.
    Proposal(Proposal<'a>),
    /// A commit.
    Commit(Commit<'a>),
}

impl<'a> PublicMessage<'a> {
    /// Reads what follows the wire format, to the end; `declared` as in [`Proposal::read`].
    pub fn read(reader: &mut Reader<'a>, declared: &dyn Fn(u16) -> Option<Body>) -> Result<Self, Unreadable> {
        let mut message = Self::read_authenticated(reader, declared)?;
        if let Sender::Member(_) = message.sender {
            message.membership_tag = reader.opaque("the membership tag is cut short")?;
        }
        reader.end()?;
        Ok(message)
    }

    /// Reads a `FramedContent` with its `FramedContentAuthData`, as it is in an `AuthenticatedContent`.
    pub(crate) fn read_authenticated(
        reader: &mut Reader<'a>,
        declared: &dyn Fn(u16) -> Option<Body>,
    ) -> Result<Self, Unreadable> {
        let start = reader.clone();
        let group_id = reader.opaque("the group ID is cut short")?;
        let epoch = reader.u64("the epoch is cut short")?;
        let sender = read_sender(reader)?;
        let authenticated_data = reader.opaque("the authenticated data is cut short")?;
        let content = match read_content_type(reader)? {
            ContentType::Proposal => Content::Proposal(Proposal::read(reader, declared)?),
            ContentType::Commit => Content::Commit(Commit::read(reader, declared)?),
            ContentType::Application => {
                return Err(reader
                    .broken("an application message is not sent in the open (RFC 9420 §6.2)")
                    .into());
            }
        };
        let framed = reader.since(&start);
        let signature = reader.opaque("the signature is cut short")?;
        let confirmed = reader.since(&start);
        let confirmation_tag = match content {
            Content::Commit(_) => reader.opaque("the confirmation tag is cut short")?,
            Content::Proposal(_) => &[],
        };
        Ok(Self {
            group_id,
            epoch,
            sender,
            authenticated_data,
            content,
            framed,
            confirmed,
            authenticated: reader.since(&start),
            signature,
            confirmation_tag,
            membership_tag: &[],
        })
    }
}
