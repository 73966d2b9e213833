//! Push transactions, sent to the running service with the homeserver's token: each is taken in once, whatever is repeated,
//! and one bad event spoils no other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use maypole::http::listener::Listener;
use maypole::intake::Transactions;
use maypole::storage::sled::Store;
use maypole::telemetry::labels::Door;
use maypole_core::auth::AuthToken;
use maypole_core::ids::UserId;
use maypole_core::ledger::Ledger;
use maypole_testkit::service::{House, SERVER_NAME, Service};
use maypole_testkit::user::User;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::answers::binary;
use crate::http::client::{Answer, ask, request};
use crate::http::stage::{self, bearer};
use crate::messages::{base64, commit_for, send};

const BOUND: Duration = Duration::from_secs(60);
const SERVICE: &str = "@:maypole.test";

const REPEATED: &str = r#"maypole_push_transactions_total{outcome="repeated"}"#;
const REFUSED: &str = r#"maypole_push_transactions_total{outcome="refused"}"#;
const JOINED: &str = r#"maypole_invites_total{outcome="joined"}"#;
const POISONED: &str = "maypole_events_poisoned_total";

/// Where the homeserver pushes to.
pub(crate) fn address(service: &Service) -> SocketAddr {
    service.url().strip_prefix("http://").unwrap().parse().unwrap()
}

/// The header with which its homeserver proves itself to a service.
pub(crate) fn authorization(service: &Service) -> String {
    let registration = std::fs::read_to_string(service.registration()).unwrap();
    let token = registration.lines().find_map(|line| line.strip_prefix("hs_token:")).unwrap();
    format!("Authorization: Bearer {}", token.trim().trim_matches('"'))
}

/// A running service, and what is needed to pass for its homeserver.
struct Target {
    house: House,
    alice: User,
    address: SocketAddr,
    authorization: String,
}

impl Target {
    async fn start() -> Self {
        let house = House::start(binary()).await.unwrap();
        let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
        let (address, authorization) = (address(&house.service), authorization(&house.service));
        Self { house, alice, address, authorization }
    }

    fn request(&self, id: &str, body: &[u8]) -> Vec<u8> {
        let path = format!("/_matrix/app/v1/transactions/{id}");
        request("PUT", &path, &[&self.authorization], body)
    }

    async fn push(&self, id: &str, body: &[u8]) -> Answer {
        ask(self.address, self.request(id, body)).await
    }

    async fn push_events(&self, id: &str, events: &[Value]) {
        let answer = self.push(id, json!({ "events": events }).to_string().as_bytes()).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{id}");
    }

    async fn metric(&self, series: &str) -> u64 {
        self.house.service.metric(series).await.unwrap() as u64
    }

    /// A room that the service may join; its homeserver has not invited it.
    async fn room(&self) -> String {
        let creation = json!({"encryption_algorithm": "m.mls.10"});
        let body = json!({"room_version": "12", "preset": "public_chat", "creation_content": creation});
        self.alice.create_room(&body).await.unwrap()
    }

    /// An invitation of the service to a room, as a homeserver pushes it.
    fn invite(&self, room: &str) -> Value {
        let alice = self.alice.user_id();
        let content = json!({"room_version": "12", "encryption_algorithm": "m.mls.10"});
        json!({
            "type": "m.room.member", "room_id": room, "sender": alice, "state_key": SERVICE,
            "event_id": "$invite", "origin_server_ts": 1, "content": {"membership": "invite"},
            "unsigned": {"invite_room_state": [
                {"type": "m.room.create", "sender": alice, "state_key": "", "content": content},
            ]},
        })
    }

    async fn until_joined(&self, room: &str) {
        eventually(BOUND, "the service to join", async || {
            let member = self.alice.state_content(room, "m.room.member", SERVICE).await;
            Ok(member.ok().filter(|member| member["membership"] == "join"))
        })
        .await
        .unwrap();
    }

    async fn until_invites_joined(&self, count: u64) {
        eventually(BOUND, "invitations to be accepted", async || {
            Ok((self.metric(JOINED).await >= count).then_some(()))
        })
        .await
        .unwrap();
    }

