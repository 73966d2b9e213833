//! mls-rs as the member that a vector is about, with the vector's private keys: its secrets are compared with the
//! vector's, and what it sees with what is seen from outside.

use maypole_mls::{Suite, reader::Reader, wire::KeyPackage};
use maypole_testkit::vectors::bytes;
use mls_rs::{
    Client, CryptoProvider as _, Group, MlsMessage,
    client_builder::MlsConfig,
    crypto::{HpkeSecretKey, SignaturePublicKey, SignatureSecretKey},
    group::ExportedTree,
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    psk::{ExternalPskId, PreSharedKey},
    storage_provider::{KeyPackageData, in_memory::InMemoryKeyPackageStorage},
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use serde_json::Value;

use super::oracles::Seen;

/// A member inside.
pub(crate) struct Member<C: MlsConfig> {
    group: Group<C>,
}

/// The member of a vector who has just opened its Welcome, if mls-rs' cryptography has the suite.
pub(crate) fn join(vector: &Value, suite: Suite, tree: Option<&[u8]>) -> Option<Member<impl MlsConfig>> {
    let crypto = RustCryptoProvider::new();
    crypto.cipher_suite_provider(suite.code().into())?;
    let message = bytes(&vector["key_package"]);
    let key_package = KeyPackage::read(&mut Reader::new(&message[4..])).unwrap();
    let stored = KeyPackageData::new(
        key_package.raw.to_vec(),
        HpkeSecretKey::from(bytes(&vector["init_priv"])),
        HpkeSecretKey::from(bytes(&vector["encryption_priv"])),
        u64::MAX,
    );
    let key_packages = InMemoryKeyPackageStorage::new();
    key_packages.insert(key_package.reference(suite).as_ref().to_vec(), stored);
    let identity = key_package.leaf.credential.identity().unwrap().to_vec();
    let signing = SigningIdentity::new(
        BasicCredential::new(identity).into_credential(),
        SignaturePublicKey::from(key_package.leaf.signature_key.to_vec()),
    );
    let mut builder = Client::builder()
        .crypto_provider(crypto)
        .identity_provider(BasicIdentityProvider::new())
        .key_package_repo(key_packages);
    for known in vector["external_psks"].as_array().unwrap() {
        let id = ExternalPskId::new(bytes(&known["psk_id"]));
        builder = builder.psk(id, PreSharedKey::from(bytes(&known["psk"])));
    }
    let key = SignatureSecretKey::from(bytes(&vector["signature_priv"]));
    let client = builder.signing_identity(signing, key, suite.code().into()).build();
    let welcome = MlsMessage::from_bytes(&bytes(&vector["welcome"])).unwrap();
    let tree = tree.map(|tree| ExportedTree::from_bytes(tree).unwrap());
    let (group, _) = client.join_group(tree, &welcome, None).unwrap();
    Some(Member { group })
}

impl<C: MlsConfig> Member<C> {
    pub(crate) fn hear(&mut self, message: &[u8]) {
        self.group.process_incoming_message(MlsMessage::from_bytes(message).unwrap()).unwrap();
    }

    pub(crate) fn epoch_authenticator(&self) -> Vec<u8> {
        self.group.epoch_authenticator().unwrap().to_vec()
    }

    pub(crate) fn seen(&self) -> Seen {
        let context = self.group.context();
        Seen {
            epoch: context.epoch,
            tree_hash: context.tree_hash.to_vec(),
            confirmed_transcript_hash: context.confirmed_transcript_hash.to_vec(),
            ratchet_tree: self.group.export_tree().to_bytes().unwrap(),
        }
    }
}
