//! The operations door: is the service alive, is it ready, what did it measure. On a listener of its own, so that a flood
//! at the Matrix door leaves the operator's view clear.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, on};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::errors::json_response;
use super::table::{self, Auth, Route, Verb};
use crate::telemetry::exposition::Exposition;
use crate::telemetry::readiness::{Readiness, Standing};

/// What answers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Says that the process turns.
    Live,
    /// Says whether the service does its work.
    Ready,
    /// Shows the metrics.
    Metrics,
}

/// Every route of the operations door.
pub const ROUTES: &[Route<Serves>] = &[
    Route {
        method: Verb::Get,
        path: "/live",
        auth: Auth::Nobody,
        cors: false,
        what: "200 as long as the process turns. Restart it when it does not answer.",
        serves: Serves::Live,
    },
    Route {
        method: Verb::Get,
        path: "/ready",
        auth: Auth::Nobody,
        cors: false,
        what: "200 if every condition holds, else 503; a sentence for each that does not.",
        serves: Serves::Ready,
    },
    Route {
        method: Verb::Get,
        path: "/metrics",
        auth: Auth::Nobody,
        cors: false,
        what: "What was measured, in Prometheus' text form; see `metrics.md`.",
        serves: Serves::Metrics,
    },
];

struct View {
    readiness: Readiness,
    exposition: Exposition,
}

/// Makes the router of the operations door.
pub fn router(readiness: Readiness, exposition: Exposition) -> Router {
    table::router(ROUTES, mount).with_state(Arc::new(View { readiness, exposition }))
}

fn mount(route: &Route<Serves>) -> MethodRouter<Arc<View>> {
    let method = route.method.filter();
    match route.serves {
        Serves::Live => on(method, async || json_response(&json!({ "live": true }))),
        Serves::Ready => on(method, ready),
        Serves::Metrics => on(method, measured),
    }
}

async fn ready(State(view): State<Arc<View>>) -> Response {
    let standings = view.readiness.standings();
    let ready = standings.iter().all(|standing| standing.holds.is_ok());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let conditions: Vec<Value> = standings.iter().map(shown).collect();
    (status, json_response(&json!({ "ready": ready, "conditions": conditions }))).into_response()
}

fn shown(standing: &Standing) -> Value {
    let name = standing.condition.label();
    match &standing.holds {
        Ok(()) => json!({ "name": name, "ready": true }),
        Err(reason) => json!({ "name": name, "ready": false, "reason": reason }),
    }
}

async fn measured(State(view): State<Arc<View>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], view.exposition.text())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_here_claims_an_authentication_that_this_door_does_not_make() {
        assert!(ROUTES.iter().all(|route| route.auth == Auth::Nobody && !route.cors));
    }
}