    /// The service answers an honest message, and has answered nothing else.
    async fn answers_only(&self, txn_id: &str) {
        let message = base64(&commit_for(b"g", 1));
        let content = json!({"device_id": "ALICE1", "txn_id": txn_id, "message": message});
        send(&self.alice, txn_id, "m.mls.message", &content).await;
        let answer = self.alice.next_to_device(BOUND, |_| true).await.unwrap();
        assert_eq!(answer["content"]["txn_id"], txn_id, "{answer}");
        assert!(self.alice.all_to_device().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_same_transaction_is_taken_in_once_in_turn_in_parallel_and_after_a_restart() {
    let mut target = Target::start().await;
    let (one, other) = (target.room().await, target.room().await);
    for _ in 0..10 {
        target.push_events("in-turn", &[target.invite(&one)]).await;
    }
    assert_eq!(target.metric(REPEATED).await, 9);

    let body = json!({"events": [target.invite(&other)]}).to_string();
    let mut pushes = JoinSet::new();
    for _ in 0..10 {
        pushes.spawn(ask(target.address, target.request("in-parallel", body.as_bytes())));
    }
    while let Some(answer) = pushes.join_next().await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(target.metric(REPEATED).await, 18);
    target.until_joined(&one).await;
    target.until_joined(&other).await;
    target.until_invites_joined(2).await;
    assert_eq!(target.metric(JOINED).await, 2, "each invitation was dealt with once");

    target.house.service.kill().unwrap();
    target.house.service.start().unwrap();
    target.house.service.ready().await.unwrap();
    target.push_events("in-turn", &[target.invite(&one)]).await;
    assert_eq!(target.metric(REPEATED).await, 1);
    assert_eq!(target.metric(JOINED).await, 0);
    target.house.stop().await.unwrap();
}

#[tokio::test]
async fn another_body_under_a_known_name_is_another_transaction() {
    let target = Target::start().await;
    let (one, other) = (target.room().await, target.room().await);
    target.push_events("1", &[target.invite(&one)]).await;
    target.push_events("1", &[target.invite(&other)]).await;
    target.until_joined(&one).await;
    target.until_joined(&other).await;
    assert_eq!(target.metric(REPEATED).await, 0, "a homeserver that lost its memory counts from the start");
    target.house.stop().await.unwrap();
}

#[tokio::test]
async fn transactions_that_overlap_do_no_harm() {
    let target = Target::start().await;
    let (one, other) = (target.room().await, target.room().await);
    target.push_events("first", &[target.invite(&one)]).await;
    target.push_events("second", &[target.invite(&one), target.invite(&other)]).await;
    target.until_joined(&one).await;
    target.until_joined(&other).await;
    target.until_invites_joined(3).await;
    assert_eq!(target.metric("maypole_set_aside_rows").await, 0);
    target.house.stop().await.unwrap();
}

#[tokio::test]
async fn one_poisoned_event_among_a_hundred_spoils_no_other() {
    let target = Target::start().await;
    let mut rooms = Vec::new();
    let mut events: Vec<Value> = Vec::new();
    for n in 0..99 {
        events.push(if n % 33 == 16 {
            rooms.push(target.room().await);
            target.invite(rooms.last().unwrap())
        } else {
            json!({"type": "m.room.message", "room_id": "!r:maypole.test", "sender": "@alice:maypole.test",
                   "content": {"body": n}})
        });
    }
    let poisons = [
        json!({"type": 7, "room_id": [], "sender": null}),
        json!("an event?"),
        json!(["m.room.member", rooms[0], target.alice.user_id(), SERVICE, {"membership": "invite"}, {}]),
        json!({"type": "m.room.member", "room_id": "", "sender": "@alice:maypole.test", "state_key": SERVICE}),
    ];
    for (number, poison) in poisons.iter().enumerate() {
        let mut events = events.clone();
        events.insert(number * 33, poison.clone());
        assert_eq!(events.len(), 100);
        target.push_events(&format!("poisoned-{number}"), &events).await;
        assert_eq!(target.metric(POISONED).await, number as u64 + 1, "{poison}");
    }
    for room in &rooms {
        target.until_joined(room).await;
    }
    target.house.stop().await.unwrap();
}

#[tokio::test]
async fn to_device_messages_in_a_transaction_are_not_answered() {
    let target = Target::start().await;
    let message = |txn_id: &str| {
        json!({
            "type": "m.mls.message", "sender": target.alice.user_id(), "to_user_id": SERVICE, "to_device_id": "",
            "content": {"device_id": "ALICE1", "txn_id": txn_id, "message": base64(&commit_for(b"g", 1))},
        })
    };
    let body = json!({
        "events": [], "to_device": [message("stable")], "de.sorunome.msc2409.to_device": [message("unstable")],
        "org.matrix.msc3202.device_lists": {"changed": 7}, "ephemeral": "nonsense",
    });
    assert_eq!(target.push("1", body.to_string().as_bytes()).await.status, 200);
    target.answers_only("by /sync").await;
    target.house.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_transaction_gets_400() {
    let target = Target::start().await;
    let whole = json!({"events": [target.invite("!room:maypole.test")]}).to_string();
    let mut bodies: Vec<Vec<u8>> = (0..whole.len()).step_by(7).map(|cut| whole[..cut].into()).collect();
    for body in [
        &b"null"[..],
        b"7",
        b"\"events\"",
        b"[]",
        b" [[]]",
        br#"{"events":{}}"#,
        br#"{"events":null}"#,
        br#"{"events":[],"events":[]}"#,
        br#"{"events":[NaN]}"#,
        br#"{"events":[]} trailing"#,
        b"\xff\xfe{\x00}\x00",
        b"\x1f\x8b\x08\x00",
    ] {
        bodies.push(body.to_vec());
    }
    for body in &bodies {
        target.push("1", body).await.assert_refusal(400, "M_BAD_JSON");
    }
    assert_eq!(target.metric(REFUSED).await, bodies.len() as u64);
    // The name is still free.
    let room = target.room().await;
    target.push_events("1", &[target.invite(&room)]).await;
    target.until_joined(&room).await;
    target.house.stop().await.unwrap();
}

#[tokio::test]
async fn a_million_brackets_are_no_trouble() {
    let target = Target::start().await;
    let brackets = ["[".repeat(1_000_000), "]".repeat(1_000_000)].concat();
    let objects = [r#"{"a":"#.repeat(1_000_000), "1".to_owned(), "}".repeat(1_000_000)].concat();
    let room = target.room().await;
    for (number, deep) in [&brackets, &objects].into_iter().enumerate() {
        // What is in an object and none of ours is left alone, however deep it is.
        let alone = target.push("alone", deep.as_bytes()).await.status;
        assert_eq!(alone, [400, 200][number]);
        let beside = format!(r#"{{"beside":{deep},"events":[]}}"#);
        assert_eq!(target.push(&format!("beside-{number}"), beside.as_bytes()).await.status, 200);
        let invite = target.invite(&room);
        let event = format!(r#"{{"events":[{deep},{invite}]}}"#);
        assert_eq!(target.push(&format!("event-{number}"), event.as_bytes()).await.status, 200);
        assert_eq!(target.metric(POISONED).await, number as u64 + 1);
    }
    target.until_joined(&room).await;
    target.answers_only("still there").await;
    target.house.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_store_the_homeserver_is_told_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let ledger = Arc::new(Ledger::new(store.clone()));
    let our_user = UserId::parse(stage::OUR_USER).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test plays the part of main")]
    let token = AuthToken::make();
    let wakes = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let intake = Transactions::new(ledger, token, our_user, wakes.0, wakes.1);
    let listener = Listener::bind(Door::Matrix, &[stage::loopback()]).unwrap();
    let address = listener.addresses()[0];
    let shutdown = CancellationToken::new();
    let router = stage::matrix_router(stage::limits(), intake);
    let serving = tokio::spawn(listener.serve(router, stage::limits(), shutdown.clone()));
    let push = || {
        let sender = format!("@alice:{SERVER_NAME}");
        let events = json!({"events": [{"type": "m.room.message", "room_id": "!r:a.org", "sender": sender}]});
        ask(
            address,
            request("PUT", "/_matrix/app/v1/transactions/1", &[&bearer()], events.to_string().as_bytes()),
        )
    };
    store.close().await;
    push().await.assert_refusal(503, "M_UNKNOWN");
    push().await.assert_refusal(503, "M_UNKNOWN");
    shutdown.cancel();
    serving.await.unwrap();
}
