//! What was found when the store was looked through, as the operator is told of it.

use maypole_core::ids::GroupId;
use maypole_room::bytes::{decode, encode};
use serde::{Deserialize, Serialize};

/// A part of the store that was looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Groups that were looked at.
    pub groups: u64,
    /// Epochs in their logs.
    pub epochs: u64,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
    /// Behind which group it goes on, in base64; nothing if this was the last part.
    pub next: Option<String>,
    /// Groups that the store has, those whose heads cannot be read included.
    pub groups_stored: u64,
    /// Messages that wait for an answer.
    pub inbox: u64,
    /// Deliveries that are owed.
    pub owed: u64,
    /// What was set aside for the operator.
    pub set_aside: u64,
    /// Damaged records that were moved out of the way.
    pub quarantined: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The group.
    pub group: String,
    /// What is wrong with it.
    pub what: String,
}

/// A group's ID, as it goes over the socket.
pub(crate) fn group_as_text(group: &GroupId) -> String {
    encode(group.as_bytes())
}

/// The group that was meant.
pub(crate) fn group_of_text(text: &str) -> Option<GroupId> {
    GroupId::parse(decode(text)?)
}
