//! What the caller wishes a commit to do. A wish is kept until it is granted, refused or unneeded.

use std::collections::BTreeMap;

use maypole_core::ids::{ClientId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a commit shall do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Renew the device's own keys, and commit what is proposed.
    Update,
    /// Add devices.
    Add {
        /// Their KeyPackages.
        key_packages: Vec<Vec<u8>>,
        /// What the commit cites.
        citing: Citing,
    },
    /// Remove devices.
    Remove {
        /// They.
        devices: Vec<ClientId>,
        /// What the commit cites.
        citing: Citing,
    },
}

/// What a commit says in its authenticated data (docs/protocol.md §4).
///
/// ```
/// use maypole_client::device::Citing;
///
/// let citing = Citing { auth_events: vec!["$levels".into()], ..Citing::default() };
/// assert_eq!(citing.authenticated_data(), br#"{"auth_events":["$levels"]}"#);
/// assert!(Citing::default().authenticated_data().is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citing {
    /// The IDs of the events on which the change rests.
    pub auth_events: Vec<String>,
    /// Who leaves the room by it, and how.
    pub membership: BTreeMap<UserId, Leaving>,
    /// Whether an invitation is to a direct conversation.
    pub is_direct: bool,
}

/// How a user leaves the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Whether the user is banned and not only kicked.
    pub ban: bool,
    /// Why.
    pub reason: Option<String>,
}

impl Citing {
    /// The authenticated data: JSON, or nothing where there is nothing to say.
    pub fn authenticated_data(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut data = json!({"auth_events": self.auth_events});
        if !self.membership.is_empty() {
            let leaving =
                self.membership.iter().map(|(user, leaving)| (user.as_str().to_owned(), leaving.value()));
            set(&mut data, "membership", Value::Object(leaving.collect()));
        }
        if self.is_direct {
            set(&mut data, "is_direct", true.into());
        }
        data.to_string().into_bytes()
    }
}

impl Leaving {
    fn value(&self) -> Value {
        let mut value = json!({"membership": if self.ban { "ban" } else { "leave" }});
        if let Some(reason) = &self.reason {
            set(&mut value, "reason", reason.as_str().into());
        }
        value
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
