//! What is written together: held against a back end that notes what it is asked.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::party::{ALICE, BOB, CAROL, Party, id};
use super::*;
use crate::batch::{Backend, BackendError, Batch, Expect, Op};
use crate::directory::{self, LastResort, Shelved, Stock};
use crate::ids::{FreezeReason, InboxSeq, KeyPackageRef, Lane, OwedId, ProcessId, ShelfPlace, SyncToken};
use crate::ledger::{Answered, Ledger, LedgerError, Recovered};
use crate::memory::Memory;
use crate::records::{
    Answer, AnswerKey, Delivery, Depths, InboxItem, InboxRow, Incoming, Owed, OwedRow, Progress, Queues,
    SetAside,
};
use crate::shares::{Held, Shares};

/// Notes batches, and has nothing, or a group of which some records are damaged.
#[derive(Default)]
struct Noting {
    batches: Mutex<Vec<Batch>>,
    damaged: Option<Damaged>,
    /// Answers, and when they expire; each is counted so often.
    answers: Vec<(AnswerKey, Timestamp)>,
    each: u64,
}

/// Which records of its group are.
#[derive(Clone, Copy)]
struct Damaged {
    freeze: bool,
    staged: bool,
}

impl Noting {
    fn read<T>(&self, is_damaged: impl Fn(Damaged) -> bool) -> Found<Option<T>> {
        match self.damaged.is_some_and(is_damaged) {
            true => Err(BackendError::Damaged("so it is said".to_owned())),
            false => Ok(None),
        }
    }
}

type Found<T> = Result<T, BackendError>;

impl Backend for Noting {
    async fn apply(&self, batch: Batch) -> Found<Vec<OwedId>> {
        self.batches.lock().unwrap().push(batch);
        Ok(Vec::new())
    }
    async fn owner(&self) -> Found<Option<UserId>> {
        Ok(None)
    }
    async fn keys(&self) -> Found<Option<Sha256>> {
        Ok(None)
    }
    async fn progress(&self) -> Found<Progress> {
        Ok(Default::default())
    }
    async fn cursor(&self) -> Found<Option<SyncToken>> {
        Ok(None)
    }
    async fn inbox(&self, _: Option<InboxSeq>, _: usize) -> Found<Vec<InboxRow>> {
        Ok(Vec::new())
    }
    async fn answer(&self, _: AnswerKey) -> Found<Option<Answer>> {
        Ok(None)
    }
    async fn expired_answers(&self, before: Timestamp, _: usize) -> Found<Vec<AnswerKey>> {
        let expired = self.answers.iter().filter(|(_, expires_at)| *expires_at <= before);
        Ok(expired.map(|(key, _)| *key).collect())
    }
    async fn owed(&self, _: Option<OwedId>, _: usize) -> Found<Vec<OwedRow>> {
        Ok(Vec::new())
    }
    async fn set_aside(&self, _: usize) -> Found<Vec<SetAside>> {
        Ok(Vec::new())
    }
    async fn head(&self, _: &GroupId) -> Found<Option<Head>> {
        Ok(None)
    }
    async fn agenda(&self, _: &GroupId) -> Found<Option<Agenda>> {
        Ok(None)
    }
    async fn snapshot(&self, _: &GroupId, _: Epoch) -> Found<Option<Snapshot>> {
        Ok(None)
    }
    async fn snapshots(&self, _: &GroupId, _: Epoch, _: usize) -> Found<Vec<SnapshotAt>> {
        Ok(Vec::new())
    }
    async fn log(&self, _: &GroupId, _: Epoch, _: usize) -> Found<Vec<Entry>> {
        Ok(Vec::new())
    }
    async fn staged(&self, _: &GroupId) -> Found<Option<Staged>> {
        self.read(|damaged| damaged.staged)
    }
    async fn staged_groups(&self, _: usize) -> Found<Vec<(GroupId, InboxSeq)>> {
        Ok(Vec::new())
    }
    async fn unanswered(&self, _: Shares, _: BTreeSet<InboxSeq>, _: usize) -> Found<Vec<InboxRow>> {
        Ok(Vec::new())
    }
    async fn undelivered(&self, _: Shares, _: BTreeSet<OwedId>, _: usize) -> Found<Vec<OwedRow>> {
        Ok(Vec::new())
    }
    async fn log_begins(&self, _: &GroupId) -> Found<Option<Epoch>> {
        Ok(None)
    }
    async fn groups(&self, after: Option<&GroupId>, _: usize) -> Found<Vec<GroupId>> {
        let is_there = self.damaged.is_some() && after.is_none();
        Ok(is_there.then(|| GroupId::parse(ROOM).unwrap()).into_iter().collect())
    }
    async fn frozen(&self, _: &GroupId) -> Found<Option<Frozen>> {
        self.read(|damaged| damaged.freeze)
    }
    async fn stocked(&self, _: &ClientId, _: Option<ShelfPlace>, _: usize) -> Found<Vec<Shelved>> {
        Ok(Vec::new())
    }
    async fn last_resorts(&self, _: &ClientId) -> Found<Vec<LastResort>> {
        Ok(Vec::new())
    }
    async fn stock(&self, _: &ClientId, _: Timestamp) -> Found<Stock> {
        Ok(Stock::default())
    }
    async fn standing(&self, _: &KeyPackageRef) -> Found<Option<directory::Standing>> {
        Ok(None)
    }
    async fn outlived_key_packages(&self, _: Timestamp, _: usize) -> Found<Vec<KeyPackageRef>> {
        Ok(Vec::new())
    }
    async fn any_stocked(&self, _: usize) -> Found<Vec<KeyPackageRef>> {
        Ok(Vec::new())
    }
    async fn renew(&self, _: ProcessId, _: Duration) -> Found<Held> {
        Ok(Held::NOTHING)
    }
    async fn give_up(&self, _: ProcessId, _: Shares) -> Found<()> {
        Ok(())
    }
    async fn retire(&self, _: ProcessId) -> Found<()> {
        Ok(())
    }
    async fn queues(&self) -> Found<Queues> {
        Ok(Queues::default())
    }
    async fn depths(&self) -> Found<Depths> {
        Ok(Depths { answers: self.answers.len() as u64 * self.each, ..Depths::default() })
    }
}

