//! Drafts of commits (§12.4): honest to begin with, every field open to a lie.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Forge;
use super::framing::{Framing, ProposalMessage};
use super::key_package::KeyPackage;
use super::leaf::{Credential, Extension, LeafDraft, Source};
use super::proposals::{Proposal, Sender};

/// An entry of a commit's list of proposals.
#[derive(Debug, Clone)]
pub enum Listed {
    /// A proposal by value.
    Value(Proposal),
    /// Bytes that stand where a proposal by value would. The tree knows nothing of them.
    Bytes(Vec<u8>),
    /// A reference, and what it means if it means anything.
    Reference(Vec<u8>, Option<(Sender, Proposal)>),
}

impl From<&ProposalMessage> for Listed {
    fn from(message: &ProposalMessage) -> Self {
        Self::Reference(message.reference.clone(), Some((message.sender, message.proposal.clone())))
    }
}

/// The path of a commit; what is not said is honest.
#[derive(Debug, Clone, Default)]
pub struct PathDraft {
    /// Changes in the leaf.
    pub leaf: LeafDraft,
    /// HPKE keys of parent nodes, counted from below.
    pub keys: BTreeMap<usize, Vec<u8>>,
    /// How many parent nodes it has. Nodes beyond the path are written, and the tree knows nothing of them.
    pub length: Option<usize>,
    /// How many ciphertexts a node has, nodes counted from below.
    pub ciphertexts: BTreeMap<usize, usize>,
    /// How many bytes the KEM output and the sealed secret of a node's last ciphertext have, nodes counted from below.
    pub sizes: BTreeMap<usize, (usize, usize)>,
}

/// What to write in a commit; what is not said is honest.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Around it.
    pub framing: Framing,
    /// Its list of proposals.
    pub proposals: Vec<Listed>,
    /// What the tree follows, if that is not the list.
    pub applied: Option<Vec<(Sender, Proposal)>>,
    /// Its path.
    pub path: Option<PathDraft>,
    /// The leaf that the path is of, if it is not the sender's.
    pub place: Option<u32>,
}

impl Draft {
    /// An empty commit by a sender, with a path.
    pub fn by(sender: Sender) -> Self {
        let path = Some(PathDraft::default());
        Self { framing: Framing::by(sender), proposals: Vec::new(), applied: None, path, place: None }
    }

    /// With a further proposal by value.
    #[must_use]
    pub fn with(mut self, proposal: Proposal) -> Self {
        self.proposals.push(Listed::Value(proposal));
        self
    }

    /// With a further proposal by reference.
    #[must_use]
    pub fn referring_to(mut self, message: &ProposalMessage) -> Self {
        self.proposals.push(message.into());
        self
    }

    /// Without a path.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.path = None;
        self
    }

    /// With a leaf that differs.
    #[must_use]
    pub fn with_leaf(mut self, leaf: LeafDraft) -> Self {
        self.path.get_or_insert_default().leaf = leaf;
        self
    }
}

impl Forge {
    /// A member commits nothing but its own new keys.
    pub fn draft_update(&self, leaf: u32) -> Draft {
        Draft::by(Sender::Member(leaf))
    }

    /// A member adds these, without a path.
    pub fn draft_add(&self, leaf: u32, key_packages: &[KeyPackage]) -> Draft {
        let adds = key_packages.iter().cloned().map(Proposal::Add);
        adds.fold(self.draft_update(leaf), Draft::with).without_path()
    }

    /// A member removes these.
    pub fn draft_remove(&self, leaf: u32, removed: &[u32]) -> Draft {
        removed.iter().copied().map(Proposal::Remove).fold(self.draft_update(leaf), Draft::with)
    }

    /// A member replaces the group's extensions.
    pub fn draft_extensions(&self, leaf: u32, extensions: &[Extension]) -> Draft {
        self.draft_update(leaf).with(Proposal::Extensions(extensions.to_vec()))
    }

    /// A member commits what others have proposed.
    pub fn draft_references(&self, leaf: u32, proposals: &[&ProposalMessage]) -> Draft {
        proposals.iter().copied().fold(self.draft_update(leaf), Draft::referring_to)
    }

    /// Somebody comes in from outside, and takes these leaves out.
    pub fn draft_external(&self, identity: &str, removed: &[u32]) -> Result<Draft> {
        let leaf = LeafDraft { credential: Some(Credential::basic(identity)), ..LeafDraft::default() };
        let enter = Proposal::ExternalInit(self.suite.hpke_key(&self.dice)?);
        let draft = Draft::by(Sender::NewMemberCommit).with_leaf(leaf).with(enter);
        Ok(removed.iter().copied().map(Proposal::Remove).fold(draft, Draft::with))
    }

    /// A member comes in again, with its old signature key, and takes its old leaf out.
    pub fn draft_resync(&self, leaf: u32) -> Result<Draft> {
        let mut draft = self.draft_external("", &[leaf])?;
        let changes = LeafDraft {
            credential: Some(self.leaf(leaf)?.credential.clone()),
            key: Some(self.key_of(leaf)?.clone()),
            ..LeafDraft::default()
        };
        draft.path.get_or_insert_default().leaf = changes;
        Ok(draft)
    }

    /// An Update of a member's leaf, which is to be proposed by that member.
    pub fn update_of(&self, index: u32, draft: &LeafDraft) -> Result<Proposal> {
        let mut leaf = self.member(index)?;
        leaf.node.source = Source::Update;
        leaf.node.encryption_key = self.suite.hpke_key(&self.dice)?;
        Ok(Proposal::Update(draft.on(&leaf, &self.state.group_id, index)?))
    }
}
