//! Requests that are malformed, too long, too slow, half, or too many.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{AdminLimits, Staged};
use super::{Fake, Served, error, exists, explanation, patient, rest, socket_in};

const ASK: &[u8] = b"{\"command\":\"explain\",\"room\":\"!room:a.org\"}\n";
const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn malformed_requests_are_refused_in_a_sentence() {
    let served = Served::knowing().await;
    let deep = format!("{{\"command\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    let long = format!(r#"{{"command":"freeze","room":"!room:a.org","reason":"{}"}}"#, "x".repeat(513));
    for (request, why) in [
        ("", "not a JSON object"),
        ("explain", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{\"command\":\"explain\"", "not a JSON object"),
        ("{}{}", "not a JSON object"),
        (&deep, "not a JSON object"),
        ("{}", "no `command`; there are: `explain`"),
        (r#"{"command":7}"#, "no `command`"),
        (r#"{"command":"melt"}"#, "no such command; there are: `explain`"),
        (r#"{"command":""}"#, "no such command"),
        (r#"{"command":"explain"}"#, "takes a `room`"),
        (r#"{"command":"explain","room":7}"#, "takes a `room`"),
        (r#"{"command":"explain","room":""}"#, "takes a `room`"),
        (r#"{"command":"explain","room":"@alice:a.org"}"#, "takes a `room`"),
        (r#"{"command":"explain","room":"!room:a.org","as":"x"}"#, "no \"as\""),
        (r#"{"command":"freeze","room":"!room:a.org"}"#, "takes a `reason`"),
        (r#"{"command":"freeze","room":"!room:a.org","reason":""}"#, "takes a `reason`"),
        (r#"{"command":"freeze","room":"!room:a.org","reason":7}"#, "takes a `reason`"),
        (r#"{"command":"freeze","reason":"x"}"#, "takes a `room`"),
        (&long, "at most 512 bytes"),
        (r#"{"command":"unfreeze"}"#, "takes a `room`"),
        (r#"{"command":"unfreeze","room":"!room:a.org","reason":"x"}"#, "no \"reason\""),
        (r#"{"command":"log","room":"!room:a.org","from":-1}"#, "takes `from`"),
        (r#"{"command":"log","room":"!room:a.org","from":"1"}"#, "takes `from`"),
        (r#"{"command":"log","room":"!room:a.org","to":9007199254740992}"#, "takes `to`"),
        (r#"{"command":"log","from":1}"#, "takes a `room`"),
        (r#"{"command":"log","room":"!room:a.org","till":1}"#, "no \"till\""),
        (r#"{"command":"frozen","room":"!room:a.org"}"#, "takes a `after` and no \"room\""),
    ] {
        let said = error(&served.says_to(format!("{request}\n").as_bytes()).await);
        assert!(said.contains(why), "{request}: {said}");
    }
    let said = error(&served.says_to(b"{\"command\":\"\xff\"}\n").await);
    assert!(said.contains("not a JSON object"), "{said}");
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_before_its_end() {
    let limits = AdminLimits { request_bytes: ASK.len(), ..patient() };
    let served = Served::by(Fake::Knows(Box::new(explanation())), limits).await;
    assert!(served.says_to(ASK).await.starts_with("{\"ok\":"), "exactly as long as may be");
    let mut stream = served.connect().await;
    stream.write_all(&vec![b' '; ASK.len() + 1]).await.unwrap();
    let said = error(&rest(&mut stream).await);
    assert!(said.contains(&format!("more than {} bytes", ASK.len())), "{said}");
    let said = error(&served.says_to(&vec![b'x'; 1_000_000]).await);
    assert!(said.contains("more than"), "{said}");
}

#[tokio::test]
async fn a_request_that_does_not_arrive_in_time_is_refused() {
    let limits = AdminLimits { stall: SOON, ..patient() };
    let served = Served::by(Fake::Knows(Box::new(explanation())), limits).await;
    for begun in [&b""[..], b"{\"command\":"] {
        let mut stream = served.connect().await;
        stream.write_all(begun).await.unwrap();
        assert!(error(&rest(&mut stream).await).contains("in time"));
    }
}

#[tokio::test]
async fn half_a_request_is_refused_and_none_is_not_answered() {
    let served = Served::knowing().await;
    let said = error(&served.says_to(&ASK[..ASK.len() - 1]).await);
    assert!(said.contains("breaks off"), "{said}");
    assert_eq!(served.says_to(b"").await, "");
    // Whoever goes away at once leaves the service as it was.
    drop(served.connect().await);
    assert!(served.says_to(ASK).await.starts_with("{\"ok\":"));
}

#[tokio::test]
async fn one_connection_asks_one_thing() {
    let served = Served::knowing().await;
    let answer = served.says_to(&[ASK, ASK].concat()).await;
    assert_eq!(answer.lines().count(), 1);
    let told: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(told["ok"]["members"][1], json!({"identity": "@bob:b.org/LAPTOP", "leaf": 2}));
}

#[tokio::test]
async fn a_connection_too_many_waits_for_its_turn() {
    let limits = AdminLimits { connections: 1, ..patient() };
    let served = Served::by(Fake::Knows(Box::new(explanation())), limits).await;
    let mut first = served.connect().await;
    first.write_all(b"{").await.unwrap();
    let mut second = served.connect().await;
    second.write_all(ASK).await.unwrap();
    let early = tokio::time::timeout(SOON, second.read_u8()).await;
    assert!(early.is_err(), "the second was answered beside the first");
    first.write_all(b"}\n").await.unwrap();
    assert!(error(&rest(&mut first).await).contains("no `command`"));
    assert!(rest(&mut second).await.starts_with("{\"ok\":"));
}

#[tokio::test]
async fn an_answer_that_takes_too_long_or_is_too_long_is_an_error() {
    let limits = AdminLimits { thought: SOON, ..patient() };
    let served = Served::by(Fake::Ponders, limits).await;
    assert!(error(&served.says_to(ASK).await).contains("did not find the answer in time"));
    let limits = AdminLimits { answer_bytes: 100, ..patient() };
    let served = Served::by(Fake::Knows(Box::new(explanation())), limits).await;
    assert!(error(&served.says_to(ASK).await).contains("too long"));
}

#[tokio::test]
async fn long_lists_are_cut_and_the_total_stays() {
    let mut many = explanation();
    many.members = vec![many.members[0].clone(); maypole_core::limits::EXPLAINED_MEMBERS + 1];
    many.members_total = 70_000;
    let effects = vec!["kick".to_owned(); maypole_core::limits::EXPLAINED_EFFECTS + 1];
    many.staged = Some(Staged { since_ms: 0, effects });
    let served = Served::by(Fake::Knows(Box::new(many)), patient()).await;
    let told: Value = serde_json::from_str(&served.says_to(ASK).await).unwrap();
    let length = |value: &Value| value.as_array().unwrap().len();
    assert_eq!(length(&told["ok"]["members"]), maypole_core::limits::EXPLAINED_MEMBERS);
    assert_eq!(length(&told["ok"]["staged"]["effects"]), maypole_core::limits::EXPLAINED_EFFECTS);
    assert_eq!(told["ok"]["members_total"], 70_000);
}

#[tokio::test]
async fn whoever_does_not_take_the_answer_is_cut_off() {
    let mut large = explanation();
    large.receipt = "x".repeat(4_000_000);
    let limits = AdminLimits { stall: SOON, connections: 1, ..patient() };
    let served = Served::by(Fake::Knows(Box::new(large)), limits).await;
    let mut idle = served.connect().await;
    idle.write_all(ASK).await.unwrap();
    // The only place is free again though the first has read nothing.
    assert!(error(&served.says_to(b"{}\n").await).contains("no `command`"));
    assert!(rest(&mut idle).await.len() < 4_000_000);
}

#[tokio::test]
async fn at_the_stop_what_was_asked_is_answered_and_no_more_is_heard() {
    let limits = AdminLimits { thought: Duration::from_millis(200), ..patient() };
    let served = Served::by(Fake::Ponders, limits).await;
    let (mut asked, mut silent) = (served.connect().await, served.connect().await);
    asked.write_all(ASK).await.unwrap();
    let early = tokio::time::timeout(SOON, asked.read_u8()).await;
    assert!(early.is_err(), "it ponders");
    served.stop.cancel();
    assert_eq!(rest(&mut silent).await, "");
    assert!(error(&rest(&mut asked).await).contains("in time"));
    served.serving.await.unwrap();
    assert!(!exists(&socket_in(&served.folder)));
}
