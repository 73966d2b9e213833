//! A group changes: what a commit must be, whom it concerns, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use maypole_mls::envelope::{Envelope, Sender};
use maypole_mls::reader::Reader;
use maypole_mls::service::Welcome;
use maypole_mls::wire::{
    EXTERNAL_SENDERS, GroupContext, GroupInfo, LeafNode, Proposal as Proposes, RATCHET_TREE,
};
use maypole_mls::{Committed, Delta, Joined, Refusal, UnixSeconds};

use super::agenda::{Agenda, Cause, Does, Waiting};
use super::case::LeafKey;
use super::decision::{Added, Decision, Effect};
use super::issue::Issue;
use super::records::{Entry, Head, Snapshot};
use super::terms::{Judge, Terms};
use super::{Command, Group, candidates, is_no_larger};
use crate::ids::{ClientId, Epoch, UserId};
use crate::limits;
use crate::permit::{Intent, Permit, Proposed, Question, UserChange};
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
    proposed: Vec<Proposed>,
    keys: Vec<LeafKey>,
    members_before: Vec<ClientId>,
    /// As of when it was judged, and by which agenda.
    judged_at: Timestamp,
    revision: u64,
}

/// What a commit is held against besides MLS and the place of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// All that the group owes.
    ToAgenda,
    /// Nothing more: it was staged, and what has happened outside is not taken back.
    ToNothing,
}

pub(super) fn judge(
    group: &Group,
    by: &ClientId,
    epoch: Epoch,
    parts: &Parts<'_>,
    held: Held,
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
        return Err(Rejection::StaleEpoch { current, reserved: None });
    }
    let client = |node: &[u8]| {
        LeafNode::from_bytes(node).ok().and_then(|node| terms.client(node.credential.identity()?))
    };
    if let Sender::Member(leaf) = envelope.sender {
        check_member(group, by, leaf, held, terms)?;
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
    if held == Held::ToAgenda {
        check_missing(group, committed, &left, now)?;
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
    let carried = carried(group, committed);
    Ok(Commit {
        epoch,
        authenticated_data: envelope.authenticated_data.to_vec(),
        external_pub,
        added: added.collect(),
        users: changes(group, &joined, &left, &carried),
        external: committed.external,
        extends: committed.extends && !carried.iter().any(|waiting| waiting.does == Does::Extends),
        proposed: carried.iter().filter_map(|waiting| by_another(waiting, by)).collect(),
        keys: new_keys(group, committed, terms),
        members_before: group.members(terms).map(|(_, client)| client).collect(),
        joined,
        left,
        delta,
        judged_at: now,
        revision: group.agenda.revision,
    })
}

/// Whether a member is who it says, and may commit at all.
fn check_member(
    group: &Group,
    by: &ClientId,
    leaf: u32,
    held: Held,
    terms: &dyn Terms,
) -> Result<(), Rejection> {
    // A leaf that holds nobody is the engine's to refuse.
    let Some(member) = group.mls.member(leaf) else { return Ok(()) };
    is_from(by, member.identity().and_then(|identity| terms.client(identity)))?;
    if held == Held::ToNothing {
        return Ok(());
    }
    is_ordered(group)?;
    if group.agenda.is_leaving(by) { Err(Rejection::Leaving) } else { Ok(()) }
}

/// Whether anything is ordered in the group.
pub(super) fn is_ordered(group: &Group) -> Result<(), Rejection> {
    match group.agenda.frozen() {
        Some(freeze) => Err(Rejection::Frozen { reason: freeze.reason.clone() }),
        None => Ok(()),
    }
}

/// Whether a commit takes out what must go. Whoever joins by it cannot remove others; it carries what they themselves asked
/// for, where its own leaf can.
fn check_missing(
    group: &Group,
    committed: &Committed,
    left: &[ClientId],
    now: Timestamp,
) -> Result<(), Rejection> {
    let removed: BTreeSet<&ClientId> = left.iter().collect();
    let proposals = if committed.external {
        let joiner = committed.joined.iter().find(|joined| joined.leaf == committed.committer);
        let kind = Proposes::SelfRemove.kind();
        let lists = |leaf: LeafNode<'_>| leaf.capabilities.proposals.contains(kind);
        let can = joiner.and_then(Joined::leaf_node).is_some_and(lists);
        if can { group.agenda.uncarried(&removed, now) } else { Vec::new() }
    } else {
        group.agenda.missing(&removed, now)
    };
    if proposals.is_empty() { Ok(()) } else { Err(Rejection::MissingProposals { proposals }) }
}

/// The waiting proposals that a commit refers to.
fn carried<'g>(group: &'g Group, committed: &Committed) -> Vec<&'g Waiting> {
    let consumed: BTreeSet<&[u8]> = committed.consumed.iter().map(AsRef::as_ref).collect();
    let is_consumed = |waiting: &&Waiting| consumed.contains(waiting.reference.as_slice());
    group.agenda.proposals.iter().filter(is_consumed).collect()
}

/// A proposal that another device answers for. For the removal of its own leaf it needs nobody's leave.
fn by_another(waiting: &Waiting, by: &ClientId) -> Option<Proposed> {
    let is_own = waiting.sender() == Some(by) || matches!(waiting.does, Does::Leaves(_));
    waiting.proposed().filter(|_| !is_own)
}

