//! What all have in common: the store, the time, what was sent; and the processes that work on it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::books::Books;
use super::chance::{Chance, Fate};
use super::chores::Delivered;
use super::people::{People, Sent};
use super::shelf::Shelf;
use crate::batch::{Expect, Op};
use crate::group::tests::Here;
use crate::group::{Group, Order};
use crate::ids::{GroupId, InboxSeq};
use crate::ledger::{Ledger, LedgerError};
use crate::memory::Memory;
use crate::records::{AnswerKey, InboxRow};
use crate::time::Timestamp;

/// What somebody is at, for whoever looks at what they write.
#[derive(Clone, Debug)]
pub(super) enum Doing {
    /// A message of the inbox, judged at this time and by this epoch and revision of its group.
    Row { row: InboxSeq, now: Timestamp, by: Option<(u64, u64)> },
    /// An order of the service, given at this time; whether it can sign then.
    Order { order: Order, signs: bool, now: Timestamp },
    /// Something that no group has to do with.
    Chore,
}

/// A future that is taken up again and again, or dropped by a crash.
pub(super) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What somebody is at, as it changes on the way.
pub(super) type Note = Rc<RefCell<Doing>>;

pub(super) struct House {
    pub(super) seed: u64,
    pub(super) chance: Chance,
    pub(super) store: Memory,
    pub(super) now: Cell<Timestamp>,
    /// What clients sent, and the homeserver's stream, which names it by its number.
    pub(super) sent: RefCell<Vec<Rc<Sent>>>,
    pub(super) stream: RefCell<Vec<usize>>,
    pub(super) people: RefCell<People>,
    pub(super) books: RefCell<Books>,
    pub(super) shelf: RefCell<Shelf>,
    /// What must happen outside for these messages has happened.
    pub(super) carried_out: RefCell<BTreeSet<InboxSeq>>,
    /// Whoever was asked last only waits.
    pub(super) idle: Cell<bool>,
    pub(super) conflicts: RefCell<BTreeMap<&'static str, u64>>,
    pub(super) delivered: RefCell<Delivered>,
    pub(super) deliveries: RefCell<u64>,
}

impl House {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            chance: Chance::new(seed),
            store: Memory::default(),
            now: Cell::new(Timestamp::from_millis(1_800_000_000_000)),
            sent: RefCell::default(),
            stream: RefCell::default(),
            people: RefCell::new(People::new(seed)),
            books: RefCell::new(Books::new(seed)),
            shelf: RefCell::default(),
            carried_out: RefCell::default(),
            idle: Cell::new(false),
            conflicts: RefCell::default(),
            delivered: RefCell::default(),
            deliveries: RefCell::default(),
        }
    }

    /// What is settled was delivered.
    pub(super) fn is_delivered(&self, op: &Op) {
        if let Op::Settle(id) = op {
            let books = self.books.borrow();
            let lane = &books.owed[id].lane;
            assert!(self.delivered.borrow().has(lane, *id), "what is settled was delivered");
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now.get()
    }

    pub(super) fn fate(&self, row: InboxSeq) -> Fate {
        Fate::of(self.seed, row)
    }

    /// Under which name the message of a row was sent.
    pub(super) fn key_of(&self, row: InboxSeq) -> AnswerKey {
        self.books.borrow().rows[&row].key
    }

    pub(super) fn sent_as(&self, row: &InboxRow) -> Rc<Sent> {
        self.books.borrow().rows[&row.seq].clone()
    }

    /// Whether one device makes more KeyPackages than there is room for.
    pub(super) fn hoards(&self) -> bool {
        self.seed.is_multiple_of(8)
    }

    /// How many messages the stream has that nobody has taken in.
    pub(super) fn on_its_way(&self) -> usize {
        self.stream.borrow().len() - self.books.borrow().rows.len()
    }

    /// Lets the others come first.
    pub(super) async fn pause(&self) {
        let mut has_waited = false;
        poll_fn(|_| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            self.idle.set(true);
            Poll::Pending
        })
        .await;
    }

    /// The place of a group takes its time to answer.
    pub(super) async fn linger(&self) {
        for _ in 0..self.chance.below(8).saturating_sub(4) {
            self.pause().await;
        }
    }

    /// Something was not written: who else was first is counted, and damage is nobody's wish.
    pub(super) fn failed(&self, error: &LedgerError) {
        let what = match error {
            LedgerError::Conflict(expect) => name_of(expect),
            LedgerError::Unavailable(_) => "unavailable",
            LedgerError::Damaged(what) => panic!("damaged: {what}"),
        };
        *self.conflicts.borrow_mut().entry(what).or_default() += 1;
    }
}

