//! Following a group: for each size and kind of commit, everybody follows the same chain, in turns.
//!
//! In each round the floor is measured, then each follower, so that a ratio compares what ran within the same moment. The
//! table has the medians of the rounds' ratios. A follower that has used up its time sits out the rounds that are left.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use maypole_mls::{Group, Strict, UnixSeconds};
use maypole_testkit::wait::Stopwatch;

use crate::{
    followers::{Base, Taken, Which, follow},
    numbers::{grouped, head, machine, median, micros, row, short},
    options::Options,
    scene::{Kind, Scene},
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
pub(crate) fn run(options: &Options) -> Result<()> {
    println!("{}; seed {}; {} trees\n", machine(), options.seed, if options.bare { "bare" } else { "warm" });
    let mut cells = vec!["members".to_owned(), "commit".to_owned(), "floor µs".to_owned()];
    cells.extend(options.with.iter().map(|which| format!("{} × floor", which.name())));
    cells.extend([
        "ours: verdict, effect µs".to_owned(),
        "commit bytes".to_owned(),
        "delta bytes".to_owned(),
    ]);
    println!("{}", head(&cells));
    for size in &options.sizes {
        for kind in &options.kinds {
            let scene = Scene::make(*kind, *size, options.bare, options.seed)
                .with_context(|| format!("{} in {size}", kind.name()))?;
            println!("{}", measure(options, *size, *kind, &scene)?);
        }
    }
    Ok(())
}

fn measure(options: &Options, size: u32, kind: Kind, scene: &Scene) -> Result<String> {
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

    let commits = scene.steps.len();
    let each = |value: f64| value / commits as f64;
    let mut cells = vec![grouped(size as usize), kind.name().to_owned(), short(each(median(floors)?))];
    for Measured { rounds, .. } in &everybody {
        let ratio = |round: &Round| micros(round.taken.sum()) / micros(round.floor);
        cells.push(short(median(rounds.iter().map(ratio).collect())?));
    }
    let ours = everybody.iter().find(|measured| measured.which == Which::Ours);
    cells.push(match ours {
        None => String::new(),
        Some(Measured { rounds, .. }) => {
            let verdict = median(rounds.iter().map(|round| micros(round.taken.verdict)).collect())?;
            let effect = median(rounds.iter().map(|round| micros(round.taken.effect)).collect())?;
            format!("{}, {}", short(each(verdict)), short(each(effect)))
        }
    });
    cells.push(grouped(scene.bytes() / commits));
    cells.push(grouped(delta_bytes(scene)? / commits));
    Ok(row(cells))
}

/// The cryptography of a whole chain.
fn floor(scene: &Scene) -> Result<Duration> {
    let watch = Stopwatch::start();
    for step in &scene.steps {
        step.floor.run()?;
    }
    Ok(watch.elapsed())
}

/// What a store writes for a whole chain.
fn delta_bytes(scene: &Scene) -> Result<usize> {
    let start = &scene.start;
    let now = UnixSeconds(start.now);
    let mut group = Group::import(&start.group_info, Some(&start.tree), &Strict, now)?;
    let mut bytes = 0;
    for step in &scene.steps {
        let delta = group.validate(&step.message, &Strict, now)?;
        bytes += delta.to_bytes().len();
        group.apply(delta)?;
    }
    ensure!(bytes > 0, "no commit, no bytes");
    Ok(bytes)
}
