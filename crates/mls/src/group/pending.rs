//! Proposals that were sent by themselves and wait for a commit to refer to them (RFC 9420 §12.1).

use crate::{
    envelope::{PUBLIC_MESSAGE, Sender, read_content_type, read_sender},
    policy::Policy,
    reader::{Broken, Reader},
    suite::{Hash, Suite},
    wire::{Content, Proposal, PublicMessage, Unreadable},
    writer::Write as _,
};

/// A proposal of this epoch, found valid when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    reference: Hash,
    sender: Sender,
    kind: u16,
    /// The `FramedContent` and its signature.
    authenticated: Box<[u8]>,
}

impl Pending {
    /// Reads what is needed to keep one, out of its `FramedContent` and signature.
    pub(super) fn read(authenticated: &[u8], suite: Suite) -> Result<Self, Broken> {
        let mut reader = Reader::new(authenticated);
        reader.opaque("the group ID is cut short")?;
        reader.u64("the epoch is cut short")?;
        let sender = read_sender(&mut reader)?;
        reader.opaque("the authenticated data is cut short")?;
        read_content_type(&mut reader)?;
        let kind = reader.u16("the proposal's type is cut short")?;
        let mut content = Vec::with_capacity(authenticated.len() + 2);
        content.put_u16(PUBLIC_MESSAGE);
        content.put(authenticated);
        let reference = suite.reference("MLS 1.0 Proposal Reference", &content);
        Ok(Self { reference, sender, kind, authenticated: authenticated.into() })
    }

    /// Its `ProposalRef` (§5.2).
    pub fn reference(&self) -> &[u8] {
        self.reference.as_ref()
    }

    /// Who sent it.
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// The type of proposal.
    pub fn proposal_type(&self) -> u16 {
        self.kind
    }

    /// Its `FramedContent` and `FramedContentAuthData`, as it came.
    pub fn authenticated(&self) -> &[u8] {
        &self.authenticated
    }

    /// The leaf that it changes or removes, if it does.
    pub(super) fn leaf(&self, policy: &dyn Policy) -> Result<Option<u32>, Unreadable> {
        Ok(match (self.proposal(policy)?, self.sender) {
            (Proposal::Remove(leaf), _) => Some(leaf),
            (Proposal::Update(_) | Proposal::SelfRemove, Sender::Member(leaf)) => Some(leaf),
            _ => None,
        })
    }

    /// What it proposes, as long as the policy still declares its type.
    ///
    /// ```
    /// use maypole_mls::{Group, Strict, UnixSeconds, wire::Proposal};
    /// use maypole_testkit::mls::Member;
    ///
    /// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let mut group = Group::import(&alice.group_info(true)?, None, &Strict, now)?;
    /// group.apply(group.validate(&alice.propose_update()?, &Strict, now)?).unwrap();
    /// let [pending] = group.pending() else { panic!("one proposal waits") };
    /// assert!(matches!(pending.proposal(&Strict), Ok(Proposal::Update(_))));
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// When it does not.
    pub fn proposal(&self, policy: &dyn Policy) -> Result<Proposal<'_>, Unreadable> {
        let declared = |kind| policy.declared(kind).map(|declared| declared.body);
        let mut reader = Reader::new(&self.authenticated);
        let end = reader.clone();
        match PublicMessage::read_authenticated(&mut reader, &declared)?.content {
            Content::Proposal(proposal) => Ok(proposal),
            Content::Commit(_) => Err(end.broken("a commit is kept as a proposal").into()),
        }
    }
}
