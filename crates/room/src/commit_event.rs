//! `m.mls.commit`: a commit that was accepted, as every device of the group is told.

use serde_json::{Map, Value};

use maypole_core::ids::{Epoch, GroupId, RoomId, TxnId, UserId};
use maypole_core::limits;

use crate::bytes::{Blob, Bytes, encode};
use crate::fields::{Fields, ShapeError, Wrong};
use crate::proposals::Proposals;
use crate::receipt::RoomReceipt;
use crate::strict_json;

/// The content of an `m.mls.commit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitEvent {
    /// The room.
    pub room_id: RoomId,
    /// The group.
    pub group_id: GroupId,
    /// The epoch that the commit makes.
    pub epoch: Epoch,
    /// The commit.
    pub message: Bytes,
    /// The user who made it.
    pub sender: UserId,
    /// The committer's name for it; for its device alone.
    pub txn_id: Option<TxnId>,
    /// What the commit cites.
    pub auth_events: AuthEvents,
    /// The service's proposals for the epoch that begins.
    pub proposals: Proposals,
    /// The receipt, signed. [`RoomReceipt::verify`] reads it.
    pub receipt: Value,
}

/// The events that a commit cites, whole, so that clients can compute their IDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthEvents {
    /// The events themselves.
    Inline(Vec<Value>),
    /// Where the array of them is, as JSON.
    Blob(Blob),
}

impl CommitEvent {
    /// The content.
    pub fn content(&self) -> Value {
        let mut content = Map::new();
        content.insert("room_id".into(), self.room_id.as_str().into());
        content.insert("group_id".into(), encode(self.group_id.as_bytes()).into());
        content.insert("epoch".into(), self.epoch.get().into());
        content.insert("message".into(), self.message.to_value());
        content.insert("sender".into(), self.sender.as_str().into());
        if let Some(txn_id) = &self.txn_id {
            content.insert("txn_id".into(), txn_id.as_str().into());
        }
        content.insert("auth_events".into(), self.auth_events.to_value());
        content.insert("proposals".into(), self.proposals.to_value());
        content.insert("receipt".into(), self.receipt.clone());
        content.into()
    }

    /// Reads a content.
    pub fn read(content: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("content", content)?;
        Ok(Self {
            room_id: fields.room_id("room_id")?,
            group_id: fields.group_id("group_id")?,
            epoch: fields.epoch("epoch")?,
            message: fields.bytes("message")?,
            sender: fields.user_id("sender")?,
            txn_id: fields.optional("txn_id", Fields::txn_id)?,
            auth_events: AuthEvents::read(fields)?,
            proposals: Proposals::of_content(fields)?,
            receipt: fields.object("receipt")?.clone(),
        })
    }

    /// Whether a receipt is that of this very commit.
    pub fn is_vouched_for_by(&self, receipt: &RoomReceipt) -> Result<(), ShapeError> {
        receipt.is_of(&self.room_id, &self.group_id, self.epoch)?;
        let same = receipt.receipt().commit == self.message.hash();
        if same { Ok(()) } else { Err(ShapeError::OtherReceipt) }
    }
}

impl AuthEvents {
    /// Reads the array that lay in the media repository.
    pub fn from_blob(bytes: &[u8]) -> Result<Self, ShapeError> {
        let wrong = Wrong { field: "auth_events", problem: "is a blob that is not JSON, or has a key twice" };
        let value = strict_json::parse(bytes).map_err(|_| wrong)?;
        let wrong = Wrong { field: "auth_events", problem: "is a blob that is not an array" };
        Ok(Self::inline(value.as_array().ok_or(wrong)?)?)
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Inline(events) => events.clone().into(),
            Self::Blob(blob) => blob.to_value(),
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Wrong> {
        match fields.value("auth_events")? {
            Value::Object(_) => match fields.bytes("auth_events")? {
                Bytes::Blob(blob) => Ok(Self::Blob(blob)),
                Bytes::Inline(_) => {
                    Err(Wrong { field: "auth_events", problem: "is neither an array nor a blob" })
                }
            },
            Value::Array(events) => Self::inline(events),
            _ => Err(Wrong { field: "auth_events", problem: "is neither an array nor a blob" }),
        }
    }

    fn inline(events: &[Value]) -> Result<Self, Wrong> {
        let wrong = |problem| Err(Wrong { field: "auth_events", problem });
        if events.len() > limits::CITED_EVENTS {
            return wrong("has more events than a commit may cite");
        }
        if !events.iter().all(Value::is_object) {
            return wrong("has something that is no event");
        }
        Ok(Self::Inline(events.to_vec()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
