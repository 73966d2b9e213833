//! How what was told is written down: JSON as its text, since the compact form has no place for values of any shape.

/// A JSON value.
pub(super) mod json {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use serde_json::Value;

    pub(in crate::device) fn serialize<S: Serializer>(value: &Value, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }

    pub(in crate::device) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        serde_json::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// The events that a commit cites.
pub(super) mod auth_events {
    use maypole_core::ids::Sha256;
    use maypole_room::bytes::Blob;
    use maypole_room::commit_event::AuthEvents;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Written {
        Inline(Vec<String>),
        Blob { mxc: String, sha256: Sha256, size_bytes: u64 },
    }

    pub(in crate::device) fn serialize<S: Serializer>(events: &AuthEvents, to: S) -> Result<S::Ok, S::Error> {
        let written = match events {
            AuthEvents::Inline(events) => Written::Inline(events.iter().map(ToString::to_string).collect()),
            AuthEvents::Blob(Blob { mxc, sha256, size_bytes }) => {
                Written::Blob { mxc: mxc.clone(), sha256: *sha256, size_bytes: *size_bytes }
            }
        };
        written.serialize(to)
    }

    pub(in crate::device) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<AuthEvents, D::Error> {
        match Written::deserialize(from)? {
            Written::Inline(events) => {
                let events = events.iter().map(|event| serde_json::from_str(event)).collect::<Result<_, _>>();
                events.map(AuthEvents::Inline).map_err(D::Error::custom)
            }
            Written::Blob { mxc, sha256, size_bytes } => {
                Ok(AuthEvents::Blob(Blob { mxc, sha256, size_bytes }))
            }
        }
    }
}
