//! Those who send: devices whose groups are forged, so that a commit costs a few signatures.

use std::collections::{BTreeMap, BTreeSet};

use maypole_mls::writer::Write as _;
use maypole_testkit::forge::{
    self, Credential, Draft, Extension, Forge, Founding, GroupInfoDraft, KeyPackage, KeyPackageDraft,
    LeafDraft, Listed, Proposal, ProposalDraft, ProposalMessage, Seal, Sender, Shape, Source,
};

use super::chance::{Chance, is_calm};
use super::rules::{Circle, Commits, Lie, Proposes, Truth, Waits};
use crate::auth::Authenticated;
use crate::group::tests::{SERVICE, client, service_key};
use crate::group::{Command, Does, Request};
use crate::ids::{ClientId, Epoch, GroupId, KeyPackageRef, Sha256};
use crate::records::AnswerKey;
use crate::time::Timestamp;

pub(super) const NAMES: [&str; 7] = [
    "@alice:a.org/PHONE",
    "@alice:a.org/LAPTOP",
    "@bob:b.org/PHONE",
    "@bob:b.org/LAPTOP",
    "@carol:a.org/PHONE",
    "@dan:b.org/PHONE",
    "@mallory:b.org/PHONE",
];
const DAY_S: u64 = 24 * 60 * 60;

pub(super) fn clients() -> Vec<ClientId> {
    NAMES.iter().map(|name| client(name).unwrap()).collect()
}

/// A message, under the name that its device gave it.
pub(super) struct Sent {
    pub(super) command: Authenticated<Command>,
    pub(super) truth: Truth,
    pub(super) key: AnswerKey,
    pub(super) question: Sha256,
    /// What it does to the group, if it is accepted.
    makes: Makes,
}

impl Sent {
    /// The same under a name that its device has used before.
    pub(super) fn under(self, key: AnswerKey) -> Self {
        Self { key, ..self }
    }
}

enum Makes {
    Nothing,
    Group(Box<Forge>),
    Epoch(Box<forge::Commit>),
}

/// Somebody makes a message, in a group as it is now.
#[derive(Clone, Copy)]
pub(super) struct Occasion<'o> {
    pub(super) by: &'o ClientId,
    pub(super) group: &'o GroupId,
    pub(super) circle: &'o Circle,
    pub(super) chance: &'o Chance,
    pub(super) now: Timestamp,
}

/// The groups as their members have them.
pub(super) struct People {
    forges: BTreeMap<GroupId, Forge>,
    /// Proposals of members, by reference.
    proposed: BTreeMap<GroupId, BTreeMap<Vec<u8>, ProposalMessage>>,
    maker: Forge,
    /// KeyPackages that were made, by reference.
    made: BTreeMap<KeyPackageRef, KeyPackage>,
    /// KeyPackages that were claimed and not used yet, with their ends.
    pub(super) claimed: Vec<(ClientId, KeyPackageRef, Timestamp)>,
    seed: u64,
    named: u64,
    /// The KeyPackage that was made last.
    last: Option<KeyPackageRef>,
}

impl People {
    pub(super) fn new(seed: u64) -> Self {
        let maker = Forge::new(&Founding::of(forge::Suite::One, 1, Shape::Bare, seed)).unwrap();
        let (forges, proposed, made) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { forges, proposed, maker, made, claimed: Vec::new(), seed, named: 0, last: None }
    }

    pub(super) fn forge(&self, group: &GroupId) -> Option<&Forge> {
        self.forges.get(group)
    }

    /// A KeyPackage of a device, good for some days.
    pub(super) fn key_package(&mut self, of: &ClientId, days: u64, now: Timestamp) -> Vec<u8> {
        let now_s = now.as_millis() / 1_000;
        let source = Some(Source::KeyPackage(now_s - 60, now_s + days * DAY_S));
        let leaf = LeafDraft { source, ..LeafDraft::default() };
        let made = self
            .maker
            .key_package(&KeyPackageDraft { leaf, ..KeyPackageDraft::of(&of.to_string()) })
            .unwrap();
        let bytes = made.bytes.clone();
        let reference = KeyPackageRef::parse(made.reference()).unwrap();
        self.made.insert(reference.clone(), made);
        self.last = Some(reference);
        bytes
    }

    pub(super) fn reference_of_last(&self) -> KeyPackageRef {
        self.last.clone().unwrap()
    }

