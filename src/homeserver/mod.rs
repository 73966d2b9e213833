//! Every call to the homeserver, in one place.
//!
//! What is kept true here: all calls go through one function (`call.rs`), which follows no redirect, asks for no
//! compression, takes no proxy from the environment, waits and reads no further than [`limits`] allow, and sorts every
//! outcome into a [`CallError`] by whose fault it is. All calls act as the service's own user. The access token is
//! sent in one header and appears nowhere else. Whoever is named here as a sender was named by the homeserver, hence
//! [`Authenticated`].
//!
//! [`Authenticated`]: maypole_core::auth::Authenticated

mod account_data;
mod backoff;
mod call;
mod devices;
mod error;
mod json;
mod keys;
mod media;
mod page;
mod patience;
mod pdu;
mod pdu_fetch;
mod ping;
mod probe;
mod retry_after;
mod rooms;
mod state;
mod sync;
#[cfg(test)]
pub(crate) mod tests;
mod to_device;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maypole_core::auth::AuthToken;
use maypole_core::ids::UserId;
use maypole_core::limits;
use reqwest::header::HeaderValue;
use url::Url;

use crate::clock;

pub use backoff::Backoff;
pub use devices::ServiceDevice;
pub use error::CallError;
pub use keys::PublishedKeys;
pub use media::{DownloadError, Mxc};
pub use page::{Invite, Poisoned, SyncPage, ToDevice};
pub use patience::patiently;
pub use pdu::{Pdu, PduError};
pub use ping::PingError;
pub use probe::{Abilities, Probe};
pub use rooms::StateRow;
pub use state::RoomEvent;

/// Where the homeserver is and who the service is there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The homeserver's client-server API, such as `http://localhost:8008`.
    pub url: String,
    /// The `as_token` of the registration.
    pub as_token: AccessToken,
    /// The service's own user, such as `@:a.org`.
    pub user_id: String,
    /// The `id` of the registration.
    pub appservice_id: String,
    /// How long to wait and how much to read.
    pub bounds: Bounds,
}

/// How long to wait for the homeserver and how much to read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For a connection to open.
    pub connect: Duration,
    /// For a whole answer.
    pub request: Duration,
    /// For the answer of a long poll, past the wait that was asked for.
    pub sync_grace: Duration,
    /// Bytes of one answer.
    pub response_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT_TIMEOUT,
            request: limits::REQUEST_TIMEOUT,
            sync_grace: limits::SYNC_GRACE,
            response_bytes: limits::RESPONSE_BYTES,
        }
    }
}

/// A secret that authenticates the service. It prints as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Takes the token if it can stand in a header: visible ASCII, neither empty nor too long.
    pub fn parse(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let sound = !text.is_empty() && text.len() <= limits::ACCESS_TOKEN_BYTES;
        (sound && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Self(text))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// The settings cannot be used. The operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No address, or one that names more than a server and a path.
    #[error("the homeserver's URL must be http:// or https://, a host, and at most a path")]
    Url,
    /// Not a user ID of the homeserver.
    #[error("the service's user must be a Matrix user ID such as `@:example.org`")]
    UserId,
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

/// The homeserver. Cheap to clone.
#[derive(Clone)]
pub struct Homeserver(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    token: AccessToken,
    user_id: UserId,
    localpart: String,
    appservice_id: String,
    auth: AuthToken,
    bounds: Bounds,
    unique: AtomicU64,
}

impl fmt::Debug for Homeserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { base, user_id, bounds, .. } = &*self.0;
        f.debug_struct("Homeserver")
            .field("url", &base.as_str())
            .field("user_id", user_id)
            .field("bounds", bounds)
            .finish_non_exhaustive()
    }
}

impl Homeserver {
    /// Checks the settings and makes the client; nothing is sent yet.
    pub fn new(settings: Settings, auth: AuthToken) -> Result<Self, SettingsError> {
        let base = base_url(&settings.url)?;
        let parsed = ruma::UserId::parse(&settings.user_id).map_err(|_| SettingsError::UserId)?;
        let user_id = UserId::parse(settings.user_id).ok_or(SettingsError::UserId)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.as_token.0))
            .map_err(|_| SettingsError::Client("the token cannot stand in a header".to_owned()))?;
        authorization.set_sensitive(true);
        let client = reqwest::Client::builder()
            .user_agent(concat!("maypole/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(settings.bounds.connect)
            .pool_max_idle_per_host(limits::HOMESERVER_IDLE_CONNECTIONS)
            .pool_idle_timeout(limits::HOMESERVER_IDLE_TIMEOUT)
            .build()
            .map_err(|error| SettingsError::Client(error.without_url().to_string()))?;
        Ok(Self(Arc::new(Inner {
            client,
            base,
            authorization,
            token: settings.as_token,
            localpart: parsed.localpart().to_owned(),
            user_id,
            appservice_id: settings.appservice_id,
            auth,
            bounds: settings.bounds,
            // Not what an earlier process may have used within the homeserver's memory.
            unique: AtomicU64::new(clock::now().as_millis()),
        })))
    }

    /// The service's own user.
    pub fn user_id(&self) -> &UserId {
        &self.0.user_id
    }

    /// A number that was not used before, by which a question that is asked again is told from the first.
    fn unique(&self) -> u64 {
        self.0.unique.fetch_add(1, Ordering::Relaxed)
    }
}

/// The address, if it is a server and a path and nothing else: a password or query in it would end up in logs.
fn base_url(text: &str) -> Result<Url, SettingsError> {
    let base = Url::parse(text).map_err(|_| SettingsError::Url)?;
    let plain = matches!(base.scheme(), "http" | "https")
        && base.has_host()
        && base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    plain.then_some(base).ok_or(SettingsError::Url)
}
