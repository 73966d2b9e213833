//! What leaves the house, and what never does.

use std::collections::BTreeMap;
use std::time::Duration;

use maypole_core::ids::{RoomId, SyncToken, TxnId, UserId};
use maypole_core::records::Recipient;

use super::super::{AccessToken, CallError, Homeserver, ServiceDevice, Settings, SettingsError};
use super::faulty::{Faulty, Reply};
use super::{TOKEN, adapter, adapter_with, facing};

#[expect(clippy::disallowed_methods, reason = "tests stand in for main, which makes the one token")]
fn refused(change: impl FnOnce(&mut Settings)) -> SettingsError {
    let mut settings = Settings {
        url: "http://localhost:8008".to_owned(),
        as_token: AccessToken::parse(TOKEN).unwrap(),
        user_id: "@:localhost".to_owned(),
        appservice_id: "maypole".to_owned(),
        bounds: super::Bounds::default(),
    };
    change(&mut settings);
    Homeserver::new(settings, maypole_core::auth::AuthToken::make()).unwrap_err()
}

#[test]
fn unusable_settings_are_refused() {
    for url in [
        "",
        "localhost",
        "localhost:8008",
        "ftp://a.org",
        "file:///etc",
        "http://",
        "http://u@a.org",
        "http://u:p@a.org",
        "http://a.org/?access_token=x",
        "http://a.org/#x",
        "unix:/run/x",
    ] {
        assert_eq!(refused(|settings| settings.url = url.to_owned()), SettingsError::Url, "{url}");
    }
    for user in ["", "@", "@mls", "mls:a.org", "#mls:a.org", "@:", "@a:b:c d"] {
        assert_eq!(refused(|settings| settings.user_id = user.to_owned()), SettingsError::UserId, "{user}");
    }
}

#[test]
fn tokens_that_cannot_stand_in_a_header_are_refused() {
    for token in ["", " ", "a b", "a\n", "a\r\nX: y", "é", "\0", &"x".repeat(4_097)] {
        assert!(AccessToken::parse(token).is_none(), "{token:?}");
    }
}

#[test]
fn debug_shows_no_token() {
    let homeserver = adapter("http://localhost:8008/prefix");
    let token = AccessToken::parse(TOKEN).unwrap();
    for shown in [format!("{homeserver:?}"), format!("{homeserver:#?}"), format!("{token:?}")] {
        assert!(!shown.contains(TOKEN) && !shown.contains("secret"), "{shown}");
    }
    assert!(format!("{homeserver:?}").contains("http://localhost:8008/prefix"));
}

