//! The `/sync` loop: messages and the new position in one durable write, then the next request.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use maypole_core::batch::Backend;
use maypole_core::ids::SyncToken;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::{InboxItem, Incoming, SetAside, SetAsideKind};
use maypole_core::time::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::hold::Hold;
use crate::homeserver::{Backoff, Homeserver, Poisoned, ServiceDevice, SyncPage, ToDevice};
use crate::telemetry::labels::{CallOutcome, Condition};
use crate::telemetry::readiness::Readiness;
use crate::telemetry::record;

/// The `/sync` loop.
pub struct SyncIntake<B> {
    ledger: Arc<Ledger<B>>,
    homeserver: Homeserver,
    device: ServiceDevice,
    readiness: Readiness,
    inbox: Arc<Notify>,
    wake: Arc<Notify>,
}

impl<B: Backend> SyncIntake<B> {
    /// An intake that wakes whoever waits on `inbox`, and that `wake` rouses while it waits for a homeserver that was
    /// away.
    pub fn new(
        ledger: Arc<Ledger<B>>,
        homeserver: Homeserver,
        device: ServiceDevice,
        readiness: Readiness,
        inbox: Arc<Notify>,
        wake: Arc<Notify>,
    ) -> Self {
        Self { ledger, homeserver, device, readiness, inbox, wake }
    }

    /// Takes in until told to stop, while it is this process that reads the homeserver's stream: a homeserver takes what one
    /// has read for read by all.
    pub async fn run(mut self, hold: Hold, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if hold.held().stream {
                let holding = stop.child_token();
                let lost = async {
                    while hold.held().stream {
                        hold.changes().await;
                    }
                    holding.cancel();
                };
                tokio::select! { () = self.take_in(&holding) => {}, () = lost => {} }
            } else {
                // Before it has asked for the first time it does not know.
                if let Some(is_current) = hold.knows() {
                    let lost =
                        || "the store does not say which process reads the homeserver's stream".to_owned();
                    self.readiness.set(Condition::Intake, if is_current { Ok(()) } else { Err(lost()) });
                }
                tokio::select! { () = stop.cancelled() => {}, () = hold.changes() => {} }
            }
        }
    }

    async fn take_in(&mut self, stop: &CancellationToken) {
        let mut backoff = Backoff::default();
        let mut asks = Asks::Anew;
        while !stop.is_cancelled() {
            let turn = tokio::select! {
                () = stop.cancelled() => return,
                turn = self.turn(asks) => turn,
            };
            match turn {
                Ok(()) => {
                    asks = Asks::Onward;
                    backoff.reset();
                    self.readiness.set(Condition::Intake, Ok(()));
                }
                Err(Pause::Ours(reason)) => {
                    self.say(reason);
                    tokio::select! { () = stop.cancelled() => {}, () = clock::back_off(&mut backoff, None) => {} }
                }
                Err(Pause::Homeserver { reason, hint }) => {
                    asks = Asks::Anew;
                    self.say(reason);
                    // A sign of life from before the trouble says nothing.
                    let _ = self.wake.notified().now_or_never();
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = clock::back_off(&mut backoff, hint) => {}
                        () = self.roused(), if hint.is_none() => {}
                    }
                }
            }
        }
    }

    fn say(&self, reason: String) {
        tracing::warn!(%reason, "nothing can be taken in; trying again");
        self.readiness.set(Condition::Intake, Err(reason));
    }

    /// The homeserver gave a sign of life. It may do so many times a second and fail all the same (its push and its
    /// `/sync` may be different processes), so that it shortens a pause to the first and no further.
    async fn roused(&self) {
        tokio::time::sleep(limits::BACKOFF_FIRST).await;
        self.wake.notified().await;
    }

    /// One request and, if it brought something, one write.
    async fn turn(&mut self, asks: Asks) -> Result<(), Pause> {
        if self.ledger.queues().await?.inbox >= limits::INBOX_ROWS as u64 {
            self.inbox.notify_one();
            return Err(Pause::Ours(
                "the inbox is full: messages wait at the homeserver until it has drained".into(),
            ));
        }
        let from = self.ledger.cursor().await?;
        let (since, wait) = match asks {
            Asks::Anew => (None, Duration::ZERO),
            Asks::Onward => (from.as_ref(), limits::SYNC_WAIT),
        };
        match self.homeserver.sync(&self.device, since, wait).await {
            Ok(page) => {
                record::sync_request(CallOutcome::Ok);
                self.readiness.set(Condition::Homeserver, Ok(()));
                let nothing = brought_nothing(&page);
                self.store(from, page).await?;
                if nothing {
                    // Something before the homeserver may answer from its memory, at once and for ever.
                    tokio::time::sleep(limits::SYNC_PACE).await;
                }
                Ok(())
            }
            Err(error) => {
                record::sync_request(error.outcome());
                self.readiness.set(Condition::Homeserver, Err(error.to_string()));
                if error.errcode() == Some("M_UNKNOWN_DEVICE") {
                    self.find_device().await;
                }
                Err(Pause::Homeserver { hint: error.retry_after(), reason: error.to_string() })
            }
        }
    }

    /// Somebody deleted the service's device: what is sent to it now vanishes, so it is made again at once.
    async fn find_device(&mut self) {
        match self.homeserver.probe().await {
            Ok(probe) => {
                tracing::warn!(device = %probe.device, "the service's device was gone and was made again");
                self.device = probe.device;
            }
            Err(error) => tracing::error!(%error, "the service's device is gone and cannot be made again"),
        }
    }

    async fn store(&self, from: Option<SyncToken>, page: SyncPage) -> Result<(), Pause> {
        let nothing = brought_nothing(&page);
        if nothing && from.as_ref() == Some(&page.next_batch) {
            return Ok(());
        }
        let next = page.next_batch.clone();
        let (items, poisoned) = sort(page, clock::now());
        for aside in &poisoned {
            record::event_poisoned();
            tracing::warn!(reason = %aside.reason, "an event from the homeserver cannot be read; it is set aside");
        }
        self.ledger.receive(from.as_ref(), &next, items, poisoned).await?;
        if !nothing {
            self.inbox.notify_one();
        }
        Ok(())
    }
}

