//! The power fails: whatever was acknowledged is there and whole, and the store opens.
//!
//! `examples/ledger_writer.rs` writes as the service does and is recorded; the power is cut in hindsight, by the pessimistic
//! model of `maypole_testkit::recorder`; `examples/ledger_reader.rs` says what is left. Then whoever opens that folder, a
//! reader that closes it again or a writer that goes on, is recorded as well, and the power is cut once more. What happens
//! without the care that the store takes is in the testkit's own tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use maypole_core::limits;
use maypole_testkit::recorder::{
    Cut, Op, Policy, Recording, SplitMix64, Until, example_program, output_within,
};

const WITHIN: Duration = Duration::from_secs(120);
const SEED: u64 = 0x6d61_7970_6f6c_6501;

/// What the writer is told to write.
#[derive(Clone, Copy)]
struct Load<'t> {
    messages: u64,
    tasks: u64,
    /// The size of every message; 0 for all sizes.
    bytes: u64,
    /// Commits with which three of four messages are answered.
    tape: Option<&'t Path>,
}

fn record(load: Load<'_>, folder: &Path, until: Until) -> Recording {
    let mut writer = Command::new(example_program("ledger_writer").unwrap());
    writer
        .arg(folder.join("store"))
        .args([load.messages, load.tasks, load.bytes].map(|number| number.to_string()))
        .args(load.tape);
    Recording::run(&writer, folder, until, WITHIN).unwrap()
}

fn reader(folder: &Path) -> Command {
    let mut reader = Command::new(example_program("ledger_reader").unwrap());
    // Its sentence alone, whatever the environment asks of programs that fail.
    reader.arg(folder.join("store")).env("RUST_BACKTRACE", "0").env_remove("RUST_LIB_BACKTRACE");
    reader
}

fn read(folder: &Path) -> Output {
    output_within(&mut reader(folder), WITHIN).unwrap()
}

/// The numbers after a word, among what the reader said.
fn numbers(output: &Output, word: &str) -> BTreeSet<u64> {
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect()
}

/// What is wrong after a cut, in words. Of what was loaded it is known which messages move a group on.
fn judge(load: Load<'_>, acked: &[u64], output: &Output) -> Result<(), String> {
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let have = numbers(output, "have ");
    let lost: Vec<_> = acked.iter().filter(|number| !have.contains(number)).collect();
    if !lost.is_empty() {
        return Err(format!("the answers to {lost:?} were acknowledged and are lost"));
    }
    // In the write that answers it, a message leaves the inbox, and what is owed appears.
    let both: Vec<_> = numbers(output, "in ").intersection(&have).copied().collect();
    if !both.is_empty() {
        return Err(format!("{both:?} are answered and still wait"));
    }
    let owed = numbers(output, "owed ");
    let promised: Vec<_> = have.iter().filter(|number| *number % 3 != 0 && !owed.contains(number)).collect();
    if !promised.is_empty() {
        return Err(format!("{promised:?} are answered, but what is owed by that is lost"));
    }
    // And with a tape a group moves on; that its log is whole the reader has seen.
    let moved = numbers(output, "log ");
    let others: Vec<_> = moved.difference(&have).collect();
    if !others.is_empty() {
        return Err(format!("{others:?} have moved a group on and are not answered"));
    }
    let moves = |number: &u64| load.tape.is_some() && number % 4 != 3;
    let still: Vec<_> = have.iter().filter(|number| moves(number) && !moved.contains(number)).collect();
    if !still.is_empty() {
        return Err(format!("{still:?} are answered, but what they did is lost"));
    }
    Ok(())
}

fn nothing_is_lost(
    load: Load<'_>,
    recording: &Recording,
    before: &[u64],
    cuts: impl Iterator<Item = Cut>,
) -> usize {
    let seen = recording.look_at(cuts, |_, folder| Ok(read(folder))).unwrap();
    for (cut, output) in &seen {
        let acked = [before, &recording.acked(cut)].concat();
        if let Err(what) = judge(load, &acked, output) {
            panic!("{cut}: {what}");
        }
    }
    seen.len()
}

