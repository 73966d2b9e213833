//! mls-rs' `ExternalGroup` as a follower.

use anyhow::{Result, ensure};
use mls_rs::MlsMessage;
use mls_rs::external_client::builder::{ExternalBaseConfig, WithCryptoProvider, WithIdentityProvider};
use mls_rs::external_client::{ExternalClient, ExternalGroup, ExternalReceivedMessage};
use mls_rs::group::ExportedTree;
use mls_rs::identity::basic::BasicIdentityProvider;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;

use super::{Follower, Seen};

type Config =
    WithIdentityProvider<BasicIdentityProvider, WithCryptoProvider<RustCryptoProvider, ExternalBaseConfig>>;

pub(crate) struct MlsRs {
    group: ExternalGroup<Config>,
}

impl Follower for MlsRs {
    const NAME: &'static str = "mls-rs ExternalGroup";
    // Its SelfRemove has another code point, and this one it cannot parse.
    const READS_SELF_REMOVE: bool = false;

    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self> {
        let client: ExternalClient<Config> = ExternalClient::builder()
            .crypto_provider(RustCryptoProvider::new())
            .identity_provider(BasicIdentityProvider::new())
            .build();
        let tree = ratchet_tree.map(ExportedTree::from_bytes).transpose()?;
        let group = client.observe_group(MlsMessage::from_bytes(group_info)?, tree, None)?;
        Ok(Self { group })
    }

    fn hear_proposal(&mut self, message: &[u8]) -> Result<()> {
        let heard = self.group.process_incoming_message(MlsMessage::from_bytes(message)?)?;
        ensure!(matches!(heard, ExternalReceivedMessage::Proposal(_)), "not a proposal");
        Ok(())
    }

    fn hear_commit(&mut self, message: &[u8]) -> Result<()> {
        let heard = self.group.process_incoming_message(MlsMessage::from_bytes(message)?)?;
        ensure!(matches!(heard, ExternalReceivedMessage::Commit(_)), "not a commit");
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen {
            epoch: self.group.group_context().epoch(),
            tree_hash: self.group.tree_hash().to_vec(),
            confirmed_transcript_hash: self.group.transcript_hash().clone(),
            ratchet_tree: self.group.export_tree()?,
        })
    }
}
