//! OpenMLS' `PublicGroup` as a follower.

use anyhow::{Context as _, Result, bail, ensure};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProcessedMessageContent, ProposalStore,
    PublicGroup, RatchetTreeIn,
};
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::{Follower, Seen};

pub(crate) struct OpenMls {
    provider: OpenMlsRustCrypto,
    group: PublicGroup,
}

impl OpenMls {
    fn process(&self, message: &[u8]) -> Result<ProcessedMessageContent> {
        let MlsMessageBodyIn::PublicMessage(message) = read(message)? else { bail!("not a PublicMessage") };
        Ok(self.group.process_message(self.provider.crypto(), message)?.into_content())
    }
}

impl Follower for OpenMls {
    const NAME: &'static str = "OpenMLS PublicGroup";
    const READS_SELF_REMOVE: bool = true;

    fn observe(group_info: &[u8], ratchet_tree: Option<&[u8]>) -> Result<Self> {
        let MlsMessageBodyIn::GroupInfo(group_info) = read(group_info)? else { bail!("not a GroupInfo") };
        let tree = match (ratchet_tree, group_info.extensions().ratchet_tree()) {
            (Some(bytes), _) => RatchetTreeIn::tls_deserialize_exact(bytes)?,
            (None, inside) => inside.context("no tree anywhere")?.ratchet_tree().clone(),
        };
        let provider = OpenMlsRustCrypto::default();
        let (crypto, storage, waiting) = (provider.crypto(), provider.storage(), ProposalStore::new());
        let (group, _) = PublicGroup::from_external(crypto, storage, tree, group_info, waiting)?;
        Ok(Self { provider, group })
    }

    fn hear_proposal(&mut self, message: &[u8]) -> Result<()> {
        match self.process(message)? {
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                Ok(self.group.add_proposal(self.provider.storage(), *proposal)?)
            }
            _ => bail!("not a proposal"),
        }
    }

    fn hear_commit(&mut self, message: &[u8]) -> Result<()> {
        match self.process(message)? {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                Ok(self.group.merge_commit(self.provider.storage(), *commit)?)
            }
            _ => bail!("not a commit"),
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
    let message = MlsMessageIn::tls_deserialize(&mut rest)?;
    ensure!(rest.is_empty(), "{} bytes after an MLSMessage", rest.len());
    Ok(message.extract())
}
