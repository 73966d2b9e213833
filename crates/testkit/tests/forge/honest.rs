//! Histories without a lie in them, from bare and warm trees, in each suite that both libraries have.

use maypole_testkit::forge::{
    Draft, Extension, Forge, Founding, KeyPackage, KeyPackageDraft, LeafDraft, PathDraft, Proposal,
    SELF_REMOVE, Sender, Shape, Suite,
};

use crate::followers::{Follower, OpenMls, mls_rs};

/// A forge, and those who follow it.
struct History {
    forge: Forge,
    followers: Vec<(&'static str, Box<dyn Follower>)>,
    name: String,
}

impl History {
    fn of(suite: Suite, members: u32, shape: Shape, seed: u64) -> Self {
        let mut history = Self::unheard(suite, members, shape, seed);
        history.openmls_follows();
        history.mls_rs_follows();
        history
    }

    fn unheard(suite: Suite, members: u32, shape: Shape, seed: u64) -> Self {
        let name = format!("suite {}, {members} members, {shape:?}, seed {seed}", suite.number());
        let forge = Forge::new(&Founding::of(suite, members, shape, seed)).unwrap();
        Self { forge, followers: Vec::new(), name }
    }

    fn openmls_follows(&mut self) {
        let follower = OpenMls::of(&self.forge).unwrap_or_else(|why| panic!("{}: {why}", self.name));
        self.followers.push(("OpenMLS", Box::new(follower)));
    }

    fn mls_rs_follows(&mut self) {
        let follower = mls_rs(&self.forge).unwrap_or_else(|why| panic!("{}: {why}", self.name));
        self.followers.push(("mls-rs", Box::new(follower)));
    }

    fn all_hear(&mut self, what: &str, message: &[u8]) {
        for (who, follower) in &mut self.followers {
            if let Err(why) = follower.hear(message) {
                panic!("{}: {what}: {who}: {why}", self.name);
            }
        }
    }

    fn propose(&mut self, sender: Sender, proposal: Proposal) -> maypole_testkit::forge::ProposalMessage {
        let message = self.forge.propose(sender, proposal).unwrap();
        self.all_hear("a proposal", &message.message);
        message
    }

    fn play(&mut self, what: &str, draft: &Draft) {
        let commit = self.forge.commit(draft).unwrap();
        self.all_hear(what, &commit.message);
        self.forge.play(&commit).unwrap();
        let ours = (self.forge.tree_hash().to_vec(), self.forge.confirmed_transcript_hash().to_vec());
        for (who, follower) in &self.followers {
            assert_eq!(follower.hashes(), ours, "{}: {what}: {who}", self.name);
        }
    }

