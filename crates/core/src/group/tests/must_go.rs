//! The must-go set: what a commit must take out, and who may commit no more.

use std::time::Duration;

use super::party::{ALICE, BOB, CAROL, DAN, Party, id};
use super::*;

const GRACE: Duration = crate::limits::MUST_GO_GRACE;

#[track_caller]
fn missing(result: Result<(), Rejection>) -> Vec<Vec<u8>> {
    match result {
        Err(Rejection::MissingProposals { proposals }) => proposals,
        other => panic!("nothing is missing: {other:?}"),
    }
}

fn leaving(party: &Party) -> Vec<String> {
    party.group.agenda().leaving.iter().map(|leaving| leaving.client.to_string()).collect()
}

#[test]
fn what_was_announced_ten_seconds_ago_must_go_by_the_next_commit() {
    let mut party = Party::of(&[BOB, CAROL]);
    let announced = party.announce(&[BOB], Cause::Left).unwrap();
    assert_eq!(announced.len(), 1);
    party.wait(GRACE.saturating_sub(Duration::from_millis(1)));
    party.update(ALICE, false).unwrap();
    assert_eq!(leaving(&party), [BOB], "a commit that crossed the announcement is taken");

    // The Remove is made again for the new epoch, and the ten seconds go on from the first announcement.
    party.wait(Duration::from_millis(1));
    let before = (party.group.mls().snapshot(), party.group.agenda().clone());
    let proposals = missing(party.update(ALICE, false));
    assert_eq!(proposals, [party.group.agenda().proposals[0].message.clone()]);
    assert_ne!(proposals[0], announced[0].message);
    assert_eq!((party.group.mls().snapshot(), party.group.agenda().clone()), before);
    for proposal in proposals {
        assert_eq!(party.member(ALICE).hear(&proposal).unwrap(), maypole_testkit::mls::Heard::Proposal);
    }
    party.update(CAROL, true).unwrap();
    assert_eq!(party.group.leaf_of(&id(BOB), &Here), None);
    assert!(leaving(&party).is_empty() && party.group.agenda().proposals.is_empty());
    party.update(ALICE, true).unwrap();
}

#[test]
fn a_leaf_goes_by_any_valid_means_and_nobody_is_asked_about_it() {
    let mut party = Party::of(&[BOB, CAROL]);
    party.announce(&[BOB], Cause::Kicked).unwrap();
    party.wait(GRACE);
    let bob = party.group.leaf_of(&id(BOB), &Here).unwrap();
    party.commit(ALICE, false, &Change { remove: &[bob], ..Change::default() }).unwrap();
    let Some(Intent::Commit { users, proposed, .. }) = &party.asked else { panic!("nobody was asked") };
    assert!(users.is_empty() && proposed.is_empty(), "what must go needs nobody's leave: {users:?}");

    // Who need not go is asked about.
    let carol = party.group.leaf_of(&id(CAROL), &Here).unwrap();
    party.commit(ALICE, false, &Change { remove: &[carol], ..Change::default() }).unwrap();
    let Some(Intent::Commit { users, .. }) = &party.asked else { panic!("nobody was asked") };
    assert_eq!((users.len(), users[0].leaves_before, users[0].leaves_after), (1, 1, 0));
}

#[test]
fn whoever_must_go_commits_and_proposes_nothing_any_more() {
    let mut party = Party::of(&[BOB]);
    party.announce(&[BOB], Cause::DeviceGone).unwrap();
    let before = (party.group.mls().snapshot(), party.group.agenda().clone());
    assert_eq!(party.update(BOB, false), Err(Rejection::Leaving), "not even in the first ten seconds");
    let update = party.member(BOB).propose_update().unwrap();
    assert_eq!(party.propose(BOB, &update).unwrap_err(), Rejection::Leaving);
    party.member(BOB).forget_proposals().unwrap();
    let leave = party.member(BOB).propose_self_remove().unwrap();
    assert_eq!(party.propose(BOB, &leave).unwrap_err(), Rejection::Leaving);
    assert_eq!((party.group.mls().snapshot(), party.group.agenda().clone()), before);
}

