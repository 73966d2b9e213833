//! Orders of the service: the duty to commit, freezing, and signatures that fail.

use std::time::Duration;

use super::party::{ALICE, BOB, CAROL, Party, id};
use super::*;
use crate::limits;

fn holder(party: &Party) -> Option<ClientId> {
    party.group.agenda().lease.as_ref().map(|lease| lease.holder.clone())
}

#[test]
fn the_duty_goes_round_among_those_who_can() {
    let mut party = Party::of(&[BOB, CAROL, party::DAN]);
    assert_eq!(party.group.duty_passes_at(party.now), None, "there is no duty");
    party.announce(&[BOB], Cause::Left).unwrap();
    assert_eq!(holder(&party), Some(id(ALICE)), "who was heard last is asked first");
    let until = party.now.plus(limits::DUTY_LEASE);
    assert_eq!(party.group.duty_passes_at(party.now), Some(until));
    party.wait(limits::DUTY_LEASE.saturating_sub(Duration::from_millis(1)));
    assert!(party.order(&Order::Tend).is_none(), "it has its time");
    let mut holders = Vec::new();
    for _ in 0..4 {
        party.wait(limits::DUTY_LEASE);
        assert_eq!(party.group.duty_passes_at(party.now), Some(party.now));
        party.order(&Order::Tend).unwrap();
        holders.push(holder(&party).unwrap().to_string());
    }
    assert_eq!(holders, [CAROL, party::DAN, ALICE, CAROL], "whoever must go is never asked");
    party.update(ALICE, true).unwrap();
    assert_eq!(holder(&party), None, "it is done");
}

#[test]
fn who_loses_its_place_loses_the_duty() {
    let mut party = Party::of(&[BOB, CAROL]);
    party.announce(&[BOB], Cause::Left).unwrap();
    assert_eq!(holder(&party), Some(id(ALICE)));
    party.announce(&[ALICE], Cause::Banned).unwrap();
    assert_eq!(holder(&party), Some(id(CAROL)));
}

#[test]
fn a_commit_that_leaves_something_to_do_leases_the_duty_anew() {
    let mut party = Party::of(&[BOB, CAROL]);
    party.announce(&[BOB], Cause::Left).unwrap();
    party.wait(Duration::from_millis(1));
    party.update(CAROL, false).unwrap();
    let lease = party.group.agenda().lease.clone().unwrap();
    assert_eq!((lease.holder, lease.tried.len()), (id(CAROL), 0), "who committed last was heard last");
}

#[test]
fn a_clock_that_jumps_keeps_the_duty_with_nobody_for_long() {
    let mut party = Party::of(&[BOB, CAROL]);
    let right = party.now;
    party.wait(Duration::from_hours(24));
    party.announce(&[BOB], Cause::Left).unwrap();
    party.now = right;
    assert_eq!(party.group.duty_passes_at(party.now), Some(right));
    party.order(&Order::Tend).unwrap();
    assert_eq!(party.group.agenda().lease.as_ref().unwrap().since, right);
}