    fn package(&self, identity: &str) -> KeyPackage {
        self.forge.key_package(&KeyPackageDraft::of(identity)).unwrap()
    }
}

fn everything(history: &mut History) {
    let last = history.forge.members().count() as u32 - 1;
    let mut draft = history.forge.draft_update(0);
    draft.framing.authenticated_data = b"{\"said\": 1}".to_vec();
    history.play("an update", &draft);
    history.play("another's update", &history.forge.draft_update(last));
    history.play("a remove", &history.forge.draft_remove(0, &[2]));
    let added = [history.package("@ann:a.org/D"), history.package("@ben:a.org/D")];
    history.play("two adds without a path", &history.forge.draft_add(1, &added));
    history.play("an update over unmerged leaves", &history.forge.draft_update(0));
    let mut draft = history.forge.draft_add(3, &[history.package("@cleo:a.org/D")]);
    draft.path = Some(PathDraft::default());
    history.play("an add with a path", &draft);
    history.play("an external join", &history.forge.draft_external("@dan:b.org/D", &[]).unwrap());
    history.play("a resync", &history.forge.draft_resync(3).unwrap());
    history.play("removes from the right", &history.forge.draft_remove(0, &[last, last + 1]));

    let update = history.forge.update_of(1, &LeafDraft::default()).unwrap();
    let update = history.propose(Sender::Member(1), update);
    let remove = history.propose(Sender::External(0), Proposal::Remove(3));
    let newcomer = Proposal::Add(history.package("@eve:b.org/D"));
    let newcomer = history.propose(Sender::NewMemberProposal, newcomer);
    let invited = Proposal::Add(history.package("@fay:a.org/D"));
    let invited = history.propose(Sender::External(0), invited);
    let added = Proposal::Add(history.package("@gil:a.org/D"));
    let added = history.propose(Sender::Member(0), added);
    let all = [&update, &remove, &newcomer, &invited, &added];
    history.play("references", &history.forge.draft_references(0, &all));

    let mut extensions = history.forge.extensions().to_vec();
    extensions.push(Extension::required_capabilities(&[], &[SELF_REMOVE], &[1]));
    history.play("extensions", &history.forge.draft_extensions(1, &extensions));
    let fewer =
        history.propose(Sender::Member(0), Proposal::Extensions(history.forge.extensions()[..1].to_vec()));
    history.play("extensions by reference", &history.forge.draft_references(1, &[&fewer]));
    let others: Vec<u32> = history.forge.members().map(|(leaf, _)| leaf).filter(|leaf| *leaf > 1).collect();
    history.play("all but two removed", &history.forge.draft_remove(1, &others));
    history.play("one more update", &history.forge.draft_update(0));
}

#[test]
fn both_libraries_follow_an_honest_history_to_the_same_hashes() {
    for suite in Suite::COMMON {
        for shape in [Shape::Bare, Shape::Warm] {
            for members in [5, 8, 11] {
                everything(&mut History::of(suite, members, shape, 100 + u64::from(members)));
            }
        }
    }
}

#[test]
fn mls_rs_follows_an_honest_history_with_sha384() {
    for shape in [Shape::Bare, Shape::Warm] {
        let mut history = History::unheard(Suite::Seven, 8, shape, 384);
        history.mls_rs_follows();
        everything(&mut history);
    }
}

#[test]
fn openmls_follows_those_who_leave_by_themselves() {
    for suite in Suite::COMMON {
        for shape in [Shape::Bare, Shape::Warm] {
            let mut history = History::unheard(suite, 9, shape, 7);
            history.openmls_follows();
            let two = [8, 3].map(|leaf| history.propose(Sender::Member(leaf), Proposal::SelfRemove));
            history.play("two leave", &history.forge.draft_references(0, &[&two[0], &two[1]]));
            assert_eq!(history.forge.width(), 8);
            let one = history.propose(Sender::Member(5), Proposal::SelfRemove);
            let join = history.forge.draft_external("@new:b.org/D", &[]).unwrap().referring_to(&one);
            history.play("one leaves as another comes in", &join);
        }
    }
}

#[test]
fn trees_of_every_size_up_to_forty_are_valid() {
    for members in 1..=40 {
        for shape in [Shape::Bare, Shape::Warm] {
            let mut history = History::of(Suite::One, members, shape, 9_000 + u64::from(members));
            history.play("an update", &history.forge.draft_update(members / 2));
        }
    }
}

#[test]
fn the_same_seed_forges_the_same_bytes() {
    let forge = || Forge::new(&Founding::of(Suite::One, 9, Shape::Warm, 5)).unwrap();
    let (one, other) = (forge(), forge());
    assert_eq!(one.ratchet_tree(), other.ratchet_tree());
    let commit = |forge: &Forge| forge.commit(&forge.draft_remove(0, &[4])).unwrap().message;
    assert_eq!(commit(&one), commit(&other));
    assert_ne!(commit(&one), commit(&one), "two commits in one epoch have different keys");
    let third = Forge::new(&Founding::of(Suite::One, 9, Shape::Warm, 6)).unwrap();
    assert_ne!(one.ratchet_tree(), third.ratchet_tree());
}

#[test]
fn every_parent_of_a_warm_tree_is_filled_with_a_key_of_the_suite() {
    for members in 1..=40 {
        let forge = Forge::new(&Founding::of(Suite::Two, members, Shape::Warm, 4)).unwrap();
        assert!(forge.parents().all(|(_, parent)| matches!(parent.encryption_key[..], [4, _, ..])));
        assert!(forge.parents().all(|(_, parent)| parent.encryption_key.len() == 65));
        assert_eq!(forge.parents().count() as u32, members - 1, "{members} members");
    }
}
