//! Groups from nothing, of any size, as though they had a past.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::dice::Dice;
use super::keys::Suite;
use super::leaf::{Credential, Extension, Leaf, LeafDraft, Source};
use super::state::State;
use super::tree::{At, Tree};
use super::{Forge, SigningKey};

/// What the past of a group has left in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All parents are blank: leaf 0 committed while it was alone, then added all others without a path.
    Bare,
    /// No parent is blank that has leaves on both sides: every other member has committed, from right to left.
    Warm,
}

/// How a group begins.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The ciphersuite.
    pub suite: Suite,
    /// The group's ID.
    pub group_id: Vec<u8>,
    /// The number of members, named `@user{i}:a.org/D`.
    pub members: u32,
    /// The tree.
    pub shape: Shape,
    /// Where all keys and bytes follow from.
    pub seed: u64,
    /// The epoch it is at; at epoch 0 it has no past.
    pub epoch: u64,
    /// From and until when leaves are valid, here and in KeyPackages, in seconds of Unix time.
    pub lifetime: (u64, u64),
    /// Identities of the external senders.
    pub external_senders: Vec<String>,
    /// Further extensions of the group.
    pub extensions: Vec<Extension>,
    /// Leaves that are not as they should be. The tree is made with them.
    pub leaves: BTreeMap<u32, LeafDraft>,
}

impl Founding {
    /// A group with one external sender, `@:a.org`, whose leaves never expire.
    pub fn of(suite: Suite, members: u32, shape: Shape, seed: u64) -> Self {
        Self {
            suite,
            group_id: b"!forged:a.org".to_vec(),
            members,
            shape,
            seed,
            epoch: 1,
            lifetime: (0, u64::MAX),
            external_senders: vec!["@:a.org".to_owned()],
            extensions: Vec::new(),
            leaves: BTreeMap::new(),
        }
    }

    /// The same, with leaves that are valid from an hour before `now` until 84 days after.
    #[must_use]
    pub fn at(mut self, now: u64) -> Self {
        self.lifetime = (now.saturating_sub(3_600), now.saturating_add(84 * 86_400));
        self
    }
}

/// The identity of the member at a leaf of a new group.
pub(super) fn identity(index: u32) -> String {
    format!("@user{index}:a.org/D")
}

impl Forge {
    /// Founds a group.
    pub fn new(founding: &Founding) -> Result<Self> {
        ensure!(founding.members > 0, "a group has members");
        let suite = founding.suite;
        let dice = Dice::new(founding.seed);
        let external = founding.external_senders.iter().map(|_| suite.signing_key(&dice));
        let external = external.collect::<Result<Vec<SigningKey>>>()?;
        let mut state = State {
            group_id: founding.group_id.clone(),
            epoch: founding.epoch,
            tree: Tree::new(suite),
            tree_hash: Vec::new(),
            keys: BTreeMap::new(),
            extensions: founding.extensions.clone(),
            confirmed: if founding.epoch == 0 { Vec::new() } else { dice.bytes(suite.hash_length()) },
            interim: Vec::new(),
            confirmation_tag: dice.bytes(suite.hash_length()),
        };
        if !external.is_empty() {
            let keys = external.iter().map(|key| key.public().to_vec());
            let names = founding.external_senders.iter().map(|name| Credential::basic(name));
            state.extensions.push(Extension::external_senders(&keys.zip(names).collect::<Vec<_>>()));
        }
        let external_pub = suite.hpke_key(&dice)?;
        let mut forge = Self { suite, lifetime: founding.lifetime, external, external_pub, dice, state };
        forge.seat(founding)?;
        if founding.shape == Shape::Warm {
            for index in (0..founding.members).step_by(2).rev() {
                forge.warm(index, founding.leaves.get(&index))?;
            }
        }
        forge.state.hash_tree();
        forge.state.hash_interim(suite);
        Ok(forge)
    }

    /// Everybody takes a leaf.
    fn seat(&mut self, founding: &Founding) -> Result<()> {
        let honest = LeafDraft::default();
        for index in 0..founding.members {
            let mut leaf = self.stranger(&identity(index))?;
            if index == 0 {
                leaf.node.source = Source::Commit(Vec::new());
            }
            let draft = founding.leaves.get(&index).unwrap_or(&honest);
            let leaf = draft.on(&leaf, &founding.group_id, index)?;
            // The next leaf to the right, without a search for a blank one.
            let place = if self.state.tree.width() > index as usize { index } else { self.state.tree.room() };
            self.state.tree.set_leaf(place, leaf.node);
            self.state.keys.insert(index, leaf.key);
        }
        Ok(())
    }

    /// The member at a leaf commits, and nothing is left of it but its path.
    fn warm(&mut self, index: u32, draft: Option<&LeafDraft>) -> Result<()> {
        let path = self.state.tree.filtered_path(index);
        // Higher up, whoever sits leftmost commits later and sets all anew, so that nobody ever sees these keys: they need
        // not be points of a curve, which take long to find.
        let lasting = |at: At| index == 0 || at.level <= index.trailing_zeros() as usize;
        let keys = path.iter().map(|(at, _)| match lasting(*at) {
            true => self.suite.hpke_key(&self.dice),
            false => Ok(self.dice.bytes(32)),
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let Leaf { mut node, key } = self.member(index)?;
        node.source = Source::Commit(self.state.tree.set_path(index, &keys));
        node.encryption_key = self.suite.hpke_key(&self.dice)?;
        let honest = LeafDraft::default();
        let leaf = draft.unwrap_or(&honest).on(&Leaf { node, key }, &self.state.group_id, index)?;
        self.state.tree.set_leaf(index, leaf.node);
        Ok(())
    }
}
