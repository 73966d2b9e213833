//! What the service knows of a group, for its operator.

use maypole_core::batch::Backend;
use maypole_core::group::{Group, Terms};
use maypole_core::ids::{Epoch, GroupId, RoomId};
use maypole_core::ledger::LedgerError;
use maypole_core::limits;
use maypole_room::bytes::encode;

use super::operator::Operator;
use crate::admin::{Explanation, Freeze, LastCommit, Member, Staged};
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
            Err(error) => Some(Freeze { since_ms: 0, reason: format!("it cannot be read: {error}") }),
        };
        Ok(Some(Explanation {
            room: room.clone(),
            group_id: std::str::from_utf8(id.as_bytes())
                .map_or_else(|_| encode(id.as_bytes()), str::to_owned),
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
            waiting: u64::try_from(self.lanes.waiting(&id)).unwrap_or(u64::MAX),
            log_epochs: head.epoch.get().saturating_add(1).saturating_sub(begins.map_or(0, Epoch::get)),
        }))
    }
}

fn members(group: &Group, terms: &dyn Terms) -> Vec<Member> {
    let members = group.members(terms).take(limits::EXPLAINED_MEMBERS);
    members.map(|(leaf, client)| Member { identity: client.to_string(), leaf }).collect()
}

fn in_words(effect: &maypole_core::permit::Effect) -> String {
    StateEffect::read(effect)
        .map_or_else(|| "something that cannot be read".to_owned(), |effect| effect.in_words())
}
