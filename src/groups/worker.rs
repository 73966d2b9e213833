//! Drains the inbox, page after page.
//!
//! The rows of a page are decided side by side, so that their writes share one sync of the disk. A row stays in the
//! inbox until its answer is durable: whatever stops the worker, it is found again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use maypole_core::batch::{Backend, Expect};
use maypole_core::ids::InboxSeq;
use maypole_core::ledger::{Answered, Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::rate::{Allowances, TooFast};
use maypole_core::records::{Answer, InboxRow, Incoming};
use maypole_core::rejection::{Code, Rejection};
use maypole_core::time::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::judge;
use crate::clock;
use crate::dialects::matrix::answers;
use crate::dialects::matrix::invites::Invites;
use crate::dialects::matrix::questions::Question;
use crate::homeserver::Backoff;
use crate::telemetry::labels::MessageKind;
use crate::telemetry::record;

/// Answers what is in the inbox.
pub struct Worker<B> {
    ledger: Arc<Ledger<B>>,
    allowances: Mutex<Allowances>,
    invites: Invites<B>,
    inbox: Arc<Notify>,
    outbox: Arc<Notify>,
}

impl<B: Backend> Worker<B> {
    /// A worker that is woken through `inbox` and wakes whoever waits on `outbox`.
    pub fn new(ledger: Arc<Ledger<B>>, invites: Invites<B>, inbox: Arc<Notify>, outbox: Arc<Notify>) -> Self {
        Self { ledger, allowances: Mutex::default(), invites, inbox, outbox }
    }

    /// Works until told to stop, and then finishes the page in hand.
    pub async fn run(&self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut after = None;
        while !stop.is_cancelled() {
            match self.page(after, &stop).await {
                Ok(Some(last)) => {
                    after = Some(last);
                    backoff.reset();
                }
                Ok(None) => {
                    tokio::select! { () = stop.cancelled() => {}, () = self.inbox.notified() => {} }
                }
                Err(error) => {
                    // What was not answered is still in the inbox: start again from its oldest row.
                    after = None;
                    tracing::error!(%error, "the inbox cannot be worked on; trying again");
                    tokio::select! { () = stop.cancelled() => {}, () = clock::back_off(&mut backoff, None) => {} }
                }
            }
        }
        self.invites.finish().await;
    }

    /// Answers one page; says where it ended, or that there was nothing.
    async fn page(
        &self,
        after: Option<InboxSeq>,
        stop: &CancellationToken,
    ) -> Result<Option<InboxSeq>, LedgerError> {
        self.wait_for_room(stop).await?;
        let rows = self.ledger.inbox(after, limits::INBOX_PAGE).await?;
        let last = rows.last().map(|row| row.seq);
        let (invites, messages): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| matches!(row.item.message, Incoming::Invite { .. }));
        for invite in invites {
            self.invites.take(invite, stop);
        }
        let answers = join_all(messages.iter().map(|row| self.handle(row))).await;
        self.outbox.notify_one();
        answers.into_iter().collect::<Result<(), _>>()?;
        Ok(last)
    }

    /// Leaves the inbox alone while too much is owed already.
    async fn wait_for_room(&self, stop: &CancellationToken) -> Result<(), LedgerError> {
        let mut backoff = Backoff::default();
        while self.ledger.depths().await?.owed > limits::OWED_ROWS as u64 && !stop.is_cancelled() {
            self.outbox.notify_one();
            tokio::select! { () = stop.cancelled() => {}, () = clock::back_off(&mut backoff, None) => {} }
        }
        Ok(())
    }

    /// Answers one message. A damaged record in its way is moved aside by the look at it, so a second look gets past; if not
    /// even that does, the message is set aside, so that it does not hold up the others.
    async fn handle(&self, row: &InboxRow) -> Result<(), LedgerError> {
        let mut answered = self.answer(row).await;
        if matches!(answered, Err(LedgerError::Damaged(_))) {
            answered = self.answer(row).await;
        }
        match answered {
            Err(LedgerError::Damaged(reason)) => {
                tracing::error!(row = %row.seq, %reason, "a message is set aside");
                self.ledger.set_aside_received(row.clone(), reason, clock::now()).await
            }
            // Another look at the inbox answered it already.
            Err(LedgerError::Conflict(expect)) if matches!(*expect, Expect::InInbox(_)) => Ok(()),
            done => done,
        }
    }

    /// Answers one message. If the same question is answered at the same moment, the second look finds that answer.
    async fn answer(&self, row: &InboxRow) -> Result<(), LedgerError> {
        let now = clock::now();
        let Some(question) = Question::read(&row.item) else {
            self.record(answers::ignore(row.seq)).await?;
            record::to_device_received(MessageKind::Other);
            return Ok(());
        };
        for _ in 0..limits::ANSWER_TRIES {
            let remembered = self.ledger.remembered(question.key, now).await?;
            let allowed = self.allowances().take(row.item.sender(), now);
            let Decided { answered, code } = decide(row, &question, remembered, allowed, now);
            match self.record(answered).await {
                Ok(()) => {
                    record::to_device_received(MessageKind::Known);
                    code.into_iter().for_each(|code| record::answered(code.facts().errcode));
                    return Ok(());
                }
                Err(error) => {
                    if allowed.is_ok() {
                        self.allowances().give_back(row.item.sender());
                    }
                    let twin = matches!(&error, LedgerError::Conflict(expect) if matches!(**expect, Expect::NoAnswer(..)));
                    if !twin {
                        return Err(error);
                    }
                }
            }
        }
        Err(LedgerError::Unavailable("one message lost the race for its own answer again and again".into()))
    }

    fn allowances(&self) -> MutexGuard<'_, Allowances> {
        self.allowances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, answered: Answered) -> Result<(), LedgerError> {
        self.ledger.answer(answered, clock::now()).await.map(drop)
    }
}

/// How a message is dealt with, and under which code it is counted if it is answered for the first time.
struct Decided {
    answered: Answered,
    code: Option<Code>,
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
    let refuse = |rejection: &Rejection| Decided {
        answered: answers::refuse(row.seq, question, rejection, now),
        code: Some(rejection.code()),
    };
    let same = |answer: &Answer| answer.question == question.message.question_hash;
    match (remembered, allowed) {
        (Some(answer), Ok(())) if same(&answer) => {
            Decided { answered: answers::repeat(row.seq, answer, now), code: None }
        }
        (None, Err(TooFast { retry_after, tell: true })) => refuse(&Rejection::LimitExceeded { retry_after }),
        (_, Err(_)) => Decided { answered: answers::ignore(row.seq), code: None },
        (Some(_), Ok(())) => refuse(&Rejection::TxnReused),
        (None, Ok(())) => match &question.message.asked {
            Ok(asked) => refuse(&judge(asked)),
            Err(rejection) => refuse(rejection),
        },
    }
}
