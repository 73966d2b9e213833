//! A group's log for its operator, page by page: of the running service, or of a store that nobody else has open.

use maypole_core::batch::Backend;
use maypole_core::ids::{GroupId, RoomId};
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;

use crate::admin::{LogPage, LogRange, LoggedEpoch};

/// Epochs of the log of a room's group, as many as fit into one answer and at least one; nothing if there is no such group.
/// `service` is what its receipts are verified with, as the group's external sender names it.
pub async fn log_page<B: Backend>(
    ledger: &Ledger<B>,
    service: Option<&str>,
    room: &RoomId,
    range: LogRange,
) -> Result<Option<LogPage>, LedgerError> {
    let Some(id) = GroupId::parse(room.as_str()) else { return Ok(None) };
    let Some(head) = ledger.head(&id).await? else { return Ok(None) };
    let begins = ledger.log_begins(&id).await?.unwrap_or(head.epoch);
    let last = range.to.map_or(head.epoch, |to| to.min(head.epoch));
    let mut epochs = Vec::new();
    let mut room_bytes = limits::ADMIN_LOG_BYTES;
    let mut next = Some(range.from.max(begins));
    'pages: while let Some(first) = next.filter(|next| *next <= last) {
        let entries = ledger.log(&id, first, limits::LOG_PAGE).await?;
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
    let service = service.map(str::to_owned);
    let next = next.filter(|next| *next <= last);
    Ok(Some(LogPage { room: room.clone(), begins, current: head.epoch, service, epochs, next }))
}
