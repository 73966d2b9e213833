//! The road of a message through its group, as a process takes it: from the inbox to its answer.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::chance::Habit;
use super::house::{Doing, Note, Process};
use super::people::Sent;
use super::rules::Truth;
use super::service;
use crate::batch::Expect;
use crate::group::tests::{Here, signatures};
use crate::group::{
    Agenda, Around, Case, Command, Course, Fetched, Group, Head, Input, Need, Outcome, Request, Staged, Step,
    step,
};
use crate::ids::{ClientId, DeviceId, InboxSeq};
use crate::ledger::{Durable, LedgerError};
use crate::permit::Intent;
use crate::records::InboxRow;
use crate::rejection::{Code, Rejection};
use crate::time::Timestamp;

/// Somebody does not answer.
const SILENCE: Rejection = Rejection::Unavailable { users: Vec::new(), problem: "so chance has it" };
/// More tries than chance ever needs.
const TRIES: usize = 10_000;

/// Takes a message until it is answered, or is left where it is for another time.
pub(super) async fn handle(process: Rc<Process>, row: InboxRow, note: Note) {
    let house = process.house.clone();
    let sent = house.sent_as(&row);
    for _ in 0..TRIES {
        match attempt(&process, row.seq, &sent, &note).await {
            Ok(()) => break,
            Err(LedgerError::Conflict(expect)) if *expect == Expect::InInbox(row.seq) => {
                house.failed(&LedgerError::Conflict(expect));
                break;
            }
            Err(error) => {
                house.failed(&error);
                house.pause().await;
            }
        }
    }
    process.in_hand.borrow_mut().remove(&row.seq);
}

async fn attempt(
    process: &Rc<Process>,
    row: InboxSeq,
    sent: &Rc<Sent>,
    note: &Note,
) -> Result<(), LedgerError> {
    let house = &process.house;
    let id = &sent.command.get().group;
    let _lane = process.lane(id).await;
    let ledger = &process.ledger;
    let is_kept = process.keeps(id);
    let mut group = process.open(id).await?;
    // After the group: what is accepted from now on moves it, and is noticed by that.
    let remembered = ledger.remembered(sent.key, house.now()).await?;
    let by = group.as_ref().map(|group| (group.epoch().get(), group.agenda().revision));
    // Whoever has the group in memory knows what it has staged itself, and may not look what another has.
    let staged = match is_kept && house.chance.one_in(3) {
        true => None,
        false => ledger.staged(id).await?,
    };
    let beside = staged.as_ref().map(|staged| staged.get().row);
    let frozen = ledger.frozen(id).await?;
    house.linger().await;
    let now = house.now();
    *note.borrow_mut() = Doing::Row { row, now, by };
    let mut around = Around {
        group: group.as_ref(),
        staged: staged.as_ref().map(|staged| (staged.get(), house.key_of(staged.get().row))),
        frozen: frozen.as_ref(),
        remembered,
    };
    let course = around.course(sent.command.get(), sent.key, now);
    hold_against_the_rule(&around, sent, &course, now);
    if course != Course::Judge {
        // While it waits, the group may go on in another process.
        if turn_away(process, group.as_ref(), (row, beside), sent, course, now).await? {
            process.keep(group);
        }
        return Ok(());
    }
    let mut case = Case::new(sent.command.clone());
    let was = group.as_ref().filter(|_| house.chance.one_in(16)).map(Was::of);
    let began = begin(process, group.as_ref(), &mut case, Input::Begin, now).await?;
    let judged = judge(process, group.as_ref(), &mut case, began, row, now);
    compare(process, group.as_ref(), sent, row, &judged, now);
    match judged {
        Step::Stage(_) if staged.is_some() => process.keep(group),
        Step::Stage(permit) => {
            let staged = Staged::new(&sent.command, row, now, permit, Vec::new());
            let at = group.as_ref().map(Group::epoch);
            let staged = ledger.stage(staged, at, sent.key).await?;
            process.keep(group);
            begin_carrying(process, staged, Some(case));
        }
        Step::Reject(mut rejection) => {
            if let Some(group) = &mut group {
                group.note_refusal(sent.command.get(), &mut rejection, now);
            }
            if let (Some(was), Some(group)) = (was, &group) {
                assert!(was == Was::of(group), "a refusal leaves the group as it was");
            }
            refuse(process, group.as_ref(), beside, row, sent, &rejection).await?;
            process.keep(group);
        }
        step => {
            enter(process, group, step, row, sent, staged.as_ref().map(|staged| (staged, true)), now).await?
        }
    }
    Ok(())
}

