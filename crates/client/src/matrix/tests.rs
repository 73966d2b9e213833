//! Clients on a real homeserver, with a relay in the place of a delivery service: an ordinary user of the homeserver that
//! puts commits into an order.

mod checks;
mod removing;

use std::time::Duration;

use maypole_core::ids::RoomId;
use maypole_room::description::Description;
use maypole_room::response::Answer;
use maypole_testkit::synapse::Synapse;
use maypole_testkit::user::User;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Client, RoomVersion, Settings};
use crate::device::tests::{Relay, answer, for_others};
use crate::device::{Device, Event, Outgoing, Standing};

const BOUND: Duration = Duration::from_secs(60);

/// A homeserver, the relay's user, and where it describes itself.
struct Place {
    synapse: Synapse,
    service: User,
    service_url: String,
    folder: TempDir,
    names: std::cell::Cell<u32>,
}

impl Place {
    async fn new() -> (Self, TcpListener) {
        let synapse = Synapse::start().await.unwrap();
        let service = synapse.register("ds", "DS").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service_url = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        (Self { synapse, service, service_url, folder, names: std::cell::Cell::new(0) }, listener)
    }

    fn settings(&self, name: &str) -> Settings {
        let (base_url, service_url) = (self.synapse.base_url(), self.service_url.clone());
        Settings { base_url, service_url, file: self.folder.path().join(name), suite: 1 }
    }

    /// The next message to the service.
    async fn next(&self, kind: &str) -> Outgoing {
        let event = self.service.next_to_device(BOUND, |event| event["type"] == kind).await.unwrap();
        let to = maypole_core::ids::UserId::parse(self.service.user_id()).unwrap();
        Outgoing { to, kind: kind.into(), content: event["content"].clone() }
    }

    async fn tell(&self, to: &Device, kind: &str, content: &Value) {
        self.names.set(self.names.get() + 1);
        let me = to.me();
        let messages = json!({me.user.as_str(): {me.device.as_str(): content}});
        self.service.send_to_device(kind, &self.names.get().to_string(), &messages).await.unwrap();
    }
}

/// Says to everybody who asks what the service is.
async fn describe(listener: TcpListener, description: Description) {
    let body = serde_json::to_string(&description).unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.unwrap());
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }
}

async fn hears(client: &mut Client, matching: impl Fn(&Event) -> bool) -> Event {
    tokio::time::timeout(BOUND, client.next_matching(matching)).await.unwrap().unwrap()
}

fn is_suspect(event: &Event) -> bool {
    matches!(event, Event::Suspect { .. } | Event::Unchecked { .. })
}

/// Alice's room and group, registered.
async fn found(place: &Place, relay: &mut Relay, alice: &mut Client, version: RoomVersion) -> RoomId {
    let room_id = alice.create_room(version, "hall").await.unwrap();
    place.service.join(room_id.as_str()).await.unwrap();
    relay.room_id = room_id.clone();
    let device = alice.device().me().clone();
    let service = async {
        let accepted = relay.accept_registration(&place.next("m.mls.message").await);
        let messages = json!({device.user.as_str(): {device.device.as_str(): accepted}});
        place.service.send_to_device("m.mls.accepted", room_id.as_str(), &messages).await.unwrap();
    };
    let (registered, ()) = tokio::join!(alice.register_group(&room_id), service);
    registered.unwrap();
    room_id
}

