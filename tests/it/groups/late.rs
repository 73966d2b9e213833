//! Time passes between a permit and what it permits: the service is dead for a while, or its homeserver fails. What the room
//! says by then is what counts.

use std::time::Duration;

use maypole_client::device::Leaving;
use maypole_client::matrix::{Client, RoomVersion};
use maypole_core::ids::RoomId;
use maypole_core::limits;
use maypole_testkit::path_part;
use maypole_testkit::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use super::cast::{BOUND, explained, reaches, within};
use super::scene::{SERVICE, Scene, accept, refused};
use super::told::{one_story, told};
use crate::misbehaviour::answer;
use crate::proxy::{Scope, sends_a_member_event};

const CAROL: &str = "@carol:maypole.test";

/// A change of a membership in Matrix alone: `ban`, `leave`.
async fn says(client: &Client, room: &RoomId, what: &str, content: &Value) {
    let path = format!("/_matrix/client/v3/rooms/{}/{what}", path_part(room.as_str()));
    client.http().json(Method::POST, &path, Some(content)).await.unwrap();
}

impl Scene {
    /// A room of version 11 with all three in its group, in epoch 2; carol may ban.
    async fn moderated(&mut self) -> RoomId {
        let room = self.hall(RoomVersion::V11).await;
        self.invite_bob(&room).await;
        within("it to be accepted", self.alice.settle(&room)).await;
        accept(&mut self.bob, &room).await;
        reaches(&mut self.carol, &room, 2).await;
        self.empower(&room, &[(SERVICE, 99), (CAROL, 50)]).await;
        room
    }

    async fn invite_bob(&mut self, room: &RoomId) {
        let bob_id = self.bob.device().me().user.to_string();
        within("an invitation", self.alice.invite(room, &bob_id)).await;
    }

    async fn ban_bob(&mut self, room: &RoomId) {
        let bob_id = self.bob.device().me().user.to_string();
        within("a ban", self.carol.remove(room, &bob_id, Leaving { ban: true, reason: None })).await;
    }

    /// carol bans bob, and the service is killed when that is staged and nothing of it has been sent.
    async fn killed_before_the_ban(&mut self, room: &RoomId) {
        let mut gate = self.proxy.gate(sends_a_member_event);
        self.ban_bob(room).await;
        let held = gate.next().await;
        assert!(self.staged(room));
        self.stage.house.service.kill().unwrap();
        drop(held);
    }

    /// The service starts again.
    async fn returns(&mut self) {
        self.stage.house.service.start().unwrap();
        self.stage.house.service.ready().await.unwrap();
    }

    fn staged(&self, room: &RoomId) -> bool {
        !explained(&self.stage.house.service, room.as_str())["staged"].is_null()
    }

    /// How often the service has tried to change a membership, as far as the proxy remembers.
    fn tries(&self) -> usize {
        self.proxy.seen().iter().filter(|seen| sends_a_member_event(&seen.line)).count()
    }

    async fn membership(&self, room: &RoomId, user: &str) -> Value {
        let state = self.alice.http().room_state(room.as_str()).await.unwrap();
        let of_user = |event: &&Value| event["type"] == "m.room.member" && event["state_key"] == user;
        state.iter().find(of_user).unwrap()["content"]["membership"].clone()
    }

    /// The ID of the room's power levels.
    async fn levels(&self, room: &RoomId) -> Value {
        let state = self.alice.http().room_state(room.as_str()).await.unwrap();
        state.iter().find(|event| event["type"] == "m.room.power_levels").unwrap()["event_id"].clone()
    }
}

#[tokio::test]
async fn a_permit_does_not_outlive_the_committers_power() {
    let mut scene = Scene::open().await;
    let room = scene.moderated().await;
    let bob_id = scene.bob.device().me().user.to_string();
    let before = explained(&scene.stage.house.service, room.as_str());
    scene.killed_before_the_ban(&room).await;
    let tries = scene.tries();
    scene.empower(&room, &[(SERVICE, 99)]).await;
    scene.returns().await;

    // It rests on levels that are not in force any more; by those that are, it may not be.
    let content = refused(&mut scene.carol, &room).await;
    assert_eq!(content["errcode"], "M_MLS_STALE_AUTH_EVENTS");
    assert_eq!(content["auth_events"][0]["event_id"], scene.levels(&room).await, "{content}");
    scene.is_untouched(&room, &before);
    scene.ban_bob(&room).await;
    let content = refused(&mut scene.carol, &room).await;
    assert_eq!(content["errcode"], "M_FORBIDDEN");
    assert!(content["error"].as_str().unwrap().contains("may not ban"), "{content}");
    scene.is_untouched(&room, &before);
    assert_eq!(scene.tries(), tries, "nobody tried to ban bob again");
    assert_eq!(
        (scene.membership(&room, &bob_id).await, scene.invitations(&room, 3).await),
        ("join".into(), 0)
    );

    within("an update", scene.bob.update(&room)).await;
    within("it to be accepted", scene.bob.settle(&room)).await;
    for client in [&mut scene.alice, &mut scene.carol] {
        reaches(client, &room, 3).await;
    }
    scene.all_talk(&room).await;
    assert_eq!(one_story(&scene.proxy, &room), 3);
    scene.stage.house.stop().await.unwrap();
}

