//! What a back end stores: batches of typed operations, so that a database has real tables and an embedded store keys.
//!
//! A batch is applied whole or not at all, and only if every expectation holds at that moment.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use crate::directory::{KeyPackage, LastResort, Shelved, Standing, Stock};
use crate::group::{Agenda, Entry, Frozen, Head, Snapshot, SnapshotAt, Staged};
use crate::ids::{
    ClientId, Epoch, GroupId, InboxSeq, KeyPackageRef, OwedId, ProcessId, Sha256, ShelfPlace, SyncToken,
    UserId,
};
use crate::limits;
use crate::records::{
    Answer, AnswerKey, Depths, InboxItem, InboxRow, Owed, OwedRow, Progress, PushTransaction, Queues,
    SetAside,
};
use crate::shares::{Held, Share, Shares};
use crate::time::Timestamp;

/// What a transaction of the ledger asks of a back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The transaction's name, in logs and metrics.
    pub name: &'static str,
    /// What must hold, or nothing is done.
    pub expect: Vec<Expect>,
    /// What is done, in this order.
    pub ops: Vec<Op>,
}

/// What must hold when a batch is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The store belongs to nobody yet.
    Unbound,
    /// The store knows no keys of its service yet.
    KeysUnbound,
    /// The position in the homeserver's stream.
    Cursor(Option<SyncToken>),
    /// The inbox holds this row.
    InInbox(InboxSeq),
    /// Nothing is remembered under this key, or what is remembered expires at this time at the latest.
    NoAnswer(AnswerKey, Timestamp),
    /// The push transaction was not received before.
    NewTransaction(PushTransaction),
    /// The outbox holds this row.
    StillOwed(OwedId),
    /// The group is in this epoch, or, with none, is not there.
    GroupAt(GroupId, Option<Epoch>),
    /// What the group owes has this revision, or, with none, nothing is written of it.
    AgendaAt(GroupId, Option<u64>),
    /// This message of the inbox is staged in the group, or, with none, nothing is.
    StagedIn(GroupId, Option<InboxSeq>),
    /// This message of the inbox is staged in no group: whoever has staged it answers it.
    NotStaged(InboxSeq),
    /// The group is not frozen.
    NotFrozen(GroupId),
    /// Nothing is known of the KeyPackage.
    NewKeyPackage(KeyPackageRef),
    /// The KeyPackage can be handed out: it is in stock, or a last resort.
    InStock(KeyPackageRef),
    /// The device has at most so many KeyPackages in stock, last resorts not counted, and those that have ended counted.
    StockAtMost(ClientId, usize),
}

/// What a batch does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The store belongs to this account from now on.
    Bind(UserId),
    /// The service of this store has these keys from now on, by what they are known by.
    BindKeys(Sha256),
    /// The position in the homeserver's stream moves here.
    MoveCursor(SyncToken),
    /// A message enters the inbox, under the next number.
    Receive(InboxItem),
    /// A message is in the inbox under a number that was given out before; for copies of stores.
    ReceiveAs(InboxSeq, InboxItem),
    /// A row leaves the inbox.
    Leave(InboxSeq),
    /// A row of the inbox is for whoever holds this share. Where there is no such row, nothing is done.
    Route(InboxSeq, Share),
    /// An answer is remembered.
    Remember(AnswerKey, Answer),
    /// An answer is forgotten.
    Forget(AnswerKey),
    /// Something is owed, under the next number.
    Owe(Owed),
    /// Something is owed under a number that was given out before; for copies of stores.
    OweAs(OwedId, Owed),
    /// Something owed has been done.
    Settle(OwedId),
    /// A push transaction was received; the oldest beyond the limit are forgotten.
    NoteTransaction(PushTransaction),
    /// Something is kept for the operator; the oldest beyond the limit are dropped.
    SetAside(SetAside),
    /// Where a group stands.
    SetHead(Head),
    /// What a group owes.
    SetAgenda(Agenda),
    /// An entry of a group's log.
    Append(GroupId, Entry),
    /// The entry of this epoch leaves a group's log.
    RemoveEntry(GroupId, Epoch),
    /// A group's tree at an epoch. Those of other epochs stay.
    PutSnapshot(GroupId, Snapshot),
    /// A group's tree of this epoch is forgotten.
    RemoveSnapshot(GroupId, Epoch),
    /// A command waits in its group for what must happen outside.
    Stage(Staged),
    /// Nothing waits in the group any more.
    Unstage(GroupId),
    /// The group takes no commands; an earlier reason is replaced.
    Freeze(GroupId, Frozen),
    /// The group takes commands again.
    Unfreeze(GroupId),
    /// A KeyPackage of which nothing is known enters its device's stock, behind all others. A last resort takes the place of
    /// the one before of its suite, which is [taken out](Op::TakeOut).
    Shelve(KeyPackage),
    /// A KeyPackage leaves the stock; its reference stays known.
    TakeOut(KeyPackageRef),
    /// The same, where it may have been handed out before: that is not counted again.
    Void(KeyPackageRef),
    /// A last resort was handed out, and stays.
    UseLastResort(KeyPackageRef),
    /// A KeyPackage leaves the stock, if it is there, and nothing is known of it any more.
    Discard(KeyPackageRef),
    /// A KeyPackage is not in stock, and is known until a time, whether or not it was here; for copies of stores.
    KnowGone(KeyPackageRef, Timestamp),
    /// The store has come at least this far: no number below is given out.
    SkipTo(Progress),
}

