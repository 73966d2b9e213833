//! A back end that is obviously right: everything in memory, nothing clever.

use std::collections::BTreeMap;

use maypole_core::batch::{Batch, Expect, Op};
use maypole_core::group::{Entry, Frozen, Head, Snapshot, Staged};
use maypole_core::ids::{Epoch, GroupId, InboxSeq, OwedId, SyncToken, UserId};
use maypole_core::limits;
use maypole_core::records::{
    Answer, AnswerKey, Depths, InboxItem, InboxRow, Owed, OwedRow, PushTransaction, SetAside,
};
use maypole_core::time::Timestamp;

#[derive(Default)]
pub(super) struct Model {
    owner: Option<UserId>,
    cursor: Option<SyncToken>,
    inbox: BTreeMap<InboxSeq, InboxItem>,
    next_inbox: u64,
    answers: BTreeMap<AnswerKey, Answer>,
    owed: BTreeMap<OwedId, Owed>,
    next_owed: u64,
    transactions: Vec<PushTransaction>,
    aside: Vec<SetAside>,
    heads: BTreeMap<GroupId, Head>,
    logs: BTreeMap<(GroupId, Epoch), Entry>,
    snapshots: BTreeMap<GroupId, Snapshot>,
    staged: BTreeMap<GroupId, Staged>,
    frozen: BTreeMap<GroupId, Frozen>,
}

impl Model {
    /// The numbers given out for what is owed, or the first expectation that does not hold.
    pub(super) fn apply(&mut self, batch: Batch) -> Result<Vec<OwedId>, Expect> {
        if let Some(broken) = batch.expect.into_iter().find(|expect| !self.holds(expect)) {
            return Err(broken);
        }
        Ok(batch.ops.into_iter().filter_map(|op| self.carry_out(op)).collect())
    }

    fn holds(&self, expect: &Expect) -> bool {
        match expect {
            Expect::Unbound => self.owner.is_none(),
            Expect::Cursor(cursor) => self.cursor == *cursor,
            Expect::InInbox(row) => self.inbox.contains_key(row),
            Expect::NoAnswer(key, now) => {
                self.answers.get(key).is_none_or(|answer| answer.expires_at <= *now)
            }
            Expect::NewTransaction(transaction) => !self.transactions.contains(transaction),
            Expect::StillOwed(row) => self.owed.contains_key(row),
            Expect::GroupAt(group, epoch) => self.heads.get(group).map(|head| head.epoch) == *epoch,
            Expect::StagedIn(group, row) => self.staged.get(group).map(|staged| staged.row) == *row,
            Expect::NotFrozen(group) => !self.frozen.contains_key(group),
        }
    }

    fn carry_out(&mut self, op: Op) -> Option<OwedId> {
        match op {
            Op::Bind(owner) => self.owner = Some(owner),
            Op::MoveCursor(cursor) => self.cursor = Some(cursor),
            Op::Receive(item) => {
                self.inbox.insert(InboxSeq::new(self.next_inbox), item);
                self.next_inbox += 1;
            }
            Op::Leave(row) => drop(self.inbox.remove(&row)),
            // Which share a row is in says who sees it, and nothing of the row.
            Op::Route(..) => {}
            Op::Remember(key, answer) => drop(self.answers.insert(key, answer)),
            Op::Forget(key) => drop(self.answers.remove(&key)),
            Op::Owe(owed) => {
                let id = OwedId::new(self.next_owed);
                self.owed.insert(id, owed);
                self.next_owed += 1;
                return Some(id);
            }
            Op::Settle(row) => drop(self.owed.remove(&row)),
            Op::NoteTransaction(transaction) => {
                if !self.transactions.contains(&transaction) {
                    self.transactions.push(transaction);
                }
                if self.transactions.len() > limits::PUSH_TRANSACTIONS_REMEMBERED {
                    self.transactions.remove(0);
                }
            }
            Op::SetAside(aside) => {
                self.aside.push(aside);
                if self.aside.len() > limits::SET_ASIDE_ROWS {
                    self.aside.remove(0);
                }
            }
            Op::SetHead(head) => drop(self.heads.insert(head.group.clone(), head)),
            Op::Append(group, entry) => drop(self.logs.insert((group, entry.epoch), entry)),
            Op::RemoveEntry(group, epoch) => drop(self.logs.remove(&(group, epoch))),
            Op::PutSnapshot(group, snapshot) => drop(self.snapshots.insert(group, snapshot)),
            Op::Stage(staged) => drop(self.staged.insert(staged.group().clone(), staged)),
            Op::Unstage(group) => drop(self.staged.remove(&group)),
            Op::Freeze(group, frozen) => drop(self.frozen.insert(group, frozen)),
            Op::Unfreeze(group) => drop(self.frozen.remove(&group)),
        }
        None
    }

