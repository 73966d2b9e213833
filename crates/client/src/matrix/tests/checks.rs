use maypole_core::ids::{ClientId, DeviceId, Epoch, Sha256, UserId};
use maypole_room::bytes::Blob;
use maypole_room::commit_event::AuthEvents;

use super::*;
use crate::check::cited_event;
use crate::device::{Action, Advance, Leaf};

const ROOM: &str = "!room:a.org";

fn room() -> RoomId {
    RoomId::parse(ROOM).unwrap()
}

async fn alice(place: &Place) -> Client {
    let mut alice = Client::register(&place.settings("a"), "alice", "correct horse", "PHONE").await.unwrap();
    alice.publish(0).await.unwrap();
    alice
}

/// What is told besides the event itself.
async fn checked(client: &mut Client, event: Event) -> Vec<Event> {
    client.stored.events.clear();
    client.perform(vec![Action::Tell(event.clone())]).await.unwrap();
    assert_eq!(client.stored.events.pop_front(), Some(event));
    client.stored.events.drain(..).collect()
}

fn leaf_of(client: &Client) -> Leaf {
    Leaf { client: client.device().me().clone(), signature_key: client.device().signature_key() }
}

fn joined(members: Vec<Leaf>) -> Event {
    Event::Joined { room_id: room(), epoch: Epoch::ZERO, members }
}

fn advanced(by: &Client, added: Vec<Leaf>, data: &[u8], auth_events: AuthEvents) -> Event {
    Event::Advanced(Box::new(Advance {
        room_id: room(),
        epoch: Epoch::ZERO,
        by: by.device().me().clone(),
        own: false,
        added,
        rekeyed: Vec::new(),
        removed: Vec::new(),
        authenticated_data: data.to_vec(),
        auth_events,
    }))
}

fn none() -> AuthEvents {
    AuthEvents::Inline(Vec::new())
}

#[tokio::test]
async fn a_key_that_its_device_does_not_publish_is_told() {
    let (mut place, _listener) = Place::new().await;
    let mut alice = alice(&place).await;
    let good = leaf_of(&alice);
    let swapped = Leaf { signature_key: vec![7; 32], ..good.clone() };
    let nobody = ClientId { device: DeviceId::parse("NONE").unwrap(), ..good.client.clone() };
    let nobody = Leaf { client: nobody, ..good.clone() };
    assert_eq!(checked(&mut alice, joined(vec![good.clone()])).await, []);
    let found = checked(&mut alice, joined(vec![good.clone(), swapped.clone(), nobody])).await;
    assert!(matches!(&found[..], [Event::Suspect { .. }, Event::Suspect { .. }]), "{found:?}");
    let event = advanced(&alice, vec![swapped.clone()], b"", none());
    let found = checked(&mut alice, event).await;
    assert!(matches!(&found[..], [Event::Suspect { .. }]), "{found:?}");
    // A server that does not answer: everybody else is checked all the same.
    let away = ClientId { user: UserId::parse("@carol:b.org").unwrap(), ..good.client.clone() };
    let away = Leaf { client: away, ..good.clone() };
    let found = checked(&mut alice, joined(vec![away.clone(), swapped, away])).await;
    let [Event::Suspect { .. }, Event::Unchecked { problem, .. }] = &found[..] else { panic!("{found:?}") };
    assert!(problem.contains("2 leaves"), "{problem}");
    place.synapse.kill().unwrap();
    let found = checked(&mut alice, joined(vec![good])).await;
    assert!(matches!(&found[..], [Event::Unchecked { .. }]), "{found:?}");
}

#[tokio::test]
async fn a_commit_without_what_it_cites_is_told() {
    let (place, _listener) = Place::new().await;
    let mut alice = alice(&place).await;
    let (levels, id) = cited_event(ROOM, 50);
    let brought = || AuthEvents::Inline(vec![levels.clone()]);
    let event = advanced(&alice, Vec::new(), id.as_bytes(), brought());
    let found = checked(&mut alice, event.clone()).await;
    assert!(matches!(&found[..], [Event::Unchecked { .. }]), "the version is not known: {found:?}");
    alice.stored.room_versions.insert(room(), "12".into());
    assert_eq!(checked(&mut alice, event).await, []);
    for (data, auth_events) in [(id.as_bytes(), none()), (b"", brought()), (b"{", none())] {
        let event = advanced(&alice, Vec::new(), data, auth_events);
        let found = checked(&mut alice, event).await;
        assert!(matches!(&found[..], [Event::Suspect { .. }]), "{found:?}");
    }
    let bytes = json!([levels]).to_string().into_bytes();
    let mxc = alice.http().upload_bytes(bytes.clone()).await.unwrap();
    let size_bytes = u64::try_from(bytes.len()).unwrap();
    let blob = Blob { mxc, sha256: Sha256::of(&bytes), size_bytes };
    let event = advanced(&alice, Vec::new(), id.as_bytes(), AuthEvents::Blob(blob.clone()));
    assert_eq!(checked(&mut alice, event).await, []);
    let other = Blob { sha256: Sha256::of(b"other"), ..blob.clone() };
    let event = advanced(&alice, Vec::new(), id.as_bytes(), AuthEvents::Blob(other));
    let found = checked(&mut alice, event).await;
    assert!(matches!(&found[..], [Event::Suspect { .. }]), "{found:?}");
    let nowhere = Blob { mxc: blob.mxc.clone() + "x", ..blob };
    let event = advanced(&alice, Vec::new(), id.as_bytes(), AuthEvents::Blob(nowhere));
    let found = checked(&mut alice, event).await;
    assert!(matches!(&found[..], [Event::Unchecked { .. }]), "{found:?}");
}

#[tokio::test]
async fn a_client_prints_no_secret_and_no_text() {
    let (place, _listener) = Place::new().await;
    let mut alice = alice(&place).await;
    alice.stored.keep(Event::Text {
        room_id: room(),
        event_id: "$1".into(),
        sender: alice.device().me().clone(),
        epoch: Epoch::ZERO,
        text: b"the gold lies under the oak".to_vec().into(),
    });
    let printed = format!("{alice:?}");
    let keys = [&alice.stored.device_key, &alice.stored.device].map(|key| format!("{key:?}"));
    let secrets = [alice.stored.access_token.as_str(), "gold", "103, 111, 108, 100", &keys[0], &keys[1]];
    assert!(!secrets.iter().any(|secret| printed.contains(secret)), "{printed}");
    assert!(printed.contains(alice.device().me().user.as_str()), "{printed}");
}
