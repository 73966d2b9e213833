//! What a log keeps: how it is trimmed, and the trees of its epochs.
//!
//! A device that was added long ago and joins now needs the tree of the epoch that it was added in. So the log begins where
//! there is a snapshot: every epoch that it keeps has one at or before it, and all deltas after that one. Where many epochs go,
//! that takes several writes; between two of them the epochs before the next snapshot are in the log, and their trees are gone.

use super::{Ledger, LedgerError};
use crate::batch::{Backend, Op};
use crate::group::{Entry, RestoreError, Restoring, Snapshot, SnapshotAt};
use crate::ids::{Epoch, GroupId};
use crate::limits;
use crate::records::AnswerKey;
use crate::time::Timestamp;

/// A group as it was in an epoch that has passed.
#[derive(Debug)]
pub enum Past {
    /// So it was.
    Kept(Box<Restoring>),
    /// Its tree is gone.
    Gone {
        /// The oldest epoch whose tree can be had.
        oldest: Epoch,
    },
}

impl<B: Backend> Ledger<B> {
    /// A group as it was in an epoch, brought back from the newest snapshot before it and the log. The epoch is one that the
    /// group has been in.
    pub async fn tree_at(&self, id: &GroupId, epoch: Epoch) -> Result<Past, LedgerError> {
        let Some(snapshot) = self.backend.snapshot(id, epoch).await? else { return self.gone(id).await };
        let restored = |error: RestoreError| damaged(id, error.to_string());
        let mut restoring = Restoring::begin(&snapshot).map_err(restored)?;
        match self.replay(id, &mut restoring, snapshot.epoch, epoch).await? {
            None => Ok(Past::Kept(Box::new(restoring))),
            // It was trimmed, or is being trimmed.
            Some(lacking) if self.backend.log_begins(id).await? > Some(lacking) => self.gone(id).await,
            Some(lacking) => Err(damaged(id, format!("its log lacks epoch {lacking}"))),
        }
    }

    /// About how many bytes that takes in memory, as can be told before; nothing where it is gone.
    pub async fn tree_weight_bytes(&self, id: &GroupId, epoch: Epoch) -> Result<usize, LedgerError> {
        let kept = self.backend.snapshots(id, epoch, 1).await?;
        let from = kept.first().filter(|snapshot| snapshot.epoch <= epoch);
        Ok(from.map_or(0, SnapshotAt::weight_bytes))
    }

    /// A page of the epochs of which a group has snapshots, damaged ones included: the newest at or before an epoch, and those
    /// after it.
    pub async fn snapshots(
        &self,
        id: &GroupId,
        from: Epoch,
        limit: usize,
    ) -> Result<Vec<SnapshotAt>, LedgerError> {
        Ok(self.backend.snapshots(id, from, limit).await?)
    }

    /// A group's newest snapshot of those at or before an epoch.
    pub async fn snapshot(&self, id: &GroupId, at_or_before: Epoch) -> Result<Option<Snapshot>, LedgerError> {
        Ok(self.backend.snapshot(id, at_or_before).await?)
    }

    /// That a tree is gone, and which is the oldest that is not.
    async fn gone(&self, id: &GroupId) -> Result<Past, LedgerError> {
        let begins = self.backend.log_begins(id).await?.unwrap_or(Epoch::ZERO);
        // The log may also lead on from a snapshot of the epoch before its first.
        let kept = self.backend.snapshots(id, begins, 2).await?;
        let leads_on = |epoch: &Epoch| epoch.next() >= Some(begins);
        let oldest = kept.into_iter().map(|snapshot| snapshot.epoch).find(leads_on);
        oldest.map(|oldest| Past::Gone { oldest }).ok_or_else(|| damaged(id, "it has no snapshot".to_owned()))
    }

    /// Carries out what the log has after an epoch, up to another, page by page: nothing, or the first epoch that it lacks.
    pub(super) async fn replay(
        &self,
        id: &GroupId,
        restoring: &mut Restoring,
        after: Epoch,
        to: Epoch,
    ) -> Result<Option<Epoch>, LedgerError> {
        let mut next = after.next();
        while let Some(first) = next.filter(|first| *first <= to) {
            let page = self.backend.log(id, first, limits::LOG_PAGE).await?;
            if page.first().is_none_or(|entry| entry.epoch != first) {
                return Ok(Some(first));
            }
            next = page.last().and_then(|entry| entry.epoch.next());
            for entry in page.iter().filter(|entry| entry.epoch <= to) {
                restoring.replay(entry).map_err(|error| damaged(id, error.to_string()))?;
            }
        }
        Ok(None)
    }

