//! Lies in a commit's path.

use anyhow::Result;

use super::Story;
use crate::forge::PathDraft;

/// Of the paths that are drawn, none is longer.
const DEEPEST: usize = 4;

impl Story<'_> {
    /// Puts a lie into a path, and says which. `own` is the committer's leaf before.
    pub(super) fn lie_in_path(&mut self, path: &mut PathDraft, own: Option<u32>) -> Result<&'static str> {
        let node = self.choices.below(DEEPEST);
        Ok(match self.choices.below(16) {
            0..=6 => self.lie_in_leaf(&mut path.leaf, own)?,
            7..=9 => {
                let (key, word) = self.bad_hpke_key(own)?;
                path.keys.insert(node, key);
                match word {
                    "the HPKE key of another leaf" => "path: the key of another leaf",
                    "the HPKE key of a parent" => "path: the key of a parent",
                    "the HPKE key that the leaf had" => "path: the key that the leaf had",
                    _ => "path: a key that is none",
                }
            }
            10 => {
                let key = self.forge.new_hpke_key()?;
                path.keys.insert(node, key.clone());
                match self.choices.below(2) {
                    0 => drop(path.keys.insert(node + 1, key)),
                    _ => path.leaf.encryption_key = Some(key),
                }
                "path: one key twice"
            }
            11 | 12 => {
                path.length = Some(self.choices.one_of(0, &[1, 2, 3, 4, 5, 9]));
                "path: of another length, perhaps"
            }
            13 | 14 => {
                path.ciphertexts.insert(node, self.choices.one_of(0, &[1, 2, 3, 7]));
                "path: another number of ciphertexts, perhaps"
            }
            _ => {
                let hash = self.forge.suite().hash_length();
                let kem = self.forge.new_hpke_key()?.len();
                let sizes = match self.choices.below(2) {
                    0 => (self.mislength(kem), hash + 16),
                    _ => (kem, self.mislength(hash + 16)),
                };
                path.sizes.insert(node, sizes);
                "path: ciphertexts of another size"
            }
        })
    }
}
