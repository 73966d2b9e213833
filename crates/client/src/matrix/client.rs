//! A device with its account, its state in a file and its events.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

use maypole_core::ids::RoomId;
use serde_json::Value;

use super::http::Http;
use super::session::Session;
use super::stored::Stored;
use super::{MatrixError, keys};
use crate::device::{Action, Device};

/// Where a client's homeserver, delivery service and file are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The homeserver's client-server API.
    pub base_url: String,
    /// Where the delivery service describes itself; usually the same address.
    pub service_url: String,
    /// The file of the client's state.
    pub file: PathBuf,
    /// The cipher suite of the device.
    pub suite: u16,
}

/// A client: one device of one user.
///
/// ```no_run
/// # async fn example() -> Result<(), maypole_client::matrix::MatrixError> {
/// use maypole_client::matrix::{Client, RoomVersion, Settings};
///
/// let url = "http://localhost:8008".to_owned();
/// let settings = Settings { base_url: url.clone(), service_url: url, file: "alice.state".into(), suite: 1 };
/// let mut alice = Client::register(&settings, "alice", "correct horse", "PHONE").await?;
/// let room = alice.create_room(RoomVersion::V12, "hall").await?;
/// alice.register_group(&room).await?;
/// alice.invite(&room, "@bob:b.org").await?;
/// alice.settle(&room).await?;
/// alice.say(&room, "hello").await?;
/// # Ok(())
/// # }
/// ```
pub struct Client {
    pub(super) http: Http,
    pub(super) device: Device,
    pub(super) stored: Stored,
    pub(super) file: PathBuf,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("device", &self.device)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a user and its first device, on a homeserver that lets anybody register.
    pub async fn register(
        settings: &Settings,
        localpart: &str,
        password: &str,
        device_id: &str,
    ) -> Result<Self, MatrixError> {
        let http = Http::new(&settings.base_url)?;
        let session = http.register(localpart, password, device_id).await?;
        Self::begin(settings, http, session).await
    }

    /// Logs a user in on a new device.
    pub async fn login(
        settings: &Settings,
        user: &str,
        password: &str,
        device_id: &str,
    ) -> Result<Self, MatrixError> {
        let http = Http::new(&settings.base_url)?;
        let session = http.login(user, password, device_id).await?;
        Self::begin(settings, http, session).await
    }

    async fn begin(settings: &Settings, http: Http, session: Session) -> Result<Self, MatrixError> {
        let Session { me, access_token } = session;
        let (device, actions) = Device::new(me, settings.suite)?;
        let stored = Stored {
            base_url: settings.base_url.clone(),
            service_url: settings.service_url.clone(),
            device_key: keys::new_device_key(),
            identity_key: keys::new_identity_key()?,
            since: None,
            unstable: false,
            device: Vec::new(),
            access_token: access_token.clone(),
            room_versions: BTreeMap::new(),
            events: VecDeque::new(),
            unchecked: VecDeque::new(),
            invites: BTreeMap::new(),
        };
        let http = http.with_token(&access_token);
        let file = settings.file.clone();
        let mut client = Self { http, device, stored, file };
        client.perform(actions).await?;
        Ok(client)
    }

    /// The client whose state is in a file, where it left off.
    pub async fn open(file: &Path) -> Result<Self, MatrixError> {
        let stored = Stored::read(file)?;
        let mut device = Device::restore(&stored.device)?;
        let http = Http::new(&stored.base_url)?.with_token(&stored.access_token);
        let actions = device.resume()?;
        let mut client = Self { http, device, stored, file: file.to_owned() };
        client.perform(actions).await?;
        Ok(client)
    }

    /// The device, for what can be seen of it.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Requests as this client makes them.
    pub const fn http(&self) -> &Http {
        &self.http
    }

    /// Rooms to which the user is invited, and by whom, as far as `/sync` has told.
    pub const fn invites(&self) -> &BTreeMap<RoomId, String> {
        &self.stored.invites
    }

    /// Publishes the device's keys, new KeyPackages, and a last resort where the homeserver takes them.
    pub async fn publish(&mut self, key_packages: usize) -> Result<(), MatrixError> {
        let (made, actions) = self.device.key_packages(key_packages, false)?;
        self.perform(actions).await?;
        let device_keys = self.device_keys()?;
        self.http.publish(&device_keys, &made, &[]).await
    }

    /// Publishes a KeyPackage of last resort, which is handed out when nothing else is left.
    pub async fn publish_last_resort(&mut self) -> Result<(), MatrixError> {
        let (made, actions) = self.device.key_packages(1, true)?;
        self.perform(actions).await?;
        let device_keys = self.device_keys()?;
        self.http.publish(&device_keys, &[], &made).await
    }

    /// The device's keys as they are published.
    pub fn device_keys(&self) -> Result<Value, MatrixError> {
        keys::device_keys(&self.device, &self.stored.device_key, &self.stored.identity_key)
    }

    /// Everything that was under way, once more: after a request failed.
    pub async fn resume(&mut self) -> Result<(), MatrixError> {
        let actions = self.device.resume()?;
        self.perform(actions).await
    }

    /// Writes the state, with the device's as given.
    pub(super) async fn write(&mut self, device: Option<Vec<u8>>) -> Result<(), MatrixError> {
        if let Some(device) = device {
            self.stored.device = device;
        }
        let (stored, file) = (self.stored.clone(), self.file.clone());
        let written = tokio::task::spawn_blocking(move || stored.write(&file)).await;
        written.map_err(|error| MatrixError::Settings(format!("the state was not written: {error}")))?
    }

    /// Carries actions out, and what follows from them; then checks what came with it.
    pub(super) async fn perform(&mut self, actions: Vec<Action>) -> Result<(), MatrixError> {
        self.carry_out_all(actions).await?;
        self.check_what_came().await;
        Ok(())
    }

    /// Carries actions out, and what follows from them.
    pub(super) async fn carry_out_all(&mut self, actions: Vec<Action>) -> Result<(), MatrixError> {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            actions.extend(self.carry_out(action).await?);
        }
        Ok(())
    }
}
