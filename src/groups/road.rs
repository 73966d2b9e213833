//! The road of one command through its group: judged, permitted, staged where something must happen outside first, decided,
//! and durable before anybody hears of it.
//!
//! Whatever breaks off on the way is begun again: the message is in the inbox until its answer is written, and what was
//! staged is taken up before anything else in its group.

use std::sync::Arc;

use maypole_core::auth::Authenticated;
use maypole_core::batch::{Backend, Expect};
use maypole_core::group::{
    Case, Command, Fetched, Frozen, Group, Input, Need, Request, Staged, Standing, Step, Terms, step,
};
use maypole_core::ids::{ClientId, Epoch, FreezeReason, GroupId, InboxSeq, UserId};
use maypole_core::ledger::{Answered, Durable, Ledger, LedgerError, Past};
use maypole_core::limits;
use maypole_core::records::InboxRow;
use maypole_core::rejection::Rejection;
use maypole_room::commit_event::CommitEvent;
use maypole_room::names::Prefix;
use tokio::sync::Notify;

use super::lanes::Turn;
use super::live::LiveGroups;
use super::places::{Place, Places};
use crate::clock;
use crate::dialects::matrix::Matrix;
use crate::dialects::matrix::answers;
use crate::dialects::matrix::commands::{Ready, room_of};
use crate::dialects::matrix::inquiries::{Inquiry, PastTree, Sources, Unanswered};
use crate::dialects::matrix::questions::Question;
use crate::dialects::matrix::telling::{Asker, prefix_of};
use crate::homeserver::Backoff;
use crate::intake::Held;
use crate::telemetry::record;

/// What a group's messages are told of which a record is damaged.
const DAMAGED: &str = "what is stored of it is damaged; its operator knows";

/// Why a group is frozen in which something was staged that cannot be decided any more.
const LOST: &str = "it is damaged, and what was staged in it was given up: nobody knows what has happened in the room for it";

/// What waits in a group's lane.
pub enum Job {
    /// A command, with the question that it came from.
    Command(Box<Asked>),
    /// A request to be told something.
    Inquiry(Box<Inquiry>, InboxRow, Held),
    /// Nothing but what was staged before a restart, with this row of the inbox, which is in hand.
    Resume(InboxSeq, Option<Held>),
}

impl Job {
    /// Its row of the inbox, which may be left to another process.
    pub(super) fn row(&self) -> Option<InboxSeq> {
        match self {
            Self::Command(asked) => Some(asked.row.seq),
            Self::Inquiry(_, row, _) => Some(row.seq),
            // Whoever takes it up holds its share.
            Self::Resume(..) => None,
        }
    }
}

/// A command that has its turn.
pub struct Asked {
    pub(super) question: Question,
    pub(super) ready: Ready,
    pub(super) row: InboxRow,
    /// Let go when the command is done.
    pub(super) _held: Held,
}

/// Takes commands and requests through their groups.
pub struct Road<B> {
    ledger: Arc<Ledger<B>>,
    pub(super) matrix: Arc<Matrix>,
    live: LiveGroups,
    places: Places,
    outbox: Arc<Notify>,
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

    fn blobs_kib(job: &Job) -> usize {
        match job {
            Job::Command(asked) => asked.ready.blobs_kib(),
            Job::Inquiry(..) | Job::Resume(..) => 0,
        }
    }

