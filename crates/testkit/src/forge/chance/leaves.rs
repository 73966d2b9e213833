//! Lies in leaves.

use anyhow::Result;

use super::{Story, UNKNOWN};
use crate::forge::{Capabilities, Credential, Extension, LeafDraft, SELF_REMOVE, Source};

impl Story<'_> {
    /// What an honest leaf of this group says of itself beyond what every forged leaf does.
    pub(super) fn honest_leaf(&self) -> LeafDraft {
        let usual = self.able == Capabilities::default();
        LeafDraft { capabilities: (!usual).then(|| self.able.clone()), ..LeafDraft::default() }
    }

    /// Puts a lie into a leaf, and says which. `own` is the leaf's place, where it has one before.
    pub(super) fn lie_in_leaf(&mut self, leaf: &mut LeafDraft, own: Option<u32>) -> Result<&'static str> {
        Ok(match self.choices.below(16) {
            0 => {
                leaf.key = Some(self.others_key(own)?);
                "leaf: another member's signature key"
            }
            1 => {
                let (key, word) = self.bad_signature_key(own)?;
                leaf.signature_key = Some(key);
                word
            }
            2..=4 => {
                let (key, word) = self.bad_hpke_key(own)?;
                leaf.encryption_key = Some(key);
                word
            }
            5 | 6 => {
                let (credential, word) = self.other_credential(own)?;
                if self.choices.rarely(2) {
                    let able = leaf.capabilities.get_or_insert_with(|| self.able.clone());
                    able.credentials.push(credential.number());
                }
                leaf.credential = Some(credential);
                word
            }
            7..=9 => {
                let mut able = self.able.clone();
                let word = self.lie_in_capabilities(&mut able);
                leaf.capabilities = Some(able);
                word
            }
            10 => {
                let (source, word) = self.other_source();
                leaf.source = Some(source);
                word
            }
            11 => {
                let hash = self.forge.suite().hash_length();
                let length = self.choices.one_of(hash, &[0, hash - 1, hash + 1]);
                leaf.parent_hash = Some(self.forge.bytes(length));
                "leaf: another parent hash"
            }
            12 | 13 => {
                let (extensions, word) = self.odd_leaf_extensions();
                leaf.extensions = Some(extensions);
                word
            }
            14 => self.lie_in_binding(leaf, own)?,
            _ => {
                let (seal, word) = self.bad_seal();
                leaf.signature = seal;
                match word {
                    "an empty signature" => "leaf: an empty signature",
                    _ => "leaf: another signature",
                }
            }
        })
    }

    fn lie_in_binding(&mut self, leaf: &mut LeafDraft, own: Option<u32>) -> Result<&'static str> {
        Ok(match self.choices.below(3) {
            0 => {
                leaf.signer = Some(self.others_key(own)?);
                "leaf: signed by another member"
            }
            1 => {
                leaf.bound_to = Some((b"!other:a.org".to_vec(), own.unwrap_or(0)));
                "leaf: bound to another group"
            }
            _ => {
                let place = self.another(own);
                leaf.bound_to = Some((self.forge.group_id().to_vec(), place));
                "leaf: bound to another place"
            }
        })
    }

    fn lie_in_capabilities(&mut self, able: &mut Capabilities) -> &'static str {
        match self.choices.below(12) {
            0 => {
                able.versions = self.choices.one_of(&[2][..], &[&[], &[0]]).to_vec();
                "capabilities: without the version"
            }
            1 => {
                let own = self.forge.suite().number();
                able.suites.retain(|suite| *suite != own);
                "capabilities: without the suite"
            }
            2 => {
                able.credentials.retain(|kind| *kind != 1);
                "capabilities: without basic credentials"
            }
            3 => {
                able.credentials = vec![1];
                "capabilities: basic credentials alone"
            }
            4 | 5 => {
                able.extensions.clear();
                "capabilities: no extensions"
            }
            6 => {
                able.proposals.clear();
                "capabilities: no proposals"
            }
            7 => {
                able.proposals.retain(|kind| *kind != SELF_REMOVE);
                "capabilities: no SelfRemove"
            }
            8 => {
                able.extensions.extend([1, 2, 3, 4, 5]);
                able.proposals.extend([1, 2, 3, 4, 5, 6, 7]);
                "capabilities: the default types listed"
            }
            9 => {
                able.extensions.extend([UNKNOWN, UNKNOWN]);
                able.proposals.extend([UNKNOWN, UNKNOWN]);
                "capabilities: the unknown types, twice"
            }
            10 => {
                able.versions.extend([0, 2, 0xffff]);
                able.suites.extend([0, 4, 6, 0x1a1a, 0xffff]);
                able.extensions.extend([0, 0x1a1a, 0xffff]);
                able.proposals.extend([0, 0x1a1a, 0xffff]);
                able.credentials.extend([0, 0x1a1a, 0xffff]);
                "capabilities: types that nobody knows"
            }
            _ => {
                able.suites.clear();
                "capabilities: no suites"
            }
        }
    }

    /// A source that the leaf does not have, or a lifetime that is none.
    fn other_source(&mut self) -> (Source, &'static str) {
        if self.choices.rarely(3) {
            let (lifetime, _) = self.bad_lifetime();
            return (
                Source::KeyPackage(lifetime.0, lifetime.1),
                "leaf: comes from a KeyPackage, and not today's",
            );
        }
        let now = self.now;
        match self.choices.below(5) {
            0 => (Source::Update, "leaf: comes by an Update"),
            1 => (Source::Commit(self.forge.bytes(32)), "leaf: comes by a commit"),
            2 => (Source::KeyPackage(now - 60, now + 86_400), "leaf: comes from a KeyPackage"),
            3 => (Source::Raw(0, Vec::new()), "leaf: of source 0"),
            _ => (Source::Raw(4, Vec::new()), "leaf: of source 4"),
        }
    }

    /// A lifetime that is over, has not begun, or is no lifetime; and what it is.
    pub(super) fn bad_lifetime(&mut self) -> ((u64, u64), &'static str) {
        const DAY_S: u64 = 86_400;
        let now = self.now;
        match self.choices.below(6) {
            0 => ((now - 90 * DAY_S, now - 2 * DAY_S), "a lifetime that is over"),
            1 => ((now + 2 * DAY_S, now + 90 * DAY_S), "a lifetime that has not begun"),
            2 => ((now - 3_600, now + 36_500 * DAY_S), "a lifetime of a century"),
            3 => ((now + 90 * DAY_S, now - DAY_S), "a lifetime that ends before it begins"),
            4 => ((0, u64::MAX), "a lifetime for ever"),
            _ => ((0, 0), "a lifetime of no time"),
        }
    }

    /// Extensions that a leaf may not have, or that nobody minds; and what they are.
    fn odd_leaf_extensions(&mut self) -> (Vec<Extension>, &'static str) {
        let id = |data: &[u8]| Extension::new(1, data.to_vec());
        match self.choices.below(9) {
            0 => (vec![id(&[2, b'i', b'd'])], "leaf: an application_id"),
            1 => (vec![id(&[9, b'i'])], "leaf: an application_id that cannot be read"),
            2 => (vec![id(&[1, b'i']), id(&[1, b'j'])], "leaf: two application_ids"),
            3 => (vec![Extension::new(UNKNOWN, vec![1])], "leaf: an unknown extension"),
            4 => (
                vec![Extension::new(UNKNOWN, vec![1]), Extension::new(UNKNOWN, Vec::new())],
                "leaf: an unknown extension twice",
            ),
            5 => (vec![Extension::required_capabilities(&[], &[], &[])], "leaf: required_capabilities"),
            6 => (
                vec![Extension::external_senders(&[(vec![1; 32], Credential::basic("@:a.org"))])],
                "leaf: external_senders",
            ),
            7 => (vec![Extension::external_pub(&[4; 32])], "leaf: external_pub"),
            _ => (vec![Extension::new(2, vec![0])], "leaf: a ratchet_tree"),
        }
    }
}
