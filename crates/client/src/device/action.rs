//! What a device wants done, and what it tells.

use maypole_core::ids::{ClientId, Epoch, RoomId, UserId};
use maypole_room::bytes::Blob;
use maypole_room::commit_event::AuthEvents;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Private, Wish};

/// What the caller does next, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Something happened.
    Tell(Event),
    /// Write the whole state, in one durable step, before anything after this is done.
    Persist(Private),
    /// Send a to-device message to a delivery service.
    Send(Outgoing),
    /// Send a room event, and call `Device::sent` when the homeserver has it.
    SendEvent(RoomMessage),
    /// Upload bytes, and call `Device::uploaded`.
    Upload {
        /// What to call the answer.
        id: TransferId,
        /// The bytes.
        bytes: Private,
    },
    /// Download bytes, and call `Device::downloaded`.
    Download {
        /// What to call the answer.
        id: TransferId,
        /// Where they are.
        blob: Blob,
    },
}

/// The device's name for bytes on their way to or from the media repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransferId(pub(super) u64);

/// A to-device message to all devices (`*`) of a delivery service.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The service's account.
    pub to: UserId,
    /// The event type.
    pub kind: String,
    /// The content.
    pub content: Value,
}

/// An encrypted room event to send. The same `txn_id` again sends nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomMessage {
    /// The room.
    pub room_id: RoomId,
    /// The transaction ID.
    pub txn_id: String,
    /// The content of the `m.room.encrypted`.
    pub content: Value,
}

/// A device and the key that its leaf signs with. Whether the device publishes that key is for the caller to check, with
/// [`crate::check::published`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The device.
    pub client: ClientId,
    /// Its public signature key.
    pub signature_key: Vec<u8>,
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advance {
    /// The room.
    pub room_id: RoomId,
    /// The epoch that began.
    pub epoch: Epoch,
    /// Who made the commit, by its leaf.
    pub by: ClientId,
    /// Whether it was this device's own.
    pub own: bool,
    /// Leaves that came.
    pub added: Vec<Leaf>,
    /// Leaves that stayed, with another signature key.
    pub rekeyed: Vec<Leaf>,
    /// Whose leaves went.
    pub removed: Vec<ClientId>,
    /// The commit's authenticated data.
    pub authenticated_data: Vec<u8>,
    /// The events that it cites, as the service sent them along. [`crate::check::cited`] checks them.
    #[serde(with = "super::written::auth_events")]
    pub auth_events: AuthEvents,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The service took the group of a room.
    Registered {
        /// The room.
        room_id: RoomId,
    },
    /// The device is in the group of a room.
    Joined {
        /// The room.
        room_id: RoomId,
        /// The epoch that it joined in.
        epoch: Epoch,
        /// Everybody in it, to be checked.
        members: Vec<Leaf>,
    },
    /// An epoch began.
    Advanced(Box<Advance>),
    /// The device was removed.
    Removed {
        /// The room.
        room_id: RoomId,
        /// By whom.
        by: ClientId,
    },
    /// Somebody else was first; the device makes its commit again in this epoch.
    Retried {
        /// The room.
        room_id: RoomId,
        /// The epoch in which it is made.
        epoch: Epoch,
    },
    /// Others did meanwhile what the device wished.
    Unneeded {
        /// The room.
        room_id: RoomId,
        /// The wish.
        wish: Wish,
    },
    /// The service refuses for now. `Device::resend` sends the same again.
    Delayed {
        /// The room.
        room_id: RoomId,
        /// The code.
        errcode: String,
        /// When to send it again, if the service says so.
        retry_after_ms: Option<u64>,
    },
    /// The service refused; the commit, the registration or the joining is undone.
    Refused {
        /// The room.
        room_id: RoomId,
        /// The wish, where a commit was refused.
        wish: Option<Wish>,
        /// The code.
        errcode: String,
        /// The whole answer.
        #[serde(with = "super::written::json")]
        content: Value,
    },
    /// A text came.
    Text {
        /// The room.
        room_id: RoomId,
        /// The event.
        event_id: String,
        /// Who sent it, by its leaf.
        sender: ClientId,
        /// The epoch that it was sent in.
        epoch: Epoch,
        /// What it says.
        text: Private,
    },
    /// A room event cannot be read.
    Unreadable {
        /// The room.
        room_id: RoomId,
        /// The event.
        event_id: String,
        /// Why.
        problem: String,
    },
    /// What the service sent is not what it must be: it is to be reported to people, and to the service.
    Report {
        /// The room.
        room_id: RoomId,
        /// The epoch that is wrong.
        epoch: Epoch,
        /// What is wrong.
        problem: String,
        /// Whether the device lost the group by it, and may join again.
        lost: bool,
    },
    /// A Welcome cannot be used. The KeyPackage is still there.
    WelcomeRefused {
        /// The room.
        room_id: RoomId,
        /// Why.
        problem: String,
    },
    /// A Welcome waits until the caller says who the room's delivery service is.
    WelcomeWaits {
        /// The room.
        room_id: RoomId,
        /// Who sent it.
        sender: UserId,
    },
    /// The room names another delivery service than the device's group does: the group is forgotten.
    OtherService {
        /// The room.
        room_id: RoomId,
        /// Whom the room names.
        service: UserId,
    },
    /// What came is not what Matrix says: a leaf's key is not the one that its device publishes, or a commit came without
    /// the events that it cites. Whoever delivers may have put it there; people should see it. The driver tells this.
    Suspect {
        /// The room.
        room_id: RoomId,
        /// The epoch in which it came.
        epoch: Epoch,
        /// What is wrong.
        problem: String,
    },
    /// Whether something is what Matrix says could not be found out: a server did not answer. The driver tells this.
    Unchecked {
        /// The room.
        room_id: RoomId,
        /// The epoch in which it came.
        epoch: Epoch,
        /// What was not checked, and why.
        problem: String,
    },
    /// Bytes are not those that were announced.
    BlobRefused {
        /// The room.
        room_id: RoomId,
        /// Where they were.
        mxc: String,
    },
    /// A message that changes nothing, and why.
    Ignored {
        /// Why.
        problem: String,
    },
}
