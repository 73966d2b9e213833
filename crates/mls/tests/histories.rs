//! A thousand histories of real OpenMLS members, followed from their public messages alone: after every step all
//! followers see what the members see.

#[expect(dead_code, reason = "the differential test needs more of it")]
mod oracles;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use maypole_testkit::mls::history::{Epoch, History, Kind, Step};
use oracles::mls_rs::MlsRs;
use oracles::openmls::OpenMls;
use oracles::ours::Ours;
use oracles::{Follower, Seen};

const HISTORIES: u64 = 1_000;
/// Suite 2 costs the members seven times as much as the others, so it has fewer histories.
const SUITES: [u16; 8] = [1, 3, 1, 2, 3, 1, 3, 1];
/// How often each kind occurs at the least, in all histories together: a generator that loses one is noticed.
const EACH_KIND_MIN: usize = 50;

#[test]
fn a_thousand_histories_are_followed_to_the_same_hashes() {
    let (next, contents) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed @ 0..HISTORIES = next.fetch_add(1, Ordering::Relaxed) {
                    match play_and_follow(seed) {
                        Ok(kinds) => {
                            let mut contents = contents.lock().unwrap();
                            kinds.into_iter().for_each(|kind| *contents.entry(kind).or_insert(0) += 1);
                        }
                        Err(error) => failures.lock().unwrap().push(format!("{error:#}")),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {HISTORIES} fail, first: {:#?}",
        failures.len(),
        &failures[..failures.len().min(8)]
    );
    let contents = contents.into_inner().unwrap();
    let count = |kind: &Kind| contents.get(kind).copied().unwrap_or(0);
    let rare: Vec<_> = Kind::ALL.into_iter().filter(|kind| count(kind) < EACH_KIND_MIN).collect();
    println!("{HISTORIES} histories hold {contents:#?}");
    assert!(rare.is_empty(), "too rare: {rare:?}");
}

fn play_and_follow(seed: u64) -> Result<Vec<Kind>> {
    let suite = SUITES.iter().cycle().nth(usize::try_from(seed)?).copied().context("there are suites")?;
    let history = History::play(suite, seed)?;
    follow::<Ours>(&history)?;
    follow::<OpenMls>(&history)?;
    follow::<MlsRs>(&history)?;
    Ok(history.steps.into_iter().flat_map(|step| step.kinds).collect())
}

fn follow<F: Follower>(history: &History) -> Result<()> {
    let context = || format!("{}, seed {}, suite {}", F::NAME, history.seed, history.suite);
    follow_all::<F>(history).with_context(context)
}

/// Follows from the first epoch on, and once in between begins anew from what members give out.
fn follow_all<F: Follower>(history: &History) -> Result<()> {
    let mut follower = match history.seed % 2 {
        0 => F::observe(&history.first.group_info, Some(&history.first.ratchet_tree)),
        _ => F::observe(&history.first_with_tree, None),
    }
    .context("at the beginning")?;
    follower.seen()?.ensure_same(&seen_by_members(&history.first)).context("at the beginning")?;
    let anew = usize::try_from(history.seed)? % history.steps.len();
    for (number, step) in history.steps.iter().enumerate() {
        let context = || format!("step {number}: {:?}", step.kinds);
        if reads::<F>(step) {
            for proposal in &step.proposals {
                follower.hear_proposal(proposal).with_context(context)?;
            }
            follower.hear_commit(&step.commit).with_context(context)?;
            follower.seen()?.ensure_same(&seen_by_members(&step.epoch)).with_context(context)?;
            follower.check_members_info(&step.epoch.group_info).with_context(context)?;
        }
        if number == anew || !reads::<F>(step) {
            follower =
                F::observe(&step.epoch.group_info, Some(&step.epoch.ratchet_tree)).with_context(context)?;
            follower.seen()?.ensure_same(&seen_by_members(&step.epoch)).with_context(context)?;
        }
    }
    Ok(())
}

fn seen_by_members(epoch: &Epoch) -> Seen {
    Seen {
        epoch: epoch.number,
        tree_hash: epoch.tree_hash.clone(),
        confirmed_transcript_hash: epoch.confirmed_transcript_hash.clone(),
        ratchet_tree: epoch.ratchet_tree.clone(),
    }
}

/// A follower that accepts everything would pass a thousand histories.
#[test]
fn what_no_member_said_is_not_followed() {
    for seed in 0..6 {
        refuses_what_no_member_said::<Ours>(seed).unwrap();
        refuses_what_no_member_said::<OpenMls>(seed).unwrap();
        refuses_what_no_member_said::<MlsRs>(seed).unwrap();
    }
}

fn refuses_what_no_member_said<F: Follower>(seed: u64) -> Result<()> {
    let (history, other) = (History::play(1, seed)?, History::play(1, seed)?);
    let (first, [step, ..], [others_step, ..]) = (&history.first, &*history.steps, &*other.steps) else {
        bail!("a history without a step");
    };
    let case = format!("{}, seed {seed}", F::NAME);
    let begin = || {
        let mut follower = F::observe(&first.group_info, Some(&first.ratchet_tree))?;
        step.proposals
            .iter()
            .filter(|_| reads::<F>(step))
            .try_for_each(|heard| follower.hear_proposal(heard))?;
        anyhow::Ok(follower)
    };
    ensure!(F::observe(&first.group_info, Some(&other.first.ratchet_tree)).is_err(), "{case}: another tree");
    let told = begin()?.seen()?.ensure_same(&seen_by_members(&other.first));
    ensure!(told.is_err(), "{case}: one state for two groups");
    ensure!(begin()?.hear_commit(&others_step.commit).is_err(), "{case}: another group's commit");
    if !reads::<F>(step) {
        return Ok(());
    }
    let mut twice = begin()?;
    twice.hear_commit(&step.commit)?;
    ensure!(twice.hear_commit(&step.commit).is_err(), "{case}: a commit twice");
    // The first half is content that the signature covers.
    for place in (0..step.commit.len() / 2).step_by(5) {
        let mut commit = step.commit.clone();
        commit.get_mut(place).into_iter().for_each(|byte| *byte ^= 1);
        ensure!(begin()?.hear_commit(&commit).is_err(), "{case}: byte {place} is another");
    }
    Ok(())
}

/// Whether a follower can read all of a step.
fn reads<F: Follower>(step: &Step) -> bool {
    F::READS_SELF_REMOVE || !step.self_remove
}
