//! Clients for these tests, and the house that they meet in.

use std::path::PathBuf;
use std::time::Duration;

use maypole_client::device::Event;
use maypole_client::matrix::{Client, MatrixError, Settings};
use maypole_core::ids::RoomId;
use maypole_testkit::service::{House, Service};
use maypole_testkit::wait::eventually;
use tempfile::TempDir;

use crate::answers::binary;
use crate::proxy::{self, Proxy};

/// For anything that is waited for.
pub(crate) const BOUND: Duration = Duration::from_secs(90);

const PASSWORD: &str = "correct horse battery staple";

/// A house, and a folder for the clients' state.
pub(crate) struct Stage {
    pub(crate) house: House,
    folder: TempDir,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::of(House::start(binary()).await.unwrap())
    }

    /// One where the service remembers in a database.
    pub(crate) async fn open_on(database: &str) -> Self {
        Self::of(House::start_on(binary(), database).await.unwrap())
    }

    /// One where the service reaches its homeserver through a proxy; the clients do not.
    pub(crate) async fn open_behind_proxy() -> (Self, Proxy) {
        let (house, proxy) = proxy::house().await;
        (Self::of(house), proxy)
    }

    fn of(house: House) -> Self {
        Self { house, folder: tempfile::tempdir().unwrap() }
    }

    fn settings(&self, name: &str, suite: u16) -> Settings {
        Settings {
            base_url: self.house.synapse.base_url(),
            service_url: self.house.service.url(),
            file: self.file(name),
            suite,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A user with its first device, its keys published.
    pub(crate) async fn user(&self, name: &str, device: &str, suite: u16) -> Client {
        let settings = self.settings(&format!("{name}-{device}"), suite);
        let mut client = Client::register(&settings, name, PASSWORD, device).await.unwrap();
        client.publish(5).await.unwrap();
        client
    }

    /// Another device of a user.
    pub(crate) async fn device(&self, name: &str, device: &str, suite: u16) -> Client {
        let settings = self.settings(&format!("{name}-{device}"), suite);
        let user = format!("@{name}:{}", maypole_testkit::service::SERVER_NAME);
        let mut client = Client::login(&settings, &user, PASSWORD, device).await.unwrap();
        client.publish(5).await.unwrap();
        client
    }
}

/// What a client waits for, within the bound.
pub(crate) async fn within<T>(what: &str, waiting: impl Future<Output = Result<T, MatrixError>>) -> T {
    let waited = tokio::time::timeout(BOUND, waiting).await;
    waited
        .unwrap_or_else(|_| panic!("waited {BOUND:?} for {what}"))
        .unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

/// The next event of a client that matches.
pub(crate) async fn event(client: &mut Client, what: &str, matching: impl Fn(&Event) -> bool) -> Event {
    within(what, client.next_matching(matching)).await
}

/// Reads texts until this one comes.
pub(crate) async fn hears(client: &mut Client, text: &str) {
    event(client, text, |event| matches!(event, Event::Text { text: said, .. } if said == text.as_bytes()))
        .await;
}

/// Waits until a client is in an epoch.
pub(crate) async fn reaches(client: &mut Client, room: &RoomId, epoch: u64) {
    within(&format!("epoch {epoch}"), catches_up(client, room, epoch)).await;
}

/// Asks for what is new until a client is in an epoch, however long that takes.
pub(crate) async fn catches_up(client: &mut Client, room: &RoomId, epoch: u64) -> Result<(), MatrixError> {
    while client.device().epoch(room).is_none_or(|now| now.get() < epoch) {
        client.sync(Duration::from_secs(2)).await?;
    }
    Ok(())
}

/// Waits until the service is in a room.
pub(crate) async fn service_joins(client: &Client, room: &RoomId) {
    let service = format!("@:{}", maypole_testkit::service::SERVER_NAME);
    let joined = eventually(BOUND, "the service to join", || async {
        let state = client.http().room_state(room.as_str()).await?;
        let ours = |event: &&serde_json::Value| event["state_key"] == service.as_str();
        Ok(state.iter().find(ours).filter(|event| event["content"]["membership"] == "join").map(drop))
    });
    joined.await.unwrap();
}

/// What the service tells its operator of a room's group.
pub(crate) fn explained(service: &Service, room: &str) -> serde_json::Value {
    let config = service.config();
    let text = service.run(&["explain", room, "--json", "--config", config.to_str().unwrap()]).unwrap();
    serde_json::from_str(&text).unwrap()
}
