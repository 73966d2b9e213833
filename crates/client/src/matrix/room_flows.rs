//! What a user does in rooms: each a wish of the device, with what it takes in Matrix before and beside it.

use maypole_core::ids::{ClientId, DeviceId, RoomId, UserId};
use maypole_core::limits;
use maypole_mls::Suite;
use maypole_room::identity::published_name;
use maypole_room::names::Prefix;
use serde_json::Value;

use super::events::text;
use super::keys::Published;
use super::rooms::{creation, find};
use super::{Client, Http, MatrixError, RoomVersion, keys};
use crate::device::{Citing, Leaf, Leaving, Standing};

impl Client {
    /// Makes an MLS room whose delivery service is that of this homeserver, and invites it.
    pub async fn create_room(&mut self, version: RoomVersion, name: &str) -> Result<RoomId, MatrixError> {
        let service = Http::new(&self.stored.service_url)?.describe().await?.user_id;
        let creator = self.device.me().user.to_string();
        let body = creation(version, &creator, &service, name);
        let made = self.http.create_room(&body).await?;
        let room_id = RoomId::parse(made).ok_or_else(|| MatrixError::Room("its ID is none".into()))?;
        self.know(&room_id).await?;
        Ok(room_id)
    }

    /// Makes the group of a room and waits until the delivery service has taken it.
    pub async fn register_group(&mut self, room_id: &RoomId) -> Result<(), MatrixError> {
        let description = Http::new(&self.stored.service_url)?.describe().await?;
        self.stored.unstable = description.event_prefix == Prefix::Unstable.as_str();
        self.know(room_id).await?;
        let actions = self.device.register(room_id, &description)?;
        self.perform(actions).await?;
        self.settle(room_id).await
    }

    /// Adds the devices of a user, which invites the user where they are not in the room: claims their KeyPackages, checks
    /// them against what they publish, and sends the commit. [`Client::settle`] waits for its answer.
    pub async fn invite(&mut self, room_id: &RoomId, user: &str) -> Result<(), MatrixError> {
        let wrong = || MatrixError::Settings(format!("{user} is no user"));
        let user_id = UserId::parse(user).ok_or_else(wrong)?;
        let published = self.http.published(&[user], limits::REQUEST_TIMEOUT).await?;
        let suite = keys::suite(&self.device)?;
        let devices = self.addable(room_id, &user_id, &published, suite);
        let claimed = self.http.claim_key_packages(user, &devices, self.device.suite()).await?;
        let (mut key_packages, mut leaves) = (Vec::new(), Vec::new());
        for (device, bytes) in claimed {
            let Some(device) = DeviceId::parse(device) else { continue };
            let client = ClientId { user: user_id.clone(), device };
            let signature_key = self.device.signature_key_in(&bytes, &client)?;
            leaves.push(Leaf { client, signature_key });
            key_packages.push(bytes);
        }
        if key_packages.is_empty() {
            return Err(MatrixError::NoDevices(user.to_owned()));
        }
        leaves.iter().try_for_each(|leaf| published.check(leaf, suite))?;
        let state = self.http.room_state(room_id.as_str()).await?;
        let citing = citing(&state, &["m.room.power_levels", "m.room.history_visibility"]);
        let actions = self.device.add(room_id, key_packages, citing)?;
        self.perform(actions).await
    }

    /// Removes all devices of a user. Who is in the room, or invited to it, is kicked by it, or banned; who left already
    /// is not named in the commit, since nothing happens to them in the room.
    pub async fn remove(
        &mut self,
        room_id: &RoomId,
        user: &str,
        leaving: Leaving,
    ) -> Result<(), MatrixError> {
        let members = self.device.members(room_id).into_iter().map(|leaf| leaf.client);
        let devices: Vec<ClientId> = members.filter(|client| client.user.as_str() == user).collect();
        let state = self.http.room_state(room_id.as_str()).await?;
        let mut citing = citing(&state, &["m.room.power_levels"]);
        if matches!(membership(&state, user), "join" | "invite") {
            citing.membership.extend(UserId::parse(user).map(|user| (user, leaving)));
        }
        let actions = self.device.remove(room_id, devices, citing)?;
        self.perform(actions).await
    }

