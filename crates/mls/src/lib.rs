//! MLS (RFC 9420) as somebody sees it who follows a group without being in it.
//!
//! Generic MLS: nothing in here knows Matrix, performs I/O or reads a clock. So far it reads envelopes: which group and
//! epoch a message belongs to, and what kind of message it is.

#![forbid(unsafe_code)]

pub mod envelope;
pub mod reader;
