//! The GroupContext (RFC 9420 §8.1) and the GroupInfo (§12.4.3) around it.

use super::{EXTERNAL_PUB, Extensions};
use crate::{
    envelope::{GROUP_INFO, bare},
    reader::{Broken, Reader},
    refusal::{Refusal, Rule},
    suite::{Suite, sign_content},
};

/// A `GroupContext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupContext<'a> {
    /// The protocol version.
    pub version: u16,
    /// The cipher suite.
    pub suite: u16,
    /// The group.
    pub group_id: &'a [u8],
    /// Its epoch.
    pub epoch: u64,
    /// The hash of its ratchet tree.
    pub tree_hash: &'a [u8],
    /// The hash over all its commits.
    pub confirmed_transcript_hash: &'a [u8],
    /// Its extensions.
    pub extensions: Extensions<'a>,
    /// The whole context as it was written.
    pub raw: &'a [u8],
}

/// A `GroupInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo<'a> {
    /// What it describes.
    pub context: GroupContext<'a>,
    /// What joiners need besides.
    pub extensions: Extensions<'a>,
    /// The tag of the commit that began the epoch.
    pub confirmation_tag: &'a [u8],
    /// The leaf that signed it.
    pub signer: u32,
    /// What stands before the signature: `GroupInfoTBS`.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> GroupContext<'a> {
    /// Reads one out of what follows it.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let version = reader.u16("the group's version is cut short")?;
        let suite = reader.u16("the cipher suite is cut short")?;
        let group_id = reader.opaque("the group ID is cut short")?;
        let epoch = reader.u64("the epoch is cut short")?;
        let tree_hash = reader.opaque("the tree hash is cut short")?;
        let confirmed_transcript_hash = reader.opaque("the confirmed transcript hash is cut short")?;
        let extensions = Extensions::read(reader)?;
        Ok(Self {
            version,
            suite,
            group_id,
            epoch,
            tree_hash,
            confirmed_transcript_hash,
            extensions,
            raw: reader.since(&start),
        })
    }
}

impl<'a> GroupInfo<'a> {
    /// Reads one that is all there is, bare or as an `MLSMessage`. Its version is for the caller to judge.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = bare(bytes, GROUP_INFO)?;
        let info = Self::read(&mut reader)?;
        reader.end()?;
        Ok(info)
    }

    /// Reads one out of what follows it.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let context = GroupContext::read(reader)?;
        let extensions = Extensions::read(reader)?;
        let confirmation_tag = reader.opaque("the confirmation tag is cut short")?;
        let signer = reader.u32("the signer is cut short")?;
        let signed = reader.since(&start);
        let signature = reader.opaque("the signature is cut short")?;
        Ok(Self { context, extensions, confirmation_tag, signer, signed, signature })
    }

    /// The key for external commits (§12.4.3.2), if there is one that can be read.
    pub fn external_pub(&self) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.extensions.find(EXTERNAL_PUB)?);
        let key = reader.opaque("external_pub").ok()?;
        reader.end().ok().map(|()| key)
    }

    /// Judges its signature by the key of the leaf that it names.
    pub(crate) fn verify(&self, suite: Suite, key: &[u8]) -> Result<(), Refusal> {
        let content = sign_content("GroupInfoTBS", &[self.signed]);
        if suite.verifies(key, &content, self.signature) {
            Ok(())
        } else {
            Err(Rule::GroupInfoSignature.whole())
        }
    }
}
