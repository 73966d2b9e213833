//! A Matrix user with one device, for tests and the demo: plain requests, answers as JSON.
//!
//! Every method returns what the homeserver answered; a refusal is an error that holds [`crate::Refused`]. For what
//! has no method here, and for requests that are meant to be refused, there are [`User::request`] and
//! [`User::ask`].

mod keys;
mod rooms;
mod to_device;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::requests::{self, Answer};
use to_device::Received;

/// Every test user's password.
const PASSWORD: &str = "correct horse battery staple";

/// One device of a user, logged in. Clones share what was received.
#[derive(Clone)]
pub struct User {
    client: reqwest::Client,
    base_url: String,
    access_token: String,
    user_id: String,
    device_id: String,
    received: Arc<Mutex<Received>>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "User({} {:?} at {})", self.user_id, self.device_id, self.base_url)
    }
}

impl User {
    /// Makes a user with its first device, on a homeserver that lets anybody register.
    pub async fn register(base_url: &str, localpart: &str, device_id: &str) -> Result<Self> {
        let body = json!({
            "auth": {"type": "m.login.dummy"}, "username": localpart, "password": PASSWORD, "device_id": device_id,
        });
        Self::enter(base_url, "/_matrix/client/v3/register", &body).await
    }

    /// Logs another device of the same user in.
    pub async fn login(&self, device_id: &str) -> Result<Self> {
        let body = json!({
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": self.user_id},
            "password": PASSWORD, "device_id": device_id,
        });
        Self::enter(&self.base_url, "/_matrix/client/v3/login", &body).await
    }

    /// What registration and login share: the answer names the user, the device and its token.
    async fn enter(base_url: &str, path: &str, body: &Value) -> Result<Self> {
        let base_url = base_url.trim_end_matches('/').to_owned();
        let client = requests::client()?;
        let answer =
            requests::send(&client, Method::POST, &format!("{base_url}{path}"), None, Some(body)).await?;
        let answer = answer.accepted()?;
        let text = |key: &str| {
            let value = answer.get(key).and_then(Value::as_str);
            value.map(str::to_owned).with_context(|| format!("no `{key}` in the answer of {path}"))
        };
        Ok(Self {
            client,
            access_token: text("access_token")?,
            user_id: text("user_id")?,
            device_id: text("device_id")?,
            received: Arc::default(),
            base_url,
        })
    }

    /// `@localpart:server`.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The device.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Its token.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// The same homeserver asked with another token: an application service's, or a wrong one.
    pub fn with_token(&self, token: &str) -> Self {
        Self { access_token: token.to_owned(), received: Arc::default(), ..self.clone() }
    }

    /// Where its homeserver is.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The part of the user's ID after its first colon.
    pub fn server_name(&self) -> &str {
        self.user_id.split_once(':').map_or("", |(_, server)| server)
    }

    /// Sends any request as this user. `path` begins with a slash and has its parts encoded already, see
    /// [`crate::path_part`].
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method.clone(), path, body).await;
        let accepted = answer.and_then(|answer| Ok(answer.accepted()?));
        accepted.with_context(|| format!("{method} {path} as {}", self.user_id))
    }

    /// As [`User::request`], but gives whatever status and body come back.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let url = format!("{}{path}", self.base_url);
        requests::send(&self.client, method, &url, Some(&self.access_token), body).await
    }

    /// Who the homeserver takes this device for.
    pub async fn whoami(&self) -> Result<Value> {
        self.request(Method::GET, "/_matrix/client/v3/account/whoami", None).await
    }

    /// Logs this device out, which removes it.
    pub async fn logout(&self) -> Result<Value> {
        self.request(Method::POST, "/_matrix/client/v3/logout", Some(&json!({}))).await
    }
}
