//! Pages of `/sync` in which something is wrong.

use std::time::Duration;

use maypole_core::ids::{RoomId, UserId};
use maypole_core::limits;

use super::super::{CallError, ServiceDevice, SyncPage};
use super::facing;
use super::faulty::Reply;

async fn page(body: &[u8]) -> Result<SyncPage, CallError> {
    let (_faulty, homeserver) = facing(Reply::full(200, "", body)).await;
    homeserver.sync(&ServiceDevice::empty(), None, Duration::ZERO).await
}

/// A page with these to-device events.
async fn events(events: &[String]) -> SyncPage {
    let body = format!(r#"{{"next_batch":"s1","to_device":{{"events":[{}]}}}}"#, events.join(","));
    page(body.as_bytes()).await.unwrap()
}

fn good(n: usize) -> String {
    format!(r#"{{"content":{{"n": {n}}},"type":"m.mls.message","sender":"@alice:a.org","x":[]}}"#)
}

#[tokio::test]
async fn a_page_that_leads_nowhere_is_broken() {
    for body in [
        "",
        "[]",
        "{}",
        "{\"next_batch\":1}",
        "{\"next_batch\":\"\"}",
        "{\"next_batch\":null}",
        "{\"next_batch\":\"s1\"",
        "{\"next_batch\":\"s1\",\"x\":Infinity}",
        "{\"next_batch\":\"s1\"}{}",
    ] {
        let error = page(body.as_bytes()).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{body}: {error:?}");
    }
    let long = format!("{{\"next_batch\":\"{}\"}}", "s".repeat(5_000));
    assert!(matches!(page(long.as_bytes()).await, Err(CallError::Broken { .. })));
}

#[tokio::test]
async fn one_poisoned_event_spoils_none_of_the_other_99() {
    let million = |open: &str, close: &str| format!("{}{}", open.repeat(1_000_000), close.repeat(1_000_000));
    let poisons = [
        "7".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        million("[", "]"),
        format!(
            r#"{{"content":{},"type":"m.x","sender":"@a:b.org"}}"#,
            million("{\"a\":", "}").replace(":}", ":0}")
        ),
        r#"{"content":{},"type":"m.x"}"#.to_owned(),
        r#"{"content":{},"type":"m.x","sender":7}"#.to_owned(),
        r#"{"content":{},"type":"m.x","sender":""}"#.to_owned(),
        r#"{"content":{},"type":"m.x","sender":"alice"}"#.to_owned(),
        r#"{"content":{},"type":"m.x","sender":"@alice"}"#.to_owned(),
        r#"{"content":{},"type":"m.x","sender":"@a\ud800:b.org"}"#.to_owned(),
        format!(r#"{{"content":{{}},"type":"m.x","sender":"@{}:b.org"}}"#, "a".repeat(300)),
        r#"{"content":{},"sender":"@a:b.org"}"#.to_owned(),
        r#"{"content":{},"type":["m.x"],"sender":"@a:b.org"}"#.to_owned(),
        r#"{"content":{},"type":"","sender":"@a:b.org"}"#.to_owned(),
        format!(r#"{{"content":{{}},"type":"{}","sender":"@a:b.org"}}"#, "x".repeat(256)),
        r#"{"type":"m.x","sender":"@a:b.org"}"#.to_owned(),
        r#"{"content":{},"type":"m.x","sender":"@a:b.org","sender":"@mallory:b.org"}"#.to_owned(),
        r#"{"content":{},"type":"m.x","sender":"@a:b.org","\u0073ender":"@mallory:b.org"}"#.to_owned(),
        r#"{"content":{},"content":{},"type":"m.x","sender":"@a:b.org"}"#.to_owned(),
        format!(
            r#"{{"content":"{}","type":"m.x","sender":"@a:b.org"}}"#,
            "x".repeat(limits::TO_DEVICE_SPELLED_BYTES)
        ),
    ];
    for poison in poisons {
        let mut all: Vec<String> = (0..99).map(good).collect();
        all.insert(37, poison.clone());
        let shown = &poison[..poison.len().min(80)];
        let page = events(&all).await;
        assert_eq!(page.to_device.len(), 100, "{shown}");
        let bad = page.to_device[37].as_ref().unwrap_err();
        assert!(
            poison.as_bytes().starts_with(&bad.raw) && bad.raw.len() <= limits::POISONED_BYTES,
            "{shown}"
        );
        assert!(!bad.reason.is_empty());
        let read: Vec<_> = page.to_device.into_iter().filter_map(Result::ok).collect();
        assert_eq!(read.len(), 99, "{shown}");
        for (n, event) in read.into_iter().enumerate() {
            assert_eq!(event.sender.get(), &UserId::parse("@alice:a.org").unwrap());
            assert_eq!(event.kind, "m.mls.message");
            assert_eq!(event.content, format!("{{\"n\": {n}}}").as_bytes());
        }
    }
}

#[tokio::test]
async fn invalid_utf8_spoils_its_own_event_only() {
    let mut body = format!(r#"{{"next_batch":"s1","to_device":{{"events":[{},"#, good(0)).into_bytes();
    body.extend_from_slice(
        b"{\"content\":{\"x\":\"\xff\xed\xa0\x80\"},\"type\":\"m.x\",\"sender\":\"@a:b.org\"},",
    );
    body.extend_from_slice(format!("{}]}}}}", good(2)).as_bytes());
    let page = page(&body).await.unwrap();
    assert!(page.to_device[0].is_ok() && page.to_device[1].is_err() && page.to_device[2].is_ok());
    // In a page that is sound, the same sign is a character like any other.
    let sign = r#"{"content":{"x":"�"},"type":"m.x","sender":"@a:b.org"}"#.to_owned();
    assert!(events(&[sign]).await.to_device[0].is_ok());
}

#[tokio::test]
async fn odd_contents_are_passed_on_as_they_are() {
    let contents = [
        "\"text\"",
        "null",
        "[1]",
        r#"{"a":1,"a":2}"#,
        r#"{"x":"\ud800"}"#,
        r#"{"n":1e400}"#,
        r#"{"n":1.50}"#,
        &format!("{{\"x\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000)),
        &"9".repeat(60_000),
    ]
    .map(ToOwned::to_owned);
    let all: Vec<String> = contents
        .iter()
        .map(|content| format!(r#"{{"sender":"@:b.org","content":{content},"type":"m.mls.message"}}"#))
        .collect();
    for (event, content) in events(&all).await.to_device.into_iter().zip(&contents) {
        let event = event.unwrap();
        assert_eq!(event.content, content.as_bytes());
        assert_eq!(event.sender.get().as_str(), "@:b.org");
    }
}

#[tokio::test]
async fn sections_of_a_wrong_type_fail_alone() {
    for section in ["7", "null", "[]", "\"x\"", "{\"events\":7}", "{\"events\":{}}", "{\"events\":null}"] {
        let body = format!(
            r#"{{"to_device":{section},"rooms":{{"invite":{{"!a:b.org":{}}}}},"next_batch":"s1"}}"#,
            invitation(&[member("@alice:a.org", "@:localhost", "invite")])
        );
        let page = page(body.as_bytes()).await.unwrap();
        assert_eq!((page.to_device.len(), page.invites.len()), (1, 1), "{section}");
        assert!(page.to_device[0].is_err() && page.invites[0].is_ok(), "{section}");
    }
    for section in ["7", "null", "[]", "{\"invite\":7}", "{\"invite\":[]}"] {
        let body =
            format!(r#"{{"rooms":{section},"to_device":{{"events":[{}]}},"next_batch":"s1"}}"#, good(1));
        let page = page(body.as_bytes()).await.unwrap();
        assert!(page.to_device[0].is_ok() && page.invites[0].is_err(), "{section}");
    }
    let empty = page(br#"{"next_batch":"s1","to_device":{},"rooms":{},"x":{}}"#).await.unwrap();
    assert!(empty.to_device.is_empty() && empty.invites.is_empty());
    let twice = page(br#"{"next_batch":"s1","next_batch":"s2","to_device":7,"to_device":{}}"#).await.unwrap();
    assert_eq!((twice.next_batch.as_str(), twice.to_device.len()), ("s2", 0));
}

fn member(sender: &str, target: &str, membership: &str) -> String {
    format!(
        r#"{{"type":"m.room.member","state_key":"{target}","sender":"{sender}","content":{{"membership":"{membership}"}}}}"#
    )
}

fn invitation(events: &[String]) -> String {
    format!(r#"{{"invite_state":{{"events":[{}]}}}}"#, events.join(","))
}

#[tokio::test]
async fn an_invite_without_our_own_invitation_is_set_aside() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for (room, body) in [
        ("!a:b.org", "7".to_owned()),
        ("!a:b.org", "{}".to_owned()),
        ("!a:b.org", deep),
        ("!a:b.org", "{\"invite_state\":7}".to_owned()),
        ("!a:b.org", "{\"invite_state\":{\"events\":7}}".to_owned()),
        ("!a:b.org", invitation(&[])),
        ("!a:b.org", invitation(&[member("@alice:a.org", "@bob:b.org", "invite")])),
        ("!a:b.org", invitation(&[member("@alice:a.org", "@:localhost", "join")])),
        ("!a:b.org", invitation(&[member("alice", "@:localhost", "invite")])),
        ("a:b.org", invitation(&[member("@alice:a.org", "@:localhost", "invite")])),
        ("", invitation(&[member("@alice:a.org", "@:localhost", "invite")])),
        ("!a:b.org", invitation(&[format!("\"{}\"", "x".repeat(limits::INVITE_STATE_BYTES))])),
    ] {
        let sound = invitation(&[member("@alice:a.org", "@:localhost", "invite")]);
        let body =
            format!(r#"{{"next_batch":"s1","rooms":{{"invite":{{"{room}":{body},"!z:b.org":{sound}}}}}}}"#);
        let page = page(body.as_bytes()).await.unwrap();
        let shown = &body[..body.len().min(120)];
        assert!(page.invites[0].is_err() && page.invites[1].is_ok(), "{shown}");
    }
}

#[tokio::test]
async fn the_inviter_is_who_sent_our_own_invitation() {
    // Another server may put what it likes before it.
    let state = [
        "7".to_owned(),
        member("@mallory:b.org", "@:localhost", "invite"),
        r#"{"type":"m.room.create","state_key":"","sender":"@mallory:b.org","content":{"a":1.0}}"#.to_owned(),
        member("@alice:a.org", "@:localhost", "invite"),
    ];
    let body = format!(r#"{{"next_batch":"s1","rooms":{{"invite":{{"!a:b.org":{}}}}}}}"#, invitation(&state));
    let invite = page(body.as_bytes()).await.unwrap().invites.remove(0).unwrap();
    assert_eq!(invite.room, RoomId::parse("!a:b.org").unwrap());
    assert_eq!(invite.inviter.get().as_str(), "@alice:a.org");
    assert_eq!(invite.state, format!("[{}]", state.join(",")).as_bytes());
}
