//! What a group takes while it is there, what it takes in a store, and how long it is until it is back.
//!
//! Memory is the growth of a process' resident set by many groups, each restored from the same snapshot: so what the
//! allocator adds is counted too. It is a process of its own, in which nothing was ever freed that could be used again.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use maypole_mls::{Group, Strict, UnixSeconds};
use maypole_testkit::wait::Stopwatch;

use crate::{
    figures::{Notebook, Of},
    numbers::{median, micros, millis},
    options::Options,
    scene::{Kind, Scene},
    tables::Table,
};

/// So many members are loaded at once, in groups of the size in question, that pages and their rounding do not show.
const MEMBERS_AT_ONCE: usize = 262_144;

/// Prints the table, a row as soon as it is known.
pub(crate) fn run(options: &Options, notebook: &mut Notebook) -> Result<()> {
    println!("\n{}", Table::Memory.head());
    for size in &options.sizes {
        let of = Of::new("memory", options.tree(), *size, "");
        measure(options, &of, notebook)?;
        println!("{}", Table::Memory.row(notebook.figures(), &of));
    }
    Ok(())
}

fn measure(options: &Options, of: &Of, notebook: &mut Notebook) -> Result<()> {
    let scene = Scene::make(Kind::Update, of.members, options.bare, options.seed)?;
    let now = UnixSeconds(scene.start.now);
    let start = &scene.start;
    let mut group = Group::import(&start.group_info, Some(&start.tree), &Strict, now)?;
    let snapshot = group.snapshot();
    let mut deltas = Vec::new();
    for step in &scene.steps {
        let delta = group.validate(&step.message, &Strict, now)?;
        deltas.push(delta.to_bytes());
        group.apply(delta)?;
    }

    let weight = weighed_elsewhere(&snapshot)?;
    let mut restoring = Vec::new();
    let mut replaying = Vec::new();
    let all = Stopwatch::start();
    while replaying.len() < options.rounds
        && (replaying.is_empty() || all.elapsed().as_secs_f64() < options.budget_s)
    {
        let watch = Stopwatch::start();
        let mut copy = Group::restore(&snapshot)?;
        restoring.push(millis(watch.elapsed()));
        let watch = Stopwatch::start();
        for delta in &deltas {
            copy.replay(delta)?;
        }
        replaying.push(micros(watch.elapsed()) / deltas.len() as f64);
        ensure!(copy.tree_hash() == group.tree_hash(), "a replay leads elsewhere");
    }
    let figures = [
        ("memory_bytes", weight as f64),
        ("snapshot_bytes", snapshot.len() as f64),
        ("restore_ms", median(restoring)?),
        ("replay_us", median(replaying)?),
    ];
    figures.into_iter().try_for_each(|(what, value)| notebook.note(of, "ours", what, value))
}

/// Has the bytes weighed that a group takes in memory.
fn weighed_elsewhere(snapshot: &[u8]) -> Result<usize> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg("weigh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("no second process")?;
    process.stdin.take().context("no way in")?.write_all(snapshot)?;
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "the second process failed");
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The second process: reads a snapshot and prints the bytes that a group of it takes in memory.
pub(crate) fn weigh() -> Result<()> {
    let mut snapshot = Vec::new();
    std::io::stdin().read_to_end(&mut snapshot)?;
    let first = Group::restore(&snapshot)?;
    let copies = MEMBERS_AT_ONCE.div_ceil(first.member_count() as usize);
    let mut groups = Vec::with_capacity(copies);
    let before = resident_bytes()?;
    for _ in 0..copies {
        groups.push(Group::restore(&snapshot)?);
    }
    println!("{}", resident_bytes()?.saturating_sub(before) / copies);
    Ok(())
}

/// The pages of this process that are in memory.
fn resident_bytes() -> Result<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").context("this is measured on Linux alone")?;
    let resident: usize = pages.split(' ').nth(1).context("no resident pages")?.parse()?;
    Ok(resident * PAGE_BYTES)
}

/// Of the processors that this is measured on.
const PAGE_BYTES: usize = 4_096;
