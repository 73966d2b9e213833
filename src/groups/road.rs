//! The road of one command through its group: judged, permitted, staged where something must happen outside first, decided,
//! and durable before anybody hears of it.
//!
//! Whatever breaks off on the way is begun again: the message is in the inbox until its answer is written. What is staged is
//! carried out beside its group's lane (`outside.rs`) and comes back into it to be decided (`staged.rs`).

use std::sync::Arc;
use std::time::Duration;

use maypole_core::auth::Authenticated;
use maypole_core::batch::{Backend, Expect};
use maypole_core::group::{
    Around, Case, Command, Course, Fetched, Group, Input, Need, Staged, Standing, Step, Terms, step,
};
use maypole_core::ids::{GroupId, InboxSeq, UserId};
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::InboxRow;
use maypole_core::rejection::Rejection;
use maypole_core::time::Timestamp;
use maypole_room::names::Prefix;
use tokio::sync::Notify;

use super::lanes::{Change, Taken, Turn};
use super::live::LiveGroups;
use super::outside::Errand;
use super::places::{Place, Places};
use super::staged::{Beside, Memory, note_overtaken, overtaken};
use crate::clock;
use crate::dialects::matrix::Matrix;
use crate::dialects::matrix::answers;
use crate::dialects::matrix::commands::Ready;
use crate::dialects::matrix::inquiries::{Inquiry, Sources};
use crate::dialects::matrix::questions::Question;
use crate::dialects::matrix::telling::{Asker, prefix_of};
use crate::homeserver::Backoff;
use crate::intake::Held;
use crate::telemetry::record;

/// What waits in a group's lane.
pub enum Job {
    /// A command, with the question that it came from.
    Command(Box<Asked>),
    /// A request to be told something.
    Inquiry(Box<Inquiry>, InboxRow, Held),
    /// Nothing but what was staged before a restart, with this row of the inbox, which is in hand.
    Resume(InboxSeq, Option<Held>),
    /// What was staged comes back from outside.
    Back(Box<Errand>),
}

impl Job {
    /// Its row of the inbox, which may be left to another process.
    pub(super) fn row(&self) -> Option<InboxSeq> {
        match self {
            Self::Command(asked) => Some(asked.row.seq),
            Self::Inquiry(_, row, _) => Some(row.seq),
            // Whoever takes it up holds its share.
            Self::Resume(..) | Self::Back(_) => None,
        }
    }

    /// It has its place in a lane.
    pub(super) fn has_its_place(&mut self) {
        match self {
            Self::Command(asked) => asked.held.has_its_place(),
            Self::Inquiry(_, _, held) | Self::Resume(_, Some(held)) => held.has_its_place(),
            Self::Resume(_, None) | Self::Back(_) => {}
        }
    }
}

/// A command that has its turn.
pub struct Asked {
    pub(super) question: Question,
    pub(super) ready: Ready,
    pub(super) row: InboxRow,
    /// Let go when the command is done.
    pub(super) held: Held,
    /// It needs something outside, and waits as long as this is staged.
    pub(super) waits_for: Option<InboxSeq>,
}

/// Takes commands and requests through their groups.
pub struct Road<B> {
    pub(super) ledger: Arc<Ledger<B>>,
    pub(super) matrix: Arc<Matrix>,
    live: LiveGroups,
    pub(super) places: Places,
    outbox: Arc<Notify>,
}

/// A group, its place at work, and what was found staged in it.
type Opened<'p> = (Option<Group>, Place<'p>, Option<Box<Errand>>);

/// What became of a job at one attempt.
pub(super) enum Attempted {
    /// It is done; whether others may have their turn by that.
    Done(bool),
    /// It waits, and looks again after this time.
    Waits(Duration),
    /// All that wait look again, in their order, it as well.
    LooksAgain,
    /// It is staged, and goes outside. Nothing is left of the job but what it keeps.
    Outside(Box<Errand>),
    /// What came back from outside has been asked about, and goes on there.
    GoesOn,
    /// Something else was found staged, and goes outside; then the job looks again.
    Found(Box<Errand>),
}

