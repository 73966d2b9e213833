//! As much of HPKE (RFC 9180) and of MLS' labels (RFC 9420 §5.1.3, §8) as it takes to open a Welcome whose private keys
//! are public. Nothing in the crate itself decrypts anything.

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519},
    hmac,
};
use maypole_mls::{Suite, writer::Write as _};
use maypole_testkit::vectors::{self, bytes};

use super::suite;

/// A suite, with what members do by it.
#[derive(Clone, Copy)]
pub(crate) struct Secrets(pub(crate) Suite);

/// The label and the identifiers under which HPKE derives.
struct Hpke {
    secrets: Secrets,
    suite_id: Vec<u8>,
}

impl Secrets {
    fn hmac(self) -> hmac::Algorithm {
        match self.0.hash_bytes() {
            48 => hmac::HMAC_SHA384,
            64 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        }
    }

    pub(crate) fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hmac(), key), message).as_ref().to_vec()
    }

    pub(crate) fn extract(self, salt: &[u8], secret: &[u8]) -> Vec<u8> {
        self.mac(salt, secret)
    }

    fn expand(self, secret: &[u8], info: &[u8], length: usize) -> Vec<u8> {
        let (mut output, mut block) = (Vec::new(), Vec::new());
        for count in 1..=u8::MAX {
            block = self.mac(secret, &[&block[..], info, &[count]].concat());
            output.extend_from_slice(&block);
            if output.len() >= length {
                break;
            }
        }
        output.truncate(length);
        output
    }

    pub(crate) fn expand_with_label(
        self,
        secret: &[u8],
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Vec<u8> {
        let mut info = Vec::new();
        info.put_u16(u16::try_from(length).unwrap());
        info.put_opaque(format!("MLS 1.0 {label}").as_bytes());
        info.put_opaque(context);
        self.expand(secret, &info, length)
    }

    pub(crate) fn derive_secret(self, secret: &[u8], label: &str) -> Vec<u8> {
        self.expand_with_label(secret, label, &[], self.0.hash_bytes())
    }

    /// The KEM's, KDF's and AEAD's numbers in HPKE.
    fn identifiers(self) -> [u16; 3] {
        match self.0 {
            Suite::X25519Aes128 => [0x20, 1, 1],
            Suite::P256Aes128 => [0x10, 1, 1],
            Suite::X25519ChaCha20 => [0x20, 1, 3],
            Suite::P521Aes256 => [0x12, 3, 2],
            Suite::P384Aes256 => [0x11, 2, 2],
        }
    }

    pub(crate) fn key_bytes(self) -> usize {
        if self.identifiers()[2] == 1 { 16 } else { 32 }
    }

    /// Opens with the AEAD, without additional data.
    pub(crate) fn open(self, key: &[u8], nonce: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match self.identifiers()[2] {
            1 => &AES_128_GCM,
            2 => &AES_256_GCM,
            _ => &CHACHA20_POLY1305,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        let mut bytes = ciphertext.to_vec();
        let opened = key.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?;
        Some(opened.to_vec())
    }

    fn agreement(self) -> &'static agreement::Algorithm {
        match self.0 {
            Suite::X25519Aes128 | Suite::X25519ChaCha20 => &X25519,
            Suite::P256Aes128 => &ECDH_P256,
            Suite::P384Aes256 => &ECDH_P384,
            Suite::P521Aes256 => &ECDH_P521,
        }
    }

    fn private_key_bytes(self) -> usize {
        match self.0 {
            Suite::X25519Aes128 | Suite::X25519ChaCha20 | Suite::P256Aes128 => 32,
            Suite::P384Aes256 => 48,
            Suite::P521Aes256 => 66,
        }
    }

    fn hpke(self, name: &str, identifiers: &[u16]) -> Hpke {
        let identifiers = identifiers.iter().flat_map(|number| number.to_be_bytes());
        Hpke { secrets: self, suite_id: name.bytes().chain(identifiers).collect() }
    }

    /// `DecryptWithLabel` (RFC 9420 §5.1.3) by HPKE's base mode.
    pub(crate) fn decrypt_with_label(
        self,
        private_key: &[u8],
        label: &str,
        context: &[u8],
        kem_output: &[u8],
        ciphertext: &[u8],
    ) -> Option<Vec<u8>> {
        // Some vectors leave out the zero that a private key of P-521 begins with.
        let zeros = self.private_key_bytes().saturating_sub(private_key.len());
        let private_key = [&vec![0; zeros], private_key].concat();
        let private_key = PrivateKey::from_private_key(self.agreement(), &private_key).ok()?;
        let public_key = private_key.compute_public_key().ok()?;
        let peer = UnparsedPublicKey::new(self.agreement(), kem_output);
        let shared = agreement::agree(&private_key, peer, (), |shared| Ok(shared.to_vec())).ok()?;

        let kem = self.hpke("KEM", &self.identifiers()[..1]);
        let secret = kem.extract(&[], "eae_prk", &shared);
        let both = [kem_output, public_key.as_ref()].concat();
        let shared = kem.expand(&secret, "shared_secret", &both, self.0.hash_bytes());

        let mut info = Vec::new();
        info.put_opaque(format!("MLS 1.0 {label}").as_bytes());
        info.put_opaque(context);
        let schedule = self.hpke("HPKE", &self.identifiers());
        let no_psk = schedule.extract(&[], "psk_id_hash", &[]);
        let context = [&[0][..], &no_psk, &schedule.extract(&[], "info_hash", &info)].concat();
        let secret = schedule.extract(&shared, "secret", &[]);
        let key = schedule.expand(&secret, "key", &context, self.key_bytes());
        let nonce = schedule.expand(&secret, "base_nonce", &context, 12);
        self.open(&key, &nonce, ciphertext)
    }
}

