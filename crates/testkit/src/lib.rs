//! What tests and the demo need from the world: real homeservers, real users, real MLS messages and forged ones, the
//! service as a process of its own, and a disk that can be cut at any system call.

#[cfg(feature = "world")]
pub mod bounds;
pub mod forge;
#[cfg(feature = "world")]
pub mod generated;
#[cfg(feature = "world")]
pub mod mls;
#[cfg(feature = "world")]
pub mod ports;
#[cfg(feature = "world")]
pub mod postgres;
#[cfg(feature = "world")]
pub mod provision;
#[cfg(feature = "world")]
pub mod recorder;
#[cfg(feature = "world")]
mod requests;
#[cfg(feature = "world")]
mod secrets;
#[cfg(feature = "world")]
pub mod service;
#[cfg(feature = "world")]
pub mod synapse;
#[cfg(feature = "world")]
mod tied;
#[cfg(feature = "world")]
pub mod user;
#[cfg(feature = "world")]
pub mod vectors;
#[cfg(feature = "world")]
pub mod wait;

#[cfg(feature = "world")]
pub use requests::{Answer, Refused, path_part, text_of};
