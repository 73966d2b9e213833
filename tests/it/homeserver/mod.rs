//! The homeserver adapter against a real Synapse.

pub(crate) mod keys;
mod media;
mod pdus;
mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use maypole::homeserver::{AccessToken, Bounds, CallError, Homeserver, PingError, ServiceDevice, Settings};
use maypole_core::auth::AuthToken;
use maypole_core::ids::{DeviceId, RoomId, SyncToken, TxnId, UserId};
use maypole_core::records::Recipient;
use maypole_testkit::ports::HeldPort;
use maypole_testkit::synapse::Synapse;
use maypole_testkit::user::User;
use maypole_testkit::wait::{Stopwatch, eventually};
use serde_json::{Value, json};

const TOKEN: &str = "as-token-0123456789-0123456789-0123456789";
const SERVER: &str = "maypole.test";
const US: &str = "@:maypole.test";
const BOUND: Duration = Duration::from_secs(20);

/// What the registration says, where a test needs it otherwise.
struct Registration {
    url: Option<String>,
    devices_by_name: bool,
}

impl Default for Registration {
    fn default() -> Self {
        // Nobody listens on port 1 of loopback; nobody needs to.
        Self { url: Some("http://127.0.0.1:1".to_owned()), devices_by_name: true }
    }
}

async fn synapse(registration: Registration) -> Synapse {
    let yaml = json!({
        "id": "maypole", "url": registration.url, "as_token": TOKEN, "hs_token": "hs-token-0123456789-0123456789",
        "sender_localpart": "_mls_ds", "rate_limited": false, "io.element.msc4190": registration.devices_by_name,
        "namespaces": {"users": [{"exclusive": true, "regex": "@(|mls):maypole\\.test"}], "aliases": [], "rooms": []},
    });
    Synapse::builder().server_name(SERVER).registration(yaml.to_string()).start().await.unwrap()
}

fn adapter(synapse: &Synapse) -> Homeserver {
    adapter_as(synapse, TOKEN, US)
}

#[expect(clippy::disallowed_methods, reason = "tests stand in for main, which makes the one token")]
fn adapter_as(synapse: &Synapse, token: &str, user_id: &str) -> Homeserver {
    let settings = Settings {
        url: synapse.base_url(),
        as_token: AccessToken::parse(token).unwrap(),
        user_id: user_id.to_owned(),
        appservice_id: "maypole".to_owned(),
        bounds: Bounds { request: Duration::from_secs(10), ..Bounds::default() },
    };
    Homeserver::new(settings, AuthToken::make()).unwrap()
}

/// The `n`s of all to-device messages from a token on, asking on as the intake does.
async fn numbers(homeserver: &Homeserver, since: Option<SyncToken>) -> (Vec<u64>, Vec<usize>, SyncToken) {
    let device = ServiceDevice::empty();
    let (mut numbers, mut pages, mut since) = (Vec::new(), Vec::new(), since);
    loop {
        let page = homeserver.sync(&device, since.as_ref(), Duration::ZERO).await.unwrap();
        since = Some(page.next_batch.clone());
        if page.to_device.is_empty() {
            return (numbers, pages, page.next_batch);
        }
        pages.push(page.to_device.len());
        for event in page.to_device {
            let content: Value = serde_json::from_slice(&event.unwrap().content).unwrap();
            numbers.push(content["n"].as_u64().unwrap());
        }
    }
}

async fn send(user: &User, n: usize, device: &str) {
    let messages = json!({US: {device: {"n": n}}});
    user.send_to_device("m.mls.message", &format!("t{n}"), &messages).await.unwrap();
}

fn room_id(text: &str) -> RoomId {
    RoomId::parse(text).unwrap()
}

#[tokio::test]
async fn probing_from_nothing_makes_a_user_and_one_device_and_probing_again_changes_nothing() {
    let synapse = synapse(Registration::default()).await;
    let stranger = adapter_as(&synapse, "wrong-token-0123456789", US).probe().await.unwrap_err();
    assert!(matches!(stranger, CallError::NotUs { .. }), "{stranger:?}");
    let elsewhere =
        adapter_as(&synapse, TOKEN, "@not_in_the_namespace:maypole.test").probe().await.unwrap_err();
    assert!(matches!(elsewhere, CallError::NotUs { .. }), "{elsewhere:?}");

    let homeserver = adapter(&synapse);
    let first = homeserver.probe().await.unwrap();
    assert_eq!(first.device, ServiceDevice::empty());
    let can = &first.abilities;
    assert!(
        can.empty_device_id
            && can.msc4190
            && can.names_device
            && can.push_ping
            && can.extra_devices.is_empty()
    );
    assert!(first.versions.contains(&"v1.11".to_owned()));
    assert_eq!(homeserver.probe().await.unwrap(), first);

    let service = User::register(&synapse.base_url(), "anybody", "X").await.unwrap().with_token(TOKEN);
    let devices = "/_matrix/client/v3/devices";
    let path = format!("{devices}/EXTRA?user_id=%40:{SERVER}");
    service.request(reqwest::Method::PUT, &path, Some(&json!({}))).await.unwrap();
    assert_eq!(homeserver.probe().await.unwrap(), first, "the extra device is gone");
    let left = service
        .request(reqwest::Method::GET, &format!("{devices}?user_id=%40:{SERVER}"), None)
        .await
        .unwrap();
    assert_eq!(left["devices"].as_array().unwrap().len(), 1, "{left}");

    let other = adapter_as(&synapse, TOKEN, "@mls:maypole.test").probe().await.unwrap();
    assert_eq!(other.user_id.as_str(), "@mls:maypole.test");
    assert!(other.abilities.empty_device_id);
}

