//! What is staged in a group: what its lane knows of it, how it is taken up after a restart, and how it is decided when it comes
//! back from outside; or how it is told that another was first.

use std::sync::Arc;
use std::time::Duration;

use maypole_core::batch::Backend;
use maypole_core::group::{Case, Decision, Group, Input, Staged, Step, Told};
use maypole_core::ids::InboxSeq;
use maypole_core::ledger::{Answered, Durable, LedgerError};
use maypole_core::limits;
use maypole_core::records::AnswerKey;
use maypole_core::rejection::Rejection;
use maypole_core::time::Timestamp;

use super::outside::{Came, Errand};
use super::places::Place;
use super::road::{Attempted, End, Road, spelling};
use crate::clock;
use crate::dialects::matrix::answers;
use crate::dialects::matrix::telling::{Asker, commit_in};
use crate::telemetry::record;

/// What a lane knows from one job to the next.
#[derive(Default)]
pub struct Memory {
    afoot: Option<Arc<Afoot>>,
    /// When the first of those that wait for a time has its turn.
    waits_until: Option<Timestamp>,
}

/// What is staged in a group, and on its way outside.
pub(super) struct Afoot {
    pub(super) staged: Arc<Durable<Staged>>,
    /// Under what its answer will be remembered.
    key: AnswerKey,
}

/// What is staged beside a decision.
pub(super) enum Beside {
    /// Nothing.
    Nothing,
    /// What is decided.
    Itself(Arc<Durable<Staged>>),
    /// This, which the decision overtakes.
    Overtaken(Arc<Afoot>),
}

impl Memory {
    /// What is staged, as far as the lane knows.
    pub(super) fn staged(&self) -> Option<(&Staged, AnswerKey)> {
        self.afoot.as_ref().map(|afoot| (afoot.staged.get(), afoot.key))
    }

    /// The same, to be kept.
    pub(super) fn afoot(&self) -> Option<Arc<Afoot>> {
        self.afoot.clone()
    }

    /// With which message it came.
    pub(super) fn row(&self) -> Option<InboxSeq> {
        self.afoot.as_ref().map(|afoot| afoot.staged.get().row)
    }

    /// This is staged.
    pub(super) fn remember(&mut self, staged: Durable<Staged>, key: AnswerKey) -> Arc<Durable<Staged>> {
        let staged = Arc::new(staged);
        self.afoot = Some(Arc::new(Afoot { staged: staged.clone(), key }));
        staged
    }

    /// Nothing is staged any more.
    pub(super) fn forget(&mut self) {
        self.afoot = None;
    }

    /// This is what the store says: what the lane did not know of is given back.
    pub(super) fn find(&mut self, staged: Option<Durable<Staged>>) -> Option<Durable<Staged>> {
        let row = staged.as_ref().map(|staged| staged.get().row);
        if row == self.row() {
            return None;
        }
        self.forget();
        staged
    }

    /// Somebody waits until then; how long that is from now on. However clocks jump, it looks again when nobody waits longer.
    pub(super) fn wait(&mut self, until: Timestamp, now: Timestamp) -> Duration {
        self.waits_until = Some(self.waits_until.map_or(until, |before| before.min(until)));
        let wait = Duration::from_millis(until.as_millis().saturating_sub(now.as_millis()));
        wait.min(limits::STAGED_FIRST.max(limits::RESERVED))
    }

    /// Whether somebody has waited long enough: then nobody else is first. It says so once.
    pub(super) fn is_time(&mut self, now: Timestamp) -> bool {
        self.waits_until.take_if(|until| *until <= now).is_some()
    }

    /// All that wait look again.
    pub(super) fn forget_who_waits(&mut self) {
        self.waits_until = None;
    }
}

impl<B: Backend> Road<B> {
    /// Takes up what was staged before the service ended, or by another process: it is to be carried out, unless it is not
    /// valid any more.
    pub(super) async fn take_up(
        &self,
        group: &mut Option<Group>,
        memory: &mut Memory,
        staged: Durable<Staged>,
        place: &Place<'_>,
    ) -> Result<Option<Box<Errand>>, LedgerError> {
        let damaged = || LedgerError::Damaged("what is staged does not say who asked".to_owned());
        let asker = Asker::read(&staged.get().notes).ok_or_else(damaged)?;
        match self
            .judged_again(group.as_ref(), staged.get(), has_its_permit(staged.get()), &asker, place)
            .await
        {
            Ok(case) => {
                let staged = memory.remember(staged, asker.key());
                Ok(Some(Errand::taken_up(staged, asker, case)))
            }
            Err(rejection) => {
                // It was found valid in this very state; what has changed since is not the group.
                tracing::error!(group = ?staged.get().group(), %rejection, "what was staged is not valid any more");
                self.refuse_staged(group, &staged, &asker, rejection).await?;
                Ok(None)
            }
        }
    }

