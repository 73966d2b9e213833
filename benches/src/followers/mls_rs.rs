//! mls-rs' `ExternalGroup`, with either of two cryptographies.

use anyhow::{Result, ensure};
use maypole_testkit::wait::Stopwatch;
use mls_rs::{
    CipherSuite, MlsMessage,
    external_client::{
        ExternalClient, ExternalGroup, ExternalReceivedMessage,
        builder::{ExternalBaseConfig, WithCryptoProvider, WithIdentityProvider},
    },
    group::ExportedTree,
    identity::basic::BasicIdentityProvider,
};
use mls_rs_core::crypto::CryptoProvider;
use mls_rs_crypto_awslc::AwsLcCryptoProvider;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;

use super::{Base, Follower, Taken};
use crate::scene::Start;

pub(super) type Config<P> =
    WithIdentityProvider<BasicIdentityProvider, WithCryptoProvider<P, ExternalBaseConfig>>;

struct MlsRs<P: CryptoProvider + Clone>(ExternalGroup<Config<P>>);

pub(super) fn rust_crypto() -> RustCryptoProvider {
    RustCryptoProvider::with_enabled_cipher_suites(vec![CipherSuite::CURVE25519_AES128])
}

pub(super) fn aws_lc() -> AwsLcCryptoProvider {
    let mut crypto = AwsLcCryptoProvider::new();
    crypto.enabled_cipher_suites = vec![CipherSuite::CURVE25519_AES128];
    crypto
}

/// Imports a group.
pub(super) fn import<P: CryptoProvider + Clone>(
    crypto: P,
    start: &Start,
) -> Result<ExternalGroup<Config<P>>> {
    let client: ExternalClient<Config<P>> = ExternalClient::builder()
        .crypto_provider(crypto)
        .identity_provider(BasicIdentityProvider::new())
        .build();
    let tree = ExportedTree::from_bytes(&start.tree)?;
    Ok(client.observe_group(MlsMessage::from_bytes(&start.group_info)?, Some(tree), None)?)
}

/// Imports a group to be followed.
pub(super) fn base<P: CryptoProvider + Clone + 'static>(crypto: P, start: &Start) -> Result<Box<dyn Base>> {
    Ok(Box::new(MlsRs(import(crypto, start)?)))
}

impl<P: CryptoProvider + Clone + 'static> Base for MlsRs<P> {
    fn copy(&self) -> Result<Box<dyn Follower>> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl<P: CryptoProvider + Clone> Follower for MlsRs<P> {
    fn hear(&mut self, message: &[u8]) -> Result<Taken> {
        let watch = Stopwatch::start();
        let heard = self.0.process_incoming_message(MlsMessage::from_bytes(message)?)?;
        let verdict = watch.elapsed();
        ensure!(matches!(heard, ExternalReceivedMessage::Commit(_)), "not a commit");
        Ok(Taken { verdict, ..Taken::default() })
    }

    fn hashes(&self) -> (Vec<u8>, Vec<u8>) {
        (self.0.tree_hash().to_vec(), self.0.transcript_hash().clone())
    }
}
