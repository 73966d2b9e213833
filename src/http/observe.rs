//! Notes how each request was answered, by its route's pattern: never by the path or query that came, which name users,
//! rooms and tokens.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::cors;
use crate::telemetry::labels::{Method, StatusClass};
use crate::telemetry::record;

/// The pattern under which requests are noted that no route matches.
pub(super) const NO_ROUTE: &str = "none";

/// Runs a request of one route, notes the answer, and adds the CORS headers if the route has them.
pub(super) async fn answer(route: &'static str, with_cors: bool, request: Request, next: Next) -> Response {
    let method = Method::of(request.method());
    let mut response = next.run(request).await;
    if with_cors {
        cors::allow_any_origin(response.headers_mut());
    }
    note(route, method, &response);
    response
}

/// Notes an answer.
pub(super) fn note(route: &'static str, method: Method, response: &Response) {
    let status = response.status();
    record::http_request(route, method, StatusClass::of(status));
    let (method, status) = (method.label(), status.as_u16());
    tracing::debug!(route, method, status, "answered");
}
