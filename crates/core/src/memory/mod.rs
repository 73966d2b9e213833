//! A back end in memory, for tests: what real ones are held against, and what the core is simulated on.
//!
//! It loses everything when it is dropped, and nothing before. Handles of one memory see the same records, as processes
//! that share a store do.

#[cfg(test)]
mod hand;
mod records;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

#[cfg(test)]
pub(crate) use hand::{Fault, Written};
pub use records::Records;

use crate::batch::{Backend, BackendError, Batch, has_room};
use crate::directory::{LastResort, Shelved, Standing, Stock};
use crate::group::{Agenda, Entry, Frozen, Head, Snapshot, SnapshotAt, Staged};
use crate::ids::{
    ClientId, Epoch, GroupId, InboxSeq, KeyPackageRef, OwedId, ProcessId, Sha256, ShelfPlace, SyncToken,
    UserId,
};
use crate::records::{Answer, AnswerKey, Depths, InboxRow, OwedRow, Progress, Queues, SetAside};
use crate::shares::{Held, Share, Shares};
use crate::time::Timestamp;

type Found<T> = Result<T, BackendError>;

/// About how many bytes an entry has.
fn size(entry: &Entry) -> usize {
    let parts = [&entry.message, &entry.delta, &entry.group_info, &entry.receipt, &entry.notes];
    parts.into_iter().chain(&entry.cited).map(Vec::len).sum()
}

/// A handle of a store in memory.
///
/// ```
/// use maypole_core::ids::UserId;
/// use maypole_core::ledger::Ledger;
/// use maypole_core::memory::Memory;
///
/// let store = Memory::default();
/// let (ours, other) = (Ledger::new(store.clone()), Ledger::new(store));
/// # futures(async {
/// ours.bind(&UserId::parse("@:a.org").unwrap()).await?;
/// assert!(other.owner().await?.is_some());
/// # Ok(())
/// # });
/// # fn futures(done: impl Future<Output = Result<(), maypole_core::ledger::LedgerError>>) {
/// #     use std::task::{Context, Poll, Waker};
/// #     let polled = std::pin::pin!(done).poll(&mut Context::from_waker(Waker::noop()));
/// #     assert!(matches!(polled, Poll::Ready(Ok(()))));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Memory {
    shared: Arc<Mutex<Shared>>,
    /// Whether others get their turn before anything is done.
    gives_way: bool,
}

#[derive(Debug, Default)]
struct Shared {
    records: Records,
    #[cfg(test)]
    hand: hand::Hand,
}

impl Memory {
    /// A store that gives way: each question and each write waits once before it is done, so that others can come between.
    #[must_use]
    pub fn giving_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits once, where others are to come first.
    async fn give_way(&self) {
        let mut has_waited = !self.gives_way;
        poll_fn(move |context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(&Records) -> T) -> Found<T> {
        self.give_way().await;
        Ok(ask(&self.shared().records))
    }
}

impl Shared {
    #[cfg(not(test))]
    fn apply(&mut self, batch: Batch) -> Found<Vec<OwedId>> {
        apply(&mut self.records, batch)
    }
}

fn apply(records: &mut Records, batch: Batch) -> Found<Vec<OwedId>> {
    records.apply(batch).map_err(|broken| BackendError::Conflict(Box::new(broken)))
}

impl Backend for Memory {
    async fn apply(&self, batch: Batch) -> Found<Vec<OwedId>> {
        self.give_way().await;
        self.shared().apply(batch)
    }

    async fn owner(&self) -> Found<Option<UserId>> {
        self.ask(Records::owner).await
    }

    async fn keys(&self) -> Found<Option<Sha256>> {
        self.ask(Records::keys).await
    }

    async fn progress(&self) -> Found<Progress> {
        self.ask(Records::progress).await
    }

    async fn cursor(&self) -> Found<Option<SyncToken>> {
        self.ask(Records::cursor).await
    }

    async fn inbox(&self, after: Option<InboxSeq>, limit: usize) -> Found<Vec<InboxRow>> {
        self.ask(|records| records.inbox(after, limit)).await
    }

    async fn unanswered(&self, _: Shares, but_for: BTreeSet<InboxSeq>, limit: usize) -> Found<Vec<InboxRow>> {
        let all = self.ask(|records| records.inbox(None, usize::MAX)).await?;
        Ok(all.into_iter().filter(|row| !but_for.contains(&row.seq)).take(limit).collect())
    }

    async fn answer(&self, key: AnswerKey) -> Found<Option<Answer>> {
        self.ask(|records| records.answer(key)).await
    }

    async fn expired_answers(&self, before: Timestamp, limit: usize) -> Found<Vec<AnswerKey>> {
        self.ask(|records| records.expired_answers(before, limit)).await
    }

