//! What chance says of forged groups, judged by three: this crate, OpenMLS' `PublicGroup` and mls-rs' `ExternalGroup`.
//!
//! Where all take a message they must come to the same hashes; where ours refuses, nothing may have changed; where they
//! disagree, [`table`] must know why, with the section of RFC 9420 that decides. The table is `docs/differences.md` too.
//!
//! The ordinary run draws as many messages as some seconds bear. `MAYPOLE_DIFFERENTIAL_MESSAGES=100000` draws that many,
//! and from so many on every line of the table must have been met; with `MAYPOLE_BLESS=1` it also writes its figures into the page.
//! `MAYPOLE_DIFFERENTIAL_SEED` says with which story to begin: a failure names its seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test speaks"
)]

mod court;
mod lenient;
#[expect(dead_code, reason = "histories need more of it")]
#[path = "../oracles/mod.rs"]
mod oracles;
mod page;
mod table;
mod tally;
mod verdict;

use court::Court;
use tally::Tally;

/// What is drawn in an ordinary run: some ten seconds on one core.
const ORDINARY_MESSAGES: usize = 5_000;
/// From so many on nothing of the table may have been left out, and the figures are worth writing down.
const FULL_MESSAGES: usize = 100_000;
/// Of one story, no more.
const STORY_MESSAGES: usize = 60;
/// The choices of a story; it takes about 40 bytes a message.
const STORY_BYTES: usize = 4_096;

#[test]
fn every_difference_is_one_that_is_known() {
    let wanted = asked("MAYPOLE_DIFFERENTIAL_MESSAGES").map_or(ORDINARY_MESSAGES, |wanted| wanted as usize);
    let first = asked("MAYPOLE_DIFFERENTIAL_SEED").unwrap_or(0);
    let mut tally = Tally::default();
    let mut seed = first;
    while tally.messages() < wanted {
        Court::hold(seed, &mut tally);
        seed += 1;
    }
    println!("seeds {first} to {}:\n{tally}", seed - 1);
    tally.assert_known();
    if wanted >= ORDINARY_MESSAGES {
        tally.assert_varied();
    }
    if wanted >= FULL_MESSAGES {
        tally.assert_full();
        page::bless_figures(&tally, first..seed);
    }
}

#[test]
fn the_page_is_current() {
    page::assert_current();
}

/// A number that the environment gives.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not the service's configuration")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}
