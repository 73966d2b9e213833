//! Commits (§12.4), from a draft to the bytes and to the group that follows from them.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::Forge;
use super::app_data::change;
use super::draft::{Draft, Listed, PathDraft};
use super::keys::SigningKey;
use super::leaf::{Leaf, Source};
use super::proposals::{Proposal, Sender};
use super::state::State;
use super::tree::At;
use super::wire::Wire;

/// A commit, ready to be sent and to be played.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The bytes of the `MLSMessage`.
    pub message: Vec<u8>,
    /// The leaf of whoever committed.
    pub committer: u32,
    /// Leaves of those who were added, in order.
    pub added: Vec<u32>,
    base: (u64, Vec<u8>),
    after: State,
}

impl Commit {
    /// The tree hash after it.
    pub fn tree_hash(&self) -> &[u8] {
        &self.after.tree_hash
    }

    /// The confirmed transcript hash after it.
    pub fn confirmed_transcript_hash(&self) -> &[u8] {
        &self.after.confirmed
    }
}

impl Forge {
    /// Makes a commit. It changes nothing here until it is played.
    pub fn commit(&self, draft: &Draft) -> Result<Commit> {
        let sender = draft.framing.sender;
        let mut after = self.state.clone();
        let added = apply(&mut after, draft);
        let committer = match (draft.place, sender) {
            (Some(place), _) => place,
            (None, Sender::Member(leaf)) => leaf,
            (None, _) => after.tree.room(),
        };
        let (path, newcomer) = match &draft.path {
            None => (None, None),
            Some(path) => {
                let honest = self.leaf_before(draft, committer)?;
                let (bytes, key) = self.path(path, committer, honest, &added, &mut after)?;
                (Some(bytes), Some(key))
            }
        };
        let content = Wire::new().list(&draft.proposals, write_listed);
        let content = content.optional(path, |wire, path| wire.raw(&path)).done();
        let signer = match (sender, &draft.framing.signer, newcomer) {
            (_, Some(signer), _) => signer.clone(),
            (Sender::Member(leaf), None, _) => self.key_of(leaf)?.clone(),
            (_, None, Some(key)) => key,
            (_, None, None) => self.new_key()?,
        };
        let framed = self.frame(&draft.framing, 3, &content, &signer)?;
        let transcript = Wire::new().raw(&self.state.interim).raw(&framed.confirmed).done();
        after.confirmed = self.suite.hash(&transcript).as_ref().to_vec();
        after.confirmation_tag = framed.confirmation_tag;
        after.epoch = self.state.epoch.wrapping_add(1);
        after.hash_tree();
        after.hash_interim(self.suite);
        let base = (self.state.epoch, self.state.interim.clone());
        Ok(Commit { message: framed.message, committer, added, base, after })
    }

    /// The group goes on as the commit says.
    pub fn play(&mut self, commit: &Commit) -> Result<()> {
        let here = (self.state.epoch, self.state.interim.clone());
        ensure!(commit.base == here, "this commit was made for another state of the group");
        self.state = commit.after.clone();
        Ok(())
    }

    /// The leaf that a path renews. Where the path's place was chosen the sender may be nobody: then it is whoever is there.
    fn leaf_before(&self, draft: &Draft, committer: u32) -> Result<Leaf> {
        match draft.framing.sender {
            Sender::Member(leaf) if draft.place.is_none() => self.member(leaf),
            Sender::Member(leaf) => {
                let either = self.member(leaf).or_else(|_| self.member(committer));
                either.or_else(|_| self.stranger("@new:a.org/D"))
            }
            _ => self.stranger("@new:a.org/D"),
        }
    }

