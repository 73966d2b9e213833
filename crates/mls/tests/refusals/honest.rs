//! Histories without a lie, forged and followed: in every suite, over trees that double, halve, have gaps and unmerged
//! leaves. After each step the group has the forge's hashes and tree, and so has one that is restored from bytes or made
//! again from deltas.

use std::collections::{BTreeMap, BTreeSet};

use maypole_mls::{Committed, Delta, Group, Strict, reader::Reader};
use maypole_testkit::forge::{
    Credential, Draft, Extension, Forge, Founding, KeyPackage, KeyPackageDraft, LeafDraft, PathDraft,
    Proposal, ProposalMessage, SELF_REMOVE, Sender, Shape, Suite,
};

use crate::trial::{NOW, import};

const SUITES: [Suite; 5] = [Suite::One, Suite::Two, Suite::Three, Suite::Five, Suite::Seven];

/// A history, and three who follow it.
struct History {
    forge: Forge,
    group: Group,
    /// Made again from deltas alone.
    replayed: Group,
    /// Restored from a snapshot after each step.
    restored: Group,
    named: u32,
    name: String,
}

impl History {
    fn of(suite: Suite, members: u32, shape: Shape, seed: u64) -> Self {
        let name = format!("suite {}, {members} members, {shape:?}, seed {seed}", suite.number());
        let forge = Forge::new(&Founding::of(suite, members, shape, seed).at(NOW.0)).unwrap();
        let group = import(&forge, &Strict).unwrap_or_else(|why| panic!("{name}: {why}"));
        let history = Self { replayed: group.clone(), restored: group.clone(), forge, group, named: 0, name };
        history.agrees("at the beginning");
        history
    }

    #[track_caller]
    fn agrees(&self, what: &str) {
        let (forge, name) = (&self.forge, &self.name);
        for group in [&self.group, &self.replayed, &self.restored] {
            assert!(group.ratchet_tree() == forge.ratchet_tree(), "{name}: {what}: another tree");
            assert_eq!(group.tree_hash(), forge.tree_hash(), "{name}: {what}");
            let (confirmed, interim) = (group.confirmed_transcript_hash(), group.interim_transcript_hash());
            assert_eq!(confirmed, forge.confirmed_transcript_hash(), "{name}: {what}");
            assert_eq!(interim, forge.interim_transcript_hash(), "{name}: {what}");
            assert_eq!(group.confirmation_tag(), forge.confirmation_tag(), "{name}: {what}");
            assert_eq!(group.context(), forge.group_context(), "{name}: {what}");
            assert_eq!(group.epoch(), forge.epoch(), "{name}: {what}");
            let members: Vec<u32> = group.members().map(|member| member.leaf).collect();
            let forged: Vec<u32> = forge.members().map(|(leaf, _)| leaf).collect();
            assert_eq!(members, forged, "{name}: {what}");
            assert_eq!(group.member_count() as usize, forged.len(), "{name}: {what}");
            let names = group.members().map(|member| member.identity().map(<[u8]>::to_vec));
            let forged = forge.members().map(|(_, leaf)| identity(&leaf.credential));
            assert!(names.eq(forged), "{name}: {what}: other identities");
            assert_eq!(group.tree_bytes(), bytes_of_nodes(forge), "{name}: {what}");
        }
        assert!(self.group.snapshot() == self.replayed.snapshot(), "{name}: {what}: replayed");
        assert!(self.group.snapshot() == self.restored.snapshot(), "{name}: {what}: restored");
    }

    /// All three take a message, and see the same in it.
    #[track_caller]
    fn hear(&mut self, what: &str, message: &[u8]) -> Delta {
        let name = &self.name;
        let judge = |group: &Group| {
            group.validate(message, &Strict, NOW).unwrap_or_else(|why| panic!("{name}: {what}: {why}"))
        };
        let delta = judge(&self.group);
        let bytes = delta.to_bytes();
        let again = judge(&self.restored);
        assert!(again.to_bytes() == bytes, "{name}: {what}: a restored group sees another delta");
        assert_eq!(again.committed(), delta.committed(), "{name}: {what}");
        self.replayed.replay(&bytes).unwrap_or_else(|why| panic!("{name}: {what}: replayed: {why}"));
        self.group.apply(delta.clone()).unwrap();
        self.restored.apply(again).unwrap();
        let snapshot = self.restored.snapshot();
        self.restored = Group::restore(&snapshot).unwrap();
        assert!(self.restored.snapshot() == snapshot, "{name}: {what}: restored");
        assert!(self.group.apply(delta.clone()).is_err(), "{name}: {what}: applied twice");
        assert!(self.replayed.replay(&bytes).is_err(), "{name}: {what}: replayed twice");
        delta
    }

