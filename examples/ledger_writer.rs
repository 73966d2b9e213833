//! Writes through the ledger as the service does, and says what is durable.
//!
//! `ledger_writer FOLDER [MESSAGES [TASKS [BYTES]]]`: messages enter the inbox some at a time, and several tasks answer
//! them. On standard output `got N` when message N is in the inbox, `ack N` when its answer is durable, each
//! line in one write. On standard error, at the end, how many answers a second that was. Run again on the same folder, it
//! goes on where it stopped.

#[path = "ledger/contents.rs"]
#[expect(dead_code, reason = "the reader uses the rest")]
mod contents;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use maypole::clock;
use maypole::storage::sled::Store;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::ids::{SyncToken, UserId};
use maypole_core::ledger::{Answered, Ledger};
use maypole_core::records::{InboxItem, InboxRow, Incoming};
use maypole_core::time::Timestamp;

const TIME: Timestamp = Timestamp::from_millis(1);

struct Work {
    folder: String,
    messages: u64,
    tasks: usize,
    bytes: Option<usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let work = arguments()?;
    let user = UserId::parse("@alice:a.org").context("a user")?;
    let store = Store::open(Path::new(&work.folder))?;
    let ledger = Arc::new(Ledger::new(store.clone()));
    ledger.bind(&user).await?;

    let mut cursor = ledger.cursor().await?;
    let mut next: u64 = cursor.as_ref().map_or(Ok(0), |cursor| cursor.as_str().parse())?;
    let end = next + work.messages;
    let mut spent = answer_all(&ledger, &user, &work).await?;
    while next < end {
        let some = next..end.min(next + u64::try_from(work.tasks * 16)?.min(500));
        next = some.end;
        let to = SyncToken::parse(next.to_string()).context("a position")?;
        let items = some.clone().map(|number| message(&user, number, &work)).collect();
        ledger.receive(cursor.as_ref(), &to, items, Vec::new()).await?;
        for number in some {
            say("got", number)?;
        }
        cursor = Some(to);
        spent += answer_all(&ledger, &user, &work).await?;
    }
    store.close().await;
    let per_second = f64::from(u32::try_from(work.messages)?) / spent.as_secs_f64();
    eprintln!("{} tasks: {per_second:.0} answers a second", work.tasks);
    Ok(())
}

fn arguments() -> anyhow::Result<Work> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        bail!("usage: ledger_writer FOLDER [MESSAGES [TASKS [BYTES]]]");
    };
    let mut number = |otherwise: usize| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let messages = u64::try_from(number(100)?)?;
    let tasks = number(4)?;
    let bytes = number(0)?;
    Ok(Work { folder, messages, tasks, bytes: (bytes > 0).then_some(bytes) })
}

#[expect(clippy::disallowed_methods, reason = "an example authenticates for itself")]
fn message(user: &UserId, number: u64, work: &Work) -> InboxItem {
    let caller = Authenticated::by(AuthToken::make(), user.clone());
    let content = contents::content(number, 0, size(number, work));
    InboxItem::new(caller, TIME, Incoming::ToDevice { kind: "m.mls.message".to_owned(), content })
}

fn size(number: u64, work: &Work) -> usize {
    work.bytes.unwrap_or_else(|| contents::size(number))
}

/// Answers whatever is in the inbox, from several tasks at once.
async fn answer_all(ledger: &Arc<Ledger<Store>>, user: &UserId, work: &Work) -> anyhow::Result<Duration> {
    let rows = Arc::new(Mutex::new(ledger.inbox(None, 10_000).await?));
    let start = clock::monotonic();
    let tasks: Vec<_> = (0..work.tasks)
        .map(|_| {
            let (ledger, rows, user) = (Arc::clone(ledger), Arc::clone(&rows), user.clone());
            let bytes = work.bytes;
            tokio::spawn(async move {
                while let Some(row) = take(&rows) {
                    answer(&ledger, row, &user, bytes).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(clock::monotonic().duration_since(start))
}

fn take(rows: &Mutex<Vec<InboxRow>>) -> Option<InboxRow> {
    rows.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

async fn answer(
    ledger: &Ledger<Store>,
    row: InboxRow,
    user: &UserId,
    bytes: Option<usize>,
) -> anyhow::Result<()> {
    let Incoming::ToDevice { content, .. } = &row.item.message else { bail!("not a message of ours") };
    let number = contents::number(content).context("a message without a number")?;
    let size = bytes.unwrap_or_else(|| contents::size(number));
    let remember = Some((contents::key(number), contents::answer(user, number, size)));
    let owed = vec![contents::owed(user, number, size)];
    let durable = ledger.answer(Answered { row: row.seq, remember, owed }, TIME).await?;
    say("ack", number)?;
    // As if some had been sent: their rows go, and with them bulk files.
    if bytes.is_none() && number % 3 == 0 {
        for row in &durable {
            ledger.settle(row).await?;
        }
    }
    Ok(())
}

/// Says something in one write, so that a reader sees whole lines in order.
fn say(word: &str, number: u64) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{word} {number}\n").as_bytes())?;
    out.flush()
}
