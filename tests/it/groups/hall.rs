//! A room of version 11 with a group of two outlaws, where only power invites.

use maypole_testkit::service::House;
use maypole_testkit::user::User;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};

use super::cast::{BOUND, explained};
use super::outlaw::{Outlaw, external_sender};
use crate::answers::binary;
use crate::messages::base64;

pub(crate) const SERVICE: &str = "@:maypole.test";
/// What an invitation cites.
pub(crate) const INVITING: [&str; 2] = ["m.room.power_levels", "m.room.history_visibility"];

/// The room, and who is there.
pub(crate) struct Hall {
    pub(crate) house: House,
    pub(crate) room: String,
    pub(crate) alice: Outlaw,
    pub(crate) bob: Outlaw,
}

impl Hall {
    /// The group is in epoch 1; alice made the room, and bob has no power.
    pub(crate) async fn open() -> Self {
        Self::within(House::start(binary()).await.unwrap()).await
    }

    /// The same, in a house that stands already.
    pub(crate) async fn within(house: House) -> Self {
        let mut alice = Outlaw::new(&house, "alice", "PHONE").await;
        let mut bob = Outlaw::new(&house, "bob", "LAPTOP").await;
        let room = room(&alice.user, 99, &[bob.user.user_id()]).await;
        bob.user.join(&room).await.unwrap();
        alice.member.create_group(room.as_bytes(), &[external_sender(&house).await]).unwrap();
        let group_info = base64(&alice.member.group_info(true).unwrap());
        let answer = alice.ask(json!({"message": group_info})).await;
        assert_eq!(answer["type"], "m.mls.accepted", "{answer}");
        let commit = alice.member.add(&[bob.member.key_package().unwrap()]).unwrap();
        let answer = alice.commit(&commit).await;
        assert_eq!(answer["type"], "m.mls.commit", "{answer}");
        alice.member.merge().unwrap();
        bob.member.join(&commit.welcome.unwrap(), &commit.ratchet_tree).unwrap();
        Self { house, room, alice, bob }
    }

    /// The group as the operator sees it.
    pub(crate) fn explained(&self) -> Value {
        explained(&self.house.service, &self.room)
    }
}

/// An MLS room of version 11 in which the service has this power; waits until it has joined.
pub(crate) async fn room(creator: &User, power: u64, invited: &[&str]) -> String {
    let room = creator.create_room(&creation(creator, power, invited, true)).await.unwrap();
    joined(creator, &room).await;
    room
}

/// Waits until the service has joined.
pub(crate) async fn joined(creator: &User, room: &str) {
    eventually(BOUND, "the service to join", async || {
        let member = creator.state_content(room, "m.room.member", SERVICE).await?;
        Ok((member["membership"] == "join").then_some(()))
    })
    .await
    .unwrap();
}

/// The body that makes such a room, whether or not the service is invited.
pub(crate) fn creation(creator: &User, power: u64, invited: &[&str], service: bool) -> Value {
    let mut invite = invited.to_vec();
    invite.extend(service.then_some(SERVICE));
    json!({
        "room_version": "11", "preset": "private_chat", "invite": invite,
        "creation_content": {"encryption_algorithm": "m.mls.10", "m.mls.delivery_service": SERVICE},
        "power_level_content_override": {"users": {creator.user_id(): 100, SERVICE: power}, "invite": 50},
    })
}