#[tokio::test]
async fn a_permit_does_not_outlive_the_committer_in_the_room() {
    let mut scene = Scene::open().await;
    let room = scene.moderated().await;
    let bob_id = scene.bob.device().me().user.to_string();
    let before = explained(&scene.stage.house.service, room.as_str());
    scene.killed_before_the_ban(&room).await;
    let tries = scene.tries();
    says(&scene.alice, &room, "ban", &json!({"user_id": CAROL})).await;
    scene.returns().await;

    let content = refused(&mut scene.carol, &room).await;
    assert_eq!((&content["errcode"], &content["users"]), (&"M_MLS_NOT_JOINED".into(), &json!([CAROL])));
    scene.is_untouched(&room, &before);
    assert_eq!(scene.tries(), tries, "nobody tried to ban bob again");
    assert_eq!(
        (scene.membership(&room, &bob_id).await, scene.invitations(&room, 3).await),
        ("join".into(), 0)
    );

    within("an update", scene.alice.update(&room)).await;
    within("it to be accepted", scene.alice.settle(&room)).await;
    reaches(&mut scene.bob, &room, 3).await;
    assert_eq!(one_story(&scene.proxy, &room), 3);
    scene.stage.house.stop().await.unwrap();
}

/// bob was invited by a commit, and banned, or has declined, before the service could tell anybody.
#[tokio::test]
async fn who_is_not_wanted_any_more_gets_no_welcome() {
    let mut scene = Scene::open().await;
    let bob_id = scene.bob.device().me().user.to_string();
    for (version, declines) in [(RoomVersion::V11, false), (RoomVersion::V12, true)] {
        let room = scene.hall(version).await;
        let mut gate = scene.proxy.gate(sends_a_member_event);
        scene.invite_bob(&room).await;
        gate.next().await.pass_without_answer().await;
        scene.stage.house.service.kill().unwrap();
        drop(gate);
        let tries = scene.tries();
        if declines {
            says(&scene.bob, &room, "leave", &json!({})).await;
        } else {
            says(&scene.alice, &room, "ban", &json!({"user_id": bob_id})).await;
        }
        let gone = scene.membership(&room, &bob_id).await;
        assert_eq!(gone, if declines { "leave" } else { "ban" });
        scene.returns().await;

        // The invitation was made, so the commit stands, and is not made again.
        within("it to be accepted", scene.alice.settle(&room)).await;
        reaches(&mut scene.carol, &room, 2).await;
        assert_eq!((scene.tries(), scene.invitations(&room, 2).await), (tries, 1));
        assert_eq!(scene.membership(&room, &bob_id).await, gone);
        within("an update", scene.carol.update(&room)).await;
        within("it to be accepted", scene.carol.settle(&room)).await;
        reaches(&mut scene.alice, &room, 3).await;
        // A group's messages leave in their order: what comes after the Welcome's place has left.
        let of_next = |(kind, device, content): &(String, String, Value)| {
            kind == "commit" && *device == format!("{bob_id}/LAPTOP") && content["epoch"] == 3
        };
        let next = async || Ok(told(&scene.proxy, &room).iter().any(of_next).then_some(()));
        eventually(BOUND, "bob's device to be told of epoch 3", next).await.unwrap();
        let welcomes: Vec<_> =
            told(&scene.proxy, &room).into_iter().filter(|(kind, ..)| kind == "welcome").collect();
        assert!(welcomes.iter().all(|(_, device, _)| device.starts_with(CAROL)), "{welcomes:?}");
        within("nothing", scene.bob.sync(Duration::ZERO)).await;
        assert_eq!(scene.bob.device().epoch(&room), None);
        // His leaf must go; carol has heard the Remove with the commit that brought it, and hers has carried it out.
        let explained = explained(&scene.stage.house.service, room.as_str()).to_string();
        assert!(explained.contains(CAROL) && !explained.contains(&bob_id), "{explained}");
        assert_eq!(one_story(&scene.proxy, &room), 3);
    }
    scene.stage.house.stop().await.unwrap();
}

/// The homeserver fails on a member event for a while, and the commit is made; it fails for ever, and the commit is refused.
#[tokio::test]
async fn a_homeserver_that_fails_on_a_member_event_for_ever_refuses_it() {
    let mut scene = Scene::open().await;
    let (room, other) = (scene.hall(RoomVersion::V12).await, scene.hall(RoomVersion::V12).await);
    let before = explained(&scene.stage.house.service, room.as_str());
    scene.proxy.misbehave(Scope::Members, answer(502, "", b""));
    scene.invite_bob(&room).await;
    // What goes on in other groups goes on.
    eventually(BOUND, "a second try", async || Ok((scene.tries() > 1).then_some(()))).await.unwrap();
    within("an update", scene.carol.update(&other)).await;
    within("it to be accepted", scene.carol.settle(&other)).await;
    assert!(scene.staged(&room));
    let content = refused(&mut scene.alice, &room).await;
    assert_eq!(content["errcode"], "M_FORBIDDEN");
    assert!(content["error"].as_str().unwrap().contains("the homeserver fails on it"), "{content}");
    scene.is_untouched(&room, &before);
    assert_eq!(scene.tries(), limits::EFFECT_TRIES as usize);

    // Nor is the group held up.
    within("an update", scene.carol.update(&room)).await;
    within("it to be accepted", scene.carol.settle(&room)).await;
    reaches(&mut scene.alice, &room, 2).await;
    scene.proxy.misbehave(Scope::Members, answer(502, "", b""));
    scene.invite_bob(&room).await;
    eventually(BOUND, "a second try", async || Ok((scene.tries() > 1).then_some(()))).await.unwrap();
    scene.proxy.behave();
    within("it to be accepted", scene.alice.settle(&room)).await;
    accept(&mut scene.bob, &room).await;
    reaches(&mut scene.carol, &room, 3).await;
    scene.all_talk(&room).await;
    assert_eq!(scene.invitations(&room, 3).await, 1);
    scene.stage.house.stop().await.unwrap();
}
