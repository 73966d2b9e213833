//! Frozen groups, as the operator is told of them.

use maypole_core::group::Frozen;
use maypole_core::ids::RoomId;
use serde::{Deserialize, Serialize};

/// That a group takes no commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

impl From<&Frozen> for Freeze {
    fn from(frozen: &Frozen) -> Self {
        Self { reason: frozen.reason.to_string(), since_ms: frozen.frozen_at.as_millis() }
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

/// All rooms whose groups take no commands, or the first of them if there are many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenRooms {
    /// The rooms.
    pub rooms: Vec<FrozenRoom>,
    /// Whether there are more.
    pub more: bool,
}

/// A room whose group takes commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// The room.
    pub room: RoomId,
    /// Whether the group was frozen before.
    pub was_frozen: bool,
}
