//! Logs do not grow for ever: what need not be kept of them is removed, group after group, a bounded number of epochs at a
//! time (docs/protocol.md §7).

use std::sync::Arc;

use maypole_core::batch::Backend;
use maypole_core::group::Entry;
use maypole_core::ids::GroupId;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::AnswerKey;
use maypole_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::dialects::matrix::telling::EntryNotes;

/// Trims all logs now and then.
pub(super) async fn trim<B: Backend>(ledger: Arc<Ledger<B>>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(limits::LOG_TRIM_EVERY)).await.is_some() {
        match trim_all(&ledger, clock::now(), &stop).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "epochs that need not be kept left their logs"),
            Err(error) => tracing::warn!(%error, "logs cannot be trimmed; trying again later"),
        }
    }
}

/// Trims the log of each group, and says how many epochs were removed. What is being written when it is to stop is finished.
async fn trim_all<B: Backend>(
    ledger: &Ledger<B>,
    now: Timestamp,
    stop: &CancellationToken,
) -> Result<usize, LedgerError> {
    let (mut removed, mut last) = (0_usize, None);
    loop {
        let page = ledger.groups(last.as_ref(), limits::GROUPS_PAGE).await?;
        let Some(end) = page.last() else { return Ok(removed) };
        last = Some(end.clone());
        for group in &page {
            removed = removed.saturating_add(trim_one(ledger, group, now, stop).await?);
            if stop.is_cancelled() {
                return Ok(removed);
            }
        }
    }
}

/// Trims one log. One that is damaged stays as it is, and the others are trimmed.
async fn trim_one<B: Backend>(
    ledger: &Ledger<B>,
    group: &GroupId,
    now: Timestamp,
    stop: &CancellationToken,
) -> Result<usize, LedgerError> {
    let mut removed = 0_usize;
    loop {
        match ledger.trim(group, remembered_under, now).await {
            Ok(count) => {
                removed = removed.saturating_add(count);
                if count < limits::LOG_TRIMMED_AT_ONCE || stop.is_cancelled() {
                    return Ok(removed);
                }
            }
            Err(LedgerError::Damaged(reason)) => {
                tracing::warn!(?group, %reason, "a log is damaged and is not trimmed");
                return Ok(removed);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Where the acceptance of an epoch is remembered.
fn remembered_under(entry: &Entry) -> Option<AnswerKey> {
    EntryNotes::read(&entry.notes).answer
}

#[cfg(test)]
mod tests;