    /// Removes the oldest epochs from a group's log, some of those that need not be kept: neither among the newest, nor young,
    /// nor needed for the tree of one that is kept. So the log is cut at snapshots alone, and those before it go with the last
    /// epoch that needs them. `key` says under which key an epoch's acceptance is remembered, which is forgotten with it. Says
    /// how many were removed; as many as one write may remove are not the last.
    pub async fn trim(
        &self,
        group: &GroupId,
        key: impl Fn(&Entry) -> Option<AnswerKey> + Send,
        now: Timestamp,
    ) -> Result<usize, LedgerError> {
        let Some(head) = self.backend.head(group).await? else { return Ok(0) };
        let Some(beyond) = head.epoch.get().checked_sub(limits::LOG_KEPT_EPOCHS) else { return Ok(0) };
        let Some(begins) = self.backend.log_begins(group).await? else { return Ok(0) };
        let most = limits::LOG_TRIMMED_AT_ONCE;
        let snapshots = self.backend.snapshots(group, begins, most.saturating_add(1)).await?;
        let snapshots: Vec<Epoch> = snapshots.into_iter().map(|snapshot| snapshot.epoch).collect();
        let may_be_cut = |epoch: &Epoch| *epoch > begins && epoch.get() <= beyond.saturating_add(1);
        let cuts: Vec<Epoch> = snapshots.iter().copied().filter(may_be_cut).collect();
        let Some(last) = cuts.last().copied() else { return Ok(0) };
        let old = self.old(group, begins, last, &key, now).await?;
        let end = old.last().and_then(|(epoch, _)| epoch.next()).unwrap_or(begins);
        let up_to = match cuts.iter().copied().find(|cut| *cut >= end) {
            // Another write goes on from there. The tree before is then gone: so all up to the next must be known to go, too.
            Some(cut) if old.len() >= most => {
                let leads_on = |epoch: &Epoch| *epoch <= end && epoch.next() >= Some(begins);
                let is_begun = !snapshots.iter().any(leads_on);
                let goes_on = is_begun || self.are_old(group, end, cut, now).await?;
                if goes_on { Some(end) } else { cuts.iter().copied().rfind(|cut| *cut <= end) }
            }
            _ => cuts.iter().copied().rfind(|cut| *cut <= end),
        };
        let Some(up_to) = up_to else { return Ok(0) };
        let mut ops = Vec::new();
        for (epoch, key) in old.into_iter().filter(|(epoch, _)| *epoch < up_to) {
            ops.push(Op::RemoveEntry(group.clone(), epoch));
            ops.extend(key.map(Op::Forget));
        }
        let count = ops.iter().filter(|op| matches!(op, Op::RemoveEntry(..))).count();
        let first_kept = snapshots.iter().copied().rfind(|epoch| *epoch <= up_to);
        let before = snapshots.iter().filter(|epoch| Some(**epoch) < first_kept);
        ops.extend(before.map(|epoch| Op::RemoveSnapshot(group.clone(), *epoch)));
        self.write("trim", Vec::new(), ops).await?;
        Ok(count)
    }

    /// The oldest epochs of a log before one, as many as one write may remove and none from the first young one on; with the
    /// keys under which their acceptances are remembered.
    async fn old(
        &self,
        group: &GroupId,
        begins: Epoch,
        before: Epoch,
        key: &(impl Fn(&Entry) -> Option<AnswerKey> + Send),
        now: Timestamp,
    ) -> Result<Vec<(Epoch, Option<AnswerKey>)>, LedgerError> {
        let (mut old, mut next) = (Vec::new(), Some(begins));
        while let Some(from) = next.filter(|from| *from < before) {
            let page = self.backend.log(group, from, limits::LOG_PAGE).await?;
            next = page.last().and_then(|entry| entry.epoch.next());
            for entry in &page {
                let is_full = old.len() >= limits::LOG_TRIMMED_AT_ONCE;
                if is_full || entry.epoch >= before || is_young(entry, now) {
                    return Ok(old);
                }
                old.push((entry.epoch, key(entry)));
            }
        }
        Ok(old)
    }

    /// Whether all epochs from one to before another are old. The last, most likely to be young, is looked at first.
    async fn are_old(
        &self,
        group: &GroupId,
        from: Epoch,
        before: Epoch,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let last = before.get().checked_sub(1).and_then(Epoch::new);
        let Some(last) = last.filter(|last| *last >= from) else { return Ok(true) };
        let page = self.backend.log(group, last, 1).await?;
        if page.first().is_none_or(|entry| entry.epoch != last || is_young(entry, now)) {
            return Ok(false);
        }
        let mut next = Some(from);
        while let Some(first) = next.filter(|first| *first < last) {
            let page = self.backend.log(group, first, limits::LOG_PAGE).await?;
            if page.is_empty() || page.iter().any(|entry| entry.epoch < last && is_young(entry, now)) {
                return Ok(false);
            }
            next = page.last().and_then(|entry| entry.epoch.next());
        }
        Ok(true)
    }
}

fn is_young(entry: &Entry, now: Timestamp) -> bool {
    entry.accepted_at.plus(limits::LOG_KEPT_FOR) > now
}

pub(super) fn damaged(id: &GroupId, what: String) -> LedgerError {
    LedgerError::Damaged(format!("group {id:?}: {what}"))
}
