//! Whether somebody may propose a change to a group (docs/protocol.md §4): when the proposal comes, and again when a commit
//! carries it out.

use maypole_core::permit::Proposed;
use maypole_core::rejection::Rejection;

use super::commit::able;
use super::{RoomState, joined};

pub(super) fn judge(state: &RoomState, service: &ruma::UserId, proposed: &Proposed) -> Result<(), Rejection> {
    let user = &proposed.by.user;
    let not_joined = || Rejection::NotJoined { users: vec![user.clone()] };
    if !joined(state, user.as_str()) {
        return Err(not_joined());
    }
    let proposer = <&ruma::UserId>::try_from(user.as_str()).map_err(|_| not_joined())?;
    let rules = able(state, service)?;
    if proposed.extends {
        let reason = |reason| format!("{proposer} may not change the group's extensions: {reason}");
        rules.may_send(proposer, "m.room.tombstone", "").map_err(|why| Rejection::forbidden(reason(why)))?;
    }
    Ok(())
}
