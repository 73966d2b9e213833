//! Following a group: for each size and kind of commit, everybody follows the same chain, in turns.
//!
//! In each round the floor is measured, then each follower, so that a ratio compares what ran within the same moment. The
//! table has the medians of the rounds' ratios. A follower that has used up its time sits out the rounds that are left.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use maypole_mls::{Group, Strict, UnixSeconds};
use maypole_testkit::wait::Stopwatch;

use crate::{
    figures::{Notebook, Of},
    followers::{Base, Taken, Which, follow},
    numbers::{median, micros},
    options::Options,
    scene::Scene,
    tables::Table,
};

/// What one follower took.
struct Measured {
    which: Which,
    base: Box<dyn Base>,
    rounds: Vec<Round>,
    spent: Duration,
}

/// A chain of commits, once.
struct Round {
    taken: Taken,
    floor: Duration,
}

/// Prints the table, a row as soon as it is known.
pub(crate) fn run(options: &Options, notebook: &mut Notebook) -> Result<()> {
    let table = Table::Following(options.with.clone());
    println!("\n{} trees\n\n{}", options.tree(), table.head());
    for size in &options.sizes {
        for kind in &options.kinds {
            let scene = Scene::make(*kind, *size, options.bare, options.seed)
                .with_context(|| format!("{} in {size}", kind.name()))?;
            let of = Of::new("following", options.tree(), *size, kind.name());
            measure(options, &of, &scene, notebook)?;
            println!("{}", table.row(notebook.figures(), &of));
        }
    }
    Ok(())
}

fn measure(options: &Options, of: &Of, scene: &Scene, notebook: &mut Notebook) -> Result<()> {
    let start = |which: &Which| -> Result<Measured> {
        let base = which.base(&scene.start)?;
        Ok(Measured { which: *which, base, rounds: Vec::new(), spent: Duration::ZERO })
    };
    let mut everybody = options.with.iter().map(start).collect::<Result<Vec<_>>>()?;
    let budget = Duration::from_secs_f64(options.budget_s);
    let mut floors = Vec::new();
    for _ in 0..options.rounds {
        for measured in &mut everybody {
            if measured.spent >= budget {
                continue;
            }
            let watch = Stopwatch::start();
            let taken = follow(measured.which, measured.base.as_ref(), scene)?;
            let floor = floor(scene)?;
            measured.spent += watch.elapsed();
            measured.rounds.push(Round { taken, floor });
            floors.push(micros(floor));
        }
    }

    let commits = scene.steps.len() as f64;
    notebook.note(of, "floor", "us", median(floors)? / commits)?;
    for Measured { which, rounds, .. } in &everybody {
        let name = which.name();
        let of_rounds = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let ratio = of_rounds(|round| micros(round.taken.sum()) / micros(round.floor))?;
        notebook.note(of, name, "floors", ratio)?;
        notebook.note(of, name, "us", of_rounds(|round| micros(round.taken.sum()))? / commits)?;
        if *which == Which::Ours {
            let verdict = of_rounds(|round| micros(round.taken.verdict))?;
            let effect = of_rounds(|round| micros(round.taken.effect))?;
            notebook.note(of, name, "verdict_us", verdict / commits)?;
            notebook.note(of, name, "effect_us", effect / commits)?;
        }
        notebook.note(of, name, "rounds", rounds.len() as f64)?;
    }
    note_bytes(of, scene, notebook)
}

/// The cryptography of a whole chain.
fn floor(scene: &Scene) -> Result<Duration> {
    let watch = Stopwatch::start();
    for step in &scene.steps {
        step.floor.run()?;
    }
    Ok(watch.elapsed())
}

/// What a store writes for a commit, on average: the commit, the delta, and the next epoch's GroupInfo.
fn note_bytes(of: &Of, scene: &Scene, notebook: &mut Notebook) -> Result<()> {
    let start = &scene.start;
    let now = UnixSeconds(start.now);
    let mut group = Group::import(&start.group_info, Some(&start.tree), &Strict, now)?;
    let (mut commit, mut written, mut group_info) = (0, 0, 0);
    for step in &scene.steps {
        let delta = group.validate(&step.message, &Strict, now)?;
        commit += step.message.len();
        written += delta.to_bytes().len();
        group_info += step.group_info.len();
        group.apply(delta)?;
    }
    ensure!(written > 0, "no commit, no bytes");
    for (who, bytes) in [("commit", commit), ("delta", written), ("group-info", group_info)] {
        notebook.note(of, who, "bytes", (bytes / scene.steps.len()) as f64)?;
    }
    Ok(())
}
