//! A field that holds MLS bytes: base64, or a blob in the media repository.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value, json};

use maypole_core::ids::Sha256;
use maypole_core::limits;
use maypole_core::rejection::Rejection;

/// The value of a Bytes field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// The bytes themselves.
    Inline(Vec<u8>),
    /// Where the bytes are.
    Blob(Blob),
}

/// Bytes in the media repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Where.
    pub mxc: String,
    /// Their hash.
    pub sha256: Sha256,
    /// How many.
    pub size_bytes: u64,
}

impl Bytes {
    /// Reads the value of a Bytes field called `field`.
    pub fn read(field: &'static str, value: &Value) -> Result<Self, Rejection> {
        match value {
            Value::String(text) => {
                let problem = "is not unpadded standard base64";
                decode(text).map(Self::Inline).ok_or(Rejection::BadJson { field, problem })
            }
            Value::Object(object) => Blob::read(field, object).map(Self::Blob),
            _ => Err(Rejection::BadJson { field, problem: "is neither base64 nor a blob" }),
        }
    }

    /// The value of the field.
    ///
    /// ```
    /// use maypole_room::bytes::Bytes;
    ///
    /// assert_eq!(Bytes::Inline(vec![0xfb, 0xff]).to_value(), "+/8");
    /// ```
    pub fn to_value(&self) -> Value {
        match self {
            Self::Inline(bytes) => encode(bytes).into(),
            Self::Blob(blob) => blob.to_value(),
        }
    }

    /// The hash of the bytes, wherever they are.
    pub fn hash(&self) -> Sha256 {
        match self {
            Self::Inline(bytes) => Sha256::of(bytes),
            Self::Blob(blob) => blob.sha256,
        }
    }
}

impl Blob {
    /// The value of a field whose bytes are there.
    pub fn to_value(&self) -> Value {
        json!({"mxc": self.mxc, "sha256": encode(self.sha256.as_bytes()), "size": self.size_bytes})
    }

    pub(crate) fn read(field: &'static str, object: &Map<String, Value>) -> Result<Self, Rejection> {
        let wrong = |problem| Rejection::BadJson { field, problem };
        let mxc =
            object.get("mxc").and_then(Value::as_str).filter(|mxc| <&ruma::MxcUri>::from(*mxc).is_valid());
        let mxc = mxc.ok_or(wrong("is a blob without a valid `mxc`"))?;
        let sha256 = object.get("sha256").and_then(Value::as_str).and_then(decode);
        let sha256 = sha256.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let sha256 = sha256.ok_or(wrong("is a blob without a valid `sha256`"))?;
        let size_bytes =
            object.get("size").and_then(Value::as_u64).ok_or(wrong("is a blob without a valid `size`"))?;
        if size_bytes > limits::BLOB_BYTES {
            return Err(Rejection::TooLarge { what: "the blob", limit_bytes: limits::BLOB_BYTES });
        }
        Ok(Self { mxc: mxc.to_owned(), sha256: Sha256::from_bytes(sha256), size_bytes })
    }
}

/// Decodes unpadded standard base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

/// Encodes as unpadded standard base64.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_form() {
        assert_eq!(Bytes::read("f", &json!("+/8")), Ok(Bytes::Inline(vec![0xfb, 0xff])));
        for wrong in ["-_8", "+/8=", "+/9", "+", "+/8\n", "é"] {
            assert!(matches!(Bytes::read("f", &json!(wrong)), Err(Rejection::BadJson { .. })), "{wrong:?}");
        }
        for wrong in [json!(null), json!(7), json!([]), json!(true)] {
            assert!(matches!(Bytes::read("f", &wrong), Err(Rejection::BadJson { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_blob_names_place_hash_and_size() {
        let whole = json!({"mxc": "mxc://a.org/abc", "sha256": encode(&[7; 32]), "size": 12});
        let blob =
            Blob { mxc: "mxc://a.org/abc".into(), sha256: Sha256::from_bytes([7; 32]), size_bytes: 12 };
        assert_eq!(blob.to_value(), whole);
        assert_eq!(Bytes::read("f", &whole), Ok(Bytes::Blob(blob)));
        let wrong = [
            ("mxc", json!("https://a.org/abc")),
            ("mxc", json!("mxc://a.org")),
            ("mxc", json!(1)),
            ("sha256", json!(encode(&[7; 31]))),
            ("sha256", json!(null)),
            ("size", json!(-1)),
            ("size", json!("12")),
            ("size", json!(1.5)),
        ];
        for (key, value) in wrong {
            let mut blob = whole.clone();
            blob[key] = value;
            assert!(matches!(Bytes::read("f", &blob), Err(Rejection::BadJson { .. })), "{blob}");
        }
        let mut huge = whole;
        huge["size"] = json!(limits::BLOB_BYTES + 1);
        assert!(matches!(Bytes::read("f", &huge), Err(Rejection::TooLarge { .. })));
    }
}
