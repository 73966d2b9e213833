//! `GET /_matrix/client/unstable/org.matrix.msc4244/delivery_service`: what a client needs to know before it makes a group.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::Front;
use super::errors::json_response;
use super::ports::{Describe, PushIntake};

/// Answers with what this delivery service says of itself.
pub(super) async fn describe<I: PushIntake, D: Describe>(State(front): State<Arc<Front<I, D>>>) -> Response {
    json_response(&front.describe.delivery_service())
}