impl Hpke {
    fn extract(&self, salt: &[u8], label: &str, secret: &[u8]) -> Vec<u8> {
        let labelled = [&b"HPKE-v1"[..], &self.suite_id, label.as_bytes(), secret].concat();
        self.secrets.extract(salt, &labelled)
    }

    fn expand(&self, secret: &[u8], label: &str, info: &[u8], length: usize) -> Vec<u8> {
        let length_bytes = u16::try_from(length).unwrap().to_be_bytes();
        let labelled = [&length_bytes[..], b"HPKE-v1", &self.suite_id, label.as_bytes(), info].concat();
        self.secrets.expand(secret, &labelled, length)
    }
}

#[test]
fn secrets_are_those_of_the_public_vectors() {
    let Some(vectors) = vectors::read("crypto-basics") else { return };
    let mut followed = 0;
    for vector in vectors.as_array().unwrap() {
        let Some(suite) = suite(vector) else { continue };
        let secrets = Secrets(suite);
        let derive = &vector["derive_secret"];
        let derived = secrets.derive_secret(&bytes(&derive["secret"]), derive["label"].as_str().unwrap());
        assert_eq!(derived, bytes(&derive["out"]));

        let expand = &vector["expand_with_label"];
        let (secret, context) = (bytes(&expand["secret"]), bytes(&expand["context"]));
        let length = usize::try_from(expand["length"].as_u64().unwrap()).unwrap();
        let label = expand["label"].as_str().unwrap();
        assert_eq!(secrets.expand_with_label(&secret, label, &context, length), bytes(&expand["out"]));

        let encrypt = &vector["encrypt_with_label"];
        let field = |name: &str| bytes(&encrypt[name]);
        let decrypted = secrets.decrypt_with_label(
            &field("priv"),
            encrypt["label"].as_str().unwrap(),
            &field("context"),
            &field("kem_output"),
            &field("ciphertext"),
        );
        assert_eq!(decrypted, Some(field("plaintext")), "suite {suite:?}");
        followed += 1;
    }
    assert_eq!(followed, Suite::ALL.len());
}
