//! The kept inputs of `fuzz`, replayed through the laws that they were found for.

#![allow(clippy::unwrap_used, reason = "a panic is how a test speaks")]

pub mod laws;

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Laws count what is allocated, so that two of them must not run at once.
static ONE_BY_ONE: Mutex<()> = Mutex::new(());

/// Replays all kept inputs of a law, and says how many there were.
fn replay(name: &str) {
    let _alone = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, law) = laws::ALL.iter().find(|(law, _)| *law == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files {
        println!("{}", file.display());
        law(&fs::read(file).unwrap());
    }
    assert!(files.len() > 1, "nothing is kept for {name}");
}

#[test]
fn round_trip() {
    replay("round_trip");
}

#[test]
fn validate() {
    replay("validate");
}

#[test]
fn accepted() {
    replay("accepted");
}

#[test]
fn refused() {
    replay("refused");
}
