//! The two libraries that can follow a group from its public messages.

use maypole_testkit::forge::{Forge, GroupInfoDraft};
use mls_rs::external_client::builder::MlsConfig;
use mls_rs::external_client::{ExternalClient, ExternalGroup, ExternalReceivedMessage};
use mls_rs::identity::basic::BasicIdentityProvider;
use mls_rs::{CipherSuite, MlsMessage};
use mls_rs_core::crypto::CryptoProvider as _;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::{
    MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProcessedMessageContent, ProposalStore,
    PublicGroup, RatchetTreeIn,
};
use openmls_rust_crypto::OpenMlsRustCrypto;

/// Somebody who follows a group.
pub(crate) trait Follower {
    /// Takes a proposal or a commit, or says why not.
    fn hear(&mut self, message: &[u8]) -> Result<(), String>;
    /// The tree hash and the confirmed transcript hash.
    fn hashes(&self) -> (Vec<u8>, Vec<u8>);
}

/// OpenMLS' `PublicGroup`.
pub(crate) struct OpenMls {
    provider: OpenMlsRustCrypto,
    group: PublicGroup,
}

impl OpenMls {
    /// From a GroupInfo without the tree, and the tree.
    pub(crate) fn import(group_info: &[u8], tree: &[u8]) -> Result<Self, String> {
        let provider = OpenMlsRustCrypto::default();
        let message = MlsMessageIn::tls_deserialize_exact(group_info).map_err(|error| error.to_string())?;
        let MlsMessageBodyIn::GroupInfo(group_info) = message.extract() else {
            return Err("no GroupInfo".into());
        };
        let tree = RatchetTreeIn::tls_deserialize_exact(tree).map_err(|error| error.to_string())?;
        let (group, _) = PublicGroup::from_external(
            provider.crypto(),
            provider.storage(),
            tree,
            group_info,
            ProposalStore::new(),
        )
        .map_err(|error| format!("{error:?}"))?;
        Ok(Self { provider, group })
    }

    pub(crate) fn of(forge: &Forge) -> Result<Self, String> {
        Self::import(&forge.group_info(&GroupInfoDraft::by(0)).unwrap(), &forge.ratchet_tree())
    }
}

impl Follower for OpenMls {
    fn hear(&mut self, message: &[u8]) -> Result<(), String> {
        let message = MlsMessageIn::tls_deserialize_exact(message).map_err(|error| error.to_string())?;
        let message = message.try_into_protocol_message().map_err(|error| error.to_string())?;
        let processed = self.group.process_message(self.provider.crypto(), message);
        match processed.map_err(|error| format!("{error:?}"))?.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                self.group.add_proposal(self.provider.storage(), *proposal).unwrap();
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                self.group.merge_commit(self.provider.storage(), *commit).unwrap();
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn hashes(&self) -> (Vec<u8>, Vec<u8>) {
        let context = self.group.group_context();
        (context.tree_hash().to_vec(), context.confirmed_transcript_hash().to_vec())
    }
}

/// mls-rs' `ExternalGroup`.
pub(crate) struct MlsRs<C: MlsConfig>(ExternalGroup<C>);

impl<C: MlsConfig> Follower for MlsRs<C> {
    fn hear(&mut self, message: &[u8]) -> Result<(), String> {
        let message = MlsMessage::from_bytes(message).map_err(|error| format!("{error:?}"))?;
        match self.0.process_incoming_message(message).map_err(|error| format!("{error:?}"))? {
            ExternalReceivedMessage::Commit(_) | ExternalReceivedMessage::Proposal(_) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    fn hashes(&self) -> (Vec<u8>, Vec<u8>) {
        (self.0.tree_hash().to_vec(), self.0.transcript_hash().clone())
    }
}

/// mls-rs, from a GroupInfo with the tree inside.
pub(crate) fn mls_rs(forge: &Forge) -> Result<impl Follower + use<>, String> {
    let suite = CipherSuite::new(forge.suite().number());
    let crypto = RustCryptoProvider::with_enabled_cipher_suites(vec![suite]);
    assert!(crypto.cipher_suite_provider(suite).is_some());
    let client = ExternalClient::builder()
        .crypto_provider(crypto)
        .identity_provider(BasicIdentityProvider::new())
        .build();
    let group_info = forge.group_info(&GroupInfoDraft::by(0).with_tree()).unwrap();
    let group_info = MlsMessage::from_bytes(&group_info).map_err(|error| format!("{error:?}"))?;
    Ok(MlsRs(client.observe_group(group_info, None, None).map_err(|error| format!("{error:?}"))?))
}
