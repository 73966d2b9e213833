//! Proofs that take their time: races of many committers for one epoch, and `kill -9` at random instants, on the real stores.
//!
//! The commits are made by hand (`examples/ledger/hall.rs`): rightly signed, and right in all that a service can check. The real
//! core judges each of them, and the real ledger writes what follows.
//!
//! `cargo run --release --example prove -- --help` says what can be asked. It prints its seed, what it did and what it found,
//! and ends with exit code 1 where anything does not hold. Short runs of it are among the tests (`tests/it/proofs.rs`).

#[path = "../ledger/chain.rs"]
mod chain;
#[path = "../ledger/contents.rs"]
mod contents;
#[path = "../ledger/hall.rs"]
mod hall;
mod kills;
#[path = "../ledger/kind.rs"]
mod kind;
#[path = "../ledger/life.rs"]
mod life;
#[path = "../ledger/place.rs"]
mod place;
#[path = "../ledger/post.rs"]
mod post;
mod promises;
mod quiet;
mod race;
#[path = "../ledger/reading.rs"]
mod reading;
#[path = "../ledger/saying.rs"]
mod saying;
mod score;
mod spoil;
#[path = "../ledger/tape.rs"]
mod tape;
#[path = "../ledger/terms.rs"]
mod terms;
#[path = "../ledger/writing.rs"]
mod writing;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use maypole_testkit::postgres::Postgres;

use crate::kills::{Kills, Victim};
use crate::kind::Kind;
use crate::race::Race;
use crate::score::Score;
use crate::spoil::Spoil;
use crate::writing::Work;

/// Proves, on real stores, that of many who commit for one epoch one wins, and that whatever was said to be durable outlives
/// `kill -9` at any instant.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is proved; everything if it is not said.
    what: Option<What>,
    /// On which store; both if it is not said.
    #[arg(long)]
    store: Option<Kind>,
    /// How many epochs are raced for.
    #[arg(long, default_value_t = 10_000)]
    rounds: u64,
    /// How many commit for each.
    #[arg(long, default_value_t = 64)]
    committers: u32,
    /// How often is killed, of each kind of victim.
    #[arg(long, default_value_t = 300)]
    kills: u64,
    /// From which everything that is left to chance follows, but for when the machine does what; a new one if it is not said.
    #[arg(long)]
    seed: Option<u64>,
    /// Damages what was written, in this way, before it is checked at last: then this must fail.
    #[arg(long)]
    spoil: Option<Spoil>,
}

/// What can be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Many commit for one epoch at once.
    Races,
    /// Those who write are killed, and the database.
    Kills,
}

impl What {
    const ALL: [Self; 2] = [Self::Races, Self::Kills];
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // The one that is killed is this program as well.
    let done = match arguments.next().as_deref() {
        Some("writer") => write(arguments).await,
        Some("tape") => make_tape(arguments),
        _ => Box::pin(prove_all(&Arguments::parse())).await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("Error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn write(arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    saying::say_marks();
    writing::run(&Work::from_arguments(arguments)?).await?;
    saying::say_line("end")?;
    Ok(ExitCode::SUCCESS)
}

/// Commits for who writes elsewhere.
fn make_tape(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let file = arguments.next().context("usage: prove tape FILE")?;
    Score::new(1)?.tape()?.write(file.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

async fn prove_all(arguments: &Arguments) -> Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(|| maypole::clock::now().as_millis());
    println!("seed {seed}");
    let kinds = arguments.store.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    let whats = arguments.what.map_or(What::ALL.to_vec(), |what| vec![what]);
    let asked = kinds.iter().flat_map(|kind| whats.iter().map(|what| (*what, *kind)));
    let asked = asked.filter(|(what, kind)| arguments.spoil.is_none_or(|spoil| spoil.is_of(*what, *kind)));
    let asked: Vec<_> = asked.collect();
    ensure!(!asked.is_empty(), "that damage cannot be done here");
    for (what, kind) in asked {
        let done = match (what, kind) {
            (What::Races, Kind::Sled) => races_on_sled(arguments, seed).await,
            (What::Races, Kind::Postgres) => races_on_postgres(arguments, seed).await,
            (What::Kills, Kind::Sled) => kills_on_sled(arguments, seed).await,
            (What::Kills, Kind::Postgres) => kills_on_postgres(arguments, seed).await,
        };
        if let Err(error) = done {
            println!("{}, {what:?}: FAILED, with --seed {seed}: {error:#}", kind.name());
            return Ok(ExitCode::FAILURE);
        }
    }
    println!("everything holds");
    Ok(ExitCode::SUCCESS)
}

fn race(arguments: &Arguments, seed: u64) -> Race {
    Race { rounds: arguments.rounds, committers: arguments.committers, seed, spoil: arguments.spoil }
}

async fn races_on_sled(arguments: &Arguments, seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("store");
    let place = place.to_str().context("a folder")?.to_owned();
    println!("sled: {}", Box::pin(race::run(race(arguments, seed), &[place])).await?);
    Ok(())
}

async fn races_on_postgres(arguments: &Arguments, seed: u64) -> Result<()> {
    let postgres = Postgres::start_durable().await?;
    let places = [postgres.url(), postgres.url()];
    println!("PostgreSQL: {}", Box::pin(race::run(race(arguments, seed), &places)).await?);
    Ok(())
}

fn kills(arguments: &Arguments, seed: u64) -> Kills {
    Kills { kills: arguments.kills, seed, spoil: arguments.spoil }
}

async fn kills_on_sled(arguments: &Arguments, seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("store");
    let place = place.to_str().context("a folder")?;
    let done = kills::run(kills(arguments, seed), Victim::Writer, place, folder.path()).await?;
    println!("{}: {done}", Kind::Sled.name());
    Ok(())
}

/// Each kind of victim gets a database of its own.
async fn kills_on_postgres(arguments: &Arguments, seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for place in 0..3 {
        let mut postgres = Postgres::start_durable().await?;
        let url = postgres.url();
        let victim = match place {
            0 => Victim::Writer,
            1 => Victim::EitherOfTwo,
            _ => Victim::Database(&mut postgres),
        };
        let done = kills::run(kills(arguments, seed), victim, &url, folder.path()).await?;
        println!("{}: {done}", Kind::Postgres.name());
    }
    Ok(())
}
