//! Whether a commit may change who is in a group (docs/protocol.md §4).

use std::collections::BTreeSet;

use maypole_core::ids::{ClientId, UserId};
use maypole_core::limits;
use maypole_core::permit::UserChange;
use maypole_core::rejection::Rejection;

use super::aad::AuthenticatedData;
use super::citations::Citations;
use super::rules::Rules;
use super::{MemberChange, Membership, Permitted, RoomState, joined};

/// A commit, as far as the room is concerned.
pub(super) struct Asked<'a> {
    /// The committer.
    pub(super) caller: &'a ClientId,
    /// It joins by it.
    pub(super) external: bool,
    /// What changes for whom.
    pub(super) users: &'a [UserChange],
    /// The group's own extensions change.
    pub(super) extends: bool,
}

/// What a commit does to one user other than the committer.
struct Change<'a> {
    user: &'a UserId,
    /// A leaf comes of somebody who is not in the room.
    invites: bool,
    /// A leaf comes of somebody who has not joined.
    shows_history: bool,
    /// The last leaf goes of somebody who is in the room, or invited.
    expels: bool,
    /// Leaves go of somebody who is in the room, or invited, and keeps others.
    unseats: bool,
}

pub(super) fn judge(
    state: &RoomState,
    service: &ruma::UserId,
    asked: &Asked<'_>,
    data: &[u8],
) -> Result<Permitted, Rejection> {
    let not_joined = || Rejection::NotJoined { users: vec![asked.caller.user.clone()] };
    if !joined(state, asked.caller.user.as_str()) {
        return Err(not_joined());
    }
    let caller = <&ruma::UserId>::try_from(asked.caller.user.as_str()).map_err(|_| not_joined())?;
    let rules = able(state, service)?;
    let data = AuthenticatedData::read(data)?;
    if asked.external {
        only_oneself(asked)?;
    }
    let changes: Vec<_> =
        asked.users.iter().filter_map(|change| Change::of(state, asked.caller, change)).collect();
    citations(&changes).check(state, &data.cited)?;
    if asked.extends {
        let reason = |reason| format!("{caller} may not change the group's extensions: {reason}");
        rules.may_send(caller, "m.room.tombstone", "").map_err(|why| Rejection::forbidden(reason(why)))?;
    }
    let members = member_changes(&changes, &data)?;
    let judged = Judged { rules, state, caller, service };
    changes.iter().try_for_each(|change| judged.change(change))?;
    members.iter().try_for_each(|change| judged.member(change))?;
    Ok(Permitted { members, cited: data.cited })
}

/// The room's rules, if the service can do its work there.
pub(super) fn able<'a>(state: &'a RoomState, service: &ruma::UserId) -> Result<Rules<'a>, Rejection> {
    let frozen = |reason| Rejection::Frozen { reason };
    if state.is_upgraded() {
        return Err(frozen("the room was upgraded".into()));
    }
    let rules = Rules::of(state).map_err(|refusal| frozen(refusal.to_string()))?;
    rules.empower(service).map_err(frozen)?;
    Ok(rules)
}

/// Whoever comes from outside brings one leaf and takes away at most the one that it replaces.
fn only_oneself(asked: &Asked<'_>) -> Result<(), Rejection> {
    let own = |change: &UserChange| {
        let only = |devices: &[_]| devices.iter().all(|device| *device == asked.caller.device);
        change.user == asked.caller.user && only(&change.added) && only(&change.removed)
    };
    if !asked.users.iter().all(own) {
        return Err(Rejection::forbidden(
            "an external commit adds only its own device and removes only its own old leaf",
        ));
    }
    Ok(())
}

impl<'a> Change<'a> {
    /// What a commit does to a user; nothing that is looked at, if that is the committer.
    fn of(state: &RoomState, caller: &ClientId, change: &'a UserChange) -> Option<Self> {
        if change.user == caller.user {
            return None;
        }
        let membership = state.membership(change.user.as_str());
        let here = matches!(membership, "join" | "invite");
        let (comes, goes) = (!change.added.is_empty(), !change.removed.is_empty());
        Some(Self {
            user: &change.user,
            invites: comes && !here,
            shows_history: comes && membership != "join",
            expels: goes && here && change.leaves_after == 0,
            unseats: goes && here && change.leaves_after > 0,
        })
    }

    fn kick(&self) -> MemberChange {
        MemberChange {
            user: self.user.clone(),
            membership: Membership::Leave,
            reason: None,
            is_direct: false,
        }
    }
}

fn citations(changes: &[Change<'_>]) -> Citations {
    Citations {
        power_levels: changes.iter().any(|change| change.invites || change.expels || change.unseats),
        history_visibility: changes.iter().any(|change| change.invites),
    }
}

/// The memberships that change with the leaves.
fn member_changes(changes: &[Change<'_>], data: &AuthenticatedData) -> Result<Vec<MemberChange>, Rejection> {
    let expelled: BTreeSet<&UserId> =
        changes.iter().filter(|change| change.expels).map(|change| change.user).collect();
    let named = data.removals.as_ref().map(|removals| removals.keys().collect::<BTreeSet<_>>());
    if named.is_some_and(|named| named != expelled) {
        let problem =
            "names in `membership` not exactly the users whose last leaf goes while they are in the room";
        return Err(Rejection::BadJson { field: "authenticated_data", problem });
    }
    let member_change = |change: &Change<'_>| {
        let mut member = change.kick();
        if change.invites {
            member = MemberChange { membership: Membership::Invite, is_direct: data.is_direct, ..member };
        } else if let Some(removal) = data.removals.as_ref().and_then(|removals| removals.get(change.user)) {
            member =
                MemberChange { membership: removal.membership, reason: removal.reason.clone(), ..member };
        }
        member
    };
    let changing = changes.iter().filter(|change| change.invites || change.expels);
    let members: Vec<_> = changing.map(member_change).collect();
    if members.len() > limits::MEMBER_CHANGES {
        let rule = format!("one commit changes the membership of at most {} users", limits::MEMBER_CHANGES);
        return Err(Rejection::forbidden(rule));
    }
    Ok(members)
}

/// By what a commit is judged, and whose it is.
struct Judged<'a> {
    rules: Rules<'a>,
    state: &'a RoomState,
    caller: &'a ruma::UserId,
    service: &'a ruma::UserId,
}

impl Judged<'_> {
    /// What needs no member event.
    fn change(&self, change: &Change<'_>) -> Result<(), Rejection> {
        let user = change.user;
        if change.shows_history && self.state.hides_history_until_joined() {
            let rule = "the room's history visibility is `joined`, so that devices are added when their user has joined";
            return Err(Rejection::forbidden(format!("{user} has not joined: {rule}")));
        }
        if change.unseats {
            let rule = |why| format!("{} may not remove a device of {user}: {why}", self.caller);
            self.rules
                .may_change(self.caller, &change.kick())
                .map_err(|why| Rejection::forbidden(rule(why)))?;
        }
        Ok(())
    }

    /// A member event, as the committer's and as the service's.
    fn member(&self, change: &MemberChange) -> Result<(), Rejection> {
        let what = match change.membership {
            Membership::Invite => "invite",
            Membership::Leave => "kick",
            Membership::Ban => "ban",
        };
        for sender in [self.caller, self.service] {
            let rule = |why| format!("{sender} may not {what} {}: {why}", change.user);
            self.rules.may_change(sender, change).map_err(|why| Rejection::forbidden(rule(why)))?;
        }
        Ok(())
    }
}
