//! Validation of a leaf by itself (RFC 9420 §7.3). That its keys, its identity and its credential's type go together
//! with the other members' is judged where all of them are known.

use super::{Demands, Host};
use crate::{
    envelope::MLS_10,
    reader::Reader,
    refusal::{Place, Refusal, Rule},
    suite::sign_content,
    wire::{APPLICATION_ID, LeafNode, LeafSource, is_default_wire_format},
    writer::Write as _,
};

/// How a leaf comes before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// In a KeyPackage.
    KeyPackage,
    /// In an Update.
    Update,
    /// In a commit's path.
    Path,
    /// In a tree that is imported.
    Tree,
}

impl Demands<'_> {
    /// Judges everything but the signature.
    pub(crate) fn check_leaf(&self, leaf: &LeafNode<'_>, entry: Entry, place: Place) -> Result<(), Refusal> {
        let rule = match self.broken_rule(leaf, entry) {
            Ok(()) => return Ok(()),
            Err(rule) => rule,
        };
        Err(rule.at(place))
    }

    fn broken_rule(&self, leaf: &LeafNode<'_>, entry: Entry) -> Result<(), Rule> {
        let as_it_came = match entry {
            Entry::KeyPackage => matches!(leaf.source, LeafSource::KeyPackage { .. }),
            Entry::Update => leaf.source == LeafSource::Update,
            Entry::Path => matches!(leaf.source, LeafSource::Commit { .. }),
            Entry::Tree => true,
        };
        ensure(as_it_came, Rule::LeafSource)?;
        ensure(leaf.raw.len() <= self.policy.bounds().leaf_bytes, Rule::TooLarge)?;
        let keys =
            self.suite.is_hpke_key(leaf.encryption_key) && self.suite.is_signature_key(leaf.signature_key);
        ensure(keys, Rule::LeafKey)?;
        ensure(leaf.encryption_key != leaf.signature_key, Rule::KeyOfBothKinds)?;
        ensure(leaf.capabilities.versions.contains(MLS_10), Rule::LeafVersion)?;
        ensure(leaf.capabilities.suites.contains(self.suite.code()), Rule::LeafSuite)?;
        ensure(leaf.capabilities.credentials.contains(leaf.credential.kind), Rule::LeafCredential)?;
        Host::Leaf.check(leaf.extensions).map_err(|refusal| refusal.rule)?;
        ensure(leaf.extensions.find(APPLICATION_ID).is_none_or(is_application_id), Rule::LeafApplicationId)?;
        let listed = leaf.capabilities.has_extensions(leaf.extensions.kinds());
        ensure(listed, Rule::LeafExtension)?;
        let listed = leaf.capabilities.has_extensions(self.extensions.kinds());
        ensure(listed, Rule::LeafGroupExtension)?;
        ensure(self.has_required(leaf), Rule::LeafRequired)?;
        ensure(self.has_wire_formats(leaf), Rule::LeafWireFormats)?;
        ensure(self.policy.accepts(&leaf.credential, leaf.signature_key), Rule::CredentialRefused)?;
        self.check_lifetime(leaf, entry)
    }

    fn has_required(&self, leaf: &LeafNode<'_>) -> bool {
        let Some(required) = self.required else { return true };
        leaf.capabilities.has_extensions(required.extensions.iter())
            && leaf.capabilities.has_proposals(required.proposals.iter())
            && leaf.capabilities.has_credentials(required.credentials.iter())
    }

    fn has_wire_formats(&self, leaf: &LeafNode<'_>) -> bool {
        let Some(required) = self.wire_formats else { return true };
        let beyond = required.iter().filter(|format| !is_default_wire_format(*format));
        leaf.wire_formats().contains_all(beyond)
    }

    fn check_lifetime(&self, leaf: &LeafNode<'_>, entry: Entry) -> Result<(), Rule> {
        let LeafSource::KeyPackage { not_before, not_after } = leaf.source else { return Ok(()) };
        let lifetimes = self.policy.lifetimes();
        let arrives = entry != Entry::Tree;
        ensure(not_before <= not_after || !arrives, Rule::LifetimeOver)?;
        if arrives || lifetimes.refuse_long_at_import {
            ensure(not_after.saturating_sub(not_before) <= lifetimes.longest_s, Rule::LifetimeTooLong)?;
        }
        if arrives || lifetimes.refuse_expired_at_import {
            ensure(self.now.0 <= not_after.saturating_add(lifetimes.leeway_s), Rule::LifetimeOver)?;
            ensure(self.now.0.saturating_add(lifetimes.leeway_s) >= not_before, Rule::LifetimeAhead)?;
        }
        Ok(())
    }
}

/// Whether data is one `opaque<V>` (§5.3.3). Members who cannot read it cannot read the commit that brings it.
fn is_application_id(data: &[u8]) -> bool {
    let mut reader = Reader::new(data);
    reader.opaque("application_id").is_ok() && reader.end().is_ok()
}

fn ensure(holds: bool, rule: Rule) -> Result<(), Rule> {
    if holds { Ok(()) } else { Err(rule) }
}

/// What a leaf's signature covers (§7.2): beyond a KeyPackage, also its group and its place there.
pub(crate) fn leaf_content(leaf: &LeafNode<'_>, group_id: &[u8], index: u32) -> Vec<u8> {
    let mut bound = Vec::new();
    if !matches!(leaf.source, LeafSource::KeyPackage { .. }) {
        bound.put_opaque(group_id);
        bound.put_u32(index);
    }
    sign_content("LeafNodeTBS", &[leaf.signed, &bound])
}

#[cfg(test)]
mod tests {
    use maypole_testkit::mls::Member;

    use super::*;
    use crate::{
        policy::{Strict, UnixSeconds},
        suite::Suite,
        wire::{Extensions, KeyPackage},
    };

    #[test]
    fn extensions_of_the_rfc_stand_only_where_they_may() {
        let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
        let demands = Demands::of(Suite::X25519Aes128, Extensions::NONE, &Strict, now).unwrap();
        let message = Member::new("@alice:a.org/PHONE", 1).unwrap().key_package().unwrap();
        let key_package = KeyPackage::read(&mut Reader::new(&message[4..])).unwrap();
        let judged = |list: &[u8]| {
            let extensions = Extensions::read(&mut Reader::new(list)).unwrap();
            let leaf = LeafNode { extensions, ..key_package.leaf };
            let in_leaf = demands.check_leaf(&leaf, Entry::KeyPackage, Place::Whole);
            let around = KeyPackage { extensions, ..key_package.clone() };
            let in_key_package = demands.check_key_package(&around, Place::Whole);
            let in_group = Demands::of(Suite::X25519Aes128, extensions, &Strict, now).map(drop);
            [in_leaf, in_key_package, in_group].map(|verdict| verdict.err().map(|refusal| refusal.rule))
        };
        let misplaced = Some(Rule::ExtensionPlace);
        assert_eq!(judged(&[5, 0, 1, 2, 1, b'a']), [None, misplaced, misplaced]);
        assert_eq!(judged(&[3, 0, 2, 0]), [misplaced; 3]);
        assert_eq!(judged(&[6, 0, 3, 3, 0, 0, 0]), [misplaced, misplaced, None]);
        assert_eq!(judged(&[3, 0, 4, 0]), [misplaced; 3]);
        assert_eq!(judged(&[4, 0, 5, 1, 0]), [misplaced, misplaced, None]);
        assert_eq!(judged(&[4, 0, 1, 1, 1])[0], Some(Rule::LeafApplicationId));
    }
}
