//! Proposals that come by themselves: who may make which, and what becomes of them.

use maypole_mls::wire::Proposal;

use super::party::{ALICE, ALICES_LAPTOP, BOB, CAROL, DAN, Party, id};
use super::*;
use crate::limits;
use crate::permit::Proposed;

/// A proposal is refused and nothing has changed.
#[track_caller]
fn no(party: &mut Party, by: &str, message: &[u8], code: Code) -> Rejection {
    let before = (party.group.mls().snapshot(), party.group.agenda().clone());
    let refusal = party.propose(by, message).unwrap_err();
    assert_eq!(refusal.code(), code, "{refusal:?}");
    assert_eq!((party.group.mls().snapshot(), party.group.agenda().clone()), before);
    refusal
}

#[test]
fn a_proposal_is_from_the_device_that_sends_it() {
    let mut party = Party::of(&[BOB]);
    let update = party.member(BOB).propose_update().unwrap();
    no(&mut party, ALICE, &update, Code::SenderMismatch);
    no(&mut party, "@bob:b.org/LAPTOP", &update, Code::SenderMismatch);
    no(&mut party, "@mallory:b.org/X", &update, Code::NotJoined);
    no(&mut party, BOB, &update[..update.len() - 1], Code::Malformed);
    let mut forged = update.clone();
    let end = forged.len() - 40;
    forged[end] ^= 1;
    let refusal = party.propose(BOB, &forged).unwrap_err();
    assert!(matches!(refusal.code(), Code::InvalidProposal | Code::Malformed), "{refusal:?}");
    let made = party.member(ALICE).update().unwrap();
    no(&mut party, ALICE, &made.message, Code::InvalidProposal);
    no(&mut party, ALICE, &vec![0; limits::PROPOSAL_BYTES + 1], Code::TooLarge);

    // The service's own proposals come from the service, and not by way of a device.
    party.announce(&[BOB], Cause::Left).unwrap();
    let remove = party.group.agenda().proposals[0].message.clone();
    no(&mut party, ALICE, &remove, Code::SenderMismatch);
}

#[test]
fn a_proposal_is_for_the_epoch_that_the_group_is_in() {
    let mut party = Party::of(&[BOB]);
    let update = party.member(BOB).propose_update().unwrap();
    party.update(ALICE, false).unwrap();
    no(&mut party, BOB, &update, Code::StaleEpoch);
    let epoch = party.group.epoch().get() - 1;
    let request = Request::Propose { epoch: Epoch::new(epoch).unwrap(), message: update };
    let refusal = refused(party.case(&mut Case::new(command(BOB, request))));
    assert_eq!(refusal, Rejection::StaleEpoch { current: Some(party.group.epoch()), reserved: None });
}

#[test]
fn what_waits_is_forgotten_with_its_epoch() {
    let mut party = Party::of(&[BOB, CAROL]);
    let update = party.member(BOB).propose_update().unwrap();
    let accepted = party.propose(BOB, &update).unwrap();
    assert_eq!((accepted.len(), &accepted[0].message), (1, &update));
    assert_eq!(accepted[0].by, Proposer::Member(id(BOB)));
    party.restored();
    party.update(ALICE, false).unwrap();
    assert!(party.group.agenda().proposals.is_empty(), "left out, and void");
    let update = party.member(BOB).propose_update().unwrap();
    party.propose(BOB, &update).unwrap();
    party.update(ALICE, true).unwrap();
    assert!(party.group.agenda().proposals.is_empty());
    let Some(Intent::Commit { users, proposed, .. }) = &party.asked else { panic!("nobody was asked") };
    let of_bob = Proposed { by: id(BOB), device: None, extends: false };
    assert_eq!((users.len(), proposed), (0, &vec![of_bob]), "each answers for their own, once more");
    party.restored();
}

