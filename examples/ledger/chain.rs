//! The receipts that the examples write, and a group's log held against what makes it one: no epoch missing, none twice, each
//! receipt of its own entry and naming the one before.

use anyhow::{Context, Result, ensure};
use maypole_core::batch::Backend;
use maypole_core::group::{Decision, Entry, Told};
use maypole_core::ids::{Epoch, GroupId, Sha256};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::receipt::Receipt;
use maypole_core::records::{Answer, AnswerKey, Owed};
use serde::{Deserialize, Serialize};

/// A receipt as it is written here.
#[derive(Debug, Serialize, Deserialize)]
struct Slip {
    group: GroupId,
    term: u64,
    epoch: Epoch,
    commit: Sha256,
    tree_hash: Vec<u8>,
    transcript: Vec<u8>,
    external_pub: Vec<u8>,
    prev: Option<Sha256>,
}

impl Slip {
    fn of(receipt: &Receipt) -> Self {
        Self {
            group: receipt.group.clone(),
            term: receipt.term,
            epoch: receipt.epoch,
            commit: receipt.commit,
            tree_hash: receipt.tree_hash.clone(),
            transcript: receipt.confirmed_transcript_hash.clone(),
            external_pub: receipt.external_pub.clone(),
            prev: receipt.prev,
        }
    }
}

/// What becomes of a decision in words; the log notes the number of the message that it answers.
pub(crate) fn told(
    decision: &Decision,
    number: u64,
    answer: (AnswerKey, Answer),
    owed: Vec<Owed>,
) -> Result<Told> {
    let receipt = postcard::to_stdvec(&Slip::of(&decision.receipt))?;
    let receipt_hash = Sha256::of(&receipt);
    let notes = number.to_be_bytes().to_vec();
    Ok(Told { receipt, receipt_hash, notes, head_notes: None, answer, owed })
}

/// The number of the message that an entry answers.
pub(crate) fn number(entry: &Entry) -> Option<u64> {
    Some(u64::from_be_bytes(entry.notes.as_slice().try_into().ok()?))
}

/// The same entry, begun by another commit, with a receipt of that.
pub(crate) fn forked(entry: Entry) -> Result<Entry> {
    let message = [entry.message.as_slice(), &[0]].concat();
    let slip: Slip = postcard::from_bytes(&entry.receipt)?;
    let receipt = postcard::to_stdvec(&Slip { commit: Sha256::of(&message), ..slip })?;
    Ok(Entry { message, receipt, ..entry })
}

/// How far a log was followed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    next: u64,
    last: Option<Sha256>,
    tree: Option<Sha256>,
}

impl Chain {
    /// Follows a group's log to its end; says what is wrong with it. Of each entry `each` is told.
    pub(crate) async fn follow<B: Backend>(
        &mut self,
        ledger: &Ledger<B>,
        group: &GroupId,
        mut each: impl FnMut(&Entry) -> Result<()>,
    ) -> Result<()> {
        loop {
            let from = Epoch::new(self.next).context("an epoch")?;
            let page = ledger.log(group, from, limits::LOG_PAGE).await?;
            for entry in &page {
                self.take(group, entry).with_context(|| format!("the log of {group:?}"))?;
                each(entry)?;
            }
            if page.is_empty() {
                break;
            }
        }
        let head = ledger.head(group).await?;
        let end = head.as_ref().map(|head| (head.epoch.get() + 1, head.receipt));
        let found = self.last.map(|last| (self.next, last));
        ensure!(end == found, "the log of {group:?} ends with {found:?}, and its head says {end:?}");
        Ok(())
    }

    fn take(&mut self, group: &GroupId, entry: &Entry) -> Result<()> {
        let (epoch, next) = (entry.epoch.get(), self.next);
        ensure!(epoch == next, "epoch {next} is missing; what follows is epoch {epoch}");
        let slip: Slip =
            postcard::from_bytes(&entry.receipt).with_context(|| format!("the receipt of epoch {epoch}"))?;
        ensure!(slip.group == *group && slip.epoch == entry.epoch, "epoch {epoch} has another's receipt");
        ensure!(
            slip.commit == Sha256::of(&entry.message),
            "the receipt of epoch {epoch} is of another commit"
        );
        ensure!(slip.prev == self.last, "the receipt of epoch {epoch} names another before it");
        *self = Self {
            next: next + 1,
            last: Some(Sha256::of(&entry.receipt)),
            tree: Some(Sha256::of(&slip.tree_hash)),
        };
        Ok(())
    }

    /// The epoch that would come next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether the last receipt is of this tree.
    pub(crate) fn ends_with(&self, tree_hash: &[u8]) -> bool {
        self.tree == Some(Sha256::of(tree_hash))
    }
}
