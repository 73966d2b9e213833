//! What the store is asked. The writer answers between two groups of batches, so that nothing is seen that is not durable.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use maypole_core::batch::{BackendError, has_room};
use maypole_core::group::{Entry, Head, Snapshot, SnapshotAt, Staged};
use maypole_core::ids::{Epoch, GroupId, InboxSeq, OwedId};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, InboxItem, InboxRow, Owed, OwedRow, SetAside};
use maypole_core::time::Timestamp;

use super::apply::damaged;
use super::engine::{Changes, Engine, Loaded};
use super::keys::{self, Kind};
use super::log::Failure;
use super::record::{self, Stored};

impl Engine {
    /// Something that there is one of, or why it cannot be told.
    pub(super) fn one<T: Stored>(&self, kind: Kind) -> Result<Result<Option<T>, BackendError>, Failure> {
        Ok(match self.single(kind)? {
            Loaded::Whole(record) => Ok(record),
            Loaded::Damaged(damage) => Err(damaged(kind, b"", damage)),
        })
    }

    /// Rows of the inbox after a place, oldest first.
    pub(super) fn inbox(&mut self, after: Option<InboxSeq>, limit: usize) -> Result<Vec<InboxRow>, Failure> {
        let rows = self.page::<InboxItem>(Kind::Inbox, after.map(InboxSeq::get), limit)?;
        Ok(rows.into_iter().map(|(number, item)| InboxRow { seq: InboxSeq::new(number), item }).collect())
    }

    /// Rows of the outbox after a place, oldest first.
    pub(super) fn owed(&mut self, after: Option<OwedId>, limit: usize) -> Result<Vec<OwedRow>, Failure> {
        let rows = self.page::<Owed>(Kind::Owed, after.map(OwedId::get), limit)?;
        Ok(rows.into_iter().map(|(number, owed)| OwedRow { id: OwedId::new(number), owed }).collect())
    }

    /// The oldest rows of the inbox but for some.
    pub(super) fn unanswered(
        &mut self,
        but_for: &BTreeSet<InboxSeq>,
        limit: usize,
    ) -> Result<Vec<InboxRow>, Failure> {
        let rows = self.waiting(Kind::Inbox, |number| !but_for.contains(&InboxSeq::new(number)), limit)?;
        Ok(rows.into_iter().map(|(number, item)| InboxRow { seq: InboxSeq::new(number), item }).collect())
    }

    /// The oldest rows of the outbox but for some.
    pub(super) fn undelivered(
        &mut self,
        but_for: &BTreeSet<OwedId>,
        limit: usize,
    ) -> Result<Vec<OwedRow>, Failure> {
        let rows = self.waiting(Kind::Owed, |number| !but_for.contains(&OwedId::new(number)), limit)?;
        Ok(rows.into_iter().map(|(number, owed)| OwedRow { id: OwedId::new(number), owed }).collect())
    }

    /// The oldest rows of a queue whose numbers are wanted; of the others not even the record is read.
    fn waiting<T: Stored>(
        &mut self,
        kind: Kind,
        is_wanted: impl Fn(u64) -> bool,
        limit: usize,
    ) -> Result<Vec<(u64, T)>, Failure> {
        let rows = self.log.range(&keys::row(kind, 0), &keys::row(kind, u64::MAX))?;
        let wanted = rows.filter(|row| {
            let number = row.as_ref().ok().and_then(|(key, _)| keys::number(key));
            number.is_none_or(&is_wanted)
        });
        self.numbered(kind, wanted, limit)
    }

    /// What was set aside, newest first.
    pub(super) fn aside(&mut self, limit: usize) -> Result<Vec<SetAside>, Failure> {
        let rows = self.log.range(&keys::row(Kind::SetAside, 0), &keys::row(Kind::SetAside, u64::MAX))?.rev();
        let found = self.collect(Kind::SetAside, rows, limit)?;
        Ok(found.into_iter().map(|(_, aside)| aside).collect())
    }

    /// Keys of answers that expired before a time, oldest first. An expiry row without its answer is removed.
    pub(super) fn expired(&mut self, before: Timestamp, limit: usize) -> Result<Vec<AnswerKey>, Failure> {
        let last = [keys::row(Kind::Expiry, before.as_millis()).as_slice(), &[u8::MAX; 32]].concat();
        let mut expired = Vec::new();
        let mut stray = Changes::new();
        for row in self.log.range(&keys::row(Kind::Expiry, 0), &last)? {
            if expired.len() >= limit {
                break;
            }
            let (key, _) = row?;
            let answer = keys::answer_key(&key);
            let expires_at = answer.map_or(Ok(None), |answer| self.expiry_of(&answer))?;
            match answer {
                Some(answer) if expires_at.map(Timestamp::as_millis) == keys::number(&key) => {
                    expired.push(answer);
                }
                _ => {
                    stray.insert(key.to_vec(), None);
                }
            }
        }
        if !stray.is_empty() {
            self.commit(stray)?;
        }
        Ok(expired)
    }

