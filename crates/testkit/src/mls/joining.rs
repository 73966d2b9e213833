//! How a member enters a group, and follows what others send.

use anyhow::{Context as _, Result, bail, ensure};
use openmls::prelude::{
    LeafNodeParameters, MlsGroup, MlsMessageBodyIn, OpenMlsProvider as _, ProcessedMessageContent,
    ProtocolMessage, StagedCommit, StagedWelcome,
};

use super::{Commit, Framing, Member, NO_GROUP, join_config, reading};

/// What a member makes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Another's commit, or one's own pending one; the member is in its epoch now.
    Commit,
    /// A proposal; it waits for a commit.
    Proposal,
    /// An application message's text.
    Text(Vec<u8>),
    /// A `PrivateMessage` of one's own, which nobody can read back.
    Own,
}

impl Member {
    /// Joins by a Welcome, with the tree of its epoch.
    pub fn join(&mut self, welcome: &[u8], ratchet_tree: &[u8]) -> Result<()> {
        ensure!(self.group.is_none(), "this member has a group already");
        let MlsMessageBodyIn::Welcome(welcome) = reading::message(welcome)? else { bail!("not a Welcome") };
        let group =
            StagedWelcome::build_from_welcome(&self.provider, &join_config(Framing::Public), welcome)?
                .with_ratchet_tree(reading::tree(ratchet_tree)?)
                .build()?
                .into_group(&self.provider)?;
        self.group = Some(group);
        Ok(())
    }

    /// Joins, or comes back, by an external commit upon a GroupInfo, with its tree apart where it has none.
    ///
    /// The member is in the new epoch at once: it has lost its place if the commit is refused, and may try again.
    pub fn join_by_commit(
        &mut self,
        group_info: &[u8],
        ratchet_tree: Option<&[u8]>,
        aad: &[u8],
    ) -> Result<Commit> {
        self.join_by_commit_of(group_info, ratchet_tree, aad, &[])
    }

    /// The same, and the commit refers to the SelfRemoves among `proposals`; others no external commit may carry.
    pub fn join_by_commit_of(
        &mut self,
        group_info: &[u8],
        ratchet_tree: Option<&[u8]>,
        aad: &[u8],
        proposals: &[Vec<u8>],
    ) -> Result<Commit> {
        let MlsMessageBodyIn::GroupInfo(group_info) = reading::message(group_info)? else {
            bail!("not a GroupInfo")
        };
        let proposals = proposals.iter().map(|proposal| match reading::message(proposal)? {
            MlsMessageBodyIn::PublicMessage(proposal) => Ok(proposal),
            _ => bail!("not a PublicMessage"),
        });
        let mut builder = MlsGroup::external_commit_builder()
            .with_config(join_config(Framing::Public))
            .with_aad(aad.to_vec())
            .with_proposals(proposals.collect::<Result<_>>()?);
        if let Some(tree) = ratchet_tree {
            builder = builder.with_ratchet_tree(reading::tree(tree)?);
        }
        let leaf = LeafNodeParameters::builder().with_capabilities(self.capabilities.clone()).build();
        let (group, bundle) = builder
            .build_group(&self.provider, group_info, self.credential.clone())?
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())?
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)?
            .finalize(&self.provider)?;
        let ratchet_tree = reading::encode(&group.export_ratchet_tree())?;
        self.group = Some(group);
        Commit::from_bundle(bundle.into_messages(), ratchet_tree)
    }

    /// Processes a message of the group: enters a commit's epoch, keeps a proposal, reads a text.
    pub fn hear(&mut self, message: &[u8]) -> Result<Heard> {
        self.hear_and_look(message, |_| ())
    }

    /// The same, with a look at another's commit before it is merged.
    pub(super) fn hear_and_look(
        &mut self,
        message: &[u8],
        look: impl FnOnce(&StagedCommit),
    ) -> Result<Heard> {
        let protocol_message: ProtocolMessage = match reading::message(message)? {
            MlsMessageBodyIn::PublicMessage(message) => message.into(),
            MlsMessageBodyIn::PrivateMessage(message) => message.into(),
            _ => bail!("not a message to a group"),
        };
        let group = self.group.as_mut().context(NO_GROUP)?;
        match group.process_message(&self.provider, protocol_message)?.into_content() {
            ProcessedMessageContent::ApplicationMessage(text) => Ok(Heard::Text(text.into_bytes())),
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                group.store_pending_proposal(self.provider.storage(), *proposal)?;
                Ok(Heard::Proposal)
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                look(&staged);
                group.merge_staged_commit(&self.provider, *staged)?;
                self.settle_signer();
                Ok(Heard::Commit)
            }
            ProcessedMessageContent::OwnPendingCommit => {
                self.merge()?;
                Ok(Heard::Commit)
            }
            ProcessedMessageContent::OwnPrivateMessage => Ok(Heard::Own),
        }
    }
}
