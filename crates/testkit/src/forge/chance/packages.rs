//! KeyPackages, honest and with lies.

use anyhow::Result;

use super::{Story, UNKNOWN};
use crate::forge::{Extension, KeyPackage, KeyPackageDraft, Source};

impl Story<'_> {
    /// A KeyPackage for somebody new.
    pub(super) fn honest_package(&mut self) -> KeyPackageDraft {
        let mut draft = KeyPackageDraft::of(&self.name());
        draft.leaf = self.honest_leaf();
        draft
    }

    /// A KeyPackage for somebody new, with a lie; and which.
    pub(super) fn false_package(&mut self) -> Result<(KeyPackage, &'static str)> {
        let mut draft = self.honest_package();
        let word = self.lie_in_package(&mut draft)?;
        Ok((self.forge.key_package(&draft)?, word))
    }

    fn lie_in_package(&mut self, draft: &mut KeyPackageDraft) -> Result<&'static str> {
        Ok(match self.choices.below(16) {
            0..=5 => self.lie_in_leaf(&mut draft.leaf, None)?,
            6 | 7 => {
                let (lifetime, word) = self.bad_lifetime();
                draft.leaf.source = Some(Source::KeyPackage(lifetime.0, lifetime.1));
                word
            }
            8 => {
                draft.version = Some(self.choices.one_of(2, &[0, 0xffff]));
                "KeyPackage: of another version"
            }
            9 => {
                let own = self.forge.suite().number();
                let other = if own == 1 { 3 } else { 1 };
                draft.suite = Some(self.choices.one_of(other, &[0, 4, 0x1a1a]));
                "KeyPackage: of another suite"
            }
            10 => {
                let key = self.forge.new_hpke_key()?;
                draft.init_key = Some(key.clone());
                draft.leaf.encryption_key = Some(key);
                "KeyPackage: the init key is the leaf's key"
            }
            11 if self.choices.rarely(2) => {
                let leaf = self.member();
                draft.init_key = Some(self.forge.leaf(leaf)?.encryption_key.clone());
                "KeyPackage: the init key is another leaf's key"
            }
            11 => {
                let (key, word) = self.bad_hpke_key(None)?;
                draft.init_key = Some(key);
                match word {
                    "the HPKE key of another leaf" => "KeyPackage: the init key is another leaf's key",
                    "the HPKE key of a parent" => "KeyPackage: the init key is a parent's key",
                    "the HPKE key that the leaf had" => "KeyPackage: the init key is the first leaf's key",
                    _ => "KeyPackage: an init key that is none",
                }
            }
            12 | 13 => {
                let (extensions, word) = self.odd_package_extensions();
                draft.extensions = extensions;
                word
            }
            14 => {
                draft.signer = Some(self.others_key(None)?);
                "KeyPackage: signed by a member"
            }
            _ => {
                let (seal, _) = self.bad_seal();
                draft.signature = seal;
                "KeyPackage: another signature"
            }
        })
    }

    fn odd_package_extensions(&mut self) -> (Vec<Extension>, &'static str) {
        let unknown = || Extension::new(UNKNOWN, vec![1]);
        match self.choices.below(7) {
            5 | 6 => (vec![unknown()], "KeyPackage: an unknown extension"),
            0 | 1 => (vec![unknown(), unknown()], "KeyPackage: an unknown extension twice"),
            2 => (vec![Extension::new(1, vec![1, b'i'])], "KeyPackage: an application_id"),
            3 => (vec![Extension::new(4, vec![1, 1])], "KeyPackage: an external_pub"),
            _ => (vec![Extension::new(10, Vec::new())], "KeyPackage: last_resort"),
        }
    }
}
