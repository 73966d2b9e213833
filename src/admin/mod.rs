//! The operator's Unix socket: commands to a running service, which alone may open its store.
//!
//! One connection asks one thing: a line of JSON, `{"command": "explain", "room": "!…"}` (`request.rs` has all of them),
//! answered by a line of JSON,
//! `{"ok": …}` or `{"error": "…"}`, where the error is a sentence; a copy of the store comes behind that line. Whoever may open the socket may ask, and that is the
//! service's own user: the socket is its alone before anybody can connect, in a folder to which others cannot write.
//! Nothing is unbounded: neither lines, nor connections, nor waiting.

mod agenda;
mod bounds;
mod client;
mod error;
mod explanation;
mod freeze;
mod inspection;
mod listener;
mod log;
mod place;
mod request;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub use agenda::{Agenda, Duty, Leaving, Proposal};
pub use bounds::AdminLimits;
pub use client::{AskError, check, copy, explain, freeze, frozen, log, unfreeze};
pub use error::AdminError;
pub use explanation::{Explanation, LastCommit, Member, Staged};
pub use freeze::{Freeze, FrozenRoom, FrozenRooms, Lifted};
pub use inspection::{Inspection, Problem};
pub(crate) use inspection::{group_as_text, group_of_text};
pub use listener::Listener;
pub use log::{LogPage, LogRange, LoggedEpoch};
pub use words::{age, in_words, plain};

use maypole_core::ids::{FreezeReason, GroupId, RoomId};
use tokio::sync::mpsc;

/// Whoever does what the operator asks of the running service. Nothing, where there is no group of that room; an error is a
/// sentence for the operator.
pub trait Operate: Clone + Send + Sync + 'static {
    /// What is known about the group of a room.
    fn explain(&self, room: &RoomId) -> impl Future<Output = Result<Option<Explanation>, String>> + Send;

    /// Freezes the group of a room.
    fn freeze(
        &self,
        room: &RoomId,
        reason: FreezeReason,
    ) -> impl Future<Output = Result<Option<FrozenRoom>, String>> + Send;

    /// Lets the group of a room take commands again.
    fn unfreeze(&self, room: &RoomId) -> impl Future<Output = Result<Option<Lifted>, String>> + Send;

    /// Epochs of the log of a room's group.
    fn log(
        &self,
        room: &RoomId,
        range: LogRange,
    ) -> impl Future<Output = Result<Option<LogPage>, String>> + Send;

    /// Groups that are frozen, from behind a group on.
    fn frozen(&self, after: Option<GroupId>) -> impl Future<Output = Result<FrozenRooms, String>> + Send;

    /// Looks through the store, from behind a group on.
    fn check(&self, after: Option<GroupId>) -> impl Future<Output = Result<Inspection, String>> + Send;

    /// Makes a copy of the whole store, for whoever takes the pieces.
    fn copy(&self, pieces: mpsc::Sender<Vec<u8>>) -> impl Future<Output = Result<(), String>> + Send;
}
