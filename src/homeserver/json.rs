//! JSON that is read one layer at a time, so that a bad value spoils nothing but itself.
//!
//! Nothing here recurses: a value is passed over without descending into it, however deep it nests.

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of an object, in order, duplicates included, their values untouched.
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads one layer of an object.
    pub(super) fn of(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// The value of a name; of several, the last, as most readers have it.
    pub(super) fn last(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of a name, as `T`.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.last(name)?.get()).ok()
    }

    /// Whether a name stands more than once, so that two readers could see two objects.
    pub(super) fn repeat(&self) -> bool {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair.first() == pair.last())
    }

    /// All members.
    pub(super) fn into_vec(self) -> Vec<(String, &'a RawValue)> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneLayer;

        impl<'de> Visitor<'de> for OneLayer {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(OneLayer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_objects_have_members() {
        for text in ["1", "null", "[]", "\"a\"", "true"] {
            assert!(Members::of(raw(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn repeated_names_are_seen_and_the_last_counts() {
        let twice = Members::of(raw(r#"{"a":1,"b":2,"\u0061":3}"#)).unwrap();
        assert!(twice.repeat());
        assert_eq!(twice.read::<u8>("a"), Some(3));
        assert!(!Members::of(raw(r#"{"a":1,"b":{"a":1}}"#)).unwrap().repeat());
    }

    #[test]
    fn a_million_levels_are_passed_over() {
        let deep = format!(r#"{{"deep":{}{},"flat":7}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        let members = Members::of(raw(&deep)).unwrap();
        assert_eq!(members.read::<u8>("flat"), Some(7));
        assert_eq!(members.read::<serde_json::Value>("deep"), None);
    }
}
