//! Push transactions: room events, each transaction taken in once, whatever the homeserver repeats.
//!
//! An event that cannot be read is set aside; the others of its transaction are taken in all the same. The to-device
//! messages of a transaction are not read: `/sync` brings them, and loses none.

use std::sync::Arc;

use bytes::Bytes;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::batch::Backend;
use maypole_core::ids::{PushTxnId, RoomId, Sha256, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::records::{InboxItem, Incoming, PushTransaction, SetAside, SetAsideKind};
use maypole_core::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::clock;
use crate::http::ports::{HomeserverCaller, PushIntake, PushRefused};
use crate::telemetry::labels::PushOutcome;
use crate::telemetry::record;

/// Takes in push transactions.
pub struct Transactions<B> {
    ledger: Arc<Ledger<B>>,
    token: AuthToken,
    our_user: UserId,
    inbox: Arc<Notify>,
    homeserver_is_there: Arc<Notify>,
}

/// A transaction, its events unread; everything else in it is left alone.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

/// A room event, as far as it is read.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    room_id: String,
    sender: String,
    state_key: Option<String>,
    #[serde(default)]
    content: serde_json::Value,
    #[serde(default)]
    unsigned: Unsigned,
}

#[derive(Default, Deserialize)]
struct Unsigned {
    invite_room_state: Option<Box<RawValue>>,
}

impl<B: Backend> Transactions<B> {
    /// An intake that wakes whoever waits on `inbox`, and lets `homeserver_is_there` know of every transaction.
    pub fn new(
        ledger: Arc<Ledger<B>>,
        token: AuthToken,
        our_user: UserId,
        inbox: Arc<Notify>,
        homeserver_is_there: Arc<Notify>,
    ) -> Self {
        Self { ledger, token, our_user, inbox, homeserver_is_there }
    }

    /// Sorts a transaction's events into what enters the inbox and what is set aside.
    fn sort(&self, events: &[&RawValue], now: Timestamp) -> (Vec<InboxItem>, Vec<SetAside>) {
        let mut items = Vec::new();
        let mut poisoned = Vec::new();
        for raw in events {
            match self.read(raw, now) {
                Ok(item) => items.extend(item),
                Err(reason) => {
                    let raw = raw.get().as_bytes();
                    let kept = raw.get(..limits::SET_ASIDE_EVENT_BYTES).unwrap_or(raw).to_vec();
                    poisoned.push(SetAside { at: now, reason, what: SetAsideKind::Event(kept) });
                }
            }
        }
        (items, poisoned)
    }

    /// Reads one event: an invitation of ours, or nothing that concerns the service yet.
    fn read(&self, raw: &RawValue, now: Timestamp) -> Result<Option<InboxItem>, String> {
        let event: Event =
            object(raw.get().as_bytes()).map_err(|error| format!("not a room event: {error}"))?;
        let sender = UserId::parse(event.sender).ok_or("its sender is empty or too long")?;
        let room = RoomId::parse(event.room_id).ok_or("its room is empty or too long")?;
        let is_invite = event.kind == "m.room.member"
            && event.state_key.as_deref() == Some(self.our_user.as_str())
            && event.content.get("membership").and_then(serde_json::Value::as_str) == Some("invite");
        if !is_invite {
            return Ok(None);
        }
        // An invitation that says nothing of its room cannot be judged; `/sync` brings it as well, and says more.
        let Some(state) = event.unsigned.invite_room_state else { return Ok(None) };
        if state.get().len() > limits::INVITE_STATE_BYTES {
            return Err("its `invite_room_state` is too long".into());
        }
        let state = state.get().into();
        let caller = Authenticated::by(self.token, sender);
        Ok(Some(InboxItem::new(caller, now, Incoming::Invite { room, state })))
    }
}

/// Reads an object. Left alone, serde would take an array, its fields in order, for one.
fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    if json.trim_ascii_start().first() == Some(&b'[') {
        return Err(serde::de::Error::custom("an array stands where an object should"));
    }
    serde_json::from_slice(json)
}

impl<B: Backend> PushIntake for Transactions<B> {
    async fn transaction(
        &self,
        _caller: Authenticated<HomeserverCaller>,
        id: PushTxnId,
        body: Bytes,
    ) -> Result<(), PushRefused> {
        self.homeserver_is_there.notify_one();
        // Bytes that are no text spoil the event that they are in and no other.
        let text = String::from_utf8_lossy(&body);
        let Body { events } = object(text.as_bytes()).map_err(|error| {
            record::push_transaction(PushOutcome::Refused);
            PushRefused::BadJson(format!(
                "The transaction is not a JSON object with a list of events: {error}."
            ))
        })?;
        let (items, poisoned) = self.sort(&events, clock::now());
        for aside in &poisoned {
            record::event_poisoned();
            tracing::warn!(reason = %aside.reason, "an event of a push transaction is set aside");
        }
        let transaction = PushTransaction { id, body: Sha256::of(&body) };
        match self.ledger.receive_push(transaction, items, poisoned).await {
            Ok(is_new) => {
                record::push_transaction(if is_new { PushOutcome::Received } else { PushOutcome::Repeated });
                self.inbox.notify_one();
                Ok(())
            }
            Err(error) => {
                record::push_transaction(PushOutcome::Unavailable);
                tracing::error!(%error, "a push transaction could not be stored; the homeserver will repeat it");
                Err(PushRefused::Unavailable)
            }
        }
    }
}