/// How a command ended.
pub(super) enum End {
    /// It was decided; the group has entered its epoch.
    Decided,
    /// It was refused.
    Refused(Rejection),
}

impl<B: Backend> Turn for Road<B> {
    type Job = Job;
    type Memory = Memory;

    fn blobs_kib(job: &Job) -> usize {
        match job {
            Job::Command(asked) => asked.ready.blobs_kib(),
            Job::Back(errand) => errand.blobs_kib(),
            Job::Inquiry(..) | Job::Resume(..) => 0,
        }
    }

    fn sender(job: &Job) -> Option<&UserId> {
        match job {
            Job::Command(asked) => Some(asked.row.item.sender()),
            Job::Inquiry(_, row, _) => Some(row.item.sender()),
            Job::Resume(..) | Job::Back(_) => None,
        }
    }

    /// Does it until it is done or has to wait: what is in the way of the store passes.
    async fn take(&self, group: &GroupId, memory: &mut Memory, mut job: Job) -> Taken<Job> {
        let (before, mut backoff) = (memory.row(), Backoff::default());
        let attempted = loop {
            let mut done = self.attempt(group, memory, &mut job).await;
            if let Err(LedgerError::Damaged(reason)) = done {
                tracing::error!(
                    ?group, %reason,
                    "a group cannot be read, and takes no commands: `maypole db check` says which are so; with the service stopped, \
                     `maypole db mend` brings one back from a copy, and `maypole db import` the whole store"
                );
                done = self.refuse_damaged(group, memory, &job).await;
            }
            match done {
                Ok(attempted) => break attempted,
                // Somebody has answered it already.
                Err(LedgerError::Conflict(expect)) if matches!(*expect, Expect::InInbox(_)) => {
                    if matches!(job, Job::Back(_)) {
                        memory.forget();
                    }
                    break Attempted::Done(true);
                }
                // It was judged by a state that another process has moved on from, or that process has it staged.
                Err(LedgerError::Conflict(expect)) => {
                    tracing::info!(?group, ?expect, "somebody was faster; looking again");
                }
                Err(error) => tracing::error!(?group, %error, "a command cannot be worked on; trying again"),
            }
            clock::back_off(&mut backoff, None).await;
        };
        self.outbox.notify_one();
        let is_over = before.is_some() && before != memory.row();
        self.taken(attempted, job, memory, is_over)
    }
}

impl<B: Backend> Road<B> {
    /// A road over a ledger, in the words of a dialect.
    pub fn new(ledger: Arc<Ledger<B>>, matrix: Arc<Matrix>, outbox: Arc<Notify>) -> Self {
        Self::within(ledger, matrix, outbox, Places::new(limits::GROUPS_AT_WORK_KIB))
    }

    /// The same, with so much room for groups at work.
    pub(super) fn within(
        ledger: Arc<Ledger<B>>,
        matrix: Arc<Matrix>,
        outbox: Arc<Notify>,
        places: Places,
    ) -> Self {
        Self { ledger, matrix, live: LiveGroups::new(limits::GROUPS_CACHE_BYTES), places, outbox }
    }

    /// The service as groups name it: its account, and the key of its receipts.
    pub(super) fn service(&self) -> &str {
        self.matrix.terms().identity()
    }

    /// Who can be a member.
    pub(super) fn terms(&self) -> &dyn Terms {
        self.matrix.terms()
    }

