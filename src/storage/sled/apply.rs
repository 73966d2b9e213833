//! How a batch is judged and carried out.
//!
//! Expectations are held against the log as the batches before left it, then the operations become one atomic write.

use maypole_core::batch::{BackendError, Expect, Op};
use maypole_core::directory::Standing;
use maypole_core::group::{Agenda, Head};
use maypole_core::ids::{Epoch, GroupId, InboxSeq, KeyPackageRef, OwedId, Sha256, SyncToken, UserId};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, Progress, PushTransaction};
use maypole_core::time::Timestamp;

use super::engine::{self, Changes, Engine, Loaded, take_number};
use super::forms::FrozenGroup;
use super::keys::{self, Kind};
use super::log::Failure;
use super::record::{BulkFile, Damage, Packed};
use super::shelves::Arrival;

/// An operation whose record is in its stored form: packed by whoever asks, so that the writer need not.
#[derive(Debug)]
pub(super) enum PackedOp {
    Single(Kind, Packed),
    Receive(Packed),
    ReceiveAs(InboxSeq, Packed),
    Leave(InboxSeq),
    /// There is nobody else whom a row could be left to.
    Nothing,
    Remember(AnswerKey, Timestamp, Packed),
    Forget(AnswerKey),
    Owe(Packed),
    OweAs(OwedId, Packed),
    Settle(OwedId),
    NoteTransaction(PushTransaction, Packed),
    SetAside(Packed),
    /// A record of a group.
    Put(Kind, Vec<u8>, Packed),
    /// One with a number that is looked at.
    PutAt(Kind, Vec<u8>, u64, Packed),
    Stage(GroupId, InboxSeq, Packed),
    Unstage(GroupId),
    Unfreeze(GroupId),
    RemoveEntry(GroupId, Epoch),
    RemoveSnapshot(GroupId, Epoch),
    Shelve(Box<Arrival>, Packed),
    TakeOut(KeyPackageRef),
    Void(KeyPackageRef),
    UseLastResort(KeyPackageRef),
    Discard(KeyPackageRef),
    KnowGone(KeyPackageRef, Timestamp),
    SkipTo(Progress),
}

impl PackedOp {
    pub(super) fn of(op: Op) -> Result<Self, Damage> {
        Ok(match op {
            Op::Bind(owner) => Self::Single(Kind::Owner, Packed::of(owner)?),
            Op::BindKeys(keys) => Self::Single(Kind::Keys, Packed::of(keys)?),
            Op::MoveCursor(cursor) => Self::Single(Kind::Cursor, Packed::of(cursor)?),
            Op::Receive(item) => Self::Receive(Packed::of(item)?),
            Op::ReceiveAs(row, item) => Self::ReceiveAs(row, Packed::of(item)?),
            Op::Leave(row) => Self::Leave(row),
            Op::Route(..) => Self::Nothing,
            Op::Remember(key, answer) => Self::Remember(key, answer.expires_at, Packed::of(answer)?),
            Op::Forget(key) => Self::Forget(key),
            Op::Owe(owed) => Self::Owe(Packed::of(owed)?),
            Op::OweAs(id, owed) => Self::OweAs(id, Packed::of(owed)?),
            Op::Settle(row) => Self::Settle(row),
            Op::NoteTransaction(transaction) => {
                Self::NoteTransaction(transaction.clone(), Packed::of(transaction)?)
            }
            Op::SetAside(aside) => Self::SetAside(Packed::of(aside)?),
            Op::SetHead(head) => {
                let key = keys::of_group(Kind::Head, &head.group);
                Self::PutAt(Kind::Head, key, head.epoch.get(), Packed::of(head)?)
            }
            Op::SetAgenda(agenda) => {
                let key = keys::of_group(Kind::Agenda, &agenda.group);
                Self::PutAt(Kind::Agenda, key, agenda.revision, Packed::of(agenda)?)
            }
            Op::Append(group, entry) => {
                Self::Put(Kind::Entry, keys::entry(&group, entry.epoch.get()), Packed::of(entry)?)
            }
            Op::RemoveEntry(group, epoch) => Self::RemoveEntry(group, epoch),
            Op::PutSnapshot(group, snapshot) => {
                let key = keys::snapshot(&group, snapshot.epoch.get());
                Self::Put(Kind::Snapshot, key, Packed::of(snapshot)?)
            }
            Op::RemoveSnapshot(group, epoch) => Self::RemoveSnapshot(group, epoch),
            Op::Stage(staged) => Self::Stage(staged.group().clone(), staged.row, Packed::of(staged)?),
            Op::Unstage(group) => Self::Unstage(group),
            Op::Freeze(group, frozen) => {
                let key = keys::of_group(Kind::Frozen, &group);
                Self::Put(Kind::Frozen, key, Packed::of(FrozenGroup { group, frozen })?)
            }
            Op::Unfreeze(group) => Self::Unfreeze(group),
            Op::Shelve(key_package) => {
                Self::Shelve(Box::new(Arrival::of(&key_package)), Packed::of(key_package)?)
            }
            Op::TakeOut(reference) => Self::TakeOut(reference),
            Op::Void(reference) => Self::Void(reference),
            Op::UseLastResort(reference) => Self::UseLastResort(reference),
            Op::Discard(reference) => Self::Discard(reference),
            Op::KnowGone(reference, until) => Self::KnowGone(reference, until),
            Op::SkipTo(progress) => Self::SkipTo(progress),
        })
    }

