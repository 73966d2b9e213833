//! Lies around a message's content.

use anyhow::Result;

use super::Story;
use crate::forge::{Framing, Sender, SigningKey, Tag};

impl Story<'_> {
    /// What the application may add, and nobody minds.
    pub(super) fn dress(&mut self, framing: &mut Framing) {
        if self.choices.rarely(8) {
            framing.authenticated_data = self.forge.bytes(9);
        }
    }

    /// Puts a lie around a message that a key honestly signs, and says which.
    pub(super) fn lie_in_framing(&mut self, framing: &mut Framing, key: &SigningKey) -> Result<&'static str> {
        let own = match framing.sender {
            Sender::Member(leaf) => Some(leaf),
            _ => None,
        };
        Ok(match self.choices.below(16) {
            0 => {
                framing.group_id =
                    Some(self.choices.one_of(&b"!other:a.org"[..], &[b"", b"!forged:a.or"]).to_vec());
                "another group"
            }
            1 | 2 => {
                let epoch = self.forge.epoch();
                framing.epoch = Some(self.off(epoch));
                "another epoch"
            }
            3 | 4 => {
                framing.sender = self.other_sender(framing.sender);
                framing.signer.get_or_insert_with(|| key.clone());
                "another sender"
            }
            5 => {
                framing.content_type = Some(self.choices.one_of(1, &[0, 2, 3, 4, 255]));
                "another type of content"
            }
            6 => {
                framing.version = self.choices.one_of(2, &[0, 0xffff]);
                "another version"
            }
            7 => {
                framing.wire_format = self.choices.one_of(2, &[0, 3, 4, 5, 6, 0xffff]);
                "another wire format"
            }
            8 | 9 => {
                framing.signer = Some(match self.choices.below(2) {
                    0 => self.others_key(own)?,
                    _ => self.forge.new_key()?,
                });
                "signed by another"
            }
            10 => {
                let (seal, word) = self.bad_seal();
                framing.signature = seal;
                word
            }
            11 | 12 => {
                let (tag, word) = self.odd_tag();
                framing.confirmation_tag = tag;
                match word {
                    "absent" => "confirmation tag: absent",
                    "made up" => "confirmation tag: made up",
                    _ => "confirmation tag: of another length",
                }
            }
            13 | 14 => {
                let (tag, word) = self.odd_tag();
                framing.membership_tag = tag;
                match word {
                    "absent" => "membership tag: absent",
                    "made up" => "membership tag: made up",
                    _ => "membership tag: of another length",
                }
            }
            _ => {
                let length = 1 + self.choices.below(3);
                framing.trailing = vec![0; length];
                "bytes after the end"
            }
        })
    }

    fn odd_tag(&mut self) -> (Tag, &'static str) {
        let hash = self.forge.suite().hash_length();
        match self.choices.below(4) {
            0 => (Tag::Absent, "absent"),
            1 => (Tag::Bytes(vec![7; hash]), "made up"),
            _ => {
                let length = self.mislength(hash);
                (Tag::Bytes(vec![7; length]), "of another length")
            }
        }
    }

    fn other_sender(&mut self, right: Sender) -> Sender {
        let own = match right {
            Sender::Member(leaf) => Some(leaf),
            _ => None,
        };
        match self.choices.below(7) {
            0 | 1 => Sender::Member(self.another(own)),
            2 | 3 => Sender::Member(self.nobody()),
            4 => Sender::External(self.choices.one_of(0, &[1, 2, u32::MAX])),
            5 if right != Sender::NewMemberProposal => Sender::NewMemberProposal,
            _ => Sender::NewMemberCommit,
        }
    }
}
