//! The list of proposals of a commit, taken together (RFC 9420 §12.2).

use std::collections::{HashMap, HashSet};

use super::{Group, Pending};
use crate::{
    envelope::Sender,
    policy::Policy,
    refusal::{Place, Refusal, Rule},
    rules::{Demands, ProposalContext},
    tree::Moves,
    wire::{KeyPackage, LeafNode, Listed, Proposal, ReInit},
};

/// A commit's proposals, each found valid by itself and all of them together, as far as the tree before tells.
pub(super) struct ProposalList<'m> {
    /// Leaves with what replaces them, and the place in the list that says so.
    pub(super) updates: Vec<(u32, Box<LeafNode<'m>>, Place)>,
    pub(super) removes: Vec<u32>,
    /// The leaf that the last Remove names: of an external commit, the joiner's own old one.
    pub(super) removed: Option<u32>,
    pub(super) adds: Vec<Added<'m>>,
    /// What is to succeed the group.
    pub(super) reinit: Option<ReInit<'m>>,
    pub(super) needs_path: bool,
    /// Places in [`Group::pending`].
    pub(super) consumed: HashSet<usize>,
}

/// An Add of a list.
pub(super) struct Added<'m> {
    pub(super) key_package: Box<KeyPackage<'m>>,
    pub(super) place: Place,
    /// Whether its signatures were verified when it came as a proposal.
    pub(super) verified: bool,
}

/// One entry, its reference resolved.
pub(super) struct Entry<'m> {
    pub(super) proposal: Proposal<'m>,
    sender: Sender,
    by_value: bool,
    pub(super) place: Place,
}

impl Group {
    /// Judges the list by what the group will ask of its leaves after the commit (§12.3).
    pub(super) fn judge_list<'m>(
        &self,
        (entries, consumed): (Vec<Entry<'m>>, HashSet<usize>),
        committer: Sender,
        demands: &Demands<'_>,
    ) -> Result<ProposalList<'m>, Refusal> {
        let needs_path =
            entries.is_empty() || entries.iter().any(|entry| needs_path(&entry.proposal, demands));
        let mut list = ProposalList {
            updates: Vec::new(),
            removes: Vec::new(),
            removed: None,
            adds: Vec::new(),
            reinit: None,
            needs_path,
            consumed,
        };
        match committer {
            Sender::NewMemberCommit => check_external_list(&entries, demands)?,
            _ => check_member_list(&entries, committer)?,
        }
        self.check_entries(entries, demands, &mut list)?;
        Ok(list)
    }

    /// The entries, their references resolved, and the places of those that are referred to.
    pub(super) fn resolve<'m>(
        &'m self,
        listed: Vec<Listed<'m>>,
        committer: Sender,
        policy: &dyn Policy,
    ) -> Result<(Vec<Entry<'m>>, HashSet<usize>), Refusal> {
        if listed.len() > policy.bounds().proposals {
            return Err(Rule::TooLarge.whole());
        }
        let waiting: HashMap<&[u8], usize> =
            if listed.iter().any(|listed| matches!(listed, Listed::Reference(_))) {
                self.pending.iter().map(Pending::reference).zip(0..).collect()
            } else {
                HashMap::new()
            };
        let mut consumed = HashSet::new();
        let mut entries = Vec::with_capacity(listed.len());
        for (index, listed) in listed.into_iter().enumerate() {
            let place = Place::Proposal(index);
            entries.push(match listed {
                Listed::Value(proposal) => Entry { proposal, sender: committer, by_value: true, place },
                Listed::Reference(reference) => {
                    let unknown = Rule::UnknownReference.at(place);
                    let index = *waiting.get(reference).ok_or(unknown)?;
                    if !consumed.insert(index) {
                        return Err(Rule::ReferenceTwice.at(place));
                    }
                    let pending = self.pending.get(index).ok_or(unknown)?;
                    let proposal = pending.proposal(policy)?;
                    Entry { proposal, sender: pending.sender(), by_value: false, place }
                }
            });
        }
        Ok((entries, consumed))
    }

    /// Judges each proposal by itself, and those together that change one leaf or name one key.
    fn check_entries<'m>(
        &self,
        entries: Vec<Entry<'m>>,
        demands: &Demands<'_>,
        list: &mut ProposalList<'m>,
    ) -> Result<(), Refusal> {
        let context = ProposalContext { tree: &self.tree, epoch: self.epoch, demands };
        let mut beyond: Vec<(u16, Place)> = Vec::new();
        let mut leaves = HashSet::new();
        let mut keys = HashSet::new();
        let mut origin = None;
        for entry in entries {
            let place = entry.place;
            context.check(&entry.proposal, entry.sender, place)?;
            beyond.push((entry.proposal.kind(), place));
            let changed = match (&entry.proposal, entry.sender) {
                (Proposal::Remove(leaf), _) => Some(*leaf),
                (Proposal::Update(_) | Proposal::SelfRemove, Sender::Member(leaf)) => Some(leaf),
                _ => None,
            };
            if changed.is_some_and(|leaf| !leaves.insert(leaf)) {
                return Err(Rule::LeafTwice.at(place));
            }
            if let Proposal::Remove(leaf) = entry.proposal {
                list.removed = Some(leaf);
            }
            match (entry.proposal, changed) {
                (Proposal::Update(leaf), Some(index)) => list.updates.push((index, leaf, place)),
                (Proposal::Remove(_) | Proposal::SelfRemove, Some(leaf)) => list.removes.push(leaf),
                (Proposal::Add(key_package), _) => {
                    list.adds.push(Added { key_package, place, verified: !entry.by_value });
                }
                (Proposal::PreSharedKey(key), _) if !keys.insert((key.usage, key.id, key.nonce)) => {
                    return Err(Rule::PskTwice.at(place));
                }
                (Proposal::PreSharedKey(key), _) if key.says_origin() && origin.replace(place).is_some() => {
                    return Err(Rule::PskOrigins.at(place));
                }
                (Proposal::ReInit(reinit), _) => list.reinit = Some(reinit),
                _ => {}
            }
        }
        let mut gone = Moves::default();
        list.removes.iter().filter_map(|leaf| self.tree.leaf(*leaf)).for_each(|leaf| gone.goes(&leaf));
        match beyond.into_iter().find(|(kind, _)| !context.is_supported(*kind, &gone)) {
            Some((_, place)) => Err(Rule::ProposalUnsupported.at(place)),
            None => Ok(()),
        }
    }
}

