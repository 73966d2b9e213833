//! MSC4244, the Matrix dialect: to-device messages in, to-device messages out.

pub mod answers;
pub mod describe;
pub mod invites;
pub mod questions;
pub mod reference;