fn brought_nothing(page: &SyncPage) -> bool {
    page.to_device.is_empty() && page.invites.is_empty()
}

/// How the homeserver is asked.
///
/// A position acknowledges what came before it. After the homeserver was away, it may have been restored from a backup:
/// then our position lies in its future, and messages that nobody has read would be acknowledged by it (measured). Asking
/// anew acknowledges nothing, and brings again what was not acknowledged; the same question gets the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Without a position: at start, and after the homeserver was away.
    Anew,
    /// From the stored position, which this homeserver gave us since it was last away.
    Onward,
}

/// Why the loop pauses.
enum Pause {
    /// The service's own store or inbox. The homeserver was there all along, so its position still holds.
    Ours(String),
    /// The homeserver did not answer as it should, and may ask for patience.
    Homeserver { reason: String, hint: Option<Duration> },
}

impl From<LedgerError> for Pause {
    fn from(error: LedgerError) -> Self {
        Self::Ours(match error {
            LedgerError::Conflict(_) => {
                "another process has read the homeserver's stream; looking again from where it is".into()
            }
            other => other.to_string(),
        })
    }
}

/// Sorts a page into what enters the inbox and what is set aside.
fn sort(page: SyncPage, now: Timestamp) -> (Vec<InboxItem>, Vec<SetAside>) {
    let messages = page.to_device.into_iter().map(|event| {
        let message = |event: ToDevice| Incoming::ToDevice { kind: event.kind, content: event.content };
        event.map(|event| (event.sender.clone(), message(event)))
    });
    let invites = page.invites.into_iter().map(|invite| {
        invite.map(|invite| (invite.inviter, Incoming::Invite { room: invite.room, state: invite.state }))
    });
    let (mut items, mut poisoned) = (Vec::new(), Vec::new());
    for event in messages.chain(invites) {
        match event {
            Ok((sender, message)) => items.push(InboxItem::new(sender, now, message)),
            Err(Poisoned { raw, reason }) => {
                let (what, reason) = (SetAsideKind::Event(raw), reason.to_owned());
                poisoned.push(SetAside { at: now, reason, what });
            }
        }
    }
    (items, poisoned)
}
