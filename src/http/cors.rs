//! The CORS headers that Matrix clients in browsers need, as the client-server API recommends them ("Web Browser Clients").
//!
//! On every answer of a client route, refusals included: a browser hides an answer without them, and its reason with it.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};

use super::errors::json_response;

/// Where client routes live.
pub(super) const CLIENT_PATHS: &str = "/_matrix/client/";

/// Adds the headers.
pub(super) fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("X-Requested-With, Content-Type, Authorization"),
    );
}

/// Answers a browser that asks, before its request, whether it may make it.
pub(super) fn preflight() -> Response {
    json_response(&serde_json::json!({})).into_response()
}
