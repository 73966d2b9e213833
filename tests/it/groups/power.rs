//! Power that goes while a commit is on its way: the homeserver has the last word, and a commit that it refuses has never been.

use maypole_client::device::Leaving;
use maypole_client::matrix::RoomVersion;
use maypole_core::ids::RoomId;
use serde_json::Value;

use super::cast::{explained, reaches, within};
use super::scene::{SERVICE, Scene, accept, refused};
use super::told::one_story;
use crate::proxy::sends_a_member_event;

impl Scene {
    /// Waits for the answer to alice's commit, which is a refusal; the group is as it was before.
    async fn is_refused(&mut self, room: &RoomId, before: &Value) -> Value {
        let content = refused(&mut self.alice, room).await;
        self.is_untouched(room, before);
        content
    }
}

#[tokio::test]
async fn a_commit_whose_member_event_is_refused_has_never_been() {
    let mut scene = Scene::open().await;
    let room = scene.hall(RoomVersion::V11).await;
    let before = explained(&scene.stage.house.service, room.as_str());
    let (bob_id, carol_id) =
        (scene.bob.device().me().user.to_string(), scene.carol.device().me().user.to_string());

    // The power goes while the member event is on its way, so that the homeserver itself says no.
    let mut gate = scene.proxy.gate(sends_a_member_event);
    within("an invitation", scene.alice.invite(&room, &bob_id)).await;
    let held = gate.next().await;
    assert!(!explained(&scene.stage.house.service, room.as_str())["staged"].is_null());
    scene.empower(&room, &[(SERVICE, 0)]).await;
    held.pass().await;
    drop(gate);
    let content = scene.is_refused(&room, &before).await;
    assert_eq!(content["errcode"], "M_FORBIDDEN");
    assert!(content["error"].as_str().unwrap().contains("the homeserver refused it"), "{content}");
    assert_eq!(scene.invitations(&room, 2).await, 0);

    // From then on the service sees it first.
    within("an invitation", scene.alice.invite(&room, &bob_id)).await;
    let content = scene.is_refused(&room, &before).await;
    assert_eq!(content["errcode"], "M_MLS_FROZEN");
    within("an update", scene.alice.update(&room)).await;
    assert_eq!(scene.is_refused(&room, &before).await["errcode"], "M_MLS_FROZEN");

    scene.empower(&room, &[(SERVICE, 50)]).await;
    within("an invitation", scene.alice.invite(&room, &bob_id)).await;
    within("it to be accepted", scene.alice.settle(&room)).await;
    accept(&mut scene.bob, &room).await;
    reaches(&mut scene.carol, &room, 2).await;
    scene.all_talk(&room).await;

    // A ban is refused likewise, and nobody is gone.
    let before = explained(&scene.stage.house.service, room.as_str());
    let mut gate = scene.proxy.gate(sends_a_member_event);
    within("a ban", scene.alice.remove(&room, &carol_id, Leaving { ban: true, reason: None })).await;
    let held = gate.next().await;
    scene.empower(&room, &[(SERVICE, 0)]).await;
    held.pass().await;
    drop(gate);
    assert_eq!(scene.is_refused(&room, &before).await["errcode"], "M_FORBIDDEN");
    scene.all_talk(&room).await;
    assert_eq!(one_story(&scene.proxy, &room), 2);
    scene.stage.house.stop().await.unwrap();
}
