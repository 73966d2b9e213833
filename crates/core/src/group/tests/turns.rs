//! Whose turn it is: what is staged first, and an epoch that is kept for whoever was too late again and again.

use std::time::Duration;

use super::party::{ALICE, ALICES_LAPTOP, BOB, CAROL, Party, id};
use super::*;
use crate::ids::{FreezeReason, InboxSeq, Lane};
use crate::limits;
use crate::records::{Answer, AnswerKey, Delivery};

/// A commit for an epoch, of which nothing else matters.
fn for_epoch(by: &str, epoch: u64) -> Authenticated<Command> {
    let epoch = Epoch::new(epoch).unwrap();
    command(by, Request::Commit { epoch, message: vec![1], welcome: None, group_info: None })
}

fn turn(party: &Party, by: &str, staged: Option<&Staged>) -> Turn {
    party.group.turn(for_epoch(by, party.group.epoch().get()).get(), staged, party.now)
}

fn lost(party: &mut Party, command: &Authenticated<Command>) -> Option<Duration> {
    let mut case = Case::new(command.clone());
    let mut refusal = refused(step(Some(&party.group), &mut case, Input::Begin, &Here, party.now));
    party.group.note_refusal(command.get(), &mut refusal, party.now);
    match refusal {
        Rejection::StaleEpoch { reserved, .. } => reserved,
        other => panic!("not stale: {other:?}"),
    }
}

/// Alice commits, and this device is too late.
fn race(party: &mut Party, by: &str) -> Option<Duration> {
    party.update(ALICE, false).unwrap();
    let command = Command::of(
        &Authenticated::stored(id(by).user),
        id(by).device,
        party.group.id().clone(),
        Request::Commit {
            epoch: Epoch::new(party.group.epoch().get() - 1).unwrap(),
            message: stale_message(party, by),
            welcome: None,
            group_info: None,
        },
    );
    lost(party, &command)
}

/// Some PublicMessage of a member; an old epoch is seen before anything in it is.
fn stale_message(party: &mut Party, by: &str) -> Vec<u8> {
    let made = party.member(by).update().unwrap();
    party.member(by).discard().unwrap();
    made.message
}

#[test]
fn three_times_too_late_in_a_row_keeps_the_next_epoch() {
    let mut party = Party::of(&[BOB, CAROL]);
    assert_eq!(race(&mut party, BOB), None);
    assert_eq!(race(&mut party, BOB), None);
    assert_eq!(turn(&party, ALICE, None), Turn::Now);
    assert_eq!(race(&mut party, BOB), Some(limits::RESERVED));
    let until = party.now.plus(limits::RESERVED);
    assert_eq!(turn(&party, ALICE, None), Turn::Wait(until));
    assert_eq!(turn(&party, CAROL, None), Turn::Wait(until));
    assert_eq!(turn(&party, BOB, None), Turn::Now, "it is kept for that device");
    let old = for_epoch(CAROL, party.group.epoch().get() - 1);
    assert_eq!(party.group.turn(old.get(), None, party.now), Turn::Now, "what is stale need not wait");

    party.update(BOB, false).unwrap();
    assert_eq!(turn(&party, ALICE, None), Turn::Now, "it has committed");
}

#[test]
fn the_time_ends_and_the_others_go_on() {
    let mut party = Party::of(&[BOB]);
    let reserved = (0..3).filter_map(|_| race(&mut party, BOB)).count();
    assert_eq!(reserved, 1);
    party.wait(limits::RESERVED.saturating_sub(Duration::from_millis(1)));
    assert!(matches!(turn(&party, ALICE, None), Turn::Wait(_)));
    party.wait(Duration::from_millis(1));
    assert_eq!(turn(&party, ALICE, None), Turn::Now);
}

