//! GroupInfos, to begin with.

use anyhow::Result;

use super::{Kind, Meaning, Said, Story, UNKNOWN};
use crate::forge::{Extension, GroupInfoDraft};

impl Story<'_> {
    /// Somebody is given the group, to follow it from here on.
    pub(super) fn say_import(&mut self) -> Result<Said> {
        let signer = self.member();
        let mut draft = GroupInfoDraft::by(signer);
        let inside = self.choices.rarely(2);
        let mut forge = self.forge.clone();
        let mut lies = Vec::new();
        let (mut tree, mut is_there) = (None, true);
        for _ in 0..self.lies() {
            lies.push(match self.choices.below(24) {
                0 => {
                    is_there = false;
                    "GroupInfo: without its tree"
                }
                1..=8 => self.lie_in_info(&mut draft, signer)?,
                9..=11 => {
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
        draft.with_tree = inside && is_there;
        let message = forge.group_info(&draft)?;
        let tree = (!inside && is_there).then_some(tree);
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
}
