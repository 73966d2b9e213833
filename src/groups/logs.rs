//! A group's log for its operator, page by page.

use maypole_core::batch::Backend;
use maypole_core::ids::{GroupId, RoomId};
use maypole_core::ledger::LedgerError;
use maypole_core::limits;

use super::operator::Operator;
use crate::admin::{LogPage, LogRange, LoggedEpoch};

impl<B: Backend> Operator<B> {
    /// Epochs of a log, as many as fit into one answer and at least one.
    pub(super) async fn page(&self, room: &RoomId, range: LogRange) -> Result<Option<LogPage>, LedgerError> {
        let Some(id) = GroupId::parse(room.as_str()) else { return Ok(None) };
        let Some(head) = self.ledger.head(&id).await? else { return Ok(None) };
        let begins = self.ledger.log_begins(&id).await?.unwrap_or(head.epoch);
        let last = range.to.map_or(head.epoch, |to| to.min(head.epoch));
        let mut epochs = Vec::new();
        let mut room_bytes = limits::ADMIN_LOG_BYTES;
        let mut next = Some(range.from.max(begins));
        'pages: while let Some(first) = next.filter(|next| *next <= last) {
            let entries = self.ledger.log(&id, first, limits::LOG_PAGE).await?;
            if entries.is_empty() {
                return Err(LedgerError::Damaged(format!("the log of {room} ends before epoch {first}")));
            }
            for entry in entries.iter().filter(|entry| entry.epoch <= last) {
                let logged = LoggedEpoch::from(entry);
                let bytes = serde_json::to_vec(&logged).map_or(0, |line| line.len());
                if epochs.len() >= limits::ADMIN_LOG_EPOCHS || (bytes > room_bytes && !epochs.is_empty()) {
                    break 'pages;
                }
                room_bytes = room_bytes.saturating_sub(bytes);
                next = entry.epoch.next();
                epochs.push(logged);
            }
        }
        let service = self.lanes.turn().service().to_owned();
        let next = next.filter(|next| *next <= last);
        Ok(Some(LogPage { room: room.clone(), begins, current: head.epoch, service, epochs, next }))
    }
}
