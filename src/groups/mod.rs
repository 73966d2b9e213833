//! Where questions are decided: takes messages from the inbox, asks the dialect what they are, decides, and records the
//! answer in the write that takes the message out of the inbox.
//!
//! Nothing can be registered yet, so every question is refused: each with its reason.

#[cfg(test)]
mod tests;
mod worker;

pub use worker::Worker;

use maypole_core::rejection::{Rejection, Unsupported};
use maypole_room::message::Asked;

/// What becomes of a question that could be read, as long as no group can exist.
fn judge(asked: &Asked) -> Rejection {
    match asked {
        Asked::Register { .. } => Rejection::Unsupported(Unsupported::Registration),
        Asked::Handshake { .. } => Rejection::UnknownGroup,
    }
}
