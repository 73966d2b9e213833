//! What is forged honestly is honest: OpenMLS and mls-rs follow it to the same hashes. What is forged with a lie is taken
//! or refused by OpenMLS as was measured.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test speaks, and nobody links one"
)]

mod followers;
mod honest;
mod leniency;
mod lies;