#[test]
fn one_device_has_two_proposals_at_most() {
    let mut party = Party::of(&[BOB]);
    for _ in 0..limits::PROPOSALS_OF_ONE {
        let update = party.member(BOB).propose_update().unwrap();
        party.propose(BOB, &update).unwrap();
    }
    let update = party.member(BOB).propose_update().unwrap();
    no(&mut party, BOB, &update, Code::LimitExceeded);
    let update = party.member(ALICE).propose_update().unwrap();
    party.propose(ALICE, &update).unwrap();
}

#[test]
fn what_waits_is_bounded_in_all_and_the_services_apart() {
    let waiting = |by: Proposer, bytes| Waiting {
        by,
        does: Does::Updates,
        reference: Vec::new(),
        message: vec![0; bytes],
        delta: Vec::new(),
        proposed_at: Timestamp::default(),
    };
    let mut agenda = Agenda::of(GroupId::parse(ROOM).unwrap());
    agenda.proposals = vec![waiting(Proposer::Service, 9_000_000); limits::SERVICE_PROPOSALS];
    assert!(agenda.has_room_for(&id(ALICE), limits::PROPOSAL_BYTES), "the service takes nobody's room");
    let by = |number: usize| Proposer::Member(id(&format!("@{number}:a.org/PHONE")));
    agenda.proposals.extend((0..limits::PROPOSALS_OF_MEMBERS).map(|number| waiting(by(number), 1)));
    assert!(!agenda.has_room_for(&id(ALICE), 1), "too many");
    agenda.proposals.pop();
    assert!(agenda.has_room_for(&id(ALICE), 1));
    agenda.proposals.push(waiting(by(0), limits::PROPOSALS_OF_MEMBERS_BYTES));
    agenda.proposals.remove(limits::SERVICE_PROPOSALS);
    agenda.proposals.remove(limits::SERVICE_PROPOSALS);
    assert!(!agenda.has_room_for(&id(ALICE), 1), "too large together");
    agenda.announce(&[id(BOB)], Cause::Left, Timestamp::default());
    assert!(agenda.unproposed().is_empty(), "the service has a bound too");
}

#[test]
fn a_leaf_that_asks_to_go_must_go() {
    let mut party = Party::of(&[BOB, CAROL]);
    let leave = party.member(BOB).propose_self_remove().unwrap();
    party.propose(BOB, &leave).unwrap();
    assert_eq!(party.group.agenda().leaving[0].causes, [Cause::SelfRemove]);
    assert_eq!(party.group.agenda().lease.as_ref().unwrap().holder, id(ALICE));
    party.wait(limits::MUST_GO_GRACE);
    let refusal = party.update(ALICE, false).unwrap_err();
    assert_eq!(refusal, Rejection::MissingProposals { proposals: vec![leave] });
    party.update(ALICE, true).unwrap();
    let Some(Intent::Commit { users, proposed, .. }) = &party.asked else { panic!("nobody was asked") };
    assert!(users.is_empty() && proposed.is_empty(), "that needs nobody's leave");
    assert_eq!(party.group.leaf_of(&id(BOB), &Here), None);
}

#[test]
fn a_leaf_is_removed_once() {
    let mut party = Party::of(&[BOB, ALICES_LAPTOP]);
    let leaf = party.group.leaf_of(&id(ALICES_LAPTOP), &Here).unwrap();
    let first = party.member(ALICE).propose_remove(leaf).unwrap();
    party.propose(ALICE, &first).unwrap();
    let leave = party.member(ALICES_LAPTOP).propose_self_remove().unwrap();
    let refusal = no(&mut party, ALICES_LAPTOP, &leave, Code::InvalidProposal);
    assert!(matches!(refusal, Rejection::Invalid { check, .. } if check.name == "RemovalPending"));
    party.update(BOB, true).unwrap();
    assert_eq!(party.group.leaf_of(&id(ALICES_LAPTOP), &Here), None);

    let mut party = Party::of(&[BOB, ALICES_LAPTOP]);
    party.announce(&[ALICES_LAPTOP], Cause::DeviceGone).unwrap();
    let remove = party.member(ALICE).propose_remove(leaf).unwrap();
    no(&mut party, ALICE, &remove, Code::InvalidProposal);
    party.withdraw(ALICES_LAPTOP, Cause::DeviceGone).unwrap();
    no(&mut party, ALICE, &remove, Code::InvalidProposal);
    let leave = party.member(ALICES_LAPTOP).propose_self_remove().unwrap();
    no(&mut party, ALICES_LAPTOP, &leave, Code::InvalidProposal);
}

