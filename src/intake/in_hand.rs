//! Rows of the inbox that somebody has in hand. A row stays in the inbox until it is answered, so whoever reads the inbox
//! again meets it again; this says that it need not be taken up twice.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maypole_core::ids::InboxSeq;
use maypole_core::shares::Share;

use crate::hold::{Busy, Hold};

/// All rows that are in hand.
#[derive(Clone, Debug)]
pub struct InHand {
    rows: Arc<Mutex<HashSet<InboxSeq>>>,
    hold: Hold,
}

/// A row that is in hand as long as this lives, however its task ends.
#[derive(Debug)]
pub struct Held {
    rows: InHand,
    row: InboxSeq,
    busy: Option<Busy>,
}

impl InHand {
    /// None yet, for a process that holds this.
    pub fn new(hold: Hold) -> Self {
        Self { rows: Arc::default(), hold }
    }

    /// Takes a row in hand, unless it already is; its share is not given up meanwhile.
    pub fn take(&self, row: InboxSeq, share: Share) -> Option<Held> {
        let is_new = self.lock().insert(row);
        is_new.then(|| Held { rows: self.clone(), row, busy: Some(self.hold.busy(share)) })
    }

    /// The rows.
    pub fn rows(&self) -> BTreeSet<InboxSeq> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<InboxSeq>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// It has its place in a group's lane, which says itself that something is under way there: its own share may be given up.
    pub fn has_its_place(&mut self) {
        drop(self.busy.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.rows.lock().remove(&self.row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_in_one_hand_until_it_is_let_go() {
        let rows = InHand::new(Hold::of_everything());
        let share = Share::new(9).unwrap();
        let held = rows.take(InboxSeq::new(7), share).unwrap();
        assert!(rows.take(InboxSeq::new(7), share).is_none());
        assert!(rows.take(InboxSeq::new(8), share).is_some());
        drop(held);
        assert!(rows.take(InboxSeq::new(7), share).is_some());
    }
}
