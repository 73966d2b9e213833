//! Rows of the inbox that somebody has in hand. A row stays in the inbox until it is answered, so whoever reads the inbox
//! again meets it again; this says that it need not be taken up twice.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use maypole_core::ids::InboxSeq;

/// All rows that are in hand.
#[derive(Clone, Debug, Default)]
pub struct InHand(Arc<Mutex<HashSet<InboxSeq>>>);

/// A row that is in hand as long as this lives, however its task ends.
#[derive(Debug)]
pub struct Held {
    rows: InHand,
    row: InboxSeq,
}

impl InHand {
    /// Takes a row in hand, unless it already is.
    pub fn take(&self, row: InboxSeq) -> Option<Held> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(row).then(|| Held { rows: self.clone(), row })
    }

    /// The rows.
    pub fn rows(&self) -> BTreeSet<InboxSeq> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.rows.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_in_one_hand_until_it_is_let_go() {
        let rows = InHand::default();
        let held = rows.take(InboxSeq::new(7)).unwrap();
        assert!(rows.take(InboxSeq::new(7)).is_none());
        assert!(rows.take(InboxSeq::new(8)).is_some());
        drop(held);
        assert!(rows.take(InboxSeq::new(7)).is_some());
    }
}