#[test]
fn one_leaf_has_one_remove_however_often_it_is_announced() {
    let mut party = Party::of(&[BOB, CAROL]);
    assert_eq!(party.announce(&[BOB, BOB], Cause::Left).unwrap().len(), 1);
    assert!(party.announce(&[BOB], Cause::Left).is_none(), "nothing is new");
    assert!(party.announce(&[BOB], Cause::DeviceGone).unwrap().is_empty(), "a cause more, no Remove more");
    assert!(party.announce(&["@mallory:b.org/X"], Cause::Left).is_none(), "who is not there cannot go");
    party.wait(GRACE);
    party.update(ALICE, true).unwrap();
    assert_eq!(party.group.mls().member_count(), 2);
}

#[test]
fn a_leaf_stays_when_every_cause_is_gone() {
    let mut party = Party::of(&[BOB]);
    party.announce(&[BOB], Cause::Left).unwrap();
    party.announce(&[BOB], Cause::DeviceGone).unwrap();
    party.withdraw(BOB, Cause::Left).unwrap();
    assert_eq!(leaving(&party), [BOB], "one cause is left");
    assert!(party.withdraw(BOB, Cause::Banned).is_none(), "it was none");
    party.withdraw(BOB, Cause::DeviceGone).unwrap();
    assert!(leaving(&party).is_empty());
    party.wait(GRACE);
    assert_eq!(party.group.agenda().proposals.len(), 1, "nobody can be made to forget a Remove");
    party.update(BOB, false).unwrap();
    assert!(party.group.agenda().proposals.is_empty(), "it is not made again");
    party.update(ALICE, true).unwrap();
    assert_eq!(party.group.mls().member_count(), 2);
}

#[test]
fn a_commit_may_take_a_remove_whose_cause_is_gone_meanwhile() {
    let mut party = Party::of(&[BOB]);
    party.announce(&[BOB], Cause::Left).unwrap();
    party.withdraw(BOB, Cause::Left).unwrap();
    party.update(ALICE, true).unwrap();
    let Some(Intent::Commit { users, .. }) = &party.asked else { panic!("nobody was asked") };
    assert!(users.is_empty(), "the service asked for it, so nobody else answers for it");
    assert_eq!(party.group.leaf_of(&id(BOB), &Here), None);
}

#[test]
fn a_members_remove_stands_for_the_services_until_the_epoch_ends() {
    let mut party = Party::of(&[BOB, party::ALICES_LAPTOP]);
    let leaf = party.group.leaf_of(&id(party::ALICES_LAPTOP), &Here).unwrap();
    let remove = party.member(ALICE).propose_remove(leaf).unwrap();
    party.propose(ALICE, &remove).unwrap();
    assert!(party.announce(&[party::ALICES_LAPTOP], Cause::DeviceGone).unwrap().is_empty());
    party.wait(GRACE);
    assert_eq!(missing(party.update(BOB, false)), [remove], "it is what must be committed");
    party.wait(Duration::from_secs(1));
    party.update(BOB, true).unwrap();
    assert!(leaving(&party).is_empty());
}

#[test]
fn who_joins_from_outside_leaves_removes_to_the_next_commit() {
    let mut party = Party::of(&[BOB, CAROL]);
    party.announce(&[BOB], Cause::Left).unwrap();
    party.wait(GRACE);
    let (info, tree) =
        (party.member(ALICE).group_info(false).unwrap(), party.member(ALICE).ratchet_tree().unwrap());
    let mut dan = Member::new(DAN, 1).unwrap();
    let made = dan.join_by_commit(&info, Some(&tree), b"").unwrap();
    let epoch = party.group.epoch().get();
    let step = party.case(&mut commit(DAN, epoch, &made));
    let decision = decided(step);
    assert_eq!(decision.stapled.len(), 1, "what it did not carry is made again");
    party.enter(decision);
    assert_eq!(leaving(&party), [BOB]);
    party.members = [(DAN, dan)].into();
    let proposals = missing(party.update(DAN, false));
    assert_eq!(proposals.len(), 1, "and is due at once");
    party.update(DAN, true).unwrap();
    assert!(leaving(&party).is_empty());
}

