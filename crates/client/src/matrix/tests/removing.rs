use maypole_mls::envelope::Envelope;
use maypole_room::bytes::decode;

use super::*;
use crate::device::Leaving;

/// The authenticated data of the commit that removes bob or carol, whom alice had invited.
async fn removal(place: &Place, relay: &mut Relay, alice: &mut Client, leaves_first: bool) -> Value {
    let name = if leaves_first { "bob" } else { "carol" };
    let mut bob = Client::register(&place.settings(name), name, "correct horse", "LAPTOP").await.unwrap();
    bob.publish(1).await.unwrap();
    let bobs_user = bob.device().me().user.to_string();
    let room_id = relay.room_id.clone();
    alice.invite(&room_id, &bobs_user).await.unwrap();
    let sent = place.next("m.mls.message").await;
    let event = relay.accept(alice.device(), &sent);
    place.service.invite(room_id.as_str(), &bobs_user).await.unwrap();
    place.tell(alice.device(), "m.mls.commit", &event.content()).await;
    alice.settle(&room_id).await.unwrap();
    bob.join_room(&room_id).await.unwrap();
    if leaves_first {
        let leave = format!("/_matrix/client/v3/rooms/{}/leave", super::super::http::part(room_id.as_str()));
        bob.http().json(reqwest::Method::POST, &leave, Some(&json!({}))).await.unwrap();
    }
    let leaving = Leaving { ban: false, reason: Some("noise".into()) };
    alice.remove(&room_id, &bobs_user, leaving).await.unwrap();
    let sent = place.next("m.mls.message").await;
    let event = relay.accept(alice.device(), &sent);
    place.tell(alice.device(), "m.mls.commit", &event.content()).await;
    alice.settle(&room_id).await.unwrap();
    assert_eq!(alice.device().members(&room_id).len(), 1);
    let message = decode(sent.content["message"].as_str().unwrap()).unwrap();
    let Ok(Envelope::Public(public)) = Envelope::read(&message) else { panic!("no commit") };
    serde_json::from_slice(public.authenticated_data).unwrap()
}

#[tokio::test]
async fn only_who_is_in_the_room_is_named_as_leaving_it() {
    let (place, listener) = Place::new().await;
    let mut relay = Relay::of(1, place.service.user_id(), "!none:a.org");
    let describing = tokio::spawn(describe(listener, relay.description()));
    let mut alice = Client::register(&place.settings("a"), "alice", "correct horse", "PHONE").await.unwrap();
    found(&place, &mut relay, &mut alice, RoomVersion::V11).await;
    let data = removal(&place, &mut relay, &mut alice, false).await;
    let kicked = data["membership"].as_object().unwrap();
    assert_eq!(kicked.values().collect::<Vec<_>>(), [&json!({"membership": "leave", "reason": "noise"})]);
    let data = removal(&place, &mut relay, &mut alice, true).await;
    assert_eq!(data.get("membership"), None, "who left is not kicked: {data}");
    assert_eq!(data["auth_events"].as_array().unwrap().len(), 1);
    describing.abort();
}