/// Whether a page of a log that has so many bytes has room for an entry of this size, which is then counted in.
///
/// ```
/// use maypole_core::{batch::has_room, limits::LOG_PAGE_BYTES};
///
/// let mut page_bytes = 0;
/// assert!(has_room(&mut page_bytes, 2 * LOG_PAGE_BYTES), "the first one always has");
/// assert!(!has_room(&mut page_bytes, 1));
/// ```
pub fn has_room(page_bytes: &mut usize, entry_bytes: usize) -> bool {
    let whole = page_bytes.saturating_add(entry_bytes.max(1));
    let has_room = *page_bytes == 0 || whole <= limits::LOG_PAGE_BYTES;
    if has_room {
        *page_bytes = whole;
    }
    has_room
}

/// Why a back end did not apply a batch or answer a question.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// An expectation does not hold: somebody else was first. Nothing was done.
    #[error("an expectation of the write does not hold: {0:?}")]
    Conflict(Box<Expect>),
    /// The store cannot be written or read now. Whether the batch was applied is unknown.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A stored record is damaged.
    #[error("a stored record is damaged: {0}")]
    Damaged(String),
}

/// What keeps the ledger's records: atomic, durable, in order.
///
/// `apply` answers only after the batch would survive a loss of power. It returns the numbers given out for each
/// [`Op::Owe`] of the batch, in order.
pub trait Backend: Send + Sync + 'static {
    /// Applies a batch whole, durably, or not at all.
    fn apply(&self, batch: Batch) -> impl Future<Output = Result<Vec<OwedId>, BackendError>> + Send;

    /// Whose store this is.
    fn owner(&self) -> impl Future<Output = Result<Option<UserId>, BackendError>> + Send;

    /// What the keys of its service are known by.
    fn keys(&self) -> impl Future<Output = Result<Option<Sha256>, BackendError>> + Send;

    /// How far the store has come. It never goes back, unless the store is replaced by an older copy of itself.
    fn progress(&self) -> impl Future<Output = Result<Progress, BackendError>> + Send;

    /// The position in the homeserver's stream.
    fn cursor(&self) -> impl Future<Output = Result<Option<SyncToken>, BackendError>> + Send;

    /// Rows of the inbox after a place, oldest first.
    fn inbox(
        &self,
        after: Option<InboxSeq>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<InboxRow>, BackendError>> + Send;

    /// The oldest rows of the inbox in these shares, but for some. A row is in its sender's share until it is routed. A
    /// store that no second process can open has no shares: all rows are in whatever is asked for.
    fn unanswered(
        &self,
        of: Shares,
        but_for: BTreeSet<InboxSeq>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<InboxRow>, BackendError>> + Send;

    /// What is remembered under a key, expired or not. A damaged answer is an error once, and is then forgotten.
    fn answer(&self, key: AnswerKey) -> impl Future<Output = Result<Option<Answer>, BackendError>> + Send;

    /// Keys of answers that expire at a time at the latest, oldest first; at the same time, in the order of their keys.
    fn expired_answers(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AnswerKey>, BackendError>> + Send;

    /// Rows of the outbox after a place, oldest first.
    fn owed(
        &self,
        after: Option<OwedId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OwedRow>, BackendError>> + Send;

    /// The oldest rows of the outbox whose lanes are in these shares, but for some.
    fn undelivered(
        &self,
        of: Shares,
        but_for: BTreeSet<OwedId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OwedRow>, BackendError>> + Send;

    /// What was set aside, newest first.
    fn set_aside(&self, limit: usize) -> impl Future<Output = Result<Vec<SetAside>, BackendError>> + Send;

    /// Where a group stands; nothing if there is none.
    fn head(&self, group: &GroupId) -> impl Future<Output = Result<Option<Head>, BackendError>> + Send;

    /// What a group owes; nothing where nothing was ever written of it.
    fn agenda(&self, group: &GroupId) -> impl Future<Output = Result<Option<Agenda>, BackendError>> + Send;

    /// A group's newest snapshot of those at or before an epoch. If it is damaged, an older one does not take its place.
    fn snapshot(
        &self,
        group: &GroupId,
        at_or_before: Epoch,
    ) -> impl Future<Output = Result<Option<Snapshot>, BackendError>> + Send;

    /// Of which epochs a group has snapshots, damaged ones included, in order: the newest at or before an epoch, if there is
    /// one, and those after it.
    fn snapshots(
        &self,
        group: &GroupId,
        from: Epoch,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<SnapshotAt>, BackendError>> + Send;

    /// Entries of a group's log from an epoch on, in order: so many at most, and no more than [`limits::LOG_PAGE_BYTES`] of
    /// them, where that is more than one. A short page is not the last; the page after the last is empty.
    fn log(
        &self,
        group: &GroupId,
        from: Epoch,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Entry>, BackendError>> + Send;

    /// The epoch of the first entry in a group's log; nothing if there is none.
    fn log_begins(&self, group: &GroupId)
    -> impl Future<Output = Result<Option<Epoch>, BackendError>> + Send;

    /// Groups after a place, in an order of the back end's own that stays the same. A group whose head is damaged is left out.
    fn groups(
        &self,
        after: Option<&GroupId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<GroupId>, BackendError>> + Send;

    /// What is staged in a group.
    fn staged(&self, group: &GroupId) -> impl Future<Output = Result<Option<Staged>, BackendError>> + Send;

    /// The groups in which something is staged, and the message of the inbox that each came with.
    fn staged_groups(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(GroupId, InboxSeq)>, BackendError>> + Send;

    /// Whether and why a group is frozen.
    fn frozen(&self, group: &GroupId) -> impl Future<Output = Result<Option<Frozen>, BackendError>> + Send;

    /// Says that a process is alive, which holds for a term; what it holds by that. A store that no second process can open
    /// gives everything to whoever asks.
    fn renew(
        &self,
        process: ProcessId,
        term: Duration,
    ) -> impl Future<Output = Result<Held, BackendError>> + Send;

    /// A process gives up some of its shares.
    fn give_up(
        &self,
        process: ProcessId,
        shares: Shares,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// A process ends, and with it all that it holds.
    fn retire(&self, process: ProcessId) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// A device's KeyPackages after a place, oldest first, without last resorts.
    fn stocked(
        &self,
        client: &ClientId,
        after: Option<ShelfPlace>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Shelved>, BackendError>> + Send;

    /// A device's last resorts, by suite.
    fn last_resorts(
        &self,
        client: &ClientId,
    ) -> impl Future<Output = Result<Vec<LastResort>, BackendError>> + Send;

    /// How much a device has in stock that has not ended at a time.
    fn stock(
        &self,
        client: &ClientId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Stock, BackendError>> + Send;

    /// What is known of a KeyPackage; nothing if it never was here, or if that is forgotten.
    fn standing(
        &self,
        reference: &KeyPackageRef,
    ) -> impl Future<Output = Result<Option<Standing>, BackendError>> + Send;

    /// KeyPackages, in stock or not, of which nothing need be known from a time on, the earliest first; of the same time, in
    /// any order.
    fn outlived_key_packages(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KeyPackageRef>, BackendError>> + Send;

    /// Some KeyPackages in stock, of any devices, without last resorts.
    fn any_stocked(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KeyPackageRef>, BackendError>> + Send;

    /// How much there is of everything. To be asked now and then: it may mean counting.
    fn depths(&self) -> impl Future<Output = Result<Depths, BackendError>> + Send;

    /// How much waits in the queues, which are short: what is asked before anything is taken in or taken up.
    fn queues(&self) -> impl Future<Output = Result<Queues, BackendError>> + Send;
}
