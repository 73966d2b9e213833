//! Many groups that are known while nothing happens: how long until the store is open, and what the process weighs.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use maypole::clock;
use maypole_core::ledger::Ledger;

use crate::crowd::{all_at_once, stands};
use crate::kind::Kind;
use crate::post::Post;
use crate::{Arguments, place};

/// Groups that are made at once.
const AT_ONCE: u64 = 500;

pub(crate) async fn run(arguments: &Arguments, kind: Kind, at: &str) -> Result<()> {
    let store = place::open(at).await?;
    let ledger = Arc::new(Ledger::new(store.clone()));
    let mut post = Post::open(&ledger, clock::now()).await?;
    let mut made = 0;
    while made < arguments.known {
        let count = AT_ONCE.min(arguments.known - made);
        let mut some = stands(made, count, 1, arguments.seed)?;
        for _ in 0..2 {
            all_at_once(&ledger, &mut post, &mut some, |_| Ok(())).await?;
        }
        made += count;
    }
    store.close().await;
    drop(ledger);
    let output = Command::new(std::env::current_exe()?).args(["--opens", at]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}, {} groups known: {}", kind.name(), arguments.known, said.trim_end());
    Ok(())
}

/// Opens the store and asks it what a start asks, and says what that took. Goals: at most 5 s, at most 300 MB.
pub(crate) async fn open(at: &str) -> Result<()> {
    let began = clock::monotonic();
    let store = place::open(at).await?;
    let ledger = Ledger::new(store.clone());
    ledger.staged_groups().await?;
    let depths = ledger.depths().await?;
    let took = began.elapsed();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).context("no such line")?;
        line.split_whitespace().nth(1).context("no number")?.parse::<u64>().context("a number")
    };
    println!(
        "open after {took:.2?}, {} MB in memory ({} MB at most), {} groups counted",
        kilobytes("VmRSS:")? / 1_024,
        kilobytes("VmHWM:")? / 1_024,
        depths.groups,
    );
    store.close().await;
    Ok(())
}
