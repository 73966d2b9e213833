//! A group changes: what a commit must be, whom it concerns, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use maypole_mls::envelope::{Envelope, Sender};
use maypole_mls::reader::Reader;
use maypole_mls::service::Welcome;
use maypole_mls::wire::{EXTERNAL_SENDERS, GroupContext, GroupInfo, LeafNode, RATCHET_TREE};
use maypole_mls::{Committed, Delta, Refusal, UnixSeconds};

use super::case::LeafKey;
use super::decision::{Added, Decision, Effect};
use super::records::{Entry, Head, Snapshot};
use super::terms::{Judge, Terms};
use super::{Command, Group, is_no_larger};
use crate::ids::{ClientId, DeviceId, Epoch, UserId};
use crate::limits;
use crate::permit::{Intent, Permit, Question, UserChange};
use crate::receipt::Receipt;
use crate::rejection::{Part, Rejection, Unsupported};
use crate::time::Timestamp;

/// What a commit brings.
pub(super) struct Parts<'a> {
    pub(super) message: &'a [u8],
    pub(super) welcome: Option<&'a [u8]>,
    pub(super) group_info: Option<&'a [u8]>,
}

/// A commit that may be accepted, as far as MLS goes.
#[derive(Debug)]
pub(super) struct Commit {
    epoch: Epoch,
    delta: Delta,
    authenticated_data: Vec<u8>,
    external_pub: Vec<u8>,
    added: Vec<Added>,
    joined: Vec<ClientId>,
    left: Vec<ClientId>,
    users: Vec<UserChange>,
    external: bool,
    extends: bool,
    keys: Vec<LeafKey>,
    members_before: Vec<ClientId>,
}

pub(super) fn judge(
    group: &Group,
    by: &ClientId,
    epoch: Epoch,
    parts: &Parts<'_>,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Commit, Rejection> {
    let current = group.epoch_for(by);
    let refused = |part| move |refusal: Refusal| Rejection::of_mls(part, refusal, current);
    parts.are_no_larger_than_bounds()?;
    let envelope = Envelope::read(parts.message).map_err(|error| refused(Part::Commit)(error.into()))?;
    let Envelope::Public(envelope) = envelope else {
        return Err(Rejection::Unsupported(Unsupported::PrivateHandshake));
    };
    if current.is_none() && !matches!(envelope.sender, Sender::NewMemberCommit) {
        return Err(Rejection::NotJoined { users: vec![by.user.clone()] });
    }
    if epoch < group.epoch() {
        return Err(Rejection::StaleEpoch { current });
    }
    let client = |node: &[u8]| {
        LeafNode::from_bytes(node).ok().and_then(|node| terms.client(node.credential.identity()?))
    };
    if let Sender::Member(leaf) = envelope.sender
        && let Some(member) = group.mls.member(leaf)
    {
        is_from(by, client(member.node.raw))?;
    }
    let judge = Judge { terms, begins: false };
    let delta = group
        .mls
        .validate(parts.message, &judge, UnixSeconds(now.as_millis() / 1_000))
        .map_err(refused(Part::Commit))?;
    let committed = delta.committed().ok_or(Rejection::Unsupported(Unsupported::Proposal))?;
    let joined = clients(committed.joined.iter().map(|joined| (joined.leaf, client(&joined.node))))?;
    let left = clients(committed.left.iter().map(|left| (left.leaf, client(&left.node))))?;
    if committed.external {
        let joiner = committed.joined.iter().find(|joined| joined.leaf == committed.committer);
        is_from(by, joiner.and_then(|joined| client(&joined.node)))?;
    }
    check_extensions(group, &delta, committed)?;
    check_welcome(group, parts.welcome, committed)?;
    let missing = "it is missing: send that of the epoch that the commit makes";
    let group_info =
        parts.group_info.ok_or(Rejection::terms(Part::GroupInfo, "Missing", "protocol: commits", missing))?;
    group.mls.check_group_info_after(&delta, group_info).map_err(refused(Part::GroupInfo))?;
    let info = GroupInfo::from_bytes(group_info);
    if info.is_ok_and(|info| info.extensions.find(RATCHET_TREE).is_some()) {
        let problem =
            "it must have no tree: nobody checks one there, and who joins might take it for the group's";
        return Err(Rejection::terms(Part::GroupInfo, "RatchetTree", "protocol: commits", problem));
    }
    let external_pub = info.ok().and_then(|info| info.external_pub()).unwrap_or_default().to_vec();
    let epoch = Epoch::new(committed.epoch).ok_or(Rejection::Unsupported(Unsupported::Epoch))?;
    let added = committed.joined.iter().zip(&joined).filter_map(|(leaf, client)| {
        Some(Added { client: client.clone(), key_package: leaf.key_package.as_ref()?.as_ref().to_vec() })
    });
    Ok(Commit {
        epoch,
        authenticated_data: envelope.authenticated_data.to_vec(),
        external_pub,
        added: added.collect(),
        users: changes(group, &joined, &left),
        external: committed.external,
        extends: committed.extends,
        keys: new_keys(group, committed, terms),
        members_before: group.members(terms).map(|(_, client)| client).collect(),
        joined,
        left,
        delta,
    })
}

