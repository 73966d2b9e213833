//! The state event `m.mls.delivery_service`: which group is a room's, and whose signatures its members go by. Its state key
//! is the service's account, so that nobody else can send it.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use maypole_core::ids::GroupId;
use maypole_mls::Suite;

use crate::bytes::{decode, encode};
use crate::description::{ExternalSender, ReceiptKey};
use crate::fields::{Fields, ShapeError, Wrong};

/// The content of the state event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryService {
    /// How often the room has changed its delivery service, counted from 1.
    pub term: u64,
    /// How often the room's group was begun anew.
    pub generation: u64,
    /// The group.
    pub group_id: GroupId,
    /// Its cipher suite.
    pub ciphersuite: Suite,
    /// The service as the group's external sender.
    pub external_sender: ExternalSender,
    /// What the group's receipts are signed with.
    pub receipt_key: ReceiptKey,
}

impl DeliveryService {
    /// The content.
    pub fn content(&self) -> Value {
        json!({
            "term": self.term,
            "generation": self.generation,
            "group_id": encode(self.group_id.as_bytes()),
            "ciphersuite": self.ciphersuite.code(),
            "external_sender": self.external_sender,
            "receipt_key": self.receipt_key,
        })
    }

    /// Reads a content.
    pub fn read(content: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("content", content)?;
        let term = fields.number("term")?;
        if term == 0 {
            return Err(Wrong { field: "term", problem: "is not counted from 1" }.into());
        }
        let suite = u16::try_from(fields.number("ciphersuite")?).ok().and_then(Suite::from_code);
        let service = Self {
            term,
            generation: fields.number("generation")?,
            group_id: fields.group_id("group_id")?,
            ciphersuite: suite.ok_or(Wrong { field: "ciphersuite", problem: "is not known" })?,
            external_sender: typed(fields, "external_sender")?,
            receipt_key: typed(fields, "receipt_key")?,
        };
        let sender = &service.external_sender;
        if sender.credential.credential_type != "basic" {
            return Err(Wrong { field: "external_sender", problem: "has no basic credential" }.into());
        }
        if sender.signature_keys.values().any(|key| decode(key).is_none()) {
            return Err(Wrong { field: "external_sender", problem: "has a key that is not base64" }.into());
        }
        if decode(&service.receipt_key.public_key).is_none() {
            return Err(Wrong { field: "receipt_key", problem: "is not base64" }.into());
        }
        Ok(service)
    }
}

fn typed<T: DeserializeOwned>(fields: Fields<'_>, field: &'static str) -> Result<T, Wrong> {
    let wrong = Wrong { field, problem: "is not as the delivery service's description has it" };
    serde_json::from_value(fields.value(field)?.clone()).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::Credential;
    use crate::fields::tests::every_field_matters;

    fn service() -> DeliveryService {
        DeliveryService {
            term: 1,
            generation: 0,
            group_id: GroupId::parse(*b"!room:a.org").unwrap(),
            ciphersuite: Suite::P256Aes128,
            external_sender: ExternalSender {
                credential: Credential {
                    credential_type: "basic".into(),
                    identity: "@:a.org/ed25519:1/AAAA".into(),
                },
                signature_keys: [("ecdsa_secp256r1_sha256".to_owned(), encode(&[4; 65]))].into(),
            },
            receipt_key: ReceiptKey { key_id: "ed25519:1".into(), public_key: encode(&[0; 3]) },
        }
    }

    #[test]
    fn what_lacks_a_field_is_refused() {
        every_field_matters(&service().content(), DeliveryService::read, &[]);
    }

    #[test]
    fn what_no_group_can_have_is_refused() {
        let wrong = [
            ("/term", json!(0)),
            ("/ciphersuite", json!(4)),
            ("/ciphersuite", json!(65_537)),
            ("/external_sender/credential/credential_type", json!("x509")),
            ("/external_sender/credential/identity", json!(7)),
            ("/external_sender/signature_keys/ecdsa_secp256r1_sha256", json!("=")),
            ("/receipt_key/public_key", json!("=")),
        ];
        for (place, value) in wrong {
            let mut content = service().content();
            *content.pointer_mut(place).unwrap() = value.clone();
            assert!(DeliveryService::read(&content).is_err(), "{place} is {value}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(DeliveryService::read(&service().content()), Ok(service()));
    }
}