#[test]
fn a_row_is_broken_by_any_other_answer() {
    let mut party = Party::of(&[BOB]);
    race(&mut party, BOB);
    race(&mut party, BOB);
    party.update(BOB, false).unwrap();
    assert_eq!(race(&mut party, BOB), None, "it was fast enough in between");
    race(&mut party, BOB);
    let other = for_epoch(BOB, party.group.epoch().get());
    party.group.note_refusal(other.get(), &mut Rejection::forbidden("no"), party.now);
    assert_eq!(race(&mut party, BOB), None, "it was refused for something else");
    race(&mut party, BOB);
    party.update(ALICE, false).unwrap();
    let message = stale_message(&mut party, BOB);
    let epoch = Epoch::new(party.group.epoch().get() - 2).unwrap();
    let far = command(BOB, Request::Commit { epoch, message, welcome: None, group_info: None });
    assert_eq!(lost(&mut party, &far), None, "it is not close behind");
    assert_eq!(race(&mut party, BOB), None);
}

#[test]
fn being_late_for_one_epoch_again_and_again_counts_once() {
    let mut party = Party::of(&[BOB]);
    race(&mut party, BOB);
    let message = stale_message(&mut party, BOB);
    let epoch = Epoch::new(party.group.epoch().get() - 1).unwrap();
    let again = command(BOB, Request::Commit { epoch, message, welcome: None, group_info: None });
    for _ in 0..10 {
        assert_eq!(lost(&mut party, &again), None);
    }
}

#[test]
fn one_account_has_one_reservation_a_minute_and_a_group_one_at_a_time() {
    let mut party = Party::of(&[BOB, ALICES_LAPTOP, CAROL]);
    assert_eq!((0..3).filter_map(|_| race(&mut party, BOB)).count(), 1);
    assert_eq!((0..5).filter_map(|_| race(&mut party, BOB)).count(), 0, "so soon not again");
    party.wait(limits::RESERVED_AGAIN.saturating_sub(Duration::from_millis(1)));
    assert_eq!(race(&mut party, BOB), None);
    party.wait(Duration::from_millis(1));
    assert_eq!(race(&mut party, BOB), Some(limits::RESERVED), "the row goes on");

    let mut party = Party::of(&[BOB, CAROL]);
    for _ in 0..2 {
        race(&mut party, BOB);
        assert_eq!(lose_too(&mut party, CAROL), None);
    }
    assert_eq!(race(&mut party, BOB), Some(limits::RESERVED));
    assert_eq!(lose_too(&mut party, CAROL), None, "it is kept for somebody already");
}

/// Another device is too late for the same epoch.
fn lose_too(party: &mut Party, by: &str) -> Option<Duration> {
    let message = stale_message(party, by);
    let epoch = Epoch::new(party.group.epoch().get() - 1).unwrap();
    let command = command(by, Request::Commit { epoch, message, welcome: None, group_info: None });
    lost(party, &command)
}

#[test]
fn who_has_no_leaf_keeps_nobody_waiting() {
    let mut party = Party::of(&[BOB]);
    for _ in 0..4 {
        let (info, tree) =
            (party.member(ALICE).group_info(false).unwrap(), party.member(ALICE).ratchet_tree().unwrap());
        let mut mallory = Member::new("@mallory:b.org/X", 1).unwrap();
        let made = mallory.join_by_commit(&info, Some(&tree), b"").unwrap();
        let late = command("@mallory:b.org/X", request(party.group.epoch().get(), &made));
        party.update(ALICE, false).unwrap();
        assert_eq!(lost(&mut party, &late), None);
    }
}

