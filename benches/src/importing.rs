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
    floor::Signed,
    followers::Which,
    numbers::{grouped, head, machine, median, millis, row, short},
    options::Options,
    scene::{Start, found},
    tree::leaves,
};

/// Above this OpenMLS, whose import takes the square of the members, is left out.
const OPENMLS_MEMBERS: u32 = 4_096;

/// Fewer signatures than this take less time than another thread's start.
const LEAST_SHARE: usize = 32;

/// Prints the table, a row as soon as it is known.
pub(crate) fn run(options: &Options) -> Result<()> {
    println!("{}; seed {}\n", machine(), options.seed);
    let mut cells = vec!["members".to_owned(), "signatures alone, all cores, ms".to_owned()];
    cells.extend(options.with.iter().map(|which| format!("{}: ms, × signatures", which.name())));
    println!("{}", head(&cells));
    for size in &options.sizes {
        let (forge, now) = found(*size, options.bare, options.seed)?;
        println!("{}", measure(options, &Start::of(&forge, now)?)?);
    }
    Ok(())
}

fn measure(options: &Options, start: &Start) -> Result<String> {
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
    let mut cells = vec![grouped(start.members as usize), short(median(floors)?)];
    for (_, rounds, _) in everybody {
        if rounds.is_empty() {
            cells.push("–".to_owned());
            continue;
        }
        let time = median(rounds.iter().map(|(imported, _)| millis(*imported)).collect())?;
        let ratio = |(imported, floor): &(Duration, Duration)| millis(*imported) / millis(*floor);
        let ratio = median(rounds.iter().map(ratio).collect())?;
        cells.push(format!("{}, {}", short(time), short(ratio)));
    }
    Ok(row(cells))
}

/// The signatures of all leaves, and the GroupInfo's.
fn signatures(start: &Start) -> Result<Vec<Signed>> {
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