/// Nothing here waits for anything.
pub(super) fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits"),
    }
}

fn noting() -> Ledger<Noting> {
    Ledger::new(Noting::default())
}

fn written(ledger: &Ledger<Noting>) -> Vec<Batch> {
    std::mem::take(&mut ledger.backend.batches.lock().unwrap())
}

fn delivery() -> Delivery {
    Delivery::ToDevice { kind: "m.mls.proposal".to_owned(), content: vec![1], recipients: Vec::new() }
}

fn owed() -> Owed {
    let lane = Lane::of_user(&id(ALICE).user);
    Owed { lane, delivery: delivery(), owed_at: Timestamp::default() }
}

fn key(number: u8) -> AnswerKey {
    AnswerKey(Sha256::of(&[number]))
}

fn answer() -> Answer {
    let lane = Lane::of_user(&id(ALICE).user);
    Answer { question: Sha256::of(b"?"), reply: delivery(), lane, expires_at: Timestamp::END }
}

fn told(number: u8) -> Told {
    Told {
        receipt: vec![1],
        receipt_hash: Sha256::of(b"receipt"),
        notes: Vec::new(),
        head_notes: None,
        answer: (key(number), answer()),
        owed: vec![owed()],
    }
}

fn announcement(party: &Party, name: &str) -> Amendment {
    let order = Order::Announce { clients: vec![id(name)], cause: Cause::Left };
    let draft = heed(&party.group, &order, &Here, party.now).unwrap().unwrap();
    let signatures = signatures(&draft.to_sign().unwrap());
    draft.signed(&signatures, &Here, party.now).unwrap()
}

#[test]
fn a_proposal_waits_only_in_the_write_that_tells_everybody() {
    let party = Party::of(&[BOB]);
    let ledger = noting();
    let untold = done(ledger.amend(announcement(&party, BOB), None, Vec::new(), party.now));
    assert!(untold.is_err() && written(&ledger).is_empty());
    done(ledger.amend(announcement(&party, BOB), None, vec![owed()], party.now)).unwrap();
    let [batch] = written(&ledger).try_into().unwrap();
    let group = party.group.id().clone();
    let epoch = Some(party.group.epoch());
    assert_eq!(batch.expect, [Expect::GroupAt(group.clone(), epoch), Expect::AgendaAt(group, None)]);
    assert!(matches!(&batch.ops[..], [Op::SetAgenda(agenda), Op::Owe(_)]
        if agenda.revision == 1 && agenda.proposals.len() == 1));
}

