//! Lists of proposals that do not go together.

use anyhow::Result;

use super::{REINIT, Story, UNKNOWN};
use crate::forge::{Credential, Draft, Extension, LeafDraft, Listed, Proposal, ProposalMessage, Sender};

impl Story<'_> {
    /// Puts a lie into the list of a member's commit, and says which.
    pub(super) fn lie_in_list(&mut self, draft: &mut Draft, leaf: u32) -> Result<&'static str> {
        let (proposal, word) = match self.choices.below(23) {
            0 | 1 => return self.say_twice(draft),
            2..=4 => return Ok(self.refer_wrongly(draft, leaf)),
            17 => {
                draft.path = None;
                return Ok("list: without a path");
            }
            5 => {
                draft.applied = Some(Vec::new());
                return Ok("list: the path is for the tree before the proposals");
            }
            6 => (Proposal::Remove(leaf), "list: removes the committer"),
            7 => (Proposal::Remove(self.nobody()), "list: removes nobody"),
            8 => (self.forge.update_of(leaf, &LeafDraft::default())?, "list: the committer's Update"),
            9 => {
                let other = self.another(Some(leaf));
                (self.forge.update_of(other, &LeafDraft::default())?, "list: another's Update by value")
            }
            10 => (Proposal::ExternalInit(self.forge.new_hpke_key()?), "list: an ExternalInit"),
            11 => (Proposal::SelfRemove, "list: a SelfRemove by value"),
            12 => {
                draft.proposals.push(Listed::Value(Proposal::Extensions(self.honest_extensions())));
                (Proposal::Extensions(self.honest_extensions()), "list: GroupContextExtensions twice")
            }
            13 => {
                let other = self.another(Some(leaf));
                draft.proposals.push(Listed::Value(Proposal::Remove(other)));
                (self.honest_reinit(), "list: a ReInit in company")
            }
            14 => {
                let bytes = self.mangled()?;
                draft.proposals.push(Listed::Bytes(bytes));
                return Ok("list: the bytes of a proposal, damaged");
            }
            15 => return Ok(self.ask_too_much(draft, leaf)),
            16 if self.all_list(UNKNOWN) => {
                draft.path = None;
                draft.proposals.clear();
                (self.honest_unknown().0, "list: an unknown proposal without a path")
            }
            18 => return Ok(self.be_alone(draft, leaf)),
            19 => return Ok(self.take_over(draft, leaf)),
            _ => self.odd_content()?,
        };
        if matches!(proposal, Proposal::ReInit { .. }) && self.choices.rarely(2) {
            draft.proposals.clear();
        }
        let at = self.choices.below(draft.proposals.len() + 1);
        draft.proposals.insert(at, Listed::Value(proposal));
        Ok(word)
    }

    /// Sets extensions that only the committer can bear, who may be the only one left.
    fn ask_too_much(&mut self, draft: &mut Draft, leaf: u32) -> &'static str {
        if self.choices.rarely(3) {
            draft.proposals = self.removing_others(leaf);
        }
        let rare = 0xf777;
        let able =
            draft.path.get_or_insert_default().leaf.capabilities.get_or_insert_with(|| self.able.clone());
        able.extensions.push(rare);
        able.proposals.push(rare);
        able.credentials.push(rare);
        let mut all = self.forge.extensions().to_vec();
        all.retain(|extension| extension.kind != 3);
        all.push(match self.choices.below(4) {
            0 => Extension::new(rare, Vec::new()),
            1 => Extension::required_capabilities(&[rare], &[], &[]),
            2 => Extension::required_capabilities(&[], &[rare], &[]),
            _ => Extension::required_capabilities(&[], &[], &[rare]),
        });
        draft.proposals.push(Listed::Value(Proposal::Extensions(all)));
        "list: extensions that the committer alone can bear"
    }

    /// Removes all others, and has a credential that none of them bears.
    fn be_alone(&mut self, draft: &mut Draft, leaf: u32) -> &'static str {
        draft.proposals = self.removing_others(leaf);
        let own = &mut draft.path.get_or_insert_default().leaf;
        own.credential = Some(Credential::Raw(UNKNOWN, vec![2, 7, 7]));
        own.capabilities.get_or_insert_with(|| self.able.clone()).credentials.push(UNKNOWN);
        "list: removes all others, with a credential of an unknown type"
    }

    fn removing_others(&self, leaf: u32) -> Vec<Listed> {
        let others = self.forge.members().map(|(member, _)| member).filter(|member| *member != leaf);
        others.map(|member| Listed::Value(Proposal::Remove(member))).collect()
    }

    /// Removes or updates somebody, and has the key that goes with it in the path.
    fn take_over(&mut self, draft: &mut Draft, leaf: u32) -> &'static str {
        let update = self.pending.iter().find_map(|pending| match (&pending.proposal, pending.sender) {
            (Proposal::Update(_), Sender::Member(other)) if other != leaf => Some((other, pending.into())),
            _ => None,
        });
        let other = self.another(Some(leaf));
        let (gone, listed) = update.unwrap_or((other, Listed::Value(Proposal::Remove(other))));
        draft.proposals = vec![listed];
        let key = self.forge.leaf(gone).map(|node| node.encryption_key.clone());
        draft.path.get_or_insert_default().keys.insert(0, key.unwrap_or_default());
        "path: the key of a leaf that goes"
    }

    /// Lists something twice, and has the tree follow it once or twice.
    fn say_twice(&mut self, draft: &mut Draft) -> Result<&'static str> {
        if draft.proposals.is_empty() {
            let (proposal, _) = self.coming(&mut [0].into())?;
            draft.proposals.push(Listed::Value(proposal));
        }
        if self.choices.rarely(2) {
            let sender = draft.framing.sender;
            let meant = draft.proposals.iter().filter_map(|listed| match listed {
                Listed::Value(proposal) => Some((sender, proposal.clone())),
                Listed::Reference(_, meaning) => meaning.clone(),
                Listed::Bytes(_) => None,
            });
            draft.applied = Some(meant.collect());
        }
        let at = self.choices.below(draft.proposals.len());
        if let Some(again) = draft.proposals.get(at).cloned() {
            draft.proposals.push(again);
        }
        Ok("list: one entry twice")
    }

    fn refer_wrongly(&mut self, draft: &mut Draft, leaf: u32) -> &'static str {
        let hash = self.forge.suite().hash_length();
        let is_own = |pending: &&ProposalMessage| match pending.proposal {
            Proposal::Remove(removed) => removed == leaf,
            _ => pending.sender == Sender::Member(leaf),
        };
        let leaves = |pending: &&ProposalMessage| matches!(pending.proposal, Proposal::SelfRemove);
        let own = self.pending.iter().filter(is_own).max_by_key(leaves);
        let forgotten = self.forgotten.last();
        match (self.choices.below(5), own, forgotten) {
            (0..=2, Some(own), _) => {
                draft.proposals.push(own.into());
                "list: refers to what is about the committer, or by it"
            }
            (0..=2, _, Some(old)) => {
                draft.proposals.push(old.into());
                "list: refers to a proposal of an earlier epoch"
            }
            (3, ..) => {
                let length = self.mislength(hash);
                draft.proposals.push(Listed::Reference(self.forge.bytes(length), None));
                "list: a reference of another length"
            }
            (4, ..) if !self.pending.is_empty() => {
                let at = self.choices.below(self.pending.len());
                draft.proposals.extend(self.pending.get(at).map(Listed::from));
                "list: refers to a proposal more"
            }
            _ => {
                draft.proposals.push(Listed::Reference(self.forge.bytes(hash), None));
                "list: refers to nothing"
            }
        }
    }

    /// The bytes of a proposal with a mistake in them.
    fn mangled(&mut self) -> Result<Vec<u8>> {
        let whole = match self.choices.below(6) {
            0 => self.honest_add()?,
            1 => Proposal::Remove(self.member()),
            2 => self.honest_psk(),
            3 => self.honest_reinit(),
            4 => Proposal::ExternalInit(self.forge.new_hpke_key()?),
            _ => Proposal::Extensions(self.honest_extensions()),
        };
        let mut bytes = whole.to_bytes();
        self.damage_bytes(&mut bytes);
        Ok(bytes)
    }

    /// Puts a lie into the list of an external commit, and says which.
    pub(super) fn lie_in_joining(&mut self, draft: &mut Draft) -> Result<&'static str> {
        let (proposal, word) = match self.choices.below(16) {
            0 | 1 => {
                draft.proposals.retain(|listed| !matches!(listed, Listed::Value(Proposal::ExternalInit(_))));
                return Ok("list: no ExternalInit");
            }
            2 => (Proposal::ExternalInit(self.forge.new_hpke_key()?), "list: a second ExternalInit"),
            3 => {
                let key = self.forge.new_hpke_key()?.len();
                let length = self.mislength(key);
                draft.proposals.retain(|listed| !matches!(listed, Listed::Value(Proposal::ExternalInit(_))));
                (Proposal::ExternalInit(self.forge.bytes(length)), "list: an ExternalInit of another length")
            }
            4..=6 => (Proposal::Remove(self.member()), "list: a Remove more"),
            7 => (Proposal::Remove(self.nobody()), "list: removes nobody"),
            8 => (self.honest_add()?, "list: an Add"),
            9 => (Proposal::Extensions(self.honest_extensions()), "list: GroupContextExtensions"),
            10 => {
                let member = self.member();
                (self.forge.update_of(member, &LeafDraft::default())?, "list: an Update")
            }
            11 => {
                draft.path = None;
                return Ok("list: without a path");
            }
            12 if !self.pending.is_empty() => {
                let at = self.choices.below(self.pending.len());
                draft.proposals.extend(self.pending.get(at).map(Listed::from));
                return Ok("list: refers to a proposal");
            }
            12 => (self.honest_reinit(), REINIT),
            13 if self.all_list(UNKNOWN) => (self.honest_unknown().0, "list: an unknown proposal"),
            _ => self.odd_content()?,
        };
        draft.proposals.push(Listed::Value(proposal));
        Ok(word)
    }

    /// A sender of proposals that waits, other than by honest choice.
    pub(super) fn some_sender(&mut self) -> Sender {
        match self.choices.below(5) {
            0 | 1 => Sender::Member(self.member()),
            2 => Sender::External(self.choices.one_of(0, &[1, 7])),
            3 => Sender::NewMemberProposal,
            _ => Sender::NewMemberCommit,
        }
    }
}
