//! Single events of a room on a real Synapse.

use maypole::homeserver::{CallError, Homeserver};
use maypole_core::ids::RoomId;
use maypole_testkit::user::User;
use ruma::OwnedEventId;
use serde_json::{Value, json};

use super::{Registration, US, adapter, room_id, synapse};

/// A room in which the service may invite, kick and set state.
async fn room_of_ours(alice: &User, homeserver: &Homeserver, version: &str) -> RoomId {
    let levels = match version {
        "12" => json!({"users": {US: 100}}),
        _ => json!({"users": {US: 100, alice.user_id(): 100}}),
    };
    let wanted = json!({"room_version": version, "invite": [US], "power_level_content_override": levels});
    let room = room_id(&alice.create_room(&wanted).await.unwrap());
    homeserver.join(&room).await.unwrap();
    room
}

fn content(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[tokio::test]
async fn state_that_was_set_is_read_and_names_what_it_replaces() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    for version in ["11", "12"] {
        let room = room_of_ours(&alice, &homeserver, version).await;
        for key in ["", "k/é"] {
            let put = |n: u32| {
                let content = serde_json::to_vec(&json!({"n": n})).unwrap();
                homeserver.put_state(&room, "org.example.ribbon", key, content)
            };
            assert_eq!(homeserver.state_event(&room, "org.example.ribbon", key).await, Ok(None));
            let first = put(1).await.unwrap();
            assert_eq!(put(1).await.unwrap(), first, "the same again makes nothing new");
            let second = put(2).await.unwrap();
            let now = homeserver.state_event(&room, "org.example.ribbon", key).await.unwrap().unwrap();
            assert_eq!((&now.event_id, &now.replaces_state), (&second, &Some(first.clone())));
            assert_eq!((now.sender.as_str(), now.state_key.as_deref()), (US, Some(key)));
            assert_eq!(content(&now.content), json!({"n": 2}));
            assert_eq!(homeserver.event(&room, &second).await, Ok(Some(now)));
            let before = homeserver.event(&room, &first).await.unwrap().unwrap();
            assert_eq!((content(&before.content), before.replaces_state), (json!({"n": 1}), None));
        }
    }
}

#[tokio::test]
async fn members_are_invited_and_kicked_by_state_and_the_chain_of_their_events_is_whole() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    let bob = synapse.register("bob", "LAPTOP").await.unwrap();
    let room = room_of_ours(&alice, &homeserver, "12").await;
    let mut chain = Vec::new();
    for membership in ["invite", "leave", "ban"] {
        let wanted = json!({"membership": membership, "mls_commit": {"epoch": 7}});
        let bytes = serde_json::to_vec(&wanted).unwrap();
        chain.push(homeserver.put_state(&room, "m.room.member", bob.user_id(), bytes).await.unwrap());
    }
    let mut at = homeserver.state_event(&room, "m.room.member", bob.user_id()).await.unwrap();
    for membership in ["ban", "leave", "invite"] {
        let event = at.unwrap();
        assert_eq!(Some(&event.event_id), chain.pop().as_ref());
        let content = content(&event.content);
        assert_eq!(
            (&content["membership"], &content["mls_commit"]["epoch"]),
            (&json!(membership), &json!(7))
        );
        at = match event.replaces_state {
            Some(before) => homeserver.event(&room, &before).await.unwrap(),
            None => None,
        };
    }
    assert_eq!(at, None);
}

#[tokio::test]
async fn what_the_room_does_not_permit_is_refused() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    let room = room_of_ours(&alice, &homeserver, "12").await;
    let refused = |error: CallError, code: &str| {
        assert_eq!((error.errcode(), error.is_transient()), (Some(code), false), "{error:?}");
    };
    let ban = br#"{"membership":"ban"}"#.to_vec();
    let creator = homeserver.put_state(&room, "m.room.member", alice.user_id(), ban).await.unwrap_err();
    refused(creator, "M_FORBIDDEN");
    let large = serde_json::to_vec(&json!({"x": "x".repeat(66_000)})).unwrap();
    refused(homeserver.put_state(&room, "org.example.x", "", large).await.unwrap_err(), "M_TOO_LARGE");

    let nothing = OwnedEventId::try_from("$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU").unwrap();
    assert_eq!(homeserver.event(&room, &nothing).await, Ok(None));
    let not_ours = room_id(&alice.create_room(&json!({})).await.unwrap());
    let error = homeserver.state_event(&not_ours, "m.room.create", "").await.unwrap_err();
    refused(error, "M_FORBIDDEN");
    let error = homeserver.put_state(&not_ours, "org.example.x", "", b"{}".to_vec()).await.unwrap_err();
    refused(error, "M_FORBIDDEN");
}
