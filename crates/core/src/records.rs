//! What the store keeps, apart from groups: the inbox, the answers, the outbox.

use serde::{Deserialize, Serialize};

use crate::auth::{Authenticated, Caller};
use crate::ids::{DeviceId, InboxSeq, Lane, OwedId, PushTxnId, RoomId, Sha256, UserId};
use crate::time::Timestamp;

/// A message as it came in, before anybody has looked into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxItem {
    sender: UserId,
    /// When it was received.
    pub received_at: Timestamp,
    /// The message.
    pub message: Incoming,
}

impl InboxItem {
    /// A message from a caller whom the homeserver vouches for.
    pub fn new(caller: Caller, received_at: Timestamp, message: Incoming) -> Self {
        Self { sender: caller.into_inner(), received_at, message }
    }

    /// Who sent it, as the homeserver said when it was received.
    pub fn caller(&self) -> Caller {
        Authenticated::stored(self.sender.clone())
    }

    /// The sender's account.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }
}

/// What can come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Incoming {
    /// A message from one device to the service.
    ToDevice {
        /// The event type, as the client spelled it.
        kind: String,
        /// The content, byte for byte as the homeserver passed it on.
        content: Vec<u8>,
    },
    /// An invitation of the service to a room.
    Invite {
        /// The room.
        room: RoomId,
        /// The stripped state that came with it, byte for byte.
        state: Vec<u8>,
    },
}

/// A row of the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRow {
    /// Its place.
    pub seq: InboxSeq,
    /// What came in.
    pub item: InboxItem,
}

/// Under what an answer is remembered: the same question finds it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnswerKey(pub Sha256);

/// An answer that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The hash of the question, so that another question under the same key is noticed.
    pub question: Sha256,
    /// The answer, ready to be sent again.
    pub reply: Delivery,
    /// In which lane it is sent.
    pub lane: Lane,
    /// When it may be forgotten.
    pub expires_at: Timestamp,
}

/// Something that the service owes to the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Where it waits its turn.
    pub lane: Lane,
    /// What is to be done.
    pub delivery: Delivery,
    /// Since when it is owed.
    pub owed_at: Timestamp,
}

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedRow {
    /// Its name; never given out twice.
    pub id: OwedId,
    /// What is owed.
    pub owed: Owed,
}

/// What can be owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// One message to some devices.
    ToDevice {
        /// The event type.
        kind: String,
        /// The content, as JSON.
        content: Vec<u8>,
        /// Who gets it.
        recipients: Vec<Recipient>,
    },
}

/// A device, or all devices of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Recipient {
    /// The account.
    pub user: UserId,
    /// The device; `None` for all of them.
    pub device: Option<DeviceId>,
}

/// A push transaction that was received whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PushTransaction {
    /// The homeserver's name for it.
    pub id: PushTxnId,
    /// The hash of its body: a homeserver that lost its memory uses old names for new bodies.
    pub body: Sha256,
}

/// Something that could not be handled, kept for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// When it was set aside.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// What it was.
    pub what: SetAsideKind,
}

/// What was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetAsideKind {
    /// An event that could not even be read, cut to a bounded length.
    Event(Vec<u8>),
    /// A message of the inbox.
    Inbox(InboxItem),
    /// Something owed that was refused for good.
    Owed(Owed),
}

/// How much waits in the two queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Rows in the inbox.
    pub inbox: u64,
    /// Rows in the outbox.
    pub owed: u64,
}

/// How far a store has come: counters that grow with what it does and never go back, each in the write that it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The next row of the inbox.
    pub inbox: u64,
    /// The next row of the outbox, or a later one: a database may leave numbers out, and count on without writing.
    pub owed: u64,
    /// How often a KeyPackage was taken out, or a last resort used for the first time.
    pub issued: u64,
}

impl Progress {
    /// Whether it lacks something that the other has. What is owed follows from messages, and is not looked at.
    ///
    /// ```
    /// use maypole_core::records::Progress;
    ///
    /// let now = Progress { inbox: 7, owed: 9, issued: 2 };
    /// assert!(Progress { inbox: 6, ..now }.is_behind(&now));
    /// assert!(!Progress { owed: 8, ..now }.is_behind(&now));
    /// ```
    pub const fn is_behind(&self, other: &Self) -> bool {
        self.inbox < other.inbox || self.issued < other.issued
    }

    /// What is as far as both, in everything.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        Self {
            inbox: self.inbox.max(other.inbox),
            owed: self.owed.max(other.owed),
            issued: self.issued.max(other.issued),
        }
    }
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// Rows in the inbox.
    pub inbox: u64,
    /// Rows in the outbox.
    pub owed: u64,
    /// Rows set aside.
    pub set_aside: u64,
    /// Answers remembered.
    pub answers: u64,
    /// Groups.
    pub groups: u64,
    /// Groups in which something is staged.
    pub staged: u64,
}
