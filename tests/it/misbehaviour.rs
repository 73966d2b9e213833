//! A homeserver, or what stands before it, that misbehaves: nothing is lost, nothing is answered in two ways, the operator
//! is told why, and nobody is asked faster than the back-off allows.

use std::collections::BTreeMap;
use std::time::Duration;

use maypole_core::limits;
use maypole_testkit::service::{House, SERVER_NAME, Service};
use maypole_testkit::synapse::Synapse;
use maypole_testkit::user::User;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};

use crate::http::client::{ask, request};
use crate::messages::{base64, commit_for, send};
use crate::proxy::{self, Fault, Proxy, Scope};
use crate::push;
use crate::survival::note;

/// Caught up within a minute.
const BOUND: Duration = Duration::from_secs(60);
/// Requests of one kind that are seen to fail before things get better.
const FAILURES: usize = 4;
/// Messages sent while things are bad.
const MESSAGES: usize = 10;

/// An answer with this status, these header lines, and this body.
pub(crate) fn answer(status: u16, headers: &str, body: &[u8]) -> Fault {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    Fault::Answer([head.as_bytes(), body].concat())
}

const JSON: &str = "Content-Type: application/json\r\n";

/// A fault, the words by which the operator recognises it, and how long the homeserver asks to be left alone.
struct Case {
    name: &'static str,
    fault: Fault,
    says: &'static str,
    asks_for: Duration,
}

impl Case {
    fn new(name: &'static str, fault: Fault, says: &'static str) -> Self {
        Self { name, fault, says, asks_for: Duration::ZERO }
    }

    fn asking_for(self, asks_for: Duration) -> Self {
        Self { asks_for, ..self }
    }
}

/// A service that reaches its homeserver only through a proxy.
struct Passage {
    synapse: Synapse,
    service: Service,
    proxy: Proxy,
    alice: User,
    answers: BTreeMap<String, Value>,
    sent: usize,
}

impl Passage {
    async fn open() -> Self {
        let (House { synapse, service }, proxy) = proxy::house().await;
        let alice = synapse.register("alice", "ALICE1").await.unwrap();
        Self { synapse, service, proxy, alice, answers: BTreeMap::new(), sent: 0 }
    }

    /// alice sends a few messages to the service.
    async fn send(&mut self) {
        for n in self.sent..self.sent + MESSAGES {
            let content = json!({
                "device_id": "ALICE1", "txn_id": format!("txn-{n}"), "message": base64(&commit_for(b"g", n as u64)),
            });
            send(&self.alice, &format!("send-{n}"), "m.mls.message", &content).await;
        }
        self.sent += MESSAGES;
    }

    /// Waits until everything that alice sent is answered; fails if anything is answered in two ways.
    async fn answered(&mut self) {
        while self.answers.len() < self.sent {
            let answer = self.alice.next_to_device(BOUND, |_| true).await.unwrap();
            assert_eq!(answer["content"]["errcode"], "M_MLS_UNKNOWN_GROUP", "{answer}");
            note(&mut self.answers, &answer);
        }
        for answer in self.alice.all_to_device().await.unwrap() {
            note(&mut self.answers, &answer);
        }
    }

    /// Waits until some request has failed so often; the pauses between its failures were at least the back-off's.
    async fn failing(&self, case: &Case) {
        self.failures(case.name).await;
        self.paced(case);
    }

    async fn failures(&self, name: &str) {
        eventually(BOUND, name, async || {
            let often = |times: &Vec<Duration>| times.len() >= FAILURES;
            Ok(self.proxy.faulted().values().any(often).then_some(()))
        })
        .await
        .unwrap();
    }

    fn paced(&self, case: &Case) {
        for (asked, times) in self.proxy.faulted() {
            let mut step = limits::BACKOFF_FIRST;
            for pair in times.windows(2) {
                let least = (step * 3 / 4).max(case.asks_for).max(limits::BACKOFF_FIRST);
                let paused = pair[1] - pair[0];
                assert!(paused >= least, "{}: {asked} again after {paused:?}, not {least:?}", case.name);
                step = (step * 2).min(limits::BACKOFF_LAST);
            }
        }
    }

