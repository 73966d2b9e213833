//! Many groups are founded by a process that is killed then, and the next one opens the store.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use maypole::clock;
use maypole_core::ledger::Ledger;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::crowd::{all_at_once, stands};
use crate::place;
use crate::post::Post;
use crate::saying::{say, say_line};

/// Groups that are made at once.
const AT_ONCE: u64 = 500;
/// Groups that go on while nothing else happens, so that a kill meets somebody at work.
const LIVELY: u64 = 8;
/// How many epochs they have for that.
const EPOCHS: u64 = 100;
/// How many answers all of them give at least before their epochs are at an end.
pub(crate) const ANSWERS: u64 = 50;

/// Founds groups, each with one epoch more, and says of each message whose answer is durable. When all are there it says so, and
/// a few go on until it is killed.
pub(crate) async fn found(at: &str, groups: u64, seed: u64) -> Result<()> {
    let ledger = Arc::new(Ledger::new(place::open(at).await?));
    let mut post = Post::open(&ledger, clock::now()).await?;
    let durable = |number| Ok(say("ack", number)?);
    let mut lively = stands(0, LIVELY.min(groups), EPOCHS, seed)?;
    for _ in 0..2 {
        all_at_once(&ledger, &mut post, &mut lively, durable).await?;
    }
    let mut made = LIVELY.min(groups);
    while made < groups {
        let count = AT_ONCE.min(groups - made);
        let mut some = stands(made, count, 1, seed)?;
        for _ in 0..2 {
            all_at_once(&ledger, &mut post, &mut some, durable).await?;
        }
        made += count;
    }
    say_line("all")?;
    for _ in 1..EPOCHS {
        all_at_once(&ledger, &mut post, &mut lively, durable).await?;
    }
    std::future::pending().await
}

/// What a start took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) took: Duration,
    pub(crate) groups: u64,
    memory_mb: u64,
    peak_mb: u64,
}

impl Opened {
    /// Opens the store in this process and asks it what a start asks.
    pub(crate) async fn here(at: &str) -> Result<Self> {
        let began = clock::monotonic();
        let store = place::open(at).await?;
        let ledger = Ledger::new(store.clone());
        ledger.staged_groups().await?;
        let groups = ledger.depths().await?.groups;
        let took = began.elapsed();
        let status = std::fs::read_to_string("/proc/self/status")?;
        let megabytes = |field: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).context("no such line")?;
            let kilobytes = line.split_whitespace().nth(1).context("no number")?;
            anyhow::Ok(kilobytes.parse::<u64>().context("a number")? / 1_024)
        };
        let opened = Self { took, groups, memory_mb: megabytes("VmRSS:")?, peak_mb: megabytes("VmHWM:")? };
        store.close().await;
        Ok(opened)
    }

    /// Has this program started once more, which opens the store and [says so](Self::say).
    pub(crate) async fn elsewhere(arguments: &[&str]) -> Result<Self> {
        let mut opener = Command::new(std::env::current_exe()?);
        opener.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = opener.output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Says it to whoever has started this program.
    pub(crate) fn say(&self) -> Result<()> {
        Ok(say_line(&serde_json::to_string(self)?)?)
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { took, groups, memory_mb, peak_mb } = self;
        let took = took.as_millis();
        write!(
            f,
            "open after {took} ms, {memory_mb} MB in memory ({peak_mb} MB at most), {groups} groups counted"
        )
    }
}
