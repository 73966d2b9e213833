//! How a message comes to its place in its group's lane, and what is said to those that have none.

use maypole_core::batch::{Backend, Expect};
use maypole_core::ids::{GroupId, InboxSeq};
use maypole_core::ledger::LedgerError;
use maypole_core::limits;
use maypole_core::records::InboxRow;
use maypole_core::rejection::Rejection;
use maypole_core::shares::Share;
use tokio_util::sync::CancellationToken;

use super::road::{Asked, Job};
use super::worker::Shared;
use crate::clock;
use crate::dialects::matrix::answers;
use crate::dialects::matrix::commands::ready;
use crate::dialects::matrix::questions::Question;
use crate::homeserver::Backoff;
use crate::intake::Held;
use crate::telemetry::record;

/// What has no place in a lane here, and why.
pub(super) enum Outside {
    /// Its group belongs to a share of another process.
    Elsewhere(InboxSeq, Share, Job),
    /// Its lane is full.
    Full(Job),
    /// Its bytes are not to be had, or are none of a command.
    Refused(Box<(Question, InboxRow, Held)>, Rejection),
}

/// Waits where a write may succeed later; not where somebody else has dealt with the message, nor when it is time to stop.
async fn may_pass(error: &LedgerError, backoff: &mut Backoff, stop: &CancellationToken) -> bool {
    if matches!(error, LedgerError::Conflict(_)) {
        return false;
    }
    tracing::error!(%error, "what becomes of a message cannot be written; trying again");
    tokio::select! { () = stop.cancelled() => {}, () = clock::back_off(backoff, None) => {} }
    !stop.is_cancelled()
}

impl<B: Backend> Shared<B> {
    /// Puts something into its lane, if it has a place there.
    ///
    /// What is to be given up takes nothing new: a lane that let go would get it all back.
    pub(super) fn enter(&self, group: GroupId, mut job: Job, stop: &CancellationToken) -> Option<Outside> {
        let share = Share::of_group(&group);
        if stop.is_cancelled() {
            // The lanes may be gone already. It is in the inbox.
            return None;
        }
        match job.row() {
            Some(row) if !self.hold.shares().contains(share) => Some(Outside::Elsewhere(row, share, job)),
            _ => {
                job.has_its_place();
                self.lanes.push(group, job, stop).err().map(Outside::Full)
            }
        }
    }

    /// Gives a command its place when its bytes are there.
    pub(super) async fn place(
        &self,
        mut question: Question,
        row: InboxRow,
        held: Held,
        stop: &CancellationToken,
    ) -> Option<Outside> {
        match ready(self.matrix.blobs(), &mut question).await {
            Ok(ready) => {
                let group = ready.command.get().group.clone();
                let asked = Asked { question, ready, row, held, waits_for: None };
                self.enter(group, Job::Command(Box::new(asked)), stop)
            }
            Err(rejection) => Some(Outside::Refused(Box::new((question, row, held)), rejection)),
        }
    }

    /// What has no place is left to another process, or told so, however long the store needs: the message is in hand
    /// meanwhile.
    pub(super) async fn leave_out(&self, outside: Outside, stop: &CancellationToken) {
        let mut backoff = Backoff::default();
        match outside {
            Outside::Elsewhere(row, share, _job) => {
                while let Err(error) = self.ledger.route(row, share).await {
                    if !may_pass(&error, &mut backoff, stop).await {
                        break;
                    }
                }
            }
            Outside::Full(job) => self.refuse_full(&job, stop).await,
            Outside::Refused(asked, rejection) => {
                let (question, row, _held) = &*asked;
                self.refuse(question, row.seq, &rejection).await;
            }
        }
    }

    /// Says that a lane is full.
    async fn refuse_full(&self, job: &Job, stop: &CancellationToken) {
        let full = Rejection::LimitExceeded { retry_after: limits::LANE_RETRY };
        let mut backoff = Backoff::default();
        loop {
            let answered = match job {
                Job::Command(asked) => answers::refuse(asked.row.seq, &asked.question, &full, clock::now()),
                Job::Inquiry(inquiry, row, _) => inquiry.refuse(row.seq, &full, clock::now()),
                Job::Resume(..) | Job::Back(_) => return,
            };
            match self.record(answered).await {
                Ok(()) => break record::answered(full.code().facts().errcode),
                Err(error) if may_pass(&error, &mut backoff, stop).await => {}
                Err(_) => break,
            }
        }
        self.outbox.notify_one();
    }

    /// Refuses a command that cannot take its place, however long the store needs.
    async fn refuse(&self, question: &Question, row: InboxSeq, rejection: &Rejection) {
        let mut backoff = Backoff::default();
        loop {
            let now = clock::now();
            let answered = match self.ledger.remembered(question.key, now).await {
                Ok(Some(answer)) => Ok(answers::again(row, question, answer, now)),
                Ok(None) => Ok(answers::refuse(row, question, rejection, now)),
                Err(error) => Err(error),
            };
            let recorded = match answered {
                Ok(answered) => self.record(answered).await,
                Err(error) => Err(error),
            };
            match recorded {
                Ok(()) => break record::answered(rejection.code().facts().errcode),
                // Somebody has answered it, or has it staged and will.
                Err(LedgerError::Conflict(expect))
                    if matches!(*expect, Expect::InInbox(_) | Expect::NotStaged(_)) =>
                {
                    break;
                }
                Err(error) => tracing::error!(%error, "a refusal cannot be recorded; trying again"),
            }
            clock::back_off(&mut backoff, None).await;
        }
        self.outbox.notify_one();
    }
}