    pub(super) fn owner(&self) -> Option<UserId> {
        self.owner.clone()
    }

    pub(super) fn cursor(&self) -> Option<SyncToken> {
        self.cursor.clone()
    }

    pub(super) fn inbox(&self, after: Option<InboxSeq>, limit: usize) -> Vec<InboxRow> {
        let rows = self.inbox.iter().filter(|(seq, _)| after.is_none_or(|after| **seq > after));
        rows.take(limit).map(|(seq, item)| InboxRow { seq: *seq, item: item.clone() }).collect()
    }

    pub(super) fn answer(&self, key: AnswerKey) -> Option<Answer> {
        self.answers.get(&key).cloned()
    }

    pub(super) fn expired_answers(&self, before: Timestamp, limit: usize) -> Vec<AnswerKey> {
        let mut expired: Vec<_> = self
            .answers
            .iter()
            .filter(|(_, answer)| answer.expires_at <= before)
            .map(|(key, answer)| (answer.expires_at, *key))
            .collect();
        expired.sort();
        expired.into_iter().take(limit).map(|(_, key)| key).collect()
    }

    pub(super) fn owed(&self, after: Option<OwedId>, limit: usize) -> Vec<OwedRow> {
        let rows = self.owed.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        rows.take(limit).map(|(id, owed)| OwedRow { id: *id, owed: owed.clone() }).collect()
    }

    pub(super) fn set_aside(&self, limit: usize) -> Vec<SetAside> {
        self.aside.iter().rev().take(limit).cloned().collect()
    }

    pub(super) fn head(&self, group: &GroupId) -> Option<Head> {
        self.heads.get(group).cloned()
    }

    pub(super) fn snapshot(&self, group: &GroupId) -> Option<Snapshot> {
        self.snapshots.get(group).cloned()
    }

    pub(super) fn log(&self, group: &GroupId, from: Epoch, limit: usize) -> Vec<Entry> {
        let of_group = self.logs.iter().filter(|((of, epoch), _)| of == group && *epoch >= from);
        of_group.take(limit).map(|(_, entry)| entry.clone()).collect()
    }

    pub(super) fn log_begins(&self, group: &GroupId) -> Option<Epoch> {
        self.logs.keys().find(|(of, _)| of == group).map(|(_, epoch)| *epoch)
    }

    pub(super) fn groups(&self) -> Vec<GroupId> {
        self.heads.keys().cloned().collect()
    }

    pub(super) fn staged(&self, group: &GroupId) -> Option<Staged> {
        self.staged.get(group).cloned()
    }

    pub(super) fn staged_groups(&self) -> Vec<(GroupId, InboxSeq)> {
        self.staged.iter().map(|(group, staged)| (group.clone(), staged.row)).collect()
    }

    pub(super) fn frozen(&self, group: &GroupId) -> Option<Frozen> {
        self.frozen.get(group).cloned()
    }

    pub(super) fn frozen_groups(&self) -> Vec<(GroupId, Frozen)> {
        self.frozen.iter().map(|(group, frozen)| (group.clone(), frozen.clone())).collect()
    }

    pub(super) fn depths(&self) -> Depths {
        Depths {
            inbox: self.inbox.len() as u64,
            owed: self.owed.len() as u64,
            set_aside: self.aside.len() as u64,
            answers: self.answers.len() as u64,
            groups: self.heads.len() as u64,
            staged: self.staged.len() as u64,
        }
    }
}
