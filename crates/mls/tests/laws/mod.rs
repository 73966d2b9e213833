//! Laws that hold for every input, whoever thinks of it: a test replays the kept ones, and `fuzz` looks for others.
//!
//! A law takes bytes and panics where it is broken. What is thrown at it follows from the bytes alone, so that an input that
//! has broken one breaks it again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a law speaks"
)]

mod accepted;
mod choices;
mod grammar;
mod memory;
#[expect(dead_code, reason = "other tests need more of it")]
mod others;
mod policies;
mod refused;
mod round_trip;
mod shape;
mod tree_hash;
mod validate;
mod world;
mod written;

pub use accepted::accepted;
pub use refused::refused;
pub use round_trip::round_trip;
pub use validate::validate;

/// A law.
pub type Law = fn(&[u8]);

/// All of them, by name.
pub const ALL: [(&str, Law); 4] =
    [("round_trip", round_trip), ("validate", validate), ("accepted", accepted), ("refused", refused)];
