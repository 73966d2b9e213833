//! Libraries that follow the same groups, so that every epoch has more than one judge.

mod follower;
pub(crate) mod mls_rs;
pub(crate) mod openmls;
pub(crate) mod ours;

pub(crate) use follower::{Follower, Seen, Weighed, in_full};
