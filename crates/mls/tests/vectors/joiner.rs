//! What somebody finds in a Welcome who has the private keys to it (RFC 9420 §12.4.3.1), and the secrets of its epoch
//! (§8).

use maypole_mls::{
    Suite,
    reader::Reader,
    service::Welcome,
    wire::{GroupInfo, KeyPackage, Proposal},
    writer::Write as _,
};
use maypole_testkit::vectors::bytes;
use serde_json::Value;

use super::secrets::Secrets;

/// The member that a vector is about.
pub(crate) struct Joiner {
    /// The GroupInfo, bare.
    pub(crate) group_info: Vec<u8>,
    secrets: Secrets,
    epoch_secret: Vec<u8>,
}

impl Joiner {
    /// Opens the vector's Welcome.
    pub(crate) fn open(vector: &Value, suite: Suite) -> Self {
        let secrets = Secrets(suite);
        let keys = vector["external_psks"].as_array().unwrap().iter().map(|known| {
            let mut id = vec![1];
            id.put_opaque(&bytes(&known["psk_id"]));
            (id, bytes(&known["psk"]))
        });
        let keys: Vec<_> = keys.collect();
        let message = bytes(&vector["key_package"]);
        let key_package = KeyPackage::read(&mut Reader::new(&message[4..])).unwrap();
        let reference = key_package.reference(suite);
        let message = bytes(&vector["welcome"]);
        let welcome = Welcome::read(&message).unwrap();
        let entry = welcome.secrets.iter().find(|entry| entry.key_package == reference.as_ref()).unwrap();

        let mut reader = Reader::new(entry.raw);
        reader.opaque("reference").unwrap();
        let (kem_output, ciphertext) =
            (reader.opaque("KEM output").unwrap(), reader.opaque("ciphertext").unwrap());
        let init_key = bytes(&vector["init_priv"]);
        let encrypted = welcome.encrypted_group_info;
        let group_secrets =
            secrets.decrypt_with_label(&init_key, "Welcome", encrypted, kem_output, ciphertext).unwrap();
        let mut reader = Reader::new(&group_secrets);
        let joiner_secret = reader.opaque("joiner secret").unwrap();
        if reader.present("path secret").unwrap() {
            reader.opaque("path secret").unwrap();
        }
        let psks = read_keys(&mut reader);
        reader.end().unwrap();

        let psk_secret = mix(secrets, &keys, &psks);
        let member_secret = secrets.extract(joiner_secret, &psk_secret);
        let welcome_secret = secrets.derive_secret(&member_secret, "welcome");
        let key = secrets.expand_with_label(&welcome_secret, "key", &[], secrets.key_bytes());
        let nonce = secrets.expand_with_label(&welcome_secret, "nonce", &[], 12);
        let group_info = secrets.open(&key, &nonce, encrypted).unwrap();
        let context = GroupInfo::from_bytes(&group_info).unwrap().context.raw.to_vec();
        let epoch_secret = secrets.expand_with_label(&member_secret, "epoch", &context, suite.hash_bytes());
        Self { group_info, secrets, epoch_secret }
    }

    /// What all members of the epoch have in common.
    pub(crate) fn epoch_authenticator(&self) -> Vec<u8> {
        self.secrets.derive_secret(&self.epoch_secret, "authentication")
    }

    /// The tag that the epoch's commit must have (§6.1).
    pub(crate) fn confirmation_tag(&self, confirmed_transcript_hash: &[u8]) -> Vec<u8> {
        let key = self.secrets.derive_secret(&self.epoch_secret, "confirm");
        self.secrets.mac(&key, confirmed_transcript_hash)
    }
}

/// Reads `PreSharedKeyID psks<V>`, each of them as a proposal of it would be.
fn read_keys(reader: &mut Reader<'_>) -> Vec<Vec<u8>> {
    let mut inside = reader.vector("keys").unwrap();
    let mut keys = Vec::new();
    while !inside.rest().is_empty() {
        let proposal = [&[0, 4], inside.rest()].concat();
        let mut copy = Reader::new(&proposal);
        let Ok(Proposal::PreSharedKey(key)) = Proposal::read(&mut copy, &|_| None) else {
            panic!("not a PreSharedKeyID")
        };
        let mut id = key.id.to_vec();
        id.put_opaque(key.nonce);
        for _ in 0..id.len() {
            inside.u8("key").unwrap();
        }
        keys.push(id);
    }
    keys
}

/// The `psk_secret` of some pre-shared keys (§8.4).
fn mix(secrets: Secrets, known: &[(Vec<u8>, Vec<u8>)], psks: &[Vec<u8>]) -> Vec<u8> {
    let length = secrets.0.hash_bytes();
    let mut secret = vec![0; length];
    for (index, id) in psks.iter().enumerate() {
        let (_, psk) = known.iter().find(|(known, _)| id.starts_with(known)).unwrap();
        let mut label = id.clone();
        label.put_u16(u16::try_from(index).unwrap());
        label.put_u16(u16::try_from(psks.len()).unwrap());
        let extracted = secrets.extract(&vec![0; length], psk);
        let input = secrets.expand_with_label(&extracted, "derived psk", &label, length);
        secret = secrets.extract(&input, &secret);
    }
    secret
}
