//! Drains the inbox, page after page.
//!
//! What needs no group is answered here, the rows of a page side by side, so that their writes share one sync of the disk.
//! What does goes into its group's lane, in the order of arrival; a message whose bytes are in the media repository when
//! they have come. A row stays in the inbox until its answer is durable: whatever stops the worker, it is found again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use maypole_core::batch::{Backend, Expect};
use maypole_core::ids::{GroupId, UserId};
use maypole_core::ledger::{Answered, Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::rate::{Allowances, Pace, TooFast};
use maypole_core::records::{Answer, InboxRow, Incoming};
use maypole_core::rejection::{Code, Rejection};
use maypole_core::shares::{Share, Shares};
use maypole_core::time::Timestamp;
use maypole_room::request::{self, Want};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lanes::Lanes;
use super::road::{Job, Road};
use crate::clock;
use crate::dialects::matrix::Matrix;
use crate::dialects::matrix::answers;
use crate::dialects::matrix::commands::is_whole;
use crate::dialects::matrix::inquiries::Inquiry;
use crate::dialects::matrix::invites::Invites;
use crate::dialects::matrix::questions::Question;
use crate::hold::Hold;
use crate::homeserver::Backoff;
use crate::intake::{Held, InHand};
use crate::telemetry::labels::MessageKind;
use crate::telemetry::record;

/// Answers what is in the inbox.
pub struct Worker<B: Backend> {
    shared: Arc<Shared<B>>,
    invites: Invites<B>,
    in_hand: InHand,
    inbox: Arc<Notify>,
    fetches: TaskTracker,
    taken_up: Mutex<Shares>,
}

/// What its looks at messages have in common.
pub(super) struct Shared<B: Backend> {
    pub(super) ledger: Arc<Ledger<B>>,
    pub(super) matrix: Arc<Matrix>,
    pub(super) lanes: Arc<Lanes<Road<B>>>,
    pub(super) hold: Hold,
    allowances: Mutex<Allowances>,
    /// The same for trees.
    trees: Mutex<Allowances>,
    pub(super) outbox: Arc<Notify>,
}

/// How many trees an account may ask for.
const OF_TREES: Pace = Pace {
    burst: limits::SENDER_BURST_TREES,
    every: limits::SENDER_TREE_EVERY,
    watched: limits::SENDERS_WATCHED,
};

/// What a first look at a row leads to.
enum Next {
    /// It is answered.
    Nothing,
    /// Its bytes must be had before it can take its place.
    Command(Box<Question>),
    /// It has its place.
    Inquiry(GroupId, Box<Inquiry>),
}

impl<B: Backend> Worker<B> {
    /// A worker that is woken through `inbox` and wakes whoever waits on `outbox`.
    pub fn new(
        ledger: Arc<Ledger<B>>,
        matrix: Arc<Matrix>,
        invites: Invites<B>,
        lanes: Arc<Lanes<Road<B>>>,
        hold: Hold,
        inbox: Arc<Notify>,
        outbox: Arc<Notify>,
    ) -> Self {
        let trees = Mutex::new(Allowances::new(OF_TREES));
        let allowances = Mutex::default();
        let shared = Shared { ledger, matrix, lanes, hold: hold.clone(), allowances, trees, outbox };
        Self {
            shared: Arc::new(shared),
            invites,
            in_hand: InHand::new(hold.clone()),
            inbox,
            fetches: TaskTracker::new(),
            taken_up: Mutex::default(),
        }
    }

    /// Works until told to stop, and then finishes the page in hand. What is on its way through a group is left where it
    /// is.
    pub async fn run(&self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.turn(&stop).await {
                Ok(true) => backoff.reset(),
                Ok(false) => tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.inbox.notified() => {}
                    () = self.shared.hold.changes() => {}
                },
                Err(error) => {
                    // What was not answered is still in the inbox.
                    tracing::error!(%error, "the inbox cannot be worked on; trying again");
                    tokio::select! { () = stop.cancelled() => {}, () = clock::back_off(&mut backoff, None) => {} }
                }
            }
        }
        self.invites.finish().await;
        self.fetches.close();
        self.fetches.wait().await;
        self.shared.lanes.finish().await;
    }

    /// Takes up what is staged in shares that are newly held, then deals with one page; says whether there was one.
    async fn turn(&self, stop: &CancellationToken) -> Result<bool, LedgerError> {
        self.shared.wait_for_room(stop).await?;
        let shares = self.shared.hold.shares();
        // What was let go and is still held, or again, is taken up like what is new.
        let let_go = self.shared.hold.take_let_go();
        let new = {
            let mut taken_up = self.taken_up.lock().unwrap_or_else(PoisonError::into_inner);
            *taken_up = taken_up.without(let_go);
            shares.without(*taken_up)
        };
        if !new.is_empty() {
            self.take_up_staged(new, stop).await?;
        }
        *self.taken_up.lock().unwrap_or_else(PoisonError::into_inner) = shares;
        if shares.is_empty() {
            return Ok(false);
        }
        self.page(shares, stop).await
    }

    /// What was staged when the service ended comes first in its group, and its message is in hand meanwhile.
    async fn take_up_staged(&self, of: Shares, stop: &CancellationToken) -> Result<(), LedgerError> {
        for (group, row) in self.shared.ledger.staged_groups().await? {
            if of.contains(Share::of_group(&group)) {
                // A lane of nothing else is not full.
                let held = self.in_hand.take(row, Share::of_group(&group));
                let mut job = Job::Resume(row, held);
                job.has_its_place();
                let _ = self.shared.lanes.push(group, job, stop);
            }
        }
        Ok(())
    }

    /// Deals with one page; says whether there was one.
    async fn page(&self, of: Shares, stop: &CancellationToken) -> Result<bool, LedgerError> {
        let rows = self.shared.ledger.unanswered(of, self.in_hand.rows(), limits::INBOX_PAGE).await?;
        let found = !rows.is_empty();
        let mut messages = Vec::new();
        for row in rows {
            match self.in_hand.take(row.seq, Share::of_user(row.item.sender())) {
                None => {}
                Some(held) if matches!(row.item.message, Incoming::Invite { .. }) => {
                    self.invites.take(row, held, stop);
                }
                Some(held) => messages.push((row, held)),
            }
        }
        let looks = join_all(messages.iter().map(|(row, _)| self.shared.look(row))).await;
        self.shared.outbox.notify_one();
        let (mut failed, mut outside) = (None, Vec::new());
        for (look, (row, held)) in looks.into_iter().zip(messages) {
            match look {
                Ok(Next::Nothing) => {}
                Ok(Next::Inquiry(group, inquiry)) => {
                    let job = Job::Inquiry(inquiry, row, held);
                    outside.extend(self.shared.enter(group, job, stop));
                }
                Ok(Next::Command(question)) if question.message.asked.as_ref().is_ok_and(is_whole) => {
                    // Nothing is waited for.
                    outside.extend(self.shared.place(*question, row, held, stop).await);
                }
                Ok(Next::Command(question)) => self.fetch(*question, row, held, stop.clone()),
                Err(error) => failed = Some(error),
            }
        }
        // Side by side, so that what one group has too much of holds up the others for no more than one write.
        join_all(outside.into_iter().map(|outside| self.shared.leave_out(outside, stop))).await;
        failed.map_or(Ok(found), Err)
    }

    /// Has the bytes of a command fetched, beside everything else, before it has its place.
    fn fetch(&self, question: Question, row: InboxRow, held: Held, stop: CancellationToken) {
        let shared = self.shared.clone();
        self.fetches.spawn(async move {
            let placing = async {
                if let Some(outside) = shared.place(question, row, held, &stop).await {
                    shared.leave_out(outside, &stop).await;
                }
            };
            stop.run_until_cancelled(placing).await;
        });
    }
}

