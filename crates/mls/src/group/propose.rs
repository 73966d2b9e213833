//! Proposals that arrive by themselves (RFC 9420 §12.1, §12.1.8).

use super::{Delta, Group, Pending, path::Fresh};
use crate::{
    envelope::Sender,
    policy::Policy,
    refusal::{Place, Refusal, Rule},
    rules::{Demands, ProposalContext, leaf_content},
    tree::Moves,
    wire::{
        ADD, AppDataUpdate, AppEphemeral, Content, LeafNode, Proposal, PublicMessage, SELF_REMOVE, UPDATE,
    },
    writer::VECTOR_BYTES,
};

impl Group {
    pub(super) fn validate_proposal(
        &self,
        message: &PublicMessage<'_>,
        demands: &Demands<'_>,
    ) -> Result<Delta, Refusal> {
        let Content::Proposal(proposal) = &message.content else { return Err(Rule::NotHandshake.whole()) };
        check_sender_may(proposal, message.sender, demands.policy)?;
        let pending = Pending::read(message.authenticated, self.suite)?;
        self.check_room_for(&pending, demands.policy)?;

        let context = ProposalContext { tree: &self.tree, epoch: self.epoch, demands };
        if !context.is_supported(proposal.kind(), &Moves::default()) {
            return Err(Rule::ProposalUnsupported.at(Place::Type(proposal.kind())));
        }
        context.check(proposal, message.sender, Place::Whole)?;
        self.check_alone(proposal, message.sender, demands)?;

        self.verify_framing(message, self.signature_key_of(message, proposal)?)?;
        // What waits is read again for this, which strangers cannot have done.
        self.check_beside_waiting(proposal, message.sender, demands)?;
        match (proposal, message.sender) {
            (Proposal::Add(key_package), _) => demands.verify_key_package(key_package, Place::Whole)?,
            (Proposal::Update(leaf), Sender::Member(index)) => {
                let content = leaf_content(leaf, self.group_id(), index);
                if !self.suite.verifies(leaf.signature_key, &content, leaf.signature) {
                    return Err(Rule::LeafSignature.whole());
                }
            }
            _ => {}
        }
        Ok(Delta::of_proposal(self, pending))
    }