    async fn owed(&self, after: Option<OwedId>, limit: usize) -> Found<Vec<OwedRow>> {
        self.ask(|records| records.owed(after, limit)).await
    }

    async fn undelivered(&self, of: Shares, but_for: BTreeSet<OwedId>, limit: usize) -> Found<Vec<OwedRow>> {
        let all = self.ask(|records| records.owed(None, usize::MAX)).await?;
        let ours = |row: &OwedRow| of.contains(Share::of_lane(&row.owed.lane)) && !but_for.contains(&row.id);
        Ok(all.into_iter().filter(ours).take(limit).collect())
    }

    async fn set_aside(&self, limit: usize) -> Found<Vec<SetAside>> {
        self.ask(|records| records.set_aside(limit)).await
    }

    async fn head(&self, group: &GroupId) -> Found<Option<Head>> {
        self.ask(|records| records.head(group)).await
    }

    async fn agenda(&self, group: &GroupId) -> Found<Option<Agenda>> {
        self.ask(|records| records.agenda(group)).await
    }

    async fn snapshot(&self, group: &GroupId, at_or_before: Epoch) -> Found<Option<Snapshot>> {
        self.ask(|records| records.snapshot(group, at_or_before)).await
    }

    async fn snapshots(&self, group: &GroupId, from: Epoch, limit: usize) -> Found<Vec<SnapshotAt>> {
        let all = self.ask(|records| records.snapshots(group, from)).await?;
        Ok(all.into_iter().take(limit).collect())
    }

    async fn log(&self, group: &GroupId, from: Epoch, limit: usize) -> Found<Vec<Entry>> {
        let mut page = self.ask(|records| records.log(group, from, limit)).await?;
        let mut page_bytes = 0;
        let fitting = page.iter().take_while(|entry| has_room(&mut page_bytes, size(entry))).count();
        page.truncate(fitting);
        Ok(page)
    }

    async fn log_begins(&self, group: &GroupId) -> Found<Option<Epoch>> {
        self.ask(|records| records.log_begins(group)).await
    }

    async fn groups(&self, after: Option<&GroupId>, limit: usize) -> Found<Vec<GroupId>> {
        let all = self.ask(Records::groups).await?;
        Ok(all.into_iter().filter(|group| after.is_none_or(|after| group > after)).take(limit).collect())
    }

    async fn staged(&self, group: &GroupId) -> Found<Option<Staged>> {
        self.ask(|records| records.staged(group)).await
    }

    async fn staged_groups(&self, limit: usize) -> Found<Vec<(GroupId, InboxSeq)>> {
        Ok(self.ask(Records::staged_groups).await?.into_iter().take(limit).collect())
    }

    async fn frozen(&self, group: &GroupId) -> Found<Option<Frozen>> {
        self.ask(|records| records.frozen(group)).await
    }

    async fn renew(&self, _: ProcessId, _: Duration) -> Found<Held> {
        Ok(Held::EVERYTHING)
    }

    async fn give_up(&self, _: ProcessId, _: Shares) -> Found<()> {
        Ok(())
    }

    async fn retire(&self, _: ProcessId) -> Found<()> {
        Ok(())
    }

    async fn stocked(
        &self,
        client: &ClientId,
        after: Option<ShelfPlace>,
        limit: usize,
    ) -> Found<Vec<Shelved>> {
        let all = self.ask(|records| records.shelved(client, after)).await?;
        Ok(all.into_iter().take(limit).collect())
    }

    async fn last_resorts(&self, client: &ClientId) -> Found<Vec<LastResort>> {
        self.ask(|records| records.last_resorts(client)).await
    }

    async fn stock(&self, client: &ClientId, now: Timestamp) -> Found<Stock> {
        self.ask(|records| records.stock(client, now)).await
    }

    async fn standing(&self, reference: &KeyPackageRef) -> Found<Option<Standing>> {
        self.ask(|records| records.standing(reference)).await
    }

    async fn outlived_key_packages(&self, now: Timestamp, limit: usize) -> Found<Vec<KeyPackageRef>> {
        let all = self.ask(|records| records.outlived(now)).await?;
        Ok(all.into_iter().map(|(_, reference)| reference).take(limit).collect())
    }

    async fn any_stocked(&self, limit: usize) -> Found<Vec<KeyPackageRef>> {
        Ok(self.ask(Records::any_stocked).await?.into_iter().take(limit).collect())
    }

    async fn depths(&self) -> Found<Depths> {
        self.ask(Records::depths).await
    }

    async fn queues(&self) -> Found<Queues> {
        let depths = self.depths().await?;
        Ok(Queues { inbox: depths.inbox, owed: depths.owed })
    }
}
