//! Records that are obviously right: everything in memory, nothing clever.

use std::collections::BTreeMap;

use crate::batch::{Batch, Expect, Op};
use crate::directory::{KeyPackage, LastResort, Shelved, Standing, Stock};
use crate::group::{Agenda, Entry, Frozen, Head, Snapshot, SnapshotAt, Staged};
use crate::ids::{
    ClientId, Epoch, GroupId, InboxSeq, KeyPackageRef, OwedId, Sha256, ShelfPlace, SyncToken, UserId,
};
use crate::limits;
use crate::records::{
    Answer, AnswerKey, Depths, InboxItem, InboxRow, Owed, OwedRow, Progress, PushTransaction, SetAside,
};
use crate::time::Timestamp;

/// Everything that a back end keeps.
#[derive(Clone, Debug, Default)]
pub struct Records {
    owner: Option<UserId>,
    keys: Option<Sha256>,
    cursor: Option<SyncToken>,
    inbox: BTreeMap<InboxSeq, InboxItem>,
    next_inbox: u64,
    answers: BTreeMap<AnswerKey, Answer>,
    owed: BTreeMap<OwedId, Owed>,
    next_owed: u64,
    transactions: Vec<PushTransaction>,
    aside: Vec<SetAside>,
    heads: BTreeMap<GroupId, Head>,
    agendas: BTreeMap<GroupId, Agenda>,
    logs: BTreeMap<(GroupId, Epoch), Entry>,
    snapshots: BTreeMap<(GroupId, Epoch), Snapshot>,
    staged: BTreeMap<GroupId, Staged>,
    frozen: BTreeMap<GroupId, Frozen>,
    /// In the order of their arrival.
    key_packages: Vec<Kept>,
    gone: BTreeMap<KeyPackageRef, Timestamp>,
    issued: u64,
    next_place: u64,
}

/// A KeyPackage that is known.
#[derive(Clone, Debug)]
struct Kept {
    place: ShelfPlace,
    key_package: KeyPackage,
    in_stock: bool,
    used: bool,
}

impl Records {
    /// Applies a batch: the numbers given out for what is owed, or the first expectation that does not hold.
    pub fn apply(&mut self, batch: Batch) -> Result<Vec<OwedId>, Expect> {
        if let Some(broken) = batch.expect.into_iter().find(|expect| !self.holds(expect)) {
            return Err(broken);
        }
        Ok(batch.ops.into_iter().filter_map(|op| self.carry_out(op)).collect())
    }

    fn holds(&self, expect: &Expect) -> bool {
        match expect {
            Expect::Unbound => self.owner.is_none(),
            Expect::KeysUnbound => self.keys.is_none(),
            Expect::Cursor(cursor) => self.cursor == *cursor,
            Expect::InInbox(row) => self.inbox.contains_key(row),
            Expect::NoAnswer(key, now) => {
                self.answers.get(key).is_none_or(|answer| answer.expires_at <= *now)
            }
            Expect::NewTransaction(transaction) => !self.transactions.contains(transaction),
            Expect::StillOwed(row) => self.owed.contains_key(row),
            Expect::GroupAt(group, epoch) => self.heads.get(group).map(|head| head.epoch) == *epoch,
            Expect::AgendaAt(group, revision) => {
                self.agendas.get(group).map(|agenda| agenda.revision) == *revision
            }
            Expect::StagedIn(group, row) => self.staged.get(group).map(|staged| staged.row) == *row,
            Expect::NotStaged(row) => !self.staged.values().any(|staged| staged.row == *row),
            Expect::NotFrozen(group) => !self.frozen.contains_key(group),
            Expect::NewKeyPackage(reference) => self.standing(reference).is_none(),
            Expect::InStock(reference) => self.standing(reference) == Some(Standing::InStock),
            Expect::StockAtMost(client, count) => self.stocked(client).len() <= *count,
        }
    }

