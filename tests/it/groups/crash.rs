//! The service is killed at each point of a commit's way, with a homeserver that is paused at that very moment; what was
//! under way may or may not still reach it. Either way everything ends as if nothing had happened.

use maypole_client::matrix::RoomVersion;
use maypole_core::ids::RoomId;
use maypole_testkit::wait::eventually;
use serde_json::Value;

use super::cast::{BOUND, explained, reaches, within};
use super::scene::{Scene, accept, enter};
use super::told::{one_story, told};
use crate::proxy::sends_a_member_event;

/// A request in which the service stands when it is killed.
type Point = fn(&str) -> bool;

pub(super) fn reads_the_room(line: &str) -> bool {
    line.starts_with("GET ") && line.contains("/state?")
}

/// The words that follow a decision; a client that joined may be given an answer to its own question meanwhile.
fn tells_of_a_commit(line: &str) -> bool {
    let told = line.split_once("/sendToDevice/").map(|(_, rest)| rest.split('/').next().unwrap());
    told.is_some_and(|told| told.ends_with(".commit") || told.ends_with(".welcome"))
}

/// What becomes of the request in which the service stands.
#[derive(Clone, Copy)]
enum Then {
    /// It is lost.
    Lost,
    /// It is in the socket of the paused homeserver, which finds it there when it goes on.
    InTheSocket,
    /// The homeserver has carried it out, and its answer is lost.
    Answered,
}

impl Scene {
    /// alice invites bob; the service is killed in the request after `passed` others like it.
    async fn killed_in(
        &mut self,
        room: &RoomId,
        point: Point,
        passed: usize,
        then: Then,
        looks: fn(&Self, &RoomId),
    ) {
        let mut gate = self.proxy.gate(point);
        let bob_id = self.bob.device().me().user.to_string();
        within("an invitation", self.alice.invite(room, &bob_id)).await;
        for _ in 0..passed {
            gate.next().await.pass().await;
        }
        let held = gate.next().await;
        looks(self, room);
        match then {
            Then::Lost => {
                self.stage.house.synapse.pause().await.unwrap();
                self.stage.house.service.kill().unwrap();
                drop(held);
            }
            Then::InTheSocket => {
                self.stage.house.synapse.pause().await.unwrap();
                held.pass().await;
                self.stage.house.service.kill().unwrap();
            }
            Then::Answered => {
                held.pass_without_answer().await;
                self.stage.house.synapse.pause().await.unwrap();
                self.stage.house.service.kill().unwrap();
            }
        }
        self.stage.house.synapse.resume().unwrap();
    }

    /// The service starts again, and all is well.
    async fn ends_well(&mut self, room: &RoomId) {
        self.stage.house.service.start().unwrap();
        self.is_well(room).await;
    }

    /// bob is in the group, and nobody noticed anything.
    async fn is_well(&mut self, room: &RoomId) {
        self.stage.house.service.ready().await.unwrap();
        // It goes on by itself: no client has said a word since, and none has looked for an answer.
        eventually(BOUND, "it to be decided", async || Ok((stands(self, room) == (2, false)).then_some(())))
            .await
            .unwrap();
        within("it to be accepted", self.alice.settle(room)).await;
        accept(&mut self.bob, room).await;
        reaches(&mut self.alice, room, 2).await;
        reaches(&mut self.carol, room, 2).await;
        self.all_talk(room).await;
        within("an update", self.carol.update(room)).await;
        within("it to be accepted", self.carol.settle(room)).await;
        for client in [&mut self.alice, &mut self.bob] {
            reaches(client, room, 3).await;
        }
        self.all_talk(room).await;
        assert_eq!(self.invitations(room, 2).await, 1);
        assert_eq!(one_story(&self.proxy, room), 3);
        let explained = explained(&self.stage.house.service, room.as_str());
        assert_eq!((&explained["epoch"], &explained["staged"]), (&3.into(), &Value::Null), "{explained}");
        eventually(BOUND, "nothing to be staged", async || {
            let staged = self.stage.house.service.metric("maypole_staged_commands").await?;
            Ok((staged == 0.0).then_some(()))
        })
        .await
        .unwrap();
    }
}

/// The epoch, and whether something is staged.
fn stands(scene: &Scene, room: &RoomId) -> (u64, bool) {
    let explained = explained(&scene.stage.house.service, room.as_str());
    (explained["epoch"].as_u64().unwrap(), !explained["staged"].is_null())
}

