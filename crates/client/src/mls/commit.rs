//! Commits of this device: made and held back, or made to join from outside.

use std::collections::BTreeSet;

use openmls::messages::group_info::{GroupInfo, VerifiableGroupInfo};
use openmls::prelude::{
    CredentialWithKey, KeyPackage, LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsMessageOut,
    OpenMlsProvider as _, Proposal, QueuedProposal, RatchetTreeIn, Sender, Welcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::{capabilities, encode, join_config};

/// A commit and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// The commit, in an `MLSMessage`.
    pub(crate) message: Vec<u8>,
    /// The Welcome, where somebody is added: bare, without a tree.
    pub(crate) welcome: Option<Vec<u8>>,
    /// The GroupInfo of the epoch that the commit makes: bare, without a tree, with `external_pub`.
    pub(crate) group_info: Vec<u8>,
}

/// What a commit does besides what is proposed already.
#[derive(Debug, Default)]
pub(crate) struct Making {
    /// Who is added.
    pub(crate) add: Vec<KeyPackage>,
    /// Whose leaves are removed.
    pub(crate) remove: Vec<LeafNodeIndex>,
    /// Whether the committer's keys are renewed in any case.
    pub(crate) renew: bool,
    /// The commit's authenticated data.
    pub(crate) aad: Vec<u8>,
}

/// Why OpenMLS made no commit, in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MakeError(pub(crate) String);

impl MakeError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Makes a commit that waits in the group. There must be none waiting: OpenMLS would silently replace it.
pub(crate) fn make(
    provider: &OpenMlsRustCrypto,
    signer: &SignatureKeyPair,
    group: &mut MlsGroup,
    making: Making,
) -> Result<Made, MakeError> {
    let going = settle_removals(provider, group)?;
    let remove = making.remove.into_iter().filter(|leaf| !going.contains(&leaf.u32())).collect::<Vec<_>>();
    group.set_aad(making.aad);
    let bundle = group
        .commit_builder()
        .propose_adds(making.add)
        .propose_removals(remove)
        .force_self_update(making.renew)
        .load_psks(provider.storage())
        .map_err(MakeError::of)?
        .create_group_info(true)
        .use_ratchet_tree_extension(false)
        .build(provider.rand(), provider.crypto(), signer, |_| true)
        .map_err(MakeError::of)?
        .stage_commit(provider)
        .map_err(MakeError::of)?;
    Made::of(bundle.into_contents())
}

/// Leaves that go by what is proposed already.
pub(crate) fn going(group: &MlsGroup) -> BTreeSet<u32> {
    let going = |queued: &QueuedProposal| match (queued.proposal(), queued.sender()) {
        (Proposal::SelfRemove, Sender::Member(leaf)) => Some(leaf.u32()),
        (Proposal::Remove(remove), _) => Some(remove.removed().u32()),
        _ => None,
    };
    group.pending_proposals().filter_map(going).collect()
}

/// Leaves that go by what is proposed already. Of two proposals for one leaf only its own SelfRemove stays: OpenMLS
/// does not commit both.
fn settle_removals(provider: &OpenMlsRustCrypto, group: &mut MlsGroup) -> Result<BTreeSet<u32>, MakeError> {
    let mut seen = BTreeSet::new();
    for queued in group.pending_proposals() {
        if let (Proposal::SelfRemove, Sender::Member(leaf)) = (queued.proposal(), queued.sender()) {
            seen.insert(leaf.u32());
        }
    }
    let mut second = Vec::new();
    for queued in group.pending_proposals() {
        if let Proposal::Remove(remove) = queued.proposal()
            && !seen.insert(remove.removed().u32())
        {
            second.push(queued.proposal_reference_ref().clone());
        }
    }
    for reference in second {
        group.remove_pending_proposal(provider.storage(), &reference).map_err(MakeError::of)?;
    }
    Ok(seen)
}

/// Joins, or comes back, by an external commit. OpenMLS is in the new epoch at once: use a copy of the store.
pub(crate) fn make_external(
    provider: &OpenMlsRustCrypto,
    signer: &SignatureKeyPair,
    credential: CredentialWithKey,
    group_info: VerifiableGroupInfo,
    tree: RatchetTreeIn,
) -> Result<(MlsGroup, Made), MakeError> {
    let leaf = LeafNodeParameters::builder().with_capabilities(capabilities()).build();
    let (group, bundle) = MlsGroup::external_commit_builder()
        .with_config(join_config())
        .with_ratchet_tree(tree)
        .skip_lifetime_validation()
        .build_group(provider, group_info, credential)
        .map_err(MakeError::of)?
        .leaf_node_parameters(leaf)
        .load_psks(provider.storage())
        .map_err(MakeError::of)?
        .create_group_info(true)
        .use_ratchet_tree_extension(false)
        .build(provider.rand(), provider.crypto(), signer, |_| true)
        .map_err(MakeError::of)?
        .finalize(provider)
        .map_err(MakeError::of)?;
    Ok((group, Made::of(bundle.into_contents())?))
}

impl Made {
    fn of(
        (message, welcome, group_info): (MlsMessageOut, Option<Welcome>, Option<GroupInfo>),
    ) -> Result<Self, MakeError> {
        let group_info = group_info.ok_or(MakeError("there is no GroupInfo".into()))?;
        Ok(Self {
            message: message.to_bytes().map_err(MakeError::of)?,
            welcome: welcome.as_ref().map(encode).transpose().map_err(MakeError)?,
            group_info: encode(&group_info).map_err(MakeError)?,
        })
    }
}