/// Deals with a command that is not judged; whether it has its answer by that.
async fn turn_away(
    process: &Process,
    group: Option<&Group>,
    (row, beside): (InboxSeq, Option<InboxSeq>),
    sent: &Sent,
    course: Course,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    match course {
        Course::Again(answer) => {
            process.ledger.answer(service::again(row, sent, answer, now), now).await?;
        }
        Course::Refuse(rejection) => refuse(process, group, beside, row, sent, &rejection).await?,
        Course::Wait(_) | Course::WaitForStaged | Course::Judge => return Ok(false),
    }
    Ok(true)
}

/// A group, byte for byte, as it was before somebody judged by it.
#[derive(PartialEq, Eq)]
struct Was {
    tree: Vec<u8>,
    pending: Vec<Vec<u8>>,
    head: Head,
    agenda: Agenda,
}

impl Was {
    fn of(group: &Group) -> Self {
        let pending = group.mls().pending().iter().map(|pending| pending.reference().to_vec());
        Self {
            tree: group.mls().snapshot(),
            pending: pending.collect(),
            head: group.head().clone(),
            agenda: group.agenda().clone(),
        }
    }
}

/// The first step of a case. How the generation before stands is read where it is asked.
async fn begin(
    process: &Process,
    group: Option<&Group>,
    case: &mut Case,
    input: Input,
    now: Timestamp,
) -> Result<Step, LedgerError> {
    let began = step(group, case, input, &Here, now);
    let Step::Need(Need::Predecessor(before)) = began else { return Ok(began) };
    let before = process.ledger.group(&before, &Here).await?;
    let standing = Fetched::Predecessor(Ok(before.map(|before| Box::new(before.standing()))));
    Ok(step(group, case, Input::Fetched(standing), &Here, now))
}

/// What becomes of a command, held against the words of the rule.
fn hold_against_the_rule(around: &Around<'_>, sent: &Sent, course: &Course, now: Timestamp) {
    let epoch = match sent.command.get().request {
        Request::Register { .. } => None,
        Request::Commit { epoch, .. } | Request::Propose { epoch, .. } => Some(epoch),
    };
    let is_current = epoch.is_some() && epoch == around.group.map(Group::epoch);
    let since = around.staged.map(|(staged, _)| now.as_millis() - staged.staged_at.as_millis());
    match course {
        Course::Judge => {
            assert!(!is_current || since.is_none_or(|since| since >= 5_000), "what is staged is first")
        }
        Course::Wait(until) => {
            assert!(is_current && *until > now && until.as_millis() <= now.as_millis() + 5_000);
        }
        Course::WaitForStaged => assert!(since.is_some()),
        Course::Refuse(_) => assert!(around.frozen.is_some()),
        Course::Again(_) => {}
    }
}

/// Answers what a case asks for, as chance has it.
fn judge(
    process: &Process,
    group: Option<&Group>,
    case: &mut Case,
    mut next: Step,
    row: InboxSeq,
    now: Timestamp,
) -> Step {
    let fate = process.house.fate(row);
    let silence = if Habit::of(process.house.seed) == Habit::Slow { 6 } else { 25 };
    while let Step::Need(need) = next {
        let fetched = match need {
            Need::Keys(keys) => {
                let unknown = || Rejection::Identity {
                    leaf: None,
                    identity: keys[0].client.to_string(),
                    problem: "is not published",
                };
                Fetched::Keys(if fate.publishes { Ok(()) } else { Err(unknown()) })
            }
            Need::Permit(_) if process.house.chance.one_in(silence) => Fetched::Permit(Err(SILENCE)),
            Need::Permit(question) => {
                is_asked_rightly(process, group, case.command().get(), row, &question.intent);
                Fetched::Permit(fate.permit(&question))
            }
            Need::Predecessor(_) => Fetched::Predecessor(Ok(None)),
            Need::Signatures(to_sign) => {
                Fetched::Signatures(if fate.signs { signatures(&to_sign) } else { Vec::new() })
            }
        };
        next = step(group, case, Input::Fetched(fetched), &Here, now);
    }
    next
}