impl Parts<'_> {
    fn are_no_larger_than_bounds(&self) -> Result<(), Rejection> {
        is_no_larger(Part::Commit, self.message.len(), limits::COMMIT_BYTES)?;
        is_no_larger(Part::Welcome, self.welcome.map_or(0, <[u8]>::len), limits::WELCOME_BYTES)?;
        is_no_larger(Part::GroupInfo, self.group_info.map_or(0, <[u8]>::len), limits::GROUP_INFO_BYTES)
    }
}

/// Whether a message is from the device whose leaf it uses.
fn is_from(by: &ClientId, leaf: Option<ClientId>) -> Result<(), Rejection> {
    match leaf {
        Some(leaf) if leaf == *by => Ok(()),
        leaf => Err(Rejection::SenderMismatch {
            sender: by.to_string(),
            leaf: leaf.map_or_else(|| "nobody".to_owned(), |leaf| leaf.to_string()),
        }),
    }
}

fn clients(found: impl Iterator<Item = (u32, Option<ClientId>)>) -> Result<Vec<ClientId>, Rejection> {
    let named = |(leaf, client): (u32, Option<ClientId>)| {
        let (identity, problem) = ("nobody".to_owned(), "does not name a device");
        client.ok_or(Rejection::Identity { leaf: Some(leaf), identity, problem })
    };
    found.map(named).collect()
}

/// The service stays an external sender as it was registered: without it nobody who left could be removed.
fn check_extensions(group: &Group, delta: &Delta, committed: &Committed) -> Result<(), Rejection> {
    let context = delta.context().and_then(|context| GroupContext::read(&mut Reader::new(context)).ok());
    let senders = context.and_then(|context| context.extensions.find(EXTERNAL_SENDERS));
    if committed.extends && senders != group.mls.extensions().find(EXTERNAL_SENDERS) {
        return Err(Rejection::forbidden("a group's external_senders stay as they were registered"));
    }
    Ok(())
}

/// A Welcome is there exactly when somebody is added, and for exactly those.
fn check_welcome(group: &Group, welcome: Option<&[u8]>, committed: &Committed) -> Result<(), Rejection> {
    const SECTION: &str = "RFC 9420 §12.4.3.1";
    let adds = committed.joined.iter().any(|joined| joined.key_package.is_some());
    match welcome {
        None if adds => Err(Rejection::terms(
            Part::Welcome,
            "Missing",
            SECTION,
            "it is missing, and the commit adds somebody",
        )),
        Some(_) if !adds => {
            Err(Rejection::terms(Part::Welcome, "Unneeded", SECTION, "the commit adds nobody"))
        }
        None => Ok(()),
        Some(bytes) => {
            let welcome =
                Welcome::read(bytes).map_err(|broken| Rejection::malformed(Part::Welcome, broken))?;
            // Each of its readers gets this whole.
            is_no_larger(Part::Welcome, welcome.encrypted_group_info.len(), limits::GROUP_INFO_BYTES)?;
            let readers = welcome.check_readers(group.mls.suite(), committed);
            readers.map_err(|refusal| Rejection::of_mls(Part::Welcome, refusal, None))
        }
    }
}

/// What changes for each account, by name.
fn changes(group: &Group, joined: &[ClientId], left: &[ClientId]) -> Vec<UserChange> {
    let mut devices: BTreeMap<UserId, (Vec<DeviceId>, Vec<DeviceId>)> = BTreeMap::new();
    for client in joined {
        devices.entry(client.user.clone()).or_default().0.push(client.device.clone());
    }
    for client in left {
        devices.entry(client.user.clone()).or_default().1.push(client.device.clone());
    }
    let change = |(user, (added, removed)): (UserId, (Vec<DeviceId>, Vec<DeviceId>))| {
        let leaves_before = group.leaves_of(&user);
        let leaves_after = leaves_before.saturating_add(added.len()).saturating_sub(removed.len());
        UserChange { user, leaves_before, leaves_after, added, removed }
    };
    devices.into_iter().map(change).collect()
}