#[tokio::test]
async fn where_registration_brings_a_device_of_its_own_there_is_one_in_the_end() {
    let synapse = synapse(Registration { devices_by_name: false, ..Registration::default() }).await;
    let probe = adapter(&synapse).probe().await.unwrap();
    assert_eq!(probe.device, ServiceDevice::empty());
    assert!(probe.abilities.extra_devices.is_empty() && probe.abilities.names_device, "{probe}");
}

#[tokio::test]
async fn messages_arrive_in_order_in_pages_and_are_gone_when_acknowledged() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    for n in 0..250 {
        send(&alice, n, if n % 2 == 0 { "" } else { "*" }).await;
    }
    let (all, pages, end) = numbers(&homeserver, None).await;
    assert_eq!(all, (0..250).collect::<Vec<u64>>());
    assert_eq!(pages, [100, 100, 50]);
    // Nothing is given twice, neither from where we are nor from the beginning.
    assert_eq!(numbers(&homeserver, Some(end.clone())).await.0, [0; 0]);
    assert_eq!(numbers(&homeserver, None).await.0, [0; 0]);
    send(&alice, 250, "*").await;
    let page = homeserver.sync(&ServiceDevice::empty(), Some(&end), Duration::ZERO).await.unwrap();
    let event = page.to_device[0].as_ref().unwrap();
    assert_eq!(event.sender.get().as_str(), "@alice:maypole.test");
    assert_eq!(
        (event.kind.as_str(), event.content.as_slice()),
        ("m.mls.message", br#"{"n":250}"#.as_slice())
    );
    // Until it is acknowledged, it is given again.
    for since in [Some(&end), None, None] {
        let again = homeserver.sync(&ServiceDevice::empty(), since, Duration::from_millis(1)).await.unwrap();
        assert_eq!(again.to_device, page.to_device);
    }
}

#[tokio::test]
async fn a_waiting_sync_is_woken_by_a_message_and_not_by_talk_in_a_room() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    let room = alice.create_room(&json!({"invite": [US]})).await.unwrap();
    homeserver.join(&room_id(&room)).await.unwrap();
    for n in 0..20 {
        let content = json!({"msgtype": "m.text", "body": "x".repeat(1_000)});
        alice.send_event(&room, "m.room.message", &format!("m{n}"), &content).await.unwrap();
    }
    let device = ServiceDevice::empty();
    let page = homeserver.sync(&device, None, Duration::ZERO).await.unwrap();
    assert!(page.invites.is_empty() && page.to_device.is_empty());
    assert!(page.answer_bytes < 1_000, "an initial sync of {} bytes", page.answer_bytes);
    let talk = async {
        let content = json!({"msgtype": "m.text", "body": "wake up"});
        alice.send_event(&room, "m.room.message", "late", &content).await.unwrap();
        alice.send_state(&room, "m.room.topic", "", &json!({"topic": "waking up"})).await.unwrap();
        send(&alice, 7, "").await;
    };
    let waited = Stopwatch::start();
    let (page, ()) = tokio::join!(homeserver.sync(&device, Some(&page.next_batch), BOUND), talk);
    let page = page.unwrap();
    assert_eq!(page.to_device.len(), 1, "the talk in the room has not ended the wait");
    assert!(page.answer_bytes < 1_000, "a sync of {} bytes", page.answer_bytes);
    assert!(waited.elapsed() < BOUND);
}

#[tokio::test]
async fn what_clients_can_make_odd_does_no_harm() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    // As deep and as long as Synapse passes on.
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let odd =
        [json!({"n": deep}), json!({"n": "x".repeat(60_000)}), json!({"\u{0}": 1.5e300}), json!({"n": 1})];
    for (n, content) in odd.iter().enumerate() {
        alice.send_to_device("m.mls.message", &format!("t{n}"), &json!({US: {"": content}})).await.unwrap();
    }
    alice.send_to_device(&"x".repeat(300), "long", &json!({US: {"": {}}})).await.unwrap();
    let page = homeserver.sync(&ServiceDevice::empty(), None, Duration::ZERO).await.unwrap();
    for (event, content) in page.to_device.iter().zip(&odd) {
        let read: Result<Value, _> = serde_json::from_slice(&event.as_ref().unwrap().content);
        assert_eq!(&read.unwrap(), content);
    }
    assert!(page.to_device.len() >= odd.len());
    assert!(page.to_device[odd.len()..].iter().all(Result::is_err), "a type that is too long is set aside");
}

