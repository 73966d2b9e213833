//! Cipher suites (RFC 9420 §5.1): what they hash and verify with, and how long their keys are.
//!
//! Verification and hashing are aws-lc-rs'. The suites are those whose signatures it has: 1, 2 and 3, which every
//! implementation knows, and 5 and 7. Nothing here decrypts anything.

use aws_lc_rs::{
    agreement::{self, ParsedPublicKey, UnparsedPublicKey},
    digest, signature,
};

use crate::writer::Write as _;

/// A cipher suite that can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// 1: X25519, AES-128-GCM, SHA-256, Ed25519.
    X25519Aes128,
    /// 2: P-256, AES-128-GCM, SHA-256, P-256.
    P256Aes128,
    /// 3: X25519, ChaCha20-Poly1305, SHA-256, Ed25519.
    X25519ChaCha20,
    /// 5: P-521, AES-256-GCM, SHA-512, P-521.
    P521Aes256,
    /// 7: P-384, AES-256-GCM, SHA-384, P-384.
    P384Aes256,
}

/// The longest output of a suite's hash.
const LONGEST_HASH_BYTES: usize = 64;
/// The numbers on X25519 with which every agreement comes to nothing, from the lowest byte to the highest: 0, 1, the two of
/// order 8, and p - 1, p and p + 1. Whoever encrypts to one must give up (RFC 9180 §7.1.4).
const OF_LOW_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    ends(1, 0, 0),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    ends(0xec, 0xff, 0x7f),
    ends(0xed, 0xff, 0x7f),
    ends(0xee, 0xff, 0x7f),
];
/// What the AEADs of all suites add to a plaintext.
const AEAD_TAG_BYTES: usize = 16;

impl Suite {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::X25519Aes128, Self::P256Aes128, Self::X25519ChaCha20, Self::P521Aes256, Self::P384Aes256];

    /// The suite of that number, if it can be followed.
    ///
    /// ```
    /// use maypole_mls::Suite;
    ///
    /// assert_eq!(Suite::from_code(1), Some(Suite::X25519Aes128));
    /// assert_eq!(Suite::from_code(4), None); // X448 and Ed448
    /// ```
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.code() == code)
    }

    /// Its number (RFC 9420 §17.1).
    pub const fn code(self) -> u16 {
        match self {
            Self::X25519Aes128 => 1,
            Self::P256Aes128 => 2,
            Self::X25519ChaCha20 => 3,
            Self::P521Aes256 => 5,
            Self::P384Aes256 => 7,
        }
    }

    /// The bytes of a hash, a MAC and a path secret: `KDF.Nh`.
    pub const fn hash_bytes(self) -> usize {
        match self {
            Self::X25519Aes128 | Self::P256Aes128 | Self::X25519ChaCha20 => 32,
            Self::P384Aes256 => 48,
            Self::P521Aes256 => 64,
        }
    }

    /// The bytes of an HPKE public key, and of what encapsulates to one.
    pub const fn hpke_key_bytes(self) -> usize {
        match self {
            Self::X25519Aes128 | Self::X25519ChaCha20 => 32,
            Self::P256Aes128 => 65,
            Self::P384Aes256 => 97,
            Self::P521Aes256 => 133,
        }
    }

    /// The bytes of a public signature key: in each suite as many as those of an HPKE key.
    pub const fn signature_key_bytes(self) -> usize {
        self.hpke_key_bytes()
    }

    /// The bytes of an encrypted path secret (§7.6).
    pub(crate) const fn path_ciphertext_bytes(self) -> usize {
        self.hash_bytes() + AEAD_TAG_BYTES
    }

    /// Whether bytes are an HPKE public key that somebody can encrypt to: a point of the suite's curve, uncompressed
    /// (§5.1.1), and on X25519 none of those with which every agreement comes to nothing (RFC 9180 §7.1.4).
    pub fn is_hpke_key(self, key: &[u8]) -> bool {
        if key.len() != self.hpke_key_bytes() || !self.is_marked(key, self.hpke_key_bytes()) {
            return false;
        }
        let curve = match self {
            Self::X25519Aes128 | Self::X25519ChaCha20 => return !is_of_low_order(key),
            Self::P256Aes128 => &agreement::ECDH_P256,
            Self::P521Aes256 => &agreement::ECDH_P521,
            Self::P384Aes256 => &agreement::ECDH_P384,
        };
        ParsedPublicKey::try_from(UnparsedPublicKey::new(curve, key)).is_ok()
    }

    /// Whether bytes have the form of a public signature key.
    pub fn is_signature_key(self, key: &[u8]) -> bool {
        key.len() == self.signature_key_bytes() && self.is_marked(key, self.signature_key_bytes())
    }

    fn is_marked(self, key: &[u8], length: usize) -> bool {
        length == 32 || key.first() == Some(&4)
    }

    /// The suite's hash.
    pub fn hash(self, bytes: &[u8]) -> Hash {
        let algorithm = match self.hash_bytes() {
            48 => &digest::SHA384,
            64 => &digest::SHA512,
            _ => &digest::SHA256,
        };
        Hash::of(digest::digest(algorithm, bytes).as_ref())
    }

    /// `RefHash` (§5.2).
    pub(crate) fn reference(self, label: &str, value: &[u8]) -> Hash {
        let mut input = Vec::with_capacity(label.len() + value.len() + 8);
        input.put_opaque(label.as_bytes());
        input.put_opaque(value);
        self.hash(&input)
    }

    /// Verifies a signature over the `SignContent` (§5.1.2) that [`sign_content`] makes.
    pub(crate) fn verifies(self, key: &[u8], content: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn signature::VerificationAlgorithm = match self {
            Self::X25519Aes128 | Self::X25519ChaCha20 => &signature::ED25519,
            Self::P256Aes128 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P521Aes256 => &signature::ECDSA_P521_SHA512_ASN1,
            Self::P384Aes256 => &signature::ECDSA_P384_SHA384_ASN1,
        };
        algorithm.verify_sig(key, content, signature).is_ok()
    }
}