    async fn attempt(
        &self,
        id: &GroupId,
        memory: &mut Memory,
        job: &mut Job,
    ) -> Result<Attempted, LedgerError> {
        match job {
            Job::Command(_) if memory.is_time(clock::now()) => return Ok(Attempted::LooksAgain),
            // It was judged, and nothing has changed for it; but for a freeze nothing is looked at.
            Job::Command(asked)
                if asked.waits_for.is_some()
                    && asked.waits_for == memory.row()
                    && self.ledger.frozen(id).await?.is_none() =>
            {
                return Ok(Attempted::Waits(limits::STAGED_FIRST));
            }
            // What is in memory may be from before another process staged something.
            Job::Resume(..) => drop(self.live.take(id)),
            _ => {}
        }
        let (mut group, place, found) = self.open(id, memory).await?;
        let (epoch, row) = (group.as_ref().map(Group::epoch), memory.row());
        // On any error the group is read anew: what was written is not known.
        let mut attempted = match (found, &mut *job) {
            // To open the group was all.
            (Some(errand), Job::Resume(..)) => Attempted::Outside(errand),
            (Some(errand), _) => Attempted::Found(errand),
            (None, Job::Resume(..)) => Attempted::Done(false),
            (None, Job::Inquiry(inquiry, row, _)) => {
                place.leave();
                let past = match self.sources().past(inquiry, group.as_ref()) {
                    Some((epoch, asks)) => Some(self.past_tree(id, epoch, &asks).await?),
                    None => None,
                };
                let now = clock::now();
                let answered = self.sources().answer(row.seq, inquiry, group.as_ref(), past, now).await?;
                self.ledger.answer_as_of(id, group.as_ref(), None, answered, clock::now()).await?;
                Attempted::Done(false)
            }
            (None, Job::Command(asked)) => self.command(&mut group, memory, asked, &place).await?,
            (None, Job::Back(errand)) => self.comes_back(&mut group, memory, errand, &place).await?,
        };
        if let Attempted::Done(moved) = &mut attempted {
            *moved |= epoch != group.as_ref().map(Group::epoch) || row != memory.row();
        }
        if let Some(group) = group {
            self.live.put(group);
        }
        Ok(attempted)
    }

    /// What follows from an attempt for the lane.
    fn taken(&self, attempted: Attempted, job: Job, memory: &mut Memory, is_over: bool) -> Taken<Job> {
        let (later, moved, errand) = match attempted {
            Attempted::Done(moved) => (None, moved || is_over, None),
            Attempted::Waits(at_most) => (Some((job, at_most)), is_over, None),
            Attempted::LooksAgain => (Some((job, Duration::ZERO)), true, None),
            Attempted::Outside(mut errand) => {
                let blobs_kib = Self::blobs_kib(&job);
                errand.keep(job, blobs_kib);
                (None, is_over, Some(errand))
            }
            Attempted::GoesOn => match job {
                Job::Back(errand) => (None, is_over, Some(errand)),
                // Nothing else was outside.
                job => (Some((job, Duration::ZERO)), true, None),
            },
            Attempted::Found(errand) => (Some((job, Duration::ZERO)), true, Some(errand)),
        };
        if moved {
            memory.forget_who_waits();
        }
        let beside = match errand {
            Some(errand) => Change::Begins(errand.begin(self.matrix.clone())),
            None if memory.row().is_none() => Change::Ends,
            None => Change::Nothing,
        };
        Taken { later, moved, beside }
    }

