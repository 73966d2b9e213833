//! Frozen groups, as the operator is told of them.

use maypole_core::group::{self, Frozen};
use maypole_core::ids::RoomId;
use serde::{Deserialize, Serialize};

use super::agenda::by_what;
use super::plain;

/// That a group takes no commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// What froze it, in a few words; none where its operator did, who alone can unfreeze it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Freeze {
    /// Why, in words that command no terminal.
    pub fn in_words(&self) -> String {
        let cause = self.cause.as_ref().map(|cause| format!("{}: ", plain(cause)));
        format!("{}{}", cause.unwrap_or_default(), plain(&self.reason))
    }
}

impl From<&group::Freeze> for Freeze {
    fn from(freeze: &group::Freeze) -> Self {
        Self {
            reason: freeze.reason.clone(),
            since_ms: freeze.since.as_millis(),
            cause: Some(by_what(freeze.cause).to_owned()),
        }
    }
}

impl From<&Frozen> for Freeze {
    fn from(frozen: &Frozen) -> Self {
        Self { reason: frozen.reason.to_string(), since_ms: frozen.frozen_at.as_millis(), cause: None }
    }
}

/// A room whose group takes no commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenRoom {
    /// The room.
    pub room: RoomId,
    /// Why, and since when.
    #[serde(flatten)]
    pub freeze: Freeze,
}

/// Rooms whose groups take no commands, a page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenRooms {
    /// The rooms, each as often as it has causes.
    pub rooms: Vec<FrozenRoom>,
    /// Behind which group it goes on, in base64; nothing if this was the last page.
    pub next: Option<String>,
}

/// A room whose group takes commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// The room.
    pub room: RoomId,
    /// Whether the group was frozen before.
    pub was_frozen: bool,
}
