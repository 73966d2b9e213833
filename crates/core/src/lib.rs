//! The core of a delivery service: what it is asked, what it decides, what it remembers and what it owes.
//!
//! Nothing in here performs I/O, reads a clock or draws randomness, and nothing knows Matrix. A back end stores what
//! the [`ledger::Ledger`] gives it in one atomic, durable write; only then does a [`ledger::Durable`] exist, and only a
//! `Durable` is ever acted on.

pub mod auth;
pub mod batch;
pub mod directory;
pub mod group;
pub mod ids;
pub mod ledger;
pub mod limits;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod permit;
pub mod rate;
pub mod receipt;
pub mod records;
pub mod rejection;
pub mod shares;
#[cfg(test)]
mod simulation;
pub mod time;
