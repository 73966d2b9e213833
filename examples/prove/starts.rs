//! A start after `kill -9`: many groups are founded, whoever does that is killed at work, and the next process has the store open
//! within a time, with everything that was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use maypole::clock;
use maypole_core::batch::Backend as _;
use maypole_testkit::recorder::SplitMix64;

use crate::founding::{ANSWERS, Opened};
use crate::life::Life;
use crate::quiet::quiet;
use crate::spoil::{Prey, Spoil};
use crate::{place, promises, reading};

/// How many groups, and how long a start may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starts {
    pub(crate) groups: u64,
    pub(crate) within: Duration,
    pub(crate) seed: u64,
    /// What is damaged before it is looked at, which must be found.
    pub(crate) spoil: Option<Spoil>,
}

/// Founds, kills, opens and looks; says how it went.
pub(crate) async fn run(starts: Starts, place: &str, folder: &Path) -> Result<String> {
    let began = clock::monotonic();
    let mut random = SplitMix64::new(starts.seed);
    let (groups, seed) = (starts.groups.to_string(), starts.seed.to_string());
    let mut founder = Life::begin(&["founder", place, &groups, &seed], &folder.join("founder"))?;
    founder.has_written_all().await?;
    founder.answers(random.below(ANSWERS)).await?;
    let acked: BTreeSet<u64> = founder.kill().await?.acked.into_iter().collect();
    if place.starts_with("postgres://") {
        quiet(place).await?;
    }
    let opened = Opened::elsewhere(&["opener", place]).await.context("no start after the kill")?;
    ensure!(opened.groups == starts.groups, "{} groups were founded: {opened}", starts.groups);
    let promised = acked.len();
    everything_is_there(&acked, starts.spoil, place).await?;
    ensure!(opened.took <= starts.within, "{opened}; it may take {} ms", starts.within.as_millis());
    Ok(format!(
        "{groups} groups, and a kill of who wrote them: {opened}, with all that {promised} answers had promised; {} s",
        began.elapsed().as_secs(),
    ))
}

/// Each message moved a group on.
async fn everything_is_there(acked: &BTreeSet<u64>, spoil: Option<Spoil>, place: &str) -> Result<()> {
    let store = place::open(place).await?;
    if let Some(spoil) = spoil {
        let groups = store.groups(None, 100).await?;
        let prey = Prey::among(groups, &store, acked).await?.context("no group that can be damaged")?;
        spoil.damage(&store, &prey).await?;
    }
    let found = reading::read(&store, 0, &mut BTreeMap::new()).await?;
    store.close().await;
    promises::are_kept(&found, 0, acked, |_| false)?;
    promises::have_moved(&found, &mut BTreeSet::new(), |_| true)
}
