//! Carries out one row: all its requests, each until the homeserver has taken it or refused it for good.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use maypole_core::limits;
use maypole_core::records::{Delivery, OwedRow, Recipient};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::chunks::{Chunk, chunks};
use crate::clock;
use crate::homeserver::{Backoff, CallError, Homeserver};
use crate::telemetry::labels::DeliveryOutcome;
use crate::telemetry::record;

/// How a row ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The homeserver has taken all of it.
    Taken,
    /// Some of it was refused for good; the rest was taken.
    Refused(String),
    /// The service stops; the row stays.
    Stopped,
}

/// What all deliveries share: the homeserver, a bounded number of places at it, and how much it has taken.
pub(super) struct Post {
    homeserver: Homeserver,
    /// A place is held while a request is under way, and not while its lane waits to try again: recipients at whom the
    /// homeserver fails must not keep the others from theirs.
    places: Semaphore,
    taken: AtomicU64,
}

impl Post {
    /// A post to this homeserver.
    pub(super) fn new(homeserver: Homeserver) -> Self {
        Self { homeserver, places: Semaphore::new(limits::OUTBOX_LANES), taken: AtomicU64::new(0) }
    }

    /// Carries out a row.
    pub(super) async fn send(&self, row: &OwedRow, stop: &CancellationToken) -> Sent {
        let Delivery::ToDevice { kind, content, recipients } = &row.owed.delivery;
        let mut refused = None;
        for chunk in chunks(row, kind, content, recipients) {
            match stop.run_until_cancelled(self.send_chunk(kind, &chunk, content)).await {
                None => return Sent::Stopped,
                Some(Ok(())) => record::delivery(DeliveryOutcome::Delivered),
                Some(Err(reason)) => {
                    record::delivery(DeliveryOutcome::SetAside);
                    tracing::error!(%reason, "a message cannot be delivered; it is set aside");
                    refused = Some(reason);
                }
            }
        }
        refused.map_or(Sent::Taken, Sent::Refused)
    }

    /// Sends one request until it is taken, or refused for good.
    async fn send_chunk(&self, kind: &str, chunk: &Chunk<'_>, content: &[u8]) -> Result<(), String> {
        let mut backoff = Backoff::default();
        let mut broken_tries = 0;
        let taken_before = self.taken.load(Ordering::Relaxed);
        let messages: BTreeMap<Recipient, Vec<u8>> =
            chunk.recipients.iter().map(|recipient| (recipient.clone(), content.to_vec())).collect();
        loop {
            let place = self.places.acquire().await;
            let tried = self.homeserver.send_to_device(kind, &chunk.txn_id, &messages).await;
            drop(place);
            let Err(error) = tried else {
                self.taken.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            };
            broken_tries += u64::from(matches!(error, CallError::Broken { .. }));
            let others_taken = self.taken.load(Ordering::Relaxed).saturating_sub(taken_before);
            // It takes others, and fails on this one again and again: the fault is in this one.
            let hopeless = broken_tries.min(others_taken) >= limits::OUTBOX_TRIES;
            if hopeless || !error.is_transient() {
                return Err(error.to_string());
            }
            record::delivery(DeliveryOutcome::Retried);
            tracing::warn!(%error, "the homeserver did not take a message; trying again");
            clock::back_off(&mut backoff, error.retry_after()).await;
        }
    }
}
