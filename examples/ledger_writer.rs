//! Writes through the ledger as the service does, and says what is durable.
//!
//! `ledger_writer PLACE [MESSAGES [TASKS [BYTES [TAPE]]]]`, where PLACE is a folder or the address of a PostgreSQL: messages
//! enter the inbox some at a time, and several tasks answer them. With a file of commits that were made beforehand, three of
//! four messages are answered by a decision that moves a group on. On standard output `got N` when message N is in the inbox,
//! `ack N` when its answer is durable, each line in one write. On standard error, at the end, how many answers a second that
//! was. Run again on the same place, it goes on where it stopped.

#[path = "ledger/chain.rs"]
#[expect(dead_code, reason = "the reader uses the rest")]
mod chain;
#[path = "ledger/contents.rs"]
#[expect(dead_code, reason = "the reader uses the rest")]
mod contents;
#[path = "ledger/place.rs"]
#[expect(dead_code, reason = "the reader uses the rest")]
mod place;
#[path = "ledger/post.rs"]
#[expect(dead_code, reason = "who writes nothing else meanwhile uses the rest")]
mod post;
#[path = "ledger/saying.rs"]
#[expect(dead_code, reason = "who is asked for signs of life uses the rest")]
mod saying;
#[path = "ledger/tape.rs"]
#[expect(dead_code, reason = "whoever makes tapes uses the rest")]
mod tape;
#[path = "ledger/terms.rs"]
mod terms;
#[path = "ledger/writing.rs"]
mod writing;

use anyhow::Context;

use crate::writing::Work;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let work = Work::from_arguments(std::env::args().skip(1))
        .context("usage: ledger_writer PLACE [MESSAGES [TASKS [BYTES [TAPE]]]]")?;
    let spent = writing::run(&work).await?;
    let per_second = f64::from(u32::try_from(work.messages)?) / spent.as_secs_f64();
    eprintln!("{} tasks: {per_second:.0} answers a second", work.tasks);
    Ok(())
}
