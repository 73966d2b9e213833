//! A Matrix client's half of MSC4244: what a device must do so that its groups stay whole, on OpenMLS.
//!
//! - [`device`] is the device itself, without I/O: wishes and events go in, [`device::Action`]s come out.
//! - [`check`] says whether what a commit brings is what Matrix says: published keys, cited events.
//! - `matrix`, with the feature `driver`, carries the actions out: HTTP to a homeserver, a file for the state.

#![forbid(unsafe_code)]

pub mod check;
pub mod device;
#[cfg(feature = "driver")]
pub mod matrix;
mod mls;
