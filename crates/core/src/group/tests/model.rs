//! Random lives of a group, beside a model that is obviously right.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::party::{ALICE, BOB, CAROL, DAN, Party, id};
use super::*;
use crate::limits;

const NAMES: [&str; 4] = [ALICE, BOB, CAROL, DAN];
const CAUSES: [Cause; 3] = [Cause::Left, Cause::DeviceGone, Cause::KeyReplaced];

#[derive(Clone, Copy, Debug)]
enum Action {
    Announce(usize, usize),
    Withdraw(usize, usize),
    /// A device asks for its own removal.
    Leave(usize),
    /// A device renews its keys by a proposal.
    Update(usize),
    /// A commit, with all that its device has heard or with none of it.
    Commit(usize, bool),
    Wait(u64),
    /// The service comes back from what is written.
    Restart,
    Tend,
}

fn action() -> impl Strategy<Value = Action> {
    let who = 0..NAMES.len();
    prop_oneof![
        4 => (who.clone(), 0..CAUSES.len()).prop_map(|(who, cause)| Action::Announce(who, cause)),
        3 => (who.clone(), 0..CAUSES.len()).prop_map(|(who, cause)| Action::Withdraw(who, cause)),
        2 => who.clone().prop_map(Action::Leave),
        2 => who.clone().prop_map(Action::Update),
        6 => (who, any::<bool>()).prop_map(|(who, heard)| Action::Commit(who, heard)),
        3 => prop_oneof![Just(4_000), Just(6_000), Just(31_000)].prop_map(Action::Wait),
        1 => Just(Action::Restart),
        1 => Just(Action::Tend),
    ]
}

/// What the rules say, in the simplest words.
#[derive(Default)]
struct Model {
    epoch: u64,
    members: BTreeSet<&'static str>,
    /// Who must go, why, and since when.
    leaving: BTreeMap<&'static str, (BTreeSet<Cause>, u64)>,
    /// Whose removal everybody was told of in this epoch.
    removals: BTreeSet<&'static str>,
    /// Who proposed something in this epoch, and how often.
    proposed: BTreeMap<&'static str, usize>,
    now_ms: u64,
    /// Whose library holds a proposal that was refused, which it would commit.
    spoiled: BTreeSet<&'static str>,
}

impl Model {
    fn may_propose(&self, name: &str) -> Result<(), Code> {
        if self.leaving.contains_key(name) {
            return Err(Code::Leaving);
        }
        let has = self.proposed.get(name).copied().unwrap_or_default();
        if has < limits::PROPOSALS_OF_ONE { Ok(()) } else { Err(Code::LimitExceeded) }
    }

    fn leave(&mut self, name: &'static str) -> Result<(), Code> {
        self.may_propose(name)?;
        if self.removals.contains(name) {
            return Err(Code::InvalidProposal);
        }
        self.leaving.insert(name, (BTreeSet::from([Cause::SelfRemove]), self.now_ms));
        self.removals.insert(name);
        *self.proposed.entry(name).or_default() += 1;
        Ok(())
    }

    fn commit(&mut self, name: &'static str, heard: bool) -> Result<(), Code> {
        if self.leaving.contains_key(name) {
            return Err(Code::Leaving);
        }
        let removed = if heard { self.removals.clone() } else { BTreeSet::new() };
        let is_due = |announced_ms: u64| announced_ms + 10_000 <= self.now_ms;
        if self.leaving.iter().any(|(name, (_, at))| is_due(*at) && !removed.contains(name)) {
            return Err(Code::MissingProposals);
        }
        self.epoch += 1;
        self.members.retain(|name| !removed.contains(name));
        self.leaving.retain(|name, _| !removed.contains(name));
        self.removals = self.leaving.keys().copied().collect();
        self.proposed.clear();
        self.spoiled.clear();
        Ok(())
    }
}