    /// Waits until the service says that it is not ready, and why.
    async fn unready(&self, says: &str) {
        eventually(BOUND, says, async || {
            let readiness = self.service.readiness().await;
            Ok(readiness.filter(|(ready, why)| !ready && why.to_string().contains(says)))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.service.log()));
    }

    /// The whole homeserver misbehaves, while alice, who reaches it, goes on.
    async fn endures(&mut self, case: Case) {
        self.proxy.misbehave(Scope::All, case.fault.clone());
        self.send().await;
        self.unready(case.says).await;
        self.failing(&case).await;
        self.proxy.behave();
        self.answered().await;
        self.paced(&case);
        self.service.ready().await.unwrap();
    }

    /// Answers cannot be delivered, though everything else goes well.
    async fn delivers_in_spite_of(&mut self, case: Case) {
        self.proxy.misbehave(Scope::Sends, case.fault.clone());
        self.send().await;
        self.failing(&case).await;
        let (ready, why) = self.service.readiness().await.unwrap();
        assert!(ready, "{}: messages are still taken in: {why}", case.name);
        self.proxy.behave();
        self.answered().await;
        self.paced(&case);
        let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for seen in self.proxy.seen().into_iter().filter(|seen| seen.line.contains("/sendToDevice/")) {
            let first = bodies.entry(seen.line.clone()).or_insert_with(|| seen.body.clone());
            assert_eq!(first, &seen.body, "{}: the same transaction, other bytes", case.name);
        }
        assert!(bodies.len() >= MESSAGES, "{}: a transaction for each answer", case.name);
    }

    async fn close(mut self) {
        let ended = self.service.stop().await.unwrap();
        assert!(ended.success(), "{ended}: {}", self.service.log());
        self.synapse.stop().await.unwrap();
    }
}

fn failing_statuses() -> Vec<Case> {
    let limited = br#"{"errcode":"M_LIMIT_EXCEEDED","error":"slow down"}"#;
    let in_body = br#"{"errcode":"M_LIMIT_EXCEEDED","error":"slow down","retry_after_ms":1500}"#;
    let unknown = br#"{"errcode":"M_UNKNOWN","error":"Internal server error"}"#;
    let less = "asks to be asked less often";
    let wait = Duration::from_millis(1_500);
    vec![
        Case::new("500", answer(500, JSON, unknown), "status 500"),
        Case::new("502 of a reverse proxy", answer(502, "", b"<h1>Bad Gateway</h1>"), "status 502"),
        Case::new("429 without a hint", answer(429, JSON, limited), less),
        Case::new("429 with Retry-After", answer(429, "Retry-After: 2\r\n", limited), less)
            .asking_for(Duration::from_secs(2)),
        Case::new("429 with retry_after_ms", answer(429, JSON, in_body), less).asking_for(wait),
        Case::new("429 with nothing", answer(429, "", b""), less),
    ]
}

