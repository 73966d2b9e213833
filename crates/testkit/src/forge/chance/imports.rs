//! GroupInfos and trees, to begin with.

use anyhow::Result;

use super::{Kind, Meaning, Said, Story, UNKNOWN};
use crate::forge::{At, Extension, Forge, GroupInfoDraft, LeafDraft, ParentDraft, Source};

impl Story<'_> {
    /// Somebody is given the group, to follow it from here on.
    pub(super) fn say_import(&mut self) -> Result<Said> {
        let signer = self.member();
        let mut draft = GroupInfoDraft::by(signer);
        let inside = self.choices.rarely(2);
        draft.with_tree = inside;
        let mut forge = self.forge.clone();
        let mut lies = Vec::new();
        let mut tree = None;
        for _ in 0..self.lies() {
            lies.push(match self.choices.below(8) {
                0..=2 => self.lie_in_info(&mut draft, signer)?,
                3 => {
                    let mut bytes = forge.ratchet_tree();
                    let word = self.lie_in_tree_bytes(&mut bytes);
                    tree = Some(bytes);
                    word
                }
                _ => self.lie_in_tree(&mut forge)?,
            });
        }
        if draft.key.is_none() {
            draft.key = Some(self.forge.key_of(signer)?.clone());
        }
        let tree = tree.unwrap_or_else(|| forge.ratchet_tree());
        draft.tree = Some(tree.clone());
        let message = forge.group_info(&draft)?;
        let tree = (!inside).then_some(tree);
        let does = vec![if inside { "a GroupInfo with its tree" } else { "a GroupInfo and its tree" }];
        Ok(Said { kind: Kind::Import, does, lies, message, tree, meaning: Meaning::Nothing })
    }

    fn lie_in_info(&mut self, draft: &mut GroupInfoDraft, signer: u32) -> Result<&'static str> {
        let hash = self.forge.suite().hash_length();
        Ok(match self.choices.below(18) {
            0 => {
                draft.signer = self.another(Some(signer));
                "GroupInfo: names another signer"
            }
            1 => {
                draft.signer = self.nobody();
                "GroupInfo: names nobody as its signer"
            }
            2 => {
                draft.key = Some(self.others_key(Some(signer))?);
                "GroupInfo: signed by another"
            }
            3 => {
                draft.signature = self.bad_seal().0;
                "GroupInfo: another signature"
            }
            4..=9 => self.lie_in_context(draft),
            10 | 11 => {
                let (extensions, word) = self.odd_extensions();
                draft.group_extensions = Some(extensions);
                word
            }
            12 | 13 => {
                let length = self.mislength(hash);
                draft.confirmation_tag = Some(self.forge.bytes(length));
                "GroupInfo: a tag of another length"
            }
            14 => {
                draft.with_external_pub = false;
                "GroupInfo: without external_pub"
            }
            15 | 16 => {
                let (extension, word) = self.odd_info_extension();
                draft.extensions = extension;
                word
            }
            _ => {
                draft.trailing = vec![0];
                "GroupInfo: a byte after the end"
            }
        })
    }

    fn lie_in_context(&mut self, draft: &mut GroupInfoDraft) -> &'static str {
        let hash = self.forge.suite().hash_length();
        match self.choices.below(6) {
            0 => {
                draft.version = Some(self.choices.one_of(2, &[0]));
                "GroupInfo: of another version"
            }
            1 => {
                let own = self.forge.suite().number();
                let other = if own == 1 { 3 } else { 1 };
                draft.suite = Some(self.choices.one_of(other, &[0, 2, 4, 6, 0x1a1a]));
                "GroupInfo: of another suite"
            }
            2 => {
                draft.group_id = Some(self.choices.one_of(&b"!other:a.org"[..], &[b""]).to_vec());
                "GroupInfo: of another group"
            }
            3 => {
                let epoch = self.forge.epoch();
                draft.epoch = Some(self.off(epoch));
                "GroupInfo: of another epoch"
            }
            4 => {
                let length = self.choices.one_of(hash, &[0, hash - 1, hash + 1]);
                draft.tree_hash = Some(self.forge.bytes(length));
                "GroupInfo: another tree hash"
            }
            _ => {
                let length = self.choices.one_of(hash, &[0, hash - 1, hash + 1]);
                draft.confirmed_transcript_hash = Some(self.forge.bytes(length));
                "GroupInfo: another transcript hash"
            }
        }
    }

    fn odd_info_extension(&mut self) -> (Vec<Extension>, &'static str) {
        match self.choices.below(5) {
            0 => (vec![Extension::new(UNKNOWN, vec![1])], "GroupInfo: an unknown extension"),
            1 => (vec![Extension::external_pub(&self.forge.bytes(32))], "GroupInfo: external_pub twice"),
            2 => (vec![Extension::new(1, vec![1, b'i'])], "GroupInfo: an application_id"),
            3 => (vec![Extension::required_capabilities(&[], &[], &[])], "GroupInfo: required_capabilities"),
            _ => (vec![Extension::external_senders(&[])], "GroupInfo: external_senders"),
        }
    }

    fn lie_in_tree_bytes(&mut self, tree: &mut Vec<u8>) -> &'static str {
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

    /// Changes the tree before it is hashed and signed.
    fn lie_in_tree(&mut self, forge: &mut Forge) -> Result<&'static str> {
        let parents: Vec<At> = forge.parents().map(|(at, _)| at).collect();
        let levels = forge.width().trailing_zeros() as usize;
        let level = 1 + self.choices.below(levels.max(1));
        let anywhere = At { level, place: self.choices.below(forge.width() >> level) };
        let drawn = self.choices.below(parents.len());
        let standing = parents.get(drawn).copied().unwrap_or(anywhere);
        let leaf = self.member();
        let mut change = ParentDraft::default();
        let (at, word) = match self.choices.below(14) {
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
            7 => {
                forge.blank(At::leaf(leaf));
                return Ok("tree: a leaf made blank");
            }
            8 => {
                change.encryption_key = Some(forge.new_hpke_key()?);
                (anywhere, "tree: another parent, or one more")
            }
            9 | 10 => {
                let (key, _) = self.bad_hpke_key(None)?;
                change.encryption_key = Some(key);
                (standing, "tree: a parent with a key of others or none")
            }
            11 => {
                let hash = forge.suite().hash_length();
                let length = self.choices.one_of(hash, &[0, hash - 1]);
                change.parent_hash = Some(forge.bytes(length));
                (standing, "tree: a parent with another parent hash")
            }
            _ => {
                let nobody = self.nobody();
                let others = [&[][..], &[leaf], &[leaf, leaf], &[nobody], &[1, 0], &[0, 1]];
                let drawn = self.choices.below(others.len());
                change.unmerged = others.get(drawn).map(|leaves| leaves.to_vec());
                (standing, "tree: a parent with other unmerged leaves")
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
        let packaged =
            |(_, leaf): &(u32, &crate::forge::LeafNode)| matches!(leaf.source, Source::KeyPackage(..));
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
    crate::forge::wire::Wire::new().vector(&[inside, more].concat()).done()
}
