//! The codec beside three others: mls-spec, OpenMLS and mls-rs read what real members said, what the public vectors hold,
//! and thousands of mutations of both.
//!
//! What this crate takes, whole, each of them takes and writes again as the same bytes; what it refuses, each of them
//! refuses. Where that is not so, [`differences`] says for which reason.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test speaks"
)]

mod codecs;
mod corpus;
mod differences;
mod mutation;

use std::collections::BTreeSet;

use codecs::reads;
use differences::{Known, OTHERS, minded, repairs};
use maypole_testkit::recorder::SplitMix64;

const SEED: u64 = 9420;
/// How many mutations of each message are read.
const MUTATIONS: usize = 60;

#[test]
fn what_one_codec_takes_the_others_take_but_for_known_differences() {
    let corpus = corpus::messages().unwrap();
    let mut numbers = SplitMix64::new(SEED);
    let (mut taken, mut refused) = (0, 0);
    let mut seen = BTreeSet::new();
    for message in &corpus {
        compare(message, &mut seen);
        for _ in 0..MUTATIONS {
            let mutated = mutation::mutate(message, &corpus, &mut numbers);
            *if reads(&mutated).is_ok() { &mut taken } else { &mut refused } += 1;
            compare(&mutated, &mut seen);
        }
    }
    println!("of mutations of {} messages, {taken} are taken and {refused} refused", corpus.len());
    assert!(taken > corpus.len() && refused > corpus.len());
    let listed = OTHERS.iter().flat_map(|known| {
        let lenient = known.lenient.iter().map(|leniency| format!("{}: {leniency:?}", known.name));
        lenient.chain(known.severe.iter().map(|severity| format!("{}: {severity:?}", known.name)))
    });
    let unseen: Vec<_> = listed.filter(|difference| !seen.contains(difference)).collect();
    assert!(unseen.is_empty(), "listed, and there is no such difference: {unseen:?}");
}

/// Compares all codecs on some bytes, and notes the differences that there are.
fn compare(bytes: &[u8], seen: &mut BTreeSet<String>) {
    let ours = reads(bytes);
    for known in &OTHERS {
        let theirs = (known.read)(bytes);
        if let Some(difference) = explain(bytes, known, ours.is_ok(), theirs.is_ok()) {
            assert!(
                !difference.is_empty(),
                "seed {SEED}: this crate says {ours:?}, {} says {theirs:?}, of {}",
                known.name,
                bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            );
            seen.extend(difference.into_iter().map(|difference| format!("{}: {difference}", known.name)));
        }
    }
}

/// The reasons for which two codecs differ; none at all where there is no reason.
fn explain(bytes: &[u8], known: &Known, ours: bool, theirs: bool) -> Option<Vec<String>> {
    match (ours, theirs) {
        (true, true) | (false, false) => None,
        (false, true) => {
            let repairs = repairs(bytes, known).unwrap_or_default();
            Some(repairs.iter().map(|leniency| format!("{leniency:?}")).collect())
        }
        (true, false) => Some(minded(bytes, known).iter().map(|severity| format!("{severity:?}")).collect()),
    }
}