    /// Takes out what must be on the disk before the record is.
    pub(super) fn take_bulk(&mut self) -> Option<BulkFile> {
        match self {
            Self::Single(_, packed)
            | Self::Receive(packed)
            | Self::ReceiveAs(_, packed)
            | Self::Remember(_, _, packed)
            | Self::Owe(packed)
            | Self::OweAs(_, packed)
            | Self::NoteTransaction(_, packed)
            | Self::SetAside(packed)
            | Self::Put(_, _, packed)
            | Self::PutAt(_, _, _, packed)
            | Self::Stage(_, _, packed)
            | Self::Shelve(_, packed) => packed.bulk.take(),
            Self::Nothing
            | Self::Leave(_)
            | Self::Forget(_)
            | Self::Settle(_)
            | Self::Unstage(_)
            | Self::Unfreeze(_)
            | Self::RemoveEntry(..)
            | Self::RemoveSnapshot(..)
            | Self::TakeOut(_)
            | Self::Void(_)
            | Self::UseLastResort(_)
            | Self::Discard(_)
            | Self::KnowGone(..)
            | Self::SkipTo(_) => None,
        }
    }
}

impl Engine {
    /// Applies a batch if everything holds that it expects.
    pub(super) fn apply(
        &mut self,
        expect: Vec<Expect>,
        ops: Vec<PackedOp>,
    ) -> Result<Result<Vec<OwedId>, BackendError>, Failure> {
        for expectation in expect {
            match self.holds(&expectation)? {
                Ok(true) => {}
                Ok(false) => return Ok(Err(BackendError::Conflict(Box::new(expectation)))),
                Err(error) => return Ok(Err(error)),
            }
        }
        let mut changes = Changes::new();
        let mut owed = Vec::new();
        let (counters, issued) = (self.next, self.issued);
        for op in ops {
            self.carry(op, &mut changes, &mut owed)?;
        }
        if self.next != counters {
            changes.extend(engine::counters_writes(self.next));
        }
        if self.issued != issued
            && let Ok(packed) = Packed::of(self.issued)
        {
            changes.extend(engine::single_writes(Kind::Issued, &packed));
        }
        if !changes.is_empty() {
            self.commit(changes)?;
        }
        Ok(Ok(owed))
    }