    /// Judges a proposal against the group as it is: the leaf of an Update against the members there are (§7.3). An Add of
    /// somebody who is a member may wait for that one's removal.
    fn check_alone(
        &self,
        proposal: &Proposal<'_>,
        sender: Sender,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        match (proposal, sender) {
            (Proposal::Update(leaf), Sender::Member(index)) => {
                Fresh::default().check_leaf(&self.tree.draft(), leaf, Some(index), Place::Whole, demands)?;
                let mut moves = Moves::default();
                self.tree.leaf(index).into_iter().for_each(|old| moves.replaces(&old, leaf));
                match self.tree.census().unsupported_credential(&moves) {
                    Some(kind) => Err(Rule::CredentialUnsupported.at(Place::Type(kind))),
                    None => Ok(()),
                }
            }
            (Proposal::AppDataUpdate(update), _) => self.check_app_data(update),
            (Proposal::GroupContextExtensions(list), _) if self.replaces_app_data(*list)? => {
                Err(Rule::AppDataReplaced.whole())
            }
            (Proposal::SelfRemove, _) => {
                let again =
                    |pending: &Pending| pending.proposal_type() == SELF_REMOVE && pending.sender() == sender;
                if self.pending.iter().any(again) { Err(Rule::SelfRemoveTwice.whole()) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Judges a proposal beside those that wait, where each commit that has both would be wrong.
    fn check_beside_waiting(
        &self,
        proposal: &Proposal<'_>,
        sender: Sender,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        match (proposal, sender) {
            (Proposal::Add(new), _) => self.check_brought(&Brought::by_add(&new.leaf), None, demands),
            (Proposal::Update(new), Sender::Member(leaf)) => {
                let brought = Brought::by_update(self.tree.leaf(leaf).as_ref(), new);
                self.check_brought(&brought, Some(leaf), demands)
            }
            (Proposal::AppDataUpdate(_) | Proposal::GroupContextExtensions(_), _) => {
                self.check_app_data_beside_waiting(proposal, demands.policy)
            }
            _ => Ok(()),
        }
    }

    /// Judges what is brought against what Adds and Updates bring that wait, but for the same member's Updates: of those a
    /// commit has only one.
    fn check_brought(
        &self,
        new: &Brought<'_>,
        own: Option<u32>,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        let bring = |pending: &&Pending| [ADD, UPDATE].contains(&pending.proposal_type());
        for pending in self.pending.iter().filter(bring) {
            match (pending.proposal(demands.policy)?, pending.sender()) {
                (Proposal::Add(waits), _) => new.check_apart(&Brought::by_add(&waits.leaf), demands)?,
                (Proposal::Update(waits), Sender::Member(leaf)) if own != Some(leaf) => {
                    new.check_apart(&Brought::by_update(self.tree.leaf(leaf).as_ref(), &waits), demands)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the same proposal waits already, or too many do.
    fn check_room_for(&self, new: &Pending, policy: &dyn Policy) -> Result<(), Refusal> {
        let bounds = policy.bounds();
        if new.authenticated().len() > bounds.proposal_bytes {
            return Err(Rule::TooLarge.whole());
        }
        if self.pending.iter().any(|pending| pending.reference() == new.reference()) {
            return Err(Rule::ProposalRepeated.whole());
        }
        let of_sender = self.pending.iter().filter(|pending| pending.sender() == new.sender()).count();
        let bytes = |pending: &Pending| pending.authenticated().len();
        let bytes = self.pending.iter().map(bytes).sum::<usize>() + bytes(new);
        let full = self.pending.len() >= bounds.pending || bytes > bounds.pending_bytes.min(VECTOR_BYTES / 2);
        if full || of_sender >= bounds.pending_of_sender {
            return Err(Rule::TooManyPending.whole());
        }
        Ok(())
    }

    /// The key that a proposal's signature must verify with (§6.1).
    fn signature_key_of<'a>(
        &'a self,
        message: &PublicMessage<'_>,
        proposal: &'a Proposal<'_>,
    ) -> Result<&'a [u8], Refusal> {
        match (message.sender, proposal) {
            (Sender::Member(leaf), _) => {
                let member = self.tree.leaf(leaf).ok_or(Rule::SenderBlank.at(Place::Leaf(leaf)))?;
                Ok(member.signature_key)
            }
            (Sender::External(place), _) => {
                let senders = self.extensions().external_senders()?;
                let sender = usize::try_from(place).ok().and_then(|place| senders.get(place).copied());
                Ok(sender.ok_or(Rule::SenderUnknown.whole())?.signature_key)
            }
            (Sender::NewMemberProposal, Proposal::Add(key_package)) => Ok(key_package.leaf.signature_key),
            _ => Err(Rule::SenderKind.whole()),
        }
    }
}

/// What a leaf brings into a group that was not there: of an Update, what its member has not had before.
struct Brought<'a> {
    encryption_key: &'a [u8],
    signature_key: Option<&'a [u8]>,
    credential: Option<&'a [u8]>,
}

impl<'a> Brought<'a> {
    fn by_add(leaf: &LeafNode<'a>) -> Self {
        Self::by_update(None, leaf)
    }

    fn by_update(old: Option<&LeafNode<'_>>, new: &LeafNode<'a>) -> Self {
        Self {
            encryption_key: new.encryption_key,
            signature_key: Some(new.signature_key)
                .filter(|key| old.is_none_or(|old| old.signature_key != *key)),
            credential: Some(new.credential.raw)
                .filter(|credential| old.is_none_or(|old| old.credential.raw != *credential)),
        }
    }

    /// Judges that this and another could come into one group together.
    fn check_apart(&self, other: &Self, demands: &Demands<'_>) -> Result<(), Refusal> {
        let same = |one: Option<&[u8]>, other| one.is_some_and(|one| Some(one) == other);
        if same(self.signature_key, other.signature_key) {
            return Err(Rule::SignatureKeyTwice.whole());
        }
        if self.encryption_key == other.encryption_key {
            return Err(Rule::EncryptionKeyTwice.whole());
        }
        let crossed = same(self.signature_key, Some(other.encryption_key))
            || same(other.signature_key, Some(self.encryption_key));
        if crossed {
            return Err(Rule::KeyOfBothKinds.whole());
        }
        if same(self.credential, other.credential) && !demands.policy.may_share_identity() {
            return Err(Rule::IdentityTwice.whole());
        }
        Ok(())
    }
}

/// Whether this kind of sender may send this proposal by itself (§12.1.8).
fn check_sender_may(proposal: &Proposal<'_>, sender: Sender, policy: &dyn Policy) -> Result<(), Refusal> {
    use Proposal as P;
    let allowed = match (sender, proposal) {
        (_, P::ExternalInit(_)) => return Err(Rule::ProposalMisplaced.whole()),
        (Sender::Member(_), _) | (Sender::NewMemberProposal, P::Add(_)) => true,
        (
            Sender::External(_),
            P::Add(_) | P::Remove(_) | P::PreSharedKey(_) | P::ReInit(_) | P::GroupContextExtensions(_),
        ) => true,
        // Whether the component is known is judged later.
        (
            Sender::External(_),
            P::AppDataUpdate(AppDataUpdate { component, .. })
            | P::AppEphemeral(AppEphemeral { component, .. }),
        ) => policy.component(*component).is_none_or(|known| known.external()),
        (Sender::External(_), P::Other { kind, .. }) => {
            policy.declared(*kind).is_some_and(|declared| declared.external)
        }
        _ => false,
    };
    if allowed { Ok(()) } else { Err(Rule::SenderKind.whole()) }
}
