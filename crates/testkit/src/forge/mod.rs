//! MLS groups and messages made by hand: correctly signed, and wrong in exactly the points that were asked for.
//!
//! A [`Forge`] is a whole group of which it holds every signature key. It follows RFC 9420 in the plainest way, on its own
//! and without any library for MLS, so that what it says of an honest history is a second opinion too. Whatever only
//! members could check is bytes from the seed: HPKE keys, ciphertexts, confirmation and membership tags.
//!
//! Every draft has a field for each thing that can be wrong. What is not overridden is computed from what is: a path whose
//! leaf carries another member's key has right parent hashes, is signed with that key, and sits in a rightly signed
//! commit. One lie stays one lie.

mod app_data;
pub mod chance;
mod commit;
mod dice;
mod draft;
mod edits;
mod founding;
mod framing;
mod group_info;
mod key_package;
mod keys;
mod leaf;
mod proposals;
mod state;
mod tree;
mod wire;

use anyhow::{Context as _, Result};

pub use app_data::APP_DATA_DICTIONARY;
pub use commit::Commit;
pub use draft::{Draft, Listed, PathDraft};
pub use edits::ParentDraft;
pub use founding::{Founding, Shape};
pub use framing::{Framing, ProposalDraft, ProposalMessage, Tag};
pub use group_info::GroupInfoDraft;
pub use key_package::{KeyPackage, KeyPackageDraft};
pub use keys::{Seal, SigningKey, Suite};
pub use leaf::{Capabilities, Credential, Extension, Leaf, LeafDraft, LeafNode, Source};
pub use proposals::{Proposal, PskId, Sender};
pub use tree::{At, ParentNode};

use dice::Dice;
use state::State;

/// The number of `AppDataUpdate` among proposal types.
pub const APP_DATA_UPDATE: u16 = 8;
/// The number of `AppEphemeral` among proposal types.
pub const APP_EPHEMERAL: u16 = 9;
/// The number of `SelfRemove` among proposal types.
pub const SELF_REMOVE: u16 = 10;

/// A group of which all signature keys are here.
///
/// ```
/// use maypole_testkit::forge::{Forge, Founding, LeafDraft, Shape, Suite};
///
/// let mut forge = Forge::new(&Founding::of(Suite::One, 8, Shape::Warm, 1))?;
/// let honest = forge.commit(&forge.draft_remove(0, &[3]))?;
/// let mut draft = forge.draft_update(2);
/// draft.path.as_mut().unwrap().leaf.key = Some(forge.key_of(1)?.clone());
/// let stolen_key = forge.commit(&draft)?;
/// assert_ne!(honest.message, stolen_key.message);
/// forge.play(&honest)?;
/// assert_eq!(forge.members().count(), 7);
/// # anyhow::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Forge {
    suite: Suite,
    lifetime: (u64, u64),
    external: Vec<SigningKey>,
    external_pub: Vec<u8>,
    dice: Dice,
    state: State,
}

impl Forge {
    /// The ciphersuite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The group's ID.
    pub fn group_id(&self) -> &[u8] {
        &self.state.group_id
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// The tree hash.
    pub fn tree_hash(&self) -> &[u8] {
        &self.state.tree_hash
    }

    /// The confirmed transcript hash.
    pub fn confirmed_transcript_hash(&self) -> &[u8] {
        &self.state.confirmed
    }

    /// The interim transcript hash.
    pub fn interim_transcript_hash(&self) -> &[u8] {
        &self.state.interim
    }

    /// The confirmation tag of the last commit.
    pub fn confirmation_tag(&self) -> &[u8] {
        &self.state.confirmation_tag
    }

    /// The group's extensions.
    pub fn extensions(&self) -> &[Extension] {
        &self.state.extensions
    }

    /// The encoded `GroupContext`.
    pub fn group_context(&self) -> Vec<u8> {
        self.state.context(self.suite)
    }

    /// The tree, as `optional<Node> ratchet_tree<V>`.
    pub fn ratchet_tree(&self) -> Vec<u8> {
        self.state.tree.encode()
    }

    /// Leaves that are not blank, with their index.
    pub fn members(&self) -> impl Iterator<Item = (u32, &LeafNode)> {
        self.state.tree.leaves()
    }

    /// Parent nodes that are not blank.
    pub fn parents(&self) -> impl Iterator<Item = (At, &ParentNode)> {
        self.state.tree.parents()
    }

    /// The number of leaves, blank ones counted.
    pub fn width(&self) -> usize {
        self.state.tree.width()
    }

    /// The leaf of a member.
    pub fn leaf(&self, index: u32) -> Result<&LeafNode> {
        let leaf = self.state.tree.leaf(index).with_context(|| format!("leaf {index} is blank"))?;
        Ok(leaf)
    }

    /// The signature key of a member.
    pub fn key_of(&self, index: u32) -> Result<&SigningKey> {
        self.state.keys.get(&index).with_context(|| format!("no member at leaf {index}"))
    }

    /// The key of an external sender.
    pub fn external_key(&self, place: u32) -> Result<&SigningKey> {
        self.external.get(place as usize).with_context(|| format!("no external sender {place}"))
    }

    /// A signature key that nobody has used.
    pub fn new_key(&self) -> Result<SigningKey> {
        self.suite.signing_key(&self.dice)
    }

    /// An HPKE public key that nobody has used.
    pub fn new_hpke_key(&self) -> Result<Vec<u8>> {
        self.suite.hpke_key(&self.dice)
    }

    /// Bytes that look random.
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        self.dice.bytes(length)
    }

    pub(super) fn member(&self, index: u32) -> Result<Leaf> {
        Ok(Leaf { node: self.leaf(index)?.clone(), key: self.key_of(index)?.clone() })
    }
}