#[test]
fn the_tables_of_a_race_have_bounds() {
    let mut races = races::Races::default();
    let current = Epoch::new(1).unwrap();
    for number in 0..limits::RACERS_WATCHED + 10 {
        races.lost(&id(&format!("@{number}:a.org/PHONE")), Epoch::ZERO, current, Timestamp::default());
    }
    assert!(races.watched() <= limits::RACERS_WATCHED);
    let mut heard = heard::Heard::default();
    for number in 0..limits::HEARD_DEVICES + 10 {
        let at = Timestamp::from_millis(number as u64);
        heard.note(&id(&format!("@{number}:a.org/PHONE")), at);
    }
    let lately = heard.lately(Timestamp::from_millis(100_000));
    assert_eq!(lately.len(), limits::HEARD_DEVICES);
    assert_eq!(lately[0], id(&format!("@{}:a.org/PHONE", limits::HEARD_DEVICES + 9)), "the last one first");
}

#[test]
fn others_wait_five_seconds_for_what_is_staged() {
    let mut party = Party::of(&[BOB]);
    let by_bob = for_epoch(BOB, party.group.epoch().get());
    let permit = Permit { effects: vec![Outside { about: None, words: b"x".to_vec() }], cited: Vec::new() };
    let staged = Staged::new(&by_bob, InboxSeq::new(7), party.now, permit, Vec::new());
    let until = party.now.plus(limits::STAGED_FIRST);
    assert_eq!(turn(&party, ALICE, Some(&staged)), Turn::Wait(until));
    let request = Request::Propose { epoch: party.group.epoch(), message: vec![1] };
    let proposal = command(ALICE, request);
    assert_eq!(party.group.turn(proposal.get(), Some(&staged), party.now), Turn::Wait(until));
    let stale = for_epoch(ALICE, party.group.epoch().get() - 1);
    assert_eq!(party.group.turn(stale.get(), Some(&staged), party.now), Turn::Now);
    party.wait(limits::STAGED_FIRST.saturating_sub(Duration::from_millis(1)));
    assert_eq!(turn(&party, ALICE, Some(&staged)), Turn::Wait(until));
    party.wait(Duration::from_millis(1));
    assert_eq!(turn(&party, ALICE, Some(&staged)), Turn::IfItNeedsNothing);

    // A clock that was a day ahead when it was staged keeps nobody waiting for a day.
    party.now = Timestamp::from_millis(party.now.as_millis() - 86_400_000);
    assert_eq!(turn(&party, ALICE, Some(&staged)), Turn::IfItNeedsNothing);
}

/// Something staged by bob in the group's epoch, this long ago.
fn staged_by_bob(party: &Party, ago: Duration) -> Staged {
    let permit = Permit { effects: vec![Outside { about: None, words: b"x".to_vec() }], cited: Vec::new() };
    let at = party.now.as_millis() - u64::try_from(ago.as_millis()).unwrap();
    let by_bob = for_epoch(BOB, party.group.epoch().get());
    Staged::new(&by_bob, InboxSeq::new(7), Timestamp::from_millis(at), permit, Vec::new())
}

fn key(of: &[u8]) -> AnswerKey {
    AnswerKey(Sha256::of(of))
}

fn answer() -> Answer {
    let reply = Delivery::ToDevice { kind: "x".to_owned(), content: Vec::new(), recipients: Vec::new() };
    let lane = Lane::of_user(&id(BOB).user);
    Answer { question: Sha256::of(b"?"), reply, lane, expires_at: Timestamp::END }
}