    /// Does it until it is done: what is in the way of the store passes.
    async fn take(&self, group: &GroupId, job: Job) {
        let mut backoff = Backoff::default();
        loop {
            let mut done = self.attempt(group, &job).await;
            if let Err(LedgerError::Damaged(reason)) = done {
                tracing::error!(
                    ?group, %reason,
                    "a group cannot be read, and takes no commands: `maypole db check` says which are so; with the service stopped, \
                     `maypole db mend` brings one back from a copy, and `maypole db import` the whole store"
                );
                done = self.refuse_damaged(group, &job).await;
            }
            match done {
                Ok(()) => break,
                // Somebody has answered it already.
                Err(LedgerError::Conflict(expect)) if matches!(*expect, Expect::InInbox(_)) => break,
                // It was judged by a state that another process has moved on from, or that process has it staged.
                Err(LedgerError::Conflict(expect)) => {
                    tracing::info!(?group, ?expect, "somebody was faster; looking again");
                }
                Err(error) => tracing::error!(?group, %error, "a command cannot be worked on; trying again"),
            }
            clock::back_off(&mut backoff, None).await;
        }
        self.outbox.notify_one();
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

    /// The room for groups at work.
    #[cfg(test)]
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The service as groups name it: its account, and the key of its receipts.
    pub(super) fn service(&self) -> &str {
        self.matrix.terms().identity()
    }

    /// Who can be a member.
    pub(super) fn terms(&self) -> &dyn Terms {
        self.matrix.terms()
    }

    async fn attempt(&self, id: &GroupId, job: &Job) -> Result<(), LedgerError> {
        if matches!(job, Job::Resume(..)) {
            // What is in memory may be from before another process staged something.
            drop(self.live.take(id));
        }
        let (mut group, place) = self.open(id).await?;
        // On any error the group is read anew: what was written is not known.
        match job {
            Job::Inquiry(inquiry, row, _) => {
                place.leave();
                let past = match self.sources().past(inquiry, group.as_ref()) {
                    Some((epoch, asks)) => Some(self.past_tree(id, epoch, &asks).await?),
                    None => None,
                };
                let now = clock::now();
                let answered = self.sources().answer(row.seq, inquiry, group.as_ref(), past, now).await?;
                self.ledger.answer_as_of(id, group.as_ref(), None, answered, clock::now()).await?;
            }
            Job::Command(asked) => self.command(&mut group, asked, &place).await?,
            // To open the group was all.
            Job::Resume(..) => {}
        }
        if let Some(group) = group {
            self.live.put(group);
        }
        Ok(())
    }

    /// The group as it is, and its place at work; what was staged in it when the service ended is finished first.
    async fn open(&self, id: &GroupId) -> Result<(Option<Group>, Place<'_>), LedgerError> {
        if let Some(group) = self.live.take(id) {
            let place = self.places.of(group.weight_bytes());
            place.enter().await;
            return Ok((Some(group), place));
        }
        let place = self.places.of(self.ledger.head(id).await?.map_or(0, |head| head.weight_bytes()));
        place.enter().await;
        let mut group = self.ledger.group(id, self.matrix.terms()).await?;
        if let Some(staged) = self.ledger.staged(id).await? {
            tracing::info!(group = ?id, "what was staged is taken up again");
            self.finish_staged(&mut group, staged, &place).await?;
        }
        Ok((group, place))
    }

    /// Answers a command, with what was answered before if it is the same.
    async fn command(
        &self,
        group: &mut Option<Group>,
        asked: &Asked,
        place: &Place<'_>,
    ) -> Result<(), LedgerError> {
        let (question, row) = (&asked.question, asked.row.seq);
        for _ in 0..limits::ANSWER_TRIES {
            let (now, id) = (clock::now(), &asked.ready.command.get().group);
            // Side by side: each may have to wait for a write.
            let (remembered, frozen) =
                tokio::join!(self.ledger.remembered(question.key, now), self.ledger.frozen(id));
            if let Some(answer) = remembered? {
                let answered = answers::again(row, question, answer, now);
                return self.ledger.answer(answered, now).await.map(drop);
            }
            if let Some(frozen) = frozen? {
                let rejection = frozen_for(&asked.ready.command.get().by.user, group.as_ref(), &frozen);
                return self.refuse_now(group.as_ref(), asked, &rejection, place).await;
            }
            match self.decide(group, asked, place).await {
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
        asked: &Asked,
        place: &Place<'_>,
    ) -> Result<(), LedgerError> {
        let (question, row) = (&asked.question, asked.row.seq);
        let command = asked.ready.command.clone();
        let asker = Asker::of(question);
        let mut case = Case::new(command.clone());
        place.enter().await;
        let began = step(group.as_ref(), &mut case, Input::Begin, self.matrix.terms(), clock::now());
        let end = match self.judge(group.as_ref(), &mut case, began, &asker, place).await {
            Step::Stage(permit) => {
                let staged = Staged::new(&command, row, clock::now(), permit, asker.to_bytes());
                let at = group.as_ref().map(Group::epoch);
                let staged = self.ledger.stage(staged, at, asker.key()).await?;
                return self.carry_out(group, case, (&staged, false), &asker, place).await;
            }
            Step::Reject(rejection) => End::Refused(rejection),
            step => self.enter(group, step, (row, None), &asker, place).await?,
        };
        match end {
            End::Decided => Ok(()),
            End::Refused(rejection) => self.refuse_now(group.as_ref(), asked, &rejection, place).await,
        }
    }

    /// Takes up what was staged before the service ended.
    async fn finish_staged(
        &self,
        group: &mut Option<Group>,
        staged: Durable<Staged>,
        place: &Place<'_>,
    ) -> Result<(), LedgerError> {
        let damaged = || LedgerError::Damaged("what is staged does not say who asked".to_owned());
        let asker = Asker::read(&staged.get().notes).ok_or_else(damaged)?;
        let (permit, staged_at) = (staged.get().permit.clone(), staged.get().staged_at);
        let mut case = Case::new(staged.get().command());
        let input = Input::Resume(permit);
        let resumed = step(group.as_ref(), &mut case, input, self.matrix.terms(), staged_at);
        let resumed = self.judge(group.as_ref(), &mut case, resumed, &asker, place).await;
        if let Step::Reject(rejection) = resumed {
            // It was found valid in this very state; what has changed since is not the group.
            tracing::error!(group = ?staged.get().group(), %rejection, "what was staged is not valid any more");
            return self.refuse_staged(group.as_ref(), &staged, &asker, &rejection).await;
        }
        self.carry_out(group, case, (&staged, true), &asker, place).await
    }

    /// Answers what a case asks for, until it has all. Whoever is asked is outside.
    pub(super) async fn judge(
        &self,
        group: Option<&Group>,
        case: &mut Case,
        mut next: Step,
        asker: &Asker,
        place: &Place<'_>,
    ) -> Step {
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

    /// The tree of an epoch that has passed, for a device that had a leaf in it. It takes a place as a group at work does.
    async fn past_tree(
        &self,
        id: &GroupId,
        epoch: Epoch,
        client: &ClientId,
    ) -> Result<PastTree, LedgerError> {
        let place = self.places.of(self.ledger.tree_weight_bytes(id, epoch).await?);
        place.enter().await;
        match self.ledger.tree_at(id, epoch).await {
            Ok(Past::Kept(past)) if past.has_leaf(client, self.matrix.terms()) => {
                Ok(PastTree::Tree(past.ratchet_tree()))
            }
            Ok(Past::Kept(_)) => Ok(PastTree::Outside),
            Ok(Past::Gone { oldest }) => Ok(PastTree::Gone { oldest }),
            // The group itself goes on.
            Err(LedgerError::Damaged(reason)) => {
                tracing::error!(
                    group = ?id, %epoch, %reason,
                    "the tree of an epoch that has passed cannot be read: with the service stopped, `maypole db mend` makes it \
                     anew with the help of a copy"
                );
                Ok(PastTree::Unreadable)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a decision down and enters its epoch.
    pub(super) async fn enter(
        &self,
        group: &mut Option<Group>,
        next: Step,
        (row, staged): (InboxSeq, Option<&Durable<Staged>>),
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
        let durable = self.ledger.decide(row, staged, decision, told, now).await?;
        *group = Group::enter(group.take(), durable);
        record::accepted();
        tracing::debug!(group = ?id, %epoch, "accepted");
        Ok(End::Decided)
    }

    /// Refuses a command, in the write that takes it out of the inbox.
    async fn refuse_now(
        &self,
        group: Option<&Group>,
        asked: &Asked,
        rejection: &Rejection,
        place: &Place<'_>,
    ) -> Result<(), LedgerError> {
        // What it missed may have to be uploaded.
        place.leave();
        let answered = self.refuse(group, asked, rejection).await?;
        let id = &asked.ready.command.get().group;
        // What is staged is finished first in a lane. Where another process has staged something since, it is looked again.
        self.ledger.answer_as_of(id, group, None, answered, clock::now()).await?;
        record::answered(rejection.code().facts().errcode);
        Ok(())
    }

    /// What refuses a command; a device that was too slow gets what it missed.
    async fn refuse(
        &self,
        group: Option<&Group>,
        asked: &Asked,
        rejection: &Rejection,
    ) -> Result<Answered, LedgerError> {
        let mut content = answers::content(&asked.question, rejection);
        if let (Rejection::StaleEpoch { .. }, Some(group)) = (rejection, group) {
            let command = asked.ready.command.get();
            if let Request::Commit { epoch, .. } = command.request {
                let missed = self.missed(group, &command.by, epoch).await?;
                content.insert("commits".to_owned(), missed.into());
            }
        }
        let prefix = spelling(group, asked.question.prefix);
        Ok(answers::refuse_with(asked.row.seq, &asked.question, rejection, content, prefix, clock::now()))
    }

    /// The commits that a device with a leaf has missed since an epoch, as many as fit.
    async fn missed(
        &self,
        group: &Group,
        client: &ClientId,
        from: Epoch,
    ) -> Result<Vec<serde_json::Value>, LedgerError> {
        let has_leaf = group.leaf_of(client, self.matrix.terms()).is_some();
        let Some(room) = room_of(group.id()).filter(|_| has_leaf) else { return Ok(Vec::new()) };
        let sources = self.sources();
        match sources.commits(&room, group, client, from, limits::STALE_COMMITS).await {
            Ok((commits, _)) => Ok(commits.iter().map(CommitEvent::content).collect()),
            Err(Unanswered::Refused(_)) => Ok(Vec::new()),
            Err(Unanswered::Store(error)) => Err(error),
        }
    }

    pub(super) async fn refuse_staged(
        &self,
        group: Option<&Group>,
        staged: &Durable<Staged>,
        asker: &Asker,
        rejection: &Rejection,
    ) -> Result<(), LedgerError> {
        let (question, now) = (asker.question(staged.get()), clock::now());
        let content = answers::content(&question, rejection);
        let prefix = spelling(group, asker.prefix());
        let answered = answers::refuse_with(staged.get().row, &question, rejection, content, prefix, now);
        self.ledger.answer_staged(answered, staged, now).await?;
        record::answered(rejection.code().facts().errcode);
        Ok(())
    }

    /// Answers what came to a group that cannot be read, which is frozen by that: what is staged there as well.
    async fn refuse_damaged(&self, group: &GroupId, job: &Job) -> Result<(), LedgerError> {
        let now = clock::now();
        let rejection = Rejection::Frozen { reason: DAMAGED.to_owned() };
        let (row, question) = match job {
            Job::Command(asked) => (asked.row.seq, Some(asked.question.clone())),
            Job::Inquiry(_, row, _) => (row.seq, None),
            Job::Resume(row, _) => {
                // Without its message there is nobody to answer.
                let Some(message) = self.ledger.message(*row).await? else { return Ok(()) };
                (*row, Question::read(&message.item))
            }
        };
        let answered = match (job, &question) {
            (Job::Inquiry(inquiry, ..), _) => inquiry.refuse(row, &rejection, now),
            (_, None) => answers::ignore(row),
            (_, Some(question)) => match self.ledger.remembered(question.key, now).await? {
                Some(answer) => answers::again(row, question, answer, now),
                None => answers::refuse(row, question, &rejection, now),
            },
        };
        let freeze = FreezeReason::parse(LOST).map(|reason| Frozen { reason, frozen_at: now });
        let unnamed = || LedgerError::Unavailable("a freeze has no reason".to_owned());
        self.ledger.answer_of_damaged(group, answered, freeze.ok_or_else(unnamed)?, now).await?;
        record::answered(rejection.code().facts().errcode);
        Ok(())
    }

    fn sources(&self) -> Sources<'_, B> {
        Sources {
            ledger: &self.ledger,
            permits: self.matrix.permits(),
            blobs: self.matrix.blobs(),
            terms: self.matrix.terms(),
        }
    }
}

/// A group takes no command while it is frozen. The operator's words are for those who are in it.
fn frozen_for(user: &UserId, group: Option<&Group>, frozen: &Frozen) -> Rejection {
    let inside = group.is_some_and(|group| group.leaves_of(user) > 0);
    let words = if inside { frozen.reason.as_str() } else { "its operator said so" };
    Rejection::Frozen { reason: words.to_owned() }
}

/// How events are spelled: as the group was registered, or, where there is none, as the question.
fn spelling(group: Option<&Group>, question: Prefix) -> Prefix {
    group.map_or(question, |group| prefix_of(&group.head().notes))
}
