//! The ground on which the service stands: a user with an empty localpart, its one device, and push.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use maypole_testkit::ports::HeldPort;
use maypole_testkit::synapse::Synapse;
use maypole_testkit::user::User;
use maypole_testkit::{Answer, path_part};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const BOUND: Duration = Duration::from_secs(30);
const TOKEN: &str = "as-token-of-a-test-0123456789abcdef";
const SYNC: &str =
    "/_matrix/client/v3/sync?user_id=%40%3Amaypole.test&device_id=&timeout=0&set_presence=offline";

fn registration(url: &Value) -> String {
    json!({
        "id": "maypole", "url": url, "as_token": TOKEN, "hs_token": "hs-token-of-a-test-0123456789abcdef",
        "sender_localpart": "_mls_ds", "rate_limited": false, "receive_ephemeral": true,
        "org.matrix.msc3202": true, "io.element.msc4190": true,
        "namespaces": {"users": [{"exclusive": true, "regex": "@:maypole\\.test"}], "aliases": [], "rooms": []},
    })
    .to_string()
}

/// Asks as the service.
async fn ask(service: &User, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
    service.ask(method, path, body.as_ref()).await
}

/// Registers the service's user and makes its device, each twice.
async fn make_user_and_device(service: &User) -> Result<()> {
    let body = json!({"type": "m.login.application_service", "username": "", "inhibit_login": true});
    let made = ask(service, Method::POST, "/_matrix/client/v3/register", Some(body.clone())).await?;
    ensure!(
        made.status.as_u16() == 200 && made.body.get("user_id") == Some(&json!("@:maypole.test")),
        "{made:?}"
    );
    let again = ask(service, Method::POST, "/_matrix/client/v3/register", Some(body)).await?;
    ensure!(
        again.status.as_u16() == 400 && again.body.get("errcode") == Some(&json!("M_USER_IN_USE")),
        "{again:?}"
    );
    let device = "/_matrix/client/v3/devices/?user_id=%40%3Amaypole.test";
    for status in [201, 200] {
        let put = ask(service, Method::PUT, device, Some(json!({}))).await?;
        ensure!(put.status.as_u16() == status, "{put:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_with_an_empty_localpart_reads_its_one_device() {
    let builder = Synapse::builder().server_name("maypole.test").registration(registration(&Value::Null));
    let synapse = builder.start().await.unwrap();
    let alice = synapse.register("alice", "ALICE1").await.unwrap();
    let service = alice.with_token(TOKEN);
    make_user_and_device(&service).await.unwrap();

    for (txn, device) in [("t1", ""), ("t2", "*"), ("t3", "NOWHERE")] {
        let messages = json!({"@:maypole.test": {device: {"n": txn}}});
        alice.send_to_device("m.mls.message", txn, &messages).await.unwrap();
    }
    let first = ask(&service, Method::GET, SYNC, None).await.unwrap();
    let events = first.body["to_device"]["events"].as_array().unwrap();
    let got: Vec<_> = events.iter().map(|event| &event["content"]["n"]).collect();
    assert_eq!(got, ["t1", "t2"]);
    let since = path_part(first.body["next_batch"].as_str().unwrap());
    let second = ask(&service, Method::GET, &format!("{SYNC}&since={since}"), None).await.unwrap();
    assert_eq!((second.status.as_u16(), &second.body["to_device"]), (200, &json!(null)));

    // A device that is not there, and a user who is not its own, are refused.
    let elsewhere = SYNC.replace("device_id=", "device_id=OTHER");
    let refused = ask(&service, Method::GET, &elsewhere, None).await.unwrap();
    assert_eq!((refused.status.as_u16(), &refused.body["errcode"]), (400, &json!("M_UNKNOWN_DEVICE")));
    let other = SYNC.replace("%40%3A", "%40alice%3A");
    let refused = ask(&service, Method::GET, &other, None).await.unwrap();
    assert_eq!((refused.status.as_u16(), &refused.body["errcode"]), (403, &json!("M_FORBIDDEN")));
}

#[tokio::test]
async fn with_push_on_to_device_messages_arrive_by_both_ways() {
    let port = HeldPort::any().unwrap();
    let listener = TcpListener::bind(port.address()).await.unwrap();
    let builder =
        Synapse::builder().server_name("maypole.test").registration(registration(&json!(port.url())));
    let synapse = builder.push(true).start().await.unwrap();
    let alice = synapse.register("alice", "ALICE1").await.unwrap();
    let service = alice.with_token(TOKEN);
    make_user_and_device(&service).await.unwrap();
    let messages = json!({"@:maypole.test": {"": {"n": 1}}});
    alice.send_to_device("m.mls.message", "t1", &messages).await.unwrap();

    let pushed = tokio::time::timeout(BOUND, next_pushed(&listener)).await.unwrap().unwrap();
    assert_eq!((&pushed["type"], &pushed["content"]["n"]), (&json!("m.mls.message"), &json!(1)));
    assert_eq!((&pushed["to_user_id"], &pushed["to_device_id"]), (&json!("@:maypole.test"), &json!("")));
    let synced = ask(&service, Method::GET, SYNC, None).await.unwrap();
    assert_eq!(synced.body["to_device"]["events"][0]["content"]["n"], 1);
}

/// The first to-device message in a transaction; those without one are acknowledged and passed over.
async fn next_pushed(listener: &TcpListener) -> Result<Value> {
    loop {
        let (mut connection, _) = listener.accept().await?;
        let mut request = Vec::new();
        let body = loop {
            if connection.read_buf(&mut request).await? == 0 {
                bail!("a request ended early");
            }
            if let Some(body) = whole_body(&request)? {
                break body;
            }
        };
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close";
        let answer = format!("{head}\r\n\r\n{{}}");
        connection.write_all(answer.as_bytes()).await?;
        if let Some(message) = body.pointer("/de.sorunome.msc2409.to_device/0") {
            return Ok(message.clone());
        }
    }
}

/// The JSON of a request with a `Content-Length`, once all of it is there.
fn whole_body(request: &[u8]) -> Result<Option<Value>> {
    let text = std::str::from_utf8(request)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.context("a transaction has a length")?;
    Ok(if body.len() < length { None } else { Some(serde_json::from_str(body)?) })
}
