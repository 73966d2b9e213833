//! What tests and the demo need from the world: real homeservers, real users, real MLS messages and forged ones, the
//! service as a process of its own, and a disk that can be cut at any system call.

pub mod bounds;
pub mod forge;
pub mod generated;
pub mod mls;
pub mod ports;
pub mod provision;
pub mod recorder;
mod requests;
mod secrets;
pub mod service;
pub mod synapse;
pub mod user;
pub mod vectors;
pub mod wait;

pub use requests::{Answer, Refused, path_part, text_of};
