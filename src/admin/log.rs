//! A group's log, as the operator is told of it: who began which epoch, and the receipt that vouches for it.

use maypole_core::group::Entry;
use maypole_core::ids::{ClientId, Epoch, RoomId, Sha256};
use maypole_core::limits;
use maypole_room::bytes::encode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which epochs of a log are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The first.
    pub from: Epoch,
    /// The last; none for the newest.
    pub to: Option<Epoch>,
}

/// A page of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage {
    /// The room.
    pub room: RoomId,
    /// The first epoch that the log has; those before it were removed.
    pub begins: Epoch,
    /// The epoch that the group is in.
    pub current: Epoch,
    /// With what the receipts are verified: the service's account, the key's ID and the key, as the group's external sender
    /// names them; none where nobody says.
    pub service: Option<String>,
    /// The epochs that were asked for, as many as fit.
    pub epochs: Vec<LoggedEpoch>,
    /// From which epoch on there are more.
    pub next: Option<Epoch>,
}

/// An epoch of a log. Written on a line it is a link of the chain of receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// Who began it: `@user:server/DEVICE`.
    pub sender: String,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_at_ms: u64,
    /// Devices whose leaf came; the first of them if there are many.
    pub joined: Vec<String>,
    /// How many came.
    pub joined_total: u64,
    /// Devices whose leaf went; the first of them if there are many.
    pub left: Vec<String>,
    /// How many went.
    pub left_total: u64,
    /// The hash of the commit, or of the GroupInfo of a registration, as base64.
    pub commit: String,
    /// The receipt, signed.
    pub receipt: Value,
}

impl From<&Entry> for LoggedEpoch {
    fn from(entry: &Entry) -> Self {
        let names = |clients: &[ClientId]| {
            clients.iter().take(limits::LOGGED_CLIENTS).map(ClientId::to_string).collect()
        };
        let total = |clients: &[ClientId]| u64::try_from(clients.len()).unwrap_or(u64::MAX);
        Self {
            epoch: entry.epoch,
            sender: entry.sender.to_string(),
            accepted_at_ms: entry.accepted_at.as_millis(),
            joined: names(&entry.joined),
            joined_total: total(&entry.joined),
            left: names(&entry.left),
            left_total: total(&entry.left),
            commit: encode(Sha256::of(&entry.message).as_bytes()),
            receipt: serde_json::from_slice(&entry.receipt).unwrap_or_default(),
        }
    }
}