#[test]
fn a_member_proposes_devices_of_its_own_user_alone() {
    let mut party = Party::of(&[BOB, ALICES_LAPTOP]);
    let carol = Member::new(CAROL, 1).unwrap().key_package().unwrap();
    let add = party.member(ALICE).propose_add(&carol).unwrap();
    no(&mut party, ALICE, &add, Code::Forbidden);
    let bob = party.group.leaf_of(&id(BOB), &Here).unwrap();
    let remove = party.member(ALICE).propose_remove(bob).unwrap();
    no(&mut party, ALICE, &remove, Code::Forbidden);

    let tablet = Member::new("@alice:a.org/TABLET", 1).unwrap();
    party.member(ALICE).forget_proposals().unwrap();
    let add = party.member(ALICE).propose_add(&tablet.key_package().unwrap()).unwrap();
    let request = Request::Propose { epoch: party.group.epoch(), message: add };
    let mut case = Case::new(command(ALICE, request));
    let Step::Need(Need::Permit(question)) = begin(Some(&party.group), &mut case) else {
        panic!("not asked")
    };
    let device = DeviceId::parse("TABLET");
    assert_eq!(question.intent, Intent::Propose(Proposed { by: id(ALICE), device, extends: false }));
    let yes = Input::Fetched(Fetched::Permit(Ok(FREELY)));
    let Step::Need(Need::Keys(keys)) = step(Some(&party.group), &mut case, yes, &Here, now()) else {
        panic!("a new key, and nobody is asked whose it is")
    };
    assert_eq!((keys[0].leaf, &keys[0].key), (None, &tablet.signature_key()));
    let no = Rejection::Identity { leaf: None, identity: "@alice:a.org/TABLET".into(), problem: "is none" };
    let unknown = Input::Fetched(Fetched::Keys(Err(no.clone())));
    assert_eq!(refused(step(Some(&party.group), &mut case, unknown, &Here, now())), no);
}

#[test]
fn an_update_that_brings_a_new_key_is_asked_about() {
    let mut party = Party::of(&[BOB]);
    let update = party.member(BOB).propose_update_with_new_key().unwrap();
    let mut case = Case::new(command(BOB, Request::Propose { epoch: party.group.epoch(), message: update }));
    begin(Some(&party.group), &mut case);
    let yes = Input::Fetched(Fetched::Permit(Ok(FREELY)));
    let Step::Need(Need::Keys(keys)) = step(Some(&party.group), &mut case, yes, &Here, now()) else {
        panic!("nobody is asked")
    };
    assert_eq!((keys[0].leaf, &keys[0].client), (party.group.leaf_of(&id(BOB), &Here), &id(BOB)));
}

#[test]
fn who_asks_to_join_asks_for_its_own_device() {
    let mut party = Party::of(&[BOB]);
    let dan = Member::new(DAN, 1).unwrap();
    let epoch = party.group.epoch().get();
    let ask = dan.ask_to_join(ROOM.as_bytes(), epoch).unwrap();
    no(&mut party, "@dan:b.org/LAPTOP", &ask, Code::SenderMismatch);
    no(&mut party, "@mallory:b.org/PHONE", &ask, Code::Forbidden);
    let accepted = party.propose(DAN, &ask).unwrap();
    assert_eq!((&accepted[0].by, &accepted[0].does), (&Proposer::Joiner(id(DAN)), &Does::Adds(id(DAN))));
    let forbidden = Rejection::NotJoined { users: vec![id("@carol:a.org/PHONE").user] };
    let carol = Member::new(CAROL, 1).unwrap().ask_to_join(ROOM.as_bytes(), epoch).unwrap();
    let request = Request::Propose { epoch: party.group.epoch(), message: carol };
    let mut case = Case::new(command(CAROL, request));
    begin(Some(&party.group), &mut case);
    let answer = Input::Fetched(Fetched::Permit(Err(forbidden.clone())));
    assert_eq!(refused(step(Some(&party.group), &mut case, answer, &Here, now())), forbidden);

    party.commit(ALICE, true, &Change::default()).unwrap();
    let Some(Intent::Commit { users, proposed, .. }) = &party.asked else { panic!("nobody was asked") };
    assert_eq!((users.len(), proposed[0].by.clone()), (0, id(DAN)), "the committer answers not for it");
    assert!(party.group.leaf_of(&id(DAN), &Here).is_some());
}

