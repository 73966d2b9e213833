//! What Matrix and MLS say to each other: the shapes of `m.mls.*` events that service and client share, their canonical
//! JSON, and what a Matrix room permits. Pure: no I/O, no clock, no randomness.

#![forbid(unsafe_code)]

pub mod accepted;
pub mod bytes;
pub mod chain;
pub mod commit_event;
pub mod delivery_service;
pub mod description;
mod fields;
pub mod identity;
pub mod invite;
pub mod member_event;
pub mod message;
pub mod names;
pub mod permit;
pub mod proposals;
pub mod receipt;
pub mod rejected;
pub mod request;
pub mod response;
pub mod strict_json;
pub mod welcome_event;

pub use fields::ShapeError;
