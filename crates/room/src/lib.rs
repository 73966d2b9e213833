//! What Matrix and MLS say to each other: the shapes of `m.mls.*` events that service and client share, their canonical
//! JSON, and what a Matrix room permits. Pure: no I/O, no clock, no randomness.

#![forbid(unsafe_code)]

pub mod bytes;
pub mod description;
pub mod invite;
pub mod message;
pub mod names;
pub mod rejected;
pub mod strict_json;
