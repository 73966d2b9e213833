//! A group begins: what its first GroupInfo must say.

use maypole_mls::envelope::MLS_10;
use maypole_mls::wire::GroupInfo;
use maypole_mls::{Suite, UnixSeconds};

use super::agenda::Agenda;
use super::case::LeafKey;
use super::decision::{Decision, Effect};
use super::records::{Entry, Head, Snapshot};
use super::standing::{Standing, may_be_succeeded};
use super::terms::{Judge, Terms};
use super::{Command, Group, is_no_larger};
use crate::ids::{ClientId, Epoch, GroupId, Sha256};
use crate::limits;
use crate::permit::{Intent, Permit, Question};
use crate::receipt::Receipt;
use crate::rejection::{Part, Rejection, Unsupported};
use crate::time::Timestamp;

/// A group that may begin.
#[derive(Debug)]
pub(super) struct Registration {
    group: Box<maypole_mls::Group>,
    external_pub: Vec<u8>,
    keys: [LeafKey; 1],
    /// How often the group was begun anew.
    generation: u64,
    /// The generation before, where there is one, and whether it is disputed.
    succeeds: Option<(Standing, bool)>,
}

/// Where the rules of a registration stand.
const SECTION: &str = "protocol: registering a group";

pub(super) fn judge(
    existing: Option<&Group>,
    command: &Command,
    group_info: &[u8],
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Registration, Rejection> {
    if let Some(existing) = existing {
        return Err(Rejection::StaleEpoch { current: existing.epoch_for(&command.by), reserved: None });
    }
    let refuse = |name, problem: &str| Rejection::terms(Part::GroupInfo, name, SECTION, problem);
    let refused = |refusal| Rejection::of_mls(Part::GroupInfo, refusal, None);
    is_no_larger(Part::GroupInfo, group_info.len(), limits::GROUP_INFO_BYTES)?;
    let info =
        GroupInfo::from_bytes(group_info).map_err(|broken| Rejection::malformed(Part::GroupInfo, broken))?;
    if info.context.version != MLS_10 {
        return Err(Rejection::Unsupported(Unsupported::ProtocolVersion(info.context.version)));
    }
    let suite = Suite::from_code(info.context.suite);
    let ours = suite.and_then(|suite| Some((suite, terms.external_sender(suite)?)));
    let (suite, (identity, key)) =
        ours.ok_or(Rejection::Unsupported(Unsupported::CipherSuite(info.context.suite)))?;
    if info.context.group_id != command.group.as_bytes() {
        return Err(refuse("GroupId", "it is of another group"));
    }
    if info.context.epoch != 0 {
        return Err(refuse("FirstEpoch", "a group is registered in its epoch 0"));
    }
    let senders = info.context.extensions.external_senders();
    let senders = senders.map_err(|broken| Rejection::malformed(Part::GroupInfo, broken))?;
    let [sender] = senders.as_slice() else {
        return Err(refuse("ExternalSender", "its external_senders must be the service and nobody else"));
    };
    if sender.signature_key != key || sender.credential.identity() != Some(identity.as_slice()) {
        let problem = "its external sender has another key or identity than the service says of itself";
        return Err(refuse("ExternalSender", problem));
    }
    let judge = Judge { terms, begins: true };
    let seconds = UnixSeconds(now.as_millis() / 1_000);
    let group = maypole_mls::Group::import(group_info, None, &judge, seconds).map_err(refused)?;
    if group.member_count() != 1 {
        return Err(refuse("OneMember", "it begins with one leaf, that of the device that registers it"));
    }
    let member = group.members().next().ok_or(refuse("OneMember", "it has no leaf"))?;
    let client = member.identity().and_then(|identity| terms.client(identity));
    let client = client.ok_or(refuse("OneMember", "its leaf names no device"))?;
    if client != command.by {
        return Err(Rejection::SenderMismatch { sender: command.by.to_string(), leaf: client.to_string() });
    }
    group.check_group_info(group_info, Some(member.leaf)).map_err(refused)?;
    let external_pub = info.external_pub().unwrap_or_default().to_vec();
    let keys = [LeafKey { leaf: Some(member.leaf), client, suite, key: member.node.signature_key.to_vec() }];
    let (_, generation) = command.group.generation();
    Ok(Registration { external_pub, keys, group: Box::new(group), generation, succeeds: None })
}

impl Registration {
    pub(super) fn keys(&self) -> &[LeafKey] {
        &self.keys
    }

    /// The generation that it is to succeed, where it is not a group's first.
    pub(super) fn predecessor(&self, command: &Command) -> Option<GroupId> {
        command.group.of_generation(self.generation.checked_sub(1)?)
    }

    /// The generation before stands so. It must be there, and be one that may be succeeded.
    pub(super) fn succeed(&mut self, before: Option<Standing>) -> Result<(), Rejection> {
        let before = before.ok_or(Rejection::UnknownGroup)?;
        let disputed = may_be_succeeded(&before)?;
        self.succeeds = Some((before, disputed));
        Ok(())
    }

    pub(super) fn question(&self, command: &Command) -> Question {
        let intent = match &self.succeeds {
            None => Intent::Register,
            Some((_, disputed)) => Intent::Succeed { disputed: *disputed },
        };
        Question { caller: command.by.clone(), authenticated_data: Vec::new(), intent }
    }

    pub(super) fn decide(self, command: &Command, permit: Permit, now: Timestamp) -> Decision {
        let is_staged = !permit.effects.is_empty();
        let bytes = self.group.snapshot();
        let term = self.succeeds.as_ref().map_or(1, |(before, _)| before.term);
        let agenda = Agenda::of(command.group.clone());
        let receipt = Receipt {
            group: command.group.clone(),
            term,
            epoch: Epoch::ZERO,
            commit: command.message_hash(),
            tree_hash: self.group.tree_hash().to_vec(),
            confirmed_transcript_hash: self.group.confirmed_transcript_hash().to_vec(),
            external_pub: self.external_pub,
            prev: None,
            issued_at: now,
        };
        let head = Head {
            group: command.group.clone(),
            epoch: Epoch::ZERO,
            term,
            generation: self.generation,
            receipt: Sha256::from_bytes([0; 32]),
            snapshot_epoch: Epoch::ZERO,
            snapshot_bytes: bytes.len() as u64,
            delta_bytes: 0,
            notes: Vec::new(),
        };
        let entry = Entry {
            epoch: Epoch::ZERO,
            sender: command.by.clone(),
            accepted_at: now,
            joined: vec![command.by.clone()],
            left: Vec::new(),
            message: command.message().to_vec(),
            delta: Vec::new(),
            group_info: command.message().to_vec(),
            cited: permit.cited,
            receipt: Vec::new(),
            notes: Vec::new(),
        };
        Decision {
            head,
            entry,
            snapshot: Some(Snapshot { epoch: Epoch::ZERO, bytes }),
            is_staged,
            agenda_before: agenda.clone(),
            agenda,
            issued: Vec::new(),
            succeeds: self.succeeds.map(|(before, _)| before),
            stapled: Vec::new(),
            lease: None,
            effect: Effect::Begin(self.group),
            receipt,
            members_before: Vec::<ClientId>::new(),
            added: Vec::new(),
            withheld: std::collections::BTreeSet::new(),
            ratchet_tree: None,
            welcome: None,
        }
    }
}
