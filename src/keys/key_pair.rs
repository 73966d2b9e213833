//! Keys in memory: they sign, they show their public half, and nothing shows the other.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use super::error::KeysError;
use super::scheme::SignatureScheme;

/// A key, by what it is for.
pub(super) enum KeyPair {
    /// Signs the service's proposals.
    ExternalSender(ExternalSenderKey),
    /// Signs receipts.
    Receipt(ReceiptKey),
}

/// A key with which the service signs proposals, as groups know it by their `external_senders`.
pub(super) enum ExternalSenderKey {
    /// EdDSA.
    Ed25519(Ed25519KeyPair),
    /// ECDSA on the scheme's curve.
    Ecdsa(SignatureScheme, EcdsaKeyPair),
}

impl ExternalSenderKey {
    pub(super) const fn scheme(&self) -> SignatureScheme {
        match self {
            Self::Ed25519(_) => SignatureScheme::Ed25519,
            Self::Ecdsa(scheme, _) => *scheme,
        }
    }

    /// The public key as MLS writes it: for ECDSA the uncompressed point.
    pub(super) fn public(&self) -> &[u8] {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::Ecdsa(_, pair) => pair.public_key().as_ref(),
        }
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, KeysError> {
        match self {
            Self::Ed25519(pair) => Ok(pair.sign(bytes).as_ref().to_vec()),
            Self::Ecdsa(scheme, pair) => pair
                .sign(&SystemRandom::new(), bytes)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeysError::NotSigned(*scheme)),
        }
    }
}

/// The key that signs receipts.
pub struct ReceiptKey {
    id: String,
    pair: Ed25519KeyPair,
}

impl ReceiptKey {
    pub(super) const fn new(id: String, pair: Ed25519KeyPair) -> Self {
        Self { id, pair }
    }

    /// Its Matrix key ID, `ed25519:` and eight characters.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// An Ed25519 signature.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiptKey({})", self.id)
    }
}
