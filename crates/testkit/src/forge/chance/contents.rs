//! What honest members propose.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Story, UNKNOWN};
use crate::forge::{Proposal, PskId, SELF_REMOVE, Sender};

/// Groups are kept about as large as this.
const MANY: usize = 14;

impl Story<'_> {
    pub(super) fn size(&self) -> usize {
        self.forge.members().count()
    }

    pub(super) fn honest_add(&mut self) -> Result<Proposal> {
        let draft = self.honest_package();
        Ok(Proposal::Add(self.forge.key_package(&draft)?))
    }

    /// An Add, or where there are many members a Remove of one that is none of these; and what it is.
    pub(super) fn coming(&mut self, spared: &mut BTreeSet<u32>) -> Result<(Proposal, &'static str)> {
        if self.size() >= MANY
            && let Some(leaf) = self.unless(spared)
        {
            spared.insert(leaf);
            return Ok((Proposal::Remove(leaf), "Remove"));
        }
        Ok((self.honest_add()?, "Add"))
    }

    /// A Remove of a leaf that is none of these, or where there are few members an Add; and what it is.
    pub(super) fn going(&mut self, spared: &mut BTreeSet<u32>) -> Result<(Proposal, &'static str)> {
        match self.unless(spared) {
            Some(leaf) if self.size() > 2 => {
                spared.insert(leaf);
                Ok((Proposal::Remove(leaf), "Remove"))
            }
            _ => Ok((self.honest_add()?, "Add")),
        }
    }

    /// A member that is none of these.
    fn unless(&mut self, spared: &BTreeSet<u32>) -> Option<u32> {
        let members: Vec<u32> =
            self.forge.members().map(|(leaf, _)| leaf).filter(|leaf| !spared.contains(leaf)).collect();
        let drawn = self.choices.below(members.len());
        members.get(drawn).copied()
    }

    pub(super) fn honest_psk(&mut self) -> Proposal {
        let nonce = self.forge.bytes(self.forge.suite().hash_length());
        let epoch = self.forge.epoch().saturating_sub(1);
        Proposal::PreSharedKey(match self.choices.below(2) {
            0 => PskId::External { id: b"key".to_vec(), nonce },
            _ => PskId::Resumption { usage: 1, group_id: self.forge.group_id().to_vec(), epoch, nonce },
        })
    }

    pub(super) fn honest_reinit(&mut self) -> Proposal {
        let suite = self.forge.suite().number();
        Proposal::ReInit { group_id: b"!next:a.org".to_vec(), version: 1, suite, extensions: Vec::new() }
    }

    /// Whether every member lists a type of proposal.
    pub(super) fn all_list(&self, kind: u16) -> bool {
        self.forge.members().all(|(_, leaf)| leaf.capabilities.proposals.contains(&kind))
    }

    /// A proposal of the unknown type, where members know it; and what it is.
    pub(super) fn honest_unknown(&mut self) -> (Proposal, &'static str) {
        if self.all_list(UNKNOWN) {
            return (Proposal::Raw(UNKNOWN, vec![3, 7, 7, 7]), "an unknown proposal");
        }
        (self.honest_psk(), "PreSharedKey")
    }

    /// The places of proposals that wait and that a member could commit together; those that it has touched are added to
    /// the leaves `touched`.
    pub(super) fn compatible(&mut self, touched: &mut BTreeSet<u32>, extensions: &mut bool) -> Vec<usize> {
        let mut taken = Vec::new();
        for place in 0..self.pending.len() {
            let Some(pending) = self.pending.get(place) else { continue };
            let leaf = match (&pending.proposal, pending.sender) {
                (Proposal::Remove(leaf), _) => Some(*leaf),
                (Proposal::Update(_) | Proposal::SelfRemove, Sender::Member(leaf)) => Some(leaf),
                _ => None,
            };
            let fits = match &pending.proposal {
                Proposal::ReInit { .. } => false,
                Proposal::Extensions(_) => !*extensions,
                Proposal::SelfRemove => self.all_list(SELF_REMOVE),
                _ => true,
            };
            let is_extensions = matches!(pending.proposal, Proposal::Extensions(_));
            if !fits || leaf.is_some_and(|leaf| touched.contains(&leaf)) || self.choices.rarely(4) {
                continue;
            }
            touched.extend(leaf);
            *extensions |= is_extensions;
            taken.push(place);
        }
        taken
    }
}
