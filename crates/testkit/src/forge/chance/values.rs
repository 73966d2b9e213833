//! Values that hurt: other members' keys, places where nobody is, numbers at the edge.

use anyhow::Result;

use super::{Story, UNKNOWN};
use crate::forge::{Credential, Seal, SigningKey};

impl Story<'_> {
    /// The leaf of a member.
    pub(super) fn member(&mut self) -> u32 {
        self.another(None)
    }

    /// The leaf of a member, other than one if there is another.
    pub(super) fn another(&mut self, than: Option<u32>) -> u32 {
        let members: Vec<u32> =
            self.forge.members().map(|(leaf, _)| leaf).filter(|leaf| Some(*leaf) != than).collect();
        let drawn = self.choices.below(members.len());
        members.get(drawn).copied().or(than).unwrap_or(0)
    }

    /// A leaf where nobody is: a blank one if there is one, or one beyond the tree.
    pub(super) fn nobody(&mut self) -> u32 {
        let width = self.forge.width() as u32;
        let blank = (0..width).find(|leaf| self.forge.leaf(*leaf).is_err()).unwrap_or(width);
        self.choices.one_of(blank, &[width, width + 1, 2 * width, 0x7fff_ffff, 0x8000_0000, u32::MAX])
    }

    /// A number beside the right one, or at an end.
    pub(super) fn off(&mut self, right: u64) -> u64 {
        let others = [right.wrapping_sub(1), 0, u64::MAX, right.wrapping_add(2), 1 << 63];
        self.choices.one_of(right.wrapping_add(1), &others)
    }

    /// A length beside the right one, or far from it.
    pub(super) fn mislength(&mut self, right: usize) -> usize {
        self.choices.one_of(right + 1, &[right.saturating_sub(1), 0, 1, 2 * right, right + 16])
    }

    /// An HPKE key that somebody has already, or that is none; and which one it is.
    pub(super) fn bad_hpke_key(&mut self, own: Option<u32>) -> Result<(Vec<u8>, &'static str)> {
        let honest = self.forge.new_hpke_key()?;
        let of_leaf = |story: &Self, leaf: u32| match story.forge.leaf(leaf) {
            Ok(leaf) => leaf.encryption_key.clone(),
            Err(_) => Vec::new(),
        };
        let parents = self.forge.parents().map(|(_, parent)| parent.encryption_key.clone());
        let parents: Vec<Vec<u8>> = parents.collect();
        Ok(match self.choices.below(9) {
            0 | 1 => {
                let leaf = self.another(own);
                (of_leaf(self, leaf), "the HPKE key of another leaf")
            }
            2 | 3 if !parents.is_empty() => {
                let drawn = self.choices.below(parents.len());
                (parents.get(drawn).cloned().unwrap_or_default(), "the HPKE key of a parent")
            }
            2..=4 => {
                let leaf = own.unwrap_or(0);
                (of_leaf(self, leaf), "the HPKE key that the leaf had")
            }
            5 => (Vec::new(), "an HPKE key of no bytes"),
            6 => (
                honest.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default(),
                "an HPKE key cut short",
            ),
            7 => ([honest.as_slice(), &[0]].concat(), "an HPKE key with a byte more"),
            _ => (vec![0; honest.len()], "an HPKE key of zeros"),
        })
    }

    /// Bytes where a signature key should be; and what they are.
    pub(super) fn bad_signature_key(&mut self, own: Option<u32>) -> Result<(Vec<u8>, &'static str)> {
        let honest = self.forge.new_key()?.public().to_vec();
        Ok(match self.choices.below(5) {
            0 => {
                let leaf = self.another(own);
                (
                    self.forge.key_of(leaf)?.public().to_vec(),
                    "another member's signature key, which does not sign",
                )
            }
            1 => (Vec::new(), "a signature key of no bytes"),
            2 => (
                honest.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default(),
                "a signature key cut short",
            ),
            3 => ([honest.as_slice(), &[0]].concat(), "a signature key with a byte more"),
            _ => (vec![0; honest.len()], "a signature key of zeros"),
        })
    }

    /// The signature key of somebody else.
    pub(super) fn others_key(&mut self, own: Option<u32>) -> Result<SigningKey> {
        let leaf = self.another(own);
        self.forge.key_of(leaf).cloned()
    }

    /// A credential that is somebody else's, or of an unexpected type; and what it is.
    pub(super) fn other_credential(&mut self, own: Option<u32>) -> Result<(Credential, &'static str)> {
        Ok(match self.choices.below(8) {
            0 | 1 => {
                let leaf = self.another(own);
                (self.forge.leaf(leaf)?.credential.clone(), "another member's credential")
            }
            2 | 3 => (Credential::basic(&self.name()), "a new name"),
            4 => (Credential::basic(""), "a credential without a name"),
            5 => (Credential::X509(Vec::new()), "a chain of no certificates"),
            6 => (Credential::X509(vec![vec![0x30, 0]]), "a certificate that is none"),
            _ => (Credential::Raw(UNKNOWN, vec![2, 7, 7]), "a credential of an unknown type"),
        })
    }

    /// What becomes of a signature; and what that is.
    pub(super) fn bad_seal(&mut self) -> (Seal, &'static str) {
        match self.choices.below(4) {
            0 | 1 => (Seal::Flipped, "a bit of the signature turned"),
            2 => (Seal::Bytes(Vec::new()), "an empty signature"),
            _ => (Seal::Bytes(vec![0; 64]), "a signature of zeros"),
        }
    }
}
