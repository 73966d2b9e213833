//! Single events of a room, from a homeserver that gives others, or half of one.

use maypole_core::ids::RoomId;
use ruma::OwnedEventId;
use serde_json::{Value, json};

use super::super::{CallError, RoomEvent};
use super::facing;
use super::faulty::Reply;

const NOT_FOUND: &str = r#"{"errcode":"M_NOT_FOUND","error":"No."}"#;

fn room() -> RoomId {
    RoomId::parse("!a:b.org").unwrap()
}

fn id(text: &str) -> OwnedEventId {
    OwnedEventId::try_from(text).unwrap()
}

fn event() -> Value {
    json!({
        "event_id": "$a", "type": "m.x", "state_key": "", "sender": "@alice:a.org", "content": {"n": 1},
        "origin_server_ts": 7, "unsigned": {"age": 3, "replaces_state": "$before"},
    })
}

/// The state event `m.x`, from a homeserver that answers this.
async fn state_event(body: &Value) -> Result<Option<RoomEvent>, CallError> {
    let (_faulty, homeserver) = facing(Reply::json(200, &body.to_string())).await;
    homeserver.state_event(&room(), "m.x", "").await
}

#[tokio::test]
async fn an_event_that_is_not_whole_is_broken() {
    for name in ["event_id", "type", "sender", "content"] {
        let mut body = event();
        body.as_object_mut().unwrap().remove(name);
        let error = state_event(&body).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "without {name}: {error:?}");
    }
    for (name, value) in [
        ("event_id", json!("a")),
        ("event_id", json!(7)),
        ("type", json!(null)),
        ("sender", json!("")),
        ("state_key", json!(7)),
        ("replaces_state", json!("before")),
        ("unsigned", json!({"replaces_state": "before"})),
        ("unsigned", json!({"replaces_state": {}})),
    ] {
        let mut body = event();
        body[name] = value;
        let error = state_event(&body).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{body}: {error:?}");
    }
    for body in [json!([]), json!(null), json!({"n": 1})] {
        assert!(matches!(state_event(&body).await, Err(CallError::Broken { .. })), "{body}");
    }
}

#[tokio::test]
async fn another_event_than_was_asked_for_is_broken() {
    for (name, value) in [("type", json!("m.y")), ("state_key", json!("x")), ("state_key", json!(null))] {
        let mut body = event();
        body[name] = value;
        assert!(matches!(state_event(&body).await, Err(CallError::Broken { .. })), "{body}");
    }
    let (_faulty, homeserver) = facing(Reply::json(200, &event().to_string())).await;
    let error = homeserver.event(&room(), &id("$b")).await.unwrap_err();
    assert!(matches!(error, CallError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn only_a_homeserver_that_says_so_has_no_such_event() {
    for (status, body, none) in [
        (404, NOT_FOUND, true),
        (404, r#"{"errcode":"M_UNRECOGNIZED","error":""}"#, false),
        (404, "<html>", false),
        (403, r#"{"errcode":"M_FORBIDDEN","error":""}"#, false),
        (400, NOT_FOUND, false),
        (502, NOT_FOUND, false),
    ] {
        let (_faulty, homeserver) = facing(Reply::json(status, body)).await;
        assert_eq!(homeserver.state_event(&room(), "m.x", "").await == Ok(None), none, "{status} {body}");
        assert_eq!(homeserver.event(&room(), &id("$a")).await == Ok(None), none, "{status} {body}");
    }
}

#[tokio::test]
async fn an_event_says_what_it_replaces_wherever_that_stands() {
    for (unsigned, top, replaced) in [
        (json!({"replaces_state": "$one"}), json!(null), Some("$one")),
        (json!({"replaces_state": "$one"}), json!("$two"), Some("$one")),
        (json!({"replaces_state": null}), json!("$two"), Some("$two")),
        (json!({}), json!("$two"), Some("$two")),
        (json!([]), json!(null), None),
        (json!(null), json!(null), None),
    ] {
        let mut body = event();
        body["unsigned"] = unsigned;
        body["replaces_state"] = top;
        let event = state_event(&body).await.unwrap().unwrap();
        assert_eq!(event.replaces_state, replaced.map(id), "{body}");
    }
}

#[tokio::test]
async fn events_are_read_with_their_contents_bytes() {
    let body = event().to_string().replace(r#"{"n":1}"#, r#"{"n" : 1.0}"#);
    let (faulty, homeserver) = facing(Reply::json(200, &body)).await;
    let event = homeserver.event(&room(), &id("$a")).await.unwrap().unwrap();
    assert_eq!(event.content, br#"{"n" : 1.0}"#);
    assert_eq!((event.kind.as_str(), event.state_key.as_deref()), ("m.x", Some("")));
    assert_eq!(event.sender.as_str(), "@alice:a.org");
    assert_eq!(homeserver.state_event(&room(), "m.x", "").await.unwrap(), Some(event));
    let base = "GET /_matrix/client/v3/rooms/!a:b.org";
    let user = "user_id=%40%3Alocalhost";
    assert_eq!(
        faulty.lines(),
        [
            format!("{base}/event/$a?{user} HTTP/1.1"),
            format!("{base}/state/m.x/?{user}&format=event HTTP/1.1")
        ]
    );
}

#[tokio::test]
async fn types_and_keys_stay_in_their_places_in_the_path() {
    let (faulty, homeserver) = facing(Reply::json(200, r#"{"event_id":"$a"}"#)).await;
    for (kind, key, escaped) in [
        ("m.x", "", "m.x/"),
        ("", "", "/"),
        ("", "k", "/k"),
        ("m/x", "@:a.org", "m%2Fx/@:a.org"),
        ("m.x", "a/../b?c#d é", "m.x/a%2F..%2Fb%3Fc%23d%20%C3%A9"),
    ] {
        let sent = homeserver.put_state(&room(), kind, key, b"{\"b\": 1,\"a\":2}".to_vec()).await.unwrap();
        assert_eq!(sent, "$a");
        let request = faulty.requests().pop().unwrap();
        let line = format!("PUT /_matrix/client/v3/rooms/!a:b.org/state/{escaped}?user_id=");
        assert!(request.starts_with(&line), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"b\": 1,\"a\":2}"), "{request}");
    }
    let asked = faulty.requests().len();
    for (kind, key) in [(".", ""), ("m.x", ".."), ("m.x", "a\nb")] {
        let error = homeserver.put_state(&room(), kind, key, b"{}".to_vec()).await.unwrap_err();
        assert!(matches!(error, CallError::Unaskable { .. }), "{kind} {key}: {error:?}");
    }
    assert_eq!(faulty.requests().len(), asked);
}

#[tokio::test]
async fn state_is_set_with_a_json_object_and_by_a_whole_answer() {
    for content in ["", "7", "[]", "null", "{", "{}{}"] {
        let (faulty, homeserver) = facing(Reply::json(200, r#"{"event_id":"$a"}"#)).await;
        let error = homeserver.put_state(&room(), "m.x", "", content.into()).await.unwrap_err();
        assert!(matches!(error, CallError::Unaskable { .. }), "{content}: {error:?}");
        assert!(faulty.requests().is_empty());
    }
    for body in ["{}", r#"{"event_id":""}"#, r#"{"event_id":7}"#, "<html>"] {
        let (_faulty, homeserver) = facing(Reply::json(200, body)).await;
        let error = homeserver.put_state(&room(), "m.x", "", b"{}".to_vec()).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{body}: {error:?}");
    }
}