/// Alice invites Bob, who is opened anew on his way into the group.
async fn welcomed(place: &Place, relay: &mut Relay, alice: &mut Client, mut bob: Client) -> Client {
    let (room_id, bobs_user) = (relay.room_id.clone(), bob.device().me().user.to_string());
    let nobody = alice.invite(&room_id, &bobs_user).await.unwrap_err();
    assert!(matches!(nobody, super::MatrixError::NoDevices(_)), "{nobody}");
    bob.publish(1).await.unwrap();
    alice.publish(0).await.unwrap();

    alice.invite(&room_id, &bobs_user).await.unwrap();
    let sent = place.next("m.mls.message").await;
    let event = relay.accept(alice.device(), &sent);
    // The service has the power to do what the commit says.
    place.service.invite(room_id.as_str(), &bobs_user).await.unwrap();
    place.tell(alice.device(), "m.mls.commit", &event.content()).await;
    alice.settle(&room_id).await.unwrap();
    let welcome = relay.welcome(alice.device(), &sent);
    place.tell(bob.device(), "m.mls.welcome", &welcome.content()).await;
    let invited = tokio::time::timeout(BOUND, bob.next_invite()).await.unwrap().unwrap();
    assert_eq!(invited, room_id);
    drop(bob);
    let mut bob = Client::open(&place.settings("b").file).await.unwrap();
    assert!(bob.invites().contains_key(&room_id), "an invitation outlives the process");
    // What came with the invitation is not believed: only the room itself says whose Welcome counts.
    hears(&mut bob, |event| matches!(event, Event::WelcomeWaits { .. })).await;
    bob.join_room(&room_id).await.unwrap();
    let joined = hears(&mut bob, |event| matches!(event, Event::Joined { .. })).await;
    let Event::Joined { members, .. } = joined else { panic!("{joined:?}") };
    assert_eq!(members.len(), 2);
    assert!(!bob.told().any(is_suspect), "both publish their keys");
    // He asks what was committed while nobody's word counted.
    let asked = place.next("m.mls.request").await;
    place.tell(bob.device(), "m.mls.response", &relay.page(&asked, false)).await;
    // This service sends nothing of what the commit cites.
    hears(alice, is_suspect).await;
    bob
}

/// The whole way of two users into a conversation, and of a further device.
async fn converse(version: RoomVersion) {
    let (place, listener) = Place::new().await;
    let mut relay = Relay::of(1, place.service.user_id(), "!none:a.org");
    let describing = tokio::spawn(describe(listener, relay.description()));
    let mut alice = Client::register(&place.settings("a"), "alice", "correct horse", "PHONE").await.unwrap();
    let bob = Client::register(&place.settings("b"), "bob", "correct horse", "LAPTOP").await.unwrap();
    let bobs_user = bob.device().me().user.to_string();
    let room_id = found(&place, &mut relay, &mut alice, version).await;
    let mut bob = welcomed(&place, &mut relay, &mut alice, bob).await;

    alice.say(&room_id, "hello").await.unwrap();
    // What was read and not taken outlives the process.
    let is_text = |event: &Event| matches!(event, Event::Text { .. });
    tokio::time::timeout(BOUND, async {
        while !bob.told().any(is_text) {
            bob.sync(Duration::from_secs(1)).await.unwrap();
        }
    })
    .await
    .unwrap();
    drop(bob);
    let mut bob = Client::open(&place.settings("b").file).await.unwrap();
    let said = hears(&mut bob, |event| matches!(event, Event::Text { .. })).await;
    assert!(
        matches!(&said, Event::Text { text, sender, .. } if text == b"hello" && sender == alice.device().me())
    );
    drop(bob);
    let mut bob = Client::open(&place.settings("b").file).await.unwrap();
    bob.say(&room_id, "hello yourself").await.unwrap();
    let said = hears(&mut alice, |event| matches!(event, Event::Text { .. })).await;
    assert!(matches!(&said, Event::Text { text, .. } if text == b"hello yourself"), "{said:?}");

    let mut tablet =
        Client::login(&place.settings("c"), &bobs_user, "correct horse", "TABLET").await.unwrap();
    tablet.publish(0).await.unwrap();
    let service = async {
        let asked = place.next("m.mls.request").await;
        let current = answer(&asked, Answer::GroupInfo(relay.current(alice.device())));
        let to = json!({bobs_user.as_str(): {"TABLET": current}});
        place.service.send_to_device("m.mls.response", "response", &to).await.unwrap();
        let event = relay.accept(bob.device(), &place.next("m.mls.message").await);
        let to = json!({bobs_user.as_str(): {"TABLET": event.content()}});
        place.service.send_to_device("m.mls.commit", "own", &to).await.unwrap();
        event
    };
    let (inside, event) = tokio::join!(tablet.join_from_outside(&room_id), service);
    inside.unwrap();
    for client in [&alice, &bob] {
        place.tell(client.device(), "m.mls.commit", &for_others(&event).content()).await;
    }
    let advanced = hears(&mut alice, |event| matches!(event, Event::Advanced(advance) if !advance.own)).await;
    let Event::Advanced(advance) = advanced else { panic!("{advanced:?}") };
    alice.check_leaves(&advance.added).await.unwrap();
    assert!(!alice.told().any(is_suspect));
    assert_eq!(&advance.added[0].client, tablet.device().me());
    alice.say(&room_id, "three").await.unwrap();
    for client in [&mut bob, &mut tablet] {
        hears(client, |event| matches!(event, Event::Text { text, .. } if text == b"three")).await;
        assert_eq!(client.device().standing(&room_id), Standing::Member);
    }
    describing.abort();
}

