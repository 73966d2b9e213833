//! The devices of the demo, each with a client of its own, and what they wait for.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use maypole_client::device::{Device, Event};
use maypole_client::matrix::{Client, MatrixError, Settings};
use maypole_core::ids::RoomId;
use maypole_testkit::service::{House, SERVER_NAME};

/// How long the demo waits for any one thing.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519.
const CIPHER_SUITE: u16 = 1;

/// KeyPackages that each device publishes.
const KEY_PACKAGES: usize = 5;

const PASSWORD: &str = "correct horse battery staple";

/// The devices in the order in which they enter.
pub(super) struct Cast {
    /// Alice's phone.
    pub(super) alice: Client,
    /// Bob's laptop.
    pub(super) bob: Client,
    /// Who comes later.
    pub(super) others: Vec<Client>,
}

impl Cast {
    /// Alice and Bob, with their keys published.
    pub(super) async fn enter(house: &House) -> anyhow::Result<Self> {
        let alice = newcomer(house, "alice", "PHONE").await?;
        let bob = newcomer(house, "bob", "LAPTOP").await?;
        Ok(Self { alice, bob, others: Vec::new() })
    }

    /// Waits until every device is in an epoch, and makes sure that they all have the same secrets.
    pub(super) async fn all_reach(&mut self, room: &RoomId, epoch: u64) -> anyhow::Result<()> {
        let mut secrets = Vec::new();
        for client in [&mut self.alice, &mut self.bob].into_iter().chain(&mut self.others) {
            reach(client, room, epoch).await?;
            secrets.push(client.device().epoch_authenticator(room));
        }
        ensure!(secrets.windows(2).all(|pair| pair.first() == pair.last()), "the devices have parted");
        Ok(())
    }
}

/// A new user with a first device.
pub(super) async fn newcomer(house: &House, name: &str, device: &str) -> anyhow::Result<Client> {
    let mut client = Client::register(&settings(house, name, device), name, PASSWORD, device).await?;
    client.publish(KEY_PACKAGES).await?;
    Ok(client)
}

/// Another device of a user.
pub(super) async fn another_device(house: &House, name: &str, device: &str) -> anyhow::Result<Client> {
    let user = format!("@{name}:{SERVER_NAME}");
    let mut client = Client::login(&settings(house, name, device), &user, PASSWORD, device).await?;
    client.publish(KEY_PACKAGES).await?;
    Ok(client)
}

fn settings(house: &House, name: &str, device: &str) -> Settings {
    Settings {
        base_url: house.synapse.base_url(),
        service_url: house.service.url(),
        file: house.service.folder().join(format!("{name}-{device}")),
        suite: CIPHER_SUITE,
    }
}

/// What a client waits for, within the demo's patience.
pub(super) async fn within<T>(
    what: &str,
    waiting: impl Future<Output = Result<T, MatrixError>>,
) -> anyhow::Result<T> {
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.with_context(|| format!("waited {PATIENCE:?} for {what}"))?.with_context(|| what.to_owned())
}

/// Waits until a client has read a text.
pub(super) async fn hear(client: &mut Client, text: &str) -> anyhow::Result<()> {
    let is_it = |event: &Event| matches!(event, Event::Text { text: said, .. } if said == text.as_bytes());
    within(text, client.next_matching(is_it)).await.map(drop)
}

/// Waits until a client is in the group of a room, or in a later epoch of it.
pub(super) async fn reach(client: &mut Client, room: &RoomId, epoch: u64) -> anyhow::Result<()> {
    let is_there = |device: &Device| device.epoch(room).is_some_and(|now| now.get() >= epoch);
    let reaching = async {
        while !is_there(client.device()) {
            client.sync(Duration::from_secs(2)).await?;
        }
        Ok(())
    };
    within(&format!("epoch {epoch}"), reaching).await
}