    /// Renews the device's own keys, and commits what is proposed.
    pub async fn update(&mut self, room_id: &RoomId) -> Result<(), MatrixError> {
        let actions = self.device.update(room_id)?;
        self.perform(actions).await
    }

    /// Accepts an invitation, or joins a room that lets anybody in: in Matrix. A Welcome, or
    /// [`Client::join_from_outside`], brings the device into the group.
    pub async fn join_room(&mut self, room_id: &RoomId) -> Result<(), MatrixError> {
        self.http.join_room(room_id.as_str()).await?;
        self.stored.invites.remove(room_id);
        self.know(room_id).await
    }

    /// Joins the group of a room by an external commit, and waits until it is accepted.
    pub async fn join_from_outside(&mut self, room_id: &RoomId) -> Result<(), MatrixError> {
        self.know(room_id).await?;
        let actions = self.device.join(room_id)?;
        self.perform(actions).await?;
        self.settle(room_id).await
    }

    /// Encrypts a text and sends it. What is proposed is committed first.
    pub async fn say(&mut self, room_id: &RoomId, text: &str) -> Result<(), MatrixError> {
        let actions = match self.device.say(room_id, text.as_bytes()) {
            Err(crate::device::DeviceError::ProposalsWait(_)) => {
                if !self.device.is_waiting(room_id) {
                    self.update(room_id).await?;
                }
                self.settle(room_id).await?;
                self.device.say(room_id, text.as_bytes())?
            }
            other => other?,
        };
        self.perform(actions).await
    }

    /// Sends what the delivery service refused for now once more.
    pub async fn resend(&mut self, room_id: &RoomId) -> Result<(), MatrixError> {
        let actions = self.device.resend(room_id)?;
        self.perform(actions).await
    }

    /// Reads the room's create event, so that the device knows who orders its commits.
    async fn know(&mut self, room_id: &RoomId) -> Result<(), MatrixError> {
        let state = self.http.room_state(room_id.as_str()).await?;
        let create = find(&state, "m.room.create").cloned();
        let create = create.ok_or_else(|| MatrixError::Room("it has no create event".into()))?;
        self.trust(room_id, &create).await?;
        self.check_what_came().await;
        Ok(())
    }

    /// Devices of a user that publish an MLS key of the suite and have no leaf.
    fn addable(&self, room_id: &RoomId, user: &UserId, published: &Published, suite: Suite) -> Vec<DeviceId> {
        let members: Vec<ClientId> = if self.device.standing(room_id) == Standing::Member {
            self.device.members(room_id).into_iter().map(|leaf| leaf.client).collect()
        } else {
            Vec::new()
        };
        let has_key = |(device, keys): (&String, &Value)| {
            let device = DeviceId::parse(device.as_str())?;
            keys.get("keys")?.get(published_name(suite, &device))?;
            Some(device)
        };
        let devices = published.devices_of(user).filter_map(has_key);
        let outside = |device: &DeviceId| {
            !members.iter().any(|client| client.user == *user && client.device == *device)
        };
        devices.filter(outside).collect()
    }
}

/// The current events of these types, as a commit cites them.
fn citing(state: &[Value], kinds: &[&str]) -> Citing {
    let ids = kinds.iter().filter_map(|kind| find(state, kind));
    let auth_events = ids.map(|event| text(event, "event_id").to_owned()).collect();
    Citing { auth_events, ..Citing::default() }
}

/// A user's membership; empty where the room has never heard of them.
fn membership<'a>(state: &'a [Value], user: &str) -> &'a str {
    let is_users =
        |event: &&Value| text(event, "type") == "m.room.member" && text(event, "state_key") == user;
    let content = state.iter().find(is_users).and_then(|event| event.get("content"));
    content.map_or("", |content| text(content, "membership"))
}