fn garbage() -> Vec<Case> {
    let html = b"<!doctype html><title>Welcome to our hotel</title>";
    let gzip = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    vec![
        Case::new("HTML", answer(200, "Content-Type: text/html\r\n", html), "not a JSON object"),
        Case::new("HTML that says it is JSON", answer(200, JSON, html), "not a JSON object"),
        Case::new("JSON cut short", answer(200, JSON, br#"{"next_batch":"s"#), "not a JSON object"),
        Case::new("an empty answer", answer(200, JSON, b""), "not a JSON object"),
        Case::new("JSON of another shape", answer(200, JSON, b"[]"), "not a JSON object"),
        Case::new("gzip", answer(200, gzip, b"\x1f\x8b\x08\x00 bomb"), "compressed"),
        Case::new("not HTTP", Fault::Answer(b"220 mail.a.org ESMTP\r\n".to_vec()), "does not speak HTTP"),
    ]
}

#[tokio::test]
async fn error_statuses_are_waited_out_with_back_off() {
    let mut passage = Passage::open().await;
    for case in failing_statuses() {
        passage.endures(case).await;
    }
    passage.close().await;
}

#[tokio::test]
async fn answers_are_delivered_in_spite_of_error_statuses() {
    let mut passage = Passage::open().await;
    for case in failing_statuses() {
        passage.delivers_in_spite_of(case).await;
    }
    passage.close().await;
}

#[tokio::test]
async fn garbage_is_waited_out_with_back_off() {
    let mut passage = Passage::open().await;
    for case in garbage() {
        passage.endures(case).await;
    }
    passage.close().await;
}

#[tokio::test]
async fn garbage_is_not_taken_for_a_delivery() {
    let mut passage = Passage::open().await;
    for case in garbage() {
        passage.delivers_in_spite_of(case).await;
    }
    passage.close().await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut passage = Passage::open().await;
    for status in [301, 302, 307, 308] {
        let elsewhere = format!("Location: {}/elsewhere\r\n", passage.proxy.url());
        let case = || Case::new("a redirect", answer(status, &elsewhere, b""), "redirects");
        passage.endures(case()).await;
        assert!(passage.proxy.seen().iter().all(|seen| !seen.line.contains("elsewhere")));
        passage.delivers_in_spite_of(case()).await;
        assert!(passage.proxy.seen().iter().all(|seen| !seen.line.contains("elsewhere")));
    }
    passage.close().await;
}

#[tokio::test]
async fn connections_that_are_closed_are_opened_again_with_back_off() {
    let mut passage = Passage::open().await;
    for fault in [Fault::Close, Fault::BreakOff] {
        let case = || Case::new("a closed connection", fault.clone(), "cannot be reached");
        passage.endures(case()).await;
        passage.delivers_in_spite_of(case()).await;
    }
    passage.close().await;
}

#[tokio::test]
async fn a_half_open_connection_is_given_up() {
    let mut passage = Passage::open().await;
    passage.proxy.misbehave(Scope::All, Fault::Silence);
    passage.send().await;
    passage.unready("timed out").await;
    let seen = passage.proxy.faulted();
    let asked: usize = seen.values().map(Vec::len).sum();
    assert!(asked <= 2, "one request waits, and after its time one more: {seen:?}");
    passage.proxy.behave();
    passage.answered().await;
    passage.service.ready().await.unwrap();
    passage.close().await;
}

#[tokio::test]
async fn a_slow_homeserver_is_merely_slow() {
    let mut passage = Passage::open().await;
    for scope in [Scope::Sends, Scope::All] {
        passage.proxy.misbehave(scope, Fault::Drip);
        passage.send().await;
        passage.answered().await;
        let (ready, why) = passage.service.readiness().await.unwrap();
        assert!(ready || scope == Scope::All, "{why}");
    }
    // The long poll that the slowness broke off when it began is the one thing that may have failed.
    passage.service.ready().await.unwrap();
    passage.close().await;
}

#[tokio::test]
async fn an_invitation_is_dealt_with_in_spite_of_everything() {
    let passage = Passage::open().await;
    let html = || answer(200, "Content-Type: text/html\r\n", b"<h1>Welcome</h1>");
    for (name, fault) in [
        ("500", answer(500, JSON, br#"{"errcode":"M_UNKNOWN"}"#)),
        ("HTML", html()),
        ("a closed connection", Fault::Close),
        ("a broken answer", Fault::BreakOff),
    ] {
        for (algorithm, expected) in [("m.mls.10", "join"), ("m.megolm.v1.aes-sha2", "leave")] {
            passage.proxy.misbehave(Scope::Rooms, fault.clone());
            let creation = json!({"encryption_algorithm": algorithm});
            let body = json!({"creation_content": creation, "invite": [format!("@:{SERVER_NAME}")]});
            let room = passage.alice.create_room(&body).await.unwrap();
            passage.failures(name).await;
            passage.proxy.behave();
            let became = eventually(BOUND, name, async || {
                let service = format!("@:{SERVER_NAME}");
                let member = passage.alice.state_content(&room, "m.room.member", &service).await?;
                Ok((member["membership"] == expected).then_some(()))
            });
            became.await.unwrap();
            // The invitation came by /sync and by push: of any three tries, two are of the same one.
            for (asked, times) in passage.proxy.faulted() {
                for three in times.windows(3) {
                    assert!(three[2] - three[0] >= limits::BACKOFF_FIRST, "{name}: {asked}: {times:?}");
                }
            }
        }
    }
    passage.close().await;
}

#[tokio::test]
async fn a_service_that_starts_meanwhile_waits_for_its_homeserver() {
    let mut passage = Passage::open().await;
    for case in failing_statuses().into_iter().step_by(3).chain(garbage().into_iter().step_by(3)) {
        passage.service.kill().unwrap();
        passage.proxy.misbehave(Scope::All, case.fault.clone());
        passage.send().await;
        passage.service.start().unwrap();
        passage.failing(&case).await;
        passage.unready("homeserver").await;
        assert!(passage.service.ended().unwrap().is_none(), "{}", passage.service.log());
        passage.proxy.behave();
        passage.service.ready().await.unwrap();
        passage.answered().await;
        passage.paced(&case);
    }
    passage.close().await;
}

/// A homeserver of several processes: the one that pushes is well, the one that answers `/sync` is not.
#[tokio::test]
async fn pushes_do_not_drive_the_service_to_ask_without_pause() {
    let mut passage = Passage::open().await;
    for (status, headers, least) in
        [(502, "", limits::BACKOFF_FIRST), (429, "Retry-After: 2\r\n", Duration::from_secs(2))]
    {
        passage.proxy.misbehave(Scope::All, answer(status, headers, b""));
        passage.send().await;
        let (address, authorization) =
            (push::address(&passage.service), push::authorization(&passage.service));
        let mut pushes = 0;
        let pushing = async {
            while passage.proxy.faulted().values().all(|times| times.len() < FAILURES) {
                pushes += 1;
                let path = format!("/_matrix/app/v1/transactions/{status}-{pushes}");
                let pushed = ask(address, request("PUT", &path, &[&authorization], b"{}")).await;
                assert_eq!(pushed.status, 200);
            }
        };
        tokio::time::timeout(BOUND, pushing).await.unwrap();
        for (asked, times) in passage.proxy.faulted() {
            for pair in times.windows(2) {
                assert!(pair[1] - pair[0] >= least, "{pushes} pushes, {asked}: {times:?}");
            }
        }
        passage.proxy.behave();
        passage.answered().await;
    }
    passage.close().await;
}

/// A proxy that answers from its memory: sound answers, at once, with nothing in them and no right position.
#[tokio::test]
async fn empty_pages_that_come_at_once_make_no_busy_loop() {
    let mut passage = Passage::open().await;
    passage
        .proxy
        .misbehave(Scope::All, answer(200, "Content-Type: text/html\r\n", br#"{"next_batch":"s0"}"#));
    passage.send().await;
    let times = eventually(BOUND, "requests", async || {
        let faulted = passage.proxy.faulted();
        Ok(faulted.into_values().find(|times| times.len() >= 20))
    });
    let times = times.await.unwrap();
    // The first comes after the request that the change of weather broke off.
    for pair in times.windows(2).skip(1) {
        let paused = pair[1] - pair[0];
        assert!(paused >= limits::SYNC_PACE, "asked again after {paused:?}: {times:?}");
    }
    passage.proxy.behave();
    passage.answered().await;
    passage.close().await;
}