#[tokio::test]
async fn invites_arrive_and_can_be_accepted_or_declined() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    let mut since = None;
    for version in ["11", "12"] {
        let wanted = json!({"room_version": version, "invite": [US], "creation_content": {"encryption_algorithm": "m.mls.10"}});
        let room = alice.create_room(&wanted).await.unwrap();
        let page = homeserver.sync(&ServiceDevice::empty(), since.as_ref(), BOUND).await.unwrap();
        let invite = page.invites[0].as_ref().unwrap();
        assert_eq!(invite.room.as_str(), room);
        assert_eq!(invite.inviter.get().as_str(), "@alice:maypole.test");
        let state: Value = serde_json::from_slice(&invite.state).unwrap();
        let events = state.as_array().unwrap();
        let create = events.iter().find(|event| event["type"] == "m.room.create").unwrap();
        assert_eq!(create["content"]["room_version"], version);
        since = Some(page.next_batch);

        homeserver.join(&invite.room).await.unwrap();
        assert_eq!(homeserver.joined_rooms().await.unwrap(), std::slice::from_ref(&invite.room));
        homeserver.leave(&invite.room, "that was it").await.unwrap();
        homeserver.leave(&invite.room, "that was it").await.unwrap();
        let error = homeserver.leave(&invite.room, "for another reason").await.unwrap_err();
        assert_eq!(error.errcode(), Some("M_FORBIDDEN"), "{error:?}");
        assert_eq!(homeserver.joined_rooms().await.unwrap(), []);
        let member = alice.state_content(&room, "m.room.member", US).await.unwrap();
        assert_eq!((&member["membership"], &member["reason"]), (&json!("leave"), &json!("that was it")));
        let error = homeserver.join(&invite.room).await.unwrap_err();
        assert_eq!(error.errcode(), Some("M_FORBIDDEN"), "{error:?}");
        assert!(!error.is_transient());
    }
    let nowhere = room_id("!nowhere:maypole.test");
    assert!(matches!(homeserver.full_state(&nowhere).await, Err(CallError::Refused { .. })));
}

#[tokio::test]
async fn messages_go_out_once_however_often_they_are_sent() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    let tablet = alice.login("TABLET").await.unwrap();
    let user = UserId::parse(alice.user_id()).unwrap();
    let to = |device: Option<&str>| Recipient {
        user: user.clone(),
        device: device.map(|device| DeviceId::parse(device).unwrap()),
    };
    let first = BTreeMap::from([
        (to(Some("PHONE")), br#"{"n":1}"#.to_vec()),
        (to(Some("TABLET")), br#"{"n":2}"#.to_vec()),
    ]);
    let second = BTreeMap::from([(to(None), br#"{"n":3}"#.to_vec())]);
    for _ in 0..2 {
        for (name, messages) in [("a/1", &first), ("a/2", &second)] {
            homeserver
                .send_to_device("m.mls.accepted", &TxnId::parse(name).unwrap(), messages)
                .await
                .unwrap();
        }
    }
    for (device, expected) in [(alice, [1, 3]), (tablet, [2, 3])] {
        let got = device.all_to_device().await.unwrap();
        assert_eq!(
            got.iter().map(|message| message["content"]["n"].as_u64()).collect::<Vec<_>>(),
            expected.map(Some)
        );
        assert!(
            got.iter().all(|message| message["sender"] == US && message["type"] == "m.mls.accepted"),
            "{got:?}"
        );
    }
    let large = BTreeMap::from([(to(None), serde_json::to_vec(&json!({"x": "x".repeat(66_000)})).unwrap())]);
    let error = homeserver.send_to_device("m.x", &TxnId::parse("a/3").unwrap(), &large).await.unwrap_err();
    assert_eq!((error.errcode(), error.is_transient()), (Some("M_TOO_LARGE"), false), "{error:?}");
}

#[tokio::test]
async fn a_ping_says_why_the_homeserver_cannot_reach_us() {
    let txn_id = TxnId::parse("ping").unwrap();
    let without = synapse(Registration { url: None, ..Registration::default() }).await;
    assert_eq!(adapter(&without).ping(&txn_id).await, Err(PingError::UrlNotSet));
    let nobody = HeldPort::any().unwrap();
    let with = synapse(Registration { url: Some(nobody.url()), ..Registration::default() }).await;
    let error = adapter(&with).ping(&txn_id).await.unwrap_err();
    assert!(matches!(error, PingError::ConnectionFailed(_)), "{error:?}");
    let stranger = adapter_as(&with, "wrong-token-0123456789", US).ping(&txn_id).await.unwrap_err();
    assert!(matches!(stranger, PingError::Call(CallError::NotUs { .. })), "{stranger:?}");
}

#[tokio::test]
async fn a_homeserver_that_is_away_is_unreachable_until_it_is_back() {
    let mut synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let alice = synapse.register("alice", "PHONE").await.unwrap();
    send(&alice, 1, "").await;
    synapse.kill().unwrap();
    let error = homeserver.joined_rooms().await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    synapse.boot().await.unwrap();
    let back = || async { Ok(homeserver.joined_rooms().await.ok()) };
    eventually(BOUND, "the homeserver's return", back).await.unwrap();
    assert_eq!(numbers(&homeserver, None).await.0, [1]);
}
