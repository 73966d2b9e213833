//! Who can be a member of a group over Matrix, and as whom the service stands in it.

use maypole_core::group::Terms;
use maypole_core::ids::{ClientId, Sha256, UserId};
use maypole_mls::Suite;
use maypole_room::bytes::encode;
use maypole_room::description::external_sender_identity;
use maypole_room::identity;

use crate::keys::{Keys, SignatureScheme};

/// The terms of all groups over Matrix.
#[derive(Clone, Debug)]
pub struct MatrixTerms {
    identity: String,
    keys: Vec<(SignatureScheme, Vec<u8>)>,
}

impl MatrixTerms {
    /// The terms of a service with these keys.
    pub fn new(user: &UserId, keys: &Keys) -> Self {
        let receipt = keys.receipt_key();
        let identity = external_sender_identity(user.as_str(), receipt.id(), &encode(receipt.public()));
        Self { identity, keys: keys.public_keys().map(|(scheme, key)| (scheme, key.to_vec())).collect() }
    }

    /// The identity of the service's credential.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// By what a store knows the service's keys.
    pub fn known_by(&self) -> Sha256 {
        let public = self.keys.iter().map(|(_, key)| key.as_slice());
        let parts: Vec<&[u8]> = std::iter::once(self.identity.as_bytes()).chain(public).collect();
        Sha256::of_parts(&parts)
    }

    /// The suites of groups that can be registered here.
    pub fn suites(&self) -> Vec<u16> {
        Suite::ALL.into_iter().filter(|suite| self.key(*suite).is_some()).map(Suite::code).collect()
    }

    fn key(&self, suite: Suite) -> Option<&[u8]> {
        let scheme = scheme(suite);
        self.keys.iter().find(|(known, _)| *known == scheme).map(|(_, key)| key.as_slice())
    }
}

impl Terms for MatrixTerms {
    fn client(&self, identity: &[u8]) -> Option<ClientId> {
        identity::parse(identity)
    }

    fn external_sender(&self, suite: Suite) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((self.identity.clone().into_bytes(), self.key(suite)?.to_vec()))
    }
}

/// What the members of a suite's groups sign with (RFC 9420 §17.1).
pub(super) const fn scheme(suite: Suite) -> SignatureScheme {
    match suite {
        Suite::X25519Aes128 | Suite::X25519ChaCha20 => SignatureScheme::Ed25519,
        Suite::P256Aes128 => SignatureScheme::EcdsaSecp256r1Sha256,
        Suite::P384Aes256 => SignatureScheme::EcdsaSecp384r1Sha384,
        Suite::P521Aes256 => SignatureScheme::EcdsaSecp521r1Sha512,
    }
}