#[tokio::test]
async fn the_token_is_in_one_header_and_in_no_address() {
    let (faulty, homeserver) = facing(Reply::json(200, "{\"joined_rooms\":[]}")).await;
    homeserver.joined_rooms().await.unwrap();
    let request = faulty.requests().remove(0);
    let line = request.lines().next().unwrap();
    assert_eq!(line, "GET /_matrix/client/v3/joined_rooms?user_id=%40%3Alocalhost HTTP/1.1");
    assert_eq!(request.matches(TOKEN).count(), 1, "{request}");
    assert!(request.contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{request}");
    assert!(
        request.contains(concat!("user-agent: maypole/", env!("CARGO_PKG_VERSION"), "\r\n")),
        "{request}"
    );
    assert!(!request.contains("accept-encoding") && !request.contains("cookie"), "{request}");
}

#[tokio::test]
async fn a_path_before_matrix_is_kept() {
    for slash in ["", "/"] {
        let faulty = Faulty::serve(vec![Reply::json(200, "{\"joined_rooms\":[]}")]).await;
        adapter(&format!("{}/synapse{slash}", faulty.url())).joined_rooms().await.unwrap();
        assert!(
            faulty.lines()[0].starts_with("GET /synapse/_matrix/client/v3/joined_rooms?"),
            "{:?}",
            faulty.lines()
        );
    }
}

#[tokio::test]
async fn identifiers_cannot_leave_their_place_in_the_path() {
    for room in [".", "..", "!\r\nX: y", "!a\tb", "!\0", "\u{85}"] {
        let (faulty, homeserver) = facing(Reply::json(200, "{}")).await;
        let error = homeserver.join(&RoomId::parse(room).unwrap()).await.unwrap_err();
        assert!(matches!(error, CallError::Unaskable { .. }) && !error.is_transient(), "{error:?}");
        assert!(faulty.requests().is_empty());
    }
    for (room, escaped) in [
        ("!a/../b:c.org", "!a%2F..%2Fb:c.org"),
        ("!a?x=1#y:c.org", "!a%3Fx=1%23y:c.org"),
        ("!%2e%2E", "!%252e%252E"),
        ("%2e%2e", "%252e%252e"),
        ("!a b\\c", "!a%20b%5Cc"),
    ] {
        let (faulty, homeserver) = facing(Reply::json(200, "{}")).await;
        homeserver.join(&RoomId::parse(room).unwrap()).await.unwrap();
        let expected =
            format!("POST /_matrix/client/v3/rooms/{escaped}/join?user_id=%40%3Alocalhost HTTP/1.1");
        assert_eq!(faulty.lines(), [expected]);
    }
}

#[tokio::test]
async fn sync_asks_for_the_device_and_little_else() {
    let (faulty, homeserver) = facing(Reply::json(200, "{\"next_batch\":\"s2\"}")).await;
    let since = SyncToken::parse("s1 &x").unwrap();
    homeserver.sync(&ServiceDevice::empty(), Some(&since), Duration::from_secs(3)).await.unwrap();
    let line = faulty.lines().remove(0);
    for part in [
        "GET /_matrix/client/v3/sync?user_id=%40%3Alocalhost&",
        "&device_id=&",
        "&org.matrix.msc3202.device_id=&",
        "&timeout=3000&",
        "&set_presence=offline&",
        "&since=s1+%26x ",
    ] {
        assert!(line.contains(part), "{line} has no {part}");
    }
    homeserver.sync(&ServiceDevice::parse("ABC").unwrap(), None, Duration::ZERO).await.unwrap();
    let line = faulty.lines().remove(1);
    assert!(line.contains("&device_id=ABC&") && !line.contains("since="), "{line}");
}

#[tokio::test]
async fn a_message_goes_out_with_the_same_bytes_each_time() {
    let (faulty, homeserver) = facing(Reply::json(200, "{}")).await;
    let user = UserId::parse("@alice:a.org").unwrap();
    let messages = BTreeMap::from([(Recipient { user, device: None }, br#"{"b": 1,"a":2.0}"#.to_vec())]);
    let txn_id = TxnId::parse("owed/1").unwrap();
    for _ in 0..2 {
        homeserver.send_to_device("m.mls.accepted", &txn_id, &messages).await.unwrap();
    }
    let requests = faulty.requests();
    let (first, second) = (&requests[0], &requests[1]);
    assert_eq!(first.replace(&port(first), ""), second.replace(&port(second), ""));
    assert!(
        first.starts_with("PUT /_matrix/client/v3/sendToDevice/m.mls.accepted/owed%2F1?user_id="),
        "{first}"
    );
    assert!(
        first.ends_with("\r\n\r\n{\"messages\":{\"@alice:a.org\":{\"*\":{\"b\": 1,\"a\":2.0}}}}"),
        "{first}"
    );
    let not_json = messages.into_keys().map(|recipient| (recipient, b"{".to_vec())).collect();
    let error = homeserver.send_to_device("m.mls.accepted", &txn_id, &not_json).await.unwrap_err();
    assert!(matches!(error, CallError::Unaskable { .. }), "{error:?}");
    assert_eq!(faulty.requests().len(), 2);
}

/// The request's `Host`, which differs between connections to different ports only.
fn port(request: &str) -> String {
    request.lines().find(|line| line.starts_with("host:")).unwrap().to_owned()
}

#[tokio::test]
async fn a_leave_says_why() {
    let (faulty, homeserver) = facing(Reply::json(200, "{}")).await;
    homeserver.leave(&RoomId::parse("!a:b.org").unwrap(), "not an \"MLS\" room").await.unwrap();
    let request = faulty.requests().remove(0);
    assert!(request.starts_with("POST /_matrix/client/v3/rooms/!a:b.org/leave?"), "{request}");
    assert!(request.ends_with(r#"{"reason":"not an \"MLS\" room"}"#), "{request}");
}

#[tokio::test]
async fn state_with_a_hole_is_refused() {
    let row = |change: &str| {
        let row = r#"{"event_id":"$a","type":"m.x","state_key":"","sender":"@a:b.org","content":{"n":1.0}}"#;
        format!("[{row},{}]", row.replace(change, ""))
    };
    let room = RoomId::parse("!a:b.org").unwrap();
    for hole in [r#""event_id":"$a","#, r#""type":"m.x","#, r#""state_key":"","#, r#","content":{"n":1.0}"#] {
        let (_faulty, homeserver) = facing(Reply::json(200, &row(hole))).await;
        let error = homeserver.full_state(&room).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{hole}: {error:?}");
    }
    let (_faulty, homeserver) = facing(Reply::json(200, &row("nothing of this"))).await;
    let state = homeserver.full_state(&room).await.unwrap();
    assert_eq!(state.len(), 2);
    assert_eq!(state[0].content, br#"{"n":1.0}"#);
}

#[tokio::test]
async fn an_absurd_wait_does_not_overflow() {
    let faulty = Faulty::serve(vec![Reply::json(200, "{\"next_batch\":\"s\"}")]).await;
    let homeserver = adapter_with(&faulty.url(), |settings| settings.bounds.sync_grace = Duration::MAX / 4);
    homeserver.sync(&ServiceDevice::empty(), None, Duration::from_secs(u64::MAX / 8)).await.unwrap();
}
