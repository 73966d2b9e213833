//! Generations: how a group stands for the one that is to succeed it.

use super::Group;
use super::agenda::{Agenda, FreezeCause};
use crate::ids::{Epoch, GroupId};
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// How a group stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub(crate) epoch: Epoch,
    pub(crate) term: u64,
    pub(crate) agenda: Agenda,
    /// Every leaf of it must go, so that nobody can commit.
    pub(crate) is_dormant: bool,
}

impl Group {
    /// How it stands, for the generation that is to succeed it.
    pub fn standing(&self) -> Standing {
        Standing {
            epoch: self.epoch(),
            term: self.head.term,
            agenda: self.agenda.clone(),
            is_dormant: self.is_dormant(),
        }
    }
}

/// Whether a generation may be succeeded, and whether only because it is disputed.
pub(super) fn may_be_succeeded(standing: &Standing) -> Result<bool, Rejection> {
    if let Some(freeze) = standing.agenda.frozen() {
        return Err(Rejection::Frozen { reason: freeze.reason.clone() });
    }
    match (standing.is_dormant, standing.agenda.reset_open) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => {
            let rule =
                "a group is begun anew only where nobody in it can commit any more, or a reset is open";
            Err(Rejection::forbidden(rule))
        }
    }
}

impl Standing {
    /// What the generation owes when the next has begun: nothing is ordered in it any more.
    pub(crate) fn ended(&self, by: &GroupId, now: Timestamp) -> Agenda {
        let mut agenda = self.agenda.clone();
        let reason = format!("the group was begun anew as {}", by.as_bytes().escape_ascii());
        agenda.freeze(FreezeCause::Succeeded, &reason, now);
        agenda.following(&self.agenda)
    }
}
