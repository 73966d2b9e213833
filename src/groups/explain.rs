//! What the service knows of a group, for its operator.

use maypole_core::batch::Backend;
use maypole_core::group::{FreezeCause, Group, Terms};
use maypole_core::ids::{Epoch, GroupId, RoomId};
use maypole_core::ledger::LedgerError;
use maypole_core::limits;
use maypole_room::bytes::encode;

use super::freezes::unreadable;
use super::inspecting::readable;
use super::operator::Operator;
use crate::admin::{Agenda, Explanation, Freeze, LastCommit, Member, Staged};
use crate::dialects::matrix::effects::StateEffect;
use crate::dialects::matrix::telling::prefix_of;

impl<B: Backend> Operator<B> {
    /// What is known of the group of a room.
    pub(super) async fn look(&self, room: &RoomId) -> Result<Option<Explanation>, LedgerError> {
        let Some(id) = GroupId::parse(room.as_str()) else { return Ok(None) };
        let terms = self.lanes.turn().terms();
        let Some(group) = self.ledger.group(&id, terms).await? else { return Ok(None) };
        let head = group.head();
        // Of a group that has a damaged record, the rest is told.
        let last = self.ledger.log(&id, head.epoch, 1).await.unwrap_or_default().into_iter().next();
        let staged = match self.ledger.staged(&id).await {
            Ok(staged) => staged.map(|staged| Staged {
                since_ms: staged.get().staged_at.as_millis(),
                effects: staged.get().permit.effects.iter().map(in_words).collect(),
            }),
            Err(error) => Some(Staged { since_ms: 0, effects: vec![format!("cannot be read: {error}")] }),
        };
        let begins = self.ledger.log_begins(&id).await?;
        let frozen = match self.ledger.frozen(&id).await {
            Ok(frozen) => frozen.as_ref().map(Freeze::from),
            Err(error) => Some(unreadable(&error)),
        };
        Ok(Some(Explanation {
            room: room.clone(),
            group_id: readable(&id),
            prefix: prefix_of(&head.notes).as_str().to_owned(),
            epoch: head.epoch,
            term: head.term,
            generation: head.generation,
            ciphersuite: group.mls().suite().code(),
            members: members(&group, terms),
            members_total: u64::from(group.mls().member_count()),
            last_commit: last.map(|entry| LastCommit {
                epoch: entry.epoch,
                sender: entry.sender.to_string(),
                at_ms: entry.accepted_at.as_millis(),
            }),
            receipt: encode(head.receipt.as_bytes()),
            staged,
            frozen,
            agenda: agenda(&group),
            waiting: u64::try_from(self.lanes.waiting(&id)).unwrap_or(u64::MAX),
            log_epochs: head.epoch.get().saturating_add(1).saturating_sub(begins.map_or(0, Epoch::get)),
        }))
    }
}

/// What it owes, and what follows from that.
fn agenda(group: &Group) -> Agenda {
    let ended = group.agenda().frozen.iter().any(|freeze| freeze.cause == FreezeCause::Succeeded);
    let next = group.head().generation.checked_add(1).filter(|_| ended);
    let successor = next.and_then(|next| group.id().of_generation(next)).as_ref().map(readable);
    Agenda { dormant: group.is_dormant(), successor, ..Agenda::from(group.agenda()) }
}

fn members(group: &Group, terms: &dyn Terms) -> Vec<Member> {
    let members = group.members(terms).take(limits::EXPLAINED_MEMBERS);
    members.map(|(leaf, client)| Member { identity: client.to_string(), leaf }).collect()
}

fn in_words(effect: &maypole_core::permit::Effect) -> String {
    StateEffect::read(effect)
        .map_or_else(|| "something that cannot be read".to_owned(), |effect| effect.in_words())
}

#[cfg(test)]
mod tests {
    use maypole_core::batch::{Backend as _, Op};
    use maypole_core::group::{Agenda as Owes, Cause, Freeze as Stops, Leaving};
    use maypole_core::ledger::Ledger;
    use maypole_core::time::Timestamp;

    use super::super::inspecting::AnyTerms;
    use super::*;
    use crate::cli::tests::stored::{self, ROOM};
    use crate::keys::Keys;
    use crate::storage::conformance::samples::batch;
    use crate::storage::sled::Store;

    #[tokio::test]
    async fn a_group_in_which_nobody_can_commit_and_its_successor_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open_or_create(&folder.path().join("keys"), false).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        store.apply(batch(Vec::new(), stored::group(&keys, 2))).await.unwrap();
        let (ledger, id) = (Ledger::new(store.clone()), GroupId::parse(ROOM).unwrap());
        let read = async || ledger.group(&id, &AnyTerms).await.unwrap().unwrap();
        assert_eq!(agenda(&read().await), Agenda::default());

        let at = Timestamp::from_millis(5);
        let mut owes = Owes { revision: 1, ..Owes::of(id.clone()) };
        let members: Vec<_> = read().await.members(&AnyTerms).map(|(_, client)| client).collect();
        owes.leaving = members
            .into_iter()
            .map(|client| Leaving { client, causes: vec![Cause::Left], announced_at: at })
            .collect();
        let cause = FreezeCause::Succeeded;
        owes.frozen.push(Stops { cause, reason: "the group was begun anew as x".to_owned(), since: at });
        store.apply(batch(Vec::new(), vec![Op::SetAgenda(owes)])).await.unwrap();
        let told = agenda(&read().await);
        assert_eq!((told.dormant, told.leaving_total), (true, u64::from(stored::MEMBERS)));
        assert_eq!(told.successor.as_deref(), Some("!room:a.org#1"));
        store.close().await;
    }
}
