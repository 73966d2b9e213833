//! Many groups, each with a commit at the same time, epoch after epoch: how many are decided and durable in a second.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result};
use maypole::clock;
use maypole::storage::Store;
use maypole_core::batch::{Backend as _, Batch, Expect, Op};
use maypole_core::ledger::Ledger;
use tokio::task::JoinSet;

use crate::crowd::{Stand, all_at_once, stands};
use crate::floor::signatures;
use crate::kind::Kind;
use crate::post::Post;
use crate::{Arguments, place};

pub(crate) async fn run(arguments: &Arguments, kind: Kind, at: &str) -> Result<()> {
    let mut stands = stands(0, arguments.groups, arguments.epochs, arguments.seed)?;
    let store = place::open(at).await?;
    let ledger = Arc::new(Ledger::new(store.clone()));
    let mut post = Post::open(&ledger, clock::now()).await?;
    // Registrations are not counted.
    all_at_once(&ledger, &mut post, &mut stands, |_| Ok(())).await?;
    let mut took = Duration::ZERO;
    for _ in 0..arguments.epochs {
        took += all_at_once(&ledger, &mut post, &mut stands, |_| Ok(())).await?;
    }
    let commits = arguments.groups.saturating_mul(arguments.epochs) as f64;
    let rate = commits / took.as_secs_f64();
    let grouped = grouped(&store, arguments.groups, &stands).await?;
    store.close().await;
    let floor = signatures()?;
    let crypto = available_parallelism()?.get() as f64 / floor.as_secs_f64();
    println!(
        "{}, {} groups at once: {rate:.0} commits a second decided and durable; {crypto:.0} by their signatures alone on all \
         cores, {grouped:.0} writes of 4 KB by the store alone; {:.0} % of the smaller, at least 60 is the goal: {}",
        kind.name(),
        arguments.groups,
        100.0 * rate / crypto.min(grouped),
        if rate >= 0.6 * crypto.min(grouped) { "met" } else { "missed" },
    );
    Ok(())
}

/// How many compare-and-swaps of 4 KB the store makes in a second, when so many wait at once.
async fn grouped(store: &Store, at_once: u64, stands: &[Stand]) -> Result<f64> {
    const ROUNDS: u32 = 3;
    let mut batches = Vec::new();
    for stand in stands {
        let head = store.head(&stand.reel.group).await?.context("a group")?;
        let expect = vec![Expect::GroupAt(stand.reel.group.clone(), Some(head.epoch))];
        let head = maypole_core::group::Head { notes: vec![7; 3_700], ..head };
        batches.push(Batch { name: "swap", expect, ops: vec![Op::SetHead(head)] });
    }
    let began = clock::monotonic();
    for _ in 0..ROUNDS {
        let mut writing = JoinSet::new();
        for batch in batches.iter().cloned() {
            let store = store.clone();
            writing.spawn(async move { store.apply(batch).await });
        }
        while let Some(done) = writing.join_next().await {
            done??;
        }
    }
    Ok(at_once as f64 * f64::from(ROUNDS) / began.elapsed().as_secs_f64())
}