#[test]
fn who_joins_from_outside_carries_what_others_ask_for_themselves() {
    let mut party = Party::of(&[BOB, CAROL]);
    let leave = party.member(BOB).propose_self_remove().unwrap();
    party.propose(BOB, &leave).unwrap();
    let (info, tree) =
        (party.member(ALICE).group_info(false).unwrap(), party.member(ALICE).ratchet_tree().unwrap());
    let epoch = party.group.epoch().get();
    let join = |proposals: &[Vec<u8>]| {
        let mut dan = Member::new(DAN, 1).unwrap();
        commit(DAN, epoch, &dan.join_by_commit_of(&info, Some(&tree), b"", proposals).unwrap())
    };
    party.wait(GRACE.saturating_sub(Duration::from_millis(1)));
    let early = decided(party.case(&mut join(&[])));
    assert_eq!(early.agenda().leaving.len(), 1, "in the first seconds they may have crossed");
    assert_eq!(early.agenda().proposals[0].by, Proposer::Service, "it becomes a Remove");
    party.wait(Duration::from_millis(1));
    let refusal = refused(party.case(&mut join(&[])));
    assert_eq!(refusal, Rejection::MissingProposals { proposals: vec![leave.clone()] });
    let decision = decided(party.case(&mut join(&[leave])));
    assert!(decision.agenda().leaving.is_empty() && decision.stapled.is_empty());
    let Some(Intent::Commit { users, proposed, external, .. }) = &party.asked else { panic!("nobody asked") };
    assert!(*external && proposed.is_empty() && users.len() == 1, "only the joiner is asked about");
}

#[test]
fn who_comes_back_in_its_own_place_need_not_go() {
    let mut party = Party::of(&[BOB]);
    party.announce(&[BOB], Cause::Withheld).unwrap();
    let (info, tree) =
        (party.member(ALICE).group_info(false).unwrap(), party.member(ALICE).ratchet_tree().unwrap());
    party.member(BOB).forget_group().unwrap();
    let made = party.member(BOB).join_by_commit(&info, Some(&tree), b"").unwrap();
    let epoch = party.group.epoch().get();
    let decision = decided(party.case(&mut commit(BOB, epoch, &made)));
    assert!(decision.agenda().leaving.is_empty() && decision.stapled.is_empty());
    party.enter(decision);
    assert!(party.group.leaf_of(&id(BOB), &Here).is_some());
}

#[test]
fn who_was_never_told_how_to_join_must_go() {
    let mut party = Party::of(&[BOB]);
    let carol = Member::new(CAROL, 1).unwrap();
    let made = party.member(ALICE).add(&[carol.key_package().unwrap()]).unwrap();
    let about = |name: &str| Outside { about: UserId::parse(name), words: name.into() };
    let permit = Permit { effects: vec![about("@dan:b.org"), about("@carol:a.org")], cited: Vec::new() };
    let refused = Outcome { refused: vec![(1, "no".to_owned())], ..Outcome::default() };
    let unwanted = Outcome { unwanted: [id(CAROL).user].into(), ..Outcome::default() };
    let [_, decision] = [refused, unwanted].map(|outcome| {
        let mut case = commit(ALICE, party.group.epoch().get(), &made);
        let staged = permitted(Some(&party.group), &mut case, &permit);
        assert!(matches!(staged, Step::Stage(_)));
        assert_eq!(case.adds(), [id(CAROL).user].into());
        let last = step(Some(&party.group), &mut case, Input::Outcome(outcome), &Here, party.now);
        let decision = decided(answered(Some(&party.group), &mut case, last, &permit, party.now));
        assert_eq!(decision.agenda().leaving[0].causes, [Cause::Withheld]);
        assert_eq!(decision.withheld, [id(CAROL).user].into());
        assert_eq!(decision.stapled.len(), 1);
        decision
    });
    party.enter(decision);
    assert_eq!(leaving(&party), [CAROL]);
}

