//! The file of one key: JSON of ours, with a version and a checksum, and PKCS#8 in it.
//!
//! A file counts only if it is byte for byte what this version would write, so that no flipped bit goes unseen.

use std::path::Path;

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use maypole_core::ids::Sha256;
use serde::{Deserialize, Serialize};

use super::error::KeysError;
use super::key_pair::{ExternalSenderKey, KeyPair, ReceiptKey};
use super::scheme::SignatureScheme;
use crate::entropy;

/// The form that this version writes.
const VERSION: u32 = 1;

/// Characters of a receipt key's ID: 32 of them, so that a byte gives one without preference.
const KEY_ID_CHARACTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Which key a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The external sender's key of a scheme.
    ExternalSender(SignatureScheme),
    /// The key that signs receipts.
    Receipt,
}

impl Slot {
    /// Every key that the service has.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        SignatureScheme::ALL.into_iter().map(Self::ExternalSender).chain([Self::Receipt])
    }

    /// The name of its file.
    pub(super) const fn file_name(self) -> &'static str {
        match self {
            Self::ExternalSender(SignatureScheme::Ed25519) => "external-sender-ed25519.json",
            Self::ExternalSender(SignatureScheme::EcdsaSecp256r1Sha256) => "external-sender-p256.json",
            Self::ExternalSender(SignatureScheme::EcdsaSecp384r1Sha384) => "external-sender-p384.json",
            Self::ExternalSender(SignatureScheme::EcdsaSecp521r1Sha512) => "external-sender-p521.json",
            Self::Receipt => "receipt-ed25519.json",
        }
    }

    const fn purpose(self) -> &'static str {
        match self {
            Self::ExternalSender(_) => "external_sender",
            Self::Receipt => "receipt",
        }
    }

    const fn scheme(self) -> SignatureScheme {
        match self {
            Self::ExternalSender(scheme) => scheme,
            Self::Receipt => SignatureScheme::Ed25519,
        }
    }
}

/// What a file says. It has no `Debug`: it holds the private key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    version: u32,
    purpose: String,
    scheme: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    pkcs8: String,
    checksum: String,
}

/// What is read before anything else, so that a later form is told from a damaged one.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl KeyFile {
    /// A new key.
    pub(super) fn generate(slot: Slot) -> Result<Self, KeysError> {
        let not_made = || KeysError::NotMade(slot.scheme().name());
        let pkcs8 = match slot.scheme().ecdsa() {
            Some(algorithm) => EcdsaKeyPair::generate(algorithm).and_then(|pair| pair.to_pkcs8v1()),
            None => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
        };
        let pkcs8 = pkcs8.map_err(|_| not_made())?;
        let key_id = match slot {
            Slot::Receipt => Some(new_key_id().ok_or_else(not_made)?),
            Slot::ExternalSender(_) => None,
        };
        let mut file = Self {
            version: VERSION,
            purpose: slot.purpose().to_owned(),
            scheme: slot.scheme().name().to_owned(),
            key_id,
            pkcs8: BASE64.encode(pkcs8.as_ref()),
            checksum: String::new(),
        };
        file.checksum = file.expected_checksum();
        Ok(file)
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a file's text, if it is whole and the key of this slot.
    pub(super) fn parse(slot: Slot, text: &str, path: &Path) -> Result<Self, KeysError> {
        let damaged = |reason| KeysError::Damaged { path: path.to_path_buf(), reason };
        let versioned: Versioned =
            serde_json::from_str(text).map_err(|_| damaged("not the JSON of a key"))?;
        if versioned.version > VERSION {
            return Err(KeysError::Newer { path: path.to_path_buf(), version: versioned.version });
        }
        let file: Self = serde_json::from_str(text).map_err(|_| damaged("not the JSON of a key"))?;
        if file.version != VERSION || file.checksum != file.expected_checksum() {
            return Err(damaged("its checksum is another"));
        }
        if file.text() != text {
            return Err(damaged("it is not as it was written"));
        }
        file.key_pair(slot).ok_or_else(|| damaged("it is not the key that its name says"))?;
        Ok(file)
    }

    /// The key itself, if it is of this slot.
    pub(super) fn key_pair(&self, slot: Slot) -> Option<KeyPair> {
        let scheme = SignatureScheme::from_name(&self.scheme)?;
        if self.purpose != slot.purpose() || scheme != slot.scheme() {
            return None;
        }
        let pkcs8 = BASE64.decode(&self.pkcs8).ok()?;
        match slot {
            Slot::Receipt => {
                let id = self.key_id.clone().filter(|id| is_key_id(id))?;
                Some(KeyPair::Receipt(ReceiptKey::new(id, Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?)))
            }
            Slot::ExternalSender(_) if self.key_id.is_some() => None,
            Slot::ExternalSender(scheme) => match scheme.ecdsa() {
                None => {
                    let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
                    Some(KeyPair::ExternalSender(ExternalSenderKey::Ed25519(pair)))
                }
                Some(algorithm) => {
                    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).ok()?;
                    Some(KeyPair::ExternalSender(ExternalSenderKey::Ecdsa(scheme, pair)))
                }
            },
        }
    }

    fn expected_checksum(&self) -> String {
        let key_id = self.key_id.as_deref().unwrap_or_default();
        let parts = ["maypole key", &self.purpose, &self.scheme, key_id, &self.pkcs8].join("\n");
        format!("{:?}", Sha256::of(parts.as_bytes()))
    }
}

