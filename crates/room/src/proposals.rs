//! The service's proposals for an epoch, as they are given out: in the event that begins the epoch, or, where they are too
//! large for it, in the media repository.

use maypole_core::limits;
use serde_json::Value;

use crate::bytes::{Blob, Bytes, encode};
use crate::fields::{Fields, ShapeError, Wrong};
use crate::strict_json;

/// The service's proposals for an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposals {
    /// The proposals themselves.
    Inline(Vec<Bytes>),
    /// Where the array of them is, as JSON.
    Blob(Blob),
}

impl Default for Proposals {
    fn default() -> Self {
        Self::Inline(Vec::new())
    }
}

impl Proposals {
    /// These messages, in an event.
    pub fn of(messages: &[Vec<u8>]) -> Self {
        Self::Inline(messages.iter().cloned().map(Bytes::Inline).collect())
    }

    /// The array of these messages, as it lies in the media repository.
    pub fn to_blob(messages: &[Vec<u8>]) -> Vec<u8> {
        let encoded: Vec<Value> = messages.iter().map(|message| encode(message).into()).collect();
        Value::from(encoded).to_string().into_bytes()
    }

    /// Reads the array that lay in the media repository.
    pub fn from_blob(bytes: &[u8]) -> Result<Self, ShapeError> {
        let wrong = Wrong { field: "proposals", problem: "is a blob that is not a JSON array of base64" };
        let value = strict_json::parse(bytes).map_err(|_| wrong)?;
        Ok(Self::inline(&value).ok().filter(Self::is_whole).ok_or(wrong)?)
    }

    /// Whether nothing of it lies elsewhere.
    fn is_whole(&self) -> bool {
        matches!(self, Self::Inline(all) if all.iter().all(|one| matches!(one, Bytes::Inline(_))))
    }

    /// As it stands in a content.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Inline(proposals) => proposals.iter().map(Bytes::to_value).collect(),
            Self::Blob(blob) => blob.to_value(),
        }
    }

    /// Reads what stands in a content.
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        Ok(Self::parse(value)?)
    }

    pub(crate) fn of_content(fields: Fields<'_>) -> Result<Self, Wrong> {
        Self::parse(fields.value("proposals")?)
    }

    fn parse(value: &Value) -> Result<Self, Wrong> {
        if !value.is_object() {
            return Self::inline(value);
        }
        match Bytes::read("proposals", value) {
            Ok(Bytes::Blob(blob)) => Ok(Self::Blob(blob)),
            _ => Err(Wrong { field: "proposals", problem: "is neither an array nor a blob" }),
        }
    }

    fn inline(value: &Value) -> Result<Self, Wrong> {
        let wrong = |problem| Wrong { field: "proposals", problem };
        let all = value.as_array().ok_or(wrong("is neither an array nor a blob"))?;
        if all.len() > limits::SERVICE_PROPOSALS {
            return Err(wrong("has more proposals than the service makes"));
        }
        let each = all.iter().map(|one| {
            Bytes::read("proposals", one)
                .map_err(|_| wrong("has something that is neither base64 nor a blob"))
        });
        Ok(Self::Inline(each.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use maypole_core::ids::Sha256;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let messages = [vec![1], vec![2, 3]];
        let inline = Proposals::of(&messages);
        assert_eq!(Proposals::read(&inline.to_value()), Ok(inline.clone()));
        assert_eq!(Proposals::from_blob(&Proposals::to_blob(&messages)), Ok(inline));
        let elsewhere =
            Proposals::Blob(Blob { mxc: "mxc://a.org/abc".into(), sha256: Sha256::of(b"[]"), size_bytes: 2 });
        assert_eq!(Proposals::read(&elsewhere.to_value()), Ok(elsewhere));
    }

    #[test]
    fn what_is_no_array_of_bytes_is_refused() {
        let many = vec![""; limits::SERVICE_PROPOSALS + 1];
        for wrong in [json!([7]), json!([[]]), json!("AAAA"), json!({"mxc": "mxc://a.org/abc"}), json!(many)]
        {
            assert!(Proposals::read(&wrong).is_err(), "{wrong}");
            assert!(Proposals::from_blob(wrong.to_string().as_bytes()).is_err(), "{wrong}");
        }
        let blob = json!([{"mxc": "mxc://a.org/abc", "sha256": encode(&[7; 32]), "size": 2}]);
        assert!(Proposals::read(&blob).is_ok());
        for wrong in [blob.to_string().as_bytes(), b"", b"[", b"{}"] {
            assert!(Proposals::from_blob(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
