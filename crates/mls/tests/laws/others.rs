//! mls-rs as a judge, and what is known of where it differs: both belong to the tests beside this one.

#[path = "../oracles/follower.rs"]
mod follower;
#[path = "../differential/lenient.rs"]
pub(super) mod lenient;
#[path = "../oracles/mls_rs.rs"]
pub(super) mod mls_rs;
#[path = "../differential/table/mod.rs"]
pub(super) mod table;
#[path = "../differential/verdict.rs"]
pub(super) mod verdict;

/// What a verdict is of, where the verdict looks for it.
mod oracles {
    pub(super) use super::{Follower, Weighed};
}

pub(super) use follower::{Follower, Seen, Weighed, in_full};
