//! What RFC 9420 leaves to the application, and the bounds that it does not set.

use crate::wire::{Body, Credential, ExternalSender};

/// A time, in seconds since 1970. It is always passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// The application's part of the verdict. Every answer has a strict default; [`Strict`] gives all of them.
///
/// ```
/// use maypole_mls::{Policy, wire::Credential};
///
/// /// Lets a user have the same identity in several leaves.
/// struct Shared;
///
/// impl Policy for Shared {
///     fn may_share_identity(&self) -> bool {
///         true
///     }
/// }
/// ```
pub trait Policy: Sync {
    /// Whether a credential is acceptable at all (§5.3.1). What it means is for the application alone, so by default
    /// each is.
    fn accepts(&self, credential: &Credential<'_>, signature_key: &[u8]) -> bool {
        let _ = (credential, signature_key);
        true
    }

    /// Whether somebody may be among a group's external senders (§5.3.1), asked when a group is imported and whenever its
    /// extensions are replaced. By default each may.
    fn accepts_external_sender(&self, sender: &ExternalSender<'_>) -> bool {
        let _ = sender;
        true
    }

    /// Whether a leaf with the one credential may be replaced by one with the other: by an Update, by a commit's path,
    /// or by an external commit that removes it (§12.2). By default only where they are the same.
    fn may_replace(&self, old: &Credential<'_>, new: &Credential<'_>) -> bool {
        old == new
    }

    /// Whether two members may have the same credential. By default not.
    fn may_share_identity(&self) -> bool {
        false
    }

    /// How lifetimes are judged.
    fn lifetimes(&self) -> Lifetimes {
        Lifetimes::default()
    }

    /// Whether pre-shared keys are taken. By default not: who follows a group from outside cannot know who has them.
    fn takes_pre_shared_keys(&self) -> bool {
        false
    }

    /// Whether a ReInit is taken. It closes the group. By default not.
    fn takes_reinit(&self) -> bool {
        false
    }

    /// Whether a pending proposal must be in the next member's commit, unless that removes the proposal's leaf otherwise,
    /// or the leaf is the committer's own. By default none must: RFC 9420 §12.4 asks receivers not to insist, because a
    /// commit may have crossed the proposal on its way.
    fn must_commit(&self, proposal: &crate::Pending) -> bool {
        let _ = proposal;
        false
    }

    /// What is known of a type of proposal that neither RFC 9420 nor draft-ietf-mls-extensions has. By default nothing, and
    /// it is refused.
    fn declared(&self, proposal_type: u16) -> Option<Declared> {
        let _ = proposal_type;
        None
    }

    /// What the application knows of a component of its data. By default it knows none, and what is proposed for them is
    /// refused.
    fn component(&self, component: u16) -> Option<&dyn Component> {
        let _ = component;
        None
    }

    /// How much of everything.
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }
}

/// An application's side of one component of its data, for AppDataUpdate and AppEphemeral (draft-ietf-mls-extensions).
/// Every client of a group must come to the same answers.
///
/// ```
/// use maypole_mls::{Component, Policy};
///
/// /// Keeps whatever was said last.
/// struct Topic;
///
/// impl Component for Topic {
///     fn update(&self, _before: Option<&[u8]>, updates: &[&[u8]]) -> Option<Vec<u8>> {
///         updates.last().map(|update| update.to_vec())
///     }
/// }
///
/// struct Rooms;
///
/// impl Policy for Rooms {
///     fn component(&self, component: u16) -> Option<&dyn Component> {
///         (component == 0x8001).then_some(&Topic)
///     }
/// }
/// ```
pub trait Component: Sync {
    /// The component's data in the group after updates, in the order of their commit; nothing when they are not valid.
    /// There is always one update at least. It is asked before signatures are verified, of whatever an external commit holds.
    fn update(&self, before: Option<&[u8]>, updates: &[&[u8]]) -> Option<Vec<u8>>;

    /// Whether its data may be removed. By default it may.
    fn may_remove(&self) -> bool {
        true
    }

    /// Whether a commit may say this to it. By default nothing is said to it.
    fn takes(&self, ephemeral: &[u8]) -> bool {
        let _ = ephemeral;
        false
    }

    /// Whether an external sender may send something for it. By default it may.
    fn external(&self) -> bool {
        true
    }

    /// Whether an external commit may have something for it. By default it may.
    fn in_external_commit(&self) -> bool {
        true
    }
}

/// The policy of the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strict;

impl Policy for Strict {}

/// How the lifetimes of leaves are judged (§7.2, §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The longest that may be, from its first second to its last.
    pub longest_s: u64,
    /// How far others' clocks may be off.
    pub leeway_s: u64,
    /// Whether a tree is refused at import because a leaf's lifetime is over. By default it is not: the leaf was good
    /// when it was added, and the group goes on although its member has not committed since.
    pub refuse_expired_at_import: bool,
    /// Whether a tree is refused at import because a leaf's lifetime is longer than the longest. By default it is not:
    /// who runs a service may shorten what it takes without losing the groups that it has.
    pub refuse_long_at_import: bool,
}

impl Default for Lifetimes {
    /// A little more than the year that is the longest default of the known implementations; an hour of leeway.
    fn default() -> Self {
        Self {
            longest_s: 400 * 24 * 60 * 60,
            leeway_s: 60 * 60,
            refuse_expired_at_import: false,
            refuse_long_at_import: false,
        }
    }
}

/// A type of proposal that an application declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// How its content is written.
    pub body: Body,
    /// Whether a commit that has it needs a path (§12.4).
    pub needs_path: bool,
    /// Whether an external sender may send it (§12.1.8).
    pub external: bool,
    /// Whether it may stand in an external commit (§12.2).
    pub in_external_commit: bool,
}

/// The most entries of a commit that are read at all, whatever the policy allows.
pub(crate) const READ_PROPOSALS: usize = 1 << 16;
/// The most nodes of a path that are read: no tree is deeper.
pub(crate) const READ_PATH_NODES: usize = 32;
/// The most readers of a Welcome that are read.
pub(crate) const READ_WELCOME_ENTRIES: usize = 1 << 16;

/// Every bound that an application may set, in one place. Units stand last in the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The leaves of a tree.
    pub members: u32,
    /// The bytes of all nodes of a tree.
    pub tree_bytes: usize,
    /// A message.
    pub message_bytes: usize,
    /// A leaf.
    pub leaf_bytes: usize,
    /// A proposal that is sent by itself, or a KeyPackage.
    pub proposal_bytes: usize,
    /// The extensions of a group.
    pub extensions_bytes: usize,
    /// Proposals that wait for a commit.
    pub pending: usize,
    /// The bytes of all of them.
    pub pending_bytes: usize,
    /// Proposals of one sender that wait for a commit.
    pub pending_of_sender: usize,
    /// Proposals in one commit.
    pub proposals: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            members: 1 << 17,
            tree_bytes: 256 << 20,
            message_bytes: 50 << 20,
            leaf_bytes: 64 << 10,
            proposal_bytes: 256 << 10,
            extensions_bytes: 64 << 10,
            pending: 4096,
            pending_bytes: 64 << 20,
            pending_of_sender: 256,
            proposals: 1 << 16,
        }
    }
}
