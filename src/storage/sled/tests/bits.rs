//! A bit flips somewhere in sled's own files: what was acknowledged is there, or whoever opens the store is told.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use maypole_core::batch::{Backend, Op};

use super::Somewhere;
use crate::storage::conformance::samples::{
    agenda, answer, batch, entry, epoch, group, head, key, message, snapshot,
};
use crate::storage::sled::{OpenError, Store};

const GROUPS: u64 = 20;
const EPOCHS: u64 = 6;

/// What became of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Everything is there.
    Whole,
    /// Whoever opens it is told that it is damaged.
    Refused,
    /// Whoever asks for something is told that it cannot be had.
    Told,
    /// It is as it was earlier, and its numbers say so.
    Earlier,
    /// Something is not there, and nobody is told.
    Silent,
}

/// Groups with a log, closed and opened some times, the last time with something new.
async fn filled() -> Somewhere {
    let place = Somewhere::new();
    for at in 1..=EPOCHS {
        let store = Store::open(&place.path()).unwrap();
        for number in 0..GROUPS {
            let ops = vec![
                Op::SetHead(head(number, at, 50)),
                Op::Append(group(number), entry(at, 500)),
                Op::SetAgenda(agenda(number, at, 100)),
                Op::PutSnapshot(group(number), snapshot(at, 600)),
                Op::Remember(key(number * 100 + at), answer(number, 200, 1_000)),
                Op::Receive(message(number, 300)),
            ];
            store.apply(batch(vec![], ops)).await.unwrap();
        }
        store.close().await;
    }
    place
}

async fn outcome(place: &Somewhere) -> Outcome {
    let store = match catch_unwind(AssertUnwindSafe(|| Store::open(&place.path()))) {
        Ok(Ok(store)) => store,
        Ok(Err(OpenError::Damaged { .. } | OpenError::Io { .. })) => return Outcome::Refused,
        other => panic!("{other:?}"),
    };
    let mut outcome = Outcome::Whole;
    let progress = store.progress().await.unwrap();
    if progress.inbox < GROUPS * EPOCHS {
        outcome = Outcome::Earlier;
    }
    for number in 0..GROUPS {
        let missing = match look(&store, number).await {
            Ok(true) => continue,
            Ok(false) if outcome == Outcome::Earlier => Outcome::Earlier,
            Ok(false) => Outcome::Silent,
            Err(_) => Outcome::Told,
        };
        outcome = outcome.max(missing);
    }
    outcome
}

/// Whether everything of a group is there.
async fn look(store: &Store, number: u64) -> Result<bool, maypole_core::batch::BackendError> {
    let id = group(number);
    let mut whole = store.head(&id).await? == Some(head(number, EPOCHS, 50));
    let log = store.log(&id, epoch(0), 100).await?;
    whole &= log == (1..=EPOCHS).map(|at| entry(at, 500)).collect::<Vec<_>>();
    whole &= store.agenda(&id).await? == Some(agenda(number, EPOCHS, 100));
    for at in 1..=EPOCHS {
        whole &= store.snapshot(&id, epoch(at)).await? == Some(snapshot(at, 600));
    }
    for at in 1..=EPOCHS {
        whole &= store.answer(key(number * 100 + at)).await? == Some(answer(number, 200, 1_000));
    }
    Ok(whole)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let new = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &new);
        } else {
            fs::copy(&path, &new).unwrap();
        }
    }
}

/// The files of the log, and in each places that are spread over what is not zero.
fn places(log: &Path, count: usize) -> Vec<(PathBuf, usize)> {
    let mut places = Vec::new();
    for path in crate::storage::sled::generation::files_to_copy(log).unwrap() {
        let bytes = fs::read(&path).unwrap();
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let stride = (used.len() / count).max(1);
        places.extend(used.iter().step_by(stride).map(|at| (path.clone(), *at)));
    }
    places
}

/// Flips a bit at many places, each in a copy of its own.
async fn outcomes(sealed: bool, count: usize) -> BTreeMap<(String, Outcome), usize> {
    let place = filled().await;
    if !sealed {
        place.unseal();
    }
    let mut outcomes = BTreeMap::new();
    for (path, at) in places(&place.log(), count) {
        let copied = Somewhere::new();
        copy(&place.path(), &copied.path());
        let path = copied.path().join(
            path.strip_prefix(place.path().canonicalize().unwrap())
                .or(path.strip_prefix(place.path()))
                .unwrap(),
        );
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        *outcomes.entry((name, outcome(&copied).await)).or_default() += 1;
    }
    outcomes
}

#[tokio::test]
async fn of_a_store_that_was_left_in_order_every_one_is_found() {
    let outcomes = outcomes(true, 15).await;
    assert!(outcomes.keys().all(|(_, outcome)| *outcome == Outcome::Refused), "{outcomes:?}");
    assert!(outcomes.values().sum::<usize>() >= 45, "{outcomes:?}");
}

/// What sled takes for a tear is cut off with all that came after it: an older copy of the store, which its numbers say.
#[tokio::test]
async fn after_a_crash_the_store_is_refused_or_says_that_it_is_an_older_one() {
    let outcomes = outcomes(false, 60).await;
    let count = |wanted| {
        outcomes.iter().filter(|((_, outcome), _)| *outcome == wanted).map(|(_, count)| count).sum::<usize>()
    };
    assert_eq!(count(Outcome::Silent), 0, "{outcomes:?}");
    assert!(count(Outcome::Refused) > 60 && count(Outcome::Earlier) > 0, "{outcomes:?}");
}
