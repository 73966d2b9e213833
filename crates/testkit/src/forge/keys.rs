//! Ciphersuites as far as a forger needs them (§17.1), and signature keys that sign anything they are given (§5.1.2).

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521};
use aws_lc_rs::digest::{self, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};

use super::dice::Dice;
use super::wire::Wire;

/// A ciphersuite of RFC 9420 §17.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// 1: X25519, AES-128-GCM, SHA-256, Ed25519.
    One,
    /// 2: P-256, AES-128-GCM, SHA-256, ECDSA with P-256.
    Two,
    /// 3: X25519, ChaCha20-Poly1305, SHA-256, Ed25519.
    Three,
    /// 5: P-521, AES-256-GCM, SHA-512, ECDSA with P-521.
    Five,
    /// 7: P-384, AES-256-GCM, SHA-384, ECDSA with P-384.
    Seven,
}

/// An elliptic curve of NIST: for signatures, for HPKE, and how many bytes a secret number has.
type Curve = (&'static EcdsaSigningAlgorithm, &'static agreement::Algorithm, usize);

impl Suite {
    /// Those that OpenMLS and mls-rs both follow.
    pub const COMMON: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// The number of the suite.
    pub fn number(self) -> u16 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
            Self::Five => 5,
            Self::Seven => 7,
        }
    }

    fn curve(self) -> Option<Curve> {
        match self {
            Self::One | Self::Three => None,
            Self::Two => Some((&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDH_P256, 32)),
            Self::Five => Some((&ECDSA_P521_SHA512_ASN1_SIGNING, &ECDH_P521, 66)),
            Self::Seven => Some((&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDH_P384, 48)),
        }
    }

    /// The hash of the suite.
    pub(super) fn hash(self, bytes: &[u8]) -> Digest {
        let algorithm = match self {
            Self::One | Self::Two | Self::Three => &SHA256,
            Self::Five => &SHA512,
            Self::Seven => &SHA384,
        };
        digest::digest(algorithm, bytes)
    }

    /// How long its hashes, and so its tags and secrets, are.
    pub fn hash_length(self) -> usize {
        match self {
            Self::One | Self::Two | Self::Three => 32,
            Self::Five => 64,
            Self::Seven => 48,
        }
    }

    /// A reference to a thing by its hash (§5.2).
    pub(super) fn reference(self, label: &str, value: &[u8]) -> Vec<u8> {
        self.hash(&Wire::new().vector(label.as_bytes()).vector(value).done()).as_ref().to_vec()
    }

    /// An HPKE public key to which nobody has the secret part any more.
    pub(super) fn hpke_key(self, dice: &Dice) -> Result<Vec<u8>> {
        match self.curve() {
            None => Ok(dice.bytes(32)),
            Some(curve) => Ok(point(curve, dice)?.1),
        }
    }

    /// A signature key.
    pub(super) fn signing_key(self, dice: &Dice) -> Result<SigningKey> {
        let secret = match self.curve() {
            None => Secret::Ed25519(
                Ed25519KeyPair::from_seed_unchecked(&dice.bytes(32))
                    .map_err(|error| anyhow!("no Ed25519 key: {error}"))?,
            ),
            Some(curve) => {
                let (secret, public) = point(curve, dice)?;
                Secret::Ecdsa(
                    EcdsaKeyPair::from_private_key_and_public_key(curve.0, &secret, &public)
                        .map_err(|error| anyhow!("no ECDSA key: {error}"))?,
                )
            }
        };
        Ok(SigningKey(Arc::new(secret)))
    }
}

/// A secret number and its point, uncompressed.
fn point(curve: Curve, dice: &Dice) -> Result<(Vec<u8>, Vec<u8>)> {
    let (_, algorithm, length) = curve;
    // Of all numbers of that many bits, hardly any is out of the curve's range; the ninth bit of P-521 is cut.
    for _ in 0..64 {
        let mut secret = dice.bytes(length);
        if let (66, Some(first)) = (length, secret.first_mut()) {
            *first &= 1;
        }
        if let Ok(key) = agreement::PrivateKey::from_private_key(algorithm, &secret) {
            let public = key.compute_public_key().map_err(|_| anyhow!("no public point"))?;
            return Ok((secret, public.as_ref().to_vec()));
        }
    }
    Err(anyhow!("64 numbers in a row were out of the curve's range"))
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

/// A signature key pair.
#[derive(Clone)]
pub struct SigningKey(Arc<Secret>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let public = self.public();
        write!(formatter, "SigningKey({:02x?}…)", public.get(..4).unwrap_or_default())
    }
}

impl SigningKey {
    /// The public part, as a leaf carries it.
    pub fn public(&self) -> &[u8] {
        match &*self.0 {
            Secret::Ed25519(pair) => pair.public_key().as_ref(),
            Secret::Ecdsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// `SignWithLabel`. ECDSA signatures differ from run to run, because the library salts them.
    pub fn sign(&self, label: &str, content: &[u8]) -> Result<Vec<u8>> {
        ensure!(!label.starts_with("MLS"), "the label gets its prefix here");
        let label = format!("MLS 1.0 {label}");
        let message = Wire::new().vector(label.as_bytes()).vector(content).done();
        Ok(match &*self.0 {
            Secret::Ed25519(pair) => pair.sign(&message).as_ref().to_vec(),
            Secret::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), &message)
                .map_err(|_| anyhow!("ECDSA would not sign"))?
                .as_ref()
                .to_vec(),
        })
    }
}

/// What becomes of a signature after it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seal {
    /// It stays.
    #[default]
    Honest,
    /// A bit in its middle is turned.
    Flipped,
    /// Other bytes stand in its place.
    Bytes(Vec<u8>),
}

impl Seal {
    pub(super) fn over(&self, honest: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Honest => honest,
            Self::Bytes(bytes) => bytes.clone(),
            Self::Flipped => {
                let middle = honest.len() / 2;
                let turned = honest.iter().enumerate();
                turned.map(|(place, byte)| if place == middle { byte ^ 1 } else { *byte }).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, UnparsedPublicKey,
        VerificationAlgorithm,
    };

    use super::{Dice, Suite, Wire};

    #[test]
    fn keys_of_each_suite_sign_with_the_label() {
        let suites: [(Suite, &'static dyn VerificationAlgorithm); 5] = [
            (Suite::One, &ED25519),
            (Suite::Two, &ECDSA_P256_SHA256_ASN1),
            (Suite::Three, &ED25519),
            (Suite::Five, &ECDSA_P521_SHA512_ASN1),
            (Suite::Seven, &ECDSA_P384_SHA384_ASN1),
        ];
        for (suite, algorithm) in suites {
            let key = suite.signing_key(&Dice::new(3)).unwrap();
            assert_eq!(key.public(), suite.signing_key(&Dice::new(3)).unwrap().public());
            let signed = Wire::new().vector(b"MLS 1.0 KeyPackageTBS").vector(b"content").done();
            let signature = key.sign("KeyPackageTBS", b"content").unwrap();
            UnparsedPublicKey::new(algorithm, key.public()).verify(&signed, &signature).unwrap();
            assert_eq!(suite.hash(b"").as_ref().len(), suite.hash_length());
        }
    }
}
