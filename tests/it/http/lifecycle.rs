//! How a listener begins and ends.

use std::net::SocketAddr;
use std::time::Duration;

use maypole::http::listener::{BindError, Listener};
use maypole::telemetry::labels::Door;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::{Client, PATIENCE, ask, request};
use super::stage::{Intake, bearer, limits, loopback, matrix_router, stage};

fn ping() -> Vec<u8> {
    request("POST", "/_matrix/app/v1/ping", &[&bearer()], b"{}")
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let taken = Listener::bind(Door::Matrix, &[loopback()]).unwrap();
    let address = taken.addresses()[0];
    let error = Listener::bind(Door::Operations, &[loopback(), address]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the operations listener cannot listen on {address}: another program listens there already")
    );
    let nobodys = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = Listener::bind(Door::Matrix, &[nobodys]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the matrix listener cannot listen on 192.0.2.1:0: this machine does not have that address"
    );
    assert!(matches!(Listener::bind(Door::Matrix, &[]), Err(BindError::NoAddress(Door::Matrix))));
}

#[tokio::test]
async fn one_place_serves_several_addresses() {
    let mut limits = limits();
    limits.connections = 1;
    let listener = Listener::bind(Door::Matrix, &[loopback(), loopback(), loopback()]).unwrap();
    let addresses = listener.addresses().to_vec();
    let shutdown = CancellationToken::new();
    let serving =
        tokio::spawn(listener.serve(matrix_router(limits, Intake::open()), limits, shutdown.clone()));
    for address in [&addresses[..], &addresses[..]].concat() {
        assert_eq!(ask(address, ping()).await.status, 200, "{address}");
    }
    shutdown.cancel();
    timeout(PATIENCE, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    let mut stage = stage(limits(), Intake::closed()).await;
    let mut in_flight = Client::connect(stage.matrix).await;
    in_flight.send(request("PUT", "/_matrix/app/v1/transactions/1", &[&bearer()], b"{}")).await;
    stage.intake.until_inside(1).await;
    let mut idle = Client::connect(stage.matrix).await;
    idle.send(ping()).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let mut silent = Client::connect(stage.matrix).await;

    stage.shutdown.cancel();
    idle.closed().await;
    silent.closed().await;
    drop((idle, silent));
    // The system refuses for us: nobody listens any more.
    assert!(TcpStream::connect(stage.matrix).await.is_err());
    assert!(!stage.serving.is_finished());

    stage.intake.gate.add_permits(1);
    let answer = in_flight.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
    drop(in_flight);
    timeout(PATIENCE, &mut stage.serving).await.expect("the drain does not end").unwrap();
    assert_eq!(stage.intake.transactions().len(), 1);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut() {
    let mut limits = limits();
    limits.drain = Duration::from_millis(200);
    let mut stage = stage(limits, Intake::closed()).await;
    let mut in_flight = Client::connect(stage.matrix).await;
    in_flight.send(request("PUT", "/_matrix/app/v1/transactions/1", &[&bearer()], b"{}")).await;
    stage.intake.until_inside(1).await;
    stage.shutdown.cancel();
    timeout(PATIENCE, &mut stage.serving).await.expect("the drain does not end").unwrap();
    assert!(in_flight.answer().await.is_none());
    stage.intake.until_inside(0).await;
    assert!(stage.intake.transactions().is_empty());
}

#[tokio::test]
async fn a_hard_stop_ends_connections_too() {
    let stage = stage(limits(), Intake::closed()).await;
    let mut in_flight = Client::connect(stage.matrix).await;
    in_flight.send(request("PUT", "/_matrix/app/v1/transactions/1", &[&bearer()], b"{}")).await;
    stage.intake.until_inside(1).await;
    stage.serving.abort();
    assert!(in_flight.answer().await.is_none());
    stage.intake.until_inside(0).await;
}
