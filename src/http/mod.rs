//! The listeners: what comes in over HTTP, who may send it, and how much of it.
//!
//! Two doors, each with a table of routes ([`routes::ROUTES`], [`operations::ROUTES`]) from which its router is made, so that
//! no route exists without a stated authentication. Keeps true: HTTP/1.1 alone; every wait and every size has a bound
//! ([`bounds::HttpLimits`]); nothing of a body is read before its sender is authenticated; no token and no query string
//! is ever logged; every refusal has the one JSON shape of [`errors`].

mod app_service;
pub mod auth;
mod body;
pub mod bounds;
mod connection;
mod cors;
mod delivery_service;
pub mod errors;
pub mod listener;
mod observe;
pub mod operations;
pub mod ports;
pub mod routes;
mod socket;
pub mod table;

use maypole_core::auth::AuthToken;
use maypole_core::ids::UserId;
use tokio::sync::Semaphore;

use self::auth::HomeserverToken;
use self::bounds::HttpLimits;

/// What the Matrix door is told when it is made.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// What the homeserver proves itself with.
    pub homeserver_token: HomeserverToken,
    /// The service's own account.
    pub our_user: UserId,
    /// How long and how much.
    pub limits: HttpLimits,
}

/// What the handlers of the Matrix door share.
struct Front<I, D> {
    settings: HttpSettings,
    token: AuthToken,
    intake: I,
    describe: D,
    bodies: Semaphore,
}
