//! Damage to bytes after everything was signed, and messages that are nothing new.

use anyhow::Result;

use super::{Kind, Meaning, Said, Story};
use crate::forge::{Framing, GroupInfoDraft, Proposal, ProposalDraft, Sender};

/// The lie in a message that was said before.
pub(super) const AGAIN: &str = "said before";

impl Story<'_> {
    /// Damages a message, or the tree beside it, and says so.
    pub(super) fn damage(&mut self, said: &mut Said) {
        said.meaning = Meaning::Nothing;
        let mut tree = said.tree.take();
        let word = match &mut tree {
            Some(tree) if self.choices.rarely(2) => self.damage_bytes(tree),
            _ => self.damage_bytes(&mut said.message),
        };
        said.tree = tree;
        said.lies.push(word);
        // Spliced at its beginning it is the earlier message.
        if let Some(earlier) = self.heard.iter().find(|earlier| earlier.message == said.message) {
            *said = earlier.clone();
            said.lies.push(AGAIN);
        }
    }

    /// Damages bytes, and says how.
    pub(super) fn damage_bytes(&mut self, bytes: &mut Vec<u8>) -> &'static str {
        let at = self.place_in(bytes.len());
        let end = (at + 1 + self.choices.below(8)).min(bytes.len());
        match self.choices.below(8) {
            0 | 1 => {
                let bit = 1 << self.choices.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bit;
                }
                "damaged: a bit turned"
            }
            2 => {
                bytes.truncate(at);
                "damaged: cut short"
            }
            3 => {
                bytes.drain(at.min(end)..end);
                "damaged: bytes taken out"
            }
            4 => {
                let byte = self.choices.byte();
                bytes.splice(at..at, vec![byte; 1 + end.saturating_sub(at)]);
                "damaged: bytes put in"
            }
            5 => {
                let drawn = self.choices.below(self.heard.len());
                let other = self.heard.get(drawn).map(|said| said.message.clone()).unwrap_or_default();
                let from = at.min(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
                "damaged: spliced with an earlier message"
            }
            6 => {
                let length = self.choices.one_of(0x40, &[0, 0x3f, 0x7f, 0x80, 0xbf, 0xc0, 0xff, 1]);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = length;
                }
                "damaged: a byte that may be a length"
            }
            _ => {
                let step = self.choices.one_of(1, &[255, 2, 254]);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = byte.wrapping_add(step);
                }
                "damaged: a byte one more or less"
            }
        }
    }

    /// A place in so many bytes: at either end more often than in the middle, where nearly everything is keys.
    fn place_in(&mut self, length: usize) -> usize {
        let near = self.choices.below(48);
        match self.choices.below(3) {
            0 => self.choices.below(length),
            1 => near.min(length.saturating_sub(1)),
            _ => length.saturating_sub(1 + near * 4),
        }
    }

    /// Something that was said before, as it was.
    fn say_again(&mut self) -> Option<Said> {
        let drawn = self.choices.below(self.heard.len());
        let mut said = self.heard.get(drawn)?.clone();
        said.lies.push(AGAIN);
        Some(said)
    }

    /// Something that is no news: said before, sealed, of another kind, or noise.
    pub(super) fn say_something_else(&mut self) -> Result<Said> {
        if self.choices.rarely(2)
            && let Some(said) = self.say_again()
        {
            return Ok(said);
        }
        let (message, word) = match self.choices.below(6) {
            0 | 1 => {
                let kind = self.choices.one_of(3, &[1, 2, 0]);
                (self.forge.private_message(kind, b"", 100), "a PrivateMessage")
            }
            2 => {
                let draft = self.honest_package();
                (self.forge.key_package(&draft)?.message(), "a KeyPackage")
            }
            3 => {
                let draft = GroupInfoDraft::by(self.member());
                (self.forge.group_info(&draft)?, "a GroupInfo as a message")
            }
            4 => {
                let length = self.choices.below(64);
                (self.forge.bytes(length), "noise")
            }
            _ => {
                let mut framing = Framing::by(Sender::Member(self.member()));
                framing.content_type = Some(1);
                // Read as application data these bytes are a vector of two.
                let proposal = Proposal::Raw(0x0201, vec![7]);
                let draft = ProposalDraft { framing, proposal };
                (self.forge.proposal(&draft)?.message, "an application message in the open")
            }
        };
        let (does, lies) = (vec![word], vec!["neither a commit nor a proposal"]);
        Ok(Said { kind: Kind::Other, does, lies, message, tree: None, meaning: Meaning::Nothing })
    }
}