#[test]
fn what_was_answered_comes_first_then_its_twin_then_a_freeze_then_the_turn() {
    let party = Party::of(&[BOB]);
    let (fresh, old) = (staged_by_bob(&party, Duration::ZERO), staged_by_bob(&party, limits::STAGED_FIRST));
    let (at, now) = (party.group.epoch().get(), party.now);
    let frozen = Frozen { reason: FreezeReason::parse("a quarrel").unwrap(), frozen_at: now };
    let course = |by: &str, epoch, around: Around<'_>| {
        let mut around = around;
        around.course(for_epoch(by, epoch).get(), key(b"mine"), now)
    };
    let open = Around { group: Some(&party.group), staged: None, frozen: None, remembered: None };
    let is_twin = Around { staged: Some((&old, key(b"mine"))), frozen: Some(&frozen), ..open.clone() };
    let known = Around { remembered: Some(answer()), ..is_twin.clone() };
    assert_eq!(course(ALICE, at, known), Course::Again(answer()));
    assert_eq!(course(ALICE, at, is_twin), Course::WaitForStaged, "its answer comes after what is staged");

    let shut = Around { staged: Some((&fresh, key(b"bob's"))), frozen: Some(&frozen), ..open.clone() };
    let reason = |words: &str| Course::Refuse(Rejection::Frozen { reason: words.to_owned() });
    assert_eq!(course(ALICE, at, shut.clone()), reason("a quarrel"));
    assert_eq!(course(ALICE, at + 1, shut.clone()), reason("a quarrel"));
    assert_eq!(course("@mallory:b.org/X", at, shut), reason("its operator said so"), "words are for members");

    let beside = |staged| Around { staged: Some((staged, key(b"bob's"))), ..open.clone() };
    assert_eq!(course(ALICE, at, beside(&fresh)), Course::Wait(now.plus(limits::STAGED_FIRST)));
    assert_eq!(
        course(ALICE, at + 1, beside(&fresh)),
        Course::Judge,
        "what is for another epoch is refused at once"
    );
    assert_eq!(course(ALICE, at, beside(&old)), Course::Judge);
    assert_eq!(course(ALICE, at, open.clone()), Course::Judge);

    // A group that is about to begin.
    let begins = Around { group: None, ..beside(&old) };
    assert_eq!(course(ALICE, at, begins), Course::WaitForStaged);
    let nothing = Around { group: None, ..open };
    assert_eq!(course(ALICE, at, nothing), Course::Judge);
}

/// Alice overtakes what bob has staged; what bob is told, and whether that is what the group notes.
fn overtake(party: &mut Party) -> Option<Duration> {
    let staged = staged_by_bob(party, limits::STAGED_FIRST);
    let epoch = party.group.epoch().get();
    let made = party.member(ALICE).update().unwrap();
    let decision = decided(party.case(&mut commit(ALICE, epoch, &made)));
    let told = party.group.overtaken(&staged, &decision, party.now);
    party.member(ALICE).discard().unwrap();
    party.update(ALICE, false).unwrap();
    let mut noted = Rejection::StaleEpoch { current: Some(party.group.epoch()), reserved: None };
    party.group.note_refusal(staged.command().get(), &mut noted, party.now);
    assert_eq!(noted, told);
    match told {
        Rejection::StaleEpoch { reserved, .. } => reserved,
        other => panic!("not stale: {other:?}"),
    }
}

#[test]
fn whoever_is_overtaken_is_too_late_like_others() {
    let mut party = Party::of(&[BOB, CAROL]);
    assert_eq!(overtake(&mut party), None);
    assert_eq!(race(&mut party, BOB), None);
    assert_eq!(overtake(&mut party), Some(limits::RESERVED));
    assert_eq!(turn(&party, CAROL, None), Turn::Wait(party.now.plus(limits::RESERVED)));
    assert_eq!(turn(&party, BOB, None), Turn::Now);
}

#[test]
fn nothing_is_kept_for_an_account_that_goes_by_what_overtakes_it() {
    let mut party = Party::of(&[BOB]);
    for _ in 0..2 {
        race(&mut party, BOB);
    }
    let staged = staged_by_bob(&party, limits::STAGED_FIRST);
    let epoch = party.group.epoch().get();
    let leaf = party.group.leaf_of(&id(BOB), &Here).unwrap();
    let made = party.member(ALICE).remove(&[leaf]).unwrap();
    let decision = decided(party.case(&mut commit(ALICE, epoch, &made)));
    let told = party.group.overtaken(&staged, &decision, party.now);
    assert_eq!(told, Rejection::StaleEpoch { current: Epoch::new(epoch + 1), reserved: None });
}
