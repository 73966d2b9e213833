//! Messages that come in: all of one account and one time, numbered one after the other.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use maypole::storage::Store;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::ids::{InboxSeq, SyncToken, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::records::{InboxItem, Incoming};
use maypole_core::time::Timestamp;

use crate::contents;

/// What comes in to a ledger.
#[derive(Debug)]
pub(crate) struct Post {
    /// Who sends all of it.
    pub(crate) user: UserId,
    /// When it comes.
    pub(crate) at: Timestamp,
    cursor: Option<SyncToken>,
    next: u64,
}

impl Post {
    /// Goes on where the ledger stands.
    pub(crate) async fn open(ledger: &Ledger<Store>, at: Timestamp) -> Result<Self> {
        let user = UserId::parse("@alice:a.org").context("a user")?;
        let cursor = ledger.cursor().await?;
        let next = cursor.as_ref().map_or(Ok(0), |cursor| cursor.as_str().parse())?;
        Ok(Self { user, at, cursor, next })
    }

    /// The number of the message that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// So many messages enter the inbox, of a size that follows from their numbers; these.
    pub(crate) async fn take_in(
        &mut self,
        ledger: &Ledger<Store>,
        count: u64,
        size: impl Fn(u64) -> usize,
    ) -> Result<Range<u64>> {
        let numbers = self.next..self.next + count;
        let to = SyncToken::parse(numbers.end.to_string()).context("a position")?;
        let items = numbers.clone().map(|number| item(&self.user, self.at, number, size(number))).collect();
        ledger.receive(self.cursor.as_ref(), &to, items, Vec::new()).await?;
        self.cursor = Some(to);
        self.next = numbers.end;
        Ok(numbers)
    }

    /// The same where nothing else waits: the numbers, and the rows.
    pub(crate) async fn receive(
        &mut self,
        ledger: &Ledger<Store>,
        count: u64,
        bytes: usize,
    ) -> Result<Vec<(u64, InboxSeq)>> {
        let numbers = self.take_in(ledger, count, |_| bytes).await?;
        let rows = ledger.inbox(None, usize::try_from(count)? + 1).await?;
        ensure!(rows.len() as u64 == count, "{} messages wait, and {count} were sent", rows.len());
        Ok(numbers.zip(rows.into_iter().map(|row| row.seq)).collect())
    }
}

/// A message, as it stands in the inbox.
#[expect(clippy::disallowed_methods, reason = "an example authenticates for itself")]
pub(crate) fn item(user: &UserId, at: Timestamp, number: u64, bytes: usize) -> InboxItem {
    let caller = Authenticated::by(AuthToken::make(), user.clone());
    let content = contents::content(number, 0, bytes);
    InboxItem::new(caller, at, Incoming::ToDevice { kind: "m.mls.message".to_owned(), content })
}
