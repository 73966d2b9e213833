//! GroupInfo (§12.4.3): what a service is given to begin with.

use anyhow::Result;

use super::Forge;
use super::keys::{Seal, SigningKey};
use super::leaf::{Extension, write_extensions};
use super::wire::Wire;

/// What to write in a GroupInfo; what is not said is honest.
#[derive(Debug, Clone)]
pub struct GroupInfoDraft {
    /// The leaf that says it signs.
    pub signer: u32,
    /// Whose key signs, whoever says so.
    pub key: Option<SigningKey>,
    /// What becomes of the signature.
    pub signature: Seal,
    /// Protocol version of the group.
    pub version: Option<u16>,
    /// The number of the ciphersuite.
    pub suite: Option<u16>,
    /// The group's ID.
    pub group_id: Option<Vec<u8>>,
    /// The epoch.
    pub epoch: Option<u64>,
    /// The tree hash.
    pub tree_hash: Option<Vec<u8>>,
    /// The confirmed transcript hash.
    pub confirmed_transcript_hash: Option<Vec<u8>>,
    /// The group's extensions.
    pub group_extensions: Option<Vec<Extension>>,
    /// The confirmation tag.
    pub confirmation_tag: Option<Vec<u8>>,
    /// Whether the `ratchet_tree` extension is there.
    pub with_tree: bool,
    /// The tree in that extension.
    pub tree: Option<Vec<u8>>,
    /// Whether the `external_pub` extension is there.
    pub with_external_pub: bool,
    /// Further extensions of the GroupInfo.
    pub extensions: Vec<Extension>,
    /// Whether an `MLSMessage` is around it.
    pub as_message: bool,
    /// Bytes after the end.
    pub trailing: Vec<u8>,
}

impl GroupInfoDraft {
    /// An honest one, signed by a leaf, with `external_pub`, without the tree, as an `MLSMessage`.
    pub fn by(signer: u32) -> Self {
        Self {
            signer,
            key: None,
            signature: Seal::Honest,
            version: None,
            suite: None,
            group_id: None,
            epoch: None,
            tree_hash: None,
            confirmed_transcript_hash: None,
            group_extensions: None,
            confirmation_tag: None,
            with_tree: false,
            tree: None,
            with_external_pub: true,
            extensions: Vec::new(),
            as_message: true,
            trailing: Vec::new(),
        }
    }

    /// With the tree inside.
    #[must_use]
    pub fn with_tree(mut self) -> Self {
        self.with_tree = true;
        self
    }
}

impl Forge {
    /// Makes a GroupInfo of the group as it is.
    pub fn group_info(&self, draft: &GroupInfoDraft) -> Result<Vec<u8>> {
        let state = &self.state;
        let or = |other: &Option<Vec<u8>>, honest: &[u8]| other.clone().unwrap_or_else(|| honest.to_vec());
        let context = Wire::new()
            .u16(draft.version.unwrap_or(1))
            .u16(draft.suite.unwrap_or(self.suite.number()))
            .vector(&or(&draft.group_id, &state.group_id))
            .u64(draft.epoch.unwrap_or(state.epoch))
            .vector(&or(&draft.tree_hash, &state.tree_hash))
            .vector(&or(&draft.confirmed_transcript_hash, &state.confirmed));
        let context = write_extensions(context, draft.group_extensions.as_ref().unwrap_or(&state.extensions));
        let mut extensions = Vec::new();
        if draft.with_tree {
            let tree = draft.tree.clone().unwrap_or_else(|| self.ratchet_tree());
            extensions.push(Extension::new(2, tree));
        }
        if draft.with_external_pub {
            extensions.push(Extension::external_pub(&self.external_pub));
        }
        extensions.extend(draft.extensions.iter().cloned());
        let signed = write_extensions(context, &extensions)
            .vector(&or(&draft.confirmation_tag, &state.confirmation_tag))
            .u32(draft.signer)
            .done();
        let key = match &draft.key {
            Some(key) => key,
            None => self.key_of(draft.signer)?,
        };
        let signature = draft.signature.over(key.sign("GroupInfoTBS", &signed)?);
        let head = if draft.as_message { Wire::new().u16(1).u16(4) } else { Wire::new() };
        Ok(head.raw(&signed).vector(&signature).raw(&draft.trailing).done())
    }
}
