//! What a commit does to the tree, as little as says it all: the record that a delta keeps, and from which the same tree
//! is made again.

use crate::{
    reader::{Broken, Reader},
    suite::Hash,
    tree::{Draft, Tree},
    wire::{LeafNode, ReInit},
    writer::Write,
};

/// Changes to a tree, in the order in which RFC 9420 §12.3 applies them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TreeChanges {
    /// Leaves that Updates replace.
    pub(super) updates: Vec<(u32, Box<[u8]>)>,
    /// Leaves that go.
    pub(super) removes: Vec<u32>,
    /// Leaves that come, in order; where each goes follows from the tree.
    pub(super) adds: Vec<Box<[u8]>>,
    /// The committer's path.
    pub(super) path: Option<PathChange>,
}

/// A path without what only members can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathChange {
    /// The committer's leaf's index; nothing for a joiner, whose place follows from the tree.
    pub(super) committer: Option<u32>,
    /// The committer's new leaf.
    pub(super) leaf: Box<[u8]>,
    /// The new keys of its filtered direct path.
    pub(super) keys: Vec<Box<[u8]>>,
}

impl TreeChanges {
    /// Whether each leaf that it names holds a member, and the committer's stays. Changes that were judged are so; those
    /// that were read from bytes need not be.
    pub(super) fn is_of(&self, tree: &Tree) -> bool {
        let committer = self.path.as_ref().and_then(|path| path.committer);
        let updated = self.updates.iter().map(|(leaf, _)| *leaf);
        let mut named = updated.chain(self.removes.iter().copied()).chain(committer);
        let stays = committer.is_none_or(|committer| !self.removes.contains(&committer));
        stays && named.all(|leaf| tree.leaf(leaf).is_some())
    }

    /// Carries out Updates and Removes.
    pub(super) fn start(&self, draft: &mut Draft<'_>) {
        for (leaf, node) in &self.updates {
            draft.update(*leaf, node.clone());
        }
        for leaf in &self.removes {
            draft.remove(*leaf);
        }
        draft.truncate();
    }

    /// Carries out everything behind that. A path must have been judged: keys that the tree has no place for are left out.
    pub(super) fn finish(&self, draft: &mut Draft<'_>) {
        for node in &self.adds {
            draft.add(node.clone());
        }
        if let Some(path) = &self.path {
            let committer = path.committer.unwrap_or_else(|| draft.claim());
            let steps = draft.filtered_path(committer);
            let keys: Vec<&[u8]> = path.keys.iter().map(AsRef::as_ref).collect();
            draft.renew_path(committer, &steps, &keys);
            draft.place(committer, path.leaf.clone());
        }
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put_vector(|inside| {
            for (leaf, node) in &self.updates {
                inside.put_u32(*leaf);
                inside.put(node);
            }
        });
        bytes.put_vector(|inside| self.removes.iter().for_each(|leaf| inside.put_u32(*leaf)));
        bytes.put_vector(|inside| self.adds.iter().for_each(|node| inside.put(node)));
        bytes.put_u8(u8::from(self.path.is_some()));
        if let Some(path) = &self.path {
            bytes.put_u8(u8::from(path.committer.is_some()));
            if let Some(committer) = path.committer {
                bytes.put_u32(committer);
            }
            bytes.put(&path.leaf);
            bytes.put_vector(|inside| path.keys.iter().for_each(|key| inside.put_opaque(key)));
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut read = Self::default();
        let mut updates = reader.vector("the updates are cut short")?;
        while !updates.rest().is_empty() {
            let leaf = updates.u32("an update's leaf is cut short")?;
            read.updates.push((leaf, LeafNode::read(&mut updates)?.raw.into()));
        }
        let mut removes = reader.vector("the removals are cut short")?;
        while !removes.rest().is_empty() {
            read.removes.push(removes.u32("a removal is cut short")?);
        }
        let mut adds = reader.vector("the added leaves are cut short")?;
        while !adds.rest().is_empty() {
            read.adds.push(LeafNode::read(&mut adds)?.raw.into());
        }
        if reader.present("the path is missing")? {
            let by_member = reader.present("the committer is missing")?;
            let committer = by_member.then(|| reader.u32("the committer is cut short")).transpose()?;
            let leaf = LeafNode::read(reader)?.raw.into();
            let mut inside = reader.vector("the path's keys are cut short")?;
            let mut keys = Vec::new();
            while !inside.rest().is_empty() {
                keys.push(inside.opaque("a path's key is cut short")?.into());
            }
            read.path = Some(PathChange { committer, leaf, keys });
        }
        Ok(read)
    }
}

/// Writes hashes one after the other.
pub(super) fn put_hashes(bytes: &mut Vec<u8>, hashes: &[Hash]) {
    bytes.put_vector(|inside| hashes.iter().for_each(|hash| inside.put_opaque(hash.as_ref())));
}

/// Reads what [`put_hashes`] wrote.
pub(super) fn read_hashes(reader: &mut Reader<'_>) -> Result<Vec<Hash>, Broken> {
    let mut inside = reader.vector("a list of hashes is cut short")?;
    let mut hashes = Vec::new();
    while !inside.rest().is_empty() {
        hashes.push(Hash::of(inside.opaque("a hash is cut short")?));
    }
    Ok(hashes)
}

/// Writes what is to succeed a group, if something is.
pub(super) fn put_successor(bytes: &mut Vec<u8>, successor: Option<&[u8]>) {
    bytes.put_u8(u8::from(successor.is_some()));
    bytes.put(successor.unwrap_or_default());
}

/// Reads what [`put_successor`] wrote.
pub(super) fn read_successor(reader: &mut Reader<'_>) -> Result<Option<Box<[u8]>>, Broken> {
    let present = reader.present("the end of the group is missing")?;
    Ok(present.then(|| ReInit::read(reader)).transpose()?.map(|reinit| reinit.raw.into()))
}
