//! Receipts as they travel: what the service vouches for with every epoch, in Matrix's canonical JSON, hashed and signed.
//!
//! The signature and the hash cover every field: a receipt with a field that is not known here is refused, since it would
//! be hashed as something else than it is.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, UInt};
use serde_json::{Value, json};

use maypole_core::ids::{Epoch, GroupId, RoomId, Sha256};
use maypole_core::limits;
use maypole_core::receipt::Receipt;
use maypole_core::time::Timestamp;

use crate::bytes::{decode, encode};
use crate::fields::{Fields, ShapeError, Wrong};

/// What is signed, besides `signatures` and `unsigned`.
const FIELDS: [&str; 10] = [
    "commit",
    "confirmed_transcript_hash",
    "epoch",
    "external_pub",
    "group_id",
    "origin_server_ts",
    "prev",
    "room_id",
    "term",
    "tree_hash",
];

/// The receipt of an epoch of a room's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomReceipt {
    room_id: RoomId,
    receipt: Receipt,
}

impl RoomReceipt {
    /// Takes the receipt of a group of that room, if canonical JSON can write its numbers and terms are counted from 1.
    pub fn new(room_id: RoomId, receipt: Receipt) -> Option<Self> {
        let writable = |number| number < limits::JSON_NUMBER_END;
        let fits = receipt.term > 0 && writable(receipt.term) && writable(receipt.issued_at.as_millis());
        fits.then_some(Self { room_id, receipt })
    }

    /// The room.
    pub const fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// What it says.
    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// What is hashed and signed: canonical JSON, without `signatures` and `unsigned`.
    pub fn signable(&self) -> Vec<u8> {
        CanonicalJsonValue::Object(self.fields()).to_string().into_bytes()
    }

    /// The hash by which the next receipt names this one.
    pub fn hash(&self) -> Sha256 {
        Sha256::of(&self.signable())
    }

    /// The receipt with `service`'s signature over [`Self::signable`], by the key of that ID (`ed25519:…`).
    pub fn signed(&self, service: &str, key_id: &str, signature: &[u8]) -> Value {
        let mut object: serde_json::Map<_, _> =
            self.fields().into_iter().map(|(name, value)| (name, value.into())).collect();
        object.insert("signatures".into(), json!({service: {key_id: encode(signature)}}));
        object.into()
    }

    /// Reads a receipt, whoever signed it.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("receipt", value)?;
        let known = |name: &str| FIELDS.contains(&name) || matches!(name, "signatures" | "unsigned");
        if !fields.names().all(known) {
            return Err(Wrong { field: "receipt", problem: "has a field that is not known" }.into());
        }
        let prev = if fields.value("prev")?.is_null() { None } else { Some(fields.hash("prev")?) };
        let receipt = Receipt {
            group: fields.group_id("group_id")?,
            term: fields.number("term")?,
            epoch: fields.epoch("epoch")?,
            commit: fields.hash("commit")?,
            tree_hash: fields.base64("tree_hash")?,
            confirmed_transcript_hash: fields.base64("confirmed_transcript_hash")?,
            external_pub: fields.base64("external_pub")?,
            prev,
            issued_at: Timestamp::from_millis(fields.number("origin_server_ts")?),
        };
        let receipt = Self::new(fields.room_id("room_id")?, receipt);
        receipt.ok_or(Wrong { field: "term", problem: "is not counted from 1" }.into())
    }

    /// Reads a receipt that `service` signed with this Ed25519 key.
    pub fn verify(value: &Value, service: &str, key_id: &str, public_key: &[u8]) -> Result<Self, ShapeError> {
        let receipt = Self::read(value)?;
        let signature = value.get("signatures").and_then(|signatures| signatures.get(service)?.get(key_id));
        let signature = signature.and_then(Value::as_str).and_then(decode).ok_or(ShapeError::Unsigned)?;
        let key = UnparsedPublicKey::new(&ED25519, public_key);
        key.verify(&receipt.signable(), &signature).map_err(|_| ShapeError::Forged)?;
        Ok(receipt)
    }

    /// Whether it may come right after another in one chain.
    pub fn follows(&self, before: &Self) -> Result<(), ShapeError> {
        let next = self.room_id == before.room_id && self.receipt.follows(&before.receipt, before.hash());
        if next { Ok(()) } else { Err(ShapeError::NotNext) }
    }

    /// Whether it is the receipt of this epoch of this group.
    pub fn is_of(&self, room_id: &RoomId, group: &GroupId, epoch: Epoch) -> Result<(), ShapeError> {
        let receipt = &self.receipt;
        let same = self.room_id == *room_id && receipt.group == *group && receipt.epoch == epoch;
        if same { Ok(()) } else { Err(ShapeError::OtherReceipt) }
    }

    fn fields(&self) -> CanonicalJsonObject {
        let receipt = &self.receipt;
        let text = CanonicalJsonValue::String;
        let base64 = |bytes: &[u8]| text(encode(bytes));
        // No number is cut: `new` refuses what cannot be written.
        let number = |number| CanonicalJsonValue::from(UInt::new_saturating(number));
        let values = [
            base64(receipt.commit.as_bytes()),
            base64(&receipt.confirmed_transcript_hash),
            number(receipt.epoch.get()),
            base64(&receipt.external_pub),
            base64(receipt.group.as_bytes()),
            number(receipt.issued_at.as_millis()),
            receipt.prev.map_or(CanonicalJsonValue::Null, |prev| base64(prev.as_bytes())),
            text(self.room_id.as_str().to_owned()),
            number(receipt.term),
            base64(&receipt.tree_hash),
        ];
        FIELDS.map(str::to_owned).into_iter().zip(values).collect()
    }
}

#[cfg(test)]
mod tests;
