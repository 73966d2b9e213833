//! `PublicMessage` (§6.2): who says something, signed, with tags that nobody outside the group can check.

use anyhow::{Context as _, Result};

use super::Forge;
use super::keys::{Seal, SigningKey};
use super::proposals::{Proposal, Sender};
use super::wire::Wire;

/// A tag that only members can check, so that any bytes will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tag {
    /// There if it should be there.
    #[default]
    Due,
    /// Not there, not even its length.
    Absent,
    /// There, whether it should be or not.
    Bytes(Vec<u8>),
}

/// What to write around the content of a message; what is not said is honest.
#[derive(Debug, Clone)]
pub struct Framing {
    /// Who says that it sends.
    pub sender: Sender,
    /// The group.
    pub group_id: Option<Vec<u8>>,
    /// The epoch.
    pub epoch: Option<u64>,
    /// What the application adds.
    pub authenticated_data: Vec<u8>,
    /// The number of the content's type; 2 is a proposal, 3 a commit.
    pub content_type: Option<u8>,
    /// Protocol version of the message.
    pub version: u16,
    /// Wire format of the message; 1 is `PublicMessage`.
    pub wire_format: u16,
    /// Who signs, whoever sends.
    pub signer: Option<SigningKey>,
    /// What becomes of the signature.
    pub signature: Seal,
    /// The confirmation tag.
    pub confirmation_tag: Tag,
    /// The membership tag.
    pub membership_tag: Tag,
    /// Bytes after the end.
    pub trailing: Vec<u8>,
}

impl Framing {
    /// Honest framing by a sender.
    pub fn by(sender: Sender) -> Self {
        Self {
            sender,
            group_id: None,
            epoch: None,
            authenticated_data: Vec::new(),
            content_type: None,
            version: 1,
            wire_format: 1,
            signer: None,
            signature: Seal::Honest,
            confirmation_tag: Tag::Due,
            membership_tag: Tag::Due,
            trailing: Vec::new(),
        }
    }
}

/// A message, and what others need of it.
pub(super) struct Framed {
    /// `MLSMessage`.
    pub(super) message: Vec<u8>,
    /// `AuthenticatedContent`, what a reference is the hash of.
    pub(super) authenticated: Vec<u8>,
    /// What goes into the confirmed transcript hash.
    pub(super) confirmed: Vec<u8>,
    /// The confirmation tag, empty if there is none.
    pub(super) confirmation_tag: Vec<u8>,
}

/// What to write in a message that proposes something.
#[derive(Debug, Clone)]
pub struct ProposalDraft {
    /// Around it.
    pub framing: Framing,
    /// What is proposed.
    pub proposal: Proposal,
}

/// A message that proposes something.
#[derive(Debug, Clone)]
pub struct ProposalMessage {
    /// The bytes of the `MLSMessage`.
    pub message: Vec<u8>,
    /// Its `ProposalRef`.
    pub reference: Vec<u8>,
    /// Who proposed.
    pub sender: Sender,
    /// What was proposed.
    pub proposal: Proposal,
}

impl Forge {
    fn tag(&self, tag: &Tag, due: bool) -> Option<Vec<u8>> {
        match tag {
            Tag::Due => due.then(|| self.dice.bytes(self.suite.hash_length())),
            Tag::Absent => None,
            Tag::Bytes(bytes) => Some(bytes.clone()),
        }
    }

    /// Frames content of a type, signed by `honest` unless the framing says otherwise.
    pub(super) fn frame(
        &self,
        framing: &Framing,
        content_type: u8,
        content: &[u8],
        honest: &SigningKey,
    ) -> Result<Framed> {
        let is_commit = content_type == 3;
        let group = framing.group_id.as_ref().unwrap_or(&self.state.group_id);
        let wire = Wire::new().vector(group).u64(framing.epoch.unwrap_or(self.state.epoch));
        let wire = framing.sender.write(wire).vector(&framing.authenticated_data);
        let content = wire.u8(framing.content_type.unwrap_or(content_type)).raw(content).done();
        let signed = Wire::new().u16(framing.version).u16(framing.wire_format).raw(&content);
        let signed = if framing.sender.knows_the_group() {
            signed.raw(&self.state.context(self.suite))
        } else {
            signed
        };
        let signer = framing.signer.as_ref().unwrap_or(honest);
        let signature = framing.signature.over(signer.sign("FramedContentTBS", &signed.done())?);
        let confirmed = Wire::new().u16(framing.wire_format).raw(&content).vector(&signature).done();
        let confirmation_tag = self.tag(&framing.confirmation_tag, is_commit);
        let membership_tag = self.tag(&framing.membership_tag, matches!(framing.sender, Sender::Member(_)));
        let put = |wire: Wire, tag: &Option<Vec<u8>>| match tag {
            Some(tag) => wire.vector(tag),
            None => wire,
        };
        let authenticated = put(Wire::new().raw(&confirmed), &confirmation_tag).done();
        let message = Wire::new().u16(framing.version).raw(&authenticated);
        let message = put(message, &membership_tag).raw(&framing.trailing).done();
        let confirmation_tag = confirmation_tag.unwrap_or_default();
        Ok(Framed { message, authenticated, confirmed, confirmation_tag })
    }

    /// The key that a sender of a proposal honestly signs with.
    fn key_of_sender(&self, sender: Sender, proposal: &Proposal) -> Result<SigningKey> {
        match (sender, proposal) {
            (Sender::External(place), _) => self.external_key(place).cloned(),
            (_, Proposal::Add(key_package)) if !matches!(sender, Sender::Member(_)) => {
                Ok(key_package.leaf.key.clone())
            }
            (Sender::Member(leaf), _) => self.key_of(leaf).cloned(),
            _ => Err(anyhow::anyhow!("nobody's key is due here: name a signer")),
        }
    }

    /// Makes a message that proposes something. It changes nothing here: a commit that refers to it does.
    pub fn proposal(&self, draft: &ProposalDraft) -> Result<ProposalMessage> {
        let sender = draft.framing.sender;
        let signer = match &draft.framing.signer {
            Some(signer) => signer.clone(),
            None => self.key_of_sender(sender, &draft.proposal).context("the sender's key")?,
        };
        let framed = self.frame(&draft.framing, 2, &draft.proposal.to_bytes(), &signer)?;
        Ok(ProposalMessage {
            message: framed.message,
            reference: self.suite.reference("MLS 1.0 Proposal Reference", &framed.authenticated),
            sender,
            proposal: draft.proposal.clone(),
        })
    }

    /// An honest proposal by a sender.
    pub fn propose(&self, sender: Sender, proposal: Proposal) -> Result<ProposalMessage> {
        self.proposal(&ProposalDraft { framing: Framing::by(sender), proposal })
    }

    /// The envelope of a `PrivateMessage` (§6.3) of this epoch: 1 application, 2 proposal, 3 commit; what is sealed in it
    /// is noise.
    pub fn private_message(&self, content_type: u8, authenticated_data: &[u8], sealed: usize) -> Vec<u8> {
        let wire = Wire::new().u16(1).u16(2).vector(&self.state.group_id).u64(self.state.epoch);
        let wire = wire.u8(content_type).vector(authenticated_data).vector(&self.dice.bytes(28));
        wire.vector(&self.dice.bytes(sealed)).done()
    }
}
