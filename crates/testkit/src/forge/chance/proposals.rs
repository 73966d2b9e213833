//! Proposals that are sent by themselves.

use anyhow::Result;

use super::{Kind, Meaning, REINIT, Said, Story, UNKNOWN};
use crate::forge::{
    Extension, Framing, LeafDraft, Proposal, ProposalDraft, ProposalMessage, PskId, SELF_REMOVE, Sender,
    SigningKey,
};

impl Story<'_> {
    /// Somebody proposes.
    pub(super) fn say_proposal(&mut self) -> Result<Said> {
        let (sender, proposal, word) = self.honest_proposal()?;
        let mut does = vec![word];
        does.push(match sender {
            Sender::Member(_) => "by a member",
            Sender::External(_) => "by an external sender",
            Sender::NewMemberProposal | Sender::NewMemberCommit => "by somebody new",
        });
        let mut key = self.key_for(sender, &proposal)?;
        let mut draft = ProposalDraft { framing: Framing::by(sender), proposal };
        self.dress(&mut draft.framing);
        let same = |pending: &ProposalMessage| {
            pending.sender == sender && pending.proposal.number() == draft.proposal.number()
        };
        if self.pending.iter().any(same) {
            // Nothing else need tell it from the one that waits.
            draft.framing.authenticated_data = self.forge.bytes(9);
        }
        let mut lies = Vec::new();
        for _ in 0..self.lies() {
            lies.push(match self.choices.below(8) {
                0..=2 => self.lie_in_framing(&mut draft.framing, &key)?,
                3 => {
                    let (sender, proposal, word) = match self.leaving() {
                        Some(sender) => (sender, Proposal::SelfRemove, "a second SelfRemove"),
                        None => (self.some_sender(), draft.proposal, "by somebody who may not, perhaps"),
                    };
                    key = self.key_for(sender, &proposal)?;
                    (draft.framing.sender, draft.proposal) = (sender, proposal);
                    word
                }
                _ => {
                    let (proposal, word) = self.false_content(draft.framing.sender)?;
                    key = self.key_for(draft.framing.sender, &proposal)?;
                    draft.proposal = proposal;
                    word
                }
            });
        }
        draft.framing.signer.get_or_insert(key);
        let proposal = self.forge.proposal(&draft)?;
        let message = proposal.message.clone();
        let meaning = Meaning::Proposal(Box::new(proposal));
        Ok(Said { kind: Kind::Proposal, does, lies, message, tree: None, meaning })
    }

    /// The key that honestly signs, or any where none does.
    fn key_for(&mut self, sender: Sender, proposal: &Proposal) -> Result<SigningKey> {
        let known = match (sender, proposal) {
            (Sender::Member(leaf), _) => self.forge.key_of(leaf),
            (Sender::External(place), _) => self.forge.external_key(place),
            (_, Proposal::Add(key_package)) => Ok(&key_package.leaf.key),
            (_, _) => return self.forge.new_key(),
        };
        match known {
            Ok(key) => Ok(key.clone()),
            Err(_) => self.forge.new_key(),
        }
    }

    fn honest_proposal(&mut self) -> Result<(Sender, Proposal, &'static str)> {
        let member = self.member();
        let has_senders = self.forge.external_key(0).is_ok()
            && self.forge.extensions().iter().any(|extension| extension.kind == 5);
        let outside = if has_senders { Sender::External(0) } else { Sender::Member(member) };
        let inside = Sender::Member(member);
        let another = self.another(Some(member));
        Ok(match self.choices.below(18) {
            0 | 1 => (inside, self.honest_add()?, "Add"),
            2 => (outside, self.honest_add()?, "Add"),
            3 => (Sender::NewMemberProposal, self.honest_add()?, "Add"),
            4..=6 => (inside, self.forge.update_of(member, &LeafDraft::default())?, "Update"),
            7 | 8 => (inside, Proposal::Remove(another), "Remove"),
            9 => (outside, Proposal::Remove(another), "Remove"),
            10 => (inside, self.honest_psk(), "PreSharedKey"),
            11 => {
                let sender = if self.choices.rarely(2) { outside } else { inside };
                (sender, Proposal::Extensions(self.honest_extensions()), "GroupContextExtensions")
            }
            12 | 13 if self.may_leave(inside) => (inside, Proposal::SelfRemove, "SelfRemove"),
            14 => match self.choices.below(3) {
                0 => (inside, self.honest_reinit(), REINIT),
                1 => (outside, self.honest_reinit(), REINIT),
                _ => (outside, self.honest_psk(), "PreSharedKey"),
            },
            _ => {
                let (proposal, word) = self.honest_unknown();
                (inside, proposal, word)
            }
        })
    }

    /// Somebody who has proposed to remove itself.
    fn leaving(&self) -> Option<Sender> {
        let mut waiting = self.pending.iter();
        waiting.find(|pending| matches!(pending.proposal, Proposal::SelfRemove)).map(|pending| pending.sender)
    }

    /// Whether a member may propose to remove itself: once in an epoch, where all know that.
    fn may_leave(&self, member: Sender) -> bool {
        let leaves = |pending: &ProposalMessage| {
            pending.sender == member && matches!(pending.proposal, Proposal::SelfRemove)
        };
        self.all_list(SELF_REMOVE) && !self.pending.iter().any(leaves)
    }

    /// A proposal with something wrong, by itself; and what it is.
    fn false_content(&mut self, sender: Sender) -> Result<(Proposal, &'static str)> {
        Ok(match (self.choices.below(8), sender) {
            (0..=2, Sender::Member(own)) if self.forge.leaf(own).is_ok() => {
                let mut leaf = self.honest_leaf();
                let word = self.lie_in_leaf(&mut leaf, Some(own))?;
                (self.forge.update_of(own, &leaf)?, word)
            }
            (3, _) => {
                let other = self.member();
                (self.forge.update_of(other, &LeafDraft::default())?, "an Update of some leaf")
            }
            (5, Sender::Member(_)) => (Proposal::SelfRemove, "a SelfRemove, whoever knows it"),
            (4, _) => (Proposal::ExternalInit(self.forge.new_hpke_key()?), "an ExternalInit by itself"),
            _ => self.odd_content()?,
        })
    }

    /// A proposal with something wrong, in a list or by itself; and what it is.
    pub(super) fn odd_content(&mut self) -> Result<(Proposal, &'static str)> {
        Ok(match self.choices.below(13) {
            0..=3 => {
                let (package, word) = self.false_package()?;
                (Proposal::Add(package), word)
            }
            4..=6 => {
                let (extensions, word) = self.odd_extensions();
                (Proposal::Extensions(extensions), word)
            }
            7 | 8 => self.odd_psk(),
            9 => self.odd_reinit(),
            10 => (Proposal::Remove(self.nobody()), "a Remove of nobody"),
            11 => (Proposal::Raw(UNKNOWN, vec![3, 7, 7, 7]), "an unknown proposal, whoever knows it"),
            _ => {
                let body = self.choices.one_of(&[1, 7][..], &[&[], &[9, 7]]);
                let kind = self.choices.one_of(UNKNOWN, &[0x0a0a, 0, 8, 9, 11, 0xffff, 1, 2, 3, 4, 6]);
                (Proposal::Raw(kind, body.to_vec()), "a proposal of some type with some body")
            }
        })
    }

    fn odd_psk(&mut self) -> (Proposal, &'static str) {
        let hash = self.forge.suite().hash_length();
        let nonce = self.forge.bytes(hash);
        let group_id = self.forge.group_id().to_vec();
        let epoch = self.forge.epoch();
        let resumption =
            |usage| PskId::Resumption { usage, group_id: group_id.clone(), epoch, nonce: nonce.clone() };
        let (id, word) = match self.choices.below(7) {
            0 => {
                let length = self.mislength(hash);
                let nonce = self.forge.bytes(length);
                (PskId::External { id: b"key".to_vec(), nonce }, "PreSharedKey: a nonce of another length")
            }
            1 => (PskId::External { id: Vec::new(), nonce: nonce.clone() }, "PreSharedKey: without a name"),
            2 => (resumption(2), "PreSharedKey: of a ReInit"),
            3 => (resumption(3), "PreSharedKey: of a branch"),
            4 => (resumption(0), "PreSharedKey: of usage 0"),
            5 => (
                PskId::Resumption {
                    usage: 1,
                    group_id: b"!other:a.org".to_vec(),
                    epoch,
                    nonce: nonce.clone(),
                },
                "PreSharedKey: of another group",
            ),
            _ => (
                PskId::Resumption {
                    usage: 1,
                    group_id: group_id.clone(),
                    epoch: epoch.wrapping_add(1),
                    nonce: nonce.clone(),
                },
                "PreSharedKey: of an epoch to come",
            ),
        };
        (Proposal::PreSharedKey(id), word)
    }

    fn odd_reinit(&mut self) -> (Proposal, &'static str) {
        let mut group_id = b"!next:a.org".to_vec();
        let (mut version, mut suite, mut extensions) = (1, self.forge.suite().number(), Vec::new());
        let unknown = || Extension::new(UNKNOWN, Vec::new());
        let word = match self.choices.below(7) {
            0 => {
                version = 0;
                "ReInit: to version 0"
            }
            1 => {
                version = 2;
                "ReInit: to version 2"
            }
            2 => {
                suite = 0x1a1a;
                "ReInit: to a suite that nobody knows"
            }
            3 => {
                extensions = vec![unknown(), unknown()];
                "ReInit: one extension twice"
            }
            4 => {
                extensions = vec![Extension::new(2, vec![0])];
                "ReInit: with a ratchet_tree"
            }
            5 => {
                extensions = vec![Extension::new(3, vec![9])];
                "ReInit: with required_capabilities that cannot be read"
            }
            _ => {
                group_id = self.forge.group_id().to_vec();
                "ReInit: to the same group"
            }
        };
        (Proposal::ReInit { group_id, version, suite, extensions }, word)
    }
}
