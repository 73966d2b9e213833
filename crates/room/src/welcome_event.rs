//! `m.mls.welcome`: what a device needs to join by a commit that adds it. It is sent after that commit was accepted.

use serde_json::{Value, json};

use maypole_core::ids::{Epoch, GroupId, RoomId};

use crate::bytes::{Bytes, encode};
use crate::fields::{Fields, ShapeError};
use crate::proposals::Proposals;

/// The content of an `m.mls.welcome`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WelcomeEvent {
    /// The room.
    pub room_id: RoomId,
    /// The group.
    pub group_id: GroupId,
    /// The epoch that the device joins in.
    pub epoch: Epoch,
    /// The Welcome, with this device's secrets alone.
    pub welcome: Bytes,
    /// The ratchet tree of that epoch.
    pub ratchet_tree: Bytes,
    /// The service's proposals for that epoch, which its commits may refer to.
    pub proposals: Proposals,
    /// The epoch's receipt, signed. A joiner's chain starts here.
    pub receipt: Value,
}

impl WelcomeEvent {
    /// The content.
    pub fn content(&self) -> Value {
        json!({
            "room_id": self.room_id,
            "group_id": encode(self.group_id.as_bytes()),
            "epoch": self.epoch.get(),
            "welcome": self.welcome.to_value(),
            "ratchet_tree": self.ratchet_tree.to_value(),
            "proposals": self.proposals.to_value(),
            "receipt": self.receipt,
        })
    }

    /// Reads a content.
    pub fn read(content: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("content", content)?;
        Ok(Self {
            room_id: fields.room_id("room_id")?,
            group_id: fields.group_id("group_id")?,
            epoch: fields.epoch("epoch")?,
            welcome: fields.bytes("welcome")?,
            ratchet_tree: fields.bytes("ratchet_tree")?,
            proposals: Proposals::of_content(fields)?,
            receipt: fields.object("receipt")?.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::every_field_matters;

    fn welcome() -> WelcomeEvent {
        WelcomeEvent {
            room_id: RoomId::parse("!room:a.org").unwrap(),
            group_id: GroupId::parse(*b"!room:a.org").unwrap(),
            epoch: Epoch::new(6).unwrap(),
            welcome: Bytes::Inline(vec![1, 2]),
            ratchet_tree: Bytes::Inline(vec![3]),
            proposals: Proposals::of(&[vec![4]]),
            receipt: json!({"epoch": 6}),
        }
    }

    #[test]
    fn what_lacks_a_field_is_refused() {
        every_field_matters(&welcome().content(), WelcomeEvent::read, &[]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(WelcomeEvent::read(&welcome().content()), Ok(welcome()));
    }
}
