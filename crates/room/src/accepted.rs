//! `m.mls.accepted`: the service took a registration or a proposal.

use serde_json::{Map, Value};

use maypole_core::ids::{Epoch, RoomId, Sha256, TxnId};

use crate::bytes::encode;
use crate::fields::{Fields, ShapeError};

/// The content of an `m.mls.accepted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The room.
    pub room_id: RoomId,
    /// The device's name for its message, if it gave one.
    pub txn_id: Option<TxnId>,
    /// The hash of the message.
    pub message_hash: Sha256,
    /// The group's epoch.
    pub epoch: Epoch,
    /// The receipt that a registration begins its chain with, signed.
    pub receipt: Option<Value>,
}

impl Accepted {
    /// The content.
    pub fn content(&self) -> Value {
        let mut content = Map::new();
        content.insert("room_id".into(), self.room_id.as_str().into());
        if let Some(txn_id) = &self.txn_id {
            content.insert("txn_id".into(), txn_id.as_str().into());
        }
        content.insert("message_hash".into(), encode(self.message_hash.as_bytes()).into());
        content.insert("epoch".into(), self.epoch.get().into());
        if let Some(receipt) = &self.receipt {
            content.insert("receipt".into(), receipt.clone());
        }
        content.into()
    }

    /// Reads a content.
    pub fn read(content: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("content", content)?;
        Ok(Self {
            room_id: fields.room_id("room_id")?,
            txn_id: fields.optional("txn_id", Fields::txn_id)?,
            message_hash: fields.hash("message_hash")?,
            epoch: fields.epoch("epoch")?,
            receipt: fields.optional("receipt", Fields::object)?.cloned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fields::tests::every_field_matters;

    fn accepted() -> Accepted {
        Accepted {
            room_id: RoomId::parse("!room:a.org").unwrap(),
            txn_id: TxnId::parse("t1"),
            message_hash: Sha256::of(b"message"),
            epoch: Epoch::ZERO,
            receipt: Some(json!({"epoch": 0})),
        }
    }

    #[test]
    fn what_lacks_a_field_is_refused() {
        every_field_matters(&accepted().content(), Accepted::read, &["txn_id", "receipt"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(Accepted::read(&accepted().content()), Ok(accepted()));
        let bare = Accepted { txn_id: None, receipt: None, ..accepted() };
        assert_eq!(bare.content().as_object().unwrap().len(), 3);
        assert_eq!(Accepted::read(&bare.content()), Ok(bare));
    }
}
