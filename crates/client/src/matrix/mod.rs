//! A thin driver: carries out what a [`Device`](crate::device::Device) wants, against a homeserver.
//!
//! [`Client`] is a device with its account, its state in a file and its `/sync` loop; [`Http`] are the requests below
//! it. Answers are read up to a bound; no proxy is taken from the environment and no redirect followed.

mod checking;
mod client;
mod error;
mod events;
mod http;
mod keys;
mod media;
mod performing;
mod room_flows;
mod rooms;
mod session;
mod stored;
#[cfg(test)]
mod tests;

pub use client::{Client, Settings};
pub use error::MatrixError;
pub use http::Http;
pub use rooms::RoomVersion;
