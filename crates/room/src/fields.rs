//! The fields of an object, read one by one, each into the type that it must have.
//!
//! Service and client read with the same rules and differ in what a wrong field means to them: to the service a refusal of
//! the sender, to the client a service that does not keep to the protocol.

use serde_json::{Map, Value};

use maypole_core::ids::{Epoch, GroupId, RoomId, Sha256, TxnId, UserId};
use maypole_core::limits;
use maypole_core::rejection::Rejection;

use crate::bytes::{Bytes, decode};

/// Why something that came from a service cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A field is not what it must be.
    #[error("`{field}` {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A receipt has no signature of the service by the key that its group names.
    #[error("the receipt is not signed with the service's key")]
    Unsigned,
    /// A receipt's signature is not of that key.
    #[error("the signature of the receipt is false")]
    Forged,
    /// A receipt is of something else than what it came with.
    #[error("the receipt is of something else")]
    OtherReceipt,
    /// A receipt is not the next after the one before it.
    #[error("the receipt does not follow the one before it")]
    NotNext,
}

/// A field that is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) problem: &'static str,
}

impl From<Wrong> for ShapeError {
    fn from(Wrong { field, problem }: Wrong) -> Self {
        Self::Field { field, problem }
    }
}

impl From<Wrong> for Rejection {
    fn from(Wrong { field, problem }: Wrong) -> Self {
        Self::BadJson { field, problem }
    }
}