/// The bytes of a number whose inner ones are all the same.
const fn ends(first: u8, inner: u8, last: u8) -> [u8; 32] {
    let mut bytes = [inner; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Whether a key of X25519 is a point of low order. The highest bit of a key counts for nothing there.
fn is_of_low_order(key: &[u8]) -> bool {
    let Some((highest, lower)) = key.split_last() else { return true };
    OF_LOW_ORDER.iter().any(|point| point.split_last() == Some((&(highest & 0x7f), lower)))
}

/// `SignContent` (§5.1.2): what is signed under a label, its content put together from parts.
pub(crate) fn sign_content(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    const PREFIX: &str = "MLS 1.0 ";
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(length + PREFIX.len() + label.len() + 8);
    bytes.put_length(PREFIX.len() + label.len());
    bytes.put(PREFIX.as_bytes());
    bytes.put(label.as_bytes());
    bytes.put_length(length);
    for part in parts {
        bytes.put(part);
    }
    bytes
}

/// A hash of a suite, without an allocation.
#[derive(Clone, Copy)]
pub struct Hash {
    length: u8,
    bytes: [u8; LONGEST_HASH_BYTES],
}

impl Hash {
    /// No bytes at all, as some hashes are before the first epoch.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; LONGEST_HASH_BYTES] };

    /// Bytes that are a hash; what is longer than any is cut.
    pub(crate) fn of(hash: &[u8]) -> Self {
        let mut made = Self::EMPTY;
        let kept = hash.get(..LONGEST_HASH_BYTES).unwrap_or(hash);
        if let Some(bytes) = made.bytes.get_mut(..kept.len()) {
            bytes.copy_from_slice(kept);
        }
        made.length = kept.len() as u8;
        made
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Hash {}

impl std::fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.as_ref() {
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        let hash = Suite::X25519Aes128.hash(b"");
        assert_eq!(format!("{hash:?}"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for suite in Suite::ALL {
            assert_eq!(suite.hash(b"").as_ref().len(), suite.hash_bytes());
        }
    }

    #[test]
    fn keys_have_the_form_of_their_suite() {
        let curves = [
            (Suite::P256Aes128, &agreement::ECDH_P256),
            (Suite::P384Aes256, &agreement::ECDH_P384),
            (Suite::P521Aes256, &agreement::ECDH_P521),
        ];
        for (suite, curve) in curves {
            let key = agreement::PrivateKey::generate(curve).unwrap();
            let mut point = key.compute_public_key().unwrap().as_ref().to_vec();
            assert!(suite.is_hpke_key(&point) && suite.is_signature_key(&point));
            assert!(!suite.is_hpke_key(&point[..point.len() - 1]));
            point[0] = 2;
            assert!(!suite.is_hpke_key(&point), "a compressed point");
            point[0] = 4;
            point[7] ^= 1;
            assert!(!suite.is_hpke_key(&point), "beside the curve");
        }
        assert!(Suite::X25519Aes128.is_hpke_key(&[9; 32]));
        assert!(!Suite::X25519Aes128.is_hpke_key(&[9; 31]));
        assert!(!Suite::X25519Aes128.is_signature_key(&[0; 33]));
    }

    #[test]
    fn with_points_of_low_order_nothing_is_agreed() {
        let key = agreement::PrivateKey::generate(&agreement::X25519).unwrap();
        let agrees = |point: &[u8]| {
            let other = UnparsedPublicKey::new(&agreement::X25519, point);
            agreement::agree(&key, other, (), |_| Ok(())).is_ok()
        };
        for mut point in OF_LOW_ORDER {
            for highest in [0, 0x80] {
                point[31] |= highest;
                assert!(!Suite::X25519ChaCha20.is_hpke_key(&point), "{point:x?}");
                assert!(!agrees(&point), "{point:x?}");
            }
            point[3] ^= 1;
            assert!(Suite::X25519ChaCha20.is_hpke_key(&point) && agrees(&point), "{point:x?}");
        }
    }
}
