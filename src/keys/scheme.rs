//! The signature schemes of MLS (RFC 9420 §17.1, RFC 8446 §4.2.3) for which the service has a key.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaSigningAlgorithm,
};

/// A signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureScheme {
    /// `ed25519`, 0x0807.
    Ed25519,
    /// `ecdsa_secp256r1_sha256`, 0x0403.
    EcdsaSecp256r1Sha256,
    /// `ecdsa_secp384r1_sha384`, 0x0503.
    EcdsaSecp384r1Sha384,
    /// `ecdsa_secp521r1_sha512`, 0x0603.
    EcdsaSecp521r1Sha512,
}

impl SignatureScheme {
    /// Every scheme for which there is a key.
    pub const ALL: [Self; 4] =
        [Self::Ed25519, Self::EcdsaSecp256r1Sha256, Self::EcdsaSecp384r1Sha384, Self::EcdsaSecp521r1Sha512];

    /// Its code point in TLS and MLS.
    pub const fn code(self) -> u16 {
        match self {
            Self::Ed25519 => 0x0807,
            Self::EcdsaSecp256r1Sha256 => 0x0403,
            Self::EcdsaSecp384r1Sha384 => 0x0503,
            Self::EcdsaSecp521r1Sha512 => 0x0603,
        }
    }

    /// The scheme of a code point, if there is a key for it.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.code() == code)
    }

    /// Its name in the registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaSecp256r1Sha256 => "ecdsa_secp256r1_sha256",
            Self::EcdsaSecp384r1Sha384 => "ecdsa_secp384r1_sha384",
            Self::EcdsaSecp521r1Sha512 => "ecdsa_secp521r1_sha512",
        }
    }

    /// The scheme of a name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// How the library calls it, but for Ed25519, which has a type of its own there. MLS takes ECDSA signatures in DER
    /// (RFC 9420 §5.1.2).
    pub(super) fn ecdsa(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Self::Ed25519 => None,
            Self::EcdsaSecp256r1Sha256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
            Self::EcdsaSecp384r1Sha384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
            Self::EcdsaSecp521r1Sha512 => Some(&ECDSA_P521_SHA512_ASN1_SIGNING),
        }
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back() {
        for scheme in SignatureScheme::ALL {
            assert_eq!(SignatureScheme::from_code(scheme.code()), Some(scheme));
            assert_eq!(SignatureScheme::from_name(scheme.name()), Some(scheme));
        }
        assert_eq!(SignatureScheme::from_code(0x0808), None);
        assert_eq!(SignatureScheme::from_name("rsa"), None);
    }
}
