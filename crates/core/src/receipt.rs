//! Receipts: what the service vouches for with every epoch, each naming the one before.
//!
//! A receipt exists only for what was accepted. Whoever holds two receipts of one group, one term and one epoch that
//! differ can show that the service told two stories. How a receipt is written, hashed and signed is the dialect's; the
//! chain is the core's.

use crate::ids::{Epoch, GroupId, Sha256};
use crate::time::Timestamp;

/// What a receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The group.
    pub group: GroupId,
    /// How often the group has changed its delivery service, counted from 1.
    pub term: u64,
    /// The epoch that began.
    pub epoch: Epoch,
    /// The hash of the message that began it: a commit, or the GroupInfo of a registration.
    pub commit: Sha256,
    /// The hash of its ratchet tree.
    pub tree_hash: Vec<u8>,
    /// Its confirmed transcript hash; empty in epoch 0.
    pub confirmed_transcript_hash: Vec<u8>,
    /// The key for external commits in it.
    pub external_pub: Vec<u8>,
    /// The hash of the receipt before; none for a group's first.
    pub prev: Option<Sha256>,
    /// When it was issued.
    pub issued_at: Timestamp,
}

impl Receipt {
    /// Whether this receipt may come right after another, whose hash is `hash`.
    pub fn follows(&self, before: &Self, hash: Sha256) -> bool {
        self.group == before.group
            && self.term == before.term
            && Some(self.epoch) == before.epoch.next()
            && self.prev == Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(epoch: u64, prev: Option<Sha256>) -> Receipt {
        Receipt {
            group: GroupId::parse(*b"!room:a.org").unwrap(),
            term: 1,
            epoch: Epoch::new(epoch).unwrap(),
            commit: Sha256::of(&epoch.to_be_bytes()),
            tree_hash: vec![1; 32],
            confirmed_transcript_hash: vec![2; 32],
            external_pub: vec![3; 32],
            prev,
            issued_at: Timestamp::from_millis(epoch),
        }
    }

    #[test]
    fn a_chain_has_no_gap_and_no_other_parent() {
        let (hash, other) = (Sha256::of(b"first"), Sha256::of(b"other"));
        let first = receipt(0, None);
        assert!(receipt(1, Some(hash)).follows(&first, hash));
        assert!(!receipt(1, Some(other)).follows(&first, hash));
        assert!(!receipt(1, None).follows(&first, hash));
        assert!(!receipt(2, Some(hash)).follows(&first, hash));
        assert!(!receipt(0, Some(hash)).follows(&first, hash));
        let elsewhere =
            Receipt { group: GroupId::parse(*b"!other:a.org").unwrap(), ..receipt(1, Some(hash)) };
        assert!(!elsewhere.follows(&first, hash));
        assert!(!Receipt { term: 2, ..receipt(1, Some(hash)) }.follows(&first, hash));
    }
}
