//! What the core asks of the room: may this caller, and are these the devices' own keys?
//!
//! The room is read whole and at once, so that one decision rests on one state of it. What a commit cites is fetched whole,
//! its hashes recomputed, for those who must check it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use maypole_core::group::{Command, LeafKey, Request};
use maypole_core::ids::{Epoch, RoomId, UserId};
use maypole_core::limits;
use maypole_core::permit::{Effect, Intent, Permit, Question};
use maypole_core::rejection::{Rejection, Unsupported};
use maypole_mls::envelope::Envelope;
use maypole_room::bytes::decode;
use maypole_room::delivery_service::DeliveryService;
use maypole_room::description::Description;
use maypole_room::identity::published_name;
use maypole_room::member_event::{self, MlsCommit};
use maypole_room::names::Prefix;
use maypole_room::permit::{self, RoomState, StateEvent};
use ruma::{OwnedEventId, OwnedUserId, RoomVersionId};
use serde_json::Value;

use super::blobs::Blobs;
use super::commands::room_of;
use super::effects::StateEffect;
use crate::homeserver::{CallError, Homeserver, PduError, StateRow, patiently};

/// Answers what the core asks.
pub struct Permits {
    homeserver: Homeserver,
    our_user: OwnedUserId,
    blobs: Arc<Blobs>,
    description: Description,
    /// Events that were cited lately, whole. Events never change.
    cited: Mutex<HashMap<OwnedEventId, Vec<u8>>>,
}

impl Permits {
    /// Permits of the rooms of this homeserver.
    pub fn new(
        homeserver: Homeserver,
        our_user: OwnedUserId,
        blobs: Arc<Blobs>,
        description: Description,
    ) -> Self {
        Self { homeserver, our_user, blobs, description, cited: Mutex::default() }
    }

    /// Whether each device publishes the key of its leaf.
    pub async fn check_keys(&self, keys: &[LeafKey]) -> Result<(), Rejection> {
        let users: BTreeSet<UserId> = keys.iter().map(|key| key.client.user.clone()).collect();
        let what = "published keys cannot be asked for";
        let published = patiently(what, || self.homeserver.query_keys(&users)).await;
        let published = published.map_err(|_| unavailable(users.into_iter().collect()))?;
        let silent: Vec<UserId> =
            published.failed.iter().filter(|user| !published.users.contains_key(*user)).cloned().collect();
        if !silent.is_empty() {
            return Err(unavailable(silent));
        }
        for LeafKey { leaf, client, suite, key } in keys {
            let wrong = |problem| Rejection::Identity { leaf: *leaf, identity: client.to_string(), problem };
            let devices = published.users.get(&client.user);
            let device = devices.and_then(|devices| devices.get(&client.device));
            let device = device.ok_or(wrong("names a device that publishes no keys"))?;
            let name = published_name(*suite, &client.device);
            let value = device.get(&name).ok_or(wrong("is of a device that publishes no key for MLS"))?;
            if decode(value).as_deref() != Some(key) {
                return Err(wrong("has another signature key than its device publishes"));
            }
        }
        Ok(())
    }

    /// Whether the caller may do what a command asks for, whose group spells its events with `prefix`.
    pub async fn permit(
        &self,
        question: &Question,
        command: &Command,
        prefix: Prefix,
    ) -> Result<Permit, Rejection> {
        let room = room_of(&command.group).ok_or(Rejection::UnknownGroup)?;
        let state = self.room_state(&room).await?;
        let permitted = permit::judge(&state, &self.our_user, question)?;
        let effects = match question.intent {
            Intent::Register | Intent::Succeed { .. } => vec![self.registered(&room, command, prefix)?],
            Intent::Commit { .. } => self.member_events(&room, command, permitted.members).await?,
            Intent::Propose(_) => Vec::new(),
        };
        let version = state.creation().map(|creation| creation.version);
        let version = version.map_err(|reason| Rejection::forbidden(reason.to_string()))?;
        let mut cited = Vec::new();
        for event_id in permitted.cited {
            cited.push(self.whole(&room, &version, event_id).await?);
        }
        Ok(Permit { effects, cited })
    }

    /// The room's current state.
    pub async fn room_state(&self, room: &RoomId) -> Result<RoomState, Rejection> {
        let what = "a room's state cannot be read";
        let not_ours = Rejection::NotDeliveryService { service: None };
        let rows =
            patiently(what, || self.homeserver.full_state(room)).await.map_err(|_| not_ours.clone())?;
        let room_id = ruma::RoomId::parse(room.as_str()).map_err(|_| not_ours)?;
        // A decision must not rest on state with holes.
        let hole = || Rejection::forbidden("an event of the room's state cannot be read");
        let events: Option<Vec<StateEvent>> = rows.into_iter().map(state_event).collect();
        Ok(RoomState::new(room_id, events.ok_or_else(hole)?))
    }

