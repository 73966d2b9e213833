//! What a commit must cite, and whether what it cites is in force.

use std::collections::BTreeSet;

use maypole_core::rejection::{Citable, Rejection};
use ruma::{EventId, OwnedEventId};

use super::RoomState;

/// The types of the events that a commit must cite, where the room has them; their state key is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Citations {
    /// Whether the commit does what some level of power is needed for.
    pub(super) power_levels: bool,
    /// Whether somebody is let in.
    pub(super) history_visibility: bool,
}

impl Citations {
    /// Whether `cited` is all in force, and has all that is needed.
    pub(super) fn check(self, state: &RoomState, cited: &[OwnedEventId]) -> Result<(), Rejection> {
        let current = self.current(state);
        let wanted: BTreeSet<&EventId> = cited.iter().map(AsRef::as_ref).collect();
        let in_force = state.events().filter(|event| wanted.contains(&*event.event_id)).count();
        if in_force < wanted.len() {
            return Err(Rejection::StaleAuthEvents { current });
        }
        if current.iter().any(|needed| !cited.iter().any(|id| id.as_str() == needed.id)) {
            return Err(Rejection::MissingAuthEvents { current });
        }
        Ok(())
    }

    /// What must be cited.
    fn current(self, state: &RoomState) -> Vec<Citable> {
        let kinds = [
            (self.power_levels, "m.room.power_levels"),
            (self.history_visibility, "m.room.history_visibility"),
        ];
        let events =
            kinds.into_iter().filter(|(needed, _)| *needed).filter_map(|(_, kind)| state.get(kind, ""));
        let citable = |event: &super::StateEvent| Citable {
            id: event.event_id.to_string(),
            kind: event.kind.clone(),
            key: event.state_key.clone(),
        };
        events.map(citable).collect()
    }
}
