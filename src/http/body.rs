//! Reads a request's body whole: at most so large, in at most so much time, and at most so many at once.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::bounds::HttpLimits;
use super::errors::HttpError;

/// A body, and its place among those held in memory; keep both together.
pub(super) struct WholeBody<'a> {
    pub(super) bytes: Bytes,
    pub(super) _place: SemaphorePermit<'a>,
}

/// Reads a body whole. Call it for authenticated callers alone.
pub(super) async fn read<'a>(
    headers: &HeaderMap,
    body: Body,
    limits: &HttpLimits,
    bodies: &'a Semaphore,
) -> Result<WholeBody<'a>, HttpError> {
    refuse_encoded(headers)?;
    let too_large = |size: u64| usize::try_from(size).map_or(true, |size| size > limits.body_bytes);
    if too_large(body.size_hint().lower()) {
        return Err(HttpError::TooLarge(limits.body_bytes));
    }
    let place = timeout(limits.body_timeout, bodies.acquire()).await.map_err(|_| HttpError::Unavailable)?;
    let place = place.map_err(|_| HttpError::Unavailable)?;
    let bytes =
        timeout(limits.body_timeout, collect(body, limits)).await.map_err(|_| HttpError::TooSlow)??;
    Ok(WholeBody { bytes, _place: place })
}

/// Copies the frames into one piece: kept apart, a body of tiny chunks would take many times its size.
async fn collect(mut body: Body, limits: &HttpLimits) -> Result<Bytes, HttpError> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| HttpError::BrokenOff)?.into_data() else { continue };
        if data.len() > limits.body_bytes.saturating_sub(whole.len()) {
            return Err(HttpError::TooLarge(limits.body_bytes));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// Nothing is decompressed here, so that no body can grow on arrival.
fn refuse_encoded(headers: &HeaderMap) -> Result<(), HttpError> {
    let plain = |name, word: &str| {
        headers.get_all(name).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
    };
    if plain(header::CONTENT_ENCODING, "identity") && plain(header::TRANSFER_ENCODING, "chunked") {
        Ok(())
    } else {
        Err(HttpError::Encoded)
    }
}