/// Cuts the power, has the store opened and closed again or written on, and cuts the power once more. Says how often.
fn nothing_is_lost_by_two(load: Load<'_>, first: &Recording, cuts: Vec<Cut>, seconds: usize) -> usize {
    let seen = first.look_at(cuts, |cut, folder| {
        let acked = first.acked(cut);
        let second = if cut.seed % 2 == 0 {
            Recording::run(&reader(folder), folder, Until::Exit, WITHIN)?
        } else {
            record(Load { messages: 20, ..load }, folder, Until::Acks(12))
        };
        let cuts = cuts_while_it_opens(&second, cut.seed, seconds).into_iter();
        let cuts = cuts.chain(second.cuts(cut.seed, seconds / 2));
        let seen = second.look_at(cuts, |cut, folder| {
            Ok(judge(load, &[acked.as_slice(), &second.acked(cut)].concat(), &read(folder)))
        })?;
        Ok(seen)
    });
    let seen = seen.unwrap();
    for (first, (second, judged)) in
        seen.iter().flat_map(|(cut, seen)| seen.iter().map(move |seen| (cut, seen)))
    {
        if let Err(what) = judged {
            panic!("{first}, then {second}: {what}");
        }
    }
    seen.iter().map(|(_, seen)| seen.len()).sum()
}

/// Cuts before the store that is being opened has taken the old one's place, and while that one is removed.
fn cuts_while_it_opens(recording: &Recording, seed: u64, count: usize) -> Vec<Cut> {
    let replaced = |op: &Op| matches!(op, Op::Rename { to_name, .. } if to_name == "format");
    let end = recording.ops().iter().position(replaced).map_or(recording.ops().len(), |at| at + 16);
    let mut numbers = SplitMix64::new(seed);
    let mut policies = Policy::ALL.iter().cycle().skip(usize::from(seed.to_le_bytes()[1]));
    let mut cut = || Cut {
        at: usize::try_from(numbers.below(end as u64)).unwrap(),
        policy: *policies.next().unwrap(),
        seed: numbers.next_number(),
    };
    let anywhere: Vec<_> = (0..count).map(|_| cut()).collect();
    // Names are lost, and what sled wrote over stays written over.
    let syncs = recording.ops().iter().take(end).enumerate().filter(|(_, op)| matches!(op, Op::Sync { .. }));
    let syncs = syncs.map(|(at, _)| Cut { at, policy: Policy::DataOnly, seed });
    syncs.take(count).chain(anywhere).collect()
}

/// Cuts where what is not synced of the log lies in two segments.
fn cuts_where_segments_meet(recording: &Recording) -> Vec<Cut> {
    let segment = limits::SLED_SEGMENT_BYTES as u64;
    let mut log = None;
    let mut waiting: Vec<(usize, u64)> = Vec::new();
    let mut places = Vec::new();
    for (at, op) in recording.ops().iter().enumerate() {
        match op {
            Op::CreateFile { name, node, .. } if name == "db" => log = Some(*node),
            Op::Write { node, offset, .. } if Some(*node) == log => waiting.push((at, offset / segment)),
            Op::Sync { node, begun } if Some(*node) == log => waiting.retain(|(at, _)| at >= begun),
            _ => {}
        }
        let touched: BTreeSet<u64> = waiting.iter().map(|(_, segment)| *segment).collect();
        assert!(touched.len() <= 2, "what is not synced spans {} segments", touched.len());
        if touched.len() == 2 {
            places.push(at + 1);
        }
    }
    let policies = [Policy::FirstLost, Policy::Subset, Policy::Torn, Policy::DropAll, Policy::TornLast];
    places
        .iter()
        .flat_map(|at| policies.map(|policy| Cut { at: *at, policy, seed: SEED ^ *at as u64 }))
        .collect()
}

