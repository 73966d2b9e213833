//! A Remove proposal by the service as one of the group's external senders (RFC 9420 §12.1.8).

use crate::{
    envelope::{MLS_10, PUBLIC_MESSAGE},
    group::Group,
    refusal::{Place, Refusal, Rule},
    suite::sign_content,
    writer::Write as _,
};

/// A proposal to which only the signature is missing. The key stays with the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedProposal {
    message: Vec<u8>,
    content: Vec<u8>,
}

/// Proposes to remove a leaf, in the group's epoch, as the external sender at `place` in the group's list.
///
/// ```
/// use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
/// use maypole_mls::{Group, Strict, UnixSeconds, service::propose_remove};
/// use maypole_testkit::mls::{ExternalSender, Member};
///
/// let key = Ed25519KeyPair::generate()?;
/// let signature_key = key.public_key().as_ref().to_vec();
/// let service = ExternalSender { identity: "@:a.org".to_owned(), signature_key };
/// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
/// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
/// alice.create_group(b"!room:a.org", &[service])?;
/// let group = Group::import(&alice.group_info(true)?, None, &Strict, now)?;
///
/// let unsigned = propose_remove(&group, 0, 0)?;
/// let signature = key.sign(unsigned.content());
/// let proposal = unsigned.signed(signature.as_ref());
/// assert!(group.validate(&proposal, &Strict, now)?.proposed().is_some());
/// # anyhow::Ok(())
/// ```
///
/// # Errors
/// When there is nobody at the leaf, or no such external sender.
pub fn propose_remove(group: &Group, place: u32, leaf: u32) -> Result<UnsignedProposal, Refusal> {
    if group.member(leaf).is_none() {
        return Err(Rule::RemoveBlank.at(Place::Leaf(leaf)));
    }
    if group.extensions().external_senders()?.len() <= place as usize {
        return Err(Rule::SenderUnknown.whole());
    }
    let mut message = Vec::new();
    // MLSMessage: version, wire format, and the FramedContent of a PublicMessage.
    message.put_u16(MLS_10);
    message.put_u16(PUBLIC_MESSAGE);
    message.put_opaque(group.group_id());
    message.put_u64(group.epoch());
    // The external sender, no authenticated data, a proposal, a Remove.
    message.put_u8(2);
    message.put_u32(place);
    message.put_opaque(&[]);
    message.put_u8(2);
    message.put_u16(3);
    message.put_u32(leaf);
    let content = sign_content("FramedContentTBS", &[&message]);
    Ok(UnsignedProposal { message, content })
}

impl UnsignedProposal {
    /// What is to be signed with the external sender's key.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The proposal as an `MLSMessage`.
    pub fn signed(mut self, signature: &[u8]) -> Vec<u8> {
        self.message.put_opaque(signature);
        self.message
    }
}
