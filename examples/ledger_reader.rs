//! Says what a folder that `ledger_writer` wrote still holds.
//!
//! `ledger_reader FOLDER`: on standard output `in N` for each message that waits, `have N` for each whose answer can be read
//! back whole, `owed N` for each that is owed. Whatever is there but is not what was written, and a folder that cannot be
//! opened, is a sentence on standard error and an exit code other than 0.

#[path = "ledger/contents.rs"]
#[expect(dead_code, reason = "the writer uses the rest")]
mod contents;

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use maypole::storage::sled::Store;
use maypole_core::ids::{InboxSeq, OwedId, Sha256};
use maypole_core::ledger::Ledger;
use maypole_core::records::Incoming;
use maypole_core::time::Timestamp;

const PAGE: usize = 500;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("usage: ledger_reader FOLDER")?;
    let store = Store::open(Path::new(&folder))?;
    let ledger = Ledger::new(store.clone());
    let mut said = String::new();
    inbox(&ledger, &mut said).await?;
    answers(&ledger, &mut said).await?;
    owed(&ledger, &mut said).await?;
    let damaged = store.quarantined().await?;
    ensure!(damaged == 0, "{damaged} records are damaged");
    store.close().await;
    print!("{said}");
    Ok(())
}

async fn inbox(ledger: &Ledger<Store>, said: &mut String) -> anyhow::Result<()> {
    let mut after: Option<InboxSeq> = None;
    loop {
        let rows = ledger.inbox(after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.seq);
        for row in rows {
            let Incoming::ToDevice { content, .. } = &row.item.message else { continue };
            let number = contents::number(content).context("a message without a number")?;
            ensure!(*content == contents::content(number, 0, content.len()), "message {number} has changed");
            writeln!(said, "in {number}")?;
        }
    }
}

async fn answers(ledger: &Ledger<Store>, said: &mut String) -> anyhow::Result<()> {
    // Every message that was received has a number below the position.
    let end: u64 = ledger.cursor().await?.map_or(Ok(0), |cursor| cursor.as_str().parse())?;
    for number in 0..end {
        let Some(answer) = ledger.remembered(contents::key(number), Timestamp::from_millis(0)).await? else {
            continue;
        };
        let bytes = contents::delivered(&answer.reply);
        let whole = *bytes == *contents::content(number, 1, bytes.len())
            && answer.question == Sha256::of(&contents::content(number, 0, bytes.len()));
        ensure!(whole, "the answer to message {number} has changed");
        writeln!(said, "have {number}")?;
    }
    Ok(())
}

async fn owed(ledger: &Ledger<Store>, said: &mut String) -> anyhow::Result<()> {
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
            writeln!(said, "owed {number}")?;
        }
    }
}
