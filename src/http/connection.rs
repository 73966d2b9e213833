//! One connection of a client, from its first byte to its end.

use std::io;
use std::pin::Pin;

use axum::Router;
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::bounds::HttpLimits;
use super::socket::Socket;
use crate::telemetry::labels::{Cut, Door};
use crate::telemetry::record;

type Service = TowerToHyperService<Router>;
type Conversation = http1::Connection<TokioIo<Socket>, Service>;

/// How a listener's connections are to be held.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) door: Door,
    pub(super) router: Router,
    pub(super) limits: HttpLimits,
    /// Nothing new is begun.
    pub(super) stop: CancellationToken,
    /// Nothing is finished either.
    pub(super) cut: CancellationToken,
}

/// Answers the requests of one connection until it ends.
pub(super) async fn converse(stream: TcpStream, terms: Terms) {
    let _open = record::OpenConnection::at(terms.door);
    // Without it, small answers wait for the client's acknowledgement of the ones before. A socket that refuses is gone.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let socket = Socket::new(stream, terms.limits.stall, terms.limits.linger);
    let service = TowerToHyperService::new(terms.router);
    let mut conversation = protocol(&terms.limits).serve_connection(TokioIo::new(socket), service);
    let Some(ended) = terms.cut.run_until_cancelled(until_done(&mut conversation, &terms.stop)).await else {
        record::connection_cut(terms.door, Cut::Drained);
        return;
    };
    if let Err(error) = ended {
        let cut = reason(&error);
        record::connection_cut(terms.door, cut);
        tracing::debug!(listener = terms.door.label(), reason = cut.label(), "connection cut");
        terms.cut.run_until_cancelled(last_word(conversation, &error)).await;
    }
}

/// Goes on until the client or the service ends it; when the service stops, until the request in flight is answered.
async fn until_done(conversation: &mut Conversation, stop: &CancellationToken) -> hyper::Result<()> {
    tokio::select! {
        biased;
        ended = &mut *conversation => return ended,
        () = stop.cancelled() => {}
    }
    Pin::new(&mut *conversation).graceful_shutdown();
    conversation.await
}

fn protocol(limits: &HttpLimits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes)
        // The buffer holds a head and the beginning of its body; hyper takes no smaller one.
        .max_buf_size(limits.head_bytes.max(4_096).saturating_mul(2));
    protocol
}

fn reason(error: &hyper::Error) -> Cut {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    if source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut) {
        Cut::Stalled
    } else if error.is_timeout() {
        Cut::SlowHead
    } else if error.is_parse() {
        Cut::Malformed
    } else {
        Cut::Gone
    }
}

/// Tells a client why, where hyper hangs up without a word: half a head that never ends, and HTTP/2.
async fn last_word(conversation: Conversation, error: &hyper::Error) {
    let parts = conversation.into_parts();
    let (status, why) = if error.is_parse_version_h2() {
        (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "The service speaks HTTP/1.1.")
    } else if error.is_timeout() && !parts.read_buf.is_empty() {
        (StatusCode::REQUEST_TIMEOUT, "The head of the request did not arrive in time.")
    } else {
        return;
    };
    let body = serde_json::json!({ "errcode": "M_UNKNOWN", "error": why }).to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = parts.io.into_inner();
    // Whether the client still listens does not matter any more.
    if socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok() {
        let _ = socket.shutdown().await;
    }
}
