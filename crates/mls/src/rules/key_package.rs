//! Validation of a KeyPackage (RFC 9420 §10.1).

use super::{Demands, Entry, Host, leaf_content};
use crate::{
    envelope::MLS_10,
    refusal::{Place, Refusal, Rule},
    suite::sign_content,
    wire::KeyPackage,
};

impl Demands<'_> {
    /// Judges everything but the signatures.
    pub(crate) fn check_key_package(
        &self,
        key_package: &KeyPackage<'_>,
        place: Place,
    ) -> Result<(), Refusal> {
        if key_package.version != MLS_10 {
            return Err(Rule::KeyPackageVersion.at(place));
        }
        if key_package.suite != self.suite.code() {
            return Err(Rule::KeyPackageSuite.at(place));
        }
        if !self.suite.is_hpke_key(key_package.init_key) {
            return Err(Rule::LeafKey.at(place));
        }
        if key_package.init_key == key_package.leaf.encryption_key {
            return Err(Rule::KeyPackageInitKey.at(place));
        }
        Host::KeyPackage.check(key_package.extensions).map_err(|refusal| refusal.rule.at(place))?;
        if !key_package.leaf.capabilities.has_extensions(key_package.extensions.kinds()) {
            return Err(Rule::KeyPackageExtension.at(place));
        }
        self.check_leaf(&key_package.leaf, Entry::KeyPackage, place)
    }

    /// Judges both signatures.
    pub(crate) fn verify_key_package(
        &self,
        key_package: &KeyPackage<'_>,
        place: Place,
    ) -> Result<(), Refusal> {
        let key = key_package.leaf.signature_key;
        let content = sign_content("KeyPackageTBS", &[key_package.signed]);
        if !self.suite.verifies(key, &content, key_package.signature) {
            return Err(Rule::KeyPackageSignature.at(place));
        }
        let content = leaf_content(&key_package.leaf, &[], 0);
        if !self.suite.verifies(key, &content, key_package.leaf.signature) {
            return Err(Rule::LeafSignature.at(place));
        }
        Ok(())
    }
}
