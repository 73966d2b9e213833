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

/// What was damaged on purpose is found, and said with the seed.
#[track_caller]
fn finds(arguments: &[&str], what: &str) {
    let output = prove(&[arguments, &["--spoil", "--seed", "7"]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED, with --seed 7") && said.contains(what), "{said}");
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
fn an_epoch_that_is_missing_after_a_race_is_found() {
    finds(&["races", "--store", "sled", "--rounds", "2", "--committers", "6"], "epoch 3 is missing");
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
fn an_answer_that_is_missing_after_a_kill_is_found() {
    finds(&["kills", "--store", "sled", "--kills", "2"], "was acknowledged and its answer is lost");
}
