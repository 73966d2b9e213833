//! Does what is owed: at least once, in order within a lane, lanes side by side.
//!
//! It takes only `Durable<OwedRow>`, read back from the ledger. A row leaves the outbox when the homeserver has taken it;
//! until then it is tried again with the same bytes under the same transaction IDs. A row that is refused for good is set
//! aside, and its lane goes on.

mod chunks;
mod lanes;
mod send;
#[cfg(test)]
mod tests;

pub use lanes::Outbox;