    /// Writes a path, puts it in the tree, and gives the key that the leaf's holder has from now on.
    fn path(
        &self,
        draft: &PathDraft,
        committer: u32,
        mut honest: Leaf,
        added: &[u32],
        after: &mut State,
    ) -> Result<(Vec<u8>, SigningKey)> {
        let filtered = after.tree.filtered_path(committer);
        let length = draft.length.unwrap_or(filtered.len());
        let keys = (0..length).map(|node| match draft.keys.get(&node) {
            Some(key) => Ok(key.clone()),
            None => self.suite.hpke_key(&self.dice),
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let added: BTreeSet<At> = added.iter().map(|leaf| At::leaf(*leaf)).collect();
        let readers =
            |copath: At| after.tree.resolution(copath).into_iter().filter(|at| !added.contains(at)).count();
        let mut nodes = Vec::with_capacity(length);
        for (node, key) in keys.iter().enumerate() {
            let honest = filtered.get(node).map_or(1, |(_, copath)| readers(*copath));
            nodes.push((key, draft.ciphertexts.get(&node).copied().unwrap_or(honest)));
        }
        let parent_hash = after.tree.set_path(committer, &keys);
        honest.node.source = Source::Commit(parent_hash);
        honest.node.encryption_key = self.suite.hpke_key(&self.dice)?;
        let leaf = draft.leaf.on(&honest, &self.state.group_id, committer)?;
        let wire = self.write_nodes(leaf.node.write(Wire::new()), &nodes, draft)?;
        let Leaf { node, key } = leaf;
        after.tree.set_leaf(committer, node);
        after.keys.insert(committer, key.clone());
        Ok((wire.done(), key))
    }

    fn write_nodes(&self, wire: Wire, nodes: &[(&Vec<u8>, usize)], draft: &PathDraft) -> Result<Wire> {
        // One for all: only those who could decrypt would notice.
        let kem_output = self.suite.hpke_key(&self.dice)?;
        let sealed = self.suite.hash_length() + 16;
        Ok(wire.list(nodes.iter().enumerate(), |wire, (node, (key, ciphertexts))| {
            let honest = |wire: Wire, _| wire.vector(&kem_output).vector(&self.dice.bytes(sealed));
            match draft.sizes.get(&node) {
                None => wire.vector(key).list(0..*ciphertexts, honest),
                Some((kem_output, sealed)) => wire.vector(key).list(0..*ciphertexts, |wire, each| {
                    if each + 1 < *ciphertexts {
                        return honest(wire, each);
                    }
                    wire.vector(&self.dice.bytes(*kem_output)).vector(&self.dice.bytes(*sealed))
                }),
            }
        }))
    }
}

fn write_listed(wire: Wire, listed: &Listed) -> Wire {
    match listed {
        Listed::Value(proposal) => proposal.write(wire.u8(1)),
        Listed::Bytes(bytes) => wire.u8(1).raw(bytes),
        Listed::Reference(hash, _) => wire.u8(2).vector(hash),
    }
}

/// Applies the proposals in the order of §12.3; those that make no sense do nothing. Gives the leaves that were added.
fn apply(after: &mut State, draft: &Draft) -> Vec<u32> {
    let by_list = || {
        let meant = |listed: &Listed| match listed {
            Listed::Value(proposal) => Some((draft.framing.sender, proposal.clone())),
            Listed::Bytes(_) => None,
            Listed::Reference(_, meaning) => meaning.clone(),
        };
        draft.proposals.iter().filter_map(meant).collect::<Vec<_>>()
    };
    let proposals = draft.applied.clone().unwrap_or_else(by_list);
    for (_, proposal) in &proposals {
        if let Proposal::Extensions(extensions) = proposal {
            after.extensions.clone_from(extensions);
        }
    }
    for (_, proposal) in &proposals {
        if let Proposal::AppDataUpdate(component, update) = proposal {
            change(&mut after.extensions, *component, update.as_deref());
        }
    }
    for (sender, proposal) in &proposals {
        if let (Sender::Member(index), Proposal::Update(leaf)) = (sender, proposal) {
            after.tree.set_leaf(*index, leaf.node.clone());
            after.tree.blank_path(*index);
            after.keys.insert(*index, leaf.key.clone());
        }
    }
    for (sender, proposal) in &proposals {
        let removed = match (sender, proposal) {
            (_, Proposal::Remove(index)) => *index,
            (Sender::Member(index), Proposal::SelfRemove) => *index,
            _ => continue,
        };
        if after.tree.leaf(removed).is_some() {
            after.tree.remove(removed);
            after.keys.remove(&removed);
        }
    }
    after.tree.truncate();
    let mut added = Vec::new();
    for (_, proposal) in &proposals {
        if let Proposal::Add(key_package) = proposal {
            let index = after.tree.add(key_package.leaf.node.clone());
            after.keys.insert(index, key_package.leaf.key.clone());
            added.push(index);
        }
    }
    added
}
