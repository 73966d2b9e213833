//! How a command is refused, and what came to a group that cannot be read.

use maypole_core::batch::Backend;
use maypole_core::group::{Frozen, Group, Request};
use maypole_core::ids::{ClientId, Epoch, FreezeReason, GroupId};
use maypole_core::ledger::{Answered, LedgerError};
use maypole_core::limits;
use maypole_core::rejection::Rejection;
use maypole_room::commit_event::CommitEvent;

use super::places::Place;
use super::road::{Asked, Attempted, Job, Road, spelling};
use super::staged::Memory;
use crate::clock;
use crate::dialects::matrix::answers;
use crate::dialects::matrix::commands::room_of;
use crate::dialects::matrix::inquiries::Unanswered;
use crate::dialects::matrix::questions::Question;
use crate::telemetry::record;

/// What a group's messages are told of which a record is damaged.
const DAMAGED: &str = "what is stored of it is damaged; its operator knows";

/// Why a group is frozen in which something was staged that cannot be decided any more.
const LOST: &str = "it is damaged, and what was staged in it was given up: nobody knows what has happened in the room for it";

impl<B: Backend> Road<B> {
    /// Refuses a command, in the write that takes it out of the inbox.
    pub(super) async fn refuse_now(
        &self,
        group: Option<&Group>,
        memory: &Memory,
        asked: &Asked,
        rejection: &Rejection,
        place: &Place<'_>,
    ) -> Result<(), LedgerError> {
        // What it missed may have to be uploaded.
        place.leave();
        let answered = self.refuse(group, asked, rejection).await?;
        let id = &asked.ready.command.get().group;
        // Where another process has staged something since, it is looked again.
        self.ledger.answer_as_of(id, group, memory.row(), answered, clock::now()).await?;
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

    /// Answers what came to a group that cannot be read, which is frozen by that: what is staged there as well.
    pub(super) async fn refuse_damaged(
        &self,
        group: &GroupId,
        memory: &mut Memory,
        job: &Job,
    ) -> Result<Attempted, LedgerError> {
        let now = clock::now();
        let rejection = Rejection::Frozen { reason: DAMAGED.to_owned() };
        let freeze = FreezeReason::parse(LOST).map(|reason| Frozen { reason, frozen_at: now });
        let unnamed = || LedgerError::Unavailable("a freeze has no reason".to_owned());
        let freeze = freeze.ok_or_else(unnamed)?;
        let (row, is_staged) = match job {
            Job::Command(asked) => (asked.row.seq, false),
            Job::Inquiry(_, row, _) => (row.seq, false),
            Job::Resume(row, _) => (*row, true),
            Job::Back(errand) => (errand.row(), true),
        };
        let message = if is_staged { self.ledger.message(row).await? } else { None };
        if is_staged && message.is_none() {
            self.ledger.give_up_staged(group, row, freeze).await?;
            memory.forget();
            return Ok(Attempted::Done(true));
        }
        let question = match job {
            Job::Command(asked) => Some(asked.question.clone()),
            Job::Inquiry(..) => None,
            Job::Resume(..) => message.and_then(|message| Question::read(&message.item)),
            Job::Back(errand) => Some(errand.question()),
        };
        let answered = match (job, &question) {
            (Job::Inquiry(inquiry, ..), _) => inquiry.refuse(row, &rejection, now),
            (_, None) => answers::ignore(row),
            (_, Some(question)) => match self.ledger.remembered(question.key, now).await {
                Ok(Some(answer)) => answers::again(row, question, answer, now),
                Ok(None) => answers::refuse(row, question, &rejection, now),
                // Where answers are kept there is damage as well: this one is not.
                Err(LedgerError::Damaged(_)) => {
                    Answered { remember: None, ..answers::refuse(row, question, &rejection, now) }
                }
                Err(error) => return Err(error),
            },
        };
        self.ledger.answer_of_damaged(group, answered, freeze, now).await?;
        record::answered(rejection.code().facts().errcode);
        if is_staged {
            memory.forget();
        }
        Ok(Attempted::Done(true))
    }
}
