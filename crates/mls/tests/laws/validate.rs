//! No entrance of the crate panics, and none takes more memory than a multiple of what comes in.

use maypole_mls::{
    Delta, Group, Policy, Refusal, check_key_package,
    envelope::Envelope,
    service::{Welcome, propose_remove},
};
use maypole_testkit::forge::{
    Draft, Forge, Framing, GroupInfoDraft, Listed, Proposal, ProposalDraft, Sender, chance::Choices,
};

use super::{
    choices::number,
    memory::bounded,
    policies::policy,
    tree_hash,
    world::{Kind, NOW, World, world},
};

/// How many messages one input sends.
const STEPS: usize = 4;

/// Whatever bytes come in at any entrance, alone or one after the other, are taken or refused, in memory that is in
/// proportion to them.
pub fn validate(input: &[u8]) {
    let mut choices = Choices::new(input);
    let world = world(&mut choices);
    let policy = policy(&mut choices);
    match choices.below(10) {
        0 => anything(world, policy, choices.rest()),
        1 => forged(world, policy, &mut choices),
        2 => group_info(world, policy, &world.of_kind(Kind::GroupInfo, &mut choices)),
        3 => tree(world, policy, &world.of_kind(Kind::Tree, &mut choices)),
        4 => key_package(policy, &world.of_kind(Kind::KeyPackage, &mut choices)),
        5 => restored(world, policy, &mut choices),
        6 => replayed(world, policy, &mut choices),
        7 => welcome(world, policy, &mut choices),
        _ => messages(world, policy, &mut choices),
    }
}

/// The same bytes at every entrance.
fn anything(world: &World, policy: &dyn Policy, bytes: &[u8]) {
    let _ = bounded("an envelope", bytes.len(), || Envelope::read(bytes).map(drop));
    let _ = judged(&world.group, policy, bytes);
    group_info(world, policy, bytes);
    tree(world, policy, bytes);
    key_package(policy, bytes);
    restores(bytes);
    replays(&world.group, bytes);
    let _ = bounded("a Welcome", bytes.len(), || Welcome::read(bytes).map(drop));
}

fn judged(group: &Group, policy: &dyn Policy, message: &[u8]) -> Result<Delta, Refusal> {
    bounded("a message", message.len(), || group.validate(message, policy, NOW))
}

/// A group follows what it takes, and says of it what can be said.
fn follow(group: &mut Group, policy: &dyn Policy, message: &[u8]) {
    let Ok(delta) = judged(group, policy, message) else { return };
    let bytes = bounded("a delta", message.len(), || delta.to_bytes());
    replays(group, &bytes);
    let committed = delta.committed().cloned();
    group.apply(delta).unwrap();
    let Some(committed) = committed else { return };
    assert_eq!(committed.epoch, group.epoch());
    assert!(committed.external || group.member(committed.committer).is_some());
    for joined in &committed.joined {
        assert_eq!(group.member(joined.leaf).map(|member| member.node), joined.leaf_node());
    }
}

/// Messages of the right group, one after the other: honest, edited, or bytes.
fn messages(world: &World, policy: &dyn Policy, choices: &mut Choices<'_>) {
    let mut group = world.group.clone();
    for _ in 0..STEPS {
        if choices.are_spent() {
            return;
        }
        let message = world.of_kind(Kind::Message, choices);
        follow(&mut group, policy, &message);
    }
}

/// Content that the input gives, framed and signed by somebody of the group.
fn forged(world: &World, policy: &dyn Policy, choices: &mut Choices<'_>) {
    // What it draws must follow from the input alone.
    let forge = world.forge.clone();
    let mut group = world.group.clone();
    let sender = match choices.below(5) {
        0 => Sender::External(number(choices)),
        1 => Sender::NewMemberCommit,
        2 => Sender::NewMemberProposal,
        _ => Sender::Member(choices.below(9) as u32),
    };
    let message = if choices.rarely(2) {
        commit(&forge, sender, choices)
    } else {
        let proposal = Proposal::Raw(proposal_type(choices), choices.rest().to_vec());
        let framing = Framing { signer: forge.new_key().ok(), ..Framing::by(sender) };
        let framing = if signs(sender) { Framing::by(sender) } else { framing };
        forge.proposal(&ProposalDraft { framing, proposal }).map(|proposal| proposal.message)
    };
    if let Ok(message) = message {
        follow(&mut group, policy, &message);
    }
}

/// Whether it is known who signs.
fn signs(sender: Sender) -> bool {
    matches!(sender, Sender::Member(_) | Sender::External(_))
}

fn proposal_type(choices: &mut Choices<'_>) -> u16 {
    match choices.below(16) {
        kind @ 0..12 => kind as u16,
        beyond => 0xf000 + beyond as u16 - 12,
    }
}

fn commit(forge: &Forge, sender: Sender, choices: &mut Choices<'_>) -> anyhow::Result<Vec<u8>> {
    let mut draft = Draft::by(sender);
    if choices.rarely(2) {
        draft.path = None;
    } else if let Some(path) = &mut draft.path {
        for _ in 0..choices.below(4) {
            let node = choices.below(5);
            match choices.below(4) {
                0 => path.length = Some(choices.below(40)),
                1 => drop(path.ciphertexts.insert(node, choices.below(300))),
                2 => drop(path.keys.insert(node, choices.some().to_vec())),
                _ => drop(path.sizes.insert(node, (choices.below(300), choices.below(300)))),
            }
        }
    }
    for _ in 0..choices.below(4) {
        let kind = proposal_type(choices);
        let body = choices.some();
        draft.proposals.push(match choices.below(3) {
            0 => Listed::Value(Proposal::Remove(number(choices))),
            1 => Listed::Reference(body.to_vec(), None),
            _ => Listed::Value(Proposal::Raw(kind, body.to_vec())),
        });
    }
    let rest = choices.rest();
    if !rest.is_empty() {
        draft.proposals.push(Listed::Bytes(rest.to_vec()));
    }
    Ok(forge.commit(&draft)?.message)
}

