//! What the homeserver calls: the Application Service API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use maypole_core::ids::PushTxnId;
use serde_json::json;

use super::auth::FromHomeserver;
use super::errors::{HttpError, json_response};
use super::ports::{Describe, PushIntake};
use super::{Front, body};

/// A variable part of a path, percent-decoded, if it can be.
type PathPart = Result<Path<String>, PathRejection>;

/// `PUT /_matrix/app/v1/transactions/{txnId}`
pub(super) async fn transaction<I: PushIntake, D: Describe>(
    State(front): State<Arc<Front<I, D>>>,
    FromHomeserver(caller): FromHomeserver,
    id: PathPart,
    headers: HeaderMap,
    unread: Body,
) -> Result<Response, HttpError> {
    let refused = HttpError::BadPath("a transaction ID has 1 to 255 bytes of UTF-8");
    let id = id.ok().and_then(|Path(id)| PushTxnId::parse(id)).ok_or(refused)?;
    let whole = body::read(&headers, unread, &front.settings.limits, &front.bodies).await?;
    front.intake.transaction(caller, id, whole.bytes.clone()).await?;
    Ok(json_response(&json!({})))
}

/// `POST /_matrix/app/v1/ping`
pub(super) async fn ping(FromHomeserver(_): FromHomeserver) -> Response {
    json_response(&json!({}))
}

/// `GET /_matrix/app/v1/users/{userId}`
pub(super) async fn user<I: PushIntake, D: Describe>(
    State(front): State<Arc<Front<I, D>>>,
    FromHomeserver(_): FromHomeserver,
    user: PathPart,
) -> Result<Response, HttpError> {
    let Path(user) = user.map_err(|_| HttpError::BadPath("a user ID is UTF-8"))?;
    if user == front.settings.our_user.as_str() {
        Ok(json_response(&json!({})))
    } else {
        Err(HttpError::NotFound("The service has one account, and this is not it."))
    }
}

/// `GET /_matrix/app/v1/rooms/{roomAlias}`
pub(super) async fn room_alias(FromHomeserver(_): FromHomeserver) -> HttpError {
    HttpError::NotFound("The service has no rooms of its own.")
}