    #[track_caller]
    fn propose(&mut self, sender: Sender, proposal: Proposal) -> ProposalMessage {
        let message = self.forge.propose(sender, proposal).unwrap();
        self.hear("a proposal", &message.message);
        self.agrees("a proposal");
        message
    }

    #[track_caller]
    fn play(&mut self, what: &str, draft: &Draft) {
        let commit = self.forge.commit(draft).unwrap();
        let before = leaves(&self.group);
        let delta = self.hear(what, &commit.message);
        self.forge.play(&commit).unwrap();
        self.agrees(what);
        let committed = delta.committed().unwrap();
        assert_eq!(
            moved(committed),
            moves(&before, &leaves(&self.group), committed),
            "{}: {what}",
            self.name
        );
        assert_eq!(committed.committer, commit.committer, "{}: {what}", self.name);
        let joined: Vec<u32> = committed.joined.iter().map(|joined| joined.leaf).collect();
        let joiner = committed.external.then_some(commit.committer);
        let added: Vec<u32> = commit.added.iter().copied().chain(joiner).collect();
        assert_eq!(joined, added, "{}: {what}", self.name);
    }

    /// So many new KeyPackages, of people who were never there.
    fn packages(&mut self, count: u32) -> Vec<KeyPackage> {
        let first = self.named;
        self.named += count;
        let package = |number| KeyPackageDraft::of(&format!("@new{number}:b.org/D"));
        (first..first + count).map(|number| self.forge.key_package(&package(number)).unwrap()).collect()
    }

    fn add(&mut self, committer: u32, count: u32, with_path: bool) {
        let packages = self.packages(count);
        let mut draft = self.forge.draft_add(committer, &packages);
        draft.path = with_path.then(PathDraft::default);
        self.play(&format!("{count} Adds"), &draft);
    }

    fn join(&mut self) {
        self.named += 1;
        let name = format!("@joins{}:b.org/D", self.named);
        self.play("a join", &self.forge.draft_external(&name, &[]).unwrap());
    }

    fn members(&self) -> Vec<u32> {
        self.forge.members().map(|(leaf, _)| leaf).collect()
    }

    /// All from a leaf on are removed.
    fn cut(&mut self, committer: u32, from: u32) {
        let removed: Vec<u32> = self.members().into_iter().filter(|leaf| *leaf >= from).collect();
        self.play(&format!("cut at {from}"), &self.forge.draft_remove(committer, &removed));
    }

    fn update(&mut self, leaf: u32) {
        self.play("an update", &self.forge.draft_update(leaf));
    }
}

/// The leaves of a group as they are written.
fn leaves(group: &Group) -> BTreeMap<u32, Vec<u8>> {
    group.members().map(|member| (member.leaf, member.node.raw.to_vec())).collect()
}

/// Who has come, gone and changed: leaves with what was there before and what is there now.
type Moved = BTreeSet<(u32, Option<Vec<u8>>, Option<Vec<u8>>)>;

/// The same as a verdict says it.
fn moved(committed: &Committed) -> Moved {
    let joined = committed.joined.iter().map(|joined| (joined.leaf, None, Some(joined.node.to_vec())));
    let left = committed.left.iter().map(|left| (left.leaf, Some(left.node.to_vec()), None));
    let replaced = committed.replaced.iter();
    let replaced = replaced.map(|one| (one.leaf, Some(one.before.to_vec()), Some(one.after.to_vec())));
    joined.chain(left).chain(replaced).collect()
}

