//! Every way in which a homeserver, or what stands before it, can fail to answer.

use std::time::Duration;

use maypole_core::ids::{RoomId, TxnId};
use maypole_core::limits;

use super::super::{CallError, Homeserver, PingError};
use super::faulty::{Faulty, Reply};
use super::{TOKEN, adapter, adapter_with, facing};

/// Asks for something and expects to be disappointed.
async fn failure(reply: Reply) -> CallError {
    let (_faulty, homeserver) = facing(reply).await;
    ask(&homeserver).await
}

async fn ask(homeserver: &Homeserver) -> CallError {
    let error = homeserver.joined_rooms().await.unwrap_err();
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(TOKEN), "{text}");
        assert!(text.len() < 2_000, "{text}");
    }
    error
}

fn busy(error: &CallError) -> Option<Option<Duration>> {
    let CallError::Busy { retry_after, .. } = error else { return None };
    assert!(error.is_transient());
    Some(*retry_after)
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(&adapter(&url)).await;
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
    assert!(error.to_string().contains("homeserver.url"));
}

#[tokio::test]
async fn a_reset_connection_is_unreachable() {
    let error = failure(Reply::Reset).await;
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_half_open_connection_is_given_up() {
    let faulty = Faulty::serve(vec![Reply::Stall(Vec::new())]).await;
    let homeserver =
        adapter_with(&faulty.url(), |settings| settings.bounds.request = Duration::from_millis(50));
    let error = ask(&homeserver).await;
    assert!(matches!(&error, CallError::Unreachable { why, .. } if why.contains("timed out")), "{error:?}");
}

#[tokio::test]
async fn a_long_poll_is_given_its_wait_and_then_given_up() {
    let faulty = Faulty::serve(vec![Reply::Stall(Vec::new())]).await;
    let homeserver = adapter_with(&faulty.url(), |settings| {
        settings.bounds.request = Duration::ZERO;
        settings.bounds.sync_grace = Duration::from_millis(50);
    });
    let device = super::super::ServiceDevice::empty();
    let error = homeserver.sync(&device, None, Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(&error, CallError::Unreachable { why, .. } if why.contains("timed out")), "{error:?}");
    assert!(faulty.lines()[0].contains("timeout=20&"), "{:?}", faulty.lines());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_unreachable() {
    let error =
        failure(Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"joined_rooms\":[]}")).await;
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    let error = failure(Reply::raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"jo")).await;
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{".to_vec();
    let faulty = Faulty::serve(vec![Reply::Stall(begun)]).await;
    let homeserver =
        adapter_with(&faulty.url(), |settings| settings.bounds.request = Duration::from_millis(50));
    assert!(matches!(ask(&homeserver).await, CallError::Unreachable { .. }));
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let piece = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let error = failure(Reply::Endless { head, piece }).await;
    assert!(matches!(&error, CallError::Broken { why, .. } if why.contains("longer")), "{error:?}");
}

#[tokio::test]
async fn an_endless_error_is_cut_off() {
    let head = b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let piece = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let error = failure(Reply::Endless { head, piece }).await;
    assert!(matches!(&error, CallError::Broken { why, .. } if why.contains("502")), "{error:?}");
}

#[tokio::test]
async fn an_announced_excess_is_not_even_read() {
    let error = failure(Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}")).await;
    assert!(matches!(&error, CallError::Broken { why, .. } if why.contains("longer")), "{error:?}");
}

#[tokio::test]
async fn a_compressed_answer_is_refused_unread() {
    // An empty deflate block after a gzip head: what matters is that nobody starts to unpack it.
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let error = failure(Reply::full(200, "Content-Encoding: gzip\r\n", &bomb)).await;
    assert!(matches!(&error, CallError::Broken { why, .. } if why.contains("compressed")), "{error:?}");
    let error = failure(Reply::full(200, "Content-Type: application/json\r\n", &bomb)).await;
    assert!(matches!(error, CallError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_not_http_is_broken() {
    for bytes in [b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), b"\x16\x03\x01\x02\x00", &[0xff; 100]] {
        let error = failure(Reply::raw(bytes)).await;
        assert!(matches!(error, CallError::Broken { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_broken() {
    let deep = "[".repeat(1_000_000);
    let closed = format!("{{\"joined_rooms\":{}{}}}", deep, "]".repeat(1_000_000));
    for body in [
        "",
        "<html>",
        "{",
        "nul",
        "[]",
        "7",
        "{}",
        "{\"joined_rooms\":7}",
        "{\"joined_rooms\":[\"\"]}",
        "{\"a\":NaN}",
        "{\"joined_rooms\":[],\"joined_rooms\":[]}",
        "{\"joined_rooms\":[]}x",
        &deep,
        &closed,
    ] {
        let error = failure(Reply::json(200, body)).await;
        let shown = &body[..body.len().min(40)];
        assert!(matches!(error, CallError::Broken { .. }), "{shown}: {error:?}");
    }
    let error = failure(Reply::full(200, "", b"{\"joined_rooms\":[\"\xff\"]}")).await;
    assert!(matches!(error, CallError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_content_type_around_right_json_does_no_harm() {
    for kind in ["", "Content-Type: text/html\r\n", "Content-Type: ;;\r\n"] {
        let (_faulty, homeserver) =
            facing(Reply::full(200, kind, br#"{"joined_rooms":["!a:b.org"],"x":[[]]}"#)).await;
        assert_eq!(homeserver.joined_rooms().await.unwrap(), [RoomId::parse("!a:b.org").unwrap()], "{kind}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let target = Faulty::serve(vec![Reply::json(200, "{\"joined_rooms\":[]}")]).await;
        let error = failure(Reply::full(status, &format!("Location: {}/\r\n", target.url()), b"")).await;
        assert!(matches!(&error, CallError::Broken { why, .. } if why.contains("redirect")), "{error:?}");
        assert!(target.requests().is_empty());
    }
}

#[tokio::test]
async fn too_many_requests_is_busy_with_or_without_a_hint() {
    let limited = r#"{"errcode":"M_LIMIT_EXCEEDED","error":"x","retry_after_ms":1500}"#;
    let cases: [(u16, &str, &str, Option<Duration>); 9] = [
        (429, "", "", None),
        (429, "", "<html>", None),
        (429, "Retry-After: 7\r\n", limited, Some(Duration::from_secs(7))),
        (429, "", limited, Some(Duration::from_millis(1_500))),
        (429, "Retry-After: soon\r\n", limited, Some(Duration::from_millis(1_500))),
        (
            429,
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\n",
            "",
            Some(Duration::from_secs(3)),
        ),
        (429, "", r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":-1}"#, None),
        (400, "", r#"{"errcode":"M_LIMIT_EXCEEDED"}"#, None),
        (503, "Retry-After: 9\r\n", "", Some(Duration::from_secs(9))),
    ];
    for (status, headers, body, hint) in cases {
        let error = failure(Reply::full(status, headers, body.as_bytes())).await;
        assert_eq!(busy(&error), Some(hint), "{status} {headers} {body}: {error:?}");
        assert_eq!(error.retry_after(), hint);
    }
}

#[tokio::test]
async fn other_failures_are_told_apart_by_whose_they_are() {
    let matrix = |errcode| format!(r#"{{"errcode":"{errcode}","error":"Because."}}"#);
    for status in [500, 502, 503, 504, 599] {
        let error = failure(Reply::json(status, &matrix("M_UNKNOWN"))).await;
        assert!(matches!(error, CallError::Broken { .. }) && error.is_transient(), "{error:?}");
    }
    for (status, body) in
        [(404, "<html>nginx</html>"), (403, ""), (401, "{}"), (400, "{\"errcode\":7}"), (418, "[]")]
    {
        let error = failure(Reply::json(status, body)).await;
        assert!(matches!(error, CallError::Broken { .. }), "{status} {body}: {error:?}");
    }
    for (status, errcode) in [(401, "M_UNKNOWN_TOKEN"), (401, "M_MISSING_TOKEN"), (403, "M_EXCLUSIVE")] {
        let error = failure(Reply::json(status, &matrix(errcode))).await;
        assert!(matches!(error, CallError::NotUs { .. }) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("as_token"));
    }
    for (status, errcode) in [(403, "M_FORBIDDEN"), (404, "M_UNRECOGNIZED"), (413, "M_TOO_LARGE"), (400, "X")]
    {
        let error = failure(Reply::json(status, &matrix(errcode))).await;
        assert!(matches!(error, CallError::Refused { .. }) && !error.is_transient(), "{error:?}");
        assert_eq!(error.errcode(), Some(errcode));
        assert!(error.to_string().contains("Because."));
    }
}

#[tokio::test]
async fn the_homeservers_words_are_quoted_short_on_one_line_and_without_our_token() {
    let long = "é".repeat(2_000);
    let body =
        serde_json::json!({"errcode": TOKEN, "error": format!("a\r\nb\u{7} {TOKEN} {long}")}).to_string();
    let error = failure(Reply::json(403, &body)).await;
    let CallError::Refused { errcode, error, .. } = error else { panic!("{error:?}") };
    assert_eq!(errcode, "…");
    assert!(error.starts_with("a  b  … é") && error.len() <= limits::ERROR_TEXT_BYTES + "…".len(), "{error}");
}

#[tokio::test]
async fn a_ping_says_what_the_homeserver_found() {
    let txn_id = TxnId::parse("t").unwrap();
    let cases = [
        (400, r#"{"errcode":"M_URL_NOT_SET","error":""}"#, "no `url`"),
        (502, r#"{"errcode":"M_BAD_STATUS","error":"","status":403,"body":"x"}"#, "status 403"),
        (502, r#"{"errcode":"M_BAD_STATUS","error":""}"#, "status unknown"),
        (502, r#"{"errcode":"M_CONNECTION_FAILED","error":"Refused."}"#, "Refused."),
        (504, r#"{"errcode":"M_CONNECTION_TIMEOUT","error":""}"#, "timed out"),
        (502, "<html>", "status 502"),
        (504, r#"{"errcode":"M_UNKNOWN","error":""}"#, "status 504"),
        (401, r#"{"errcode":"M_UNKNOWN_TOKEN","error":""}"#, "does not know us"),
        (200, r#"{"duration_ms":-1}"#, "JSON of another shape"),
    ];
    for (status, body, expected) in cases {
        let (_faulty, homeserver) = facing(Reply::json(status, body)).await;
        let error = homeserver.ping(&txn_id).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{status} {body}: {error}");
    }
    let (faulty, homeserver) = facing(Reply::json(200, r#"{"duration_ms":12}"#)).await;
    assert_eq!(homeserver.ping(&txn_id).await, Ok::<_, PingError>(Duration::from_millis(12)));
    assert_eq!(faulty.lines(), ["POST /_matrix/client/v1/appservice/maypole/ping HTTP/1.1"]);
}
