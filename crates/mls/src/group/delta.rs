//! What a valid message changes: applied by value, written as bytes, and carried out again from them.

use std::collections::HashSet;

use super::{
    Group, Pending,
    changes::{TreeChanges, put_hashes, put_successor, read_hashes, read_successor},
    interim_transcript_hash, write_context,
};
use crate::{
    reader::{Broken, Reader},
    suite::Hash,
    tree::Changes,
    wire::{Extensions, LeafNode},
    writer::Write as _,
};

/// The effect of a valid message on the group that it was validated against.
#[derive(Clone, Debug)]
pub struct Delta {
    base: Base,
    effect: Effect,
}

/// The state that a delta belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Base {
    epoch: u64,
    tree_hash: Hash,
    /// Two epochs may have the same tree; they never have the same transcript.
    interim_transcript_hash: Hash,
    /// The same for the proposals that wait.
    pending: Hash,
}

#[derive(Clone, Debug)]
enum Effect {
    Proposal(Pending),
    Commit(Box<Commit>),
}

#[derive(Clone, Debug)]
struct Commit {
    changes: TreeChanges,
    settled: Changes,
    context: Box<[u8]>,
    tree_hash: Hash,
    confirmed: Hash,
    confirmation_tag: Box<[u8]>,
    extensions: Option<Box<[u8]>>,
    successor: Option<Box<[u8]>>,
    who: Committed,
}

/// What a commit does, for whoever must tell people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The epoch that it makes.
    pub epoch: u64,
    /// The committer's leaf, in the new tree.
    pub committer: u32,
    /// Whether the committer joins by it.
    pub external: bool,
    /// Who comes.
    pub joined: Vec<Joined>,
    /// Who goes.
    pub left: Vec<Left>,
    /// Whose leaf becomes another.
    pub replaced: Vec<Replaced>,
    /// The references of the pending proposals that it commits.
    pub consumed: Vec<Hash>,
    /// The references of those that it leaves out, and that are void with it.
    pub omitted: Vec<Hash>,
    /// Whether it replaces the group's extensions.
    pub extends: bool,
    /// Whether it closes the group by a ReInit.
    pub closes: bool,
}

/// A member that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its leaf's index.
    pub leaf: u32,
    /// Its `LeafNode`.
    pub node: Box<[u8]>,
    /// The `KeyPackageRef` of the KeyPackage that an Add has used up; nothing when it joins by an external commit.
    pub key_package: Option<Hash>,
}

/// A member that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its leaf's index.
    pub leaf: u32,
    /// Its `LeafNode`.
    pub node: Box<[u8]>,
}

/// A member whose leaf is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its leaf's index.
    pub leaf: u32,
    /// Its `LeafNode` until now.
    pub before: Box<[u8]>,
    /// Its `LeafNode` from now on.
    pub after: Box<[u8]>,
}

/// A delta was to be applied to a state that it does not belong to. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the delta belongs to another state of the group")]
pub struct WrongBase(pub Box<Delta>);

/// Why a written delta was not carried out. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The bytes are not what they say they are.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It belongs to another state of the group.
    #[error("the delta belongs to another state of the group")]
    OtherState,
    /// It does not come to the tree that it states.
    #[error("the delta does not come to the tree hash that it states")]
    TreeHash,
}

/// What a commit makes of the group beside its tree.
pub(super) struct Outcome {
    pub(super) extensions: Option<Box<[u8]>>,
    pub(super) epoch: u64,
    pub(super) confirmed: Hash,
    pub(super) confirmation_tag: Box<[u8]>,
    pub(super) successor: Option<Box<[u8]>>,
    pub(super) consumed: HashSet<usize>,
}

/// The first bytes of a written delta: what kind it is, and which version of the format.
const PROPOSAL_FORMAT: u16 = 0x0101;
const COMMIT_FORMAT: u16 = 0x0201;

impl Delta {
    pub(super) fn of_proposal(group: &Group, pending: Pending) -> Self {
        Self { base: Base::of(group), effect: Effect::Proposal(pending) }
    }

    pub(super) fn of_commit(
        group: &Group,
        changes: TreeChanges,
        settled: Changes,
        outcome: Outcome,
        who: Committed,
    ) -> Self {
        let tree_hash = settled.root_hash(&group.tree);
        let extensions = outcome.extensions.as_deref().unwrap_or(&group.extensions);
        let hashes = [tree_hash.as_ref(), outcome.confirmed.as_ref()];
        let context = write_context(group.suite, &group.group_id, outcome.epoch, hashes, extensions);
        let (consumed, omitted): (Vec<_>, Vec<_>) =
            (0..).zip(&group.pending).partition(|(index, _)| outcome.consumed.contains(index));
        let references = |list: Vec<(usize, &Pending)>| {
            list.into_iter().map(|(_, pending)| Hash::of(pending.reference())).collect()
        };
        let who = Committed {
            epoch: outcome.epoch,
            consumed: references(consumed),
            omitted: references(omitted),
            extends: outcome.extensions.is_some(),
            closes: outcome.successor.is_some(),
            ..who
        };
        let commit = Commit {
            changes,
            settled,
            context,
            tree_hash,
            confirmed: outcome.confirmed,
            confirmation_tag: outcome.confirmation_tag,
            extensions: outcome.extensions,
            successor: outcome.successor,
            who,
        };
        Self { base: Base::of(group), effect: Effect::Commit(Box::new(commit)) }
    }

