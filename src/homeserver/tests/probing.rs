//! Probing homeservers of several kinds, each a script of answers.

use super::super::{CallError, Homeserver, Probe};
use super::adapter;
use super::faulty::{Faulty, Reply};

const VERSIONS: &str = r#"{"versions":["v1.1","v1.15"],"unstable_features":{"a":true,"b":false,"c":"odd"}}"#;
const US: &str = r#"{"user_id":"@:localhost"}"#;
const NOT_KNOWN: &str = r#"{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}"#;

fn devices(ids: &[&str]) -> Reply {
    let devices: Vec<_> =
        ids.iter().map(|id| serde_json::json!({"device_id": id, "last_seen_ts": null})).collect();
    Reply::json(200, &serde_json::json!({"devices": devices}).to_string())
}

fn ok(body: &str) -> Reply {
    Reply::json(200, body)
}

fn no(status: u16, errcode: &str) -> Reply {
    Reply::json(status, &format!(r#"{{"errcode":"{errcode}","error":"No."}}"#))
}

async fn probe(replies: Vec<Reply>) -> (Result<Probe, CallError>, Vec<String>) {
    let faulty = Faulty::serve(replies).await;
    let homeserver: Homeserver = adapter(&faulty.url());
    let outcome = homeserver.probe().await;
    let short = |line: String| {
        let (method, rest) = line.split_once(" /_matrix/client/").unwrap();
        format!("{method} {}", rest.split(['?', ' ']).next().unwrap())
    };
    (outcome, faulty.lines().into_iter().map(short).collect())
}

#[tokio::test]
async fn what_is_no_homeserver_ends_the_probe_at_once() {
    let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    for reply in [
        Reply::json(404, "<html>"),
        Reply::json(200, "{}"),
        Reply::json(200, "{\"versions\":7}"),
        Reply::json(200, &serde_json::json!({"versions": many}).to_string()),
        Reply::Reset,
    ] {
        let (outcome, lines) = probe(vec![reply]).await;
        assert!(outcome.unwrap_err().is_transient());
        assert!(lines.len() <= 1, "{lines:?}");
    }
}

#[tokio::test]
async fn a_homeserver_that_does_not_know_us_is_left_alone() {
    for reply in [no(401, "M_UNKNOWN_TOKEN"), no(403, "M_EXCLUSIVE")] {
        let (outcome, lines) = probe(vec![ok(VERSIONS), reply]).await;
        assert!(matches!(outcome, Err(CallError::NotUs { .. })), "{outcome:?}");
        assert_eq!(lines, ["GET versions", "GET v3/account/whoami"]);
    }
    let (outcome, _) = probe(vec![ok(VERSIONS), ok(r#"{"user_id":"@_mls_ds:localhost"}"#)]).await;
    assert!(
        matches!(&outcome, Err(CallError::Broken { why, .. }) if why.contains("@_mls_ds")),
        "{outcome:?}"
    );
    let (outcome, lines) = probe(vec![ok(VERSIONS), no(403, "M_FORBIDDEN"), no(400, "M_EXCLUSIVE")]).await;
    assert!(matches!(outcome, Err(CallError::NotUs { .. })), "{outcome:?}");
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_user_that_cannot_be_had_is_said() {
    let forbidden = no(403, "M_FORBIDDEN");
    let (outcome, lines) =
        probe(vec![ok(VERSIONS), forbidden.clone(), no(400, "M_USER_IN_USE"), forbidden.clone()]).await;
    assert!(matches!(&outcome, Err(CallError::Broken { why, .. }) if why.contains("act as")), "{outcome:?}");
    assert_eq!(lines[2..], ["POST v3/register", "GET v3/account/whoami"]);
    let (outcome, lines) = probe(vec![ok(VERSIONS), forbidden.clone(), no(403, "M_INVALID_USERNAME")]).await;
    assert!(matches!(outcome, Err(CallError::Refused { .. })), "{outcome:?}");
    assert_eq!(lines[2..], ["POST v3/register", "POST v3/register"]);
}

#[tokio::test]
async fn from_nothing_there_is_a_user_and_one_empty_device() {
    let (outcome, lines) = probe(vec![
        ok(VERSIONS),
        no(403, "M_FORBIDDEN"),
        no(400, "M_APPSERVICE_LOGIN_UNSUPPORTED"),
        ok("{}"),
        ok(US),
        Reply::json(201, "{}"),
        devices(&[""]),
        ok(r#"{"user_id":"@:localhost","device_id":""}"#),
    ])
    .await;
    assert_eq!(
        lines,
        [
            "GET versions",
            "GET v3/account/whoami",
            "POST v3/register",
            "POST v3/register",
            "GET v3/account/whoami",
            "PUT v3/devices/",
            "GET v3/devices",
            "GET v3/account/whoami",
        ]
    );
    let probe = outcome.unwrap();
    assert!(probe.abilities.empty_device_id && probe.abilities.msc4190 && probe.abilities.names_device);
    assert!(probe.abilities.push_ping && probe.abilities.extra_devices.is_empty());
    assert_eq!(probe.features.into_values().collect::<Vec<_>>(), [true, false, false]);
}

#[tokio::test]
async fn extra_devices_are_deleted_or_reported() {
    let start = || vec![ok(VERSIONS), ok(US), ok("{}"), devices(&["OLD", "", "B"])];
    let mut replies = start();
    replies.extend([ok("{}"), devices(&[""]), ok(US)]);
    let (outcome, lines) = probe(replies).await;
    assert!(outcome.unwrap().abilities.extra_devices.is_empty());
    assert_eq!(lines[4..6], ["POST v3/delete_devices", "GET v3/devices"]);
    for refusal in [no(401, "M_FORBIDDEN"), Reply::json(401, r#"{"flows":[],"session":"x"}"#)] {
        let mut replies = start();
        replies.extend([refusal, devices(&["OLD", "", "B"]), ok(US)]);
        let probe = probe(replies).await.0.unwrap();
        let extra: Vec<_> = probe.abilities.extra_devices.iter().map(|device| device.as_str()).collect();
        assert_eq!(extra, ["B", "OLD"]);
        assert!(probe.to_string().ends_with(r#"should not be there: "B" "OLD""#), "{probe}");
        assert_eq!(serde_json::to_value(&probe).unwrap()["abilities"]["extra_devices"][1], "OLD");
    }
}

#[tokio::test]
async fn a_homeserver_without_empty_ids_keeps_the_device_that_it_chose() {
    for refusal in [Reply::json(404, NOT_KNOWN), Reply::json(405, "")] {
        let (outcome, lines) = probe(vec![ok(VERSIONS), ok(US), refusal, devices(&["CHOSEN"]), ok(US)]).await;
        let probe = outcome.unwrap();
        assert_eq!(probe.device.as_str(), "CHOSEN");
        assert!(
            !probe.abilities.empty_device_id && !probe.abilities.msc4190 && !probe.abilities.names_device
        );
        assert_eq!(lines[2..4], ["PUT v3/devices/", "GET v3/devices"]);
    }
}

#[tokio::test]
async fn without_any_device_one_is_made_by_name_or_by_logging_in() {
    let none = || vec![ok(VERSIONS), ok(US), Reply::json(404, NOT_KNOWN), devices(&[])];
    let mut replies = none();
    replies.extend([
        ok("{}"),
        devices(&["MAYPOLE"]),
        ok(r#"{"user_id":"@:localhost","device_id":"MAYPOLE"}"#),
    ]);
    let (outcome, lines) = probe(replies).await;
    let by_name = outcome.unwrap();
    assert_eq!(by_name.device.as_str(), "MAYPOLE");
    assert!(
        by_name.abilities.msc4190 && by_name.abilities.names_device && !by_name.abilities.empty_device_id
    );
    assert_eq!(lines[4..6], ["PUT v3/devices/MAYPOLE", "GET v3/devices"]);

    let mut replies = none();
    replies.extend([Reply::json(404, NOT_KNOWN), ok(r#"{"access_token":"x"}"#), devices(&["XYZ"]), ok(US)]);
    let (outcome, lines) = probe(replies).await;
    assert_eq!(outcome.unwrap().device.as_str(), "XYZ");
    assert_eq!(lines[4..7], ["PUT v3/devices/MAYPOLE", "POST v3/login", "GET v3/devices"]);

    let mut replies = none();
    replies.extend([Reply::json(404, NOT_KNOWN), no(403, "M_FORBIDDEN")]);
    assert!(matches!(probe(replies).await.0, Err(CallError::Refused { .. })));
    let mut replies = none();
    replies.extend([ok("{}"), devices(&[])]);
    assert!(matches!(probe(replies).await.0, Err(CallError::Broken { .. })));
}

#[tokio::test]
async fn a_homeserver_that_is_unwell_is_asked_again_later_and_not_judged() {
    for unwell in [Reply::json(500, ""), Reply::json(429, ""), Reply::Reset] {
        let (outcome, lines) = probe(vec![ok(VERSIONS), ok(US), unwell]).await;
        assert!(outcome.unwrap_err().is_transient());
        assert!(!lines.contains(&"GET v3/devices".to_owned()), "{lines:?}");
    }
}
