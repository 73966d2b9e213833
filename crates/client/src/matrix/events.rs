//! `/sync`: to-device messages and room events, in the order in which the homeserver gives them.

use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use maypole_core::ids::RoomId;
use maypole_core::limits;
use reqwest::Method;
use serde_json::{Value, json};

use super::http::{part, text_of};
use super::rooms::{Created, created, is_state};
use super::{Client, MatrixError};
use crate::device::{Event, Service};
use maypole_core::ids::UserId;

impl Client {
    /// What happens next: it waits as long as it takes. Bound it with a timeout. After a crash something is told twice rather
    /// than never.
    pub async fn next_event(&mut self) -> Result<Event, MatrixError> {
        loop {
            if let Some(event) = self.stored.events.pop_front() {
                return Ok(event);
            }
            self.sync(limits::CLIENT_SYNC_WAIT).await?;
        }
    }

    /// The next event that matches; the others stay, in their order.
    pub async fn next_matching(&mut self, matching: impl Fn(&Event) -> bool) -> Result<Event, MatrixError> {
        loop {
            if let Some(event) =
                self.stored.events.iter().position(&matching).and_then(|at| self.stored.events.remove(at))
            {
                return Ok(event);
            }
            self.sync(limits::CLIENT_SYNC_WAIT).await?;
        }
    }

    /// What was told and is not taken yet, the oldest first.
    pub fn told(&self) -> impl Iterator<Item = &Event> {
        self.stored.events.iter()
    }

    /// Waits until nothing of a room waits for the delivery service's answer. An answer that refuses is an error. Where none
    /// comes, the same is sent again: it, or its answer, may be lost.
    pub async fn settle(&mut self, room_id: &RoomId) -> Result<(), MatrixError> {
        self.settle_asking(room_id, limits::CLIENT_ANSWER_WAIT).await
    }

    /// The same with another bound after which it is sent again.
    pub(super) async fn settle_asking(
        &mut self,
        room_id: &RoomId,
        bound: Duration,
    ) -> Result<(), MatrixError> {
        let mut patience = Box::pin(tokio::time::sleep(bound));
        loop {
            let undone = self.stored.events.iter().position(|event| is_undone(event, room_id));
            if let Some(event) = undone.and_then(|at| self.stored.events.remove(at)) {
                return Err(MatrixError::Undone(Box::new(event)));
            }
            if !self.device.is_waiting(room_id) {
                return Ok(());
            }
            // Looked at, and not waited for: a /sync that is cut off in its middle brings some of it twice.
            if poll_fn(|context| Poll::Ready(patience.as_mut().poll(context).is_ready())).await {
                self.resume().await?;
                patience = Box::pin(tokio::time::sleep(bound));
            }
            self.sync(limits::CLIENT_SYNC_WAIT.min(bound)).await?;
        }
    }

    /// Waits for an invitation to a room.
    pub async fn next_invite(&mut self) -> Result<RoomId, MatrixError> {
        loop {
            if let Some(room_id) = self.stored.invites.keys().next() {
                return Ok(room_id.clone());
            }
            self.sync(limits::CLIENT_SYNC_WAIT).await?;
        }
    }

