//! A media repository that gives too much, too little, or nothing.

use std::time::Duration;

use maypole_core::limits;

use super::super::{CallError, DownloadError, Mxc};
use super::faulty::{Faulty, Reply};
use super::{TOKEN, adapter_with, facing};

const PLACE: &str = "mxc://b.org:8448/Abc-_9";

async fn download(reply: Reply, size_bytes: u64) -> Result<Vec<u8>, DownloadError> {
    let (_faulty, homeserver) = facing(reply).await;
    homeserver.download(&Mxc::parse(PLACE).unwrap(), size_bytes).await
}

fn chunked(pieces: &[&[u8]]) -> Reply {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in pieces {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    Reply::Raw([bytes, b"0\r\n\r\n".to_vec()].concat())
}

#[test]
fn what_is_no_address_is_refused() {
    let long = format!("mxc://b.org/{}", "x".repeat(limits::MXC_BYTES));
    for text in [
        "",
        "mxc://",
        "mxc://b.org",
        "mxc://b.org/",
        "mxc:///id",
        "MXC://b.org/id",
        "http://b.org/id",
        "mxc://b.org/a/b",
        "mxc://b.org/a?x=1",
        "mxc://b.org/..",
        "mxc://b.org/é",
        "mxc://b org/id",
        " mxc://b.org/id",
        &long,
    ] {
        assert_eq!(Mxc::parse(text), None, "{text}");
    }
    let mxc = Mxc::parse(PLACE).unwrap();
    assert_eq!((mxc.server(), mxc.id(), mxc.to_string().as_str()), ("b.org:8448", "Abc-_9", PLACE));
}

#[tokio::test]
async fn more_than_was_promised_is_cut_off() {
    let too_long = |limit_bytes| Err(DownloadError::TooLong { limit_bytes });
    assert_eq!(download(Reply::full(200, "", b"12345"), 4).await, too_long(4));
    assert_eq!(download(Reply::full(200, "", b"1"), 0).await, too_long(0));
    assert_eq!(download(chunked(&[b"12", b"34", b"5"]), 4).await, too_long(4));
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let piece = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    assert_eq!(download(Reply::Endless { head, piece }, 1_000_000).await, too_long(1_000_000));
    // What is announced is not even waited for.
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    assert_eq!(download(Reply::Stall(announced), 4).await, too_long(4));
}

#[tokio::test]
async fn more_than_any_blob_has_is_not_asked_for() {
    for size_bytes in [limits::BLOB_BYTES + 1, u64::MAX] {
        let (faulty, homeserver) = facing(Reply::full(200, "", b"")).await;
        let outcome = homeserver.download(&Mxc::parse(PLACE).unwrap(), size_bytes).await;
        assert_eq!(outcome, Err(DownloadError::TooLong { limit_bytes: limits::BLOB_BYTES }));
        assert!(faulty.requests().is_empty());
    }
}

#[tokio::test]
async fn less_than_was_promised_is_refused() {
    let error = download(chunked(&[b"12", b"3"]), 4).await.unwrap_err();
    assert_eq!(error, DownloadError::TooShort { size_bytes: 4, got_bytes: 3 });
    assert!(!error.is_transient());
    assert!(download(Reply::full(200, "", b""), 1).await.is_err());
}

#[tokio::test]
async fn what_is_gone_is_told_from_what_may_pass() {
    let no = |status, errcode| Reply::json(status, &format!(r#"{{"errcode":"{errcode}","error":"No."}}"#));
    for reply in [no(404, "M_NOT_FOUND"), no(403, "M_FORBIDDEN"), no(413, "M_TOO_LARGE")] {
        let error = download(reply, 4).await.unwrap_err();
        assert!(matches!(error, DownloadError::Gone(_)) && !error.is_transient(), "{error:?}");
    }
    for reply in [
        no(429, "M_LIMIT_EXCEEDED"),
        no(502, "M_UNKNOWN"),
        no(504, "M_NOT_YET_UPLOADED"),
        no(401, "M_UNKNOWN_TOKEN"),
        Reply::json(404, "<html>"),
        Reply::full(307, "Location: http://b.org/\r\n", b""),
        Reply::full(200, "Content-Encoding: gzip\r\n", b"1234"),
        Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n123"),
        Reply::Reset,
    ] {
        let error = download(reply, 4).await.unwrap_err();
        assert!(matches!(error, DownloadError::Passing(_)) && error.is_transient(), "{error:?}");
        assert!(!error.to_string().contains(TOKEN));
    }
}

#[tokio::test]
async fn a_download_that_stalls_is_given_up() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12".to_vec();
    let faulty = Faulty::serve(vec![Reply::Stall(begun)]).await;
    let homeserver =
        adapter_with(&faulty.url(), |settings| settings.bounds.request = Duration::from_millis(50));
    let error = homeserver.download(&Mxc::parse(PLACE).unwrap(), 4).await.unwrap_err();
    assert!(matches!(error, DownloadError::Passing(CallError::Unreachable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_download_is_bounded_by_its_size_and_not_by_that_of_answers() {
    let faulty = Faulty::serve(vec![Reply::full(200, "", &[7; 100])]).await;
    let homeserver = adapter_with(&faulty.url(), |settings| settings.bounds.response_bytes = 10);
    assert_eq!(homeserver.download(&Mxc::parse(PLACE).unwrap(), 100).await, Ok(vec![7; 100]));
    let line = "GET /_matrix/client/v1/media/download/b.org:8448/Abc-_9?user_id=%40%3Alocalhost HTTP/1.1";
    assert_eq!(faulty.lines(), [line]);
    assert_eq!(download(Reply::full(200, "", b""), 0).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_servers_name_cannot_leave_its_place_in_the_path() {
    let mxc = Mxc::parse("mxc://../id").unwrap();
    let (faulty, homeserver) = facing(Reply::full(200, "", b"1")).await;
    let error = homeserver.download(&mxc, 1).await.unwrap_err();
    assert!(matches!(error, DownloadError::Gone(CallError::Unaskable { .. })), "{error:?}");
    assert!(faulty.requests().is_empty());
}

#[tokio::test]
async fn an_upload_says_where_the_bytes_are_now() {
    for body in [
        "{}",
        "[]",
        r#"{"content_uri":7}"#,
        r#"{"content_uri":""}"#,
        r#"{"content_uri":"https://b.org/x"}"#,
        r#"{"content_uri":"mxc://b.org/"}"#,
    ] {
        let (_faulty, homeserver) = facing(Reply::json(200, body)).await;
        let error = homeserver.upload(b"ribbon".to_vec()).await.unwrap_err();
        assert!(matches!(error, CallError::Broken { .. }), "{body}: {error:?}");
    }
    let (faulty, homeserver) = facing(Reply::json(200, &format!(r#"{{"content_uri":"{PLACE}"}}"#))).await;
    assert_eq!(homeserver.upload(b"ribbon".to_vec()).await.unwrap().to_string(), PLACE);
    let request = faulty.requests().remove(0);
    assert!(request.starts_with("POST /_matrix/media/v3/upload?user_id=%40%3Alocalhost HTTP/1.1\r\n"));
    assert!(request.contains("content-type: application/octet-stream\r\n"), "{request}");
    assert!(!request.contains("application/json") && request.ends_with("\r\n\r\nribbon"), "{request}");
}

#[tokio::test]
async fn what_no_blob_may_have_is_not_uploaded() {
    let (faulty, homeserver) = facing(Reply::json(200, "{}")).await;
    let bytes = vec![0; usize::try_from(limits::BLOB_BYTES).unwrap() + 1];
    let error = homeserver.upload(bytes).await.unwrap_err();
    assert!(matches!(error, CallError::Unaskable { .. }), "{error:?}");
    assert!(faulty.requests().is_empty());
}
