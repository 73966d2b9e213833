//! One group of eight, commit after commit, each in the inbox already: judged, its receipt signed, written durably.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use maypole::clock;
use maypole_core::group::Group;
use maypole_core::ledger::Ledger;

use crate::chain::told;
use crate::crowd::{ANSWER_BYTES, MESSAGE_BYTES, owed, receipt_key};
use crate::floor::{fdatasync, median, signatures};
use crate::hall::Hall;
use crate::kind::Kind;
use crate::post::Post;
use crate::terms::judge;
use crate::{Arguments, contents, place};

/// Members of the group.
const MEMBERS: u32 = 8;

pub(crate) async fn run(arguments: &Arguments, kind: Kind, at: &str, folder: &Path) -> Result<()> {
    let (mut hall, registration) = Hall::found(0, arguments.seed)?;
    let terms = hall.terms()?;
    let ledger = Ledger::new(place::open(at).await?);
    let mut post = Post::open(&ledger, clock::now()).await?;
    let receipt_key = receipt_key()?;
    let mut group: Option<Group> = None;
    let mut times = Vec::new();
    let mut commands = vec![registration];
    let (before, synced_before) = (signatures()?, fdatasync(folder)?);
    for turn in 0..arguments.commits.saturating_add(u64::from(MEMBERS)) {
        let command = match commands.pop() {
            Some(registration) => registration,
            None => {
                let grows = turn < u64::from(MEMBERS);
                let leaf = u32::try_from(turn % u64::from(MEMBERS))?;
                let made = if grows { hall.join()? } else { hall.update(leaf)? };
                hall.play(&made)?;
                made.command
            }
        };
        let (number, row) = post.receive(&ledger, 1, MESSAGE_BYTES).await?.pop().context("a message")?;
        let began = clock::monotonic();
        let decision =
            judge(group.as_ref(), command, &terms, post.at)?.map_err(|refused| anyhow!("{refused:?}"))?;
        let told = told(
            &decision,
            number,
            (contents::key(number), contents::answer(&post.user, number, ANSWER_BYTES)),
            vec![owed(&post.user, number)],
        )?;
        std::hint::black_box(receipt_key.sign(&told.receipt));
        let decided = ledger.decide(row, None, *decision, told, post.at).await?;
        times.push(began.elapsed());
        group = Group::enter(group, decided);
    }
    ledger.into_backend().close().await;
    let floor = median(vec![before, signatures()?]);
    let synced = median(vec![synced_before, fdatasync(folder)?]);
    times.sort_unstable();
    let late = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let middle = median(times);
    let goal = floor + synced.mul_f64(1.5);
    println!(
        "{}, one group of 8, judged, signed and durable: p50 {middle:.1?}, p99 {late:.1?}; signatures {floor:.1?}, \
         fdatasync {synced:.1?}; {:.2} x (signatures + 1.5 x fdatasync), at most 1 is the goal of sled: {}",
        kind.name(),
        middle.as_secs_f64() / goal.as_secs_f64(),
        if middle <= goal { "met" } else { "missed" },
    );
    Ok(())
}