    /// When an answer expires, if it can be told.
    pub(super) fn expiry_of(&self, answer: &AnswerKey) -> Result<Option<Timestamp>, Failure> {
        let key = keys::answer(answer);
        let Some(value) = self.log.get(&key)? else { return Ok(None) };
        Ok(match self.peek::<Answer>(Kind::Answer, &key, &value)? {
            Loaded::Whole(answer) => Some(answer.expires_at),
            Loaded::Damaged(_) => None,
        })
    }

    /// Something that a group has one of. A damaged one stays where it is.
    pub(super) fn of_group<T: Stored>(
        &self,
        kind: Kind,
        group: &GroupId,
    ) -> Result<Result<Option<T>, BackendError>, Failure> {
        let key = keys::of_group(kind, group);
        let Some(value) = self.log.get(&key)? else { return Ok(Ok(None)) };
        Ok(match self.load(kind, &key, &value)? {
            Loaded::Whole(record) => Ok(Some(record)),
            Loaded::Damaged(damage) => Err(damaged(kind, &key, damage)),
        })
    }

    /// A group's newest tree at or before an epoch. A damaged one is not passed over.
    pub(super) fn snapshot(
        &mut self,
        group: &GroupId,
        at_or_before: Epoch,
    ) -> Result<Result<Option<Snapshot>, BackendError>, Failure> {
        let Some((key, value)) = self.newest_snapshot(group, at_or_before)? else {
            // Of those of an earlier version only what is damaged is still there.
            return self.of_group(Kind::FormerSnapshot, group);
        };
        Ok(match self.load(Kind::Snapshot, &key, &value)? {
            Loaded::Whole(snapshot) => Ok(Some(snapshot)),
            Loaded::Damaged(damage) => Err(damaged(Kind::Snapshot, &key, damage)),
        })
    }

    /// Of which epochs a group has trees: the newest at or before an epoch, and those after it. The keys say it.
    pub(super) fn snapshots(
        &mut self,
        group: &GroupId,
        from: Epoch,
        limit: usize,
    ) -> Result<Vec<SnapshotAt>, Failure> {
        let newest = self.newest_snapshot(group, from)?.map(|(key, _)| key.to_vec());
        let first = newest.unwrap_or_else(|| keys::snapshot(group, from.get()));
        let mut found = Vec::new();
        for row in self.log.range(&first, &keys::snapshot(group, u64::MAX))?.take(limit) {
            let (key, value) = row?;
            let beside = record::bulk_of(&key, &value).map_or(0, |bulk| u64::from(bulk.length));
            let bytes = u64::try_from(value.len()).unwrap_or(u64::MAX).saturating_add(beside);
            let epoch = keys::epoch(&key).and_then(Epoch::new);
            found.extend(epoch.map(|epoch| SnapshotAt { epoch, bytes }));
        }
        Ok(found)
    }

    fn newest_snapshot(
        &mut self,
        group: &GroupId,
        at_or_before: Epoch,
    ) -> Result<Option<(::sled::IVec, ::sled::IVec)>, Failure> {
        let (first, last) = (keys::snapshot(group, 0), keys::snapshot(group, at_or_before.get()));
        Ok(self.log.range(&first, &last)?.next_back().transpose()?)
    }

    /// The groups in which something is staged. One that is damaged is not among them: its group says so when it is read.
    pub(super) fn staged_groups(&self, limit: usize) -> Vec<(GroupId, InboxSeq)> {
        self.staged.values().flatten().take(limit).cloned().collect()
    }

    /// Whether a message of the inbox is staged in a group.
    pub(super) fn is_staged(&self, row: InboxSeq) -> bool {
        self.staged.values().flatten().any(|(_, of)| *of == row)
    }

    /// The message of the inbox that is staged in a group.
    pub(super) fn staged_in(
        &self,
        group: &GroupId,
    ) -> Result<Result<Option<InboxSeq>, BackendError>, Failure> {
        match self.staged.get(&keys::of_group(Kind::Staged, group)) {
            None => Ok(Ok(None)),
            Some(Some((_, row))) => Ok(Ok(Some(*row))),
            // It was damaged when it was last read.
            Some(None) => Ok(self
                .of_group::<Staged>(Kind::Staged, group)?
                .map(|staged| staged.map(|staged| staged.row))),
        }
    }