    /// The state event that says who orders the room.
    fn registered(&self, room: &RoomId, command: &Command, prefix: Prefix) -> Result<Effect, Rejection> {
        let suite = match Envelope::read(command.message()) {
            Ok(Envelope::GroupInfo(info)) => info.context.suite,
            _ => return Err(Rejection::UnknownGroup),
        };
        let ciphersuite = maypole_mls::Suite::from_code(suite);
        let content = DeliveryService {
            term: 1,
            generation: command.group.generation().1,
            group_id: command.group.clone(),
            ciphersuite: ciphersuite.ok_or(Rejection::Unsupported(Unsupported::CipherSuite(suite)))?,
            external_sender: self.description.external_sender.clone(),
            receipt_key: self.description.receipt_key.clone(),
        };
        let effect = StateEffect {
            room: room.clone(),
            kind: format!("{}delivery_service", prefix.as_str()),
            state_key: self.our_user.to_string(),
            content: content.content(),
        };
        Ok(effect.into_effect(None))
    }

    /// The member events that a commit needs.
    async fn member_events(
        &self,
        room: &RoomId,
        command: &Command,
        members: Vec<member_event::MemberChange>,
    ) -> Result<Vec<Effect>, Rejection> {
        let (Request::Commit { epoch, message, .. }, false) = (&command.request, members.is_empty()) else {
            return Ok(Vec::new());
        };
        let users = || members.iter().map(|change| change.user.clone()).collect();
        let commit = self.blobs.place(message.clone(), limits::INLINE_BYTES).await;
        let commit = MlsCommit {
            group_id: command.group.clone(),
            epoch: epoch.next().unwrap_or(Epoch::ZERO),
            commit: commit.map_err(|_| unavailable(users()))?,
            sender: command.by.user.clone(),
        };
        let effect = |change: &member_event::MemberChange| {
            let effect = StateEffect {
                room: room.clone(),
                kind: "m.room.member".to_owned(),
                state_key: change.user.to_string(),
                content: member_event::content(change, &commit),
            };
            effect.into_effect(Some(change.user.clone()))
        };
        Ok(members.iter().map(effect).collect())
    }

    /// A cited event, as servers pass it on to each other.
    async fn whole(
        &self,
        room: &RoomId,
        version: &RoomVersionId,
        event_id: OwnedEventId,
    ) -> Result<Vec<u8>, Rejection> {
        let known = self.cited.lock().unwrap_or_else(PoisonError::into_inner).get(&event_id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let fetched = patiently("a cited event cannot be read", || async {
            match self.homeserver.pdu(room, version, &event_id).await {
                Ok(pdu) => Ok(serde_json::to_vec(pdu.object()).ok()),
                Err(PduError::Call(error)) => Err(error),
                Err(error) => {
                    tracing::warn!(%room, %error, "a cited event is not what its ID says");
                    Ok(None)
                }
            }
        });
        let gone = || Rejection::forbidden(format!("the cited event {event_id} cannot be had whole"));
        let bytes = fetched.await.ok().flatten().ok_or_else(gone)?;
        let mut cited = self.cited.lock().unwrap_or_else(PoisonError::into_inner);
        if cited.len() >= limits::CITED_EVENTS_REMEMBERED {
            cited.clear();
        }
        cited.insert(event_id, bytes.clone());
        Ok(bytes)
    }

    /// Whether a user is in a room, as the homeserver has it now.
    pub async fn is_joined(&self, room: &RoomId, user: &UserId) -> Result<bool, Rejection> {
        Ok(self.membership(room, user).await? == "join")
    }

    /// Whether a user is in a room or invited to it, as the homeserver has it now.
    pub async fn is_wanted(&self, room: &RoomId, user: &UserId) -> Result<bool, Rejection> {
        Ok(matches!(self.membership(room, user).await?.as_str(), "join" | "invite"))
    }

    /// A user's membership; `leave` where there is none.
    async fn membership(&self, room: &RoomId, user: &UserId) -> Result<String, Rejection> {
        let what = "a membership cannot be read";
        let ask = || self.homeserver.state_event(room, "m.room.member", user.as_str());
        match patiently(what, ask).await {
            Ok(event) => {
                let content = event.and_then(|event| serde_json::from_slice::<Value>(&event.content).ok());
                let membership = content.as_ref().and_then(|content| content.get("membership")?.as_str());
                Ok(membership.unwrap_or("leave").to_owned())
            }
            Err(CallError::Refused { .. }) => Err(Rejection::NotDeliveryService { service: None }),
            Err(_) => Err(unavailable(vec![user.clone()])),
        }
    }
}

fn unavailable(users: Vec<UserId>) -> Rejection {
    Rejection::Unavailable { users, problem: "what the answer depends on cannot be had now" }
}

/// A row of a room's state, as the rules read it.
fn state_event(row: StateRow) -> Option<StateEvent> {
    Some(StateEvent {
        event_id: row.event_id,
        sender: OwnedUserId::try_from(row.sender.as_str()).ok()?,
        kind: row.kind,
        state_key: row.state_key,
        content: serde_json::from_slice(&row.content).ok()?,
    })
}