#[test]
fn what_is_lost_is_found_whatever_else_is() {
    let load = Load { messages: 8, tasks: 4, bytes: 0, tape: None };
    let with_tape = Load { tape: Some(Path::new("tape")), ..load };
    let said = |text: &str| Output {
        status: ExitStatus::default(),
        stdout: text.replace(", ", "\n").into_bytes(),
        stderr: Vec::new(),
    };
    let refusals = [
        (load, "in 0, in 1, have 3, owed 3", "the answers to [0] were acknowledged"),
        (load, "have 0, have 3, in 3", "[3] are answered and still wait"),
        (load, "have 0, have 1", "[1] are answered, but what is owed"),
        (load, "have 0, log 0, log 1, in 1", "[1] have moved a group on"),
        (with_tape, "have 0, have 1, owed 1, log 0", "[1] are answered, but what they did"),
        // All groups are gone.
        (with_tape, "have 0, have 1, owed 1", "[0, 1] are answered, but what they did"),
    ];
    for (load, text, what) in refusals {
        let refusal = judge(load, &[0], &said(text)).unwrap_err();
        assert!(refusal.starts_with(what), "{text}: {refusal}");
    }
    assert_eq!(judge(load, &[0], &said("have 0, have 1, owed 1, in 2")), Ok(()));
    assert_eq!(judge(with_tape, &[0], &said("have 0, have 1, owed 1, log 0, log 1, have 3")), Ok(()));
}

#[test]
fn takes_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let load = Load { messages: 120, tasks: 4, bytes: 0, tape: None };
    let first = record(load, folder.path(), Until::Acks(100));
    assert_eq!(nothing_is_lost(load, &first, &[], first.cuts(SEED, 150)), 150);

    // Killed and started again, on what the first left.
    let before = first.acked_before(first.ops().len());
    let second = record(Load { messages: 30, ..load }, folder.path(), Until::Acks(40));
    assert_eq!(nothing_is_lost(load, &second, &before, second.cuts(SEED, 70)), 70);
}

#[test]
fn takes_nothing_of_what_was_decided_in_groups() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tape = other.path().join("tape");
    let mut maker = Command::new(example_program("prove").unwrap());
    assert!(maker.arg("tape").arg(&tape).status().unwrap().success());
    let load = Load { messages: 160, tasks: 8, bytes: 0, tape: Some(&tape) };
    let first = record(load, folder.path(), Until::Acks(120));
    assert_eq!(nothing_is_lost(load, &first, &[], first.cuts(SEED, 80)), 80);
    assert!(numbers(&read(folder.path()), "log ").len() > 60, "groups have moved on");

    // Killed and started again, on what the first left.
    let before = first.acked_before(first.ops().len());
    let second = record(Load { messages: 40, ..load }, folder.path(), Until::Acks(40));
    assert_eq!(nothing_is_lost(load, &second, &before, second.cuts(SEED, 40)), 40);
}

#[test]
fn takes_nothing_when_it_comes_again_while_the_store_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let load = Load { messages: 120, tasks: 4, bytes: 0, tape: None };
    let first = record(load, folder.path(), Until::Acks(100));
    let cuts = first.cuts(SEED, 10).collect();
    let twice = nothing_is_lost_by_two(load, &first, cuts, 6);
    assert!(twice >= 100, "{twice}");

    // With segments that recovery gives free, and writes over.
    let folder = tempfile::tempdir().unwrap();
    let load = Load { messages: 600, tasks: 16, bytes: 3_700, tape: None };
    let first = record(load, folder.path(), Until::Acks(500));
    let cuts = cuts_where_segments_meet(&first);
    let step = cuts.len().div_ceil(6).max(1);
    let cuts = cuts.into_iter().step_by(step).collect();
    let twice = nothing_is_lost_by_two(load, &first, cuts, 4);
    assert!(twice >= 30, "{twice}");
}

#[test]
fn takes_nothing_where_segments_meet() {
    let folder = tempfile::tempdir().unwrap();
    let load = Load { messages: 600, tasks: 16, bytes: 3_700, tape: None };
    let recording = record(load, folder.path(), Until::Acks(500));
    let cuts = cuts_where_segments_meet(&recording);
    assert!(cuts.len() >= 5, "{} cuts", cuts.len());
    let step = cuts.len().div_ceil(60);
    nothing_is_lost(load, &recording, &[], cuts.into_iter().step_by(step));
    nothing_is_lost(load, &recording, &[], recording.cuts(SEED, 36));
}

#[test]
fn a_second_process_on_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _held = maypole::storage::sled::Store::open(&folder.path().join("store")).unwrap();
    let refused = read(folder.path());
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("is in use") && said.contains("store") && said.lines().count() == 1, "{said}");
}
