//! The operator's Unix socket: commands to a running service, which alone may open its store.
//!
//! One connection asks one thing: a line of JSON, `{"command": "explain", "room": "!…"}`, answered by a line of JSON,
//! `{"ok": …}` or `{"error": "…"}`, where the error is a sentence. Whoever may open the socket may ask, and that is the
//! service's own user: the socket is its alone before anybody can connect, in a folder to which others cannot write.
//! Nothing is unbounded: neither lines, nor connections, nor waiting.

mod bounds;
mod client;
mod error;
mod explanation;
mod listener;
mod place;
mod request;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub use bounds::AdminLimits;
pub use client::{AskError, explain};
pub use error::AdminError;
pub use explanation::{Explanation, LastCommit, Member, Staged};
pub use listener::Listener;
pub use words::in_words;

use maypole_core::ids::RoomId;

/// Whoever can say what is known about a room's group.
pub trait Explain: Clone + Send + Sync + 'static {
    /// What is known about the group of this room, or nothing if there is none. The error is a sentence for the operator.
    fn explain(&self, room: &RoomId) -> impl Future<Output = Result<Option<Explanation>, String>> + Send;
}
