//! Start and stop: nothing is bound before the configuration is good, and every stop is orderly.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use maypole::storage::sled::Store;
use maypole_core::batch::Op;
use maypole_core::ids::SyncToken;
use maypole_core::ledger::Ledger;
use maypole_testkit::service::{House, Service};
use maypole_testkit::wait::eventually;
use serde_json::json;

use crate::answers::binary;
use crate::messages::{base64, commit_for, send};

const BOUND: Duration = Duration::from_secs(60);

fn address(url: &str) -> &str {
    url.strip_prefix("http://").unwrap()
}

#[tokio::test]
async fn sigterm_ends_it_in_order_and_the_store_can_be_opened_again() {
    let mut house = House::start(binary()).await.unwrap();
    let log = house.service.log();
    for url in [house.service.url(), house.service.operations_url()] {
        assert!(log.contains(address(&url)), "the log names every bound address: {log}");
    }
    let ended = house.service.stop().await.unwrap();
    assert!(ended.success(), "{ended}: {}", house.service.log());
    assert!(TcpStream::connect(address(&house.service.url())).is_err());
    house.service.start().unwrap();
    house.service.ready().await.unwrap();
    house.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let mut house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    // A request that stays open keeps the drain from ending.
    let mut open = TcpStream::connect(address(&house.service.url())).unwrap();
    let token = "x".repeat(10);
    std::io::Write::write_all(
        &mut open,
        format!(
            "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n"
        )
        .as_bytes(),
    )
    .unwrap();
    send(
        &alice,
        "1",
        "m.mls.message",
        &json!({"device_id": "ALICE1", "message": base64(&commit_for(b"g", 1))}),
    )
    .await;
    house.service.terminate().unwrap();
    eventually(BOUND, "the drain to begin", async || {
        Ok(house.service.log().contains("draining").then_some(()))
    })
    .await
    .unwrap();
    house.service.terminate().unwrap();
    let ended = house.service.wait().await.unwrap();
    assert!(!ended.success(), "a hard stop is told from an orderly one");
    house.synapse.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_configuration_binds_nothing() {
    let mut service = Service::prepare(binary()).unwrap();
    service.configure("http://127.0.0.1:1", "log: {level: \"???\"}").unwrap();
    service.start().unwrap();
    let ended = service.wait().await.unwrap();
    assert_eq!(ended.code(), Some(3), "{}", service.log());
    assert!(service.log().contains("log.level"), "{}", service.log());
    assert!(!service.log().contains("listening"), "{}", service.log());
    assert!(!service.folder().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn a_second_process_on_the_same_store_refuses_to_start() {
    let house = House::start(binary()).await.unwrap();
    let output = Command::new(binary())
        .args(["serve", "--config"])
        .arg(house.service.config())
        .env("MAYPOLE_LISTENER__ADDRESS", "127.0.0.1:0")
        .env("MAYPOLE_OPERATIONS__ADDRESS", "127.0.0.1:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("in use"), "{said}");
    house.stop().await.unwrap();
}

#[tokio::test]
async fn a_homeserver_that_does_not_know_the_registration_is_named() {
    let mut house = House::start(binary()).await.unwrap();
    house.service.stop().await.unwrap();
    let other = Service::prepare(binary()).unwrap();
    std::fs::copy(other.registration(), house.service.registration()).unwrap();
    let registration = std::fs::read_to_string(house.service.registration()).unwrap();
    house.service.start().unwrap();
    let ended = house.service.wait().await.unwrap();
    assert_eq!(ended.code(), Some(4), "{}", house.service.log());
    assert!(house.service.log().contains("M_UNKNOWN_TOKEN"), "{}", house.service.log());
    let tokens: Vec<&str> =
        registration.lines().filter_map(|line| line.split_once("_token: ")).map(|(_, token)| token).collect();
    assert_eq!(tokens.len(), 2);
    for token in tokens {
        assert!(!house.service.log().contains(token), "no token in the log");
    }
    house.synapse.stop().await.unwrap();
}

#[tokio::test]
async fn a_store_of_another_server_is_refused() {
    let mut house = House::start(binary()).await.unwrap();
    house.service.stop().await.unwrap();
    let text = std::fs::read_to_string(house.service.config()).unwrap();
    let moved = text.replace("maypole.test", "other.test");
    std::fs::write(house.service.config(), moved).unwrap();
    let registration = std::fs::read_to_string(house.service.registration()).unwrap();
    std::fs::write(house.service.registration(), registration.replace("maypole\\.test", "other\\.test"))
        .unwrap();
    house.service.start().unwrap();
    let ended = house.service.wait().await.unwrap();
    assert_eq!(ended.code(), Some(5), "{}", house.service.log());
    assert!(house.service.log().contains("@:maypole.test"), "{}", house.service.log());
    house.synapse.stop().await.unwrap();
}

/// Groups know their service by its keys: with those of another nothing may be signed.
#[tokio::test]
async fn keys_of_another_service_are_refused_and_the_own_ones_taken_again() {
    let mut house = House::start(binary()).await.unwrap();
    house.service.stop().await.unwrap();
    let keys = house.service.keys();
    let own = keys.with_file_name("own");
    std::fs::rename(&keys, &own).unwrap();
    // Another service, on the same homeserver, makes its own.
    let mut other = house.service.twin().unwrap();
    other.configure(&house.synapse.base_url(), "").unwrap();
    std::fs::create_dir(other.folder().join("data")).unwrap();
    other.start().unwrap();
    other.ready().await.unwrap();
    assert!(other.stop().await.unwrap().success());
    std::fs::rename(other.keys(), &keys).unwrap();

    house.service.start().unwrap();
    let ended = house.service.wait().await.unwrap();
    assert_eq!(ended.code(), Some(6), "{}", house.service.log());
    assert!(house.service.log().contains("others than those that the store's groups know"));
    std::fs::remove_dir_all(&keys).unwrap();
    std::fs::rename(&own, &keys).unwrap();
    house.service.start().unwrap();
    house.service.ready().await.unwrap();
    house.stop().await.unwrap();
}

/// A part of a copy is never taken for a store.
#[tokio::test]
async fn what_a_broken_import_left_is_refused() {
    let mut house = House::start(binary()).await.unwrap();
    house.service.stop().await.unwrap();
    let data = house.service.folder().join("data/sled");
    std::fs::remove_dir_all(&data).unwrap();
    let ledger = Ledger::new(Store::open(&data).unwrap());
    ledger.take_over(vec![Op::MoveCursor(SyncToken::parse("s1").unwrap())]).await.unwrap();
    ledger.into_backend().close().await;
    house.service.start().unwrap();
    let ended = house.service.wait().await.unwrap();
    assert_eq!(ended.code(), Some(5), "{}", house.service.log());
    assert!(house.service.log().contains("an import broke off"), "{}", house.service.log());
    house.synapse.stop().await.unwrap();
}
