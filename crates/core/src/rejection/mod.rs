//! The one enum behind every refusal: what went wrong, in types, and what follows from it.
//!
//! Each [`Rejection`] belongs to one [`Code`]; the code knows its name on the wire, its HTTP status,
//! what the caller can do, and whether the same question may be asked again. Dialects
//! translate a rejection into their own words; they add nothing to it.

mod codes;
mod unsupported;
mod verdicts;

use std::time::Duration;

use crate::ids::{Epoch, UserId};

pub use codes::{Code, Facts};
pub use unsupported::Unsupported;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The JSON around the message is not what it should be.
    #[error("`{field}` {problem}")]
    BadJson {
        /// Which part of the content.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The bytes are not the MLS structure that they should be.
    #[error("{} breaks off being MLS at byte {offset}: {problem}", part.noun())]
    Malformed {
        /// Which of the structures.
        part: Part,
        /// Where the bytes stop making sense.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Well formed, but not something that this service does.
    #[error("{0}")]
    Unsupported(Unsupported),
    /// More bytes than are taken.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How much is taken.
        limit_bytes: u64,
    },
    /// More things than are taken.
    #[error("{what}: at most {limit} are taken")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many are taken.
        limit: u64,
    },
    /// The transaction ID was used for other content.
    #[error("this transaction ID was used before, for other content")]
    TxnReused,
    /// No group has this ID here.
    #[error("this delivery service has no such group")]
    UnknownGroup,
    /// Too much, too fast.
    #[error("too many messages; wait before sending more")]
    LimitExceeded {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Somebody else made the next epoch first.
    #[error("somebody else was first{}", current.map(|epoch| format!(": the group is in epoch {epoch}")).unwrap_or_default())]
    StaleEpoch {
        /// The epoch that the group is in; not for those who have no part in it.
        current: Option<Epoch>,
        /// How long that epoch is kept for this device, which was too late again and again.
        reserved: Option<Duration>,
    },
    /// The commit leaves leaves in the group that must go.
    #[error("the commit must remove leaves that have to go, and leaves them where they are")]
    MissingProposals {
        /// The proposals that remove them, as they were sent to everybody; as many as fit.
        proposals: Vec<Vec<u8>>,
    },
    /// The device's own leaf must go.
    #[error("this device's leaf must go from the group: it commits and proposes nothing any more")]
    Leaving,
    /// What is asked for lies too far back.
    #[error("epoch {from} lies too far back to be told about; the oldest is {oldest}")]
    EpochGone {
        /// The epoch that was asked for.
        from: Epoch,
        /// The oldest that can be.
        oldest: Epoch,
    },
    /// What is asked for has not come yet.
    #[error("epoch {asked} has not begun; the group is in epoch {current}")]
    EpochAhead {
        /// The epoch that was asked for.
        asked: Epoch,
        /// The epoch that the group is in.
        current: Epoch,
    },
    /// One of the structures breaks a rule.
    #[error("{}: {} ({})", part.noun(), check.problem, check.section)]
    Invalid {
        /// Which.
        part: Part,
        /// Which rule.
        check: Check,
    },
    /// The sender, or the device that it names, is not the member whose message this is.
    #[error("the message comes from {sender}, and the leaf is {leaf}'s")]
    SenderMismatch {
        /// Who sent it.
        sender: String,
        /// Whom the leaf names.
        leaf: String,
    },
    /// A leaf's identity is not one, or is not bound to its device.
    #[error("the leaf of {identity} {problem}")]
    Identity {
        /// Which leaf, in the tree that the message makes.
        leaf: Option<u32>,
        /// Whom it names.
        identity: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The caller may not do that.
    #[error("{rule}")]
    Forbidden {
        /// The rule, in a sentence.
        rule: String,
    },
    /// What the message cites is not, or not any more, what is in force.
    #[error("what the commit cites is not the room's current state")]
    StaleAuthEvents {
        /// What is in force instead.
        current: Vec<Citable>,
    },
    /// The message does not cite what it must.
    #[error("the commit does not cite what it rests on")]
    MissingAuthEvents {
        /// What it must cite.
        current: Vec<Citable>,
    },
    /// Users are added who are not there.
    #[error("not in the room: {}", list(users))]
    NotJoined {
        /// They.
        users: Vec<UserId>,
    },
    /// Another delivery service is responsible.
    #[error("this is not the delivery service of that room")]
    NotDeliveryService {
        /// The one that is, if it is known.
        service: Option<String>,
    },
    /// Nothing is ordered in the group at the moment.
    #[error("the group is frozen: {reason}")]
    Frozen {
        /// Why.
        reason: String,
    },
    /// Bytes could not be fetched from where the message says they are.
    #[error("the blob of `{field}` {problem}")]
    Blob {
        /// Which part of the content names it.
        field: &'static str,
        /// What went wrong.
        problem: &'static str,
    },
    /// Somebody whom the answer depends on does not answer.
    #[error("{problem}: {}", list(users))]
    Unavailable {
        /// Who it is about.
        users: Vec<UserId>,
        /// What cannot be had.
        problem: &'static str,
    },
}

/// A structure that a message brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The message itself, a commit.
    Commit,
    /// The message itself, a proposal.
    Proposal,
    /// The message itself, whatever it was to be.
    Message,
    /// The GroupInfo: that of a registration, or of the epoch that a commit makes.
    GroupInfo,
    /// The Welcome of a commit.
    Welcome,
    /// A KeyPackage of an upload.
    KeyPackage,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule's name, for programs.
    pub name: &'static str,
    /// Where it stands.
    pub section: &'static str,
    /// What is wrong, in words.
    pub problem: String,
}

