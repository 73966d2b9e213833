//! What a ledger still holds of what `ledger_writer` wrote. Whatever is there but is not what was written is an error.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use maypole::storage::Store;
use maypole_core::ids::{GroupId, InboxSeq, OwedId, Sha256};
use maypole_core::ledger::Ledger;
use maypole_core::records::Incoming;
use maypole_core::time::Timestamp;

use crate::chain::{self, Chain};
use crate::{contents, place};

const PAGE: usize = 500;

/// What is there, by the numbers of the messages.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// All that was received has a number below this.
    pub(crate) end: u64,
    pub(crate) waiting: BTreeSet<u64>,
    pub(crate) answered: BTreeSet<u64>,
    pub(crate) owed: BTreeMap<u64, OwedId>,
    /// Each new entry of a log: its group, its epoch, the message that it answers, and the hash of its commit.
    pub(crate) log: Vec<(GroupId, u64, u64, Sha256)>,
}

/// Reads everything from a message on, and each group's log from where it was followed to.
pub(crate) async fn read(store: &Store, from: u64, chains: &mut BTreeMap<GroupId, Chain>) -> Result<Found> {
    let ledger = Ledger::new(store.clone());
    let end = ledger.cursor().await?.map_or(Ok(0), |cursor| cursor.as_str().parse())?;
    let mut found = Found { end, ..Found::default() };
    inbox(&ledger, &mut found).await?;
    answers(&ledger, from, &mut found).await?;
    owed(&ledger, &mut found).await?;
    logs(&ledger, chains, &mut found).await?;
    let damaged = place::quarantined(store).await?;
    ensure!(damaged == 0, "{damaged} records are damaged");
    Ok(found)
}

async fn inbox(ledger: &Ledger<Store>, found: &mut Found) -> Result<()> {
    let mut after: Option<InboxSeq> = None;
    loop {
        let rows = ledger.inbox(after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.seq);
        for row in rows {
            let Incoming::ToDevice { content, .. } = &row.item.message else { continue };
            let number = contents::number(content).context("a message without a number")?;
            ensure!(*content == contents::content(number, 0, content.len()), "message {number} has changed");
            ensure!(found.waiting.insert(number), "message {number} waits twice");
        }
    }
}

async fn answers(ledger: &Ledger<Store>, from: u64, found: &mut Found) -> Result<()> {
    for number in from..found.end {
        let Some(answer) = ledger.remembered(contents::key(number), Timestamp::from_millis(0)).await? else {
            continue;
        };
        let bytes = contents::delivered(&answer.reply);
        let whole = *bytes == *contents::content(number, 1, bytes.len())
            && answer.question == Sha256::of(&contents::content(number, 0, bytes.len()));
        ensure!(whole, "the answer to message {number} has changed");
        found.answered.insert(number);
    }
    Ok(())
}

async fn owed(ledger: &Ledger<Store>, found: &mut Found) -> Result<()> {
    let mut after: Option<OwedId> = None;
    loop {
        let rows = ledger.owed(after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.get().id);
        for row in rows {
            let bytes = contents::delivered(&row.get().owed.delivery);
            let number = contents::number(bytes).context("something owed without a number")?;
            let whole = *bytes == *contents::content(number, 1 + number % 2, bytes.len());
            ensure!(whole, "what is owed for message {number} has changed");
            let twice = found.owed.insert(number, row.get().id);
            ensure!(twice.is_none(), "something is owed twice for message {number}");
        }
    }
}

async fn logs(
    ledger: &Ledger<Store>,
    chains: &mut BTreeMap<GroupId, Chain>,
    found: &mut Found,
) -> Result<()> {
    let mut after: Option<GroupId> = None;
    loop {
        let groups = ledger.groups(after.as_ref(), PAGE).await?;
        let Some(last) = groups.last() else { return Ok(()) };
        after = Some(last.clone());
        for group in groups {
            let chain = chains.entry(group.clone()).or_default();
            let each = |entry: &maypole_core::group::Entry| {
                let number = chain::number(entry).context("an entry that answers nothing")?;
                let hash = Sha256::of(&entry.message);
                found.log.push((group.clone(), entry.epoch.get(), number, hash));
                Ok(())
            };
            chain.follow(ledger, &group, each).await?;
        }
    }
}
