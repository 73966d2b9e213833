//! What a Matrix room permits: whether a registration or a commit may happen, which membership it brings about, and what it
//! must cite (docs/protocol.md §1, §3, §4).
//!
//! Nobody gets by MLS what the room's authorisation rules (v11 §4, v12 §5) would refuse. Every member event that a commit
//! needs is judged twice by ruma's rules: as if the committer sent it, who wants it, and as the service's own, which
//! sends it. Judged is the room's current state; what a commit cites must be part of it.

mod aad;
mod citations;
mod commit;
mod propose;
mod register;
mod rules;
mod state;

use maypole_core::permit::{Intent, Question};
use maypole_core::rejection::Rejection;
use ruma::{OwnedEventId, UserId};

pub use crate::member_event::{MemberChange, Membership};
pub use aad::AuthenticatedData;
pub use state::{RoomState, StateEvent};

/// Yes, and what must happen in the room first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permitted {
    /// Memberships that change, in this order.
    pub members: Vec<MemberChange>,
    /// What the commit cites, in its own order.
    pub cited: Vec<OwnedEventId>,
}

/// Whether the room permits what is asked of `service`.
///
/// A leaf of somebody who is not in the room any more may always go; leaves that the service itself asked to go need not
/// be in the question.
///
/// ```
/// use maypole_core::ids::{ClientId, DeviceId, UserId};
/// use maypole_core::permit::{Intent, Question};
/// use maypole_room::permit::{RoomState, StateEvent, joined, judge};
/// use serde_json::json;
///
/// let event = |id, kind: &str, state_key: &str, content| StateEvent {
///     event_id: ruma::EventId::parse(id).unwrap(),
///     sender: ruma::UserId::parse("@alice:a.org").unwrap(),
///     kind: kind.into(),
///     state_key: state_key.into(),
///     content,
/// };
/// let create = json!({"room_version": "12", "encryption_algorithm": "m.mls.10", "additional_creators": ["@:a.org"]});
/// let state = RoomState::new(ruma::RoomId::parse("!room:a.org").unwrap(), [
///     event("$1", "m.room.create", "", create),
///     event("$2", "m.room.member", "@alice:a.org", json!({"membership": "join"})),
///     event("$3", "m.room.member", "@:a.org", json!({"membership": "join"})),
/// ]);
/// let client = |user| ClientId { user: UserId::parse(user).unwrap(), device: DeviceId::parse("D").unwrap() };
/// let ask = |user| Question { caller: client(user), authenticated_data: Vec::new(), intent: Intent::Register };
/// let service = ruma::user_id!("@:a.org");
/// assert!(judge(&state, service, &ask("@alice:a.org")).is_ok());
/// assert!(judge(&state, service, &ask("@bob:b.org")).is_err());
/// assert!(!joined(&state, "@bob:b.org"));
/// ```
pub fn judge(state: &RoomState, service: &UserId, question: &Question) -> Result<Permitted, Rejection> {
    match &question.intent {
        Intent::Register => register::judge(state, service, &question.caller),
        Intent::Succeed { disputed } => register::succeed(state, service, &question.caller, *disputed),
        Intent::Commit { external, users, extends, proposed } => {
            proposed.iter().try_for_each(|proposed| propose::judge(state, service, proposed))?;
            let asked =
                commit::Asked { caller: &question.caller, external: *external, users, extends: *extends };
            commit::judge(state, service, &asked, &question.authenticated_data)
        }
        Intent::Propose(proposed) => {
            propose::judge(state, service, proposed)?;
            Ok(Permitted::default())
        }
    }
}

/// Whether a user is in the room.
pub fn joined(state: &RoomState, user: &str) -> bool {
    state.membership(user) == "join"
}

#[cfg(test)]
mod tests;
