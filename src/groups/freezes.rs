//! Looking through the store for groups that take no commands, by their operator's word or by themselves.

use maypole_core::batch::Backend;
use maypole_core::ids::GroupId;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;

use crate::admin::{Freeze, FrozenRoom, FrozenRooms, group_as_text};
use crate::clock;
use crate::dialects::matrix::commands::room_of;

/// Frozen groups behind a place, as many as there is time for; at least one group is looked at.
pub(super) async fn frozen_rooms<B: Backend>(
    ledger: &Ledger<B>,
    after: Option<GroupId>,
) -> Result<FrozenRooms, LedgerError> {
    let until = clock::monotonic() + limits::INSPECTION;
    let (mut found, mut last) = (FrozenRooms::default(), after);
    loop {
        let page = ledger.groups(last.as_ref(), limits::GROUPS_PAGE).await?;
        if page.is_empty() {
            return Ok(found);
        }
        for group in page {
            let freezes = freezes(ledger, &group).await?;
            if let Some(room) = room_of(&group) {
                let of_room = |freeze| FrozenRoom { room: room.clone(), freeze };
                found.rooms.extend(freezes.into_iter().map(of_room));
            }
            last = Some(group);
            if clock::monotonic() >= until || found.rooms.len() >= limits::FROZEN_LISTED {
                found.next = last.as_ref().map(group_as_text);
                return Ok(found);
            }
        }
    }
}

/// Why one group takes no commands, each cause. What cannot be read stands for a cause: nothing is ordered by it.
async fn freezes<B: Backend>(ledger: &Ledger<B>, group: &GroupId) -> Result<Vec<Freeze>, LedgerError> {
    let mut freezes = Vec::new();
    match ledger.frozen(group).await {
        Ok(frozen) => freezes.extend(frozen.as_ref().map(Freeze::from)),
        Err(error @ LedgerError::Damaged(_)) => freezes.push(unreadable(&error)),
        Err(error) => return Err(error),
    }
    match ledger.agenda(group).await {
        Ok(agenda) => freezes.extend(agenda.iter().flat_map(|agenda| &agenda.frozen).map(Freeze::from)),
        Err(error @ LedgerError::Damaged(_)) => {
            let cause = Some("what the group owes is damaged".to_owned());
            freezes.push(Freeze { cause, ..unreadable(&error) });
        }
        Err(error) => return Err(error),
    }
    Ok(freezes)
}

/// That a freeze is there, and what it says is not known.
pub(super) fn unreadable(error: &LedgerError) -> Freeze {
    Freeze { since_ms: 0, reason: format!("it cannot be read: {error}"), cause: None }
}

#[cfg(test)]
mod tests {
    use maypole_core::batch::Op;

    use super::*;
    use crate::admin::group_of_text;
    use crate::storage::conformance::samples::{agenda, batch, frozen, group, head};
    use crate::storage::sled::Store;

    /// Groups of which each is frozen by its operator; one has a cause of its own too, and one nothing but that.
    async fn store(folder: &std::path::Path, count: u64) -> Store {
        let store = Store::open(folder).unwrap();
        let mut ops: Vec<Op> = (0..count + 2).map(|number| Op::SetHead(head(number, 1, 9))).collect();
        ops.extend((0..count).map(|number| Op::Freeze(group(number), frozen(number, 9))));
        ops.extend([Op::SetAgenda(agenda(0, 1, 9)), Op::SetAgenda(agenda(count, 1, 9))]);
        store.apply(batch(Vec::new(), ops)).await.unwrap();
        store
    }

    #[tokio::test]
    async fn every_cause_of_every_group_is_told_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let count = u64::try_from(limits::FROZEN_LISTED).unwrap() + 7;
        let store = store(&folder.path().join("store"), count).await;
        let ledger = Ledger::new(store.clone());
        let (mut rooms, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            let page = frozen_rooms(&ledger, after).await.unwrap();
            assert!(page.rooms.len() <= limits::FROZEN_LISTED + 1);
            rooms.extend(page.rooms);
            pages += 1;
            let Some(next) = page.next else { break };
            after = group_of_text(&next);
        }
        assert!(pages > 1, "{pages}");
        let own: Vec<&FrozenRoom> = rooms.iter().filter(|room| room.freeze.cause.is_some()).collect();
        assert_eq!((u64::try_from(rooms.len()).unwrap(), own.len()), (count + 2, 2));
        assert!(own.iter().all(|room| room.freeze.reason == "it lacks power"));
        rooms.retain(|room| room.freeze.cause.is_none());
        rooms.sort_by(|one, other| one.room.as_str().cmp(other.room.as_str()));
        rooms.dedup();
        assert_eq!(u64::try_from(rooms.len()).unwrap(), count, "each once");
        store.close().await;
    }
}