#[test]
fn devices_that_are_wanted_are_somebodys_duty_until_they_are_there() {
    let mut party = Party::of(&[]);
    let want = |names: &[&str]| Order::Want { clients: names.iter().map(|name| id(name)).collect() };
    assert!(party.order(&want(&[ALICE])).is_none(), "it is there");
    party.order(&want(&[BOB, CAROL, BOB])).unwrap();
    assert_eq!(party.group.agenda().wanted, [id(BOB), id(CAROL)]);
    assert_eq!(holder(&party), Some(id(ALICE)));
    party.order(&Order::Unwant { clients: vec![id(CAROL)] }).unwrap();
    let bob = Member::new(BOB, 1).unwrap();
    let made = party.member(ALICE).add(&[bob.key_package().unwrap()]).unwrap();
    party.accept(ALICE, &made).unwrap();
    assert!(party.group.agenda().wanted.is_empty());
    assert_eq!(holder(&party), None);
    let many: Vec<String> =
        (0..=limits::WANTED_DEVICES).map(|number| format!("@{number}:a.org/PHONE")).collect();
    party.order(&want(&many.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    assert_eq!(party.group.agenda().wanted.len(), limits::WANTED_DEVICES);
}

#[test]
fn nothing_is_ordered_in_a_frozen_group() {
    let mut party = Party::of(&[BOB]);
    let freeze = |cause, reason: &str| Order::Freeze { cause, reason: reason.to_owned() };
    party.order(&freeze(FreezeCause::Power, "the service may not invite")).unwrap();
    party.order(&freeze(FreezeCause::Upgraded, "the room was upgraded")).unwrap();
    assert!(party.order(&freeze(FreezeCause::Power, "another reason")).is_none(), "the first stands");
    let before = (party.group.mls().snapshot(), party.group.agenda().clone());
    let frozen = Rejection::Frozen { reason: "the service may not invite".to_owned() };
    assert_eq!(party.update(ALICE, false), Err(frozen.clone()));
    let update = party.member(BOB).propose_update().unwrap();
    assert_eq!(party.propose(BOB, &update).unwrap_err(), frozen);
    let (info, tree) =
        (party.member(ALICE).group_info(false).unwrap(), party.member(ALICE).ratchet_tree().unwrap());
    let mut carol = Member::new(CAROL, 1).unwrap();
    let made = carol.join_by_commit(&info, Some(&tree), b"").unwrap();
    let epoch = party.group.epoch().get();
    assert_eq!(refused(party.case(&mut commit(CAROL, epoch, &made))), frozen);
    assert!(party.asked.is_some(), "who comes from outside learns it only if it may come in");
    assert_eq!((party.group.mls().snapshot(), party.group.agenda().clone()), before);

    // What must go is noticed all the same, and is nobody's duty until the group is ordered again.
    assert_eq!(party.announce(&[BOB], Cause::Left).unwrap().len(), 1);
    assert_eq!(holder(&party), None);
    party.order(&Order::Unfreeze { cause: FreezeCause::Power }).unwrap();
    assert_eq!(
        party.update(ALICE, false),
        Err(Rejection::Frozen { reason: "the room was upgraded".to_owned() }),
        "each cause must go"
    );
    party.order(&Order::Unfreeze { cause: FreezeCause::Upgraded }).unwrap();
    assert_eq!(holder(&party), Some(id(ALICE)));
    party.update(ALICE, true).unwrap();
}

#[test]
fn orders_that_cannot_be_are_refused() {
    let party = Party::of(&[BOB]);
    let clients = || vec![id(BOB)];
    for order in [
        Order::Announce { clients: clients(), cause: Cause::SelfRemove },
        Order::Withdraw { clients: clients(), cause: Cause::SelfRemove },
        Order::Freeze { cause: FreezeCause::Succeeded, reason: "no".to_owned() },
        Order::Unfreeze { cause: FreezeCause::Succeeded },
    ] {
        let refusal = heed(&party.group, &order, &Here, party.now).unwrap_err();
        assert_eq!(refusal.code(), Code::Forbidden, "{order:?}");
    }
}

#[test]
fn a_remove_that_cannot_be_signed_is_made_another_time() {
    let mut party = Party::of(&[BOB, CAROL]);
    let announce = Order::Announce { clients: vec![id(BOB), id(CAROL)], cause: Cause::Left };
    for (what, signatures) in [("none", vec![]), ("one, and it is none", vec![vec![0; 64]])] {
        let draft = heed(&party.group, &announce, &Here, party.now).unwrap().unwrap();
        assert_eq!(draft.to_sign().unwrap().contents.len(), 2);
        let amendment = draft.signed(&signatures, &Here, party.now).unwrap();
        assert!(amendment.proposals.is_empty(), "{what}");
        assert_eq!(amendment.agenda().leaving.len(), 2, "{what}");
        if what != "none" {
            let group = party.take();
            party.group = group.amend(Durable(amendment)).unwrap();
        }
    }
    party.wait(limits::MUST_GO_GRACE);
    party.update(ALICE, false).unwrap();
    assert_eq!(party.group.agenda().proposals.len(), 2, "the next commit brings them along");
    assert_eq!(party.update(ALICE, false).unwrap_err().code(), Code::MissingProposals);
    assert!(party.order(&Order::Tend).is_none());
    party.update(ALICE, true).unwrap();
}

#[test]
fn an_amendment_of_another_state_is_not_entered() {
    let mut party = Party::of(&[BOB, CAROL]);
    let order = Order::Announce { clients: vec![id(BOB)], cause: Cause::Left };
    let draft = || heed(&party.group, &order, &Here, party.now).unwrap().unwrap();
    let signed = |draft: Draft| {
        let signatures = signatures(&draft.to_sign().unwrap());
        draft.signed(&signatures, &Here, party.now).unwrap()
    };
    let (first, second) = (signed(draft()), signed(draft()));
    let group = party.take().amend(Durable(first)).unwrap();
    assert!(group.amend(Durable(second)).is_none());
}

#[test]
fn the_duty_goes_round_more_devices_than_are_remembered() {
    let all: Vec<ClientId> =
        (0..2 * limits::DUTY_TRIED + 8).map(|number| id(&format!("@{number}:a.org/PHONE"))).collect();
    let mut agenda = Agenda::of(GroupId::parse(ROOM).unwrap());
    agenda.want(&[id(BOB)]);
    let mut at = now();
    let mut ask = |lately: &[ClientId]| {
        let silent = all.iter().filter(|client| !lately.contains(client)).cloned().collect();
        agenda.lease(&Candidates { lately: lately.to_vec(), silent }, at);
        let lease = agenda.lease.as_ref().unwrap();
        assert!(lease.tried.len() <= limits::DUTY_TRIED);
        at = lease.until();
        lease.holder.clone()
    };
    let round: Vec<ClientId> = all.iter().map(|_| ask(&[])).collect();
    assert_eq!(round, all, "one after the other");
    assert_eq!(ask(&[]), all[0], "and from the beginning");
    assert_eq!(ask(&all[40..42]), all[40], "whoever was heard is asked before its turn");
    assert_eq!(ask(&all[40..42]), all[41]);
    assert_eq!(ask(&all[40..42]), all[1], "and then the silent ones go on where they were");
}

#[test]
fn the_silent_have_the_duty_where_many_were_heard() {
    let all: Vec<ClientId> =
        (0..2 * limits::DUTY_TRIED).map(|number| id(&format!("@{number}:a.org/PHONE"))).collect();
    let mut heard = Heard::default();
    // All but the last few, and more than are remembered to have had it.
    let (loud, silent) = all.split_at(all.len() - 8);
    loud.iter().for_each(|client| heard.note(client, now()));
    let asked = candidates(&heard, &all, now());
    assert_eq!(asked.lately.len(), limits::DUTY_LATELY);
    assert_eq!(asked.lately.len() + asked.silent.len(), all.len());
    let mut agenda = Agenda::of(GroupId::parse(ROOM).unwrap());
    agenda.want(&[id(BOB)]);
    let (mut at, mut had) = (now(), BTreeSet::new());
    for _ in 0..4 * all.len() {
        agenda.lease(&asked, at);
        let lease = agenda.lease.as_ref().unwrap();
        at = lease.until();
        had.insert(lease.holder.clone());
    }
    assert!(silent.iter().all(|client| had.contains(client)), "{} of {}", had.len(), all.len());
}

#[test]
fn what_a_group_owes_and_what_it_knows_of_devices_has_its_weight() {
    let mut party = Party::of(&[BOB, CAROL]);
    let before = party.group.weight_bytes();
    party.announce(&[BOB], Cause::Left).unwrap();
    let waiting = &party.group.agenda().proposals[0];
    let bytes = 2 * waiting.message.len() + waiting.delta.len() + waiting.reference.len();
    let owed = before + bytes + 2 * limits::GROUP_NOTE_BYTES;
    assert_eq!(party.group.weight_bytes(), owed, "a leaf that must go, and a proposal in two copies");
    let command = command(CAROL, Request::Register { group_info: Vec::new() });
    party.group.note_refusal(command.get(), &mut Rejection::UnknownGroup, party.now);
    assert_eq!(party.group.weight_bytes(), owed + limits::GROUP_NOTE_BYTES, "one more was heard");
    party.update(CAROL, true).unwrap();
    assert!(party.group.weight_bytes() < owed, "it is done");
}