    /// The number of what a group has one of. Only the writer changes it, so that it need not be read again and again: it may lie in a
    /// file with much else.
    pub(super) fn number_of<T: Stored>(
        &mut self,
        kind: Kind,
        group: &GroupId,
        number: impl FnOnce(&T) -> u64,
    ) -> Result<Result<Option<u64>, BackendError>, Failure> {
        let key = keys::of_group(kind, group);
        if let Some(known) = self.numbers.get(&key) {
            return Ok(Ok(Some(*known)));
        }
        let found = match self.of_group::<T>(kind, group)? {
            Ok(found) => found.as_ref().map(number),
            Err(error) => return Ok(Err(error)),
        };
        if let Some(found) = found {
            self.note_number(key, found);
        }
        Ok(Ok(found))
    }

    /// Notes the number of what lies under a key.
    pub(super) fn note_number(&mut self, key: Vec<u8>, number: u64) {
        if self.numbers.len() >= limits::SLED_NUMBERS_KEPT {
            self.numbers.clear();
        }
        self.numbers.insert(key, number);
    }

    /// Entries of a group's log from an epoch on. A damaged one ends it with an error: the log must have no gap.
    pub(super) fn log_of(
        &mut self,
        group: &GroupId,
        from: Epoch,
        limit: usize,
    ) -> Result<Result<Vec<Entry>, BackendError>, Failure> {
        let (mut entries, mut page_bytes) = (Vec::new(), 0);
        let range = self.log.range(&keys::entry(group, from.get()), &keys::entry(group, u64::MAX))?;
        for row in range.take(limit) {
            let (key, value) = row?;
            let beside = record::bulk_of(&key, &value).and_then(|bulk| usize::try_from(bulk.length).ok());
            if !has_room(&mut page_bytes, value.len().saturating_add(beside.unwrap_or_default())) {
                break;
            }
            match self.load(Kind::Entry, &key, &value)? {
                Loaded::Whole(entry) => entries.push(entry),
                Loaded::Damaged(damage) => return Ok(Err(damaged(Kind::Entry, &key, damage))),
            }
        }
        Ok(Ok(entries))
    }

    /// The epoch of the first entry in a group's log. The key says it, so that a damaged entry has one too.
    pub(super) fn log_begins(&mut self, group: &GroupId) -> Result<Option<Epoch>, Failure> {
        let mut range = self.log.range(&keys::entry(group, 0), &keys::entry(group, u64::MAX))?;
        let Some(row) = range.next() else { return Ok(None) };
        Ok(keys::epoch(&row?.0).and_then(Epoch::new))
    }

    /// Groups after a place, in the order of the hashes of their IDs.
    pub(super) fn groups(&mut self, after: Option<&GroupId>, limit: usize) -> Result<Vec<GroupId>, Failure> {
        let first = after.map_or_else(
            || vec![Kind::Head.prefix()],
            |after| [keys::of_group(Kind::Head, after).as_slice(), &[0]].concat(),
        );
        let last = [&[Kind::Head.prefix()][..], &[u8::MAX; 32]].concat();
        let mut found = Vec::new();
        for row in self.log.range(&first, &last)? {
            if found.len() >= limit {
                break;
            }
            let (key, value) = row?;
            if let Loaded::Whole(head) = self.load::<Head>(Kind::Head, &key, &value)? {
                found.push(head.group);
            }
        }
        Ok(found)
    }

    fn page<T: Stored>(
        &mut self,
        kind: Kind,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, T)>, Failure> {
        let Some(first) = after.map_or(Some(0), |after| after.checked_add(1)) else { return Ok(Vec::new()) };
        let rows = self.log.range(&keys::row(kind, first), &keys::row(kind, u64::MAX))?;
        self.numbered(kind, rows, limit)
    }

    /// Rows in order, with their numbers.
    fn numbered<T: Stored>(
        &mut self,
        kind: Kind,
        rows: impl Iterator<Item = ::sled::Result<(::sled::IVec, ::sled::IVec)>>,
        limit: usize,
    ) -> Result<Vec<(u64, T)>, Failure> {
        let found = self.collect(kind, rows, limit)?;
        Ok(found.into_iter().map(|(key, record)| (keys::number(&key).unwrap_or_default(), record)).collect())
    }

    /// Rows in order, with their keys.
    pub(super) fn collect<T: Stored>(
        &mut self,
        kind: Kind,
        rows: impl Iterator<Item = ::sled::Result<(::sled::IVec, ::sled::IVec)>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, Failure> {
        let mut found = Vec::new();
        if limit > 0 {
            self.walk(kind, rows, |key, record| {
                found.push((key.to_vec(), record));
                if found.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        Ok(found)
    }
}
