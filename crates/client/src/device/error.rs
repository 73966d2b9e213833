//! Why a device does not do what its caller wishes.

use maypole_core::ids::{ClientId, RoomId};

/// Why a wish is not granted. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No such cipher suite here.
    #[error("cipher suite {0} is not known here")]
    Suite(u16),
    /// The caller has not said who the room's delivery service is.
    #[error("who the delivery service of {0} is was not told")]
    NoService(RoomId),
    /// The service's description and the room name different services.
    #[error("the description is that of {described}, and the room's delivery service is {named}")]
    OtherService {
        /// Whose description it is.
        described: String,
        /// Whom the room names.
        named: String,
    },
    /// What the service says of itself cannot be used.
    #[error("the delivery service's description cannot be used: {0}")]
    Description(&'static str),
    /// The device is in no group of this room.
    #[error("this device is in no group of {0}")]
    NoGroup(RoomId),
    /// The device is in the room's group already, or on its way into it.
    #[error("this device is in the group of {0} already, or on its way into it")]
    Inside(RoomId),
    /// The service has not answered yet whether the device is in.
    #[error("the delivery service has not accepted this device in {0} yet")]
    NotAccepted(RoomId),
    /// The device was removed from the group.
    #[error("this device was removed from the group of {0}")]
    Removed(RoomId),
    /// The device could not follow the group, and may join again.
    #[error("this device lost the group of {0}: join again")]
    Lost(RoomId),
    /// A commit is out already: there is never a second one.
    #[error("a commit in {0} waits for its answer")]
    Busy(RoomId),
    /// Proposals wait for a commit, and no message may be sent before it.
    #[error("proposals in {0} wait for a commit: commit first")]
    ProposalsWait(RoomId),
    /// A commit that would do nothing.
    #[error("there is nothing to do")]
    Nothing,
    /// A KeyPackage cannot be used.
    #[error("a KeyPackage cannot be used: {0}")]
    KeyPackage(String),
    /// Whom a commit would add has a leaf.
    #[error("{0} is in the group already")]
    Here(ClientId),
    /// Whom a commit would remove has no leaf.
    #[error("{0} is not in the group")]
    Absent(ClientId),
    /// More than may be sent.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much may be sent.
        limit: usize,
    },
    /// More than are made at once.
    #[error("no more than {0} KeyPackages at once")]
    TooMany(usize),
    /// OpenMLS does not do it.
    #[error("MLS: {0}")]
    Mls(String),
    /// The written state cannot be used.
    #[error("the state cannot be used: {0}")]
    State(String),
}
