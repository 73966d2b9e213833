//! What the service says of itself to clients, before they make a group.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use maypole_core::ids::UserId;
use maypole_core::limits;
use maypole_room::bytes::encode;
use maypole_room::description::{Credential, Description, ExternalSender, Limits, ReceiptKey};
use maypole_room::names::Prefix;
use serde_json::Value;

use super::terms::MatrixTerms;
use crate::homeserver::ServiceDevice;
use crate::http::ports::Describe;
use crate::keys::Keys;

/// The description of this service. The homeserver says later which device the service has; until then it is assumed to
/// be the one with the empty ID.
#[derive(Clone)]
pub struct SelfDescription {
    description: Description,
    device: Arc<OnceLock<ServiceDevice>>,
}

impl SelfDescription {
    /// Describes the service with these keys; `device` is filled in when it is known.
    pub fn new(user_id: &UserId, prefix: Prefix, keys: &Keys, device: Arc<OnceLock<ServiceDevice>>) -> Self {
        let (key_id, public_key) = (keys.receipt_key().id().to_owned(), encode(keys.receipt_key().public()));
        let terms = MatrixTerms::new(user_id, keys);
        let credential =
            Credential { credential_type: "basic".into(), identity: terms.identity().to_owned() };
        let signature_keys: BTreeMap<String, String> =
            keys.public_keys().map(|(scheme, key)| (scheme.to_string(), encode(key))).collect();
        let description = Description {
            user_id: user_id.to_string(),
            device_id: String::new(),
            event_prefix: prefix.as_str().to_owned(),
            external_sender: ExternalSender { credential, signature_keys },
            receipt_key: ReceiptKey { key_id, public_key },
            ciphersuites: terms.suites(),
            room_versions: vec!["11".into(), "12".into()],
            limits: Limits {
                to_device_content_bytes: limits::TO_DEVICE_CONTENT_BYTES,
                group_id_bytes: limits::GROUP_ID_BYTES,
                txn_id_bytes: limits::TXN_ID_BYTES,
                burst_messages: limits::SENDER_BURST_MESSAGES,
                messages_per_second: limits::SENDER_MESSAGES_PER_SECOND,
            },
        };
        Self { description, device }
    }

    /// What is described, but for the device.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

impl Describe for SelfDescription {
    fn delivery_service(&self) -> Value {
        let mut description = self.description.clone();
        if let Some(device) = self.device.get() {
            description.device_id = device.as_str().to_owned();
        }
        // A struct of strings, numbers and lists always has a JSON form.
        serde_json::to_value(description).unwrap_or_default()
    }
}