/// The place of a group is asked about exactly those for whom the committer answers.
fn is_asked_rightly(
    process: &Process,
    group: Option<&Group>,
    command: &Command,
    row: InboxSeq,
    asked: &Intent,
) {
    let books = process.house.books.borrow();
    let (Some(group), Truth::Commits(commit)) = (group, &books.rows[&row].truth) else { return };
    let Intent::Commit { external, users, proposed, extends: false } = asked else { panic!("{asked:?}") };
    let circle = books.circle_at(group.id(), group.epoch().get(), group.agenda().revision);
    let (mut comes, mut goes) = (BTreeSet::new(), BTreeSet::new());
    for change in users {
        let device = |device: &DeviceId| ClientId { user: change.user.clone(), device: device.clone() };
        comes.extend(change.added.iter().map(device));
        goes.extend(change.removed.iter().map(device));
        assert_eq!(change.leaves_before, group.leaves_of(&change.user));
    }
    assert_eq!((*external, (comes, goes)), (commit.from_outside, circle.answers_for(commit)));
    assert!(
        proposed.iter().all(|proposed| proposed.by != command.by),
        "the committer is asked about by itself"
    );
}

/// A verdict is that of the rules over the group as this process knew it.
fn compare(
    process: &Process,
    group: Option<&Group>,
    sent: &Sent,
    row: InboxSeq,
    judged: &Step,
    now: Timestamp,
) {
    let (by, fate, books) = (&sent.command.get().by, process.house.fate(row), process.house.books.borrow());
    let codes = match (group, &sent.truth) {
        (Some(group), truth) => {
            let circle = books.circle_at(group.id(), group.epoch().get(), group.agenda().revision);
            circle.verdict(by, truth, &fate, now)
        }
        (None, Truth::Registers { leaf }) if leaf != by => vec![Code::SenderMismatch],
        // How the generation before stood, nobody knows any more.
        (None, Truth::Registers { .. }) if sent.command.get().group.generation().1 > 0 => return,
        (None, Truth::Registers { .. }) if !fate.permits() => vec![Code::Forbidden],
        (None, Truth::Registers { .. }) if !fate.publishes => vec![Code::Identity],
        (None, Truth::Registers { .. }) => Vec::new(),
        (None, _) => vec![Code::UnknownGroup],
    };
    match judged {
        Step::Reject(rejection) if *rejection == SILENCE => {}
        Step::Reject(rejection) => {
            assert!(
                codes.contains(&rejection.code()),
                "{rejection:?}, but {codes:?}: {row:?} by {by} {:?}",
                sent.truth
            );
        }
        Step::Decide(_) | Step::Amend(_) | Step::Stage(_) => {
            assert!(codes.is_empty(), "taken, but {codes:?}: {row:?} by {by} {:?}", sent.truth);
        }
        Step::Need(need) => panic!("{need:?}"),
    }
}

/// Refuses a message by the state that its group was in.
async fn refuse(
    process: &Process,
    group: Option<&Group>,
    beside: Option<InboxSeq>,
    row: InboxSeq,
    sent: &Sent,
    rejection: &Rejection,
) -> Result<(), LedgerError> {
    let now = process.house.now();
    let answered = service::refused(row, sent, rejection, now);
    process.ledger.answer_as_of(&sent.command.get().group, group, beside, answered, now).await
}

/// Writes down what was decided, and enters it.
async fn enter(
    process: &Process,
    group: Option<Group>,
    judged: Step,
    row: InboxSeq,
    sent: &Sent,
    staged: Option<(&Durable<Staged>, bool)>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let ledger = &process.ledger;
    let group = match judged {
        Step::Decide(decision) => {
            let told = service::told(&decision, sent, now);
            let mut overtaken = None;
            let durable = match staged {
                None => ledger.decide(row, None, *decision, told, now).await?,
                Some((staged, false)) => ledger.decide(row, Some(staged), *decision, told, now).await?,
                Some((staged, true)) => {
                    let other = process.house.books.borrow().rows[&staged.get().row].clone();
                    let group = group.as_ref().expect("nothing is overtaken where there is no group");
                    let stale = group.overtaken(staged.get(), &decision, now);
                    let refusal = service::refused(staged.get().row, &other, &stale, now);
                    overtaken = Some((staged.get().command(), stale));
                    ledger.overtake(row, (staged, refusal), *decision, told, now).await?
                }
            };
            let mut group = Group::enter(group, durable);
            if let (Some(group), Some((command, stale))) = (&mut group, overtaken) {
                is_noted_as_told(group, command.get(), &stale, now);
            }
            group
        }
        Step::Amend(amendment) => {
            let owed = service::proposals(&amendment, now);
            let answered = service::accepted_proposal(row, sent, amendment.epoch(), now);
            let beside = staged.map(|(staged, _)| staged.get().row);
            let durable = ledger.amend(*amendment, Some((answered, beside)), owed, now).await?;
            group.and_then(|group| group.amend(durable))
        }
        other => panic!("neither decided nor to wait: {other:?}"),
    };
    assert!(group.is_some(), "what is durable is entered in the state that it was judged in");
    process.keep(group);
    Ok(())
}

