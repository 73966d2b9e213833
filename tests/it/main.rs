//! The whole service against real homeservers: one binary, so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a panic is how a test speaks, and nobody links one"
)]

mod answers;
mod cli;
mod demo;
mod documents;
mod groups;
mod homeserver;
mod http;
mod invites;
mod layers;
mod lifecycle;
mod messages;
mod misbehaviour;
mod power_loss;
mod proofs;
mod proxy;
mod push;
mod seed;
mod survival;
