//! A group, followed from its public messages.
//!
//! [`Group::validate`] gives a verdict and changes nothing; [`Group::apply`] carries out what was found valid and cannot
//! fail. Between the two, whoever keeps the group writes the [`Delta`] down.

mod app_data;
mod changes;
mod commit;
mod delta;
mod import;
mod list;
mod path;
mod pending;
mod propose;
mod snapshot;
#[cfg(test)]
mod vectors;

pub use delta::{Committed, Delta, Joined, Left, Replaced, ReplayError, WrongBase};
pub use import::check_key_package;
pub use pending::Pending;
pub use snapshot::RestoreError;

use crate::{
    envelope::{MLS_10, PRIVATE_MESSAGE, PUBLIC_MESSAGE, Sender},
    policy::{Policy, UnixSeconds},
    reader::Reader,
    refusal::{Place, Refusal, Rule},
    rules::Demands,
    suite::{Hash, Suite, sign_content},
    tree::{Tree, write_tree},
    wire::{Content, Extensions, GroupContext, LeafNode, PublicMessage, ReInit},
    writer::Write as _,
};

/// A group at an epoch, with the proposals that wait for the epoch's commit.
///
/// ```
/// use maypole_mls::{Group, Strict, UnixSeconds};
/// use maypole_testkit::mls::Member;
///
/// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
/// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
/// let bob = Member::new("@bob:b.org/LAPTOP", 1)?;
/// alice.create_group(b"!room:a.org", &[])?;
/// let mut group = Group::import(&alice.group_info(true)?, None, &Strict, now)?;
///
/// let commit = alice.add(&[bob.key_package()?])?;
/// let delta = group.validate(&commit.message, &Strict, now)?;
/// assert_eq!(delta.committed().map(|commit| commit.joined.len()), Some(1));
/// group.apply(delta).unwrap();
///
/// assert_eq!(group.epoch(), 1);
/// assert_eq!(group.ratchet_tree(), commit.ratchet_tree);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Group {
    suite: Suite,
    /// The GroupContext as it is signed.
    context: Box<[u8]>,
    group_id: Box<[u8]>,
    epoch: u64,
    tree_hash: Hash,
    confirmed_transcript_hash: Hash,
    interim_transcript_hash: Hash,
    confirmation_tag: Box<[u8]>,
    extensions: Box<[u8]>,
    tree: Tree,
    pending: Vec<Pending>,
    /// A hash over their references, in order: two groups with other proposals are in other states.
    pending_hash: Hash,
    /// The ReInit that has closed it.
    successor: Option<Box<[u8]>>,
}

/// One member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its leaf's index.
    pub leaf: u32,
    /// What its leaf says.
    pub node: LeafNode<'a>,
}

impl Group {
    /// Judges a commit or a proposal: an `MLSMessage` that holds a `PublicMessage`. Changes nothing.
    ///
    /// ```
    /// use maypole_mls::{Group, Rule, Strict, UnixSeconds};
    /// use maypole_testkit::mls::Member;
    ///
    /// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let mut group = Group::import(&alice.group_info(true)?, None, &Strict, now)?;
    ///
    /// let commit = alice.update()?;
    /// group.apply(group.validate(&commit.message, &Strict, now)?).unwrap();
    /// let refusal = group.validate(&commit.message, &Strict, now).unwrap_err();
    /// assert_eq!(refusal.rule, Rule::StaleEpoch);
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// With the rule that it breaks, and where.
    pub fn validate(&self, message: &[u8], policy: &dyn Policy, now: UnixSeconds) -> Result<Delta, Refusal> {
        if message.len() > policy.bounds().message_bytes {
            return Err(Rule::TooLarge.whole());
        }
        let message = read_message(message, policy)?;
        self.check_framing(&message)?;
        let demands = Demands::of(self.suite, self.extensions(), policy, now)?;
        match message.content {
            Content::Proposal(_) => self.validate_proposal(&message, &demands),
            Content::Commit(_) => self.validate_commit(message, &demands),
        }
    }

    /// Whether the message is for this group and this epoch, and its tags can be tags.
    fn check_framing(&self, message: &PublicMessage<'_>) -> Result<(), Refusal> {
        if message.group_id != self.group_id() {
            return Err(Rule::OtherGroup.whole());
        }
        if message.epoch < self.epoch {
            return Err(Rule::StaleEpoch.whole());
        }
        if message.epoch > self.epoch {
            return Err(Rule::FutureEpoch.whole());
        }
        if self.successor.is_some() {
            return Err(Rule::Closed.whole());
        }
        let is_mac = |tag: &[u8]| tag.len() == self.suite.hash_bytes();
        if matches!(message.content, Content::Commit(_)) && !is_mac(message.confirmation_tag) {
            return Err(Rule::ConfirmationTag.whole());
        }
        match message.sender {
            Sender::Member(leaf) if self.tree.leaf(leaf).is_none() => {
                Err(Rule::SenderBlank.at(Place::Leaf(leaf)))
            }
            Sender::Member(_) if !is_mac(message.membership_tag) => Err(Rule::MembershipTag.whole()),
            _ => Ok(()),
        }
    }

    /// Verifies the signature of a message (§6.1).
    fn verify_framing(&self, message: &PublicMessage<'_>, key: &[u8]) -> Result<(), Refusal> {
        let head = [MLS_10.to_be_bytes(), PUBLIC_MESSAGE.to_be_bytes()].concat();
        let context: &[u8] = match message.sender {
            Sender::Member(_) | Sender::NewMemberCommit => &self.context,
            Sender::External(_) | Sender::NewMemberProposal => &[],
        };
        let content = sign_content("FramedContentTBS", &[&head, message.framed, context]);
        if self.suite.verifies(key, &content, message.signature) {
            Ok(())
        } else {
            Err(Rule::Signature.whole())
        }
    }