#[test]
fn an_accepted_proposal_leaves_the_inbox_with_its_answer() {
    let mut party = Party::of(&[BOB]);
    let update = party.member(BOB).propose_update().unwrap();
    let request = Request::Propose { epoch: party.group.epoch(), message: update };
    let Step::Amend(amendment) = party.case(&mut Case::new(command(BOB, request))) else { panic!("refused") };
    let ledger = noting();
    let row = InboxSeq::new(3);
    let answered = Answered { row, remember: Some((key(1), answer())), owed: vec![owed()] };
    let staged = Some(InboxSeq::new(2));
    done(ledger.amend(*amendment, Some((answered, staged)), vec![owed()], party.now)).unwrap();
    let [batch] = written(&ledger).try_into().unwrap();
    assert!(batch.expect.contains(&Expect::InInbox(row)) && batch.ops.contains(&Op::Leave(row)));
    assert!(batch.expect.contains(&Expect::StagedIn(party.group.id().clone(), staged)));
    assert!(batch.expect.contains(&Expect::NoAnswer(key(1), party.now)));
    let owes = batch.ops.iter().filter(|op| matches!(op, Op::Owe(_))).count();
    assert_eq!(owes, 2, "the answer, and the proposal to everybody");
}

#[test]
fn a_commit_without_anything_owed_writes_no_agenda_and_one_with_writes_it_with_the_epoch() {
    let mut party = Party::of(&[BOB, CAROL]);
    let ledger = noting();
    let decide = |party: &mut Party| {
        let made = party.member(ALICE).update().unwrap();
        party.member(ALICE).discard().unwrap();
        let epoch = party.group.epoch().get();
        let decision = decided(party.case(&mut commit(ALICE, epoch, &made)));
        done(ledger.decide(InboxSeq::new(1), None, *decision, told(1), party.now)).unwrap();
        let [batch] = written(&ledger).try_into().unwrap();
        batch
    };
    let batch = decide(&mut party);
    assert!(
        !batch.ops.iter().any(|op| matches!(op, Op::SetAgenda(_))),
        "nothing is owed, nothing is written"
    );
    assert!(batch.expect.contains(&Expect::AgendaAt(party.group.id().clone(), None)));
    party.announce(&[BOB], Cause::Left).unwrap();
    let batch = decide(&mut party);
    assert!(batch.expect.contains(&Expect::AgendaAt(party.group.id().clone(), Some(1))));
    let agendas: Vec<_> = batch.ops.iter().filter(|op| matches!(op, Op::SetAgenda(_))).collect();
    assert!(matches!(agendas[..], [Op::SetAgenda(agenda)]
        if agenda.revision == 2 && agenda.proposals.len() == 1 && agenda.leaving.len() == 1));
}

#[test]
fn a_new_generation_ends_the_one_before_in_the_same_write() {
    let mut party = Party::of(&[BOB]);
    party.announce(&[ALICE, BOB], Cause::Left).unwrap();
    let mut member = Member::new(BOB, 1).unwrap();
    member.create_group(b"!room:a.org#1", &[service(service_key())]).unwrap();
    let caller = Authenticated::stored(id(BOB).user);
    let request = Request::Register { group_info: member.group_info(true).unwrap() };
    let next = GroupId::parse("!room:a.org#1").unwrap();
    let mut case = Case::new(Command::of(&caller, id(BOB).device, next.clone(), request));
    begin(None, &mut case);
    let before = Fetched::Predecessor(Ok(Some(Box::new(party.group.standing()))));
    let asked = step(None, &mut case, Input::Fetched(before), &Here, party.now);
    let decision = decided(answered(None, &mut case, asked, &FREELY, party.now));
    let ledger = noting();
    done(ledger.decide(InboxSeq::new(1), None, *decision, told(1), party.now)).unwrap();
    let [batch] = written(&ledger).try_into().unwrap();
    let old = party.group.id().clone();
    for expect in [
        Expect::GroupAt(next, None),
        Expect::GroupAt(old.clone(), Some(party.group.epoch())),
        Expect::AgendaAt(old.clone(), Some(1)),
    ] {
        assert!(batch.expect.contains(&expect), "{expect:?}");
    }
    assert!(batch.ops.iter().any(|op| matches!(op, Op::SetAgenda(agenda)
        if agenda.group == old && agenda.frozen().is_some())));
}