/// Something in force that a message can cite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citable {
    /// Its name.
    pub id: String,
    /// What kind of thing it is.
    pub kind: String,
    /// What tells it from others of its kind.
    pub key: String,
}

impl Part {
    /// What it is called in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Commit => "the commit",
            Self::Proposal => "the proposal",
            Self::Message => "the message",
            Self::GroupInfo => "the GroupInfo",
            Self::Welcome => "the Welcome",
            Self::KeyPackage => "the KeyPackage",
        }
    }
}

impl Rejection {
    /// The code that this refusal goes by.
    pub const fn code(&self) -> Code {
        match self {
            Self::BadJson { .. } => Code::BadJson,
            Self::Malformed { .. } => Code::Malformed,
            Self::Unsupported(_) => Code::Unsupported,
            Self::TooLarge { .. } | Self::TooMany { .. } => Code::TooLarge,
            Self::TxnReused => Code::TxnReused,
            Self::UnknownGroup => Code::UnknownGroup,
            Self::LimitExceeded { .. } => Code::LimitExceeded,
            Self::StaleEpoch { .. } => Code::StaleEpoch,
            Self::MissingProposals { .. } => Code::MissingProposals,
            Self::Leaving => Code::Leaving,
            Self::EpochGone { .. } => Code::EpochGone,
            Self::EpochAhead { .. } => Code::EpochAhead,
            Self::Invalid { part: Part::Commit | Part::Message, .. } => Code::InvalidCommit,
            Self::Invalid { part: Part::Proposal, .. } => Code::InvalidProposal,
            Self::Invalid { part: Part::GroupInfo, .. } => Code::InvalidGroupInfo,
            Self::Invalid { part: Part::Welcome, .. } => Code::InvalidWelcome,
            Self::Invalid { part: Part::KeyPackage, .. } => Code::InvalidKeyPackage,
            Self::SenderMismatch { .. } => Code::SenderMismatch,
            Self::Identity { .. } => Code::Identity,
            Self::Forbidden { .. } => Code::Forbidden,
            Self::StaleAuthEvents { .. } => Code::StaleAuthEvents,
            Self::MissingAuthEvents { .. } => Code::MissingAuthEvents,
            Self::NotJoined { .. } => Code::NotJoined,
            Self::NotDeliveryService { .. } => Code::NotDeliveryService,
            Self::Frozen { .. } => Code::Frozen,
            Self::Blob { .. } => Code::Blob,
            Self::Unavailable { .. } => Code::Unavailable,
        }
    }

    /// A refusal by a rule of the application that `section` states.
    pub fn terms(part: Part, name: &'static str, section: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { part, check: Check { name, section, problem: problem.into() } }
    }

    /// A refusal of more than `limit` things.
    pub fn too_many(what: &'static str, limit: usize) -> Self {
        Self::TooMany { what, limit: u64::try_from(limit).unwrap_or(u64::MAX) }
    }

    /// A refusal by a rule of the room.
    pub fn forbidden(rule: impl Into<String>) -> Self {
        Self::Forbidden { rule: rule.into() }
    }
}

fn list(users: &[UserId]) -> String {
    users.iter().map(UserId::as_str).collect::<Vec<_>>().join(", ")
}