impl<B: Backend> Shared<B> {
    /// Leaves the inbox alone while too much is owed already.
    async fn wait_for_room(&self, stop: &CancellationToken) -> Result<(), LedgerError> {
        let mut backoff = Backoff::default();
        while self.ledger.queues().await?.owed > limits::OWED_ROWS as u64 && !stop.is_cancelled() {
            self.outbox.notify_one();
            tokio::select! { () = stop.cancelled() => {}, () = clock::back_off(&mut backoff, None) => {} }
        }
        Ok(())
    }

    /// Looks at one message. A damaged record in its way is moved aside by the look at it, so a second look gets past; if not
    /// even that does, the message is set aside, so that it does not hold up the others.
    async fn look(&self, row: &InboxRow) -> Result<Next, LedgerError> {
        let mut looked = self.answer(row).await;
        if matches!(looked, Err(LedgerError::Damaged(_))) {
            looked = self.answer(row).await;
        }
        match looked {
            Err(LedgerError::Damaged(reason)) => {
                tracing::error!(row = %row.seq, %reason, "a message is set aside");
                self.ledger.set_aside_received(row.clone(), reason, clock::now()).await?;
                Ok(Next::Nothing)
            }
            // Another look at the inbox answered it already.
            Err(LedgerError::Conflict(expect)) if matches!(*expect, Expect::InInbox(_)) => Ok(Next::Nothing),
            done => done,
        }
    }