    /// The hash of the tree that it was validated against.
    pub fn base(&self) -> &[u8] {
        self.base.tree_hash.as_ref()
    }

    /// The epoch that it was validated in.
    pub fn epoch(&self) -> u64 {
        self.base.epoch
    }

    /// The proposal that it puts among those that wait, if it is one.
    pub fn proposed(&self) -> Option<&Pending> {
        match &self.effect {
            Effect::Proposal(pending) => Some(pending),
            Effect::Commit(_) => None,
        }
    }

    /// What the commit does, if it is one.
    pub fn committed(&self) -> Option<&Committed> {
        match &self.effect {
            Effect::Commit(commit) => Some(&commit.who),
            Effect::Proposal(_) => None,
        }
    }

    /// The `GroupContext` that the commit makes, if it is one.
    pub fn context(&self) -> Option<&[u8]> {
        match &self.effect {
            Effect::Commit(commit) => Some(&commit.context),
            Effect::Proposal(_) => None,
        }
    }

    /// The tag of the commit, if it is one.
    pub fn confirmation_tag(&self) -> Option<&[u8]> {
        match &self.effect {
            Effect::Commit(commit) => Some(&commit.confirmation_tag),
            Effect::Proposal(_) => None,
        }
    }

    /// It as bytes, from which [`Group::replay`] makes the same state again.
    ///
    /// What stands in them is RFC 9420's: leaves, keys, hashes, references and extensions, without the ciphertexts, which
    /// nobody but members can read and which are the greater part of a commit in a large group.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match &self.effect {
            Effect::Proposal(pending) => {
                bytes.put_u16(PROPOSAL_FORMAT);
                self.base.write(&mut bytes);
                bytes.put_opaque(pending.authenticated());
            }
            Effect::Commit(commit) => {
                bytes.put_u16(COMMIT_FORMAT);
                self.base.write(&mut bytes);
                commit.changes.write(&mut bytes);
                bytes.put_opaque(commit.tree_hash.as_ref());
                bytes.put_opaque(commit.confirmed.as_ref());
                bytes.put_opaque(&commit.confirmation_tag);
                bytes.put_u8(u8::from(commit.extensions.is_some()));
                bytes.put(commit.extensions.as_deref().unwrap_or_default());
                put_successor(&mut bytes, commit.successor.as_deref());
                put_hashes(&mut bytes, &commit.who.consumed);
                let added: Vec<Hash> =
                    commit.who.joined.iter().filter_map(|joined| joined.key_package).collect();
                put_hashes(&mut bytes, &added);
            }
        }
        bytes
    }
}

impl Base {
    fn of(group: &Group) -> Self {
        Self {
            epoch: group.epoch,
            tree_hash: group.tree_hash,
            interim_transcript_hash: group.interim_transcript_hash,
            pending: group.pending_hash,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put_u64(self.epoch);
        bytes.put_opaque(self.tree_hash.as_ref());
        bytes.put_opaque(self.interim_transcript_hash.as_ref());
        bytes.put_opaque(self.pending.as_ref());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Broken> {
        Ok(Self {
            epoch: reader.u64("the base's epoch is cut short")?,
            tree_hash: Hash::of(reader.opaque("the base's tree hash is cut short")?),
            interim_transcript_hash: Hash::of(reader.opaque("the base's transcript hash is cut short")?),
            pending: Hash::of(reader.opaque("the base's proposals are cut short")?),
        })
    }
}

impl Joined {
    /// What its leaf says.
    pub fn leaf_node(&self) -> Option<LeafNode<'_>> {
        LeafNode::from_bytes(&self.node).ok()
    }
}

impl Replaced {
    /// What its leaf says until now, and from now on.
    pub fn leaf_nodes(&self) -> Option<(LeafNode<'_>, LeafNode<'_>)> {
        Some((LeafNode::from_bytes(&self.before).ok()?, LeafNode::from_bytes(&self.after).ok()?))
    }
}

impl Left {
    /// What its leaf said.
    pub fn leaf_node(&self) -> Option<LeafNode<'_>> {
        LeafNode::from_bytes(&self.node).ok()
    }
}

