//! Generations: a group that nobody can go on with is begun anew.

use super::party::{ALICE, BOB, Party};
use super::*;
use crate::ids::InboxSeq;

const NEXT: &str = "!room:a.org#1";

fn begun_by(name: &str, group_id: &str) -> (Member, Vec<u8>) {
    let mut member = Member::new(name, 1).unwrap();
    member.create_group(group_id.as_bytes(), &[service(service_key())]).unwrap();
    let info = member.group_info(true).unwrap();
    (member, info)
}

fn registering(name: &str, group_id: &str) -> Case {
    let (_, group_info) = begun_by(name, group_id);
    let by = client(name).unwrap();
    let group = GroupId::parse(group_id).unwrap();
    let caller = Authenticated::stored(by.user);
    Case::new(Command::of(&caller, by.device, group, Request::Register { group_info }))
}

/// A registration of the next generation, with what it is told of the one before.
fn next(case: &mut Case, before: Option<Standing>) -> Step {
    let Step::Need(Need::Predecessor(asked)) = begin(None, case) else { panic!("nobody asks for it") };
    assert_eq!(asked, GroupId::parse(ROOM).unwrap());
    step(None, case, Input::Fetched(Fetched::Predecessor(Ok(before.map(Box::new)))), &Here, now())
}

fn dormant() -> Party {
    let mut party = Party::of(&[BOB]);
    party.announce(&[ALICE, BOB], Cause::DeviceGone).unwrap();
    party
}

#[test]
fn a_generation_begins_only_where_the_one_before_can_end() {
    let party = Party::of(&[BOB]);
    let refusal = refused(next(&mut registering(BOB, NEXT), Some(party.group.standing())));
    assert_eq!(refusal.code(), Code::Forbidden, "somebody can go on with it");
    assert_eq!(refused(next(&mut registering(BOB, NEXT), None)), Rejection::UnknownGroup);
    let silence = Rejection::Unavailable { users: Vec::new(), problem: "silence" };
    let mut case = registering(BOB, NEXT);
    begin(None, &mut case);
    let failed = Input::Fetched(Fetched::Predecessor(Err(silence.clone())));
    assert_eq!(refused(step(None, &mut case, failed, &Here, now())), silence);

    let mut party = dormant();
    let freeze = Order::Freeze { cause: FreezeCause::Upgraded, reason: "the room was upgraded".to_owned() };
    party.order(&freeze).unwrap();
    let refusal = refused(next(&mut registering(BOB, NEXT), Some(party.group.standing())));
    assert_eq!(refusal, Rejection::Frozen { reason: "the room was upgraded".to_owned() });

    let (_, other) = begun_by(BOB, "!other:a.org");
    let mut case = Case::new(command(BOB, Request::Register { group_info: other }));
    assert_eq!(refused(begin(None, &mut case)).code(), Code::InvalidGroupInfo, "it is of another group");
}

#[test]
fn while_a_group_is_dormant_another_is_begun_with_a_chain_of_its_own() {
    let party = dormant();
    let mut case = registering(BOB, NEXT);
    let Step::Need(Need::Permit(question)) = next(&mut case, Some(party.group.standing())) else {
        panic!("nobody is asked")
    };
    assert_eq!(question.intent, Intent::Succeed { disputed: false });
    let yes = Step::Need(Need::Permit(question));
    let decision = decided(answered(None, &mut case, yes, &FREELY, now()));
    assert_eq!((decision.receipt.epoch, decision.receipt.prev), (Epoch::ZERO, None));
    assert_eq!(decision.receipt.group.as_bytes(), NEXT.as_bytes());
    assert_eq!((decision.head.generation, decision.head.term), (1, 1));
    let ended = decision.succeeds.as_ref().unwrap().ended(&decision.receipt.group, now());
    assert_eq!(ended.frozen().unwrap().cause, FreezeCause::Succeeded);
    assert_eq!(ended.revision, party.group.agenda().revision + 1);
    assert_eq!(ended.lease, None);
    let group = enter(None, decision);
    assert!(group.agenda().leaving.is_empty(), "what the old one owed is its own affair");

    // It has begun: neither it nor the one after it begins again.
    let refusal = refused(begin(Some(&group), &mut registering(BOB, NEXT)));
    assert_eq!(refusal.code(), Code::StaleEpoch);
    let mut case = registering(BOB, "!room:a.org#2");
    let Step::Need(Need::Predecessor(asked)) = begin(None, &mut case) else { panic!("nobody asks for it") };
    assert_eq!(asked.as_bytes(), NEXT.as_bytes());
    let standing = Fetched::Predecessor(Ok(Some(Box::new(group.standing()))));
    assert_eq!(
        refused(step(None, &mut case, Input::Fetched(standing), &Here, now())).code(),
        Code::Forbidden
    );
}

#[test]
fn an_open_reset_is_asked_about_as_one() {
    let mut party = Party::of(&[BOB]);
    party.order(&Order::Reset { open: true }).unwrap();
    let mut case = registering(BOB, NEXT);
    let Step::Need(Need::Permit(question)) = next(&mut case, Some(party.group.standing())) else {
        panic!("nobody is asked")
    };
    assert_eq!(question.intent, Intent::Succeed { disputed: true });
    party.order(&Order::Reset { open: false }).unwrap();
    let refusal = refused(next(&mut registering(BOB, NEXT), Some(party.group.standing())));
    assert_eq!(refusal.code(), Code::Forbidden);
}

#[test]
fn in_a_generation_that_has_ended_nothing_is_ordered() {
    let mut party = Party::of(&[BOB]);
    party.group.agenda = party.group.standing().ended(&GroupId::parse(NEXT).unwrap(), party.now);
    let refusal = party.update(ALICE, false).unwrap_err();
    assert!(matches!(&refusal, Rejection::Frozen { reason } if reason.contains(NEXT)), "{refusal:?}");
    let unfreeze = Order::Unfreeze { cause: FreezeCause::Upgraded };
    assert!(party.order(&unfreeze).is_none());
    party.group.agenda.unfreeze(FreezeCause::Succeeded);
    assert!(party.group.agenda.frozen().is_some(), "it never ends");
}

#[test]
fn a_staged_registration_asks_again_how_the_one_before_stands() {
    let party = dormant();
    let permit = Permit { effects: vec![Outside { about: None, words: b"x".to_vec() }], cited: Vec::new() };
    let mut case = registering(BOB, NEXT);
    let Step::Need(need) = step(None, &mut case, Input::Resume(permit.clone()), &Here, now()) else {
        panic!("it is not asked")
    };
    assert_eq!(need, Need::Predecessor(party.group.id().clone()));
    let before = Fetched::Predecessor(Ok(Some(Box::new(party.group.standing()))));
    let staged = step(None, &mut case, Input::Fetched(before), &Here, now());
    assert!(matches!(staged, Step::Stage(found) if found == permit));
    let decision = decided(step(None, &mut case, Input::Outcome(Outcome::default()), &Here, now()));
    assert!(decision.is_staged && decision.succeeds.is_some());
    let staged = Staged::new(case.command(), InboxSeq::new(1), now(), permit, Vec::new());
    assert_eq!(party.group.turn(case.command().get(), Some(&staged), now()), Turn::Now);
}
