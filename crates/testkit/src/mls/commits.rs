//! Commits, proposals and application messages of a member.

use anyhow::{Context as _, Result, ensure};
use openmls::prelude::{
    LeafNodeIndex, LeafNodeParameters, MlsMessageOut, NewSignerBundle, OpenMlsProvider as _,
};

use super::{Member, NO_GROUP, Terms, credential_with_key, new_signer, reading};

/// What a commit does besides carrying the proposals that wait for one. Nothing at all makes it an update of the
/// committer's own keys.
#[derive(Debug, Clone, Default)]
pub struct Change<'a> {
    /// KeyPackages of those who are added.
    pub add: &'a [Vec<u8>],
    /// Leaves that are removed.
    pub remove: &'a [u32],
    /// The commit's authenticated data.
    pub aad: &'a [u8],
    /// Leaves out the proposals that wait.
    pub alone: bool,
    /// Renews the committer's keys also where the proposals do not ask for it.
    pub path: bool,
    /// Gives the committer another signature key, which asks for a path.
    pub new_key: bool,
    /// What the group's context says from now on.
    pub terms: Option<&'a Terms>,
}

/// A commit and what goes with it, made and not yet merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The commit.
    pub message: Vec<u8>,
    /// The Welcome, where somebody is added; without a tree.
    pub welcome: Option<Vec<u8>>,
    /// The GroupInfo of the epoch that the commit makes; without a tree, with `external_pub`.
    pub group_info: Vec<u8>,
    /// The ratchet tree of that epoch.
    pub ratchet_tree: Vec<u8>,
}

impl Member {
    /// Makes a commit. It waits here until [`Member::merge`] or [`Member::discard`].
    pub fn commit(&mut self, change: &Change<'_>) -> Result<Commit> {
        let adds = change.add.iter().map(|bytes| reading::key_package(&self.provider, bytes));
        let adds = adds.collect::<Result<Vec<_>>>()?;
        let next_signer = change.new_key.then(|| new_signer(self.suite)).transpose()?;
        let group = self.group.as_mut().context(NO_GROUP)?;
        ensure!(group.pending_commit().is_none(), "a commit waits already: merge or discard it");
        group.set_aad(change.aad.to_vec());
        let mut builder = group
            .commit_builder()
            .consume_proposal_store(!change.alone)
            .propose_adds(adds)
            .propose_removals(change.remove.iter().copied().map(LeafNodeIndex::new))
            .force_self_update(change.path);
        if let Some(terms) = change.terms {
            builder = builder.propose_group_context_extensions(terms.to_openmls()?)?;
        }
        let builder = builder
            .load_psks(self.provider.storage())?
            .create_group_info(true)
            .use_ratchet_tree_extension(false);
        let (rand, crypto) = (self.provider.rand(), self.provider.crypto());
        let built = match &next_signer {
            None => builder.build(rand, crypto, &self.signer, |_| true)?,
            Some(signer) => {
                let credential_with_key = credential_with_key(&self.credential.credential, signer);
                let next = NewSignerBundle { signer, credential_with_key };
                builder.build_with_new_signer(rand, crypto, &self.signer, next, |_| true)?
            }
        };
        let bundle = built.stage_commit(&self.provider)?;
        self.next_signers.extend(next_signer);
        let before = group.export_ratchet_tree();
        let staged = group.pending_commit().context("a staged commit is pending")?;
        let after = staged.export_ratchet_tree(self.provider.crypto(), before)?;
        let ratchet_tree = reading::encode(&after.context("a pending commit has a tree")?)?;
        Commit::from_bundle(bundle.into_messages(), ratchet_tree)
    }

    /// A commit that adds devices.
    pub fn add(&mut self, key_packages: &[Vec<u8>]) -> Result<Commit> {
        self.commit(&Change { add: key_packages, ..Change::default() })
    }

    /// A commit that removes leaves.
    pub fn remove(&mut self, leaves: &[u32]) -> Result<Commit> {
        self.commit(&Change { remove: leaves, ..Change::default() })
    }

    /// A commit that renews one's own keys.
    pub fn update(&mut self) -> Result<Commit> {
        self.commit(&Change { path: true, ..Change::default() })
    }

