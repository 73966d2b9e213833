//! What must happen in the room before a staged command counts: the events are sent, each once as far as anybody can see, and
//! none without the room's leave. It happens beside the lane of its group, which it enters again to ask, and at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use maypole_core::group::{Case, Outcome, Staged};
use maypole_core::ids::{GroupId, InboxSeq, UserId};
use maypole_core::ledger::Durable;
use maypole_core::limits;
use maypole_core::permit::Effect;
use maypole_core::rejection::Rejection;

use super::lanes::Beside;
use super::road::Job;
use crate::clock;
use crate::dialects::matrix::Matrix;
use crate::dialects::matrix::commands::room_of;
use crate::dialects::matrix::effects::{self, StateEffect, Tried};
use crate::dialects::matrix::questions::Question;
use crate::dialects::matrix::telling::Asker;
use crate::homeserver::{Backoff, Homeserver};

/// What is staged, on its way outside and back.
pub struct Errand {
    staged: Arc<Durable<Staged>>,
    pub(super) asker: Asker,
    case: Option<Case>,
    /// Whom it adds.
    adds: BTreeSet<UserId>,
    /// It may have been carried out before, so the room is looked at first.
    looks: bool,
    /// The room was asked since that look, and it may.
    may: bool,
    /// How often its first event was tried.
    tried: u32,
    backoff: Backoff,
    came: Came,
    /// What it came with: a row in hand, and memory for its bytes.
    keeps: Option<Box<Job>>,
    blobs_kib: usize,
}

/// Why what is staged comes back.
#[derive(Clone, Debug)]
pub(super) enum Came {
    /// Nothing of it has happened yet and time has passed: the room is to be asked again whether it may.
    Asking,
    /// It is carried out, as far as it was.
    Done(Outcome),
}

impl Errand {
    /// What has just been staged.
    pub(super) fn new(staged: Arc<Durable<Staged>>, asker: Asker, case: Case) -> Box<Self> {
        Box::new(Self {
            staged,
            asker,
            adds: case.adds(),
            case: Some(case),
            looks: false,
            may: false,
            tried: 0,
            backoff: Backoff::default(),
            came: Came::Asking,
            keeps: None,
            blobs_kib: 0,
        })
    }

    /// What was staged before, and may have been carried out.
    pub(super) fn taken_up(staged: Arc<Durable<Staged>>, asker: Asker, case: Case) -> Box<Self> {
        let mut errand = Self::new(staged, asker, case);
        errand.looks = true;
        errand
    }

    /// Keeps what it came with.
    pub(super) fn keep(&mut self, job: Job, blobs_kib: usize) {
        self.keeps = Some(Box::new(job));
        self.blobs_kib = blobs_kib;
    }

    /// How many kibibytes of fetched bytes it keeps in memory.
    pub(super) fn blobs_kib(&self) -> usize {
        self.blobs_kib
    }

    /// What is staged.
    pub(super) fn staged(&self) -> Arc<Durable<Staged>> {
        self.staged.clone()
    }

    /// The message that it came with.
    pub(super) fn row(&self) -> InboxSeq {
        self.staged.get().row
    }

    /// The question that it came from, as far as an answer needs it.
    pub(super) fn question(&self) -> Question {
        self.asker.question(self.staged.get())
    }

    /// Why it has come back.
    pub(super) fn came(&self) -> Came {
        self.came.clone()
    }

    /// The case as it was judged when it was staged; once.
    pub(super) fn case(&mut self) -> Option<Case> {
        self.case.take()
    }

    /// The room was asked again, and it may.
    pub(super) fn may_go_on(&mut self) {
        self.may = true;
    }

    /// Goes outside, beside its lane.
    pub(super) fn begin(mut self: Box<Self>, matrix: Arc<Matrix>) -> Beside<Job> {
        let blobs_kib = self.blobs_kib;
        let work = Box::pin(async move {
            self.came = self.carry_out(&matrix).await;
            Job::Back(self)
        });
        Beside { blobs_kib, work }
    }

