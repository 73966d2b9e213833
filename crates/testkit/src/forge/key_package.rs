//! KeyPackages (§10), each field as asked for and signed after that.

use anyhow::Result;

use super::Forge;
use super::keys::{Seal, SigningKey, Suite};
use super::leaf::{Capabilities, Credential, Extension, Leaf, LeafDraft, LeafNode, Source, write_extensions};
use super::wire::Wire;

/// What to write in a KeyPackage; what is not said is honest.
#[derive(Debug, Clone, Default)]
pub struct KeyPackageDraft {
    /// Who it is for. `leaf.credential` takes precedence.
    pub identity: String,
    /// Changes in its leaf.
    pub leaf: LeafDraft,
    /// Protocol version.
    pub version: Option<u16>,
    /// The number of the ciphersuite.
    pub suite: Option<u16>,
    /// HPKE public key for the Welcome.
    pub init_key: Option<Vec<u8>>,
    /// Extensions of the KeyPackage itself.
    pub extensions: Vec<Extension>,
    /// Who signs it, whatever key its leaf carries.
    pub signer: Option<SigningKey>,
    /// What becomes of the signature.
    pub signature: Seal,
}

impl KeyPackageDraft {
    /// An honest one.
    pub fn of(identity: &str) -> Self {
        Self { identity: identity.to_owned(), ..Self::default() }
    }
}

/// A KeyPackage, and the key of whoever made it.
#[derive(Debug, Clone)]
pub struct KeyPackage {
    /// The bytes of the KeyPackage, without an `MLSMessage` around them.
    pub bytes: Vec<u8>,
    /// Its leaf.
    pub leaf: Leaf,
    suite: Suite,
}

impl KeyPackage {
    /// As an `MLSMessage`.
    pub fn message(&self) -> Vec<u8> {
        Wire::new().u16(1).u16(5).raw(&self.bytes).done()
    }

    /// Its `KeyPackageRef` (§5.2).
    pub fn reference(&self) -> Vec<u8> {
        self.suite.reference("MLS 1.0 KeyPackage Reference", &self.bytes)
    }
}

impl Forge {
    /// A leaf of somebody who is not in the group, with new keys, as of a KeyPackage; not signed.
    pub(super) fn stranger(&self, identity: &str) -> Result<Leaf> {
        let key = self.suite.signing_key(&self.dice)?;
        let node = LeafNode {
            encryption_key: self.suite.hpke_key(&self.dice)?,
            signature_key: key.public().to_vec(),
            credential: Credential::basic(identity),
            capabilities: Capabilities::default(),
            source: Source::KeyPackage(self.lifetime.0, self.lifetime.1),
            extensions: Vec::new(),
            signature: Vec::new(),
        };
        Ok(Leaf { node, key })
    }

    /// Makes a KeyPackage.
    pub fn key_package(&self, draft: &KeyPackageDraft) -> Result<KeyPackage> {
        let leaf = draft.leaf.on(&self.stranger(&draft.identity)?, &self.state.group_id, 0)?;
        let init_key = match &draft.init_key {
            Some(key) => key.clone(),
            None => self.suite.hpke_key(&self.dice)?,
        };
        let suite = draft.suite.unwrap_or(self.suite.number());
        let wire = Wire::new().u16(draft.version.unwrap_or(1)).u16(suite).vector(&init_key);
        let signed = write_extensions(leaf.node.write(wire), &draft.extensions).done();
        let signer = draft.signer.as_ref().unwrap_or(&leaf.key);
        let signature = draft.signature.over(signer.sign("KeyPackageTBS", &signed)?);
        let bytes = Wire::new().raw(&signed).vector(&signature).done();
        Ok(KeyPackage { bytes, leaf, suite: self.suite })
    }
}
