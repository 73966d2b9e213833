//! The driver against a real homeserver.

mod accounts;
mod keys;
