//! Short runs of `examples/prove`, whose long runs are for whoever has the time.

use std::process::{Command, Output};
use std::time::Duration;

use maypole_testkit::recorder::{example_program, output_within};

const WITHIN: Duration = Duration::from_secs(240);

fn prove(arguments: &[&str]) -> Output {
    let mut command = Command::new(example_program("prove").unwrap());
    command.args(arguments).env("RUST_BACKTRACE", "0").env_remove("RUST_LIB_BACKTRACE");
    output_within(&mut command, WITHIN).unwrap()
}

#[track_caller]
fn holds(arguments: &[&str]) -> String {
    let output = prove(arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// What was damaged on purpose, in one way after the other, is found, and said with the seed.
#[track_caller]
fn finds(arguments: &[&str], damages: &[(&str, &str)]) {
    for (spoil, what) in damages {
        let output = prove(&[arguments, &["--spoil", spoil, "--seed", "7"]].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{spoil}: {said}");
        assert!(said.contains("FAILED, with --seed 7") && said.contains(what), "{spoil}: {said}");
    }
}

#[test]
fn of_sixty_four_who_commit_at_once_one_wins_each_time_on_sled() {
    let said = holds(&["races", "--store", "sled", "--rounds", "15"]);
    assert!(said.contains("15 won, 945 lost"), "{said}");
}

#[test]
fn of_sixty_four_who_commit_at_once_through_two_stores_one_wins_each_time_on_postgres() {
    let said = holds(&["races", "--store", "postgres", "--rounds", "5"]);
    assert!(said.contains("by 2 stores: 5 won, 315 lost"), "{said}");
}

#[test]
fn whatever_is_damaged_in_a_race_is_found() {
    let damages = [
        ("answer", "is lost"),
        ("other-answer", "has another answer than it was given"),
        ("message", "were taken in"),
        ("waits", "something is left over"),
        ("owed", "5 messages are owed for 6 answers"),
        ("owed-twice", "7 messages are owed for 6 answers"),
        ("epoch", "epoch 3 is missing"),
        ("back", "the log has other commits than those that won"),
        ("fork", "the log has other commits than those that won"),
        ("two-epochs", "the log has other commits than those that won"),
        ("two-winners", "2 commits won one epoch"),
    ];
    finds(&["races", "--store", "sled", "--rounds", "2", "--committers", "6"], &damages);
}

#[test]
fn nothing_that_was_promised_is_lost_by_kills_of_who_writes_to_sled() {
    let said = holds(&["kills", "--store", "sled", "--kills", "10"]);
    assert!(said.contains("10 kills of the writer"), "{said}");
}

#[test]
fn nothing_that_was_promised_is_lost_by_kills_of_writers_and_of_a_postgres() {
    let said = holds(&["kills", "--store", "postgres", "--kills", "4"]);
    for who in ["of the writer", "of one or the other of two writers", "of the database under a writer"] {
        assert!(said.contains(&format!(" kills {who}")), "{said}");
    }
}

#[test]
fn whatever_is_damaged_by_a_kill_is_found() {
    let damages = [
        ("answer", "was acknowledged and its answer is lost"),
        ("other-answer", "the answer to message"),
        ("message", "was taken in and is lost"),
        ("waits", "is answered and still waits"),
        ("owed", "what is owed for message"),
        ("owed-twice", "something is owed twice"),
        ("epoch", "is missing; what follows is epoch"),
        ("back", "is answered, and its epoch is lost"),
        ("fork", "was begun by another commit"),
        ("two-epochs", "has begun two epochs"),
    ];
    finds(&["kills", "--store", "sled", "--kills", "1"], &damages);
}

#[test]
fn whoever_does_not_go_on_after_a_kill_is_found_whatever_it_had_said_before() {
    let damages = [("silence", "the writer ended where it should have gone on")];
    finds(&["kills", "--store", "postgres", "--kills", "1"], &damages);
}

#[test]
fn damage_that_cannot_be_done_is_refused() {
    let output = prove(&["kills", "--store", "sled", "--spoil", "silence"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Error: that damage cannot be done here\n");
}