    /// A message that was sent before, under another name or in other words under its own.
    pub(super) fn renamed(&mut self, before: &Sent, key: AnswerKey) -> Sent {
        self.named += 1;
        Sent {
            command: before.command.clone(),
            truth: before.truth.clone(),
            key,
            question: Sha256::of(&self.named.to_be_bytes()),
            makes: match &before.makes {
                Makes::Nothing => Makes::Nothing,
                Makes::Group(forge) => Makes::Group(forge.clone()),
                Makes::Epoch(commit) => Makes::Epoch(commit.clone()),
            },
        }
    }

    fn sent(&mut self, by: &ClientId, group: &GroupId, request: Request, truth: Truth, makes: Makes) -> Sent {
        self.named += 1;
        let caller = Authenticated::stored(by.user.clone());
        let command = Command::of(&caller, by.device.clone(), group.clone(), request);
        let question = Sha256::of(&self.named.to_be_bytes());
        Sent { command, truth, key: AnswerKey(question), question, makes }
    }

    /// A device makes a group.
    pub(super) fn register(&mut self, by: &ClientId, group: &GroupId, now: Timestamp) -> Sent {
        let now_s = now.as_millis() / 1_000;
        self.named += 1;
        let seed = self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(self.named);
        let leaf = LeafDraft { credential: Some(Credential::basic(&by.to_string())), ..LeafDraft::default() };
        let service = (service_key().to_vec(), Credential::basic(SERVICE));
        let forge = Forge::new(&Founding {
            group_id: group.as_bytes().to_vec(),
            epoch: 0,
            lifetime: (now_s - 60, now_s + 80 * DAY_S),
            external_senders: Vec::new(),
            extensions: vec![Extension::external_senders(&[service])],
            leaves: BTreeMap::from([(0, leaf)]),
            ..Founding::of(forge::Suite::One, 1, Shape::Bare, seed)
        });
        let forge = forge.unwrap();
        let group_info = forge.group_info(&GroupInfoDraft::by(0).with_tree()).unwrap();
        let truth = Truth::Registers { leaf: by.clone() };
        self.sent(by, group, Request::Register { group_info }, truth, Makes::Group(Box::new(forge)))
    }

    /// A message is accepted: its members go on to the epoch that it makes.
    pub(super) fn accept(&mut self, sent: &Sent) {
        let group = &sent.command.get().group;
        match &sent.makes {
            Makes::Nothing => {}
            Makes::Group(forge) => drop(self.forges.insert(group.clone(), (**forge).clone())),
            Makes::Epoch(commit) => {
                self.forges.get_mut(group).unwrap().play(commit).unwrap();
                // What waited is void.
                self.proposed.remove(group);
            }
        }
    }

    fn leaf(&self, group: &GroupId, of: &ClientId) -> Option<u32> {
        let identity = Credential::basic(&of.to_string());
        self.forges[group].members().find(|(_, leaf)| leaf.credential == identity).map(|(leaf, _)| leaf)
    }

    /// A proposal of a device; nothing where it has nothing to propose.
    pub(super) fn propose(&mut self, occasion: &Occasion<'_>) -> Option<Sent> {
        let Occasion { by, group, chance, now, .. } = *occasion;
        let forge = self.forges.get(group)?;
        let own: Vec<ClientId> =
            clients().into_iter().filter(|other| other.user == by.user && other != by).collect();
        let leaf = self.leaf(group, by);
        let other = chance.pick(&own).cloned();
        let (sender, does, proposal) = match (leaf, other, chance.below(6)) {
            (Some(leaf), _, 0..=1) => {
                (Sender::Member(leaf), Does::Updates, forge.update_of(leaf, &LeafDraft::default()).unwrap())
            }
            (Some(leaf), _, 2) => (Sender::Member(leaf), Does::Leaves(by.clone()), Proposal::SelfRemove),
            (Some(leaf), Some(other), _) => match self.leaf(group, &other) {
                Some(theirs) => (Sender::Member(leaf), Does::Removes(other), Proposal::Remove(theirs)),
                None => {
                    let add = self.add(&other, now);
                    (Sender::Member(leaf), Does::Adds(other), add)
                }
            },
            (None, ..) => {
                let add = self.add(by, now);
                (Sender::NewMemberProposal, Does::Adds(by.clone()), add)
            }
            _ => return None,
        };
        let lie = chance.one_in(10).then(|| *chance.pick(&[Lie::Cut, Lie::Signature]).unwrap());
        let mut draft = ProposalDraft { framing: forge::Framing::by(sender), proposal };
        if lie == Some(Lie::Signature) {
            draft.framing.signature = Seal::Flipped;
        }
        let forge = &self.forges[group];
        let made = forge.proposal(&draft).unwrap();
        let epoch = forge.epoch();
        let mut message = made.message.clone();
        if lie == Some(Lie::Cut) {
            message.pop();
        }
        let reference = made.reference.clone();
        self.proposed.entry(group.clone()).or_default().insert(made.reference.clone(), made);
        let from_outside = sender == Sender::NewMemberProposal;
        let truth = Truth::Proposes(Proposes { epoch, leaf: by.clone(), from_outside, does, reference, lie });
        let request = Request::Propose { epoch: Epoch::new(epoch)?, message };
        let by = if chance.one_in(20) { chance.pick(&clients())?.clone() } else { by.clone() };
        Some(self.sent(&by, group, request, truth, Makes::Nothing))
    }