/// What an overtaken commit was told is what the group makes of it when it has entered the epoch of the other.
fn is_noted_as_told(group: &mut Group, command: &Command, told: &Rejection, now: Timestamp) {
    let mut noted = told.clone();
    if let Rejection::StaleEpoch { reserved, .. } = &mut noted {
        *reserved = None;
    }
    group.note_refusal(command, &mut noted, now);
    assert_eq!(noted, *told, "an epoch is kept for whoever was told so");
}

pub(super) fn begin_carrying(process: &Rc<Process>, staged: Durable<Staged>, case: Option<Case>) {
    let row = staged.get().row;
    if process.carrying.borrow_mut().insert(row) {
        let note = Note::new(Doing::Chore.into());
        let work = carry(process.clone(), staged, case);
        process.begun.borrow_mut().push((note, Box::pin(work)));
    }
}

/// Waits for what must happen outside, and concludes what is staged.
async fn carry(process: Rc<Process>, staged: Durable<Staged>, mut case: Option<Case>) {
    let (house, row) = (process.house.clone(), staged.get().row);
    while !house.carried_out.borrow().contains(&row) {
        house.pause().await;
    }
    for _ in 0..TRIES {
        match conclude(&process, &staged, case.take()).await {
            Ok(()) => break,
            Err(error) => {
                house.failed(&error);
                house.pause().await;
            }
        }
    }
    process.carrying.borrow_mut().remove(&row);
}

async fn conclude(
    process: &Process,
    staged: &Durable<Staged>,
    case: Option<Case>,
) -> Result<(), LedgerError> {
    let (house, ledger, id, row) = (&process.house, &process.ledger, staged.get().group(), staged.get().row);
    let _lane = process.lane(id).await;
    if case.is_none() {
        process.forget(id);
    }
    let mut group = process.open(id).await?;
    let again = ledger.staged(id).await?;
    if again.is_none_or(|again| again.get().row != row) {
        // Somebody was faster, here or in another process.
        return Ok(());
    }
    let (now, fate) = (house.now(), house.fate(row));
    let sent = house.books.borrow().rows[&row].clone();
    let mut case = match case {
        Some(case) => case,
        None => {
            let mut case = Case::new(staged.get().command());
            let input = Input::Resume(staged.get().permit.clone());
            match begin(process, group.as_ref(), &mut case, input, staged.get().staged_at).await? {
                Step::Stage(_) => case,
                // What it was to succeed may have changed; nothing else may have.
                Step::Reject(rejection) => {
                    assert!(id.generation().1 > 0, "what was staged is not valid any more: {rejection:?}");
                    let answered = service::refused(row, &sent, &rejection, now);
                    ledger.answer_staged(answered, staged, now).await?;
                    process.keep(group);
                    return Ok(());
                }
                other => panic!("resumed: {other:?}"),
            }
        }
    };
    let place = fate.refused_of(&staged.get().permit);
    let refused = place.map(|place| (place, "so chance has it".to_owned())).into_iter().collect();
    let next = step(
        group.as_ref(),
        &mut case,
        Input::Outcome(Outcome { refused, ..Outcome::default() }),
        &Here,
        now,
    );
    let judged = judge(process, group.as_ref(), &mut case, next, row, now);
    match judged {
        Step::Reject(mut rejection) => {
            assert_eq!((place, rejection.code()), (Some(0), Code::Forbidden), "{rejection:?}");
            if let Some(group) = &mut group {
                group.note_refusal(sent.command.get(), &mut rejection, now);
            }
            let answered = service::refused(row, &sent, &rejection, now);
            ledger.answer_staged(answered, staged, now).await?;
            process.keep(group);
            Ok(())
        }
        decided => enter(process, group, decided, row, &sent, Some((staged, false)), now).await,
    }
}