#[test]
fn what_needs_nothing_overtakes_what_is_staged_and_refuses_it() {
    let mut party = Party::of(&[BOB]);
    let by_bob = party.member(BOB).update().unwrap();
    let epoch = party.group.epoch().get();
    let permit = Permit { effects: vec![Outside { about: None, words: b"x".to_vec() }], cited: Vec::new() };
    let staged_command = command(BOB, request(epoch, &by_bob));
    let staged = Staged::new(&staged_command, InboxSeq::new(1), party.now, permit.clone(), Vec::new());
    let staged = Durable(staged);
    let made = party.member(ALICE).update().unwrap();
    let decide = |party: &mut Party| decided(party.case(&mut commit(ALICE, epoch, &made)));
    let refusal = |row| Answered { row, remember: Some((key(2), answer())), owed: vec![owed()] };
    let ledger = noting();
    let (own, other) = (InboxSeq::new(2), InboxSeq::new(1));

    let mut needing = decide(&mut party);
    needing.is_staged = true;
    let overtaken = (&staged, refusal(other));
    assert!(done(ledger.overtake(own, overtaken, *needing, told(1), party.now)).is_err());
    let wrong = decide(&mut party);
    assert!(done(ledger.overtake(own, (&staged, refusal(own)), *wrong, told(1), party.now)).is_err());
    let twin = decide(&mut party);
    let overtaken = (&staged, refusal(other));
    assert!(done(ledger.overtake(own, overtaken, *twin, told(2), party.now)).is_err(), "asked under one key");
    assert!(written(&ledger).is_empty(), "nothing was done");

    let decision = decide(&mut party);
    let durable =
        done(ledger.overtake(own, (&staged, refusal(other)), *decision, told(1), party.now)).unwrap();
    let [batch] = written(&ledger).try_into().unwrap();
    let group = party.group.id().clone();
    assert!(batch.expect.contains(&Expect::StagedIn(group.clone(), Some(other))));
    for op in [Op::Unstage(group), Op::Leave(own), Op::Leave(other), Op::Remember(key(2), answer())] {
        assert!(batch.ops.contains(&op), "{op:?}");
    }
    let group = Group::enter(Some(party.take()), durable).unwrap();
    assert_eq!(group.epoch().get(), epoch + 1);
    let mut late = Case::new(staged_command);
    assert_eq!(refused(begin(Some(&group), &mut late)).code(), Code::StaleEpoch);
}

#[test]
fn an_answer_by_a_groups_state_holds_only_while_the_group_owes_the_same() {
    let mut party = Party::of(&[BOB]);
    let ledger = noting();
    let id_of_group = party.group.id().clone();
    let answered =
        || Answered { row: InboxSeq::new(1), remember: Some((key(1), answer())), owed: vec![owed()] };
    let mut revisions = Vec::new();
    for announced in [false, true] {
        if announced {
            party.announce(&[BOB], Cause::Left).unwrap();
        }
        done(ledger.answer_as_of(&id_of_group, Some(&party.group), None, answered(), party.now)).unwrap();
        let [batch] = written(&ledger).try_into().unwrap();
        assert!(batch.expect.contains(&Expect::GroupAt(id_of_group.clone(), Some(party.group.epoch()))));
        revisions.extend(batch.expect.into_iter().filter(|expect| matches!(expect, Expect::AgendaAt(..))));
    }
    let at = |revision| Expect::AgendaAt(id_of_group.clone(), revision);
    assert_eq!(revisions, [at(None), at(Some(1))]);
    done(ledger.answer_as_of(&id_of_group, None, None, answered(), party.now)).unwrap();
    let [batch] = written(&ledger).try_into().unwrap();
    assert!(batch.expect.contains(&Expect::GroupAt(id_of_group.clone(), None)), "there is none");
}