impl Group {
    /// Carries out a delta that was validated against this very state. It cannot fail; a delta of another state is given
    /// back.
    ///
    /// # Errors
    /// With the delta, when it belongs to another state.
    pub fn apply(&mut self, delta: Delta) -> Result<(), WrongBase> {
        if delta.base != Base::of(self) {
            return Err(WrongBase(Box::new(delta)));
        }
        match delta.effect {
            Effect::Proposal(pending) => self.keep(pending),
            Effect::Commit(commit) => {
                let commit = *commit;
                self.tree.apply(commit.settled);
                self.epoch = commit.who.epoch;
                self.tree_hash = commit.tree_hash;
                self.confirmed_transcript_hash = commit.confirmed;
                self.interim_transcript_hash =
                    interim_transcript_hash(self.suite, commit.confirmed.as_ref(), &commit.confirmation_tag);
                self.confirmation_tag = commit.confirmation_tag;
                self.context = commit.context;
                if let Some(extensions) = commit.extensions {
                    self.extensions = extensions;
                }
                self.successor = commit.successor;
                self.pending.clear();
                self.pending_hash = Hash::EMPTY;
            }
        }
        Ok(())
    }

    /// Carries out a delta again that was written by [`Delta::to_bytes`]. Nothing in it is judged anew, but it must come
    /// to the same tree hash. The proposals that waited when a commit was made need not be there again.
    ///
    /// ```
    /// use maypole_mls::{Group, Strict, UnixSeconds};
    /// use maypole_testkit::mls::Member;
    ///
    /// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let mut group = Group::import(&alice.group_info(true)?, None, &Strict, now)?;
    /// let mut copy = Group::restore(&group.snapshot())?;
    ///
    /// let delta = group.validate(&alice.update()?.message, &Strict, now)?;
    /// copy.replay(&delta.to_bytes())?;
    /// group.apply(delta).unwrap();
    /// assert_eq!(copy.snapshot(), group.snapshot());
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are no delta, or not one of this state. Nothing is changed then.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        let mut reader = Reader::new(bytes);
        let unknown = reader.broken("this is no delta, or one of a newer format");
        let format = reader.u16("the delta's format is missing")?;
        let base = Base::read(&mut reader)?;
        // A commit ends what waits, and its delta says all that it did: what waited need not be there again.
        let waits = if format == COMMIT_FORMAT { base.pending } else { self.pending_hash };
        if base != (Base { pending: waits, ..Base::of(self) }) {
            return Err(ReplayError::OtherState);
        }
        let delta = match format {
            PROPOSAL_FORMAT => {
                let authenticated = reader.opaque("the proposal is cut short")?;
                reader.end()?;
                Delta::of_proposal(self, Pending::read(authenticated, self.suite)?)
            }
            COMMIT_FORMAT => self.read_commit(&mut reader)?,
            _ => return Err(unknown.into()),
        };
        self.apply(delta).map_err(|_| ReplayError::OtherState)
    }

    fn read_commit(&self, reader: &mut Reader<'_>) -> Result<Delta, ReplayError> {
        let changes = TreeChanges::read(reader)?;
        let tree_hash = reader.opaque("the tree hash is cut short")?;
        let confirmed = Hash::of(reader.opaque("the transcript hash is cut short")?);
        let confirmation_tag = reader.opaque("the confirmation tag is cut short")?.into();
        let extends = reader.present("the extensions are missing")?;
        let extensions = extends.then(|| Extensions::read(reader)).transpose()?.map(|list| list.raw.into());
        let successor = read_successor(reader)?;
        let consumed: HashSet<Vec<u8>> =
            read_hashes(reader)?.iter().map(|hash| hash.as_ref().to_vec()).collect();
        // The KeyPackages that were used up: for whoever reads deltas later, and nothing to the state.
        read_hashes(reader)?;
        reader.end()?;
        if !changes.is_of(&self.tree) {
            return Err(reader.broken("a leaf that is changed holds nobody").into());
        }

        let mut draft = self.tree.draft();
        changes.start(&mut draft);
        changes.finish(&mut draft);
        let settled = draft.settled();
        if settled.root_hash(&self.tree).as_ref() != tree_hash {
            return Err(ReplayError::TreeHash);
        }
        let is_consumed = |pending: &Pending| consumed.contains(pending.reference());
        let outcome = Outcome {
            extensions,
            epoch: self.epoch.saturating_add(1),
            confirmed,
            confirmation_tag,
            successor,
            consumed: (0..)
                .zip(&self.pending)
                .filter(|(_, one)| is_consumed(one))
                .map(|(index, _)| index)
                .collect(),
        };
        Ok(Delta::of_commit(self, changes, settled, outcome, Committed::default()))
    }
}
