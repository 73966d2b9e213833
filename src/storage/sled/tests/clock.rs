//! The wall clock a day off, either way, and put right again: what is remembered stays one answer to one question.

use std::time::Duration;

use maypole_core::batch::{Backend as _, Expect, Op};
use maypole_core::ledger::{Answered, Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey};
use maypole_core::time::Timestamp;

use super::Somewhere;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{answer, batch, key, message};
use crate::storage::sled::Store;

const DAY: Duration = Duration::from_hours(24);

fn noon() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn yesterday() -> Timestamp {
    Timestamp::from_millis(noon().as_millis() - DAY.as_millis() as u64)
}

/// An answer as it is given at a time.
fn given(seed: u64, at: Timestamp) -> Answer {
    answer(seed, 100, at.plus(limits::REFUSAL_REMEMBERED).as_millis())
}

struct Desk {
    place: Somewhere,
    store: Store,
    ledger: Ledger<Store>,
}

impl Desk {
    async fn open() -> Self {
        let place = Somewhere::new();
        let store = place.open().await;
        Self { place, ledger: Ledger::new(store.clone()), store }
    }

    /// A message comes in, and is answered for the first time; or somebody else answered it.
    async fn answers(&self, key: AnswerKey, seed: u64, now: Timestamp) -> Result<(), LedgerError> {
        self.store.apply(batch(Vec::new(), vec![Op::Receive(message(seed, 10))])).await.unwrap();
        let row = self.ledger.inbox(None, 100).await.unwrap().pop().unwrap().seq;
        let answered = Answered { row, remember: Some((key, given(seed, now))), owed: Vec::new() };
        self.ledger.answer(answered, now).await.map(drop)
    }

    async fn remembers(&self, now: Timestamp) -> Option<Answer> {
        self.ledger.remembered(key(1), now).await.unwrap()
    }

    async fn store_answers(&self) -> u64 {
        self.ledger.depths().await.unwrap().answers
    }

    async fn close(self) {
        self.place.close(self.store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_forgets_nothing() {
    let desk = Desk::open().await;
    desk.answers(key(1), 1, noon()).await.unwrap();
    let first = Some(given(1, noon()));
    assert_eq!(desk.remembers(yesterday()).await, first);
    assert_eq!(desk.ledger.forget(yesterday()).await.unwrap(), 0);
    let again = desk.answers(key(1), 2, yesterday()).await.unwrap_err();
    assert!(matches!(again, LedgerError::Conflict(expect) if matches!(*expect, Expect::NoAnswer(..))));
    assert_eq!(desk.remembers(noon()).await, first, "put right again");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_behind_does_not_shorten_what_is_remembered_to_nothing() {
    let desk = Desk::open().await;
    desk.answers(key(1), 1, yesterday().plus(Duration::from_millis(1))).await.unwrap();
    assert!(desk.remembers(noon()).await.is_some(), "a day is a day");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_forward_forgets_and_then_has_one_answer_again() {
    let desk = Desk::open().await;
    desk.answers(key(1), 1, noon()).await.unwrap();
    let tomorrow = noon().plus(DAY);
    assert_eq!(desk.remembers(tomorrow).await, None);
    desk.answers(key(1), 2, tomorrow).await.unwrap();
    let second = Some(given(2, tomorrow));
    assert_eq!(desk.remembers(tomorrow).await, second);
    assert_eq!(desk.ledger.forget(tomorrow).await.unwrap(), 0, "the first one's expiry went with it");
    // Put right again: the answer that stands is the last that was given.
    assert_eq!(desk.remembers(noon()).await, second);
    assert_eq!(desk.ledger.forget(noon()).await.unwrap(), 0);
    assert_eq!(desk.ledger.forget(tomorrow.plus(DAY)).await.unwrap(), 1);
    assert_eq!(desk.store_answers().await, 0);
    desk.close().await;
}

/// Were there a time at which nothing is remembered and nothing may be, a message would be looked at for ever.
#[tokio::test(flavor = "multi_thread")]
async fn at_every_time_either_an_answer_is_remembered_or_one_may_be_given() {
    let desk = Desk::open().await;
    let expires = noon().plus(limits::REFUSAL_REMEMBERED).as_millis();
    let times = [0, 1, yesterday().as_millis(), expires - 1, expires, expires + 1, u64::MAX];
    for (number, millis) in times.into_iter().enumerate() {
        let (key, now) = (key(number as u64 + 10), Timestamp::from_millis(millis));
        desk.answers(key, 1, noon()).await.unwrap();
        let remembered = desk.ledger.remembered(key, now).await.unwrap().is_some();
        assert_eq!(remembered, desk.answers(key, 2, now).await.is_err(), "{millis}");
        assert_eq!(remembered, millis < expires, "{millis}");
    }
    desk.close().await;
}