    /// One `/sync`, and everything that it brings.
    pub async fn sync(&mut self, wait: Duration) -> Result<(), MatrixError> {
        let mut path = format!("/_matrix/client/v3/sync?timeout={}", wait.as_millis());
        path.push_str(&format!("&filter={}", part(&filter().to_string())));
        if let Some(since) = &self.stored.since {
            path.push_str(&format!("&since={}", part(since)));
        }
        let bound = wait + limits::SYNC_GRACE;
        let answer = self.http.json_within(Method::GET, &path, None, bound).await?;
        let next = text_of(&answer, "/next_batch", "GET /_matrix/client/v3/sync", "has no `next_batch`")?;
        let mut something = false;
        for (room_id, room) in entries(&answer, "/rooms/invite") {
            something = true;
            self.hear_invite(room_id, room);
        }
        for (room_id, room) in entries(&answer, "/rooms/join") {
            something = true;
            self.hear_state(room_id, room).await?;
        }
        for event in events(&answer, "/to_device/events") {
            something = true;
            let content = event.get("content").unwrap_or(&Value::Null);
            let actions = self.device.receive(text(event, "sender"), text(event, "type"), content)?;
            self.carry_out_all(actions).await?;
        }
        for (room_id, room) in entries(&answer, "/rooms/join") {
            self.hear_timeline(room_id, room).await?;
        }
        for (room_id, _) in entries(&answer, "/rooms/leave") {
            something = true;
            self.stored.invites.retain(|invited, _| invited.as_str() != room_id);
        }
        self.check_what_came().await;
        self.stored.since = Some(next.to_owned());
        // An empty answer is not worth a write: the same again brings nothing either.
        if something { self.write(None).await } else { Ok(()) }
    }

    /// Whoever invites may have made up the stripped state: what it says about the delivery service is not believed.
    fn hear_invite(&mut self, room_id: &str, room: &Value) {
        let Some(id) = RoomId::parse(room_id) else { return };
        let me = self.device.me().user.to_string();
        let invite = events(room, "/invite_state/events").find(|event| text(event, "state_key") == me);
        self.stored
            .invites
            .insert(id, invite.map(|event| text(event, "sender")).unwrap_or_default().to_owned());
    }

    /// The room's create event, wherever it stands; before the to-device messages, which need to know it.
    async fn hear_state(&mut self, room_id: &str, room: &Value) -> Result<(), MatrixError> {
        let Some(id) = RoomId::parse(room_id) else { return Ok(()) };
        self.stored.invites.remove(&id);
        let all = events(room, "/state/events").chain(events(room, "/timeline/events"));
        if let Some(create) = all.into_iter().find(|event| is_state(event, "m.room.create")) {
            self.trust(&id, create).await?;
        }
        Ok(())
    }

    async fn hear_timeline(&mut self, room_id: &str, room: &Value) -> Result<(), MatrixError> {
        let Some(id) = RoomId::parse(room_id) else { return Ok(()) };
        for event in
            events(room, "/timeline/events").filter(|event| text(event, "type") == "m.room.encrypted")
        {
            let content = event.get("content").unwrap_or(&Value::Null);
            let actions = self.device.read(&id, text(event, "event_id"), text(event, "sender"), content)?;
            self.carry_out_all(actions).await?;
        }
        Ok(())
    }

    /// Tells the device who the delivery service of a room is, if it is an MLS room.
    pub(super) async fn trust(&mut self, room_id: &RoomId, create: &Value) -> Result<(), MatrixError> {
        let content = create.get("content").unwrap_or(&Value::Null);
        let Ok(Created { service, version }) = created(text(create, "sender"), content) else {
            return Ok(());
        };
        let Some(user) = UserId::parse(service) else { return Ok(()) };
        self.stored.room_versions.insert(room_id.clone(), version.to_string());
        let actions = self.device.trust(room_id, Service { user, unstable: self.stored.unstable })?;
        self.carry_out_all(actions).await
    }
}

/// What a client of MLS needs to hear.
fn filter() -> Value {
    let none = json!({"types": []});
    json!({
        "presence": none, "account_data": none,
        "room": {
            "account_data": none, "ephemeral": none,
            "state": {"types": ["m.room.create"]},
            "timeline": {"types": ["m.room.create", "m.room.encrypted"], "limit": limits::CLIENT_TIMELINE_EVENTS},
        },
    })
}

/// Whether something that was wished in a room did not come about.
fn is_undone(event: &Event, room_id: &RoomId) -> bool {
    match event {
        Event::Refused { room_id: of, .. }
        | Event::Report { room_id: of, .. }
        | Event::Delayed { room_id: of, .. } => of == room_id,
        _ => false,
    }
}

pub(super) fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn entries<'a>(answer: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let object = answer.pointer(pointer).and_then(Value::as_object);
    object.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn events<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}
