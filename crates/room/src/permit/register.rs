//! Whether a room's first group may be registered, and another in its place (docs/protocol.md §1, §3, §8).

use maypole_core::ids::ClientId;
use maypole_core::rejection::Rejection;
use ruma::UserId;

use super::rules::Rules;
use super::{Permitted, RoomState, joined};
use crate::invite::{Creation, NotOurs};
use crate::names::{Name, Prefix};

pub(super) fn judge(state: &RoomState, service: &UserId, caller: &ClientId) -> Result<Permitted, Rejection> {
    let creation = state.creation().map_err(|refusal| not_ours(&refusal, None))?;
    creation.is_served_by(service).map_err(|refusal| not_ours(&refusal, Some(&creation)))?;
    let is_creator =
        state.get("m.room.create", "").is_some_and(|create| create.sender == caller.user.as_str());
    if !is_creator {
        return Err(Rejection::forbidden("only the user who created the room may register its group"));
    }
    if was_registered(state, service) {
        let reason = "the room's state says that this service had its group before, and the service knows nothing of it any more: \
                      its operator must look";
        return Err(Rejection::Frozen { reason: reason.into() });
    }
    may_begin(state, service, caller, &creation)
}

/// Whether a room's group may be begun anew: where nobody can go on with it, by whoever is in the room; where what it has
/// become is disputed, by whoever may close the room.
pub(super) fn succeed(
    state: &RoomState,
    service: &UserId,
    caller: &ClientId,
    disputed: bool,
) -> Result<Permitted, Rejection> {
    let creation = state.creation().map_err(|refusal| not_ours(&refusal, None))?;
    creation.is_served_by(service).map_err(|refusal| not_ours(&refusal, Some(&creation)))?;
    let permitted = may_begin(state, service, caller, &creation)?;
    if disputed {
        let not_joined = || Rejection::NotJoined { users: vec![caller.user.clone()] };
        let user = <&UserId>::try_from(caller.user.as_str()).map_err(|_| not_joined())?;
        let rules = Rules::of(state).map_err(|refusal| not_ours(&refusal, Some(&creation)))?;
        let reason = |reason| format!("{user} may not begin the group anew: {reason}");
        rules.may_send(user, "m.room.tombstone", "").map_err(|why| Rejection::forbidden(reason(why)))?;
    }
    Ok(permitted)
}

/// Whether a group may begin in the room as it is, and the service can do its work for it.
fn may_begin(
    state: &RoomState,
    service: &UserId,
    caller: &ClientId,
    creation: &Creation,
) -> Result<Permitted, Rejection> {
    if !joined(state, caller.user.as_str()) {
        return Err(Rejection::NotJoined { users: vec![caller.user.clone()] });
    }
    if !joined(state, service.as_str()) {
        return Err(Rejection::NotDeliveryService { service: Some(service.to_string()) });
    }
    if state.is_upgraded() {
        return Err(Rejection::Frozen { reason: "the room was upgraded".into() });
    }
    let rules = Rules::of(state).map_err(|refusal| not_ours(&refusal, Some(creation)))?;
    rules.empower(service).map_err(|reason| Rejection::Frozen { reason })?;
    // In which of its spellings the state event is written, the sender's message decides.
    let may_write =
        |prefix: Prefix| rules.may_send(service, &prefix.event_type(Name::DeliveryService), service.as_str());
    may_write(Prefix::Stable).or_else(|_| may_write(Prefix::Unstable)).map_err(|reason| {
        Rejection::Frozen {
            reason: format!(
                "the delivery service {service} may not send the state event m.mls.delivery_service: {reason}"
            ),
        }
    })?;
    Ok(Permitted::default())
}

/// Whether the service itself has written that the room has a group. Two first epochs of one group would be two stories.
fn was_registered(state: &RoomState, service: &UserId) -> bool {
    [Prefix::Stable, Prefix::Unstable].into_iter().any(|prefix| {
        let event = state.get(&prefix.event_type(Name::DeliveryService), service.as_str());
        event.is_some_and(|event| event.sender == *service && event.content.get("group_id").is_some())
    })
}

/// A room that is not this service's. It tells whose it is, if that is known.
fn not_ours(refusal: &NotOurs, creation: Option<&Creation>) -> Rejection {
    match refusal {
        NotOurs::OtherService(service) => Rejection::NotDeliveryService { service: Some(service.clone()) },
        NotOurs::OtherServer(server) => {
            let named = creation.and_then(|creation| creation.names_service.clone());
            Rejection::NotDeliveryService { service: Some(named.unwrap_or_else(|| format!("@:{server}"))) }
        }
        NotOurs::NoCreateEvent | NotOurs::Unreadable(_) | NotOurs::Version(_) | NotOurs::NotMls => {
            Rejection::forbidden(refusal.to_string())
        }
    }
}
