//! The forms of the stored records, and which field of each is the body.

use maypole_core::directory::KeyPackage;
use maypole_core::group::{Agenda, Entry, Frozen, Head, Snapshot, Staged};
use maypole_core::ids::{GroupId, KeyPackageRef, Sha256, SyncToken, UserId};
use maypole_core::records::{
    Answer, Delivery, InboxItem, Incoming, Owed, PushTransaction, SetAside, SetAsideKind,
};
use maypole_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Stored;

/// The next numbers to be given out. Kept apart from the rows, which go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    /// The next row of the inbox.
    pub(super) inbox: u64,
    /// The next row of the outbox.
    pub(super) owed: u64,
    /// The next row set aside.
    pub(super) set_aside: u64,
    /// The next push transaction.
    pub(super) transaction: u64,
    /// The next quarantined record.
    pub(super) quarantined: u64,
}

/// How many KeyPackages were given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Issued(pub(super) u64);

/// A freeze with its group, which the key has as a hash alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FrozenGroup {
    /// The group.
    pub(super) group: GroupId,
    /// That it is frozen.
    pub(super) frozen: Frozen,
}

/// What is known of a KeyPackage by its reference, in stock or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The reference.
    pub(super) reference: KeyPackageRef,
    /// Whose it is, as it stands in keys.
    pub(super) shelf: Sha256,
    /// Until when it is known.
    pub(super) until: Timestamp,
    /// Where it is.
    pub(super) whereabouts: Whereabouts,
}

/// Where a KeyPackage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Whereabouts {
    /// In stock, at this place.
    Shelved(u64),
    /// It is the last resort for the suite of this number, and was handed out or was not.
    LastResort(u16, bool),
    /// It was taken out.
    Gone,
}

impl Stored for Known {}
impl Stored for Counters {}
impl Stored for Issued {}
impl Stored for UserId {}
impl Stored for Sha256 {}
impl Stored for SyncToken {}
impl Stored for PushTransaction {}
impl Stored for Head {}
impl Stored for Entry {}
impl Stored for Staged {}
impl Stored for Agenda {}
impl Stored for FrozenGroup {}

impl Stored for Snapshot {
    fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn put_body(&mut self, body: Vec<u8>) {
        self.bytes = body;
    }
}

impl Stored for KeyPackage {
    fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn put_body(&mut self, body: Vec<u8>) {
        self.bytes = body;
    }
}

impl Stored for InboxItem {
    fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(incoming(&mut self.message))
    }

    fn put_body(&mut self, body: Vec<u8>) {
        *incoming(&mut self.message) = body;
    }
}

impl Stored for Answer {
    fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(delivered(&mut self.reply))
    }

    fn put_body(&mut self, body: Vec<u8>) {
        *delivered(&mut self.reply) = body;
    }
}

impl Stored for Owed {
    fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(delivered(&mut self.delivery))
    }

    fn put_body(&mut self, body: Vec<u8>) {
        *delivered(&mut self.delivery) = body;
    }
}

impl Stored for SetAside {
    fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(aside(&mut self.what))
    }

    fn put_body(&mut self, body: Vec<u8>) {
        *aside(&mut self.what) = body;
    }
}

fn incoming(message: &mut Incoming) -> &mut Vec<u8> {
    match message {
        Incoming::ToDevice { content, .. } => content,
        Incoming::Invite { state, .. } => state,
    }
}

fn delivered(delivery: &mut Delivery) -> &mut Vec<u8> {
    match delivery {
        Delivery::ToDevice { content, .. } => content,
    }
}

fn aside(what: &mut SetAsideKind) -> &mut Vec<u8> {
    match what {
        SetAsideKind::Event(bytes) => bytes,
        SetAsideKind::Inbox(item) => incoming(&mut item.message),
        SetAsideKind::Owed(owed) => delivered(&mut owed.delivery),
    }
}