    /// The group as it is, and its place at work. What is found staged in it that the lane did not know of is to be carried
    /// out.
    async fn open(&self, id: &GroupId, memory: &mut Memory) -> Result<Opened<'_>, LedgerError> {
        if let Some(group) = self.live.take(id) {
            let place = self.places.of(group.weight_bytes());
            place.enter().await;
            return Ok((Some(group), place, None));
        }
        let place = self.places.of(self.ledger.head(id).await?.map_or(0, |head| head.weight_bytes()));
        place.enter().await;
        let mut group = self.ledger.group(id, self.matrix.terms()).await?;
        let found = match memory.find(self.ledger.staged(id).await?) {
            Some(staged) => {
                tracing::info!(group = ?id, "what was staged is taken up again");
                self.take_up(&mut group, memory, staged, &place).await?
            }
            None => None,
        };
        Ok((group, place, found))
    }

    /// Answers a command, with what was answered before if it is the same.
    async fn command(
        &self,
        group: &mut Option<Group>,
        memory: &mut Memory,
        asked: &mut Asked,
        place: &Place<'_>,
    ) -> Result<Attempted, LedgerError> {
        let row = asked.row.seq;
        for _ in 0..limits::ANSWER_TRIES {
            let (question, command) = (&asked.question, asked.ready.command.get());
            let now = clock::now();
            // Side by side: each may have to wait for a write.
            let (remembered, frozen) =
                tokio::join!(self.ledger.remembered(question.key, now), self.ledger.frozen(&command.group));
            let (remembered, frozen) = (remembered?, frozen?);
            let staged = memory.staged();
            let mut around = Around { group: group.as_ref(), staged, frozen: frozen.as_ref(), remembered };
            match around.course(command, question.key, now) {
                Course::Again(answer) => {
                    let answered = answers::again(row, question, answer, now);
                    self.ledger.answer(answered, now).await?;
                    return Ok(Attempted::Done(false));
                }
                Course::Refuse(rejection) => {
                    self.refuse_now(group.as_ref(), memory, asked, &rejection, place).await?;
                    return Ok(Attempted::Done(false));
                }
                Course::Wait(until) => return Ok(Attempted::Waits(memory.wait(until, now))),
                Course::WaitForStaged => return Ok(Attempted::Waits(limits::STAGED_FIRST)),
                Course::Judge => {}
            }
            match self.decide(group, memory, asked, place).await {
                // A twin in another group's lane was faster.
                Err(LedgerError::Conflict(expect)) if matches!(*expect, Expect::NoAnswer(..)) => {}
                // The operator froze the group while the command was on its way.
                Err(LedgerError::Conflict(expect)) if matches!(*expect, Expect::NotFrozen(_)) => {}
                done => return done,
            }
        }
        Err(LedgerError::Unavailable("one message lost the race for its own answer again and again".into()))
    }

    async fn decide(
        &self,
        group: &mut Option<Group>,
        memory: &mut Memory,
        asked: &mut Asked,
        place: &Place<'_>,
    ) -> Result<Attempted, LedgerError> {
        let (row, command) = (asked.row.seq, asked.ready.command.clone());
        let asker = Asker::of(&asked.question);
        let mut case = Case::new(command.clone());
        let begin = (Input::Begin, clock::now());
        let end = match self.judge(group.as_ref(), &mut case, begin, &asker, place).await {
            Step::Stage(_) if memory.row().is_some() => {
                asked.waits_for = memory.row();
                return Ok(Attempted::Waits(limits::STAGED_FIRST));
            }
            Step::Stage(permit) => {
                let staged = Staged::new(&command, row, clock::now(), permit, asker.to_bytes());
                let at = group.as_ref().map(Group::epoch);
                let staged = self.ledger.stage(staged, at, asker.key()).await?;
                let errand = Errand::new(memory.remember(staged, asker.key()), asker, case);
                return Ok(Attempted::Outside(errand));
            }
            Step::Reject(rejection) => End::Refused(rejection),
            step => {
                let overtakes = memory.afoot().map_or(Beside::Nothing, Beside::Overtaken);
                let end = self.enter(group, step, (row, overtakes), &asker, place).await?;
                if matches!(end, End::Decided) {
                    memory.forget();
                }
                end
            }
        };
        match end {
            End::Decided => {}
            End::Refused(mut rejection) => {
                if let Some(group) = group {
                    group.note_refusal(command.get(), &mut rejection, clock::now());
                }
                self.refuse_now(group.as_ref(), memory, asked, &rejection, place).await?;
            }
        }
        Ok(Attempted::Done(false))
    }

    /// Takes a case on as of a time, and answers what it asks for until it has all. Whoever is asked is outside.
    pub(super) async fn judge(
        &self,
        group: Option<&Group>,
        case: &mut Case,
        (input, as_of): (Input, Timestamp),
        asker: &Asker,
        place: &Place<'_>,
    ) -> Step {
        place.enter().await;
        let mut next = step(group, case, input, self.matrix.terms(), as_of);
        let prefix = spelling(group, asker.prefix());
        while let Step::Need(need) = next {
            let command: Authenticated<Command> = case.command().clone();
            let permits = self.matrix.permits();
            if !matches!(need, Need::Signatures(_)) {
                place.leave();
            }
            let fetched = match need {
                Need::Keys(keys) => Fetched::Keys(permits.check_keys(&keys).await),
                Need::Permit(question) => {
                    Fetched::Permit(permits.permit(&question, command.get(), prefix).await)
                }
                Need::Predecessor(group) => Fetched::Predecessor(self.standing(&group).await),
                Need::Signatures(to_sign) => Fetched::Signatures(self.matrix.sign(&to_sign)),
            };
            place.enter().await;
            next = step(group, case, Input::Fetched(fetched), self.matrix.terms(), clock::now());
        }
        next
    }

    /// How a group stands that another is to succeed.
    async fn standing(&self, group: &GroupId) -> Result<Option<Box<Standing>>, Rejection> {
        let unreadable = |error| {
            tracing::error!(?group, %error, "a generation cannot be read");
            Rejection::Unavailable { users: Vec::new(), problem: "the generation before cannot be read now" }
        };
        let head = self.ledger.head(group).await.map_err(unreadable)?;
        let place = self.places.of(head.map_or(0, |head| head.weight_bytes()));
        place.enter().await;
        let found = self.ledger.group(group, self.matrix.terms()).await.map_err(unreadable)?;
        Ok(found.map(|group| Box::new(group.standing())))
    }

    /// Writes a decision down and enters its epoch.
    pub(super) async fn enter(
        &self,
        group: &mut Option<Group>,
        next: Step,
        (row, beside): (InboxSeq, Beside),
        asker: &Asker,
        place: &Place<'_>,
    ) -> Result<End, LedgerError> {
        let decision = match next {
            Step::Decide(decision) => *decision,
            Step::Reject(rejection) => return Ok(End::Refused(rejection)),
            Step::Need(_) | Step::Stage(_) | Step::Amend(_) => {
                return Err(LedgerError::Unavailable("a decision was taken out of turn".to_owned()));
            }
        };
        // What is large is uploaded before it is told.
        place.leave();
        let now = clock::now();
        let told = match self.matrix.teller().tell(&decision, asker, now).await {
            Ok(told) => told,
            Err(rejection) => return Ok(End::Refused(rejection)),
        };
        place.enter().await;
        let (id, epoch) = (decision.receipt.group.clone(), decision.receipt.epoch);
        let (durable, other) = match beside {
            Beside::Nothing => (self.ledger.decide(row, None, decision, told, now).await?, None),
            Beside::Itself(staged) => {
                (self.ledger.decide(row, Some(&staged), decision, told, now).await?, None)
            }
            Beside::Overtaken(other) => {
                let stale = overtaken(group.as_ref(), &other, &decision, &told, now);
                let overtaken = (&*other.staged, stale);
                (self.ledger.overtake(row, overtaken, decision, told, now).await?, Some(other))
            }
        };
        *group = Group::enter(group.take(), durable);
        if let Some(other) = other {
            note_overtaken(group.as_mut(), &other, now);
        }
        record::accepted();
        tracing::debug!(group = ?id, %epoch, "accepted");
        Ok(End::Decided)
    }

    pub(super) fn sources(&self) -> Sources<'_, B> {
        Sources {
            ledger: &self.ledger,
            permits: self.matrix.permits(),
            blobs: self.matrix.blobs(),
            terms: self.matrix.terms(),
        }
    }
}

/// How events are spelled: as the group was registered, or, where there is none, as the question.
pub(super) fn spelling(group: Option<&Group>, question: Prefix) -> Prefix {
    group.map_or(question, |group| prefix_of(&group.head().notes))
}