/// A GroupInfo, with its own tree or with the group's, and held against the group and against what a commit makes of it.
fn group_info(world: &World, policy: &dyn Policy, bytes: &[u8]) {
    let tree = world.forge.ratchet_tree();
    let alone = bounded("a GroupInfo", bytes.len(), || Group::import(bytes, None, policy, NOW));
    let both = bytes.len() + tree.len();
    let apart = bounded("a GroupInfo and a tree", both, || Group::import(bytes, Some(&tree), policy, NOW));
    for group in [alone, apart].into_iter().flatten() {
        spoken_of(&group);
    }
    for signer in [None, Some(0)] {
        let _ =
            bounded("a GroupInfo of a state", bytes.len(), || world.group.check_group_info(bytes, signer));
    }
    let update = world.honest(Kind::Message, &mut Choices::new(&[0]));
    let delta = world.group.validate(&update, policy, NOW).unwrap();
    let _ =
        bounded("a GroupInfo of a commit", bytes.len(), || world.group.check_group_info_after(&delta, bytes));
}

/// A tree, as a signed GroupInfo states it, and without.
fn tree(world: &World, policy: &dyn Policy, bytes: &[u8]) {
    let tree_hash = tree_hash::of(world.suite, bytes);
    let draft = GroupInfoDraft { tree_hash, ..GroupInfoDraft::by(0) };
    let info = world.forge.group_info(&draft).unwrap();
    let both = info.len() + bytes.len();
    let group = bounded("a tree", both, || Group::import(&info, Some(bytes), policy, NOW));
    if let Ok(mut group) = group {
        spoken_of(&group);
        for first in [1, 2, 7] {
            let message = world.honest(Kind::Message, &mut Choices::new(&[first]));
            follow(&mut group, policy, &message);
        }
    }
}

fn key_package(policy: &dyn Policy, bytes: &[u8]) {
    let _ = bounded("a KeyPackage", bytes.len(), || check_key_package(bytes, policy, NOW));
}

fn restores(bytes: &[u8]) -> Option<Group> {
    let group = bounded("a snapshot", bytes.len(), || Group::restore(bytes)).ok()?;
    spoken_of(&group);
    Some(group)
}

/// A snapshot that may say anything, and what then comes to the group.
fn restored(world: &World, policy: &dyn Policy, choices: &mut Choices<'_>) {
    let snapshot = world.of_kind(Kind::Snapshot, choices);
    let Some(mut group) = restores(&snapshot) else { return };
    replays(&group, &world.of_kind(Kind::Delta, choices));
    let message = world.of_kind(Kind::Message, choices);
    follow(&mut group, policy, &message);
}

/// Whatever is said to be a delta changes the group wholly or not at all.
fn replays(group: &Group, bytes: &[u8]) -> Option<Group> {
    let mut copy = group.clone();
    let replayed = bounded("a delta", bytes.len(), || copy.replay(bytes));
    if replayed.is_err() {
        assert!(copy.snapshot() == group.snapshot(), "a delta that was refused has changed the group");
        return None;
    }
    assert!(Group::restore(&copy.snapshot()).is_ok(), "a delta that was taken has broken the group");
    Some(copy)
}

fn replayed(world: &World, policy: &dyn Policy, choices: &mut Choices<'_>) {
    let mut group = world.group.clone();
    for _ in 0..STEPS {
        if choices.are_spent() {
            break;
        }
        group = replays(&group, &world.of_kind(Kind::Delta, choices)).unwrap_or(group);
    }
    spoken_of(&group);
    let message = world.of_kind(Kind::Message, choices);
    follow(&mut group, policy, &message);
}

fn welcome(world: &World, policy: &dyn Policy, choices: &mut Choices<'_>) {
    let bytes = world.of_kind(Kind::Welcome, choices);
    let Ok(welcome) = bounded("a Welcome", bytes.len(), || Welcome::read(&bytes)) else { return };
    let reader = welcome.secrets.first().map_or(&[][..], |entry| entry.key_package);
    let _ = bounded("a Welcome that is cut", bytes.len(), || welcome.cut_to(reader));
    let message = world.of_kind(Kind::Message, choices);
    if let Ok(delta) = world.group.validate(&message, policy, NOW)
        && let Some(commit) = delta.committed()
    {
        let _ = bounded("a Welcome of a commit", bytes.len() + message.len(), || {
            welcome.check_readers(world.suite, commit)
        });
    }
}

/// Everything that a group can be asked.
fn spoken_of(group: &Group) {
    assert_eq!(group.members().count(), group.member_count() as usize);
    let _ = (group.successor(), group.extensions().external_senders(), group.tree_bytes());
    for leaf in [0, 1, 7, u32::MAX] {
        let _ = group.member(leaf).and_then(|member| member.identity());
        if let Ok(unsigned) = propose_remove(group, leaf % 2, leaf) {
            unsigned.signed(&[]);
        }
    }
    assert!(Group::restore(&group.snapshot()).unwrap().snapshot() == group.snapshot());
}
