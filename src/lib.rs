//! Maypole: an MLS (RFC 9420) Delivery Service for Matrix.
//!
//! The service behind the binary. Each folder is one room of the house; arrows point down only: front doors
//! ([`dialects`]) translate, [`groups`] decides, [`storage`] remembers, [`outbox`] tells.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dialects;
pub mod entropy;
pub mod groups;
pub mod hold;
pub mod homeserver;
pub mod http;
pub mod intake;
pub mod keys;
mod new_file;
pub mod outbox;
pub mod service;
pub mod signals;
pub mod storage;
pub mod telemetry;