fn name_of(expect: &Expect) -> &'static str {
    use Expect as E;
    match expect {
        E::Unbound => "Unbound",
        E::KeysUnbound => "KeysUnbound",
        E::Cursor(_) => "Cursor",
        E::InInbox(_) => "InInbox",
        E::NoAnswer(..) => "NoAnswer",
        E::NewTransaction(_) => "NewTransaction",
        E::StillOwed(_) => "StillOwed",
        E::GroupAt(..) => "GroupAt",
        E::AgendaAt(..) => "AgendaAt",
        E::StagedIn(..) => "StagedIn",
        E::NotStaged(_) => "NotStaged",
        E::NotFrozen(_) => "NotFrozen",
        E::NewKeyPackage(_) => "NewKeyPackage",
        E::InStock(_) => "InStock",
        E::StockAtMost(..) => "StockAtMost",
    }
}

/// A process: what it has in memory, and loses by a crash.
pub(super) struct Process {
    pub(super) house: Rc<House>,
    pub(super) ledger: Ledger<Memory>,
    groups: RefCell<BTreeMap<GroupId, Group>>,
    busy: RefCell<BTreeSet<GroupId>>,
    pub(super) in_hand: RefCell<BTreeSet<InboxSeq>>,
    pub(super) carrying: RefCell<BTreeSet<InboxSeq>>,
    /// What it has begun beside what it was at.
    pub(super) begun: RefCell<Vec<(Note, Work)>>,
}

impl Process {
    pub(super) fn start(house: &Rc<House>) -> Rc<Self> {
        Rc::new(Self {
            house: house.clone(),
            ledger: Ledger::new(house.store.clone().giving_way()),
            groups: RefCell::default(),
            busy: RefCell::default(),
            in_hand: RefCell::default(),
            carrying: RefCell::default(),
            begun: RefCell::default(),
        })
    }

    /// One at a time works on a group.
    pub(super) async fn lane(&self, group: &GroupId) -> Lane<'_> {
        while !self.busy.borrow_mut().insert(group.clone()) {
            self.house.pause().await;
        }
        Lane { process: self, group: group.clone() }
    }

    /// A group as this process has it, or as the store has it; held against the books.
    pub(super) async fn open(&self, id: &GroupId) -> Result<Option<Group>, LedgerError> {
        let kept = self.groups.borrow_mut().remove(id);
        let group = match kept {
            Some(group) => Some(group),
            None => self.ledger.group(id, &Here).await?,
        };
        if let Some(group) = &group {
            self.compare(group);
        }
        Ok(group)
    }

    pub(super) fn keeps(&self, id: &GroupId) -> bool {
        self.groups.borrow().contains_key(id)
    }

    /// What is in memory of a group may be from before another process was at it.
    pub(super) fn forget(&self, id: &GroupId) {
        self.groups.borrow_mut().remove(id);
    }

    pub(super) fn keep(&self, group: Option<Group>) {
        if let Some(group) = group {
            self.groups.borrow_mut().insert(group.id().clone(), group);
        }
    }

    /// A group is what the books say of its epoch and revision.
    fn compare(&self, group: &Group) {
        let books = self.house.books.borrow();
        let epoch = group.epoch().get();
        let circle = books.circle_at(group.id(), epoch, group.agenda().revision);
        assert_eq!(
            group.mls().tree_hash(),
            books.tree_hash(group.id(), epoch),
            "the tree is that of the epoch"
        );
        assert_eq!(group.members(&Here).map(|(_, client)| client).collect::<BTreeSet<_>>(), circle.members);
        let pending = group.mls().pending().iter().map(maypole_mls::Pending::reference);
        assert!(pending.eq(circle.waiting.iter().map(|waits| waits.reference.as_slice())), "what waits");
        assert_eq!(group.is_dormant(), circle.is_dormant());
        for client in &circle.members {
            let leaves = circle.members.iter().filter(|other| other.user == client.user).count();
            assert_eq!(group.leaves_of(&client.user), leaves);
        }
    }
}

/// The right to work on a group.
pub(super) struct Lane<'p> {
    process: &'p Process,
    group: GroupId,
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.process.busy.borrow_mut().remove(&self.group);
    }
}