/// The signature keys that no leaf of the group had at its place before.
fn new_keys(group: &Group, committed: &Committed, terms: &dyn Terms) -> Vec<LeafKey> {
    let suite = group.mls.suite();
    let leaf_key = |leaf: u32, node: LeafNode<'_>| {
        let client = terms.client(node.credential.identity()?)?;
        Some(LeafKey { leaf, client, suite, key: node.signature_key.to_vec() })
    };
    let joined = committed.joined.iter().filter_map(|joined| leaf_key(joined.leaf, joined.leaf_node()?));
    let replaced = committed.replaced.iter().filter_map(|replaced| {
        let (before, after) = replaced.leaf_nodes()?;
        (before.signature_key != after.signature_key).then(|| leaf_key(replaced.leaf, after)).flatten()
    });
    joined.chain(replaced).collect()
}

impl Commit {
    pub(super) fn keys(&self) -> &[LeafKey] {
        &self.keys
    }

    pub(super) fn question(&self, command: &Command) -> Question {
        Question {
            caller: command.by.clone(),
            authenticated_data: self.authenticated_data.clone(),
            intent: Intent::Commit {
                external: self.external,
                users: self.users.clone(),
                extends: self.extends,
            },
        }
    }

    pub(super) fn decide(
        self,
        group: &Group,
        command: &Command,
        permit: Permit,
        withheld: BTreeSet<UserId>,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        let is_staged = !permit.effects.is_empty();
        let stale = || Rejection::StaleEpoch { current: Some(group.epoch()) };
        let super::Request::Commit { welcome, group_info, .. } = &command.request else {
            return Err(stale());
        };
        let mut reader = Reader::new(self.delta.context().ok_or_else(stale)?);
        let context = GroupContext::read(&mut reader).map_err(|_| stale())?;
        let receipt = Receipt {
            group: command.group.clone(),
            term: group.head.term,
            epoch: self.epoch,
            commit: command.message_hash(),
            tree_hash: context.tree_hash.to_vec(),
            confirmed_transcript_hash: context.confirmed_transcript_hash.to_vec(),
            external_pub: self.external_pub,
            prev: Some(group.head.receipt),
            issued_at: now,
        };
        let ratchet_tree = if self.added.is_empty() { None } else { tree_after(group, &self.delta) };
        let delta = self.delta.to_bytes();
        let (head, snapshot) = next_head(group, self.epoch, delta.len() as u64);
        let entry = Entry {
            epoch: self.epoch,
            sender: command.by.clone(),
            accepted_at: now,
            joined: self.joined,
            left: self.left,
            message: command.message().to_vec(),
            delta,
            group_info: group_info.clone().unwrap_or_default(),
            cited: permit.cited,
            receipt: Vec::new(),
            notes: Vec::new(),
        };
        Ok(Decision {
            head,
            entry,
            snapshot,
            is_staged,
            effect: Effect::Change(Box::new(self.delta)),
            receipt,
            members_before: self.members_before,
            added: self.added,
            withheld,
            ratchet_tree,
            welcome: welcome.clone(),
        })
    }
}

/// The ratchet tree that a commit makes.
fn tree_after(group: &Group, delta: &Delta) -> Option<Vec<u8>> {
    let mut after = group.mls.clone();
    after.apply(delta.clone()).ok().map(|()| after.ratchet_tree())
}

/// The head after a commit, and a snapshot of the group as it is before, where the deltas since the last one have
/// outgrown it.
fn next_head(group: &Group, epoch: Epoch, delta_bytes: u64) -> (Head, Option<Snapshot>) {
    let head = &group.head;
    let epochs = head.epoch.get().saturating_sub(head.snapshot_epoch.get());
    let outgrown = head.delta_bytes > head.snapshot_bytes.max(limits::SNAPSHOT_EVERY_BYTES);
    if epochs >= limits::SNAPSHOT_EVERY_EPOCHS || outgrown {
        let bytes = group.mls.snapshot();
        let snapshot_bytes = bytes.len() as u64;
        let head = Head { epoch, snapshot_epoch: head.epoch, snapshot_bytes, delta_bytes, ..head.clone() };
        return (head, Some(Snapshot { epoch: group.epoch(), bytes }));
    }
    let delta_bytes = head.delta_bytes.saturating_add(delta_bytes);
    (Head { epoch, delta_bytes, ..head.clone() }, None)
}
