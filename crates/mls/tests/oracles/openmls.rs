//! OpenMLS' `PublicGroup` as a follower.

use anyhow::{Context as _, Result, bail, ensure};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProcessedMessageContent, ProposalStore,
    PublicGroup, RatchetTreeIn,
};
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::{Follower, Seen, Weighed, in_full};

pub(crate) struct OpenMls {
    provider: OpenMlsRustCrypto,
    group: PublicGroup,
}

impl Weighed for ProcessedMessageContent {
    fn leads_to(&self) -> Option<[Vec<u8>; 2]> {
        let Self::StagedCommitMessage(commit) = self else { return None };
        let context = commit.group_context();
        Some([context.tree_hash(), context.confirmed_transcript_hash()].map(<[u8]>::to_vec))
    }
}

impl Follower for OpenMls {
    const NAME: &'static str = "OpenMLS PublicGroup";
    const READS_SELF_REMOVE: bool = true;

    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self> {
        let MlsMessageBodyIn::GroupInfo(group_info) = read(group_info)? else { bail!("not a GroupInfo") };
        let tree = match (ratchet_tree, group_info.extensions().ratchet_tree()) {
            (Some(bytes), _) => RatchetTreeIn::tls_deserialize_exact(bytes).map_err(in_full)?,
            (None, inside) => inside.context("no tree anywhere")?.ratchet_tree().clone(),
        };
        let provider = OpenMlsRustCrypto::default();
        let (crypto, storage, waiting) = (provider.crypto(), provider.storage(), ProposalStore::new());
        let (group, _) =
            PublicGroup::from_external(crypto, storage, tree, group_info, waiting).map_err(in_full)?;
        Ok(Self { provider, group })
    }

    type Weighed = ProcessedMessageContent;

    fn weigh(&self, message: &[u8]) -> Result<ProcessedMessageContent> {
        let MlsMessageBodyIn::PublicMessage(message) = read(message)? else { bail!("not a PublicMessage") };
        let processed = self.group.process_message(self.provider.crypto(), message).map_err(in_full)?;
        let content = processed.into_content();
        match content {
            ProcessedMessageContent::ProposalMessage(_)
            | ProcessedMessageContent::ExternalJoinProposalMessage(_)
            | ProcessedMessageContent::StagedCommitMessage(_) => Ok(content),
            _ => bail!("neither a commit nor a proposal"),
        }
    }

    fn adopt(&mut self, weighed: ProcessedMessageContent) -> Result<()> {
        let storage = self.provider.storage();
        match weighed {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                Ok(self.group.merge_commit(storage, *commit)?)
            }
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                Ok(self.group.add_proposal(storage, *proposal)?)
            }
            _ => bail!("neither a commit nor a proposal"),
        }
    }

    fn seen(&self) -> Result<Seen> {
        let context = self.group.group_context();
        Ok(Seen {
            epoch: context.epoch().as_u64(),
            tree_hash: context.tree_hash().to_vec(),
            confirmed_transcript_hash: context.confirmed_transcript_hash().to_vec(),
            ratchet_tree: self.group.export_ratchet_tree().tls_serialize_detached()?,
        })
    }
}

fn read(bytes: &[u8]) -> Result<MlsMessageBodyIn> {
    let mut rest = bytes;
    let message = MlsMessageIn::tls_deserialize(&mut rest).map_err(in_full)?;
    ensure!(rest.is_empty(), "{} bytes after an MLSMessage", rest.len());
    Ok(message.extract())
}
