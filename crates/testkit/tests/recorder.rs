//! The disk recorder, tried on programs whose every step is known.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its preparations included")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use maypole_testkit::recorder::{Cut, NodeId, Op, Policy, Recording, Until, example_program};

const WITHIN: Duration = Duration::from_secs(20);

fn steps(folder: &Path, steps: &[&str]) -> Command {
    let mut command = Command::new(example_program("file_steps").unwrap());
    command.arg(folder).args(steps);
    command
}

fn record(words: &[&str]) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    Recording::run(&steps(folder.path(), words), folder.path(), Until::Exit, WITHIN).unwrap()
}

fn refusal(words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), "old").unwrap();
    let outcome = Recording::run(&steps(folder.path(), words), folder.path(), Until::Exit, WITHIN);
    format!("{:#}", outcome.unwrap_err())
}

/// The files after a cut, by name; folders end in a slash.
fn files_after(recording: &Recording, cut: Cut) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    recording.materialise(&cut, folder.path()).unwrap();
    let listing = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
    let named = listing.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => (format!("{name}/"), String::new()),
            false => (name, fs::read_to_string(entry.path()).unwrap()),
        }
    });
    named.collect()
}

fn at_end(recording: &Recording, policy: Policy) -> BTreeMap<String, String> {
    files_after(recording, Cut { at: recording.ops().len(), policy, seed: 1 })
}

fn owned(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn what_was_synced_before_an_ack_survives_every_cut_after_it() {
    let recording = record(&[
        "create:a",
        "write:a:0:hello",
        "fdatasync:a",
        "fsync:.",
        "ack:1",
        "write:a:5:more",
        "create:b",
        "ack:2",
    ]);
    let mut after_ack = 0;
    for cut in recording.cuts(1, 300).filter(|cut| recording.acked(cut).contains(&1)) {
        let files = files_after(&recording, cut);
        assert!(files["a"].starts_with("hello"), "{cut}: {files:?}");
        after_ack += 1;
    }
    assert!(after_ack > 100, "{after_ack}");
}

#[test]
fn what_was_not_synced_is_dropped() {
    let recording = record(&["create:a", "write:a:0:hello", "fsync:.", "ack:1"]);
    assert_eq!(at_end(&recording, Policy::DropAll), owned(&[("a", "")]));
    let recording = record(&["create:a", "write:a:0:hello", "fsync:a", "ack:1"]);
    assert_eq!(at_end(&recording, Policy::DropAll), owned(&[]));
}

#[test]
fn a_rename_without_a_sync_of_the_folder_may_vanish() {
    let before = ["create:a", "write:a:0:x", "fsync:a", "fsync:.", "rename:a:b"];
    let recording = record(&before);
    assert_eq!(at_end(&recording, Policy::DropAll), owned(&[("a", "x")]));
    assert_eq!(at_end(&recording, Policy::KeepAll), owned(&[("b", "x")]));
    let recording = record(&[&before[..], &["fsync:."]].concat());
    assert_eq!(at_end(&recording, Policy::DropAll), owned(&[("b", "x")]));
}

#[test]
fn a_large_write_is_torn_at_a_sector() {
    let text = "n".repeat(3_000);
    let recording = record(&[
        "create:a",
        "fsync:.",
        &format!("write:a:0:{}", "o".repeat(3_000)),
        "fsync:a",
        &format!("write:a:0:{text}"),
    ]);
    let mut torn = 0;
    for seed in 0..20 {
        let cut = Cut { at: recording.ops().len(), policy: Policy::TornLast, seed };
        let content = files_after(&recording, cut)["a"].clone().into_bytes();
        let seams: Vec<_> = (1..3_000).filter(|at| content[*at] != content[at - 1]).collect();
        assert!(seams.iter().all(|at| at % 512 == 0), "{cut}: {seams:?}");
        torn += usize::from(!seams.is_empty());
    }
    assert!(torn > 10, "{torn}");
}

#[test]
fn each_kind_of_change_is_seen() {
    // That the folder is explained by the record, `run` itself makes sure of.
    let recording = record(&[
        "append:a:one",
        "append:a:two",
        "gather:a:ONE:T",
        "truncate:a:5",
        "link:a:b",
        "create:c",
        "remove:c",
        "mkdir:d",
        "mkdir:e",
        "rmdir:e",
        "create:d/f",
        "rename:d/f:g",
        "copy:a:h",
        "child:append,a,!",
    ]);
    assert_eq!(
        at_end(&recording, Policy::KeepAll),
        owned(&[("a", "ONETw!"), ("b", "ONETw!"), ("d/", ""), ("g", ""), ("h", "ONETw")])
    );
}

#[test]
fn acks_have_their_place_in_the_order() {
    let recording = record(&["create:a", "ack:7", "fsync:a", "ack:9"]);
    let acks: Vec<_> =
        recording.ops().iter().enumerate().filter(|(_, op)| matches!(op, Op::Ack { .. })).collect();
    assert_eq!(acks, [(1, &Op::Ack { number: 7 }), (3, &Op::Ack { number: 9 })]);
    assert_eq!(recording.acked_before(1), Vec::<u64>::new());
    assert_eq!(recording.acked_before(2), [7]);
    assert_eq!(recording.acked_before(4), [7, 9]);
    assert!(matches!(recording.ops()[2], Op::Sync { node: NodeId(1), begun: 2 }));
}

#[test]
fn all_threads_are_followed() {
    let recording = record(&["threads:6"]);
    let files = at_end(&recording, Policy::KeepAll);
    assert_eq!(files.len(), 7);
    assert_eq!(files["shared"].len(), 6 * 64);
    assert_eq!(recording.ops().iter().filter(|op| matches!(op, Op::Write { .. })).count(), 6 * 9);
}

#[test]
fn a_program_is_killed_after_its_last_ack() {
    let folder = tempfile::tempdir().unwrap();
    let command = steps(folder.path(), &["create:a", "ack:1", "ack:2", "forever"]);
    let recording = Recording::run(&command, folder.path(), Until::Acks(2), WITHIN).unwrap();
    assert_eq!(recording.acked_before(usize::MAX), [1, 2]);
}

#[test]
fn what_was_in_the_folder_before_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), "old").unwrap();
    let command = steps(folder.path(), &["write:old:3:er", "create:new"]);
    let recording = Recording::run(&command, folder.path(), Until::Exit, WITHIN).unwrap();
    assert_eq!(at_end(&recording, Policy::DropAll), owned(&[("old", "old")]));
    assert_eq!(at_end(&recording, Policy::KeepAll), owned(&[("new", ""), ("old", "older")]));
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    assert!(refusal(&["symlink:old:b"]).contains("symbolic links cannot be recorded"));
    assert!(refusal(&["rename:old:../elsewhere"]).contains("across the border"));
}

#[test]
fn a_program_that_fails_or_hangs_is_an_error() {
    assert!(refusal(&["remove:absent"]).contains("No such file"));
    let folder = tempfile::tempdir().unwrap();
    let hangs = steps(folder.path(), &["forever"]);
    let outcome = Recording::run(&hangs, folder.path(), Until::Exit, Duration::from_millis(300));
    assert!(format!("{:#}", outcome.unwrap_err()).contains("did not end within 300ms"));
    let absent = Recording::run(&Command::new("/absent"), folder.path(), Until::Exit, WITHIN);
    assert!(absent.is_err());
    let ends_early = steps(folder.path(), &["ack:1"]);
    assert!(Recording::run(&ends_early, folder.path(), Until::Acks(2), WITHIN).is_err());
}