#[test]
fn what_was_staged_is_not_stopped_by_what_came_since() {
    let mut party = Party::of(&[BOB, CAROL]);
    let made = party.member(ALICE).update().unwrap();
    let permit = Permit { effects: vec![Outside { about: None, words: b"x".to_vec() }], cited: Vec::new() };
    let mut case = commit(ALICE, party.group.epoch().get(), &made);
    assert!(matches!(permitted(Some(&party.group), &mut case, &permit), Step::Stage(_)));
    party.announce(&[ALICE, BOB], Cause::Left).unwrap();
    party.wait(GRACE);
    let mut resumed = commit(ALICE, party.group.epoch().get(), &made);
    let taken_up = step(Some(&party.group), &mut resumed, Input::Resume(permit.clone()), &Here, now());
    assert!(matches!(taken_up, Step::Stage(_)), "{taken_up:?}");
    let outcome = || Input::Outcome(Outcome::default());
    let last = step(Some(&party.group), &mut case, outcome(), &Here, party.now);
    let decision = decided(answered(Some(&party.group), &mut case, last, &permit, party.now));
    assert_eq!(decision.stapled.len(), 2, "it goes on to be owed");
    party.member(ALICE).merge().unwrap();
    party.enter(decision);
    assert_eq!(leaving(&party), [ALICE, BOB]);
}

#[test]
fn of_many_the_oldest_go_first() {
    const ALL: usize = crate::limits::MUST_GO_AT_ONCE + 3;
    let name = |number: usize| id(&format!("@{number}:a.org/PHONE"));
    let mut agenda = Agenda::of(GroupId::parse(ROOM).unwrap());
    let start = Timestamp::from_millis(5);
    for number in 0..ALL {
        agenda.announce(&[name(number)], Cause::Left, start);
    }
    assert_eq!(agenda.unproposed(), (0..crate::limits::MUST_GO_AT_ONCE).map(name).collect::<Vec<_>>());
    let remove = |client: ClientId| Waiting {
        by: Proposer::Service,
        message: client.to_string().into_bytes(),
        does: Does::Removes(client),
        reference: Vec::new(),
        delta: Vec::new(),
        proposed_at: start,
    };
    agenda.proposals = agenda.unproposed().into_iter().map(remove).collect();
    assert!(agenda.unproposed().is_empty());
    let late = start.plus(GRACE);
    assert_eq!(agenda.due(late).count(), crate::limits::MUST_GO_AT_ONCE);
    let (first, second) = (name(0), name(1));
    let all_but_two: Vec<ClientId> = (2..ALL).map(name).collect();
    let lacking = agenda.missing(&all_but_two.iter().collect(), late);
    assert_eq!(lacking, [first.to_string().into_bytes(), second.to_string().into_bytes()]);

    let after = agenda.after_commit(&all_but_two[..254], &[]);
    assert_eq!(after.unproposed().len(), 5, "the next come when there is room");
    for number in ALL..crate::limits::LEAVING {
        agenda.announce(&[name(number)], Cause::Left, late);
    }
    let over = name(crate::limits::LEAVING);
    assert_eq!(agenda.announce(&[first, over.clone()], Cause::Banned, late), [over], "there is a bound");
    let large = |number: usize| Waiting { message: vec![7; 20_000], ..remove(name(number)) };
    agenda.proposals = (0..3).map(large).collect();
    assert_eq!(agenda.missing(&BTreeSet::new(), late).len(), 1, "a refusal holds so many bytes");
}

#[test]
fn a_group_in_which_every_leaf_must_go_is_dormant() {
    let mut party = Party::of(&[BOB]);
    party.announce(&[BOB], Cause::Left).unwrap();
    assert!(!party.group.is_dormant());
    party.announce(&[ALICE], Cause::Left).unwrap();
    assert!(party.group.is_dormant());
    assert_eq!(party.group.agenda().lease, None, "nobody is left to ask");
    assert_eq!(party.group.duty_passes_at(party.now), None);
    for name in [ALICE, BOB] {
        assert_eq!(party.update(name, false), Err(Rejection::Leaving));
    }
    party.withdraw(ALICE, Cause::Left).unwrap();
    assert!(!party.group.is_dormant());
    assert_eq!(party.group.agenda().lease.as_ref().unwrap().holder, id(ALICE));
}
