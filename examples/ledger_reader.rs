//! Says what a place that `ledger_writer` wrote to still holds.
//!
//! `ledger_reader PLACE`: on standard output `in N` for each message that waits, `have N` for each whose answer can be read
//! back whole, `owed N` for each that is owed, `log N` for each that moved a group on. Whatever is there but is not what was
//! written, and a place that cannot be opened, is a sentence on standard error and an exit code other than 0.

#[path = "ledger/chain.rs"]
#[expect(dead_code, reason = "the writer uses the rest")]
mod chain;
#[path = "ledger/contents.rs"]
#[expect(dead_code, reason = "the writer uses the rest")]
mod contents;
#[path = "ledger/place.rs"]
mod place;
#[path = "ledger/reading.rs"]
mod reading;

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let place = std::env::args().nth(1).context("usage: ledger_reader PLACE")?;
    let store = place::open(&place).await?;
    let found = reading::read(&store, 0, &mut BTreeMap::new()).await?;
    store.close().await;
    let mut said = String::new();
    let mut say = |word: &str, number: &u64| writeln!(said, "{word} {number}");
    found.waiting.iter().try_for_each(|number| say("in", number))?;
    found.answered.iter().try_for_each(|number| say("have", number))?;
    found.owed.keys().try_for_each(|number| say("owed", number))?;
    found.log.iter().try_for_each(|(_, _, number, _)| say("log", number))?;
    print!("{said}");
    Ok(())
}
