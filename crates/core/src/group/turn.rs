//! Whose turn it is in a group, where a command may have to wait for another.

use super::{Command, Group, Request, Staged};
use crate::limits;
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// When a command has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
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
    pub fn turn(&self, command: &Command, staged: Option<&Staged>, now: Timestamp) -> Turn {
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
}