#[test]
fn what_is_staged_is_answered_before_its_twin() {
    let mut party = Party::of(&[BOB]);
    let made = party.member(ALICE).update().unwrap();
    let epoch = party.group.epoch().get();
    let store = Memory::default();
    let (holder, late) = (Ledger::new(store.clone()), Ledger::new(store.clone()));
    let message = || {
        Op::Receive(InboxItem::new(
            Authenticated::stored(id(ALICE).user),
            party.now,
            Incoming::ToDevice { kind: "m.mls.message".to_owned(), content: Vec::new() },
        ))
    };
    let ops = vec![Op::SetHead(party.group.head().clone()), message(), message()];
    done(store.apply(Batch { name: "test", expect: Vec::new(), ops })).unwrap();
    let (first, twin) = (InboxSeq::new(0), InboxSeq::new(1));
    let permit = Permit { effects: vec![Outside { about: None, words: b"x".to_vec() }], cited: Vec::new() };
    let staged = Staged::new(&command(ALICE, request(epoch, &made)), first, party.now, permit, Vec::new());
    let staged = done(holder.stage(staged, Some(party.group.epoch()), key(1))).unwrap();

    // It has the group in memory still, and does not know what is staged there.
    let refusal = |remembered: bool| {
        let remember = remembered
            .then(|| (key(1), Answer { expires_at: party.now.plus(limits::REFUSAL_REMEMBERED), ..answer() }));
        Answered { row: twin, remember, owed: vec![owed()] }
    };
    let id_of_group = party.group.id().clone();
    let refuse = |staged, remembered| {
        done(late.answer_as_of(&id_of_group, Some(&party.group), staged, refusal(remembered), party.now))
    };
    for other in [None, Some(twin)] {
        let refused = refuse(other, true);
        let expected = Expect::StagedIn(id_of_group.clone(), other);
        assert!(matches!(refused, Err(LedgerError::Conflict(expect)) if *expect == expected));
    }
    assert_eq!(done(late.remembered(key(1), party.now)).unwrap(), None, "nothing is answered yet");
    assert_eq!(store.records().inbox(None, 9).len(), 2, "and nothing left the inbox");
    // What is to be asked again has no answer by that.
    refuse(None, false).unwrap();

    let outcome = Answered { row: first, remember: Some((key(1), answer())), owed: vec![owed()] };
    done(holder.answer_staged(outcome, &staged, party.now)).unwrap();
    assert_eq!(done(late.remembered(key(1), party.now)).unwrap(), Some(answer()));
}

#[test]
fn what_is_damaged_of_a_freeze_or_of_what_is_staged_does_not_stop_a_recovery() {
    let group = GroupId::parse(ROOM).unwrap();
    let reason = FreezeReason::parse("an older copy").unwrap();
    let frozen = Frozen { reason, frozen_at: now() };
    let freeze = Op::Freeze(group.clone(), frozen.clone());
    let unstage = Op::Unstage(group);
    // A group that is not frozen is frozen in any case.
    for (is_freeze, is_staged, expected) in [
        (true, false, vec![freeze.clone()]),
        (false, true, vec![freeze.clone(), unstage.clone()]),
        (true, true, vec![freeze.clone(), unstage.clone()]),
    ] {
        let damaged = Some(Damaged { freeze: is_freeze, staged: is_staged });
        let ledger = Ledger::new(Noting { damaged, ..Noting::default() });
        let recovered = done(ledger.recover(0, Progress::default(), &frozen, now())).unwrap();
        assert_eq!(recovered, Recovered { frozen: 1, ..Recovered::default() });
        let [of_group, last] = written(&ledger).try_into().unwrap();
        assert_eq!(of_group.ops, expected);
        assert!(matches!(last.ops[..], [Op::SkipTo(_)]), "and it is done to the end");
    }
}

