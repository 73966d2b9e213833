//! What a judge says of a message.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use anyhow::{Error, Result};
use maypole_mls::{Refusal, Rule};

use super::oracles::{Follower, Weighed};

/// The hashes that a commit, or an import, leads to.
pub(crate) type Hashes = Option<[Vec<u8>; 2]>;

/// A judge's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken.
    Takes(Hashes),
    /// It is refused; by ours with a rule.
    Refuses(String, Option<Rule>),
    /// The judge fell over.
    Panics(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Takes(_) => formatter.write_str("takes it"),
            Self::Refuses(why, Some(rule)) => write!(formatter, "refuses it by {}: {why}", rule.name()),
            Self::Refuses(why, None) => write!(formatter, "refuses it: {why}"),
            Self::Panics(why) => write!(formatter, "panics: {why}"),
        }
    }
}

thread_local! {
    /// Whether a judge speaks, whose panic is its word and nothing to be printed.
    static SPEAKS: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics are caught, and not printed.
fn quietly<T>(speaks: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !SPEAKS.get() {
                usual(panic);
            }
        }));
    });
    SPEAKS.set(true);
    let said = catch_unwind(AssertUnwindSafe(speaks));
    SPEAKS.set(false);
    said
}

/// Has a judge say something, and catches it if it falls over. What it found is given back beside its word.
fn said_by<T>(judge: impl FnOnce() -> Result<T>, hashes: impl FnOnce(&T) -> Hashes) -> (Verdict, Option<T>) {
    match quietly(judge) {
        Ok(Ok(found)) => (Verdict::Takes(hashes(&found)), Some(found)),
        Ok(Err(error)) => (Verdict::Refuses(format!("{error:#}"), rule(&error)), None),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
            (Verdict::Panics(text.to_owned()), None)
        }
    }
}

fn rule(error: &Error) -> Option<Rule> {
    error.downcast_ref::<Refusal>().map(|refusal| refusal.rule)
}

/// Judges a message.
pub(crate) fn weigh<F: Follower>(judge: &F, message: &[u8]) -> (Verdict, Option<F::Weighed>) {
    said_by(|| judge.weigh(message), Weighed::leads_to)
}

/// Judges what somebody is to begin with.
pub(crate) fn begin<F: Follower>(judge: impl FnOnce() -> Result<F>) -> (Verdict, Option<F>) {
    said_by(judge, |judge| {
        let seen = judge.seen().ok()?;
        Some([seen.tree_hash, seen.confirmed_transcript_hash])
    })
}
