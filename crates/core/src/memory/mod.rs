//! A back end in memory, for tests: what real ones are held against, and what the core is simulated on.
//!
//! It loses everything when it is dropped, and nothing before. Handles of one memory see the same records, as processes
//! that share a store do.

mod records;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

pub use records::Records;

use crate::batch::{Backend, BackendError, Batch, has_room};
use crate::directory::{LastResort, Shelved, Standing, Stock};
use crate::group::{Agenda, Entry, Frozen, Head, Snapshot, Staged};
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
    fault: Option<Fault>,
    written: Option<Vec<Written>>,
}

/// What goes wrong with a write. In each case the writer is told that the store is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written.
    Lost,
    /// All is written.
    Unheard,
}

/// A batch that was applied, and the numbers that were given out.
#[derive(Clone, Debug)]
pub struct Written {
    /// The batch.
    pub batch: Batch,
    /// The numbers of what is owed by it.
    pub ids: Vec<OwedId>,
}

impl Memory {
    /// A store that gives way: each question and each write waits once before it is done, so that others can come between.
    #[must_use]
    pub fn giving_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    /// What it keeps, as a copy: what is written later does not show.
    pub fn records(&self) -> Records {
        self.shared().records.clone()
    }

    /// It keeps this from now on, whatever it kept before: as a store that is restored from a copy of itself.
    pub fn restore(&self, records: Records) {
        self.shared().records = records;
    }

    /// Looks at what it keeps.
    pub fn look<T>(&self, look: impl FnOnce(&Records) -> T) -> T {
        look(&self.shared().records)
    }

    /// The next write fails so.
    pub fn fail(&self, fault: Fault) {
        self.shared().fault = Some(fault);
    }

    /// The batches that were applied since it was last asked; the first time none.
    pub fn written(&self) -> Vec<Written> {
        self.shared().written.replace(Vec::new()).unwrap_or_default()
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
        Ok(self.look(ask))
    }
}

impl Backend for Memory {
    async fn apply(&self, batch: Batch) -> Found<Vec<OwedId>> {
        self.give_way().await;
        let mut shared = self.shared();
        let fault = shared.fault.take();
        let unavailable = || BackendError::Unavailable("so it was asked for".to_owned());
        if fault == Some(Fault::Lost) {
            return Err(unavailable());
        }
        let applied = shared.records.apply(batch.clone());
        let ids = applied.map_err(|broken| BackendError::Conflict(Box::new(broken)))?;
        if let Some(written) = &mut shared.written {
            written.push(Written { batch, ids: ids.clone() });
        }
        if fault.is_some() { Err(unavailable()) } else { Ok(ids) }
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

    async fn snapshot(&self, group: &GroupId) -> Found<Option<Snapshot>> {
        self.ask(|records| records.snapshot(group)).await
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

    async fn frozen_groups(&self, limit: usize) -> Found<Vec<(GroupId, Frozen)>> {
        Ok(self.ask(Records::frozen_groups).await?.into_iter().take(limit).collect())
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
