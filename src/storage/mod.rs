//! The back ends of the ledger: what keeps its records, atomic, durable and in order.
//!
//! Each implements [`maypole_core::batch::Backend`] and passes one conformance suite.

pub mod sled;

#[cfg(test)]
pub(crate) mod conformance;
