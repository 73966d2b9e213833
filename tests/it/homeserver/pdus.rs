//! Events in federation format, as a real Synapse gives them.

use maypole::homeserver::{Homeserver, PduError};
use maypole_core::ids::RoomId;
use maypole_testkit::user::User;
use ruma::{OwnedEventId, RoomVersionId};
use serde_json::{Value, json};

use super::{Registration, US, adapter, numbers, room_id, send, synapse};

/// A room that both are in, whose past is hidden from those who join later if `hidden`.
async fn room(alice: &User, homeserver: &Homeserver, version: &str, hidden: bool) -> RoomId {
    let visibility = if hidden { "joined" } else { "shared" };
    let room = alice
        .create_room(&json!({
            "room_version": version, "invite": [US], "name": "Ribbons", "topic": "Weaving",
            "creation_content": {"encryption_algorithm": "m.mls.10", "m.mls.delivery_service": US},
            "initial_state": [{"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}],
        }))
        .await
        .unwrap();
    alice
        .send_state(&room, "org.example.odd", "k\"é\u{2028}", &json!({"é": "\u{7f}ü", "n": -1}))
        .await
        .unwrap();
    homeserver.join(&room_id(&room)).await.unwrap();
    room_id(&room)
}

#[tokio::test]
async fn every_event_of_a_rooms_state_has_the_hashes_that_its_id_names() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    send(&alice, 1, "").await;
    for (version, hidden) in [("11", false), ("11", true), ("12", false), ("12", true)] {
        let room = room(&alice, &homeserver, version, hidden).await;
        let version = RoomVersionId::try_from(version).unwrap();
        let state = homeserver.full_state(&room).await.unwrap();
        for kind in
            ["m.room.create", "m.room.power_levels", "m.room.member", "m.room.name", "org.example.odd"]
        {
            assert!(state.iter().any(|row| row.kind == kind), "no {kind}");
        }
        for row in state {
            let pdu = homeserver.pdu(&room, &version, &row.event_id).await.unwrap();
            assert_eq!(pdu.event_id(), row.event_id);
            let json = |name: &str| serde_json::to_value(&pdu.object()[name]).unwrap();
            assert_eq!((json("type"), json("state_key")), (json!(row.kind), json!(row.state_key)));
            assert_eq!(json("sender"), json!(row.sender));
            assert_eq!(json("content"), serde_json::from_slice::<Value>(&row.content).unwrap());
            assert!(!pdu.object().contains_key("unsigned") && !pdu.object().contains_key("event_id"));
        }
    }
    let (unread, ..) = numbers(&homeserver, None).await;
    assert_eq!(unread, [1], "reading events has acknowledged no message");
}

#[tokio::test]
async fn events_that_are_not_there_or_redacted_are_told_apart() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    let room = room(&alice, &homeserver, "12", false).await;
    let nothing = OwnedEventId::try_from("$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU").unwrap();
    let version = RoomVersionId::V12;
    assert_eq!(homeserver.pdu(&room, &version, &nothing).await, Err(PduError::NotFound(nothing.clone())));
    let custom = RoomVersionId::try_from("org.example.weird").unwrap();
    assert_eq!(homeserver.pdu(&room, &custom, &nothing).await, Err(PduError::RoomVersion(custom)));

    let sent =
        alice.send_state(room.as_str(), "m.room.topic", "", &json!({"topic": "secret"})).await.unwrap();
    let event_id = OwnedEventId::try_from(sent["event_id"].as_str().unwrap()).unwrap();
    let pdu = homeserver.pdu(&room, &version, &event_id).await.unwrap();
    assert!(serde_json::to_string(pdu.object()).unwrap().contains("secret"));
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event_id}/r1");
    alice.request(reqwest::Method::PUT, &path, Some(&json!({}))).await.unwrap();
    assert_eq!(homeserver.pdu(&room, &version, &event_id).await, Err(PduError::ContentHash(event_id)));
}
