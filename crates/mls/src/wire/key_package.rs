//! KeyPackages (RFC 9420 §10).

use super::{Extensions, LeafNode};
use crate::{
    envelope::{KEY_PACKAGE, bare},
    reader::{Broken, Reader},
    suite::{Hash, Suite},
};

/// A `KeyPackage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackage<'a> {
    /// The protocol version.
    pub version: u16,
    /// The cipher suite.
    pub suite: u16,
    /// The HPKE key that a Welcome is encrypted to.
    pub init_key: &'a [u8],
    /// The leaf that it puts into a tree.
    pub leaf: LeafNode<'a>,
    /// Its extensions.
    pub extensions: Extensions<'a>,
    /// What stands before the signature: `KeyPackageTBS`.
    pub signed: &'a [u8],
    /// The signature by the leaf's key.
    pub signature: &'a [u8],
    /// The whole KeyPackage as it was written.
    pub raw: &'a [u8],
}

impl<'a> KeyPackage<'a> {
    /// Reads one out of what follows it.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let version = reader.u16("a KeyPackage's version is cut short")?;
        let suite = reader.u16("a KeyPackage's cipher suite is cut short")?;
        let init_key = reader.opaque("an init key is cut short")?;
        let leaf = LeafNode::read(reader)?;
        let extensions = Extensions::read(reader)?;
        let signed = reader.since(&start);
        let signature = reader.opaque("a KeyPackage's signature is cut short")?;
        Ok(Self { version, suite, init_key, leaf, extensions, signed, signature, raw: reader.since(&start) })
    }

    /// Reads one that is all there is, bare or as an `MLSMessage`.
    ///
    /// ```
    /// use maypole_mls::wire::KeyPackage;
    /// use maypole_testkit::mls::Member;
    ///
    /// let message = Member::new("@alice:a.org/PHONE", 1)?.key_package()?;
    /// let key_package = KeyPackage::from_bytes(&message).unwrap();
    /// assert_eq!(KeyPackage::from_bytes(key_package.raw).unwrap(), key_package);
    /// # anyhow::Ok(())
    /// ```
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = bare(bytes, KEY_PACKAGE)?;
        let key_package = Self::read(&mut reader)?;
        reader.end()?;
        Ok(key_package)
    }

    /// Its `KeyPackageRef` (§5.2), by the hash of a suite.
    pub fn reference(&self, suite: Suite) -> Hash {
        suite.reference("MLS 1.0 KeyPackage Reference", self.raw)
    }
}
