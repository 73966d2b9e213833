//! A house behind a proxy, with three people in it and rooms for them.

use maypole_client::device::Event;
use maypole_client::matrix::{Client, MatrixError, RoomVersion};
use maypole_core::ids::RoomId;
use maypole_testkit::path_part;
use reqwest::Method;
use serde_json::{Value, json};

use super::cast::{BOUND, Stage, event, explained, hears, service_joins, within};
use super::told::told;
use crate::proxy::Proxy;

/// The service's user.
pub(crate) const SERVICE: &str = "@:maypole.test";

/// A house behind a proxy, and those who live there.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) proxy: Proxy,
    pub(crate) alice: Client,
    pub(crate) bob: Client,
    pub(crate) carol: Client,
}

impl Scene {
    pub(crate) async fn open() -> Self {
        let (stage, proxy) = Stage::open_behind_proxy().await;
        let alice = stage.user("alice", "PHONE", 1).await;
        let bob = stage.user("bob", "LAPTOP", 1).await;
        let carol = stage.user("carol", "TABLET", 1).await;
        Self { stage, proxy, alice, bob, carol }
    }

    /// A room with alice and carol in its group, in epoch 1.
    pub(crate) async fn hall(&mut self, version: RoomVersion) -> RoomId {
        let room = within("a room", self.alice.create_room(version, "hall")).await;
        service_joins(&self.alice, &room).await;
        within("a group", self.alice.register_group(&room)).await;
        let carol_id = self.carol.device().me().user.to_string();
        within("an invitation", self.alice.invite(&room, &carol_id)).await;
        within("it to be accepted", self.alice.settle(&room)).await;
        accept(&mut self.carol, &room).await;
        room
    }

    /// Everybody reads everybody, in one and the same epoch, and nobody found anything to report.
    pub(crate) async fn all_talk(&mut self, room: &RoomId) {
        let mut all = [&mut self.alice, &mut self.bob, &mut self.carol];
        for speaker in 0..all.len() {
            let text = format!("{speaker} in epoch {:?}", all[speaker].device().epoch(room));
            within("a text", all[speaker].say(room, &text)).await;
            for (listener, client) in all.iter_mut().enumerate() {
                if listener != speaker {
                    hears(client, &text).await;
                }
            }
        }
        let first = all[0].device().epoch_authenticator(room).unwrap();
        for client in all {
            assert_eq!(client.device().epoch_authenticator(room), Some(first.clone()));
            // A report is an error of this.
            within("nothing", client.settle(room)).await;
        }
    }

    /// alice, who made the room, gives these users power; everything needs 50.
    pub(crate) async fn empower(&self, room: &RoomId, levels: &[(&str, u64)]) {
        let mut users = json!({self.alice.device().me().user.as_str(): 100});
        for (user, level) in levels {
            users[*user] = (*level).into();
        }
        let content = json!({"users": users, "invite": 50, "kick": 50, "ban": 50});
        let path = format!("/_matrix/client/v3/rooms/{}/state/m.room.power_levels", path_part(room.as_str()));
        self.alice.http().json(Method::PUT, &path, Some(&content)).await.unwrap();
    }

    /// The group is as it was before, and nobody was told of another epoch.
    pub(crate) fn is_untouched(&self, room: &RoomId, before: &Value) {
        assert_eq!(explained(&self.stage.house.service, room.as_str()), *before, "the group is untouched");
        let next = before["epoch"].as_u64().unwrap() + 1;
        let of_next = told(&self.proxy, room).into_iter().filter(|(_, _, content)| content["epoch"] == next);
        assert_eq!(of_next.collect::<Vec<_>>(), [], "nobody was told of an epoch that never began");
    }

    /// How many member events say that a commit for this epoch made them, in the whole room.
    pub(crate) async fn invitations(&self, room: &RoomId, epoch: u64) -> usize {
        let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=500", path_part(room.as_str()));
        let answer = self.alice.http().json(Method::GET, &path, None).await.unwrap();
        let events = answer["chunk"].as_array().unwrap();
        let made = |event: &&Value| event["content"]["mls_commit"]["epoch"] == epoch;
        events.iter().filter(|event| event["type"] == "m.room.member").filter(made).count()
    }
}

/// Waits for the answer to a client's commit, which is a refusal.
pub(crate) async fn refused(client: &mut Client, room: &RoomId) -> Value {
    let settled = tokio::time::timeout(BOUND, client.settle(room)).await.unwrap();
    let Err(MatrixError::Undone(event)) = settled else { panic!("{settled:?}") };
    let Event::Refused { content, .. } = *event else { panic!("{event:?}") };
    content
}

/// Accepts the invitation.
pub(crate) async fn enter(client: &mut Client, room: &RoomId) {
    assert_eq!(within("an invitation", client.next_invite()).await, *room);
    within("the room", client.join_room(room)).await;
}

/// Accepts the invitation, unless that is done, and is in the group.
pub(crate) async fn accept(client: &mut Client, room: &RoomId) {
    // Only who is in a room may see its state.
    if client.http().room_state(room.as_str()).await.is_err() {
        enter(client, room).await;
    }
    event(client, "a Welcome", |event| matches!(event, Event::Joined { .. })).await;
}