#[tokio::test]
async fn two_users_converse_in_a_room_of_version_11() {
    Box::pin(converse(RoomVersion::V11)).await;
}

#[tokio::test]
async fn two_users_converse_in_a_room_of_version_12() {
    Box::pin(converse(RoomVersion::V12)).await;
}

#[tokio::test]
async fn bytes_come_back_from_the_media_repository_and_no_more_than_announced() {
    use maypole_core::ids::Sha256;
    use maypole_room::bytes::Blob;

    let (place, _listener) = Place::new().await;
    let alice = Client::register(&place.settings("a"), "alice", "correct horse", "PHONE").await.unwrap();
    let bytes = vec![7; 100_000];
    let mxc = alice.http().upload_bytes(bytes.clone()).await.unwrap();
    let blob = |size_bytes| Blob { mxc: mxc.clone(), sha256: Sha256::of(&bytes), size_bytes };
    assert_eq!(alice.http().download_blob(&blob(100_000)).await.unwrap(), bytes);
    let cut = alice.http().download_blob(&blob(99_999)).await.unwrap_err();
    assert!(matches!(cut, super::MatrixError::TooLarge { limit_bytes: 99_999, .. }), "{cut}");
    let nowhere = Blob { mxc: "https://a.org/x".into(), ..blob(1) };
    assert!(alice.http().download_blob(&nowhere).await.is_err());
}

#[tokio::test]
async fn a_text_that_the_room_does_not_take_is_not_sent_after_every_start() {
    let (place, listener) = Place::new().await;
    let mut relay = Relay::of(1, place.service.user_id(), "!none:a.org");
    let describing = tokio::spawn(describe(listener, relay.description()));
    let mut alice = Client::register(&place.settings("a"), "alice", "correct horse", "PHONE").await.unwrap();
    let room_id = found(&place, &mut relay, &mut alice, RoomVersion::V11).await;
    let leave = format!("/_matrix/client/v3/rooms/{}/leave", super::http::part(room_id.as_str()));
    alice.http().json(reqwest::Method::POST, &leave, Some(&json!({}))).await.unwrap();
    let refused = alice.say(&room_id, "is anybody here?").await.unwrap_err();
    assert!(matches!(&refused, super::MatrixError::Refused { status: 403, .. }), "{refused}");
    Client::open(&place.settings("a").file).await.unwrap();
    describing.abort();
}

#[tokio::test]
async fn what_gets_no_answer_is_sent_again_as_it_was() {
    let (place, listener) = Place::new().await;
    let mut relay = Relay::of(1, place.service.user_id(), "!none:a.org");
    let describing = tokio::spawn(describe(listener, relay.description()));
    let mut alice = Client::register(&place.settings("a"), "alice", "correct horse", "PHONE").await.unwrap();
    let room_id = found(&place, &mut relay, &mut alice, RoomVersion::V11).await;
    alice.update(&room_id).await.unwrap();
    let lost = place.next("m.mls.message").await;
    let event = relay.accept(alice.device(), &lost);
    let me = alice.device().me().clone();
    let service = async {
        assert_eq!(place.next("m.mls.message").await, lost);
        let to = json!({me.user.as_str(): {me.device.as_str(): event.content()}});
        place.service.send_to_device("m.mls.commit", "own", &to).await.unwrap();
    };
    let (settled, ()) = tokio::join!(alice.settle_asking(&room_id, Duration::from_millis(200)), service);
    settled.unwrap();
    assert_eq!(alice.device().epoch(&room_id).map(maypole_core::ids::Epoch::get), Some(1));
    describing.abort();
}
