//! A group's receipts, checked one after the other: by whoever keeps them, with nothing but the service's key.
//!
//! A [`Chain`] takes [`Link`]s in the order of their epochs and says at which of them it breaks, and how. [`Stories`] finds
//! where two chains part: two receipts of one epoch that differ prove that the service told two stories.

mod flaw;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use maypole_core::ids::{Epoch, Sha256};

pub use flaw::{Break, Flaw};

use crate::description::ServiceKeys;
use crate::fields::{Fields, ShapeError, Wrong};
use crate::receipt::RoomReceipt;

/// One epoch of a log as it is written down: `{"receipt": {…}, "commit": "<hash>"}`, or `message` (base64) instead of its
/// hash, or neither. What else stands there does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    receipt: Value,
    commit: Option<Sha256>,
}

impl Link {
    /// A receipt with the hash of the message that began its epoch, where that is known.
    pub const fn new(receipt: Value, commit: Option<Sha256>) -> Self {
        Self { receipt, commit }
    }

    /// Reads a link. The hash is that of `message` where that is there.
    ///
    /// ```
    /// use maypole_room::chain::Link;
    /// use serde_json::json;
    ///
    /// let read = |line| Link::read(&line);
    /// assert!(read(json!({"receipt": {}, "message": "AAE"})).is_ok());
    /// assert!(read(json!({"message": "AAE"})).is_err());
    /// ```
    pub fn read(value: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("line", value)?;
        let told = fields.optional("commit", Fields::hash)?;
        let commit = fields.optional("message", Fields::base64)?.map(|message| Sha256::of(&message));
        if told.is_some() && commit.is_some() && told != commit {
            return Err(Wrong { field: "commit", problem: "is not the hash of `message`" }.into());
        }
        Ok(Self { receipt: fields.object("receipt")?.clone(), commit: commit.or(told) })
    }

    /// The epoch that it says it is of, for words about a link that is not whole.
    fn told_epoch(&self) -> Option<Epoch> {
        self.receipt.get("epoch").and_then(Value::as_u64).and_then(Epoch::new)
    }
}

/// Receipts, as far as they are one chain.
#[derive(Clone, Debug)]
pub struct Chain {
    keys: Option<ServiceKeys>,
    first: Option<Epoch>,
    last: Option<RoomReceipt>,
}

impl Chain {
    /// A chain that has no link yet, of receipts that this service signs. Without keys signatures are not looked at.
    pub const fn new(keys: Option<ServiceKeys>) -> Self {
        Self { keys, first: None, last: None }
    }

    /// The epoch of its first receipt.
    pub const fn first(&self) -> Option<Epoch> {
        self.first
    }

    /// Its last receipt.
    pub const fn last(&self) -> Option<&RoomReceipt> {
        self.last.as_ref()
    }

    /// Takes the next link, or says why it is none; then the chain is what it was. The first one may be of any epoch.
    ///
    /// ```
    /// use maypole_room::chain::{Chain, Flaw, Link};
    ///
    /// let receipt = serde_json::json!({"epoch": 7});
    /// let broken = Chain::new(None).take(&Link::new(receipt, None)).unwrap_err();
    /// assert!(matches!(broken.flaw, Flaw::Receipt(_)));
    /// assert_eq!(broken.epoch.map(|epoch| epoch.get()), Some(7));
    /// ```
    pub fn take(&mut self, link: &Link) -> Result<&RoomReceipt, Break> {
        let receipt = match &self.keys {
            Some(keys) => {
                let (user, id, key) = (keys.user.as_str(), keys.receipt_key_id.as_str(), &keys.receipt_key);
                RoomReceipt::verify(&link.receipt, user, id, key)
            }
            None => RoomReceipt::read(&link.receipt),
        };
        let receipt =
            receipt.map_err(|error| Break { epoch: link.told_epoch(), flaw: Flaw::Receipt(error) })?;
        let epoch = receipt.receipt().epoch;
        self.check(&receipt, link.commit).map_err(|flaw| Break { epoch: Some(epoch), flaw })?;
        self.first = self.first.or(Some(epoch));
        Ok(self.last.insert(receipt))
    }

    fn check(&self, next: &RoomReceipt, commit: Option<Sha256>) -> Result<(), Flaw> {
        let receipt = next.receipt();
        if commit.is_some_and(|commit| commit != receipt.commit) {
            return Err(Flaw::Message);
        }
        let Some(before) = &self.last else {
            let begins = receipt.epoch == Epoch::ZERO;
            return if begins == receipt.prev.is_none() { Ok(()) } else { Err(Flaw::Beginning) };
        };
        let last = before.receipt();
        if next.room_id() != before.room_id() || receipt.group != last.group {
            return Err(Flaw::Group);
        }
        if receipt.epoch == last.epoch {
            return Err(if next.hash() == before.hash() { Flaw::Twice } else { Flaw::Fork });
        }
        if receipt.term != last.term {
            return Err(Flaw::Term);
        }
        match last.epoch.next() {
            Some(expected) if receipt.epoch != expected => Err(Flaw::Epoch { expected }),
            _ if receipt.prev != Some(before.hash()) => Err(Flaw::Prev),
            _ => next.follows(before).map_err(Flaw::Receipt),
        }
    }
}

/// The receipts of a log, by epoch, to be held against another's. Give it what a [`Chain`] took.
///
/// ```
/// use maypole_core::ids::{Epoch, GroupId, RoomId, Sha256};
/// use maypole_core::receipt::Receipt;
/// use maypole_core::time::Timestamp;
/// use maypole_room::chain::Stories;
/// use maypole_room::receipt::RoomReceipt;
///
/// let receipt = |commit: &[u8]| {
///     let receipt = Receipt {
///         group: GroupId::parse(*b"!room:a.org").unwrap(),
///         term: 1,
///         epoch: Epoch::ZERO,
///         commit: Sha256::of(commit),
///         tree_hash: Vec::new(),
///         confirmed_transcript_hash: Vec::new(),
///         external_pub: Vec::new(),
///         prev: None,
///         issued_at: Timestamp::from_millis(1),
///     };
///     RoomReceipt::new(RoomId::parse("!room:a.org").unwrap(), receipt).unwrap()
/// };
/// let mut stories = Stories::default();
/// stories.note(&receipt(b"what alice was told"));
/// assert_eq!(stories.agree(&receipt(b"what alice was told")), Ok(true));
/// assert!(stories.agree(&receipt(b"what bob was told")).is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stories {
    of: Option<RoomReceipt>,
    hashes: BTreeMap<Epoch, Sha256>,
}

impl Stories {
    /// Notes a receipt.
    pub fn note(&mut self, receipt: &RoomReceipt) {
        self.hashes.insert(receipt.receipt().epoch, receipt.hash());
        self.of = Some(receipt.clone());
    }

    /// Whether a receipt of its epoch was noted. An error if that is another one, or of another group.
    pub fn agree(&self, receipt: &RoomReceipt) -> Result<bool, Break> {
        let epoch = receipt.receipt().epoch;
        let is_other = |of: &RoomReceipt| {
            of.room_id() != receipt.room_id() || of.receipt().group != receipt.receipt().group
        };
        if self.of.as_ref().is_some_and(is_other) {
            return Err(Break { epoch: Some(epoch), flaw: Flaw::Group });
        }
        match self.hashes.get(&epoch) {
            Some(hash) if *hash != receipt.hash() => Err(Break { epoch: Some(epoch), flaw: Flaw::Fork }),
            noted => Ok(noted.is_some()),
        }
    }
}
