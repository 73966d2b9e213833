//! What must be there of messages that are in order, whatever was killed.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::reading::Found;

/// From a message on: what was acknowledged is answered, what was taken in waits or is answered, and what is owed is there, but
/// for messages of which it is sent.
pub(crate) fn are_kept(
    found: &Found,
    from: u64,
    acked: &BTreeSet<u64>,
    is_sent: impl Fn(u64) -> bool,
) -> Result<()> {
    for number in acked {
        ensure!(found.answered.contains(number), "message {number} was acknowledged and its answer is lost");
    }
    for number in from..found.end {
        let (waits, answered) = (found.waiting.contains(&number), found.answered.contains(&number));
        ensure!(waits || answered, "message {number} was taken in and is lost");
        ensure!(!(waits && answered), "message {number} is answered and still waits");
        let owed = found.owed.contains_key(&number);
        ensure!(owed || waits || is_sent(number), "what is owed for message {number} is lost");
        ensure!(!(owed && waits), "something is owed for message {number}, which has no answer");
    }
    Ok(())
}

/// Of the messages that move a group on, those that are answered did so, once, and those that wait did not. `moved` gathers
/// them all.
pub(crate) fn have_moved(
    found: &Found,
    moved: &mut BTreeSet<u64>,
    moves: impl Fn(u64) -> bool,
) -> Result<()> {
    for (id, epoch, number, _) in &found.log {
        ensure!(
            moved.insert(*number),
            "message {number} has begun two epochs, one of them {epoch} of {id:?}"
        );
    }
    for number in found.answered.iter().filter(|number| moves(**number)) {
        ensure!(moved.contains(number), "message {number} is answered, and its epoch is lost");
    }
    for number in &found.waiting {
        ensure!(!moved.contains(number), "message {number} has begun an epoch and still waits");
    }
    Ok(())
}
