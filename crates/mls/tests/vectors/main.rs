//! The public vectors of MLS implementations, read and followed from outside the crate. Those that look inside a tree or
//! a group's hashes are beside the code that they judge.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test speaks"
)]

mod joiner;
mod member;
mod messages;
#[expect(dead_code, reason = "histories need more of it")]
#[path = "../oracles/mod.rs"]
mod oracles;
mod passive;
mod secrets;

use maypole_mls::Suite;
use serde_json::Value;

/// The suite of a vector, if it can be followed.
fn suite(vector: &Value) -> Option<Suite> {
    Suite::from_code(u16::try_from(vector["cipher_suite"].as_u64().unwrap()).unwrap())
}
