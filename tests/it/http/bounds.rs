//! How long a client may take, and how many there may be.

use std::time::Duration;

use super::client::{Client, ask, request};
use super::stage::{Intake, bearer, limits, stage};

const TRANSACTION: &str = "/_matrix/app/v1/transactions/1";
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let mut limits = limits();
    limits.head_timeout = SHORT;
    let stage = stage(limits, Intake::open()).await;
    let mut client = Client::connect(stage.matrix).await;
    client.send(b"GET / HTTP/1.1\r\n").await;
    let answer = client.drip(b"X: x\r\n").await;
    answer.assert_refusal(408, "M_UNKNOWN");
    client.closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let mut limits = limits();
    limits.head_timeout = SHORT;
    let stage = stage(limits, Intake::open()).await;
    Client::connect(stage.matrix).await.closed().await;
    let mut client = Client::connect(stage.matrix).await;
    client.send(request("POST", "/_matrix/app/v1/ping", &[&bearer()], b"{}")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.closed().await;
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let mut limits = limits();
    limits.body_timeout = SHORT;
    let stage = stage(limits, Intake::open()).await;
    let mut client = Client::connect(stage.matrix).await;
    client.send(format!("PUT {TRANSACTION} HTTP/1.1\r\n{}\r\nContent-Length: 60000\r\n\r\n", bearer())).await;
    let answer = client.drip(b"x").await;
    answer.assert_refusal(408, "M_UNKNOWN");
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert!(stage.intake.transactions().is_empty());
}

#[tokio::test]
async fn whoever_never_takes_the_answers_is_cut_off() {
    let mut limits = limits();
    limits.stall = SHORT;
    limits.connections = 1;
    let stage = stage(limits, Intake::open()).await;
    let mut greedy = Client::connect(stage.matrix).await;
    let many = request("GET", "/nowhere", &[], b"").repeat(1_000);
    // Until the answers fill every buffer in between, and the service stops reading and hangs up.
    for round in 0.. {
        assert!(round < 10_000, "the answers go nowhere, and still it reads on");
        if !greedy.send(&many).await {
            break;
        }
    }
    let answer = ask(stage.matrix, request("POST", "/_matrix/app/v1/ping", &[&bearer()], b"{}")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn at_the_bound_connections_wait_and_operators_do_not() {
    let mut limits = limits();
    limits.connections = 2;
    let stage = stage(limits, Intake::open()).await;
    let ping = request("POST", "/_matrix/app/v1/ping", &[&bearer()], b"{}");
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(stage.matrix).await;
        client.send(&ping).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
        inside.push(client);
    }
    let mut waiting = Client::connect(stage.matrix).await;
    waiting.send(&ping).await;
    assert!(waiting.answer_within(SHORT).await.is_none(), "the bound does not hold");
    let live = ask(stage.operations, request("GET", "/live", &[], b"")).await;
    assert_eq!(live.status, 200);
    // Those who are inside are still served.
    inside[0].send(&ping).await;
    assert_eq!(inside[0].answer().await.unwrap().status, 200);
    inside.pop();
    assert_eq!(waiting.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn bodies_over_the_bound_wait_their_turn_in_vain_or_not() {
    let mut limits = limits();
    limits.bodies = 1;
    limits.body_timeout = SHORT;
    let stage = stage(limits, Intake::closed()).await;
    let transaction =
        |id: u8| request("PUT", &format!("/_matrix/app/v1/transactions/{id}"), &[&bearer()], b"{}");
    let mut first = Client::connect(stage.matrix).await;
    first.send(transaction(1)).await;
    stage.intake.until_inside(1).await;
    // The first body is still held, so the second is refused when its time is up, for the homeserver to try again.
    ask(stage.matrix, transaction(2)).await.assert_refusal(503, "M_UNKNOWN");
    let mut third = Client::connect(stage.matrix).await;
    third.send(transaction(3)).await;
    stage.intake.gate.add_permits(1);
    assert_eq!(first.answer().await.unwrap().status, 200);
    stage.intake.until_inside(1).await;
    stage.intake.gate.add_permits(1);
    assert_eq!(third.answer().await.unwrap().status, 200);
    let ids: Vec<String> = stage.intake.transactions().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["1", "3"]);
}
