//! What a delivery service gives to others: GroupInfos that it has checked, Welcomes cut down to one reader, and Remove
//! proposals of its own.

mod group_info;
mod remove;
mod welcome;

pub use remove::{UnsignedProposal, propose_remove};
pub use welcome::{Welcome, WelcomeEntry};