    /// The group's ID.
    pub fn group_id(&self) -> &[u8] {
        &self.group_id
    }

    /// The epoch it is in.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Its cipher suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The hash of its ratchet tree.
    pub fn tree_hash(&self) -> &[u8] {
        self.tree_hash.as_ref()
    }

    /// The hash over its commits.
    pub fn confirmed_transcript_hash(&self) -> &[u8] {
        self.confirmed_transcript_hash.as_ref()
    }

    /// The same with the last commit's tag.
    pub fn interim_transcript_hash(&self) -> &[u8] {
        self.interim_transcript_hash.as_ref()
    }

    /// The tag of the commit that began the epoch.
    pub fn confirmation_tag(&self) -> &[u8] {
        &self.confirmation_tag
    }

    /// Its extensions.
    pub fn extensions(&self) -> Extensions<'_> {
        Extensions::read(&mut Reader::new(&self.extensions)).unwrap_or(Extensions::NONE)
    }

    /// Its `GroupContext` as RFC 9420 §8.1 writes it.
    pub fn context(&self) -> &[u8] {
        &self.context
    }

    /// What is to succeed it, once a ReInit has closed it (§12.1.5). Nothing is valid in it any more then.
    pub fn successor(&self) -> Option<ReInit<'_>> {
        ReInit::read(&mut Reader::new(self.successor.as_deref()?)).ok()
    }

    /// Its ratchet tree as RFC 9420 §12.4.3.3 writes it.
    pub fn ratchet_tree(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_tree(&self.tree, &mut bytes);
        bytes
    }

    /// How many bytes its tree has.
    pub fn tree_bytes(&self) -> usize {
        self.tree.bytes()
    }

    /// How many members it has.
    pub fn member_count(&self) -> u32 {
        self.tree.members()
    }

    /// Its members, by leaf.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.tree.leaves().filter_map(|leaf| self.member(leaf))
    }

    /// The member at a leaf.
    pub fn member(&self, leaf: u32) -> Option<Member<'_>> {
        Some(Member { leaf, node: self.tree.leaf(leaf)? })
    }

    /// The proposals that wait for a commit, in the order in which they came.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }
}

impl<'a> Member<'a> {
    /// The identity of its basic credential.
    pub fn identity(&self) -> Option<&'a [u8]> {
        self.node.credential.identity()
    }
}

/// Reads an `MLSMessage` that holds a `PublicMessage`.
fn read_message<'a>(bytes: &'a [u8], policy: &dyn Policy) -> Result<PublicMessage<'a>, Refusal> {
    let mut reader = Reader::new(bytes);
    let version = reader.u16("the protocol version is missing")?;
    if version != MLS_10 {
        return Err(Rule::Version.at(Place::Type(version)));
    }
    match reader.u16("the wire format is missing")? {
        PUBLIC_MESSAGE => {}
        PRIVATE_MESSAGE => return Err(Rule::Encrypted.whole()),
        format => return Err(Rule::NotHandshake.at(Place::Type(format))),
    }
    let declared = |kind| policy.declared(kind).map(|declared| declared.body);
    Ok(PublicMessage::read(&mut reader, &declared)?)
}

/// Writes a `GroupContext`.
fn write_context(
    suite: Suite,
    group_id: &[u8],
    epoch: u64,
    hashes: [&[u8]; 2],
    extensions: &[u8],
) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(group_id.len() + extensions.len() + 160);
    bytes.put_u16(MLS_10);
    bytes.put_u16(suite.code());
    bytes.put_opaque(group_id);
    bytes.put_u64(epoch);
    for hash in hashes {
        bytes.put_opaque(hash);
    }
    bytes.put(extensions);
    bytes.into_boxed_slice()
}

/// The confirmed transcript hash with a commit's `FramedContent` and signature (§8.2).
fn confirmed_transcript_hash(suite: Suite, interim: &[u8], confirmed: &[u8]) -> Hash {
    let mut input = Vec::with_capacity(interim.len() + confirmed.len() + 2);
    input.put(interim);
    input.put_u16(PUBLIC_MESSAGE);
    input.put(confirmed);
    suite.hash(&input)
}

/// The interim transcript hash (§8.2).
fn interim_transcript_hash(suite: Suite, confirmed: &[u8], confirmation_tag: &[u8]) -> Hash {
    let mut input = confirmed.to_vec();
    input.put_opaque(confirmation_tag);
    suite.hash(&input)
}

impl Group {
    /// A group of what a context, a tag and a tree say, unjudged.
    fn assemble(context: &GroupContext<'_>, suite: Suite, confirmation_tag: &[u8], tree: Tree) -> Self {
        Self {
            suite,
            context: context.raw.into(),
            group_id: context.group_id.into(),
            epoch: context.epoch,
            tree_hash: tree.root_hash(),
            confirmed_transcript_hash: Hash::of(context.confirmed_transcript_hash),
            interim_transcript_hash: interim_transcript_hash(
                suite,
                context.confirmed_transcript_hash,
                confirmation_tag,
            ),
            confirmation_tag: confirmation_tag.into(),
            extensions: context.extensions.raw.into(),
            tree,
            pending: Vec::new(),
            pending_hash: Hash::EMPTY,
            successor: None,
        }
    }

    /// Puts a proposal among those that wait.
    fn keep(&mut self, pending: Pending) {
        self.pending_hash = self.suite.hash(&[self.pending_hash.as_ref(), pending.reference()].concat());
        self.pending.push(pending);
    }
}