    /// Sends the events that a staged command needs, each until the homeserver has taken or refused it, or has failed on it
    /// too often. If the first is not taken, the command does not count; a later one is noted, and the rest goes on.
    async fn carry_out(&mut self, matrix: &Matrix) -> Came {
        let (staged, homeserver) = (self.staged.clone(), matrix.homeserver());
        let mut outcome = Outcome::default();
        for (nth, effect) in staged.get().permit.effects.iter().enumerate() {
            let sent = match nth {
                0 => match self.first_effect(homeserver, effect).await {
                    Some(sent) => sent,
                    None => return Came::Asking,
                },
                _ => later_effect(homeserver, effect, self.looks).await,
            };
            if let Err(reason) = sent {
                tracing::warn!(group = ?staged.get().group(), %reason, "what a commit needs is not to be had");
                outcome.refused.push((nth, reason));
                if nth == 0 {
                    return Came::Done(outcome);
                }
            }
        }
        outcome.unwanted = unwanted(matrix, staged.get().group(), &self.adds).await;
        Came::Done(outcome)
    }

    /// Sends the first event. As long as it was not sent nothing has happened; so where time has passed, the room is to be
    /// asked again whether the command may be: then it gives nothing.
    async fn first_effect(&mut self, homeserver: &Homeserver, effect: &Effect) -> Option<Result<(), String>> {
        let Some(effect) = StateEffect::read(effect) else {
            return Some(Err("it cannot be read".to_owned()));
        };
        while self.tried < limits::EFFECT_TRIES {
            if self.looks && !std::mem::take(&mut self.may) {
                match effects::was_sent(homeserver, &effect).await {
                    Ok(true) => return Some(Ok(())),
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error.to_string())),
                }
            }
            self.tried = self.tried.saturating_add(1);
            match effects::send(homeserver, &effect).await {
                Tried::Sent => return Some(Ok(())),
                Tried::Refused(reason) => {
                    return Some(or_was_sent(homeserver, &effect, reason, self.looks).await);
                }
                Tried::Failed(_, wait) if self.tried < limits::EFFECT_TRIES => {
                    clock::back_off(&mut self.backoff, wait).await;
                }
                Tried::Failed(..) => {}
            }
            self.looks = true;
        }
        Some(or_was_sent(homeserver, &effect, FAILS.to_owned(), true).await)
    }
}

/// What is said of a homeserver that fails on an event once too often.
const FAILS: &str = "the homeserver fails on it again and again";

/// Sends a later event.
async fn later_effect(homeserver: &Homeserver, effect: &Effect, again: bool) -> Result<(), String> {
    let effect = StateEffect::read(effect).ok_or_else(|| "it cannot be read".to_owned())?;
    let (mut backoff, mut look) = (Backoff::default(), again);
    for tried in 1..=limits::EFFECT_TRIES {
        if look && effects::was_sent(homeserver, &effect).await.unwrap_or(false) {
            return Ok(());
        }
        match effects::send(homeserver, &effect).await {
            Tried::Sent => return Ok(()),
            Tried::Refused(reason) => return or_was_sent(homeserver, &effect, reason, look).await,
            Tried::Failed(_, wait) if tried < limits::EFFECT_TRIES => {
                clock::back_off(&mut backoff, wait).await;
            }
            Tried::Failed(..) => {}
        }
        look = true;
    }
    or_was_sent(homeserver, &effect, FAILS.to_owned(), true).await
}

/// An earlier try may have arrived since the last look, and be what is now in the way of this one.
async fn or_was_sent(
    homeserver: &Homeserver,
    effect: &StateEffect,
    reason: String,
    look: bool,
) -> Result<(), String> {
    match effects::was_sent(homeserver, effect).await {
        Ok(true) if look => Ok(()),
        _ => Err(reason),
    }
}

/// Who was invited and is not wanted in the room any more must not learn how to join: time has passed since it was asked.
/// Where that cannot be had now, nothing is decided yet.
async fn unwanted(matrix: &Matrix, group: &GroupId, users: &BTreeSet<UserId>) -> BTreeSet<UserId> {
    let Some(room) = room_of(group) else { return BTreeSet::new() };
    let mut unwanted = BTreeSet::new();
    for user in users {
        let mut backoff = Backoff::default();
        loop {
            match matrix.permits().is_wanted(&room, user).await {
                Ok(true) => {}
                Err(rejection @ Rejection::Unavailable { .. }) => {
                    tracing::warn!(?group, %rejection, "whether somebody is wanted cannot be asked; trying again");
                    clock::back_off(&mut backoff, None).await;
                    continue;
                }
                Ok(false) | Err(_) => drop(unwanted.insert(user.clone())),
            }
            break;
        }
    }
    unwanted
}