    fn add(&mut self, of: &ClientId, now: Timestamp) -> Proposal {
        self.key_package(of, 20, now);
        Proposal::Add(self.made[&self.reference_of_last()].clone())
    }

    /// A commit of one group, sent to another.
    pub(super) fn stray(&mut self, occasion: &Occasion<'_>, to: &GroupId) -> Option<Sent> {
        let request = self.commit(occasion)?.command.get().request.clone();
        Some(self.sent(occasion.by, to, request, Truth::Strays, Makes::Nothing))
    }

    /// A commit of a device in its group, or from outside.
    pub(super) fn commit(&mut self, occasion: &Occasion<'_>) -> Option<Sent> {
        let Occasion { by, group, chance, .. } = *occasion;
        if is_calm(self.seed) {
            return self.renew(by, group, chance);
        }
        let leaf = self.leaf(group, by);
        let from_outside = leaf.is_none() || chance.one_in(12);
        let forge = self.forges.get(group)?;
        let mut commit = Commits {
            epoch: forge.epoch(),
            leaf: by.clone(),
            from_outside,
            joins: Vec::new(),
            leaves: Vec::new(),
            carries: Vec::new(),
            lie: chance.one_in(8).then(|| *chance.pick(&LIES).unwrap()),
        };
        let mut draft = match (from_outside, leaf) {
            (true, Some(leaf)) => {
                commit.leaves.push(by.clone());
                forge.draft_resync(leaf).unwrap()
            }
            (true, None) => forge.draft_external(&by.to_string(), &[]).unwrap(),
            (false, Some(leaf)) => Draft::by(Sender::Member(leaf)),
            (false, None) => return None,
        };
        if chance.below(4) > 0 {
            self.carry(occasion, &mut commit, &mut draft);
        }
        let mut references = Vec::new();
        if from_outside {
            commit.joins.push(by.clone());
        } else {
            references = self.change(occasion, &mut commit, &mut draft);
        }
        self.finish(by, group, commit, draft, references, chance)
    }

    /// A commit in which a device renews its leaf, or comes in.
    fn renew(&mut self, by: &ClientId, group: &GroupId, chance: &Chance) -> Option<Sent> {
        let forge = self.forges.get(group)?;
        let (from_outside, draft) = match self.leaf(group, by) {
            Some(leaf) => (false, forge.draft_update(leaf)),
            None => (true, forge.draft_external(&by.to_string(), &[]).unwrap()),
        };
        let commit = Commits {
            epoch: forge.epoch(),
            leaf: by.clone(),
            from_outside,
            joins: from_outside.then(|| by.clone()).into_iter().collect(),
            leaves: Vec::new(),
            carries: Vec::new(),
            lie: None,
        };
        self.finish(by, group, commit, draft, Vec::new(), chance)
    }

    /// What waits goes into a commit, as far as it can stand together.
    fn carry(&self, occasion: &Occasion<'_>, commit: &mut Commits, draft: &mut Draft) {
        let Occasion { by, circle, group, .. } = *occasion;
        let gone: BTreeSet<&ClientId> = circle.waiting.iter().filter_map(Waits::removes).collect();
        let mut renewed = BTreeSet::new();
        for waits in &circle.waiting {
            let fits = match &waits.does {
                Does::Leaves(client) if commit.from_outside => !commit.leaves.contains(client),
                _ if commit.from_outside => false,
                Does::Leaves(client) | Does::Removes(client) => client != by,
                Does::Adds(_) => true,
                Does::Updates => {
                    let of = waits.by.as_ref().unwrap();
                    of != by && !gone.contains(of) && renewed.insert(of)
                }
                Does::Extends => false,
            };
            if !fits {
                continue;
            }
            let meaning = match (&waits.by, &waits.does) {
                (None, Does::Removes(client)) => {
                    (Sender::External(0), Proposal::Remove(self.leaf(group, client).unwrap()))
                }
                _ => {
                    let message = &self.proposed[group][&waits.reference];
                    (message.sender, message.proposal.clone())
                }
            };
            draft.proposals.push(Listed::Reference(waits.reference.clone(), Some(meaning)));
            commit.carries.push(waits.reference.clone());
            commit.leaves.extend(waits.removes().cloned());
            if let Does::Adds(client) = &waits.does {
                commit.joins.push(client.clone());
            }
        }
    }

