//! Rooms: made so that the delivery service can do its work, entered, and their state.

use maypole_room::invite::Creation;
use reqwest::Method;
use ruma::RoomVersionId;
use serde_json::{Value, json};

use super::http::{part, text_of};
use super::{Http, MatrixError};
use crate::device::ALGORITHM;

/// A room version that delivery services serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomVersion {
    /// 11: power is in `power_levels` alone.
    V11,
    /// 12: creators have all power, and there may be more than one.
    V12,
}

impl RoomVersion {
    /// The version as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V11 => "11",
            Self::V12 => "12",
        }
    }
}

/// The service's level in a room of version 11: above everybody but the creator, who can take it away.
const SERVICE_LEVEL: u64 = 99;
/// The creator's level in a room of version 11.
const CREATOR_LEVEL: u64 = 100;

/// The body of a `createRoom` whose room names a delivery service, invites it and gives it power.
pub(super) fn creation(version: RoomVersion, creator: &str, service: &str, name: &str) -> Value {
    let mut content = json!({"encryption_algorithm": ALGORITHM, "m.mls.delivery_service": service});
    let mut body = json!({
        "room_version": version.as_str(), "preset": "private_chat", "name": name, "invite": [service],
    });
    let (key, value) = match version {
        RoomVersion::V12 => {
            set(&mut content, "additional_creators", json!([service]));
            ("creation_content", content)
        }
        RoomVersion::V11 => {
            set(&mut body, "creation_content", content);
            let users = json!({creator: CREATOR_LEVEL, service: SERVICE_LEVEL});
            ("power_level_content_override", json!({"users": users}))
        }
    };
    set(&mut body, key, value);
    body
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// What a client takes from a room's create event.
#[derive(Debug)]
pub(super) struct Created {
    /// The room's delivery service.
    pub(super) service: String,
    pub(super) version: RoomVersionId,
}

/// Reads a create event of an MLS room.
pub(super) fn created(sender: &str, content: &Value) -> Result<Created, MatrixError> {
    let creation = Creation::read(sender, content).map_err(|error| MatrixError::Room(error.to_string()))?;
    if creation.algorithm.as_deref() != Some(ALGORITHM) {
        return Err(MatrixError::Room("its create event names no MLS".into()));
    }
    let service = creation.names_service.unwrap_or_else(|| format!("@:{}", creation.creator_server));
    Ok(Created { service, version: creation.version })
}

impl Http {
    /// Makes a room; gives its ID.
    pub(super) async fn create_room(&self, body: &Value) -> Result<String, MatrixError> {
        let answer = self.json(Method::POST, "/_matrix/client/v3/createRoom", Some(body)).await?;
        let request = "POST /_matrix/client/v3/createRoom";
        Ok(text_of(&answer, "/room_id", request, "has no `room_id`")?.to_owned())
    }

    /// Joins a room, or accepts an invitation to it.
    pub async fn join_room(&self, room_id: &str) -> Result<(), MatrixError> {
        let path = format!("/_matrix/client/v3/rooms/{}/join", part(room_id));
        self.json(Method::POST, &path, Some(&json!({}))).await.map(drop)
    }

    /// All state events of a room, as they are now.
    pub async fn room_state(&self, room_id: &str) -> Result<Vec<Value>, MatrixError> {
        let path = format!("/_matrix/client/v3/rooms/{}/state", part(room_id));
        match self.json(Method::GET, &path, None).await? {
            Value::Array(events) => Ok(events),
            _ => Err(MatrixError::Answer { request: format!("GET {path}"), problem: "is no list" }),
        }
    }

    /// Sends an event. The same `txn_id` again sends nothing.
    pub async fn send_event(
        &self,
        room_id: &str,
        kind: &str,
        txn_id: &str,
        content: &Value,
    ) -> Result<(), MatrixError> {
        let (room_id, kind, txn_id) = (part(room_id), part(kind), part(txn_id));
        let path = format!("/_matrix/client/v3/rooms/{room_id}/send/{kind}/{txn_id}");
        self.json(Method::PUT, &path, Some(content)).await.map(drop)
    }

    /// Sends a to-device message to all devices of a user.
    pub async fn send_to_device(
        &self,
        user: &str,
        kind: &str,
        txn_id: &str,
        content: &Value,
    ) -> Result<(), MatrixError> {
        let path = format!("/_matrix/client/v3/sendToDevice/{}/{}", part(kind), part(txn_id));
        let body = json!({"messages": {user: {"*": content}}});
        self.json(Method::PUT, &path, Some(&body)).await.map(drop)
    }
}

/// The state event of a type, with an empty state key.
pub(super) fn find<'a>(state: &'a [Value], kind: &str) -> Option<&'a Value> {
    state.iter().find(|event| is_state(event, kind))
}

/// Whether an event is the state event of a type, with an empty state key.
pub(super) fn is_state(event: &Value, kind: &str) -> bool {
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    text("type") == Some(kind) && text("state_key") == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_power_in_both_versions() {
        let eleven = creation(RoomVersion::V11, "@alice:a.org", "@:a.org", "hall");
        assert_eq!(eleven["room_version"], "11");
        let users = &eleven["power_level_content_override"]["users"];
        assert_eq!(users, &json!({"@alice:a.org": 100, "@:a.org": 99}));
        let twelve = creation(RoomVersion::V12, "@alice:a.org", "@:a.org", "hall");
        assert_eq!(twelve["creation_content"]["additional_creators"], json!(["@:a.org"]));
        assert!(twelve.get("power_level_content_override").is_none());
        for body in [eleven, twelve] {
            assert_eq!(body["invite"], json!(["@:a.org"]));
            let named = created("@alice:a.org", &body["creation_content"]).unwrap().service;
            assert_eq!(named, "@:a.org");
        }
    }

    #[test]
    fn what_only_looks_like_a_create_event_is_not_found() {
        let event = |state_key: Value| json!({"type": "m.room.create", "state_key": state_key});
        let message = json!({"type": "m.room.create", "content": {}});
        let state = [message, event(json!("@bob:b.org")), event(json!(null))];
        assert_eq!(find(&state, "m.room.create"), None);
        assert!(is_state(&event(json!("")), "m.room.create"));
    }

    #[test]
    fn a_room_without_mls_has_no_service() {
        assert!(created("@alice:a.org", &json!({"room_version": "12"})).is_err());
        assert!(created("alice", &json!({"encryption_algorithm": "m.mls.10"})).is_err());
        let unnamed = json!({"room_version": "12", "encryption_algorithm": "m.mls.10"});
        assert_eq!(created("@alice:a.org", &unnamed).unwrap().service, "@:a.org");
    }
}
