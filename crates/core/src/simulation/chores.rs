//! What the service does besides messages: the stream in, the outbox out, orders, the operator's hand, what is forgotten.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::house::{Doing, House, Note, Process};
use super::service;
use crate::auth::Authenticated;
use crate::batch::Expect;
use crate::group::tests::{Here, signatures};
use crate::group::{Entry, Frozen, Order, heed};
use crate::ids::{Epoch, FreezeReason, GroupId, Lane, OwedId, Sha256, SyncToken};
use crate::ledger::{LedgerError, Past};
use crate::records::{AnswerKey, Delivery, InboxItem, Incoming, OwedRow};
use crate::shares::Shares;

/// What has been delivered, lane by lane: up to which number.
#[derive(Default)]
pub(super) struct Delivered(BTreeMap<Lane, OwedId>);

impl Delivered {
    pub(super) fn has(&self, lane: &Lane, id: OwedId) -> bool {
        self.0.get(lane).is_some_and(|last| id <= *last)
    }

    /// A delivery: a repeat, or the next of its lane.
    fn take(&mut self, house: &House, row: &OwedRow) {
        let lane = &row.owed.lane;
        if self.has(lane, row.id) {
            return;
        }
        let books = house.books.borrow();
        assert_eq!(books.owed.get(&row.id), Some(&row.owed), "what is delivered is what is owed");
        let mut before = books.owed.range(..row.id).filter(|(_, owed)| owed.lane == *lane);
        assert!(before.all(|(id, _)| self.has(lane, *id)), "a lane is delivered in its order");
        self.0.insert(lane.clone(), row.id);
    }
}

fn token(position: usize) -> SyncToken {
    SyncToken::parse(format!("s{position}")).unwrap()
}

/// The next messages of the stream enter the inbox.
pub(super) async fn take_in(process: Rc<Process>) {
    let house = &process.house;
    let from = match process.ledger.cursor().await {
        Ok(from) => from,
        Err(error) => return house.failed(&error),
    };
    let start: usize = from.as_ref().map_or(0, |from| from.as_str()[1..].parse().unwrap());
    let numbers: Vec<usize> = house.stream.borrow().iter().skip(start).take(8).copied().collect();
    if numbers.is_empty() {
        return;
    }
    let item = |number: &usize| {
        let sender = house.sent.borrow()[*number].command.get().by.user.clone();
        let content = (*number as u64).to_be_bytes().to_vec();
        let message = Incoming::ToDevice { kind: "m.mls.message".to_owned(), content };
        InboxItem::new(Authenticated::stored(sender), house.now(), message)
    };
    let items = numbers.iter().map(item).collect();
    let to = token(start + numbers.len());
    if let Err(error) = process.ledger.receive(from.as_ref(), &to, items, Vec::new()).await {
        house.failed(&error);
    }
}

/// Delivers the oldest of what is owed; a crash in between delivers it again.
pub(super) async fn deliver(process: Rc<Process>) {
    let house = &process.house;
    let rows = match process.ledger.undelivered(Shares::ALL, Default::default(), 12).await {
        Ok(rows) => rows,
        Err(error) => return house.failed(&error),
    };
    for row in rows {
        house.delivered.borrow_mut().take(house, row.get());
        let Delivery::ToDevice { recipients, .. } = &row.get().owed.delivery;
        *house.deliveries.borrow_mut() += recipients.len() as u64;
        if let Err(error) = process.ledger.settle(&row).await {
            return house.failed(&error);
        }
    }
}

/// Gives an order until it is written, or changes nothing.
pub(super) async fn order(process: Rc<Process>, group: GroupId, order: Order, signs: bool, note: Note) {
    loop {
        match attempt(&process, &group, &order, signs, &note).await {
            Ok(()) => return,
            Err(error) => {
                process.house.failed(&error);
                process.house.pause().await;
            }
        }
    }
}

async fn attempt(
    process: &Process,
    id: &GroupId,
    order: &Order,
    signs: bool,
    note: &Note,
) -> Result<(), LedgerError> {
    let _lane = process.lane(id).await;
    let Some(group) = process.open(id).await? else { return Ok(()) };
    let now = process.house.now();
    *note.borrow_mut() = Doing::Order { order: order.clone(), signs, now };
    let draft = heed(&group, order, &Here, now).unwrap();
    let amendment = draft.and_then(|draft| {
        let signed = draft.to_sign().filter(|_| signs).map(|to_sign| signatures(&to_sign));
        draft.signed(&signed.unwrap_or_default(), &Here, now)
    });
    let Some(amendment) = amendment else {
        let books = process.house.books.borrow();
        let circle = books.circle_at(id, group.epoch().get(), group.agenda().revision);
        assert_eq!(circle.after_order(order, signs, now), *circle, "nothing changes by {order:?}");
        process.keep(Some(group));
        return Ok(());
    };
    let owed = service::proposals(&amendment, now);
    let durable = process.ledger.amend(amendment, None, owed, now).await?;
    let group = group.amend(durable);
    assert!(group.is_some(), "what is durable is entered");
    process.keep(group);
    Ok(())
}

/// The operator freezes a group, or lets it go on.
pub(super) async fn freeze(process: Rc<Process>, group: GroupId, freezes: bool) {
    let frozen_at = process.house.now();
    let reason = FreezeReason::parse("so chance has it").unwrap();
    let done = match freezes {
        true => process.ledger.freeze(&group, Frozen { reason, frozen_at }).await,
        false => process.ledger.unfreeze(&group).await,
    };
    done.err().into_iter().for_each(|error| process.house.failed(&error));
}

/// What need not be kept goes: answers, old epochs, KeyPackages.
pub(super) async fn forget(process: Rc<Process>, group: GroupId) {
    let (house, ledger) = (&process.house, &process.ledger);
    let key = |entry: &Entry| Some(AnswerKey(Sha256::from_bytes(entry.notes.clone().try_into().ok()?)));
    for done in [
        ledger.forget(house.now()).await,
        ledger.trim(&group, key, house.now()).await,
        ledger.forget_key_packages(house.now()).await,
    ] {
        match done {
            Ok(_) => {}
            Err(LedgerError::Conflict(expect)) if matches!(*expect, Expect::NoAnswer(..)) => {}
            Err(error) => house.failed(&error),
        }
    }
    if let Err(error) = look_back(&process, &group).await {
        house.failed(&error);
    }
}

/// The trees of two epochs of a log are those that they had, unless somebody cuts the log meanwhile.
async fn look_back(process: &Process, group: &GroupId) -> Result<(), LedgerError> {
    let (ledger, books) = (&process.ledger, &process.house.books);
    let (Some(begins), Some(head)) = (ledger.log_begins(group).await?, ledger.head(group).await?) else {
        return Ok(());
    };
    let middle = Epoch::new(begins.get().midpoint(head.epoch.get())).unwrap();
    for epoch in [begins, middle] {
        match ledger.tree_at(group, epoch).await? {
            Past::Kept(past) => {
                assert_eq!(past.tree_hash(), books.borrow().tree_hash(group, epoch.get()), "as it was");
                books.borrow_mut().looked_back += 1;
            }
            Past::Gone { oldest } => assert!(oldest > epoch, "only the oldest are gone"),
        }
    }
    Ok(())
}
