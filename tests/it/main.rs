//! The whole service against real homeservers: one binary, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "a panic is how a test speaks")]

mod layers;
