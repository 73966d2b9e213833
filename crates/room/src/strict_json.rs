//! JSON as it is read from clients: duplicate keys are refused, since two readers could each believe another value.
//!
//! serde_json refuses what nests deeper than 128, `NaN`, and bytes that are not UTF-8.

use std::fmt;

use ruma::CanonicalJsonObject;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use maypole_core::ids::Sha256;

/// Reads JSON, refusing duplicate keys.
///
/// ```
/// use maypole_room::strict_json;
///
/// assert!(strict_json::parse(br#"{"a": 1, "b": {"a": 2}}"#).is_ok());
/// assert!(strict_json::parse(br#"{"a": 1, "b": {"c": 1, "c": 1}}"#).is_err());
/// ```
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0)
}

/// The SHA-256 of an event's content: of its canonical form without `signatures` and `unsigned`, or, where it has no
/// canonical form (a fraction, a number of 2^53 or more), of the bytes as they came.
pub fn content_hash(content: &Value, as_it_came: &[u8]) -> Sha256 {
    canonical(content).map_or_else(|| Sha256::of(as_it_came), |text| Sha256::of(text.as_bytes()))
}

fn canonical(content: &Value) -> Option<String> {
    let mut object: CanonicalJsonObject = content
        .as_object()?
        .iter()
        .map(|(key, value)| Some((key.clone(), value.clone().try_into().ok()?)))
        .collect::<Option<_>>()?;
    object.remove("signatures");
    object.remove("unsigned");
    serde_json::to_string(&object).ok()
}

/// A JSON value without duplicate keys.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom("a key stands twice in one object"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_json_is_refused() {
        for bytes in
            [&b""[..], b"{", b"{} {}", b"NaN", b"{\"a\": NaN}", b"\"\xff\"", b"{\"a\":1,\"\\u0061\":2}"]
        {
            assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_million_levels_are_refused_without_a_stack_overflow() {
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn the_hash_is_of_the_canonical_form() {
        let one = br#"{"b": 1, "a": "\u0041", "unsigned": {"age": 4}}"#;
        let other = br#"{"a":"A","b":1,"signatures":{}}"#;
        let hash = |bytes: &[u8]| content_hash(&parse(bytes).unwrap(), bytes);
        assert_eq!(hash(one), hash(other));
        assert_eq!(hash(one), Sha256::of(br#"{"a":"A","b":1}"#));
    }

    #[test]
    fn what_has_no_canonical_form_is_hashed_as_it_came() {
        let bytes = br#"{"a": 1.5}"#;
        assert_eq!(content_hash(&json!({"a": 1.5}), bytes), Sha256::of(bytes));
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_where_no_key_stands_twice(text in "[\\[\\]{}:,\"a0-9.eE+-]{0,24}") {
            if let Ok(strict) = parse(text.as_bytes()) {
                prop_assert_eq!(strict, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