#[test]
fn the_groups_extensions_change_with_leave_and_keep_the_service() {
    let mut party = Party::of(&[BOB]);
    let stranger = MlsTerms { external_senders: vec![service([8; 32])], ..MlsTerms::default() };
    let change = party.member(ALICE).propose_terms(&stranger).unwrap();
    no(&mut party, ALICE, &change, Code::Forbidden);
    party.member(ALICE).forget_proposals().unwrap();
    let terms = MlsTerms {
        external_senders: vec![service(service_key())],
        required: Some((Vec::new(), vec![10])),
        ..MlsTerms::default()
    };
    let change = party.member(ALICE).propose_terms(&terms).unwrap();
    party.propose(ALICE, &change).unwrap();
    assert_eq!(party.asked, Some(Intent::Propose(Proposed { by: id(ALICE), device: None, extends: true })));
    party.update(BOB, true).unwrap();
    let Some(Intent::Commit { extends, proposed, .. }) = &party.asked else { panic!("nobody was asked") };
    assert!(!extends && proposed[0].extends, "who proposed it answers for it");
}

#[test]
fn types_that_are_not_taken_by_themselves_are_named() {
    assert_eq!(Proposal::SelfRemove.kind(), 10, "as the refusal says");
    let refusal = Rejection::Unsupported(crate::rejection::Unsupported::ProposalType(4));
    assert!(refusal.to_string().contains("type 4"));
}

#[test]
fn a_group_comes_back_with_what_waits_in_it() {
    let mut party = Party::of(&[BOB, CAROL]);
    party.announce(&[BOB], Cause::Left).unwrap();
    party.restored();
    party.update(ALICE, false).unwrap();
    let update = party.member(CAROL).propose_update().unwrap();
    party.propose(CAROL, &update).unwrap();
    party.group = party.restored();
    party.update(ALICE, true).unwrap();
    party.group = party.restored();
    party.update(ALICE, true).unwrap();

    party.announce(&[CAROL], Cause::Left).unwrap();
    let mut restoring = Restoring::begin(&party.beginning).unwrap();
    party.log.iter().for_each(|entry| restoring.replay(entry).unwrap());
    let mut agenda = party.group.agenda().clone();
    agenda.proposals[0].delta.pop();
    let damaged = restoring.finish(party.group.head().clone(), Some(agenda), &Here);
    assert!(matches!(damaged, Err(RestoreError::Proposal(_))));
}

#[test]
fn a_late_proposal_is_late_whoever_has_its_leaf_now() {
    let mut party = Party::of(&[BOB, CAROL]);
    let update = party.member(CAROL).propose_update().unwrap();
    let carols = party.group.leaf_of(&id(CAROL), &Here).unwrap();
    let request = Request::Propose { epoch: party.group.epoch(), message: update };
    party.announce(&[CAROL], Cause::Left).unwrap();
    party.update(BOB, true).unwrap();
    for name in [DAN, CAROL] {
        let member = Member::new(name, 1).unwrap();
        let made = party.member(ALICE).add(&[member.key_package().unwrap()]).unwrap();
        party.accept(ALICE, &made).unwrap();
    }
    assert_eq!(party.group.leaf_of(&id(DAN), &Here), Some(carols), "it is another's now");
    let refusal = refused(party.case(&mut Case::new(command(CAROL, request))));
    assert_eq!(refusal, Rejection::StaleEpoch { current: Some(party.group.epoch()), reserved: None });
}