    /// Answers one message, if that takes no group. If the same question is answered at the same moment, the second look
    /// finds that answer.
    async fn answer(&self, row: &InboxRow) -> Result<Next, LedgerError> {
        let now = clock::now();
        let Some(question) = Question::read(&row.item) else { return self.inquiry(row, now).await };
        for _ in 0..limits::ANSWER_TRIES {
            let remembered = self.ledger.remembered(question.key, now).await?;
            let allowed = self.allowances().take(row.item.sender(), now);
            let (answered, code) = match decide(row, &question, remembered, allowed, now) {
                Decided::Now { answered, code } => (answered, code),
                Decided::InItsGroup => {
                    record::to_device_received(MessageKind::Known);
                    return Ok(Next::Command(Box::new(question)));
                }
            };
            match self.record(*answered).await {
                Ok(()) => {
                    record::to_device_received(MessageKind::Known);
                    code.into_iter().for_each(|code| record::answered(code.facts().errcode));
                    return Ok(Next::Nothing);
                }
                Err(error) => {
                    if allowed.is_ok() {
                        self.allowances().give_back(row.item.sender());
                    }
                    match error {
                        LedgerError::Conflict(expect) if matches!(*expect, Expect::NoAnswer(..)) => {}
                        // It is what is staged in its group, whose lane was left: it has its answer there.
                        LedgerError::Conflict(expect) if matches!(*expect, Expect::NotStaged(_)) => {
                            return Ok(Next::Command(Box::new(question)));
                        }
                        error => return Err(error),
                    }
                }
            }
        }
        Err(LedgerError::Unavailable("one message lost the race for its own answer again and again".into()))
    }

    /// Looks at a message that is no question: a request, or nothing of ours.
    async fn inquiry(&self, row: &InboxRow, now: Timestamp) -> Result<Next, LedgerError> {
        let Some(inquiry) = Inquiry::read(&row.item) else {
            self.record(answers::ignore(row.seq)).await?;
            record::to_device_received(MessageKind::Other);
            return Ok(Next::Nothing);
        };
        let rejection = match self.may_ask(row.item.sender(), &inquiry, now) {
            Err(TooFast { retry_after, tell: true }) => Some(Rejection::LimitExceeded { retry_after }),
            Err(TooFast { tell: false, .. }) => None,
            Ok(()) => match (&inquiry.request.asked, inquiry.group()) {
                (Ok(_), Some(group)) => {
                    record::to_device_received(MessageKind::Known);
                    return Ok(Next::Inquiry(group, Box::new(inquiry)));
                }
                (Ok(_), None) => Some(Rejection::UnknownGroup),
                (Err(rejection), _) => Some(rejection.clone()),
            },
        };
        let answered = match &rejection {
            Some(rejection) => inquiry.refuse(row.seq, rejection, now),
            None => answers::ignore(row.seq),
        };
        if let Err(error) = self.record(answered).await {
            self.allowances().give_back(row.item.sender());
            return Err(error);
        }
        record::to_device_received(MessageKind::Known);
        rejection.into_iter().for_each(|rejection| record::answered(rejection.code().facts().errcode));
        Ok(Next::Nothing)
    }

    /// Whether an account may ask that now.
    fn may_ask(&self, sender: &UserId, inquiry: &Inquiry, now: Timestamp) -> Result<(), TooFast> {
        self.allowances().take(sender, now)?;
        match &inquiry.request.asked {
            Ok(request::Asked { want: Want::RatchetTree { .. }, .. }) => {
                self.trees.lock().unwrap_or_else(PoisonError::into_inner).take(sender, now)
            }
            _ => Ok(()),
        }
    }

    fn allowances(&self) -> MutexGuard<'_, Allowances> {
        self.allowances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn record(&self, answered: Answered) -> Result<(), LedgerError> {
        self.ledger.answer(answered, clock::now()).await.map(drop)
    }
}

/// How a message is dealt with.
enum Decided {
    /// At once; under which code it is counted if it is answered for the first time.
    Now { answered: Box<Answered>, code: Option<Code> },
    /// By its group.
    InItsGroup,
}

/// Decides: what was answered before gets that answer again, and what is new its own. An account that sends too fast is told
/// so now and then, and its repeats are let go: it has had their answers.
fn decide(
    row: &InboxRow,
    question: &Question,
    remembered: Option<Answer>,
    allowed: Result<(), TooFast>,
    now: Timestamp,
) -> Decided {
    let refuse = |rejection: &Rejection| Decided::Now {
        answered: Box::new(answers::refuse(row.seq, question, rejection, now)),
        code: Some(rejection.code()),
    };
    let same = |answer: &Answer| answer.question == question.message.question_hash;
    match (remembered, allowed) {
        (Some(answer), Ok(())) if same(&answer) => {
            Decided::Now { answered: Box::new(answers::repeat(row.seq, answer, now)), code: None }
        }
        (None, Err(TooFast { retry_after, tell: true })) => refuse(&Rejection::LimitExceeded { retry_after }),
        (_, Err(_)) => Decided::Now { answered: Box::new(answers::ignore(row.seq)), code: None },
        (Some(_), Ok(())) => refuse(&Rejection::TxnReused),
        (None, Ok(())) => match &question.message.asked {
            Ok(_) => Decided::InItsGroup,
            Err(rejection) => refuse(rejection),
        },
    }
}