/// Who was sent the commit or the Welcome of the epoch that is under way, as far as the proxy let it come.
fn recipients(scene: &Scene, room: &RoomId) -> Vec<String> {
    let of_epoch = told(&scene.proxy, room).into_iter().filter(|(_, _, content)| content["epoch"] == 2);
    of_epoch.map(|(kind, recipient, _)| format!("{kind} {recipient}")).collect()
}

const BOTH: [(RoomVersion, Then); 2] =
    [(RoomVersion::V12, Then::Lost), (RoomVersion::V11, Then::InTheSocket)];

/// Before it is judged.
#[tokio::test]
async fn after_the_inbox_write() {
    let mut scene = Scene::open().await;
    for (version, then) in BOTH {
        let room = scene.hall(version).await;
        let looks = |scene: &Scene, room: &RoomId| {
            assert_eq!((stands(scene, room), recipients(scene, room).len()), ((1, false), 0));
        };
        scene.killed_in(&room, reads_the_room, 0, then, looks).await;
        scene.ends_well(&room).await;
    }
    scene.stage.house.stop().await.unwrap();
}

/// The member event is not sent, or nobody knows.
#[tokio::test]
async fn after_it_was_staged() {
    let mut scene = Scene::open().await;
    for (version, then) in BOTH {
        let room = scene.hall(version).await;
        scene.killed_in(&room, sends_a_member_event, 0, then, is_staged).await;
        scene.ends_well(&room).await;
    }
    scene.stage.house.stop().await.unwrap();
}

/// The homeserver has the member event, its answer did not arrive; whoever is invited may even have accepted.
#[tokio::test]
async fn after_the_member_event() {
    let mut scene = Scene::open().await;
    for (version, accepts) in [(RoomVersion::V12, false), (RoomVersion::V11, true)] {
        let room = scene.hall(version).await;
        scene.killed_in(&room, sends_a_member_event, 0, Then::Answered, is_staged).await;
        assert_eq!(scene.invitations(&room, 2).await, 1);
        if accepts {
            enter(&mut scene.bob, &room).await;
        }
        scene.ends_well(&room).await;
    }
    scene.stage.house.stop().await.unwrap();
}

/// The dead service's request arrives when the new one has looked for it in vain, and is in the way of the new one's.
#[tokio::test]
async fn between_the_look_and_the_second_try() {
    let mut scene = Scene::open().await;
    let room = scene.hall(RoomVersion::V12).await;
    let mut gate = scene.proxy.gate(sends_a_member_event);
    let bob_id = scene.bob.device().me().user.to_string();
    within("an invitation", scene.alice.invite(&room, &bob_id)).await;
    let first = gate.next().await;
    scene.stage.house.service.kill().unwrap();
    scene.stage.house.service.start().unwrap();
    let second = gate.next().await;
    first.pass_without_answer().await;
    enter(&mut scene.bob, &room).await;
    second.pass().await;
    drop(gate);
    scene.is_well(&room).await;
    scene.stage.house.stop().await.unwrap();
}

fn is_staged(scene: &Scene, room: &RoomId) {
    assert_eq!((stands(scene, room), recipients(scene, room).len()), ((1, true), 0));
}

/// Nothing of it is sent.
#[tokio::test]
async fn after_the_decision() {
    let mut scene = Scene::open().await;
    for (version, then) in BOTH {
        let room = scene.hall(version).await;
        let looks = |scene: &Scene, room: &RoomId| {
            assert_eq!(stands(scene, room), (2, false));
            assert_eq!(recipients(scene, room), ["commit @alice:maypole.test/PHONE"]);
        };
        scene.killed_in(&room, tells_of_a_commit, 0, then, looks).await;
        scene.ends_well(&room).await;
    }
    scene.stage.house.stop().await.unwrap();
}

/// The committer has its commit, the others and the Welcome wait; or they have it too, and only the Welcome waits.
#[tokio::test]
async fn in_the_middle_of_the_outbox() {
    let mut scene = Scene::open().await;
    let all = [
        "commit @alice:maypole.test/PHONE",
        "commit @carol:maypole.test/TABLET",
        "welcome @bob:maypole.test/LAPTOP",
    ];
    for (passed, then) in [(1, Then::Lost), (1, Then::Answered), (2, Then::InTheSocket), (2, Then::Lost)] {
        let room = scene.hall(RoomVersion::V12).await;
        scene.killed_in(&room, tells_of_a_commit, passed, then, |_, _| ()).await;
        assert_eq!(recipients(&scene, &room), all[..=passed]);
        scene.ends_well(&room).await;
    }
    scene.stage.house.stop().await.unwrap();
}
