//! The listeners, spoken to by raw sockets on loopback.

mod auth;
mod bounds;
pub(crate) mod client;
mod hostile;
mod lifecycle;
mod routes;
pub(crate) mod stage;
