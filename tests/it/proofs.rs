//! Short runs of `examples/prove`, whose long runs are for whoever has the time.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use maypole_testkit::recorder::{example_program, output_within};
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(240);

/// A folder that the account `nobody` can reach, as which a database may run.
fn folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

fn prove(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(example_program("prove").unwrap());
    command.args(arguments).arg("--folder").arg(folder);
    command.env("RUST_BACKTRACE", "0").env_remove("RUST_LIB_BACKTRACE");
    output_within(&mut command, WITHIN).unwrap()
}

/// What there is in a folder, by the beginnings of the names.
fn kept(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
    named.map(|entry| entry.path()).collect()
}

#[track_caller]
fn holds(arguments: &[&str]) -> String {
    let folder = folder();
    let output = prove(arguments, folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(kept(folder.path(), "").is_empty(), "nothing is left behind");
    said
}

/// That something does not hold is found, and said with the seed; what is left is kept.
#[track_caller]
fn finds(arguments: &[&str], what: &str) {
    let folder = folder();
    let output = prove(&[arguments, &["--seed", "7"]].concat(), folder.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.contains("FAILED, with --seed 7") && said.contains(what), "{arguments:?}: {said}");
    let [left] = &kept(folder.path(), "maypole-prove-")[..] else { panic!("{said}") };
    assert!(said.contains(left.to_str().unwrap()), "{said}");
    let databases = kept(folder.path(), "maypole-postgres-");
    assert_eq!(databases.len(), usize::from(!left.join("store").is_dir()), "{said}");
    for database in databases {
        assert!(said.contains(database.to_str().unwrap()), "{said}");
        assert!(database.join("data").is_dir() && database.join("console.log").is_file());
    }
}

/// The same of what was damaged on purpose, in one way after the other.
#[track_caller]
fn finds_damage(arguments: &[&str], damages: &[(&str, &str)]) {
    for (spoil, what) in damages {
        finds(&[arguments, &["--spoil", spoil]].concat(), what);
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
    finds_damage(&["races", "--store", "sled", "--rounds", "2", "--committers", "6"], &damages);
}

#[test]
fn nothing_that_was_promised_is_lost_by_kills_of_who_writes_to_sled() {
    let said = holds(&["kills", "--store", "sled", "--kills", "10"]);
    assert!(said.contains("10 kills of the writer"), "{said}");
}

#[test]
fn nothing_that_was_promised_is_lost_by_kills_of_writers_and_of_a_postgres() {
    let said = holds(&["kills", "--store", "postgres", "--kills", "4"]);
    let either = " kills of one or the other of two writers; ";
    let databases = "4 kills of the database under a writer, and ";
    for line in ["4 kills of the writer: ", either, databases, " times, whoever was left went on: "] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

/// Kinds of damage to what was promised, and what is said of each.
const OF_WHAT_WAS_PROMISED: [(&str, &str); 9] = [
    ("answer", "was acknowledged and its answer is lost"),
    ("other-answer", "the answer to message"),
    ("message", "was taken in and is lost"),
    ("waits", "is answered and still waits"),
    ("owed", "what is owed for message"),
    ("owed-twice", "something is owed twice"),
    ("epoch", "is missing; what follows is epoch"),
    ("back", "is answered, and its epoch is lost"),
    ("two-epochs", "has begun two epochs"),
];

#[test]
fn whatever_is_damaged_by_a_kill_is_found() {
    // Whoever kills has made the commits, and knows another one.
    let damages = [&OF_WHAT_WAS_PROMISED[..], &[("fork", "was begun by another commit")]].concat();
    finds_damage(&["kills", "--store", "sled", "--kills", "1"], &damages);
}

#[test]
fn whoever_does_not_go_on_after_a_kill_is_found_whatever_it_had_said_before() {
    let silence = ["kills", "--store", "postgres", "--kills", "1", "--spoil", "silence"];
    finds(&silence, "the writer ended where it should have gone on");
}

#[test]
fn damage_that_cannot_be_done_is_refused() {
    let output = prove(&["kills", "--store", "sled", "--spoil", "silence"], folder().path());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Error: that damage cannot be done here\n");
}

/// How long a start takes is not held against anything here.
const PATIENTLY: [&str; 2] = ["--start-ms", "200000"];

#[test]
fn a_start_after_a_kill_finds_everything() {
    for (store, name) in [("sled", "sled"), ("postgres", "PostgreSQL")] {
        let said = holds(&[&["starts", "--store", store, "--groups", "40"][..], &PATIENTLY].concat());
        assert!(
            said.contains(&format!("{name}: 40 groups, and a kill of who wrote them: open after")),
            "{said}"
        );
        assert!(said.contains("40 groups counted, with all that "), "{said}");
    }
}

#[test]
fn whatever_is_damaged_before_a_start_is_found() {
    let starts = [&["starts", "--store", "sled", "--groups", "10"][..], &PATIENTLY].concat();
    finds_damage(&starts, &OF_WHAT_WAS_PROMISED);
}

#[test]
fn a_start_that_takes_too_long_is_found() {
    finds(&["starts", "--store", "sled", "--groups", "10", "--start-ms", "0"], "it may take 0 ms");
}
