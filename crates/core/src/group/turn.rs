//! Whose turn it is in a group, where a command may have to wait for another, and what becomes of one that is taken up.

use super::{Command, Decision, Frozen, Group, Request, Staged};
use crate::ids::UserId;
use crate::limits;
use crate::records::{Answer, AnswerKey};
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// What is known where a command is taken up.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    /// The group, if there is one.
    pub group: Option<&'a Group>,
    /// What is staged in it, and the key under which that will have its answer.
    pub staged: Option<(&'a Staged, AnswerKey)>,
    /// Whether its operator has frozen it.
    pub frozen: Option<&'a Frozen>,
    /// What is remembered under the command's own key.
    pub remembered: Option<Answer>,
}

/// What becomes of a command that is taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// It has this answer again.
    Again(Answer),
    /// It is refused.
    Refuse(Rejection),
    /// It waits until then, or until the group has moved, whichever comes first; those that wait keep the order of their arrival.
    Wait(Timestamp),
    /// It waits until what is staged is not staged any more.
    WaitForStaged,
    /// It is judged. If something must happen outside for it, and something is staged, it waits until that is not the case.
    Judge,
}

impl Around<'_> {
    /// What becomes of a command that is taken up, and was sent under this key.
    pub fn course(&mut self, command: &Command, key: AnswerKey, now: Timestamp) -> Course {
        if let Some(answer) = self.remembered.take() {
            return Course::Again(answer);
        }
        // What came under the same key as what is staged is answered after it, whatever else would be said to it: one question
        // has one answer. And a group that is about to begin may be there soon.
        let is_twin = self.staged.is_some_and(|(_, other)| other == key);
        if is_twin || (self.group.is_none() && self.staged.is_some()) {
            return Course::WaitForStaged;
        }
        if let Some(frozen) = self.frozen {
            return Course::Refuse(frozen_for(&command.by.user, self.group, frozen));
        }
        let staged = self.staged.map(|(staged, _)| staged);
        match self.group.map_or(Turn::Now, |group| group.turn(command, staged, now)) {
            Turn::Wait(until) => Course::Wait(until),
            Turn::Now | Turn::IfItNeedsNothing => Course::Judge,
        }
    }
}

/// A group takes no command while it is frozen. The operator's words are for those who are in it.
fn frozen_for(user: &UserId, group: Option<&Group>, frozen: &Frozen) -> Rejection {
    let inside = group.is_some_and(|group| group.leaves_of(user) > 0);
    let words = if inside { frozen.reason.as_str() } else { "its operator said so" };
    Rejection::Frozen { reason: words.to_owned() }
}

/// When a command has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Now.
    Now,
    /// Now, if nothing must happen outside for it; otherwise when nothing is staged any more.
    IfItNeedsNothing,
    /// Not before this time, unless the group's epoch ends before.
    Wait(Timestamp),
}

impl Group {
    /// Whether a command has its turn. Those that wait have it in the order of their arrival.
    ///
    /// Where a commit is staged, the others for the same epoch wait a while for it; then the first valid one that needs
    /// nothing outside wins, and the staged one is stale (see [`crate::ledger::Ledger::overtake`]). Where the epoch is kept
    /// for a device that was too late again and again, the others wait for that one. What is for another epoch is refused
    /// in any case, and waits for nothing.
    pub(crate) fn turn(&self, command: &Command, staged: Option<&Staged>, now: Timestamp) -> Turn {
        let (Request::Commit { epoch, .. } | Request::Propose { epoch, .. }) = command.request else {
            return Turn::Now;
        };
        if epoch != self.epoch() {
            return Turn::Now;
        }
        let is_commit = matches!(command.request, Request::Commit { .. });
        let kept = self.races.waits(&command.by, now).filter(|_| is_commit);
        let first = staged
            .map(|staged| staged.staged_at)
            .filter(|staged_at| *staged_at <= now && now < staged_at.plus(limits::STAGED_FIRST));
        let first = first.map(|staged_at| staged_at.plus(limits::STAGED_FIRST));
        match (kept.max(first), staged) {
            (Some(until), _) => Turn::Wait(until),
            (None, Some(_)) => Turn::IfItNeedsNothing,
            (None, None) => Turn::Now,
        }
    }

    /// A command was refused: its device was heard, and may have been too late once too often. The refusal then says for how
    /// long the epoch is kept for it.
    pub fn note_refusal(&mut self, command: &Command, rejection: &mut Rejection, now: Timestamp) {
        let current = self.epoch();
        if self.leaves_of(&command.by.user) == 0 {
            return;
        }
        self.heard.note(&command.by, now);
        match (rejection, &command.request) {
            (Rejection::StaleEpoch { reserved, .. }, Request::Commit { epoch, .. }) => {
                *reserved = self.races.lost(&command.by, *epoch, current, now);
            }
            _ => self.races.broken(&command.by),
        }
    }

    /// What refuses a staged commit that a decision overtakes: it is too late by that one. Once that is entered,
    /// [`Group::note_refusal`] comes to the same.
    pub fn overtaken(&self, staged: &Staged, decision: &Decision, now: Timestamp) -> Rejection {
        let (command, entry) = (staged.command(), decision.entry());
        let by = &command.get().by;
        let went = entry.left.iter().filter(|client| client.user == by.user).count();
        let came = entry.joined.iter().filter(|client| client.user == by.user).count();
        let leaves = self.leaves_of(&by.user);
        let current = Some(entry.epoch).filter(|_| leaves > 0);
        let mut reserved = None;
        if leaves.saturating_add(came) > went {
            let mut races = self.races.clone();
            races.broken(&entry.sender);
            races.over();
            reserved = races.lost(by, self.epoch(), entry.epoch, now);
        }
        Rejection::StaleEpoch { current, reserved }
    }
}