    /// What a member changes by its own will; the references of the KeyPackages that it adds by.
    fn change(&mut self, occasion: &Occasion<'_>, commit: &mut Commits, draft: &mut Draft) -> Vec<Vec<u8>> {
        let Occasion { by, circle, group, chance, now } = *occasion;
        let free = |client: &ClientId, commit: &Commits| {
            !commit.leaves.contains(client) && !commit.joins.contains(client)
        };
        let later = now.plus(std::time::Duration::from_hours(5 * 24));
        self.claimed.retain(|(.., ends)| *ends > later);
        if circle.members.len() < 4 || chance.one_in(4) {
            let place = self
                .claimed
                .iter()
                .position(|(client, ..)| !circle.members.contains(client) && free(client, commit));
            if let Some(place) = place {
                let (client, reference, _) = self.claimed[place].clone();
                draft.proposals.push(Listed::Value(Proposal::Add(self.made[&reference].clone())));
                commit.joins.push(client);
            }
        }
        if chance.one_in(8) {
            let others: Vec<&ClientId> =
                circle.members.iter().filter(|client| *client != by && free(client, commit)).collect();
            // What is renewed by the same commit cannot go by it.
            let renewed = |client: &ClientId| {
                circle
                    .waiting
                    .iter()
                    .any(|waits| waits.does == Does::Updates && waits.by.as_ref() == Some(client))
            };
            if let Some(other) = chance.pick(&others).filter(|other| !renewed(other)) {
                draft.proposals.push(Listed::Value(Proposal::Remove(self.leaf(group, other).unwrap())));
                commit.leaves.push((*other).clone());
            }
        }
        let added = draft.proposals.iter().filter_map(|listed| match listed {
            Listed::Value(Proposal::Add(key_package))
            | Listed::Reference(_, Some((_, Proposal::Add(key_package)))) => Some(key_package.reference()),
            _ => None,
        });
        added.collect()
    }

    fn finish(
        &mut self,
        by: &ClientId,
        group: &GroupId,
        mut commit: Commits,
        mut draft: Draft,
        references: Vec<Vec<u8>>,
        chance: &Chance,
    ) -> Option<Sent> {
        let forge = &self.forges[group];
        match commit.lie {
            Some(Lie::Signature) => draft.framing.signature = Seal::Flipped,
            Some(Lie::Future) => {
                commit.epoch += 1;
                draft.framing.epoch = Some(commit.epoch);
            }
            _ => {}
        }
        let made = forge.commit(&draft).unwrap();
        let mut message = made.message.clone();
        if commit.lie == Some(Lie::Cut) {
            message.pop();
        }
        let mut after = forge.clone();
        after.play(&made).unwrap();
        let mut info = GroupInfoDraft::by(made.committer);
        if commit.lie == Some(Lie::OtherGroupInfo) {
            info.tree_hash = Some(vec![7; 32]);
        }
        let group_info =
            Some(after.group_info(&info).unwrap()).filter(|_| commit.lie != Some(Lie::NoGroupInfo));
        let adds = !references.is_empty();
        let welcome = (adds != (commit.lie == Some(Lie::Welcome))).then(|| welcome(&references));
        let epoch = Epoch::new(commit.epoch)?;
        let request = Request::Commit { epoch, message, welcome, group_info };
        let liar = !commit.from_outside || commit.leaves.is_empty();
        let by = if liar && !is_calm(self.seed) && chance.one_in(20) {
            chance.pick(&clients())?.clone()
        } else {
            by.clone()
        };
        let makes = if commit.lie.is_none() { Makes::Epoch(Box::new(made)) } else { Makes::Nothing };
        Some(self.sent(&by, group, request, Truth::Commits(commit), makes))
    }
}

const LIES: [Lie; 6] =
    [Lie::Cut, Lie::Signature, Lie::Future, Lie::NoGroupInfo, Lie::OtherGroupInfo, Lie::Welcome];

/// A Welcome for these, of which nobody could read anything.
fn welcome(references: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u16(1);
    bytes.put_vector(|inside: &mut Vec<u8>| {
        for reference in references {
            inside.put_opaque(reference);
            inside.put_opaque(&[7; 32]);
            inside.put_opaque(&[7; 48]);
        }
    });
    bytes.put_opaque(&[7; 64]);
    bytes
}
