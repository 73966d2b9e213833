//! Invitations of the service: joined where the room is ours to serve, left with a reason where it is not.
//!
//! The rule is `maypole_room::invite`. It is applied to what came with the invitation and, after joining, to the room's
//! own create event, whose ID and content hash are recomputed: an invitation may claim anything. An invitation stays in
//! the inbox until it is dealt with, so each step may be repeated.

use std::sync::Arc;

use maypole_core::batch::Backend;
use maypole_core::ids::RoomId;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::{InboxRow, Incoming};
use maypole_room::invite::{Creation, NotOurs};
use ruma::OwnedUserId;
use ruma::canonical_json::CanonicalJsonValue;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answers;
use crate::clock;
use crate::homeserver::{Backoff, CallError, Homeserver, Pdu, PduError};
use crate::intake::Held;
use crate::telemetry::labels::InviteOutcome;
use crate::telemetry::record;

/// Deals with invitations, a few at a time, beside the inbox's other messages.
pub struct Invites<B> {
    shared: Arc<Shared<B>>,
    tasks: TaskTracker,
}

struct Shared<B> {
    ledger: Arc<Ledger<B>>,
    homeserver: Homeserver,
    our_user: OwnedUserId,
    places: Semaphore,
}

/// How an invitation ended.
enum Outcome {
    Joined,
    Left(NotOurs),
}

impl<B: Backend> Invites<B> {
    /// Deals with invitations of `our_user`.
    pub fn new(ledger: Arc<Ledger<B>>, homeserver: Homeserver, our_user: OwnedUserId) -> Self {
        let places = Semaphore::new(limits::INVITES_AT_ONCE);
        let shared = Shared { ledger, homeserver, our_user, places };
        Self { shared: Arc::new(shared), tasks: TaskTracker::new() }
    }

    /// Deals with a row of the inbox that is in hand.
    pub fn take(&self, row: InboxRow, held: Held, stop: &CancellationToken) {
        let (shared, stop) = (self.shared.clone(), stop.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(shared.handle(row)).await;
            drop(held);
        });
    }

    /// Waits until what is in hand has ended.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<B: Backend> Shared<B> {
    /// Deals with one invitation. What is in the homeserver's way is waited out, for a while, and while it waits others have
    /// their turn: an invitation to a room on a dead server must not hold up the rest.
    async fn handle(&self, row: InboxRow) {
        let Incoming::Invite { room, state } = &row.item.message else { return };
        let mut backoff = Backoff::default();
        let mut tries = 0;
        let decided = loop {
            let Ok(place) = self.places.acquire().await else { return };
            let decided = self.decide(room, state).await;
            drop(place);
            tries += 1;
            match decided {
                Err(error @ CallError::Broken { .. }) if tries >= limits::INVITE_TRIES => break Err(error),
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "an invitation cannot be dealt with; trying again");
                    clock::back_off(&mut backoff, error.retry_after()).await;
                }
                decided => break decided,
            }
        };
        let refusal = decided.as_ref().err().map(CallError::to_string);
        if !self.record(row.clone(), refusal, &mut backoff).await {
            return;
        }
        match &decided {
            Ok(Outcome::Joined) => {
                record::invite(InviteOutcome::Joined);
                tracing::info!(%room, "joined");
            }
            Ok(Outcome::Left(reason)) => {
                record::invite(InviteOutcome::Left);
                tracing::info!(%room, %reason, "left");
            }
            Err(error) => {
                record::invite(InviteOutcome::Failed);
                tracing::warn!(%room, %error, "the homeserver refused what follows from an invitation; it is set aside");
            }
        }
    }

    /// Takes the row out of the inbox, and sets it aside if the homeserver refused. `false`: somebody else did so first.
    async fn record(&self, row: InboxRow, refusal: Option<String>, backoff: &mut Backoff) -> bool {
        loop {
            let recorded = match &refusal {
                None => self.ledger.answer(answers::ignore(row.seq), clock::now()).await.map(drop),
                Some(reason) => {
                    self.ledger.set_aside_received(row.clone(), reason.clone(), clock::now()).await
                }
            };
            match recorded {
                Ok(()) => return true,
                Err(LedgerError::Conflict(_)) => return false,
                Err(error) => {
                    tracing::error!(%error, "an invitation's end cannot be recorded; trying again");
                    clock::back_off(backoff, None).await;
                }
            }
        }
    }

    async fn decide(&self, room: &RoomId, state: &[u8]) -> Result<Outcome, CallError> {
        if let Err(reason) = self.judge_claims(room, state) {
            return self.leave(room, reason).await;
        }
        self.homeserver.join(room).await?;
        let judged = match self.read_creation(room).await {
            // We are in, and may not see where: that is no place to stay.
            Err(CallError::Refused { .. }) => Err(NotOurs::NoCreateEvent),
            read => read?.and_then(|creation| creation.is_served_by(&self.our_user)),
        };
        match judged {
            Ok(()) => Ok(Outcome::Joined),
            Err(reason) => self.leave(room, reason).await,
        }
    }

    /// Judges by what came with the invitation.
    fn judge_claims(&self, room: &RoomId, state: &[u8]) -> Result<(), NotOurs> {
        let named =
            ruma::RoomId::parse(room.as_str()).map_err(|_| NotOurs::Unreadable("its room ID is none"))?;
        let events: Vec<Value> = serde_json::from_slice(state).unwrap_or_default();
        Creation::in_stripped_state(&events)?.is_served_by(&self.our_user)?;
        if Creation::may_be_of(&named, &self.our_user) {
            Ok(())
        } else {
            Err(NotOurs::Unreadable("its room ID is of another server than its creator"))
        }
    }

    async fn leave(&self, room: &RoomId, reason: NotOurs) -> Result<Outcome, CallError> {
        self.homeserver.leave(room, &reason.to_string()).await?;
        Ok(Outcome::Left(reason))
    }

    /// The room's own create event, from its state, in the form that its ID and hashes are made of.
    async fn read_creation(&self, room: &RoomId) -> Result<Result<Creation, NotOurs>, CallError> {
        let state = self.homeserver.full_state(room).await?;
        let create = state.iter().find(|event| event.kind == "m.room.create" && event.state_key.is_empty());
        let Some(create) = create else { return Ok(Err(NotOurs::NoCreateEvent)) };
        let content = serde_json::from_slice(&create.content).unwrap_or_default();
        let version = match Creation::read(create.sender.as_str(), &content) {
            Ok(creation) => creation.version,
            Err(reason) => return Ok(Err(reason)),
        };
        match self.homeserver.pdu(room, &version, &create.event_id).await {
            Ok(pdu) => Ok(read_create_event(&pdu)),
            Err(PduError::Call(error)) => Err(error),
            Err(error) => {
                tracing::warn!(%room, %error, "a create event is not what its ID says");
                Ok(Err(NotOurs::Unreadable("its hashes do not match")))
            }
        }
    }
}

fn read_create_event(pdu: &Pdu) -> Result<Creation, NotOurs> {
    let sender = pdu.object().get("sender").and_then(CanonicalJsonValue::as_str);
    let content = pdu.object().get("content").cloned().map_or(Value::Null, Value::from);
    Creation::read(sender.ok_or(NotOurs::Unreadable("it has no sender"))?, &content)
}
