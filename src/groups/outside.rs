//! What must happen in the room before a staged command counts: the events are sent, each once as far as anybody can see, and
//! none without the room's leave.

use std::collections::BTreeSet;

use maypole_core::batch::Backend;
use maypole_core::group::{Case, Group, Input, Outcome, Staged, Step, step};
use maypole_core::ids::{GroupId, UserId};
use maypole_core::ledger::{Durable, LedgerError};
use maypole_core::limits;
use maypole_core::rejection::Rejection;

use super::places::Place;
use super::road::{End, Road};
use crate::clock;
use crate::dialects::matrix::commands::room_of;
use crate::dialects::matrix::effects::{self, StateEffect, Tried};
use crate::dialects::matrix::telling::Asker;
use crate::homeserver::Backoff;

impl<B: Backend> Road<B> {
    /// Carries out what is staged, and decides; `again` if it may have been carried out before. Its group has its place only
    /// while it is judged.
    pub(super) async fn carry_out(
        &self,
        group: &mut Option<Group>,
        mut case: Case,
        (staged, again): (&Durable<Staged>, bool),
        asker: &Asker,
        place: &Place<'_>,
    ) -> Result<(), LedgerError> {
        place.leave();
        let mut outcome = match self.effects(group.as_ref(), (staged, again), asker, place).await {
            Ok(outcome) => outcome,
            Err(rejection) => return self.refuse_staged(group.as_ref(), staged, asker, &rejection).await,
        };
        outcome.unwanted = self.unwanted(staged.get().group(), case.adds()).await?;
        let input = Input::Outcome(outcome);
        place.enter().await;
        let next = step(group.as_ref(), &mut case, input, self.matrix.terms(), clock::now());
        let next = self.judge(group.as_ref(), &mut case, next, asker, place).await;
        match self.enter(group, next, (staged.get().row, Some(staged)), asker, place).await? {
            End::Decided => Ok(()),
            End::Refused(rejection) => self.refuse_staged(group.as_ref(), staged, asker, &rejection).await,
        }
    }

    /// Who was invited and is not wanted in the room any more must not learn how to join: time has passed since it was asked.
    /// Where that cannot be had now, nothing is decided yet.
    async fn unwanted(
        &self,
        group: &GroupId,
        users: BTreeSet<UserId>,
    ) -> Result<BTreeSet<UserId>, LedgerError> {
        let Some(room) = room_of(group) else { return Ok(BTreeSet::new()) };
        let mut unwanted = BTreeSet::new();
        for user in users {
            match self.matrix.permits().is_wanted(&room, &user).await {
                Ok(true) => {}
                Err(rejection @ Rejection::Unavailable { .. }) => {
                    return Err(LedgerError::Unavailable(rejection.to_string()));
                }
                Ok(false) | Err(_) => drop(unwanted.insert(user)),
            }
        }
        Ok(unwanted)
    }

    /// Sends the events that a staged command needs, each until the homeserver has taken or refused it, or has failed on it
    /// too often. If the first is not taken, the command does not count; a later one is noted, and the rest goes on.
    async fn effects(
        &self,
        group: Option<&Group>,
        (staged, again): (&Durable<Staged>, bool),
        asker: &Asker,
        place: &Place<'_>,
    ) -> Result<Outcome, Rejection> {
        let mut outcome = Outcome::default();
        for (nth, effect) in staged.get().permit.effects.iter().enumerate() {
            let sent = match StateEffect::read(effect) {
                None => Err("it cannot be read".to_owned()),
                Some(effect) if nth == 0 => {
                    let look = || self.is_permitted_still(group, staged, asker, place);
                    self.first_effect(&effect, again, look).await?
                }
                Some(effect) => self.effect(&effect, again).await,
            };
            if let Err(reason) = sent {
                tracing::warn!(group = ?staged.get().group(), %reason, "what a commit needs is not to be had");
                outcome.refused.push((nth, reason));
                if nth == 0 {
                    break;
                }
            }
        }
        Ok(outcome)
    }

    /// Sends the first event. As long as it was not sent nothing has happened; so where time has passed, the room is asked
    /// again whether the command may be.
    async fn first_effect<Asked: Future<Output = Result<(), Rejection>> + Send>(
        &self,
        effect: &StateEffect,
        again: bool,
        is_permitted_still: impl Fn() -> Asked + Send + Sync,
    ) -> Result<Result<(), String>, Rejection> {
        let (homeserver, mut backoff, mut look) = (self.matrix.homeserver(), Backoff::default(), again);
        for tried in 1..=limits::EFFECT_TRIES {
            if look {
                match effects::was_sent(homeserver, effect).await {
                    Ok(true) => return Ok(Ok(())),
                    Ok(false) => is_permitted_still().await?,
                    Err(error) => return Ok(Err(error.to_string())),
                }
            }
            match effects::send(homeserver, effect).await {
                Tried::Sent => return Ok(Ok(())),
                Tried::Refused(reason) => return Ok(self.or_was_sent(effect, reason, look).await),
                Tried::Failed(_, wait) if tried < limits::EFFECT_TRIES => {
                    clock::back_off(&mut backoff, wait).await;
                }
                Tried::Failed(..) => {}
            }
            look = true;
        }
        Ok(self.or_was_sent(effect, "the homeserver fails on it again and again".to_owned(), true).await)
    }

    /// Sends a later event.
    async fn effect(&self, effect: &StateEffect, again: bool) -> Result<(), String> {
        let (homeserver, mut backoff, mut look) = (self.matrix.homeserver(), Backoff::default(), again);
        for tried in 1..=limits::EFFECT_TRIES {
            if look && effects::was_sent(homeserver, effect).await.unwrap_or(false) {
                return Ok(());
            }
            match effects::send(homeserver, effect).await {
                Tried::Sent => return Ok(()),
                Tried::Refused(reason) => return self.or_was_sent(effect, reason, look).await,
                Tried::Failed(_, wait) if tried < limits::EFFECT_TRIES => {
                    clock::back_off(&mut backoff, wait).await;
                }
                Tried::Failed(..) => {}
            }
            look = true;
        }
        self.or_was_sent(effect, "the homeserver fails on it again and again".to_owned(), true).await
    }

    /// An earlier try may have arrived since the last look, and be what is now in the way of this one.
    async fn or_was_sent(&self, effect: &StateEffect, reason: String, look: bool) -> Result<(), String> {
        match effects::was_sent(self.matrix.homeserver(), effect).await {
            Ok(true) if look => Ok(()),
            _ => Err(reason),
        }
    }

    /// Asks anew whether what was staged may be.
    async fn is_permitted_still(
        &self,
        group: Option<&Group>,
        staged: &Durable<Staged>,
        asker: &Asker,
        place: &Place<'_>,
    ) -> Result<(), Rejection> {
        let mut case = Case::new(staged.get().command());
        let (terms, staged_at) = (self.matrix.terms(), staged.get().staged_at);
        place.enter().await;
        let began = step(group, &mut case, Input::Begin, terms, staged_at);
        let judged = self.judge(group, &mut case, began, asker, place).await;
        place.leave();
        match judged {
            Step::Reject(rejection) => Err(rejection),
            _ => Ok(()),
        }
    }
}