/// The same by comparing leaves. Whoever joins at a leaf did not replace who was there before.
fn moves(before: &BTreeMap<u32, Vec<u8>>, after: &BTreeMap<u32, Vec<u8>>, committed: &Committed) -> Moved {
    let joins = |leaf: &u32| committed.joined.iter().any(|joined| joined.leaf == *leaf);
    let changed = before.keys().chain(after.keys()).filter(|leaf| before.get(leaf) != after.get(leaf));
    let apart = |leaf: &u32| {
        let (old, new) = (before.get(leaf).cloned(), after.get(leaf).cloned());
        match joins(leaf) {
            true => vec![(*leaf, old, None), (*leaf, None, new)],
            false => vec![(*leaf, old, new)],
        }
    };
    changed.flat_map(apart).filter(|(_, old, new)| old.is_some() || new.is_some()).collect()
}

/// What an identity is to the group: that of a basic credential.
fn identity(credential: &Credential) -> Option<Vec<u8>> {
    match credential {
        Credential::Basic(identity) => Some(identity.clone()),
        _ => None,
    }
}

/// How many bytes the nodes of a tree have: a byte more for each node says that it is there, one more its kind.
fn bytes_of_nodes(forge: &Forge) -> usize {
    let tree = forge.ratchet_tree();
    let last = forge.members().last().map_or(0, |(leaf, _)| leaf) as usize;
    let filled = forge.members().count() + forge.parents().count();
    Reader::new(&tree).opaque("tree").unwrap().len() - (2 * last + 1) - filled
}

fn everything(history: &mut History) {
    let last = *history.members().last().unwrap();
    let mut draft = history.forge.draft_update(0);
    draft.framing.authenticated_data = b"{\"said\": 1}".to_vec();
    history.play("an update with data", &draft);
    history.update(last);
    history.play("a remove", &history.forge.draft_remove(0, &[2]));
    history.add(1, 2, false);
    history.update(0);
    history.add(3, 1, true);
    history.join();
    history.play("a resync", &history.forge.draft_resync(3).unwrap());
    history.play("removes from the right", &history.forge.draft_remove(0, &[last, last + 1]));

    let update = history.forge.update_of(1, &LeafDraft::default()).unwrap();
    let update = history.propose(Sender::Member(1), update);
    let remove = history.propose(Sender::External(0), Proposal::Remove(3));
    let mut packages = history.packages(3).into_iter().map(Proposal::Add);
    let senders = [Sender::NewMemberProposal, Sender::External(0), Sender::Member(0)];
    let adds = senders.map(|sender| history.propose(sender, packages.next().unwrap()));
    let all = [&update, &remove, &adds[0], &adds[1], &adds[2]];
    history.play("references", &history.forge.draft_references(0, &all));

    let mut extensions = history.forge.extensions().to_vec();
    extensions.push(Extension::required_capabilities(&[], &[SELF_REMOVE], &[1]));
    history.play("extensions", &history.forge.draft_extensions(1, &extensions));
    let fewer = Proposal::Extensions(history.forge.extensions()[..1].to_vec());
    let fewer = history.propose(Sender::Member(0), fewer);
    history.play("extensions by reference", &history.forge.draft_references(1, &[&fewer]));

    let leaving = history.members().into_iter().rev().take(2).collect::<Vec<_>>();
    let two = leaving.iter().map(|leaf| history.propose(Sender::Member(*leaf), Proposal::SelfRemove));
    let two: Vec<_> = two.collect();
    history.play("one leaves", &history.forge.draft_references(0, &[&two[0]]));
    let leaf = *history.members().last().unwrap();
    let leaving = history.propose(Sender::Member(leaf), Proposal::SelfRemove);
    history.named += 1;
    let join = history.forge.draft_external("@instead:b.org/D", &[]).unwrap().referring_to(&leaving);
    history.play("one leaves as another comes in", &join);
    let others: Vec<u32> = history.members().into_iter().filter(|leaf| *leaf > 1).collect();
    history.play("all but two removed", &history.forge.draft_remove(1, &others));
    history.update(0);
}