#[test]
fn a_registration_that_is_staged_is_not_taken_up_in_an_older_copy() {
    let store = Memory::default();
    let ledger = Ledger::new(store.clone());
    let founder = founder(ALICE, &[service(service_key())]);
    let item = || {
        let message = Incoming::ToDevice { kind: "m.mls.message".to_owned(), content: Vec::new() };
        InboxItem::new(Authenticated::stored(id(ALICE).user), now(), message)
    };
    let ops = vec![Op::Receive(item()), Op::Receive(item())];
    done(store.apply(Batch { name: "test", expect: Vec::new(), ops })).unwrap();
    let permit = Permit { effects: vec![Outside { about: None, words: b"x".to_vec() }], cited: Vec::new() };
    let frozen = Frozen { reason: FreezeReason::parse("an older copy").unwrap(), frozen_at: now() };
    let request = Request::Register { group_info: founder.group_info(true).unwrap() };
    for (row, stays) in [(0, false), (1, true)] {
        let row = InboxSeq::new(row);
        let staged = Staged::new(&command(ALICE, request.clone()), row, now(), permit.clone(), Vec::new());
        done(ledger.stage(staged, None, key(1))).unwrap();
        done(ledger.recover(1, store.records().progress(), &frozen, now())).unwrap();
        assert_eq!(!store.records().staged_groups().is_empty(), stays, "what came later stays");
        let left = store.records().inbox(None, 9).iter().map(|row| row.seq).collect::<Vec<_>>();
        assert_eq!(left, [InboxSeq::new(1)]);
    }
}

/// What was accepted is answered as it was for as long as the log has it, however many answers there are.
#[test]
fn a_crowd_of_answers_costs_refusals_and_no_acceptance() {
    let tomorrow = now().plus(limits::REFUSAL_REMEMBERED);
    let answers = vec![(key(1), now()), (key(2), tomorrow), (key(3), Timestamp::END)];
    for (each, forgotten) in [(1, vec![key(1)]), (limits::ANSWERS_REMEMBERED, vec![key(1), key(2)])] {
        let ledger = Ledger::new(Noting { answers: answers.clone(), each, ..Noting::default() });
        assert_eq!(done(ledger.forget(now())).unwrap(), forgotten.len());
        let [batch] = written(&ledger).try_into().unwrap();
        assert_eq!(batch.ops, forgotten.into_iter().map(Op::Forget).collect::<Vec<_>>());
    }
}

/// Nobody knows what has happened outside for what is given up; a group that never began is held up by nothing.
#[test]
fn a_damaged_group_whose_staged_command_goes_is_frozen_if_anything_may_have_happened() {
    let party = Party::of(&[BOB]);
    let group = party.group.id().clone();
    let frozen = Frozen { reason: FreezeReason::parse("damaged").unwrap(), frozen_at: now() };
    for (begun, effects, freezes) in [(true, 1, true), (true, 0, false), (false, 1, false)] {
        let store = Memory::default();
        let ledger = Ledger::new(store.clone());
        let message = Incoming::ToDevice { kind: "m.mls.message".to_owned(), content: Vec::new() };
        let item = InboxItem::new(Authenticated::stored(id(ALICE).user), now(), message);
        let mut ops = vec![Op::Receive(item)];
        ops.extend(begun.then(|| Op::SetHead(party.group.head().clone())));
        done(store.apply(Batch { name: "test", expect: Vec::new(), ops })).unwrap();
        let effects = vec![Outside { about: None, words: b"x".to_vec() }; effects];
        let (row, permit) = (InboxSeq::new(0), Permit { effects, cited: Vec::new() });
        let request = Request::Register { group_info: vec![1] };
        let staged = Staged::new(&command(ALICE, request), row, now(), permit, Vec::new());
        done(ledger.stage(staged, begun.then(|| party.group.epoch()), key(1))).unwrap();
        let answered = Answered { row, remember: Some((key(1), answer())), owed: vec![owed()] };
        done(ledger.answer_of_damaged(&group, answered, frozen.clone(), now())).unwrap();
        assert!(store.records().staged_groups().is_empty() && store.records().inbox(None, 9).is_empty());
        assert_eq!(done(ledger.frozen(&group)).unwrap(), freezes.then(|| frozen.clone()));
    }
    // Of what cannot be read, the same.
    let damaged = Some(Damaged { freeze: false, staged: true });
    let ledger = Ledger::new(Noting { damaged, ..Noting::default() });
    let answered = Answered { row: InboxSeq::new(0), remember: None, owed: vec![owed()] };
    done(ledger.answer_of_damaged(&group, answered, frozen, now())).unwrap();
    let [batch] = written(&ledger).try_into().unwrap();
    assert!(batch.ops.contains(&Op::Unstage(group)), "{batch:?}");
    assert!(batch.ops.iter().all(|op| !matches!(op, Op::Freeze(..))), "it never began");
}