    fn holds(&mut self, expect: &Expect) -> Result<Result<bool, BackendError>, Failure> {
        Ok(Ok(match expect {
            Expect::Unbound => match self.single::<UserId>(Kind::Owner)? {
                Loaded::Whole(owner) => owner.is_none(),
                Loaded::Damaged(damage) => return Ok(Err(damaged(Kind::Owner, b"", damage))),
            },
            Expect::KeysUnbound => match self.single::<Sha256>(Kind::Keys)? {
                Loaded::Whole(keys) => keys.is_none(),
                Loaded::Damaged(damage) => return Ok(Err(damaged(Kind::Keys, b"", damage))),
            },
            Expect::Cursor(expected) => match self.single::<SyncToken>(Kind::Cursor)? {
                Loaded::Whole(cursor) => cursor == *expected,
                Loaded::Damaged(damage) => return Ok(Err(damaged(Kind::Cursor, b"", damage))),
            },
            Expect::InInbox(row) => self.log.contains(&keys::row(Kind::Inbox, row.get()))?,
            Expect::StillOwed(row) => self.log.contains(&keys::row(Kind::Owed, row.get()))?,
            Expect::NewTransaction(transaction) => !self.known.contains(transaction),
            Expect::NoAnswer(key, now) => match self.remembered(key, Engine::peek)? {
                Ok(answer) => answer.is_none_or(|answer| answer.expires_at <= *now),
                Err(error) => return Ok(Err(error)),
            },
            Expect::GroupAt(group, epoch) => {
                match self.number_of(Kind::Head, group, |head: &Head| head.epoch.get())? {
                    Ok(found) => found == epoch.map(Epoch::get),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Expect::AgendaAt(group, revision) => {
                match self.number_of(Kind::Agenda, group, |agenda: &Agenda| agenda.revision)? {
                    Ok(found) => found == *revision,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Expect::StagedIn(group, row) => match self.staged_in(group)? {
                Ok(staged) => staged == *row,
                Err(error) => return Ok(Err(error)),
            },
            Expect::NotStaged(row) => !self.is_staged(*row),
            Expect::NotFrozen(group) => match self.of_group::<FrozenGroup>(Kind::Frozen, group)? {
                Ok(frozen) => frozen.is_none(),
                Err(error) => return Ok(Err(error)),
            },
            Expect::NewKeyPackage(reference) => !self.log.contains(&keys::known(reference))?,
            Expect::InStock(reference) => self.standing(reference)? == Some(Standing::InStock),
            Expect::StockAtMost(client, count) => self.shelved_rows(client)? <= *count,
        }))
    }

    /// What is remembered under a key. A damaged answer is reported once and is then out of the way.
    pub(super) fn remembered(
        &mut self,
        key: &AnswerKey,
        load: impl FnOnce(&Self, Kind, &[u8], &[u8]) -> Result<Loaded<Answer>, Failure>,
    ) -> Result<Result<Option<Answer>, BackendError>, Failure> {
        let key = keys::answer(key);
        let Some(value) = self.log.get(&key)? else { return Ok(Ok(None)) };
        match load(self, Kind::Answer, &key, &value)? {
            Loaded::Whole(answer) => Ok(Ok(Some(answer))),
            Loaded::Damaged(damage) => {
                self.quarantine(&key, &value, damage)?;
                Ok(Err(damaged(Kind::Answer, &key, damage)))
            }
        }
    }

    fn carry(&mut self, op: PackedOp, changes: &mut Changes, owed: &mut Vec<OwedId>) -> Result<(), Failure> {
        match op {
            PackedOp::Single(kind, packed) => changes.extend(engine::single_writes(kind, &packed)),
            PackedOp::Receive(packed) => {
                let number = take_number(&mut self.next.inbox);
                put(changes, Kind::Inbox, keys::row(Kind::Inbox, number), &packed);
                self.depths.inbox = self.depths.inbox.saturating_add(1);
            }
            PackedOp::ReceiveAs(row, packed) => {
                let is_new = self.put_row(changes, Kind::Inbox, row.get(), &packed)?;
                self.depths.inbox = self.depths.inbox.saturating_add(u64::from(is_new));
                self.skip_to(Progress { inbox: row.get().saturating_add(1), ..Progress::default() });
            }
            PackedOp::Nothing => {}
            PackedOp::Leave(row) => {
                if self.remove(changes, keys::row(Kind::Inbox, row.get()))? {
                    self.depths.inbox = self.depths.inbox.saturating_sub(1);
                }
            }
            PackedOp::Remember(key, expires_at, packed) => {
                self.remember(changes, &key, expires_at, &packed)?;
            }
            PackedOp::Forget(key) => self.forget(changes, &key)?,
            PackedOp::Owe(packed) => {
                let number = take_number(&mut self.next.owed);
                put(changes, Kind::Owed, keys::row(Kind::Owed, number), &packed);
                self.depths.owed = self.depths.owed.saturating_add(1);
                owed.push(OwedId::new(number));
            }
            PackedOp::OweAs(id, packed) => {
                let is_new = self.put_row(changes, Kind::Owed, id.get(), &packed)?;
                self.depths.owed = self.depths.owed.saturating_add(u64::from(is_new));
                self.skip_to(Progress { owed: id.get().saturating_add(1), ..Progress::default() });
            }
            PackedOp::Settle(row) => {
                if self.remove(changes, keys::row(Kind::Owed, row.get()))? {
                    self.depths.owed = self.depths.owed.saturating_sub(1);
                }
            }
            PackedOp::NoteTransaction(transaction, packed) => self.note(changes, transaction, &packed),
            PackedOp::SetAside(packed) => self.set_aside(changes, &packed),
            PackedOp::Put(kind, key, packed) => self.put_of_group(changes, kind, key, &packed)?,
            PackedOp::PutAt(kind, key, number, packed) => {
                self.note_number(key.clone(), number);
                self.put_of_group(changes, kind, key, &packed)?;
            }
            PackedOp::Stage(group, row, packed) => self.stage(changes, group, row, &packed),
            PackedOp::Unstage(group) => self.unstage(changes, &group)?,
            PackedOp::RemoveEntry(group, epoch) => {
                self.remove(changes, keys::entry(&group, epoch.get()))?;
            }
            PackedOp::RemoveSnapshot(group, epoch) => {
                self.remove(changes, keys::snapshot(&group, epoch.get()))?;
            }
            PackedOp::Unfreeze(group) => {
                self.remove(changes, keys::of_group(Kind::Frozen, &group))?;
            }
            PackedOp::Shelve(arrival, packed) => self.shelve(changes, *arrival, &packed)?,
            PackedOp::TakeOut(reference) => self.issue(changes, &reference, Self::take_out)?,
            PackedOp::Void(reference) => self.take_out(changes, &reference)?,
            PackedOp::UseLastResort(reference) => self.issue(changes, &reference, Self::use_last_resort)?,
            PackedOp::Discard(reference) => self.discard(changes, &reference)?,
            PackedOp::KnowGone(reference, until) => self.know_gone(changes, reference, until)?,
            PackedOp::SkipTo(progress) => self.skip_to(progress),
        }
        Ok(())
    }

    /// Something that a group has one of, or that it has one of in an epoch.
    fn put_of_group(
        &mut self,
        changes: &mut Changes,
        kind: Kind,
        key: Vec<u8>,
        packed: &Packed,
    ) -> Result<(), Failure> {
        if !self.is_there(changes, &key)? {
            self.depths.groups = self.depths.groups.saturating_add(u64::from(kind == Kind::Head));
        }
        if let Some(former) = keys::former_snapshot(&key).filter(|_| kind == Kind::Snapshot) {
            // It could not be read, or it would not be there any more.
            self.remove(changes, former)?;
        }
        put(changes, kind, key, packed);
        Ok(())
    }

    fn stage(&mut self, changes: &mut Changes, group: GroupId, row: InboxSeq, packed: &Packed) {
        let key = keys::of_group(Kind::Staged, &group);
        self.staged.insert(key.clone(), Some((group, row)));
        put(changes, Kind::Staged, key, packed);
        self.count_staged();
    }

    fn unstage(&mut self, changes: &mut Changes, group: &GroupId) -> Result<(), Failure> {
        let key = keys::of_group(Kind::Staged, group);
        self.staged.remove(&key);
        self.remove(changes, key)?;
        self.count_staged();
        Ok(())
    }

    fn count_staged(&mut self) {
        self.depths.staged = u64::try_from(self.staged.len()).unwrap_or(u64::MAX);
    }

    /// An answer, in the place of the one that was remembered under its key.
    fn remember(
        &mut self,
        changes: &mut Changes,
        key: &AnswerKey,
        expires_at: Timestamp,
        packed: &Packed,
    ) -> Result<(), Failure> {
        self.forget(changes, key)?;
        put(changes, Kind::Answer, keys::answer(key), packed);
        if let Ok(empty) = Packed::of_parts(&[], Vec::new()) {
            put(changes, Kind::Expiry, keys::expiry(expires_at, key), &empty);
        }
        self.depths.answers = self.depths.answers.saturating_add(1);
        Ok(())
    }

    /// A row under a number of its own; says whether there was none.
    fn put_row(
        &self,
        changes: &mut Changes,
        kind: Kind,
        number: u64,
        packed: &Packed,
    ) -> Result<bool, Failure> {
        let key = keys::row(kind, number);
        let is_new = !self.is_there(changes, &key)?;
        put(changes, kind, key, packed);
        Ok(is_new)
    }

    /// A KeyPackage is given out, in one way or the other.
    fn issue(
        &mut self,
        changes: &mut Changes,
        reference: &KeyPackageRef,
        way: impl FnOnce(&Self, &mut Changes, &KeyPackageRef) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        take_number(&mut self.issued.0);
        way(self, changes, reference)
    }

    /// How far the store has come.
    pub(super) fn progress(&self) -> Progress {
        Progress { inbox: self.next.inbox, owed: self.next.owed, issued: self.issued.0 }
    }

    fn skip_to(&mut self, progress: Progress) {
        let Progress { inbox, owed, issued } = self.progress().at_least(progress);
        (self.next.inbox, self.next.owed, self.issued.0) = (inbox, owed, issued);
    }

    fn note(&mut self, changes: &mut Changes, transaction: PushTransaction, packed: &Packed) {
        if !self.known.insert(transaction.clone()) {
            return;
        }
        let number = take_number(&mut self.next.transaction);
        put(changes, Kind::Transaction, keys::row(Kind::Transaction, number), packed);
        self.transactions.insert(number, transaction);
        while self.transactions.len() > limits::PUSH_TRANSACTIONS_REMEMBERED {
            let Some((oldest, transaction)) = self.transactions.pop_first() else { break };
            self.known.remove(&transaction);
            changes.insert(keys::row(Kind::Transaction, oldest), None);
        }
    }

    fn set_aside(&mut self, changes: &mut Changes, packed: &Packed) {
        let number = take_number(&mut self.next.set_aside);
        put(changes, Kind::SetAside, keys::row(Kind::SetAside, number), packed);
        self.aside.insert(number);
        while self.aside.len() > limits::SET_ASIDE_ROWS {
            let Some(oldest) = self.aside.pop_first() else { break };
            changes.insert(keys::row(Kind::SetAside, oldest), None);
        }
        self.depths.set_aside = u64::try_from(self.aside.len()).unwrap_or(u64::MAX);
    }

    /// Removes a key, as the batch so far leaves it; says whether it was there.
    fn remove(&self, changes: &mut Changes, key: Vec<u8>) -> Result<bool, Failure> {
        let there = self.is_there(changes, &key)?;
        if there {
            changes.insert(key, None);
        }
        Ok(there)
    }

    /// Whether a key is there, as the batch so far leaves it.
    fn is_there(&self, changes: &Changes, key: &[u8]) -> Result<bool, Failure> {
        match changes.get(key) {
            Some(change) => Ok(change.is_some()),
            None => self.log.contains(key),
        }
    }

    /// The value of a key, as the batch so far leaves it.
    pub(super) fn current(&self, changes: &Changes, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        match changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => Ok(self.log.get(key)?.map(|value| value.to_vec())),
        }
    }

    /// Forgets an answer and its expiry row, as the batch so far leaves them.
    fn forget(&mut self, changes: &mut Changes, answer: &AnswerKey) -> Result<(), Failure> {
        let key = keys::answer(answer);
        let Some(value) = self.current(changes, &key)? else { return Ok(()) };
        // Of a damaged answer the expiry row stays; it is removed when its time has come.
        if let Loaded::Whole(earlier) = self.peek::<Answer>(Kind::Answer, &key, &value)? {
            changes.insert(keys::expiry(earlier.expires_at, answer), None);
        }
        changes.insert(key, None);
        self.depths.answers = self.depths.answers.saturating_sub(1);
        Ok(())
    }
}

/// The error for a damaged record.
pub(super) fn damaged(kind: Kind, key: &[u8], damage: Damage) -> BackendError {
    BackendError::Damaged(format!("{} {}: {damage}", kind.name(), key.escape_ascii()))
}

/// Writes a record, in this batch.
pub(super) fn put(changes: &mut Changes, kind: Kind, key: Vec<u8>, packed: &Packed) {
    let value = packed.seal(kind, &key);
    changes.insert(key, Some(value));
}
