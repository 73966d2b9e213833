//! Importing a group: beside its signatures alone, which nobody can leave out, verified on all cores.

use std::{num::NonZero, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use maypole_mls::{
    reader::Reader,
    wire::{GroupInfo, LeafNode, LeafSource},
    writer::Write as _,
};
use maypole_testkit::wait::Stopwatch;

use crate::{
    figures::{Notebook, Of},
    floor::Signed,
    followers::Which,
    numbers::{median, millis},
    options::Options,
    scene::{Start, found},
    tables::Table,
    tree::leaves,
};

/// Above this OpenMLS, whose import takes the square of the members, is left out.
const OPENMLS_MEMBERS: u32 = 4_096;

/// Fewer signatures than this take less time than another thread's start.
const LEAST_SHARE: usize = 32;

/// Prints the table, a row as soon as it is known.
pub(crate) fn run(options: &Options, notebook: &mut Notebook) -> Result<()> {
    let table = Table::Import(options.with.clone());
    println!("\n{}", table.head());
    for size in &options.sizes {
        let (forge, now) = found(*size, options.bare, options.seed)?;
        let of = Of::new("import", options.tree(), *size, "");
        measure(options, &of, &Start::of(&forge, now)?, notebook)?;
        println!("{}", table.row(notebook.figures(), &of));
    }
    Ok(())
}

fn measure(options: &Options, of: &Of, start: &Start, notebook: &mut Notebook) -> Result<()> {
    let signatures = signatures(start)?;
    let budget = Duration::from_secs_f64(options.budget_s);
    let mut floors = Vec::new();
    let mut everybody: Vec<_> =
        options.with.iter().map(|which| (*which, Vec::new(), Duration::ZERO)).collect();
    for _ in 0..options.rounds {
        for (which, rounds, spent) in &mut everybody {
            let is_openmls = matches!(which, Which::OpenMls | Which::OpenMlsJson);
            if *spent >= budget || (is_openmls && start.members > OPENMLS_MEMBERS) {
                continue;
            }
            let watch = Stopwatch::start();
            let imported = which.import(start)?;
            let floor = verify(&signatures)?;
            floors.push(millis(floor));
            rounds.push((imported, floor));
            *spent += watch.elapsed();
        }
    }
    notebook.note(of, "signatures", "ms", median(floors)?)?;
    for (which, rounds, _) in everybody.into_iter().filter(|(_, rounds, _)| !rounds.is_empty()) {
        let time = median(rounds.iter().map(|(imported, _)| millis(*imported)).collect())?;
        let ratio = |(imported, floor): &(Duration, Duration)| millis(*imported) / millis(*floor);
        let ratio = median(rounds.iter().map(ratio).collect())?;
        notebook.note(of, which.name(), "ms", time)?;
        notebook.note(of, which.name(), "signatures", ratio)?;
        notebook.note(of, which.name(), "rounds", rounds.len() as f64)?;
    }
    Ok(())
}

/// The signatures of all leaves, and the GroupInfo's.
pub(crate) fn signatures(start: &Start) -> Result<Vec<Signed>> {
    let info = GroupInfo::from_bytes(&start.group_info)?;
    let mut signatures = Vec::new();
    for (index, bytes) in leaves(&start.tree)? {
        let leaf = LeafNode::read(&mut Reader::new(&bytes))?;
        let mut bound = Vec::new();
        if !matches!(leaf.source, LeafSource::KeyPackage { .. }) {
            bound.put_opaque(info.context.group_id);
            bound.put_u32(index);
        }
        let parts = [leaf.signed, bound.as_slice()];
        signatures.push(Signed::of(leaf.signature_key, "LeafNodeTBS", &parts, leaf.signature));
        if index == info.signer {
            signatures.push(Signed::of(leaf.signature_key, "GroupInfoTBS", &[info.signed], info.signature));
        }
    }
    ensure!(signatures.len() == start.members as usize + 1, "a signature is missing");
    Ok(signatures)
}

/// Verifies them on all cores.
fn verify(signatures: &[Signed]) -> Result<Duration> {
    let watch = Stopwatch::start();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let good = thread::scope(|scope| {
        let mut shares = signatures.chunks(signatures.len().div_ceil(cores).max(LEAST_SHARE));
        let own = shares.next().unwrap_or_default();
        let threads: Vec<_> =
            shares.map(|share| scope.spawn(move || share.iter().all(Signed::verify))).collect();
        let own = own.iter().all(Signed::verify);
        threads.into_iter().try_fold(own, |good, thread| Some(good & thread.join().ok()?))
    });
    ensure!(good.context("a thread did not end well")?, "a signature does not verify");
    Ok(watch.elapsed())
}