/// What a member's commit may not have (§12.2).
fn check_member_list(entries: &[Entry<'_>], committer: Sender) -> Result<(), Refusal> {
    for entry in entries {
        let own = entry.sender == committer;
        let rule = match &entry.proposal {
            Proposal::Update(_) if own => Rule::UpdateByCommitter,
            Proposal::SelfRemove if entry.by_value => Rule::SelfRemoveByValue,
            Proposal::SelfRemove if own => Rule::RemoveCommitter,
            Proposal::Remove(leaf) if Sender::Member(*leaf) == committer => Rule::RemoveCommitter,
            Proposal::ExternalInit(_) => Rule::ExternalInitInside,
            Proposal::ReInit(_) if entries.len() > 1 => Rule::ReInitNotAlone,
            _ => continue,
        };
        return Err(rule.at(entry.place));
    }
    Ok(())
}

/// What an external commit may have and must have (§12.2, §12.4.3.2).
fn check_external_list(entries: &[Entry<'_>], demands: &Demands<'_>) -> Result<(), Refusal> {
    let mut inits = 0;
    let mut removes = 0;
    for entry in entries {
        let rule = match &entry.proposal {
            Proposal::SelfRemove if entry.by_value => Rule::SelfRemoveByValue,
            Proposal::SelfRemove => continue,
            _ if !entry.by_value => Rule::ExternalReference,
            Proposal::ExternalInit(_) if inits == 0 => {
                inits += 1;
                continue;
            }
            Proposal::ExternalInit(_) => Rule::ExternalInitCount,
            Proposal::Remove(_) if removes == 0 => {
                removes += 1;
                continue;
            }
            Proposal::Remove(_) => Rule::ExternalRemoves,
            Proposal::PreSharedKey(_) => continue,
            Proposal::AppDataUpdate(update) if may_come_from_outside(update.component, demands) => continue,
            Proposal::AppEphemeral(said) if may_come_from_outside(said.component, demands) => continue,
            Proposal::Other { kind, .. }
                if demands.policy.declared(*kind).is_some_and(|declared| declared.in_external_commit) =>
            {
                continue;
            }
            _ => Rule::ExternalProposal,
        };
        return Err(rule.at(entry.place));
    }
    if inits == 0 { Err(Rule::ExternalInitCount.whole()) } else { Ok(()) }
}

/// Whether something for a component may stand in an external commit. Whether the component is known is judged later.
fn may_come_from_outside(component: u16, demands: &Demands<'_>) -> bool {
    demands.policy.component(component).is_none_or(|known| known.in_external_commit())
}

/// Whether a commit with this proposal needs a path (§12.4).
fn needs_path(proposal: &Proposal<'_>, demands: &Demands<'_>) -> bool {
    match proposal {
        Proposal::Add(_)
        | Proposal::PreSharedKey(_)
        | Proposal::ReInit(_)
        | Proposal::AppDataUpdate(_)
        | Proposal::AppEphemeral(_) => false,
        Proposal::Other { kind, .. } => {
            demands.policy.declared(*kind).is_none_or(|declared| declared.needs_path)
        }
        Proposal::Update(_)
        | Proposal::Remove(_)
        | Proposal::ExternalInit(_)
        | Proposal::GroupContextExtensions(_)
        | Proposal::SelfRemove => true,
    }
}
