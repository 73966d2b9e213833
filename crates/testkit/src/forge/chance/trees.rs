//! Lies in trees, before and after they are hashed and signed.

use anyhow::Result;

use super::Story;
use crate::forge::wire::Wire;
use crate::forge::{At, Forge, LeafDraft, LeafNode, ParentDraft, Source};

impl Story<'_> {
    /// Puts a lie into the bytes of a tree, and says which.
    pub(super) fn lie_in_tree_bytes(&mut self, tree: &mut Vec<u8>) -> &'static str {
        match self.choices.below(4) {
            0 => {
                tree.push(0);
                "tree: a byte after the end"
            }
            1 => {
                *tree = lengthened(tree, &[0]);
                "tree: a blank node at the end"
            }
            2 => {
                *tree = vec![0];
                "tree: empty"
            }
            _ => {
                self.damage_bytes(tree);
                "tree: damaged"
            }
        }
    }

    /// Changes a tree before it is hashed and signed, and says how.
    pub(super) fn lie_in_tree(&mut self, forge: &mut Forge) -> Result<&'static str> {
        let parents: Vec<At> = forge.parents().map(|(at, _)| at).collect();
        let levels = forge.width().trailing_zeros() as usize;
        let level = 1 + self.choices.below(levels.max(1));
        let anywhere = At { level, place: self.choices.below(forge.width() >> level) };
        let drawn = self.choices.below(parents.len());
        let standing = parents.get(drawn).copied().unwrap_or(anywhere);
        let leaf = self.member();
        // Of the highest parent that stands: nobody's parent hash covers it yet.
        let unmerged = forge.parents().last().and_then(|(_, parent)| parent.unmerged.first().copied());
        let mut change = ParentDraft::default();
        let (at, word) = match self.choices.below(20) {
            0..=3 => {
                let mut draft = LeafDraft::default();
                let word = self.lie_in_leaf(&mut draft, Some(leaf))?;
                if forge.leaf(leaf).is_ok() {
                    forge.edit_leaf(leaf, &draft)?;
                }
                return Ok(word);
            }
            4 | 5 => return self.another_lifetime(forge),
            6 => {
                forge.blank(standing);
                return Ok("tree: a parent made blank");
            }
            7 | 8 => {
                forge.blank(At::leaf(unmerged.unwrap_or(leaf)));
                return Ok("tree: a leaf made blank");
            }
            9 => {
                change.encryption_key = Some(forge.new_hpke_key()?);
                (anywhere, "tree: another parent, or one more")
            }
            10 | 11 => {
                let (key, _) = self.bad_hpke_key(None)?;
                change.encryption_key = Some(key);
                (standing, "tree: a parent with a key of others or none")
            }
            12 => {
                let hash = forge.suite().hash_length();
                let length = self.choices.one_of(hash, &[0, hash - 1]);
                change.parent_hash = Some(forge.bytes(length));
                (standing, "tree: a parent with another parent hash")
            }
            13 | 14 if unmerged.is_some_and(|leaf| forge.leaf(leaf).is_ok()) => {
                let encryption_key = forge.parents().next().map(|(_, parent)| parent.encryption_key.clone());
                let draft = LeafDraft { encryption_key, ..LeafDraft::default() };
                forge.edit_leaf(unmerged.unwrap_or(leaf), &draft)?;
                return Ok("tree: an unmerged leaf with the HPKE key of a parent");
            }
            _ => {
                let nobody = self.nobody();
                let blank =
                    (0..forge.width() as u32).find(|place| forge.leaf(*place).is_err()).unwrap_or(nobody);
                let highest = parents.last().copied().filter(|_| self.choices.rarely(2));
                let stands =
                    forge.parents().last().map(|(_, parent)| parent.unmerged.clone()).unwrap_or_default();
                let fewer = stands.get(1..).unwrap_or_default();
                let others =
                    [&[][..], fewer, fewer, &[leaf], &[leaf, leaf], &[nobody], &[blank], &[1, 0], &[0, 1]];
                let drawn = self.choices.below(others.len());
                change.unmerged = others.get(drawn).map(|leaves| leaves.to_vec());
                (highest.unwrap_or(standing), "tree: a parent with other unmerged leaves")
            }
        };
        if levels > 0 && (change.encryption_key.is_some() || parents.contains(&at)) {
            forge.edit_parent(at, &change)?;
        }
        Ok(word)
    }

    /// Gives a leaf that came from a KeyPackage another lifetime.
    fn another_lifetime(&mut self, forge: &mut Forge) -> Result<&'static str> {
        let (lifetime, word) = self.bad_lifetime();
        let packaged = |(_, leaf): &(u32, &LeafNode)| matches!(leaf.source, Source::KeyPackage(..));
        let found = forge.members().find(packaged).map(|(leaf, _)| leaf);
        if let Some(leaf) = found {
            let source = Some(Source::KeyPackage(lifetime.0, lifetime.1));
            forge.edit_leaf(leaf, &LeafDraft { source, ..LeafDraft::default() })?;
        }
        Ok(word)
    }
}

/// A vector with something behind its last entry.
fn lengthened(vector: &[u8], more: &[u8]) -> Vec<u8> {
    let head = match vector.first() {
        Some(0..64) => 1,
        Some(64..128) => 2,
        _ => 4,
    };
    let inside = vector.get(head..).unwrap_or_default();
    Wire::new().vector(&[inside, more].concat()).done()
}