    /// The waiting commit was accepted: enters its epoch.
    pub fn merge(&mut self) -> Result<()> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        ensure!(group.pending_commit().is_some(), "no commit waits");
        group.merge_pending_commit(&self.provider)?;
        self.settle_signer();
        Ok(())
    }

    /// Signs, in a new epoch, with the key that its leaf holds there.
    pub(super) fn settle_signer(&mut self) {
        let leaf = self.group.as_ref().and_then(|group| group.own_leaf_node());
        let key = leaf.map(|leaf| leaf.signature_key().as_slice().to_vec());
        for signer in std::mem::take(&mut self.next_signers) {
            if key.as_deref() == Some(signer.public()) {
                self.credential = credential_with_key(&self.credential.credential, &signer);
                self.signer = signer;
            }
        }
    }

    /// The waiting commit was refused.
    pub fn discard(&mut self) -> Result<()> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        Ok(group.clear_pending_commit(self.provider.storage())?)
    }

    /// Proposes to add a device.
    pub fn propose_add(&mut self, key_package: &[u8]) -> Result<Vec<u8>> {
        let key_package = reading::key_package(&self.provider, key_package)?;
        let group = self.group.as_mut().context(NO_GROUP)?;
        Ok(group.propose_add_member(&self.provider, &self.signer, &key_package)?.0.to_bytes()?)
    }

    /// Proposes to remove a leaf.
    pub fn propose_remove(&mut self, leaf: u32) -> Result<Vec<u8>> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        let leaf = LeafNodeIndex::new(leaf);
        Ok(group.propose_remove_member(&self.provider, &self.signer, leaf)?.0.to_bytes()?)
    }

    /// Proposes an Update of one's own leaf.
    pub fn propose_update(&mut self) -> Result<Vec<u8>> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        let parameters = LeafNodeParameters::default();
        Ok(group.propose_self_update(&self.provider, &self.signer, parameters)?.0.to_bytes()?)
    }

    /// Proposes an Update of one's own leaf that brings another signature key.
    pub fn propose_update_with_new_key(&mut self) -> Result<Vec<u8>> {
        let signer = new_signer(self.suite)?;
        let credential_with_key = credential_with_key(&self.credential.credential, &signer);
        let next = NewSignerBundle { signer: &signer, credential_with_key };
        let group = self.group.as_mut().context(NO_GROUP)?;
        let parameters = LeafNodeParameters::default();
        let (message, _) =
            group.propose_self_update_with_new_signer(&self.provider, &self.signer, next, parameters)?;
        self.next_signers.push(signer);
        Ok(message.to_bytes()?)
    }

    /// Proposes what the group's context shall say.
    pub fn propose_terms(&mut self, terms: &Terms) -> Result<Vec<u8>> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        let extensions = terms.to_openmls()?;
        Ok(group.propose_group_context_extensions(&self.provider, extensions, &self.signer)?.0.to_bytes()?)
    }

    /// Proposes a SelfRemove, which is public however the group is framed.
    pub fn propose_self_remove(&mut self) -> Result<Vec<u8>> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        Ok(group.leave_group_via_self_remove(&self.provider, &self.signer)?.to_bytes()?)
    }

    /// Drops the proposals that wait for a commit.
    pub fn forget_proposals(&mut self) -> Result<()> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        Ok(group.clear_pending_proposals(self.provider.storage())?)
    }

    /// An application message, which always is a `PrivateMessage`.
    pub fn say(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        let group = self.group.as_mut().context(NO_GROUP)?;
        Ok(group.create_message(&self.provider, &self.signer, text)?.to_bytes()?)
    }
}

impl Commit {
    /// The parts as bytes.
    pub(super) fn from_bundle(
        (message, welcome, group_info): (MlsMessageOut, Option<MlsMessageOut>, Option<MlsMessageOut>),
        ratchet_tree: Vec<u8>,
    ) -> Result<Self> {
        Ok(Self {
            message: message.to_bytes()?,
            welcome: welcome.map(|welcome| welcome.to_bytes()).transpose()?,
            group_info: group_info.context("a GroupInfo was asked for")?.to_bytes()?,
            ratchet_tree,
        })
    }
}
