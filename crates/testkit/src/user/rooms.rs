//! Rooms: made, entered, left, and their state.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::User;
use crate::requests::path_part;

impl User {
    /// Makes a room from a whole `createRoom` body (`room_version`, `creation_content`, `invite`, `initial_state`,
    /// `power_level_content_override` …) and gives its ID.
    pub async fn create_room(&self, body: &Value) -> Result<String> {
        let answer = self.request(Method::POST, "/_matrix/client/v3/createRoom", Some(body)).await?;
        let room_id = answer.get("room_id").and_then(Value::as_str);
        room_id.map(str::to_owned).context("createRoom gave no room ID")
    }

    /// Invites a user.
    pub async fn invite(&self, room_id: &str, user_id: &str) -> Result<Value> {
        self.in_room(Method::POST, room_id, "invite", Some(&json!({"user_id": user_id}))).await
    }

    /// Joins a room on one's own homeserver, or accepts an invite.
    pub async fn join(&self, room_id: &str) -> Result<Value> {
        self.in_room(Method::POST, room_id, "join", Some(&json!({}))).await
    }

    /// Leaves a room, or refuses an invite.
    pub async fn leave(&self, room_id: &str) -> Result<Value> {
        self.in_room(Method::POST, room_id, "leave", Some(&json!({}))).await
    }

    /// Kicks a user.
    pub async fn kick(&self, room_id: &str, user_id: &str) -> Result<Value> {
        self.in_room(Method::POST, room_id, "kick", Some(&json!({"user_id": user_id}))).await
    }

    /// Bans a user.
    pub async fn ban(&self, room_id: &str, user_id: &str) -> Result<Value> {
        self.in_room(Method::POST, room_id, "ban", Some(&json!({"user_id": user_id}))).await
    }

    /// Sends a state event.
    pub async fn send_state(&self, room_id: &str, kind: &str, key: &str, content: &Value) -> Result<Value> {
        let rest = format!("state/{}/{}", path_part(kind), path_part(key));
        self.in_room(Method::PUT, room_id, &rest, Some(content)).await
    }

    /// Sends an ordinary event. The same `txn_id` again sends nothing.
    pub async fn send_event(
        &self,
        room_id: &str,
        kind: &str,
        txn_id: &str,
        content: &Value,
    ) -> Result<Value> {
        let rest = format!("send/{}/{}", path_part(kind), path_part(txn_id));
        self.in_room(Method::PUT, room_id, &rest, Some(content)).await
    }

    /// The whole current state: a list of events.
    pub async fn state(&self, room_id: &str) -> Result<Value> {
        self.in_room(Method::GET, room_id, "state", None).await
    }

    /// The content of one state event.
    pub async fn state_content(&self, room_id: &str, kind: &str, key: &str) -> Result<Value> {
        let rest = format!("state/{}/{}", path_part(kind), path_part(key));
        self.in_room(Method::GET, room_id, &rest, None).await
    }

    /// The member events of a room.
    pub async fn members(&self, room_id: &str) -> Result<Value> {
        self.in_room(Method::GET, room_id, "members", None).await
    }

    async fn in_room(
        &self,
        method: Method,
        room_id: &str,
        rest: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let path = format!("/_matrix/client/v3/rooms/{}/{rest}", path_part(room_id));
        self.request(method, &path, body).await
    }
}
