//! Where questions are decided: messages leave the inbox here, each in the write that records its answer.
//!
//! What needs no group is answered at once, page by page (`worker.rs`). What does takes its place in the lane of its group
//! (`lanes.rs`): one at a time in a group, groups side by side. The road of one command is `road.rs`; what it makes necessary in
//! the room is done in `outside.rs`, beside its lane, and decided in `staged.rs`.

mod entering;
mod explain;
mod freezes;
mod inspecting;
mod lanes;
mod live;
mod logs;
mod mending;
mod operator;
mod outside;
mod past;
mod places;
mod refusing;
mod road;
mod staged;
#[cfg(test)]
mod tests;
mod worker;

pub use inspecting::inspect;
pub use lanes::Lanes;
pub use live::LiveGroups;
pub use logs::log_page;
pub use mending::{MendError, Mended, mend};
pub use operator::Operator;
pub use road::Road;
pub use worker::Worker;