/// One action, on both; what is refused is refused with the same code, and changes nothing.
fn act(party: &mut Party, model: &mut Model, action: Action) {
    let before = (party.group.mls().snapshot(), party.group.agenda().clone());
    let (done, expected) = match action {
        Action::Wait(time_ms) => {
            party.wait(Duration::from_millis(time_ms));
            model.now_ms += time_ms;
            return;
        }
        Action::Restart => {
            party.group = party.restored();
            return;
        }
        Action::Tend => {
            party.order(&Order::Tend);
            return;
        }
        Action::Announce(who, cause) => {
            let (name, cause) = (NAMES[who], CAUSES[cause]);
            party.announce(&[name], cause);
            if model.members.contains(name) {
                let entry = model.leaving.entry(name).or_insert((BTreeSet::new(), model.now_ms));
                entry.0.insert(cause);
                model.removals.insert(name);
            }
            return;
        }
        Action::Withdraw(who, cause) => {
            let (name, cause) = (NAMES[who], CAUSES[cause]);
            party.withdraw(name, cause);
            if let Some(entry) = model.leaving.get_mut(name) {
                entry.0.remove(&cause);
            }
            model.leaving.retain(|_, (causes, _)| !causes.is_empty());
            return;
        }
        Action::Leave(who) | Action::Update(who) | Action::Commit(who, _)
            if !model.members.contains(NAMES[who]) =>
        {
            return;
        }
        Action::Leave(who) => {
            let name = NAMES[who];
            let message = party.member(name).propose_self_remove().unwrap();
            (party.propose(name, &message).map(drop), model.leave(name))
        }
        Action::Update(who) => {
            let name = NAMES[who];
            let message = party.member(name).propose_update().unwrap();
            let expected = model.may_propose(name);
            if expected.is_ok() {
                *model.proposed.entry(name).or_default() += 1;
            }
            (party.propose(name, &message).map(drop), expected)
        }
        // Nobody's library commits its own removal, whose cause may be gone.
        Action::Commit(who, true)
            if model.removals.contains(NAMES[who]) || model.spoiled.contains(NAMES[who]) =>
        {
            return;
        }
        Action::Commit(who, heard) => (party.update(NAMES[who], heard), model.commit(NAMES[who], heard)),
    };
    let refused = done.is_err();
    if let (true, Action::Leave(who) | Action::Update(who)) = (refused, action) {
        model.spoiled.insert(NAMES[who]);
    }
    assert_eq!(done.map_err(|rejection| rejection.code()), expected, "{action:?}");
    if refused {
        assert_eq!((party.group.mls().snapshot(), party.group.agenda().clone()), before, "{action:?}");
    }
}

fn compare(party: &Party, model: &Model) {
    party.check();
    let agenda = party.group.agenda();
    assert_eq!(party.group.epoch().get(), model.epoch);
    let members: BTreeSet<ClientId> = party.group.members(&Here).map(|(_, client)| client).collect();
    assert_eq!(members, model.members.iter().map(|name| id(name)).collect());
    let leaving = agenda.leaving.iter().map(|leaving| {
        let causes: BTreeSet<Cause> = leaving.causes.iter().copied().collect();
        (leaving.client.clone(), causes)
    });
    let expected = model.leaving.iter().map(|(name, (causes, _))| (id(name), causes.clone()));
    assert_eq!(leaving.collect::<BTreeMap<_, _>>(), expected.collect());
    let removals: BTreeSet<ClientId> =
        agenda.proposals.iter().filter_map(Waiting::removes).cloned().collect();
    assert_eq!(removals, model.removals.iter().map(|name| id(name)).collect());
    assert_eq!(party.group.is_dormant(), model.leaving.len() == model.members.len());
    let needed = !agenda.leaving.is_empty() || !agenda.proposals.is_empty();
    assert_eq!(agenda.lease.is_some(), needed && !party.group.is_dormant(), "somebody has the duty");
}

#[test]
fn random_lives_go_as_the_rules_say() {
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(actions in prop::collection::vec(action(), 1..30))| {
        let mut party = Party::of(&[BOB, CAROL, DAN]);
        let mut model = Model { epoch: 1, members: NAMES.into(), ..Model::default() };
        for action in actions {
            act(&mut party, &mut model, action);
            compare(&party, &model);
        }
        prop_assert_eq!(party.log.len() as u64, model.epoch, "epochs are contiguous");
        party.restored();
    });
}
