//! Proposals that come by themselves: what they must be, and who may make them.

use maypole_mls::envelope::{ContentType, Envelope, Sender};
use maypole_mls::wire::{EXTERNAL_SENDERS, LeafNode, Proposal as Proposes};
use maypole_mls::{Delta, Refusal, UnixSeconds};

use super::agenda::{Cause, Does, Proposer, Waiting};
use super::amendment::Draft;
use super::case::LeafKey;
use super::commit::is_from;
use super::terms::{Judge, Terms};
use super::{Command, Group, is_no_larger};
use crate::ids::{ClientId, Epoch};
use crate::limits;
use crate::permit::{Intent, Proposed, Question};
use crate::rejection::{Part, Rejection, Unsupported};
use crate::time::Timestamp;

/// A proposal that may be accepted, as far as MLS goes.
#[derive(Debug)]
pub(super) struct Proposal {
    delta: Delta,
    waiting: Waiting,
    authenticated_data: Vec<u8>,
    keys: Vec<LeafKey>,
}

/// Where the rules of proposals stand.
const SECTION: &str = "protocol: proposals";

pub(super) fn judge(
    group: &Group,
    by: &ClientId,
    epoch: Epoch,
    message: &[u8],
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Proposal, Rejection> {
    let current = group.epoch_for(by);
    let refused = |refusal: Refusal| Rejection::of_mls(Part::Proposal, refusal, current);
    is_no_larger(Part::Proposal, message.len(), limits::PROPOSAL_BYTES)?;
    let envelope = Envelope::read(message).map_err(|error| refused(error.into()))?;
    let Envelope::Public(envelope) = envelope else {
        return Err(Rejection::Unsupported(Unsupported::PrivateHandshake));
    };
    if envelope.content_type != ContentType::Proposal {
        return Err(Rejection::terms(Part::Proposal, "NotProposal", SECTION, "it is no proposal"));
    }
    if current.is_none() && matches!(envelope.sender, Sender::Member(_)) {
        return Err(Rejection::NotJoined { users: vec![by.user.clone()] });
    }
    // Before anybody looks at leaves: in another epoch the place may be somebody else's.
    if epoch < group.epoch() {
        return Err(Rejection::StaleEpoch { current, reserved: None });
    }
    let proposer = proposer(group, by, envelope.sender, terms)?;
    if let (Proposer::Member(_), Some(freeze)) = (&proposer, group.agenda.frozen()) {
        return Err(Rejection::Frozen { reason: freeze.reason.clone() });
    }
    if matches!(proposer, Proposer::Member(_)) && group.agenda.is_leaving(by) {
        return Err(Rejection::Leaving);
    }
    if !group.agenda.has_room_for(by, message.len()) {
        return Err(Rejection::LimitExceeded { retry_after: limits::PROPOSAL_RETRY });
    }
    let judge = Judge { terms, begins: false };
    let delta = group.mls.validate(message, &judge, UnixSeconds(now.as_millis() / 1_000)).map_err(refused)?;
    let pending = delta.proposed().ok_or(Rejection::Unsupported(Unsupported::Proposal))?;
    let reference = pending.reference().to_vec();
    let proposes = pending.proposal(&judge);
    let proposes =
        proposes.map_err(|_| Rejection::Unsupported(Unsupported::ProposalType(pending.proposal_type())))?;
    let (does, keys) = does(group, by, envelope.sender, &proposes, terms)?;
    let waiting = Waiting {
        by: proposer,
        does,
        reference,
        message: message.to_vec(),
        delta: delta.to_bytes(),
        proposed_at: now,
    };
    only_removal(group, &waiting)?;
    Ok(Proposal { delta, waiting, authenticated_data: envelope.authenticated_data.to_vec(), keys })
}

/// Who proposes: a member by its own leaf, or somebody who asks to be added. The service's own proposals come from the
/// service.
fn proposer(group: &Group, by: &ClientId, sender: Sender, terms: &dyn Terms) -> Result<Proposer, Rejection> {
    match sender {
        Sender::NewMemberProposal => Ok(Proposer::Joiner(by.clone())),
        Sender::Member(leaf) => {
            if let Some(member) = group.mls.member(leaf) {
                is_from(by, member.identity().and_then(|identity| terms.client(identity)))?;
            }
            Ok(Proposer::Member(by.clone()))
        }
        Sender::External(_) | Sender::NewMemberCommit => {
            Err(Rejection::SenderMismatch { sender: by.to_string(), leaf: "nobody".to_owned() })
        }
    }
}

/// What a proposal does, if this device may propose it, and the keys that it brings.
fn does(
    group: &Group,
    by: &ClientId,
    sender: Sender,
    proposes: &Proposes<'_>,
    terms: &dyn Terms,
) -> Result<(Does, Vec<LeafKey>), Rejection> {
    let own = |client: &ClientId| {
        let rule = "a device proposes to add or remove only devices of its own user";
        if client.user == by.user { Ok(()) } else { Err(Rejection::forbidden(rule)) }
    };
    match (proposes, sender) {
        (Proposes::Update(new), Sender::Member(leaf)) => {
            let old = group.mls.member(leaf).map(|member| member.node.signature_key);
            let key = (old != Some(new.signature_key)).then(|| leaf_key(group, by.clone(), Some(leaf), new));
            Ok((Does::Updates, key.into_iter().collect()))
        }
        (Proposes::SelfRemove, Sender::Member(_)) => Ok((Does::Leaves(by.clone()), Vec::new())),
        (Proposes::Remove(leaf), Sender::Member(_)) => {
            let member = group.mls.member(*leaf);
            let client = named(member.and_then(|member| terms.client(member.identity()?)), Some(*leaf))?;
            own(&client)?;
            Ok((Does::Removes(client), Vec::new()))
        }
        (Proposes::Add(key_package), Sender::Member(_) | Sender::NewMemberProposal) => {
            let leaf = &key_package.leaf;
            let client = named(leaf.credential.identity().and_then(|identity| terms.client(identity)), None)?;
            own(&client)?;
            if sender == Sender::NewMemberProposal {
                is_from(by, Some(client.clone()))?;
            }
            let key = leaf_key(group, client.clone(), None, leaf);
            Ok((Does::Adds(client), vec![key]))
        }
        (Proposes::GroupContextExtensions(new), Sender::Member(_)) => {
            if new.find(EXTERNAL_SENDERS) != group.mls.extensions().find(EXTERNAL_SENDERS) {
                let rule = "a group's external_senders stay as they were registered";
                return Err(Rejection::forbidden(rule));
            }
            Ok((Does::Extends, Vec::new()))
        }
        (other, _) => Err(Rejection::Unsupported(Unsupported::ProposalType(other.kind()))),
    }
}

fn named(client: Option<ClientId>, leaf: Option<u32>) -> Result<ClientId, Rejection> {
    let (identity, problem) = ("nobody".to_owned(), "does not name a device");
    client.ok_or(Rejection::Identity { leaf, identity, problem })
}

fn leaf_key(group: &Group, client: ClientId, leaf: Option<u32>, node: &LeafNode<'_>) -> LeafKey {
    LeafKey { leaf, client, suite: group.mls.suite(), key: node.signature_key.to_vec() }
}

/// A leaf has one removal at a time: two in one commit make it invalid, and some libraries fail on it.
fn only_removal(group: &Group, waiting: &Waiting) -> Result<(), Rejection> {
    let Some(client) = waiting.removes() else { return Ok(()) };
    if group.agenda.is_leaving(client) || group.agenda.removed_clients().contains(client) {
        let problem = format!("the leaf of {client} is to be removed already");
        return Err(Rejection::terms(Part::Proposal, "RemovalPending", SECTION, problem));
    }
    // A leaf that asks to go must go; there must be room to remember that.
    if matches!(waiting.does, Does::Leaves(_)) && group.agenda.leaving.len() >= limits::LEAVING {
        return Err(Rejection::LimitExceeded { retry_after: limits::PROPOSAL_RETRY });
    }
    Ok(())
}

impl Waiting {
    /// What the place of the group is asked about it.
    pub(super) fn proposed(&self) -> Option<Proposed> {
        let device = match &self.does {
            Does::Adds(client) | Does::Removes(client) | Does::Leaves(client) => Some(client.device.clone()),
            Does::Updates | Does::Extends => None,
        };
        Some(Proposed { by: self.sender()?.clone(), device, extends: self.does == Does::Extends })
    }
}

impl Proposal {
    pub(super) fn keys(&self) -> &[LeafKey] {
        &self.keys
    }

    pub(super) fn question(&self, command: &Command) -> Question {
        let by = || Proposed { by: command.by.clone(), device: None, extends: false };
        Question {
            caller: command.by.clone(),
            authenticated_data: self.authenticated_data.clone(),
            intent: Intent::Propose(self.waiting.proposed().unwrap_or_else(by)),
        }
    }

    /// It is accepted: it waits for the next commit, and a leaf that asks to go must go.
    pub(super) fn accept(self, group: &Group, terms: &dyn Terms, now: Timestamp) -> Option<Draft> {
        let mut agenda = group.agenda.clone();
        if let Does::Leaves(client) = &self.waiting.does {
            agenda.announce(std::slice::from_ref(client), Cause::SelfRemove, now);
        }
        agenda.proposals.push(self.waiting);
        Draft::of(group, agenda, vec![self.delta], terms, now)
    }
}