/// Growth by one, by many, to the brim and over it; cuts by one level and by several, and growth again.
fn breathing(history: &mut History) {
    history.add(0, 1, false);
    history.add(0, 20, false);
    history.update(1);
    history.add(1, 3, true);
    history.cut(0, 17);
    history.cut(1, 9);
    history.update(0);
    history.add(0, 30, true);
    history.cut(0, 2);
    assert_eq!(history.forge.width(), 2);
    history.add(1, 40, false);
    let odd: Vec<u32> = history.members().into_iter().filter(|leaf| leaf % 2 == 1 && *leaf > 1).collect();
    history.play("every other", &history.forge.draft_remove(0, &odd));
    history.add(0, 5, false);
    history.update(8);
    history.join();
    history.cut(8, 33);
    history.cut(0, 1);
    assert_eq!(history.forge.width(), 1);
    history.update(0);
    history.add(0, 1, false);
    history.join();
    history.add(1, 2, true);
    // Cut and grown in one commit, over what was just cut off.
    let removed: Vec<u32> = history.members().into_iter().filter(|leaf| *leaf > 0).collect();
    let packages = history.packages(9);
    let draft = history.forge.draft_remove(0, &removed);
    let draft = packages.into_iter().map(Proposal::Add).fold(draft, Draft::with);
    history.play("all others replaced", &draft);
}

#[test]
fn everything_that_a_group_does_is_followed() {
    for suite in SUITES {
        for shape in [Shape::Bare, Shape::Warm] {
            for members in [5, 8, 11] {
                everything(&mut History::of(suite, members, shape, 100 + u64::from(members)));
            }
        }
    }
}

#[test]
fn trees_that_double_and_halve_are_followed() {
    for suite in SUITES {
        for shape in [Shape::Bare, Shape::Warm] {
            breathing(&mut History::of(suite, 2, shape, 200));
        }
    }
}

#[test]
fn a_commit_may_quadruple_a_tree() {
    for suite in SUITES {
        for (members, count) in [(1, 19), (1, 32), (2, 14), (3, 62), (5, 100)] {
            for with_path in [false, true] {
                let mut history = History::of(suite, members, Shape::Warm, 300);
                history.add(0, count, with_path);
                history.update(members);
                history.cut(members, members + 1);
                history.add(0, count, !with_path);
                history.join();
            }
        }
    }
}

#[test]
fn trees_of_every_size_are_followed() {
    for members in 1..=40 {
        for shape in [Shape::Bare, Shape::Warm] {
            let mut history = History::of(Suite::One, members, shape, 9_000 + u64::from(members));
            history.update(members / 2);
            history.join();
            history.add(0, 1, false);
            history.cut(members / 2, members / 2 + 1);
            history.update(0);
        }
    }
}

/// Steps chosen by a seed: the shapes that nobody thought of.
#[test]
fn wandering_histories_are_followed() {
    for seed in 0..60 {
        let suite = SUITES[seed as usize % 3];
        let shape = [Shape::Bare, Shape::Warm][seed as usize / 3 % 2];
        let mut history = History::of(suite, 1 + seed as u32 % 13, shape, 50_000 + seed);
        let dice = history.forge.bytes(120);
        for throw in dice.as_chunks::<3>().0 {
            let members = history.members();
            let pick = |byte: u8| members[byte as usize % members.len()];
            let (one, other) = (pick(throw[1]), pick(throw[2]));
            match throw[0] % 8 {
                0 => history.update(one),
                1 => history.add(one, 1 + u32::from(throw[2]) % 9, false),
                2 => history.add(one, 1 + u32::from(throw[2]) % 20, true),
                3 if one != other => history.play("one", &history.forge.draft_remove(one, &[other])),
                4 if one < other => history.cut(one, one + 1),
                5 => history.join(),
                6 => history.play("a resync", &history.forge.draft_resync(one).unwrap()),
                7 if one != other => {
                    let update = history.forge.update_of(other, &LeafDraft::default()).unwrap();
                    let update = history.propose(Sender::Member(other), update);
                    let added = Proposal::Add(history.packages(1).remove(0));
                    let added = history.propose(Sender::External(0), added);
                    history.play("references", &history.forge.draft_references(one, &[&added, &update]));
                }
                _ => history.update(other),
            }
        }
    }
}
