//! Extensions of a group, honest and with lies.

use super::{Story, UNKNOWN};
use crate::forge::{Credential, Extension};

impl Story<'_> {
    /// Extensions that every member bears.
    pub(super) fn honest_extensions(&mut self) -> Vec<Extension> {
        let mut all = self.forge.extensions().to_vec();
        let knows = self.able.extensions.contains(&UNKNOWN);
        match self.choices.below(4) {
            0 => {}
            1 if knows => {
                all.retain(|extension| extension.kind != UNKNOWN);
                all.push(Extension::new(UNKNOWN, self.forge.bytes(5)));
            }
            2 => {
                all.retain(|extension| extension.kind != 3);
                all.push(Extension::required_capabilities(&[1, 2], &[1, 7], &[1]));
            }
            3 if knows => all.retain(|extension| extension.kind != UNKNOWN),
            _ => all.retain(|extension| extension.kind != 3),
        }
        all
    }

    /// Extensions with something wrong, or with something that nobody minds; and what it is.
    pub(super) fn odd_extensions(&mut self) -> (Vec<Extension>, &'static str) {
        let mut all = self.forge.extensions().to_vec();
        let drop = |all: &mut Vec<Extension>, kind| all.retain(|extension| extension.kind != kind);
        let word = match self.choices.below(18) {
            0 => {
                all.push(Extension::new(0xf777, Vec::new()));
                "extensions: one that nobody lists"
            }
            1 => {
                drop(&mut all, UNKNOWN);
                all.push(Extension::new(UNKNOWN, Vec::new()));
                "extensions: the unknown one"
            }
            2 => {
                all.extend([Extension::new(UNKNOWN, vec![1]), Extension::new(UNKNOWN, vec![2])]);
                "extensions: one type twice"
            }
            3..=7 => {
                drop(&mut all, 3);
                let (required, word) = self.odd_required();
                all.push(required);
                word
            }
            8..=11 => {
                drop(&mut all, 5);
                let (senders, word) = self.odd_senders();
                all.push(senders);
                word
            }
            12 => {
                all.push(Extension::new(1, vec![1, b'i']));
                "extensions: an application_id"
            }
            13 => {
                all.push(Extension::new(2, vec![0]));
                "extensions: a ratchet_tree"
            }
            14 => {
                all.push(Extension::external_pub(&self.forge.bytes(32)));
                "extensions: an external_pub"
            }
            15 => {
                all.clear();
                "extensions: none"
            }
            16 => {
                all.push(Extension::new(0x0a0a, vec![7]));
                "extensions: one of GREASE"
            }
            _ => {
                all.reverse();
                "extensions: in another order"
            }
        };
        (all, word)
    }

    fn odd_required(&mut self) -> (Extension, &'static str) {
        match self.choices.below(7) {
            0 => (
                Extension::required_capabilities(&[0xf777], &[], &[]),
                "required: an extension that nobody lists",
            ),
            1 => (
                Extension::required_capabilities(&[], &[0xf777], &[]),
                "required: a proposal that nobody lists",
            ),
            2 => (Extension::required_capabilities(&[], &[], &[2]), "required: X.509 credentials"),
            3 => (
                Extension::required_capabilities(&[], &[], &[0xf777]),
                "required: a credential that nobody lists",
            ),
            4 => (
                Extension::required_capabilities(&[UNKNOWN], &[UNKNOWN], &[1]),
                "required: the unknown types",
            ),
            5 => (Extension::new(3, vec![0, 0, 9]), "required: cannot be read"),
            _ => (Extension::new(3, vec![0, 0, 0, 0]), "required: a byte more"),
        }
    }

    fn odd_senders(&mut self) -> (Extension, &'static str) {
        let length = self.forge.suite().hash_length();
        let key = self.forge.bytes(length);
        let name = || Credential::basic("@:b.org");
        match self.choices.below(6) {
            0 => (Extension::external_senders(&[]), "senders: none"),
            1 => (Extension::external_senders(&[(key.clone(), name()), (key, name())]), "senders: one twice"),
            2 => (Extension::external_senders(&[(Vec::new(), name())]), "senders: a key of no bytes"),
            3 => (Extension::external_senders(&[(key, Credential::X509(Vec::new()))]), "senders: with X.509"),
            4 => (Extension::new(5, vec![9, 1]), "senders: cannot be read"),
            _ => (Extension::new(5, vec![0, 0]), "senders: a byte more"),
        }
    }
}