impl Parts<'_> {
    fn are_no_larger_than_bounds(&self) -> Result<(), Rejection> {
        is_no_larger(Part::Commit, self.message.len(), limits::COMMIT_BYTES)?;
        is_no_larger(Part::Welcome, self.welcome.map_or(0, <[u8]>::len), limits::WELCOME_BYTES)?;
        is_no_larger(Part::GroupInfo, self.group_info.map_or(0, <[u8]>::len), limits::GROUP_INFO_BYTES)
    }
}

/// Whether a message is from the device whose leaf it uses.
pub(super) fn is_from(by: &ClientId, leaf: Option<ClientId>) -> Result<(), Rejection> {
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

/// What changes for each account by the committer's own will, by name. Leaves that must go and what was proposed are not
/// among it, but counted.
fn changes(group: &Group, joined: &[ClientId], left: &[ClientId], carried: &[&Waiting]) -> Vec<UserChange> {
    let proposed: BTreeSet<&ClientId> = carried.iter().filter_map(|waiting| waiting.concerns()).collect();
    let leaving: BTreeSet<&ClientId> = group.agenda.leaving.iter().map(|leaving| &leaving.client).collect();
    let mut devices: BTreeMap<&UserId, UserChange> = BTreeMap::new();
    for (client, comes) in
        joined.iter().map(|client| (client, true)).chain(left.iter().map(|client| (client, false)))
    {
        let change = devices.entry(&client.user).or_insert_with(|| {
            let leaves_before = group.leaves_of(&client.user);
            let user = client.user.clone();
            UserChange {
                user,
                leaves_before,
                leaves_after: leaves_before,
                added: Vec::new(),
                removed: Vec::new(),
            }
        });
        let (by, devices) = if comes { (1, &mut change.added) } else { (-1, &mut change.removed) };
        change.leaves_after = change.leaves_after.saturating_add_signed(by);
        if !proposed.contains(client) && (comes || !leaving.contains(client)) {
            devices.push(client.device.clone());
        }
    }
    devices.into_values().filter(|change| !change.added.is_empty() || !change.removed.is_empty()).collect()
}

/// The signature keys that no leaf of the group had at its place before.
fn new_keys(group: &Group, committed: &Committed, terms: &dyn Terms) -> Vec<LeafKey> {
    let suite = group.mls.suite();
    let leaf_key = |leaf: u32, node: LeafNode<'_>| {
        let client = terms.client(node.credential.identity()?)?;
        Some(LeafKey { leaf: Some(leaf), client, suite, key: node.signature_key.to_vec() })
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

    pub(super) fn adds(&self) -> impl Iterator<Item = &UserId> {
        self.added.iter().map(|added| &added.client.user)
    }

    pub(super) fn question(&self, command: &Command) -> Question {
        Question {
            caller: command.by.clone(),
            authenticated_data: self.authenticated_data.clone(),
            intent: Intent::Commit {
                external: self.external,
                users: self.users.clone(),
                extends: self.extends,
                proposed: self.proposed.clone(),
            },
        }
    }

    /// As of when it is to be judged anew, where the group owes something else by now.
    pub(super) fn outdated(&self, group: &Group) -> Option<Timestamp> {
        (self.revision != group.agenda.revision).then_some(self.judged_at)
    }

    /// What the group owes after it, but for the service's Removes, which may have to be signed first. Leaves of those who
    /// were never told how to join must go again.
    pub(super) fn agenda(&self, group: &Group, withheld: &BTreeSet<UserId>, now: Timestamp) -> Agenda {
        let mut agenda = group.agenda.after_commit(&self.left, &self.joined);
        let never_told = self.joined.iter().filter(|client| withheld.contains(&client.user));
        let never_told: Vec<ClientId> = never_told.cloned().collect();
        agenda.announce(&never_told, Cause::Withheld, now);
        agenda
    }

    /// The service's Removes for the epoch that it makes, to be signed; nothing where nothing must go.
    pub(super) fn issue(&self, group: &Group, agenda: &Agenda, terms: &dyn Terms) -> Option<Issue> {
        Issue::of(agenda, &group.mls, Some(&self.delta), terms)
    }

    /// The duty to commit in the epoch that it makes.
    fn lease(&self, group: &Group, by: &ClientId, agenda: &mut Agenda, now: Timestamp) {
        let gone: BTreeSet<&ClientId> = self.left.iter().collect();
        let stay = self.members_before.iter().filter(|client| !gone.contains(client));
        let members: Vec<ClientId> = stay.chain(&self.joined).cloned().collect();
        let mut heard = group.heard.clone();
        heard.note(by, now);
        agenda.lease(&candidates(&heard, &members, now), now);
    }

    pub(super) fn decide(
        self,
        group: &Group,
        command: &Command,
        permit: Permit,
        withheld: BTreeSet<UserId>,
        (mut agenda, issued): (Agenda, Vec<Delta>),
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        let is_staged = !permit.effects.is_empty();
        let stale = || Rejection::StaleEpoch { current: Some(group.epoch()), reserved: None };
        self.lease(group, &command.by, &mut agenda, now);
        let agenda = agenda.following(&group.agenda);
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
            agenda_before: group.agenda.clone(),
            stapled: agenda.proposals.iter().map(|waiting| waiting.message.clone()).collect(),
            lease: agenda.lease.clone(),
            agenda,
            issued,
            succeeds: None,
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
/// outgrown it. Snapshots stay as long as the log does: so they come to about as much as the deltas, unless very many epochs
/// change very little.
pub(super) fn next_head(group: &Group, epoch: Epoch, delta_bytes: u64) -> (Head, Option<Snapshot>) {
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
