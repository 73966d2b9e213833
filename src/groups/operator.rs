//! What the operator asks of the running service: looking is reading what is written, so that it holds nothing up.

use std::sync::Arc;

use maypole_core::batch::Backend;
use maypole_core::group::Frozen;
use maypole_core::ids::{FreezeReason, GroupId, RoomId};
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_room::description::ServiceKeys;
use tokio::sync::mpsc;

use super::freezes::frozen_rooms;
use super::inspecting::inspect;
use super::lanes::Lanes;
use super::logs::log_page;
use super::road::Road;
use crate::admin::{
    Explanation, Freeze, FrozenRoom, FrozenRooms, Inspection, Lifted, LogPage, LogRange, Operate,
};
use crate::clock;
use crate::storage::copy::{Copied, pour};

/// Does what the operator asks.
pub struct Operator<B: Backend> {
    pub(super) ledger: Arc<Ledger<B>>,
    /// What the ledger writes to, to be looked at as it is.
    store: B,
    pub(super) lanes: Arc<Lanes<Road<B>>>,
}

impl<B: Backend + Clone> Clone for Operator<B> {
    fn clone(&self) -> Self {
        Self { ledger: self.ledger.clone(), store: self.store.clone(), lanes: self.lanes.clone() }
    }
}

impl<B: Backend> Operator<B> {
    /// Knows what is in a ledger and the store under it, and what waits in these lanes.
    pub fn new(ledger: Arc<Ledger<B>>, store: B, lanes: Arc<Lanes<Road<B>>>) -> Self {
        Self { ledger, store, lanes }
    }

    /// Freezes a group. The commands that are on their way find it frozen when they are to be decided.
    pub(super) async fn shut(
        &self,
        room: &RoomId,
        reason: FreezeReason,
    ) -> Result<Option<FrozenRoom>, LedgerError> {
        let Some(id) = GroupId::parse(room.as_str()) else { return Ok(None) };
        let frozen = Frozen { reason, frozen_at: clock::now() };
        let freeze = Freeze::from(&frozen);
        if !self.ledger.freeze(&id, frozen).await? {
            return Ok(None);
        }
        // What waits there is told so now.
        self.lanes.look_again(&id);
        tracing::warn!(group = ?id, reason = %freeze.reason, "the operator froze a group");
        Ok(Some(FrozenRoom { room: room.clone(), freeze }))
    }

    async fn reopen(&self, room: &RoomId) -> Result<Option<Lifted>, LedgerError> {
        let Some(id) = GroupId::parse(room.as_str()) else { return Ok(None) };
        if self.ledger.head(&id).await?.is_none() {
            return Ok(None);
        }
        let was_frozen = self.ledger.unfreeze(&id).await?;
        tracing::warn!(group = ?id, was_frozen, "the operator unfroze a group");
        Ok(Some(Lifted { room: room.clone(), was_frozen }))
    }
}

impl<B: Copied + Clone> Operate for Operator<B> {
    async fn explain(&self, room: &RoomId) -> Result<Option<Explanation>, String> {
        self.look(room).await.map_err(|error| error.to_string())
    }

    async fn freeze(&self, room: &RoomId, reason: FreezeReason) -> Result<Option<FrozenRoom>, String> {
        self.shut(room, reason).await.map_err(|error| error.to_string())
    }

    async fn unfreeze(&self, room: &RoomId) -> Result<Option<Lifted>, String> {
        self.reopen(room).await.map_err(|error| error.to_string())
    }

    async fn log(&self, room: &RoomId, range: LogRange) -> Result<Option<LogPage>, String> {
        let service = Some(self.lanes.turn().service());
        log_page(&self.ledger, service, room, range).await.map_err(|error| error.to_string())
    }

    async fn frozen(&self, after: Option<GroupId>) -> Result<FrozenRooms, String> {
        frozen_rooms(&self.ledger, after).await.map_err(|error| error.to_string())
    }

    async fn check(&self, after: Option<GroupId>) -> Result<Inspection, String> {
        let keys = ServiceKeys::parse(self.lanes.turn().service());
        inspect(&self.ledger, &self.store, keys.as_ref(), after).await.map_err(|error| error.to_string())
    }

    async fn copy(&self, pieces: mpsc::Sender<Vec<u8>>) -> Result<(), String> {
        pour(&self.store, pieces).await.map_err(|error| error.to_string())
    }
}