    /// Judges what is staged in the state that it was staged in: from the beginning, or with the permit that it has.
    async fn judged_again(
        &self,
        group: Option<&Group>,
        staged: &Staged,
        input: Input,
        asker: &Asker,
        place: &Place<'_>,
    ) -> Result<Case, Rejection> {
        let mut case = Case::new(staged.command());
        match self.judge(group, &mut case, (input, staged.staged_at), asker, place).await {
            Step::Reject(rejection) => Err(rejection),
            _ => Ok(case),
        }
    }

    /// What was staged is back from outside. If it was overtaken meanwhile, it has its answer.
    pub(super) async fn comes_back(
        &self,
        group: &mut Option<Group>,
        memory: &mut Memory,
        errand: &mut Errand,
        place: &Place<'_>,
    ) -> Result<Attempted, LedgerError> {
        if memory.row() != Some(errand.row()) {
            return Ok(Attempted::Done(false));
        }
        let staged = errand.staged();
        let done = match errand.came() {
            Came::Asking => {
                match self
                    .judged_again(group.as_ref(), staged.get(), Input::Begin, &errand.asker, place)
                    .await
                {
                    Ok(_) => {
                        errand.may_go_on();
                        return Ok(Attempted::GoesOn);
                    }
                    Err(rejection) => End::Refused(rejection),
                }
            }
            Came::Done(outcome) => {
                let case = match errand.case() {
                    Some(case) => Ok(case),
                    None => {
                        self.judged_again(
                            group.as_ref(),
                            staged.get(),
                            has_its_permit(staged.get()),
                            &errand.asker,
                            place,
                        )
                        .await
                    }
                };
                match case {
                    Ok(mut case) => {
                        let concludes = (Input::Outcome(outcome), clock::now());
                        let next =
                            self.judge(group.as_ref(), &mut case, concludes, &errand.asker, place).await;
                        let itself = (errand.row(), Beside::Itself(staged.clone()));
                        self.enter(group, next, itself, &errand.asker, place).await?
                    }
                    Err(rejection) => End::Refused(rejection),
                }
            }
        };
        if let End::Refused(rejection) = done {
            self.refuse_staged(group, &staged, &errand.asker, rejection).await?;
        }
        memory.forget();
        Ok(Attempted::Done(true))
    }

    async fn refuse_staged(
        &self,
        group: &mut Option<Group>,
        staged: &Durable<Staged>,
        asker: &Asker,
        mut rejection: Rejection,
    ) -> Result<(), LedgerError> {
        let (question, now) = (asker.question(staged.get()), clock::now());
        if let Some(group) = group {
            group.note_refusal(staged.get().command().get(), &mut rejection, now);
        }
        let content = answers::content(&question, &rejection);
        let prefix = spelling(group.as_ref(), asker.prefix());
        let answered = answers::refuse_with(staged.get().row, &question, &rejection, content, prefix, now);
        self.ledger.answer_staged(answered, staged, now).await?;
        record::answered(rejection.code().facts().errcode);
        Ok(())
    }
}

/// The room is not asked again.
fn has_its_permit(staged: &Staged) -> Input {
    Input::Resume(staged.permit.clone())
}

/// What a staged commit is told that a decision overtakes: that it is too late, and by what, as it is told everybody.
pub(super) fn overtaken(
    group: Option<&Group>,
    other: &Afoot,
    decision: &Decision,
    told: &Told,
    now: Timestamp,
) -> Answered {
    let staged = other.staged.get();
    let nobody = Rejection::StaleEpoch { current: None, reserved: None };
    let rejection = group.map_or(nobody, |group| group.overtaken(staged, decision, now));
    // What cannot be read was never staged here: whoever takes it up reads it first.
    let asker = Asker::read(&staged.notes);
    let row = staged.row;
    let Some(asker) = asker else { return answers::ignore(row) };
    let question = asker.question(staged);
    let mut content = answers::content(&question, &rejection);
    let command = staged.command();
    let missed = decision.members_before.contains(&command.get().by).then(|| commit_in(told)).flatten();
    content.insert("commits".to_owned(), missed.into_iter().collect());
    let prefix = spelling(group, asker.prefix());
    answers::refuse_with(row, &question, &rejection, content, prefix, now)
}

/// It is overtaken: its group, in the epoch of the other, notes that.
pub(super) fn note_overtaken(group: Option<&mut Group>, other: &Afoot, now: Timestamp) {
    let staged = other.staged.get();
    let mut stale = Rejection::StaleEpoch { current: None, reserved: None };
    if let Some(group) = group {
        group.note_refusal(staged.command().get(), &mut stale, now);
    }
    tracing::info!(group = ?staged.group(), "what was staged took too long; another was first");
    record::answered(stale.code().facts().errcode);
}