/// A Matrix key ID that nobody chose.
fn new_key_id() -> Option<String> {
    let bytes: [u8; 8] = entropy::random().ok()?;
    let character = |byte: u8| KEY_ID_CHARACTERS.get(usize::from(byte & 31)).copied().map(char::from);
    let name: Option<String> = bytes.into_iter().map(character).collect();
    Some(format!("ed25519:{}", name?))
}

fn is_key_id(id: &str) -> bool {
    id.strip_prefix("ed25519:")
        .is_some_and(|name| name.len() == 8 && name.bytes().all(|byte| KEY_ID_CHARACTERS.contains(&byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(slot: Slot, text: &str) -> Result<KeyFile, KeysError> {
        KeyFile::parse(slot, text, Path::new("key"))
    }

    #[test]
    fn every_flipped_bit_and_every_prefix_is_refused() {
        let slot = Slot::Receipt;
        let text = KeyFile::generate(slot).unwrap().text();
        for position in 0..text.len() {
            assert!(parse(slot, &text[..position]).is_err(), "prefix of {position}");
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let flipped = String::from_utf8(bytes).unwrap();
                assert!(parse(slot, &flipped).is_err(), "bit {bit} of byte {position}");
            }
        }
        assert!(parse(slot, &format!("{text} ")).is_err());
        assert!(parse(slot, &text).is_ok());
    }

    #[test]
    fn a_key_of_another_slot_is_refused() {
        for slot in Slot::all() {
            let text = KeyFile::generate(slot).unwrap().text();
            for other in Slot::all() {
                assert_eq!(parse(other, &text).is_ok(), other == slot, "{slot:?} as {other:?}");
            }
        }
    }

    #[test]
    fn a_later_form_is_told_from_a_damaged_one() {
        let text =
            KeyFile::generate(Slot::Receipt).unwrap().text().replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(parse(Slot::Receipt, &text), Err(KeysError::Newer { version: 2, .. })));
        let text = text.replace("\"version\": 2", "\"version\": 0");
        assert!(matches!(parse(Slot::Receipt, &text), Err(KeysError::Damaged { .. })));
    }

    #[test]
    fn key_ids_are_what_matrix_takes() {
        let id = new_key_id().unwrap();
        assert!(is_key_id(&id), "{id}");
        assert_ne!(id, new_key_id().unwrap());
        for wrong in ["", "ed25519:", "ed25519:ABCDEFGH", "ed25519:abcdefghi", "curve25519:abcdefgh"] {
            assert!(!is_key_id(wrong), "{wrong}");
        }
    }
}
