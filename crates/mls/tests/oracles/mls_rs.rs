//! mls-rs' `ExternalGroup` as a follower.

use anyhow::{Result, bail};
use mls_rs::MlsMessage;
use mls_rs::external_client::builder::{ExternalBaseConfig, WithCryptoProvider, WithIdentityProvider};
use mls_rs::external_client::{ExternalClient, ExternalGroup, ExternalReceivedMessage};
use mls_rs::group::ExportedTree;
use mls_rs::identity::basic::BasicIdentityProvider;
use mls_rs::time::MlsTime;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;

use super::{Follower, Seen, Weighed, in_full};

type Config =
    WithIdentityProvider<BasicIdentityProvider, WithCryptoProvider<RustCryptoProvider, ExternalBaseConfig>>;

pub(crate) struct MlsRs {
    group: ExternalGroup<Config>,
    time: Option<MlsTime>,
}

/// The group as it would be, and whether it would be in another epoch.
pub(crate) struct After {
    group: ExternalGroup<Config>,
    is_commit: bool,
}

impl Weighed for After {
    fn leads_to(&self) -> Option<[Vec<u8>; 2]> {
        let hashes = [self.group.tree_hash(), self.group.transcript_hash().as_slice()];
        self.is_commit.then(|| hashes.map(<[u8]>::to_vec))
    }
}

impl MlsRs {
    /// Begins as at a time, which lifetimes are held against; at none, they are not looked at.
    pub(crate) fn observe_at(
        group_info: &[u8],
        ratchet_tree: Option<&[u8]>,
        time: Option<MlsTime>,
    ) -> Result<Self> {
        let client: ExternalClient<Config> = ExternalClient::builder()
            .crypto_provider(RustCryptoProvider::new())
            .identity_provider(BasicIdentityProvider::new())
            .build();
        let tree = ratchet_tree.map(ExportedTree::from_bytes).transpose().map_err(in_full)?;
        let group_info = MlsMessage::from_bytes(group_info).map_err(in_full)?;
        let group = client.observe_group(group_info, tree, time).map_err(in_full)?;
        Ok(Self { group, time })
    }
}

impl Follower for MlsRs {
    const NAME: &'static str = "mls-rs ExternalGroup";
    // Its SelfRemove has another code point, and this one it cannot parse.
    const READS_SELF_REMOVE: bool = false;

    type Weighed = After;

    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self> {
        Self::observe_at(group_info, ratchet_tree, None)
    }

    fn weigh(&self, message: &[u8]) -> Result<After> {
        let message = MlsMessage::from_bytes(message).map_err(in_full)?;
        let mut group = self.group.clone();
        let heard = match self.time {
            Some(time) => group.process_incoming_message_with_time(message, time),
            None => group.process_incoming_message(message),
        };
        match heard.map_err(in_full)? {
            ExternalReceivedMessage::Commit(_) => Ok(After { group, is_commit: true }),
            ExternalReceivedMessage::Proposal(_) => Ok(After { group, is_commit: false }),
            _ => bail!("neither a commit nor a proposal"),
        }
    }

    fn adopt(&mut self, weighed: After) -> Result<()> {
        self.group = weighed.group;
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
