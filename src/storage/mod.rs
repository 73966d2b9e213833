//! The back ends of the ledger: what keeps its records, atomic, durable and in order.
//!
//! Each implements [`maypole_core::batch::Backend`] and passes one conformance suite.

mod any;
pub mod copy;
pub(crate) mod forward;
pub mod postgres;
pub mod sled;

#[cfg(test)]
pub(crate) mod conformance;

pub use any::{OpenError, Store};

/// Whether a store can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ready,
    /// It failed, for this reason, and is being opened anew.
    Unavailable(String),
    /// It was closed.
    Closed,
}