    fn carry_out(&mut self, op: Op) -> Option<OwedId> {
        match op {
            Op::Bind(owner) => self.owner = Some(owner),
            Op::BindKeys(keys) => self.keys = Some(keys),
            Op::MoveCursor(cursor) => self.cursor = Some(cursor),
            Op::Receive(item) => {
                self.inbox.insert(InboxSeq::new(self.next_inbox), item);
                self.next_inbox += 1;
            }
            Op::ReceiveAs(row, item) => {
                self.inbox.insert(row, item);
                self.next_inbox = self.next_inbox.max(row.get() + 1);
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
            Op::OweAs(id, owed) => {
                self.owed.insert(id, owed);
                self.next_owed = self.next_owed.max(id.get() + 1);
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
            Op::SetAgenda(agenda) => drop(self.agendas.insert(agenda.group.clone(), agenda)),
            Op::Append(group, entry) => drop(self.logs.insert((group, entry.epoch), entry)),
            Op::RemoveEntry(group, epoch) => drop(self.logs.remove(&(group, epoch))),
            Op::PutSnapshot(group, snapshot) => {
                self.snapshots.insert((group, snapshot.epoch), snapshot);
            }
            Op::RemoveSnapshot(group, epoch) => drop(self.snapshots.remove(&(group, epoch))),
            Op::Stage(staged) => drop(self.staged.insert(staged.group().clone(), staged)),
            Op::Unstage(group) => drop(self.staged.remove(&group)),
            Op::Freeze(group, frozen) => drop(self.frozen.insert(group, frozen)),
            Op::Unfreeze(group) => drop(self.frozen.remove(&group)),
            Op::Shelve(_)
            | Op::TakeOut(_)
            | Op::Void(_)
            | Op::UseLastResort(_)
            | Op::KnowGone(..)
            | Op::Discard(_) => self.carry_to_shelf(op),
            Op::SkipTo(progress) => {
                let Progress { inbox, owed, issued } = self.progress().at_least(progress);
                (self.next_inbox, self.next_owed, self.issued) = (inbox, owed, issued);
            }
        }
        None
    }

    /// An operation on a KeyPackage.
    fn carry_to_shelf(&mut self, op: Op) {
        match op {
            Op::Shelve(key_package) => {
                self.gone.remove(&key_package.reference);
                self.key_packages.retain(|kept| kept.key_package.reference != key_package.reference);
                for kept in &mut self.key_packages {
                    let before = &kept.key_package;
                    let replaced = key_package.last_resort && before.last_resort;
                    if replaced && before.client == key_package.client && before.suite == key_package.suite {
                        kept.in_stock = false;
                    }
                }
                let place = ShelfPlace::new(self.next_place);
                self.next_place += 1;
                self.key_packages.push(Kept { place, key_package, in_stock: true, used: false });
            }
            Op::TakeOut(reference) => {
                self.issued += 1;
                self.change(&reference, |kept| kept.in_stock = false);
            }
            Op::UseLastResort(reference) => {
                self.issued += 1;
                self.change(&reference, |kept| kept.used = true);
            }
            Op::Void(reference) => self.change(&reference, |kept| kept.in_stock = false),
            Op::KnowGone(reference, until) => {
                self.key_packages.retain(|kept| kept.key_package.reference != reference);
                self.gone.insert(reference, until);
            }
            Op::Discard(reference) => {
                self.gone.remove(&reference);
                self.key_packages.retain(|kept| kept.key_package.reference != reference);
            }
            // The rest is of something else.
            _ => {}
        }
    }

    /// How far the store has come.
    pub fn progress(&self) -> Progress {
        Progress { inbox: self.next_inbox, owed: self.next_owed, issued: self.issued }
    }

    /// What the keys of its service are known by.
    pub fn keys(&self) -> Option<Sha256> {
        self.keys
    }

    /// Whose store this is.
    pub fn owner(&self) -> Option<UserId> {
        self.owner.clone()
    }

    /// The position in the homeserver's stream.
    pub fn cursor(&self) -> Option<SyncToken> {
        self.cursor.clone()
    }

    /// Rows of the inbox after a place, oldest first.
    pub fn inbox(&self, after: Option<InboxSeq>, limit: usize) -> Vec<InboxRow> {
        let rows = self.inbox.iter().filter(|(seq, _)| after.is_none_or(|after| **seq > after));
        rows.take(limit).map(|(seq, item)| InboxRow { seq: *seq, item: item.clone() }).collect()
    }

    /// What is remembered under a key, expired or not.
    pub fn answer(&self, key: AnswerKey) -> Option<Answer> {
        self.answers.get(&key).cloned()
    }

    /// Keys of answers that expire at a time at the latest, oldest first.
    pub fn expired_answers(&self, before: Timestamp, limit: usize) -> Vec<AnswerKey> {
        let mut expired: Vec<_> = self
            .answers
            .iter()
            .filter(|(_, answer)| answer.expires_at <= before)
            .map(|(key, answer)| (answer.expires_at, *key))
            .collect();
        expired.sort();
        expired.into_iter().take(limit).map(|(_, key)| key).collect()
    }

    /// Rows of the outbox after a place, oldest first.
    pub fn owed(&self, after: Option<OwedId>, limit: usize) -> Vec<OwedRow> {
        let rows = self.owed.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        rows.take(limit).map(|(id, owed)| OwedRow { id: *id, owed: owed.clone() }).collect()
    }

    /// What was set aside, newest first.
    pub fn set_aside(&self, limit: usize) -> Vec<SetAside> {
        self.aside.iter().rev().take(limit).cloned().collect()
    }

    /// Where a group stands.
    pub fn head(&self, group: &GroupId) -> Option<Head> {
        self.heads.get(group).cloned()
    }

    /// What a group owes.
    pub fn agenda(&self, group: &GroupId) -> Option<Agenda> {
        self.agendas.get(group).cloned()
    }

    /// A group's newest snapshot of those at or before an epoch.
    pub fn snapshot(&self, group: &GroupId, at_or_before: Epoch) -> Option<Snapshot> {
        let mut before = self.snapshots.range((group.clone(), Epoch::ZERO)..=(group.clone(), at_or_before));
        before.next_back().map(|(_, snapshot)| snapshot.clone())
    }

    /// The newest snapshot at or before an epoch, and those after it, in order.
    pub fn snapshots(&self, group: &GroupId, from: Epoch) -> Vec<SnapshotAt> {
        let first = self.snapshot(group, from).map_or(Epoch::ZERO, |snapshot| snapshot.epoch);
        let later = self.snapshots.range((group.clone(), first)..);
        let of_group = later.take_while(|((of, _), _)| of == group).map(|(_, snapshot)| snapshot);
        of_group
            .map(|snapshot| SnapshotAt { epoch: snapshot.epoch, bytes: snapshot.bytes.len() as u64 })
            .collect()
    }

    /// Entries of a group's log from an epoch on, in order.
    pub fn log(&self, group: &GroupId, from: Epoch, limit: usize) -> Vec<Entry> {
        let from = self.logs.range((group.clone(), from)..);
        let of_group = from.take_while(|((of, _), _)| of == group);
        of_group.take(limit).map(|(_, entry)| entry.clone()).collect()
    }

    /// The epoch of the first entry in a group's log.
    pub fn log_begins(&self, group: &GroupId) -> Option<Epoch> {
        self.log(group, Epoch::ZERO, 1).first().map(|entry| entry.epoch)
    }

    /// All groups, in the order of their names.
    pub fn groups(&self) -> Vec<GroupId> {
        self.heads.keys().cloned().collect()
    }

    /// What is staged in a group.
    pub fn staged(&self, group: &GroupId) -> Option<Staged> {
        self.staged.get(group).cloned()
    }

    /// Where something is staged, and the message that it came with, by the names of the groups.
    pub fn staged_groups(&self) -> Vec<(GroupId, InboxSeq)> {
        self.staged.iter().map(|(group, staged)| (group.clone(), staged.row)).collect()
    }

    /// Whether and why a group is frozen.
    pub fn frozen(&self, group: &GroupId) -> Option<Frozen> {
        self.frozen.get(group).cloned()
    }

    fn change(&mut self, reference: &KeyPackageRef, change: impl Fn(&mut Kept)) {
        let of_it = self.key_packages.iter_mut().filter(|kept| kept.key_package.reference == *reference);
        of_it.for_each(change);
    }

    fn in_stock(&self, last_resorts: bool) -> impl Iterator<Item = &Kept> {
        let in_stock = self.key_packages.iter().filter(|kept| kept.in_stock);
        in_stock.filter(move |kept| kept.key_package.last_resort == last_resorts)
    }

    /// A device's KeyPackages, oldest first, without last resorts.
    pub fn stocked(&self, client: &ClientId) -> Vec<KeyPackage> {
        self.shelved(client, None).into_iter().map(|shelved| shelved.key_package).collect()
    }

    /// The same after a place, with their places.
    pub fn shelved(&self, client: &ClientId, after: Option<ShelfPlace>) -> Vec<Shelved> {
        let of_client = self.in_stock(false).filter(|kept| kept.key_package.client == *client);
        let later = of_client.filter(|kept| after.is_none_or(|after| kept.place > after));
        later.map(|kept| Shelved { place: kept.place, key_package: kept.key_package.clone() }).collect()
    }

    /// A device's last resorts, by suite.
    pub fn last_resorts(&self, client: &ClientId) -> Vec<LastResort> {
        let of_client = self.in_stock(true).filter(|kept| kept.key_package.client == *client);
        let mut found: Vec<LastResort> = of_client
            .map(|kept| LastResort { key_package: kept.key_package.clone(), used: kept.used })
            .collect();
        found.sort_by_key(|last| last.key_package.suite.code());
        found
    }

    /// How much a device has in stock that has not ended at a time.
    pub fn stock(&self, client: &ClientId, now: Timestamp) -> Stock {
        let good = |key_package: &KeyPackage| key_package.ends >= now;
        let last_resorts = self.last_resorts(client);
        let last_resorts = || last_resorts.iter().filter(|last| good(&last.key_package));
        Stock {
            key_packages: self.stocked(client).iter().filter(|stocked| good(stocked)).count() as u64,
            last_resorts: last_resorts().count() as u64,
            last_resort_used: last_resorts().any(|last| last.used),
        }
    }

    /// What is known of a KeyPackage.
    pub fn standing(&self, reference: &KeyPackageRef) -> Option<Standing> {
        if self.gone.contains_key(reference) {
            return Some(Standing::Gone);
        }
        let kept = self.key_packages.iter().find(|kept| kept.key_package.reference == *reference)?;
        Some(if kept.in_stock { Standing::InStock } else { Standing::Gone })
    }

    /// KeyPackages of which nothing need be known from a time on, in the order of their times, and of their references.
    pub fn outlived(&self, now: Timestamp) -> Vec<(Timestamp, KeyPackageRef)> {
        let all = self.key_packages.iter().map(|kept| &kept.key_package);
        let outlived = all.filter(|key_package| key_package.known_until() <= now);
        let mut outlived: Vec<_> =
            outlived.map(|key_package| (key_package.known_until(), key_package.reference.clone())).collect();
        let gone = self.gone.iter().filter(|(_, until)| **until <= now);
        outlived.extend(gone.map(|(reference, until)| (*until, reference.clone())));
        outlived.sort();
        outlived
    }

    /// All KeyPackages in stock, of any devices, without last resorts, in the order of their references.
    pub fn any_stocked(&self) -> Vec<KeyPackageRef> {
        let mut all: Vec<_> = self.in_stock(false).map(|kept| kept.key_package.reference.clone()).collect();
        all.sort();
        all
    }

    /// How much there is of everything.
    pub fn depths(&self) -> Depths {
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
