//! The queues, as whoever works on them reads them, and who works on what.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Durable, Ledger, LedgerError};
use crate::batch::{Backend, Expect, Op};
use crate::ids::{InboxSeq, OwedId, ProcessId};
use crate::records::{InboxRow, OwedRow, Queues};
use crate::shares::{Held, Share, Shares};

impl<B: Backend> Ledger<B> {
    /// The oldest messages of these shares that nobody has answered, but for those that somebody has in hand.
    pub async fn unanswered(
        &self,
        of: Shares,
        in_hand: BTreeSet<InboxSeq>,
        limit: usize,
    ) -> Result<Vec<InboxRow>, LedgerError> {
        Ok(self.backend.unanswered(of, in_hand, limit).await?)
    }

    /// One message of the inbox.
    pub async fn message(&self, row: InboxSeq) -> Result<Option<InboxRow>, LedgerError> {
        let before = row.get().checked_sub(1).map(InboxSeq::new);
        Ok(self.backend.inbox(before, 1).await?.into_iter().find(|found| found.seq == row))
    }

    /// How much waits in the queues.
    pub async fn queues(&self) -> Result<Queues, LedgerError> {
        Ok(self.backend.queues().await?)
    }

    /// Leaves a message to whoever holds this share.
    pub async fn route(&self, row: InboxSeq, to: Share) -> Result<(), LedgerError> {
        self.write("route", vec![Expect::InInbox(row)], vec![Op::Route(row, to)]).await?;
        Ok(())
    }

    /// The oldest of what is owed in these shares, but for what somebody has in hand.
    pub async fn undelivered(
        &self,
        of: Shares,
        in_hand: BTreeSet<OwedId>,
        limit: usize,
    ) -> Result<Vec<Durable<OwedRow>>, LedgerError> {
        Ok(self.backend.undelivered(of, in_hand, limit).await?.into_iter().map(Durable).collect())
    }

    /// Says that a process is alive, for a term; what it holds by that.
    pub async fn renew(&self, process: ProcessId, term: Duration) -> Result<Held, LedgerError> {
        Ok(self.backend.renew(process, term).await?)
    }

    /// A process gives up some of its shares.
    pub async fn give_up(&self, process: ProcessId, shares: Shares) -> Result<(), LedgerError> {
        Ok(self.backend.give_up(process, shares).await?)
    }

    /// A process ends, and with it all that it holds.
    pub async fn retire(&self, process: ProcessId) -> Result<(), LedgerError> {
        Ok(self.backend.retire(process).await?)
    }
}