/// An object whose fields are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The fields of a value that stands in `place`.
    pub(crate) fn of(place: &'static str, value: &'a Value) -> Result<Self, Wrong> {
        value.as_object().map(Self).ok_or(Wrong { field: place, problem: "is not an object" })
    }

    /// The fields of an object.
    pub(crate) const fn of_object(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    /// The names of all fields.
    pub(crate) fn names(self) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str)
    }

    /// Whatever the field holds, if it is there.
    pub(crate) fn get(self, field: &str) -> Option<&'a Value> {
        self.0.get(field)
    }

    /// Whatever the field holds.
    pub(crate) fn value(self, field: &'static str) -> Result<&'a Value, Wrong> {
        self.get(field).ok_or(Wrong { field, problem: "is missing" })
    }

    /// A field that need not be there, read like one that must.
    pub(crate) fn optional<T>(
        self,
        field: &'static str,
        read: impl FnOnce(Self, &'static str) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        if self.get(field).is_some() { read(self, field).map(Some) } else { Ok(None) }
    }

    pub(crate) fn text(self, field: &'static str) -> Result<&'a str, Wrong> {
        self.value(field)?.as_str().ok_or(Wrong { field, problem: "is not a string" })
    }

    /// A text that `parse` takes.
    pub(crate) fn parsed<T>(
        self,
        field: &'static str,
        problem: &'static str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, Wrong> {
        parse(self.text(field)?).ok_or(Wrong { field, problem })
    }

    /// A whole number that canonical JSON can write.
    pub(crate) fn number(self, field: &'static str) -> Result<u64, Wrong> {
        let number = self.value(field)?.as_u64().filter(|number| *number < limits::JSON_NUMBER_END);
        number.ok_or(Wrong { field, problem: "is not a whole number from 0 to 2^53 - 1" })
    }

    pub(crate) fn flag(self, field: &'static str) -> Result<bool, Wrong> {
        self.value(field)?.as_bool().ok_or(Wrong { field, problem: "is neither true nor false" })
    }

    /// An object, as it is.
    pub(crate) fn object(self, field: &'static str) -> Result<&'a Value, Wrong> {
        let value = self.value(field)?;
        if value.is_object() { Ok(value) } else { Err(Wrong { field, problem: "is not an object" }) }
    }

    pub(crate) fn array(self, field: &'static str) -> Result<&'a [Value], Wrong> {
        self.value(field)?.as_array().map(Vec::as_slice).ok_or(Wrong { field, problem: "is not an array" })
    }

    pub(crate) fn epoch(self, field: &'static str) -> Result<Epoch, Wrong> {
        Epoch::new(self.number(field)?).ok_or(Wrong { field, problem: "is no epoch" })
    }

    pub(crate) fn base64(self, field: &'static str) -> Result<Vec<u8>, Wrong> {
        self.parsed(field, "is not unpadded standard base64", decode)
    }

    pub(crate) fn hash(self, field: &'static str) -> Result<Sha256, Wrong> {
        let bytes = <[u8; 32]>::try_from(self.base64(field)?);
        bytes.map(Sha256::from_bytes).map_err(|_| Wrong { field, problem: "is not a SHA-256 hash" })
    }

    pub(crate) fn group_id(self, field: &'static str) -> Result<GroupId, Wrong> {
        GroupId::parse(self.base64(field)?)
            .ok_or(Wrong { field, problem: "is longer than a group ID may be" })
    }

    pub(crate) fn txn_id(self, field: &'static str) -> Result<TxnId, Wrong> {
        self.parsed(field, "is empty or longer than 255 bytes", TxnId::parse)
    }

    pub(crate) fn room_id(self, field: &'static str) -> Result<RoomId, Wrong> {
        self.parsed(field, "is not a room ID", |text| {
            ruma::RoomId::parse(text).ok().and_then(|_| RoomId::parse(text))
        })
    }

    pub(crate) fn user_id(self, field: &'static str) -> Result<UserId, Wrong> {
        self.parsed(field, "is not a user ID", |text| {
            ruma::UserId::parse(text).ok().and_then(|_| UserId::parse(text))
        })
    }

    pub(crate) fn bytes(self, field: &'static str) -> Result<Bytes, Wrong> {
        read_bytes(field, self.value(field)?)
    }
}

fn read_bytes(field: &'static str, value: &Value) -> Result<Bytes, Wrong> {
    Bytes::read(field, value).map_err(|rejection| match rejection {
        Rejection::BadJson { field, problem } => Wrong { field, problem },
        _ => Wrong { field, problem: "is a blob of more bytes than are taken" },
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A content is read, but not without one of its fields (those in `optional` apart), nor with one of another kind.
    pub(crate) fn every_field_matters<T>(
        content: &Value,
        read: impl Fn(&Value) -> Result<T, ShapeError>,
        optional: &[&str],
    ) {
        assert!(read(content).is_ok(), "{content}");
        assert!(read(&json!([])).is_err() && read(&json!(null)).is_err());
        for name in content.as_object().unwrap().keys() {
            let mut without = content.clone();
            without.as_object_mut().unwrap().remove(name);
            assert_eq!(read(&without).is_ok(), optional.contains(&name.as_str()), "without {name}");
            for other in [json!(null), json!(-1), json!("=")] {
                let mut with = content.clone();
                with[name] = other.clone();
                let free_text = other.is_string() && content[name].is_string() && read(&with).is_ok();
                let free_text = free_text && matches!(name.as_str(), "txn_id" | "request_id");
                assert!(free_text || read(&with).is_err(), "{name} is {other}");
            }
        }
    }

    /// Reads the field `f` of an object that holds `value` there.
    fn read<T>(value: Value, read: impl FnOnce(Fields<'_>) -> Result<T, Wrong>) -> Result<T, &'static str> {
        read(Fields::of("all", &json!({"f": value})).unwrap()).map_err(|wrong| wrong.problem)
    }

    #[test]
    fn what_is_not_there_is_missing_unless_it_may_be() {
        let empty = json!({});
        let fields = Fields::of("all", &empty).unwrap();
        assert_eq!(fields.text("f"), Err(Wrong { field: "f", problem: "is missing" }));
        assert_eq!(fields.optional("f", Fields::text), Ok(None));
        assert_eq!(
            read(json!(null), |fields| fields.optional("f", |f, n| f.text(n).map(drop))),
            Err("is not a string")
        );
        assert!(Fields::of("all", &json!([])).is_err());
    }

    #[test]
    fn numbers_are_whole_and_can_be_written() {
        for wrong in [json!(-1), json!(1.5), json!("1"), json!(1_u64 << 53), json!(u64::MAX), json!(null)] {
            assert!(read(wrong.clone(), |fields| fields.number("f")).is_err(), "{wrong}");
            assert!(read(wrong.clone(), |fields| fields.epoch("f")).is_err(), "{wrong}");
        }
        assert_eq!(read(json!((1_u64 << 53) - 1), |fields| fields.number("f")), Ok((1 << 53) - 1));
    }

    #[test]
    fn identifiers_are_those_of_matrix() {
        for wrong in ["", "alice", "@alice", "!room", "@alice:", "#room:a.org"] {
            assert!(read(json!(wrong), |fields| fields.user_id("f")).is_err(), "{wrong}");
        }
        for wrong in ["", "room:a.org", "@alice:a.org", "#room:a.org"] {
            assert!(read(json!(wrong), |fields| fields.room_id("f")).is_err(), "{wrong}");
        }
        assert!(read(json!("@:a.org"), |fields| fields.user_id("f")).is_ok());
        assert!(read(json!("!room:a.org"), |fields| fields.room_id("f")).is_ok());
        assert!(read(json!(format!("!{}", "a".repeat(43))), |fields| fields.room_id("f")).is_ok());
    }

    #[test]
    fn hashes_and_groups_have_their_lengths() {
        let base64 = |length| json!(crate::bytes::encode(&vec![7; length]));
        assert!(read(base64(31), |fields| fields.hash("f")).is_err());
        assert!(read(base64(33), |fields| fields.hash("f")).is_err());
        assert_eq!(read(base64(32), |fields| fields.hash("f")), Ok(Sha256::from_bytes([7; 32])));
        assert!(read(base64(limits::GROUP_ID_BYTES + 1), |fields| fields.group_id("f")).is_err());
        assert!(read(base64(limits::GROUP_ID_BYTES), |fields| fields.group_id("f")).is_ok());
    }

    #[test]
    fn a_blob_that_is_too_large_is_a_wrong_field() {
        let blob = json!({"mxc": "mxc://a.org/x", "sha256": crate::bytes::encode(&[7; 32]), "size": limits::BLOB_BYTES + 1});
        assert_eq!(read(blob, |fields| fields.bytes("f")), Err("is a blob of more bytes than are taken"));
    }
}
