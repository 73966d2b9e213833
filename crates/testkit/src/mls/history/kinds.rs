//! What a step contains, read from the commit as a member processed it and from the tree before and after: not from
//! what was meant to happen.

use openmls::prelude::{Proposal, ProposalOrRefType, QueuedProposal, Sender, StagedCommit};

use super::shape::Shape;

/// Something that a commit does, or that the tree has after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An Add that the committer makes in the commit.
    AddByValue,
    /// An Add that a member proposed.
    AddByReference,
    /// An Add that an external sender proposed.
    AddByExternalSender,
    /// An Add that the newcomer proposed.
    AddOfOneself,
    /// An Add of a KeyPackage that is marked as last resort.
    AddOfLastResort,
    /// More than one Add in a commit.
    SeveralAdds,
    /// Adds in a commit that leaves the committer's keys alone.
    AddsWithoutPath,
    /// Adds in a commit with a path.
    AddsWithPath,
    /// A Remove that the committer makes in the commit.
    RemoveByValue,
    /// A Remove that a member proposed.
    RemoveByReference,
    /// A Remove that an external sender proposed.
    RemoveByExternalSender,
    /// More than one member leaves by a commit.
    SeveralRemoves,
    /// Some leave and some come by one commit.
    AddAndRemove,
    /// An Update of another member than the committer.
    UpdateByReference,
    /// Such an Update that brings another signature key.
    UpdateWithNewKey,
    /// A commit without a proposal.
    PathAlone,
    /// A leaf stays its owner's and has another signature key.
    NewSignatureKey,
    /// Somebody comes in by an external commit.
    ExternalJoin,
    /// A member comes back by an external commit, which removes its old leaf.
    Resync,
    /// A member leaves by a SelfRemove that another commits.
    SelfRemove,
    /// A SelfRemove that an external commit carries.
    SelfRemoveInExternalCommit,
    /// New extensions of the context that the committer makes in the commit.
    ContextByValue,
    /// New extensions of the context that a member proposed.
    ContextByReference,
    /// New extensions of the context that an external sender proposed.
    ContextByExternalSender,
    /// A proposal was heard that the commit does not refer to.
    ProposalLeftOut,
    /// The tree grows to twice its width, or more.
    WiderTree,
    /// The tree shrinks to half its width, or less.
    NarrowerTree,
    /// The tree is a single leaf.
    TreeOfOneLeaf,
    /// A leaf is blank.
    BlankLeaf,
    /// Some parents are blank, and some are not.
    BlankParent,
    /// No parent is blank, and there is more than one.
    NoBlankParent,
    /// A parent lists unmerged leaves.
    UnmergedLeaf,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 32] = [
        Self::AddByValue,
        Self::AddByReference,
        Self::AddByExternalSender,
        Self::AddOfOneself,
        Self::AddOfLastResort,
        Self::SeveralAdds,
        Self::AddsWithoutPath,
        Self::AddsWithPath,
        Self::RemoveByValue,
        Self::RemoveByReference,
        Self::RemoveByExternalSender,
        Self::SeveralRemoves,
        Self::AddAndRemove,
        Self::UpdateByReference,
        Self::UpdateWithNewKey,
        Self::PathAlone,
        Self::NewSignatureKey,
        Self::ExternalJoin,
        Self::Resync,
        Self::SelfRemove,
        Self::SelfRemoveInExternalCommit,
        Self::ContextByValue,
        Self::ContextByReference,
        Self::ContextByExternalSender,
        Self::ProposalLeftOut,
        Self::WiderTree,
        Self::NarrowerTree,
        Self::TreeOfOneLeaf,
        Self::BlankLeaf,
        Self::BlankParent,
        Self::NoBlankParent,
        Self::UnmergedLeaf,
    ];

    /// What a commit to a tree carries, where `heard` proposals waited for it.
    pub(super) fn of_commit(commit: &StagedCommit, before: &Shape, heard: usize) -> Vec<Self> {
        let proposals: Vec<_> = commit.queued_proposals().collect();
        let external = proposals.iter().any(|queued| matches!(queued.proposal(), Proposal::ExternalInit(_)));
        let mut kinds: Vec<_> =
            proposals.iter().filter_map(|queued| Self::of_proposal(queued, external)).collect();
        let by_reference = proposals.iter().filter(|queued| is_reference(queued)).count();
        let adds = commit.add_proposals().count();
        let self_removes =
            proposals.iter().filter(|queued| matches!(queued.proposal(), Proposal::SelfRemove));
        let removes = if external { 0 } else { commit.remove_proposals().count() };
        let leaves = self_removes.count() + removes;
        let last_resort = commit.add_proposals().any(|add| add.add_proposal().key_package().last_resort());
        let new_key = commit.update_proposals().any(|update| match update.sender() {
            Sender::Member(leaf) => before.leaves.get(&leaf.u32()).is_some_and(|(_, key)| {
                update.update_proposal().leaf_node().signature_key().as_slice() != key.as_slice()
            }),
            _ => false,
        });
        let path = commit.update_path_leaf_node().is_some();
        let mut also = |kind, holds: bool| kinds.extend(holds.then_some(kind));
        also(Self::AddOfLastResort, last_resort);
        also(Self::SeveralAdds, adds > 1);
        also(Self::AddsWithoutPath, adds > 0 && !path);
        also(Self::AddsWithPath, adds > 0 && path);
        also(Self::SeveralRemoves, leaves > 1);
        also(Self::AddAndRemove, adds > 0 && leaves > 0);
        also(Self::UpdateWithNewKey, new_key);
        also(Self::PathAlone, proposals.is_empty());
        also(Self::ProposalLeftOut, heard > by_reference);
        if external && !kinds.contains(&Self::Resync) {
            kinds.push(Self::ExternalJoin);
        }
        kinds
    }

    /// What a proposal in a commit is.
    fn of_proposal(queued: &QueuedProposal, external: bool) -> Option<Self> {
        Some(match (queued.proposal(), queued.sender(), is_reference(queued)) {
            (Proposal::Add(_), _, false) => Self::AddByValue,
            (Proposal::Add(_), Sender::External(_), true) => Self::AddByExternalSender,
            (Proposal::Add(_), Sender::NewMemberProposal, true) => Self::AddOfOneself,
            (Proposal::Add(_), _, true) => Self::AddByReference,
            (Proposal::Remove(_), Sender::NewMemberCommit, _) => Self::Resync,
            (Proposal::Remove(_), _, false) => Self::RemoveByValue,
            (Proposal::Remove(_), Sender::External(_), true) => Self::RemoveByExternalSender,
            (Proposal::Remove(_), _, true) => Self::RemoveByReference,
            (Proposal::Update(_), _, _) => Self::UpdateByReference,
            (Proposal::GroupContextExtensions(_), _, false) => Self::ContextByValue,
            (Proposal::GroupContextExtensions(_), Sender::External(_), true) => Self::ContextByExternalSender,
            (Proposal::GroupContextExtensions(_), _, true) => Self::ContextByReference,
            (Proposal::SelfRemove, _, _) if external => Self::SelfRemoveInExternalCommit,
            (Proposal::SelfRemove, _, _) => Self::SelfRemove,
            _ => return None,
        })
    }

    /// What became of the tree.
    pub(super) fn of_tree(before: &Shape, after: &Shape) -> Vec<Self> {
        let mut kinds = Vec::new();
        let mut also = |kind, holds: bool| kinds.extend(holds.then_some(kind));
        let new_key = |(leaf, (identity, key)): (&u32, &(Vec<u8>, Vec<u8>))| {
            before.leaves.get(leaf).is_some_and(|(was, old)| was == identity && old != key)
        };
        also(Self::NewSignatureKey, after.leaves.iter().any(new_key));
        also(Self::WiderTree, after.width > before.width);
        also(Self::NarrowerTree, after.width < before.width);
        also(Self::TreeOfOneLeaf, after.width == 1);
        also(Self::BlankLeaf, after.blank_leaves > 0);
        also(Self::BlankParent, after.blank_parents > 0 && after.full_parents > 0);
        also(Self::NoBlankParent, after.blank_parents == 0 && after.width > 2);
        also(Self::UnmergedLeaf, after.parents_with_unmerged > 0);
        kinds
    }
}

fn is_reference(queued: &QueuedProposal) -> bool {
    queued.proposal_or_ref_type() == ProposalOrRefType::Reference
}
