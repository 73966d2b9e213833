//! Proofs that take their time: races of many committers for one epoch, `kill -9` at random instants, and a start after it, on the
//! real stores.
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
#[path = "../ledger/crowd.rs"]
mod crowd;
#[path = "../ledger/founding.rs"]
mod founding;
mod ground;
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
mod starts;
#[path = "../ledger/tape.rs"]
mod tape;
#[path = "../ledger/terms.rs"]
mod terms;
#[path = "../ledger/writing.rs"]
mod writing;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::founding::Opened;
use crate::ground::Ground;
use crate::kills::{Kills, Victim};
use crate::kind::Kind;
use crate::race::Race;
use crate::score::Score;
use crate::spoil::Spoil;
use crate::starts::Starts;
use crate::writing::Work;

/// Proves, on real stores, that of many who commit for one epoch one wins, and that whatever was said to be durable outlives
/// `kill -9` at any instant, and that a start after it is quick.
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
    /// How many groups there are at a start.
    #[arg(long, default_value_t = 10_000)]
    groups: u64,
    /// How long a start may take.
    #[arg(long, default_value_t = 5_000)]
    start_ms: u64,
    /// Where the stores lie, each in a folder of its own, which stays where something does not hold; the system's folder for
    /// temporary files if it is not said.
    #[arg(long)]
    folder: Option<PathBuf>,
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
    /// Whoever has written many groups is killed, and the next process starts.
    Starts,
}

impl What {
    const ALL: [Self; 3] = [Self::Races, Self::Kills, Self::Starts];

    /// What of it is proved on a store, each in a store of its own.
    fn proofs(self, kind: Kind) -> Vec<Proof> {
        match (self, kind) {
            (Self::Races, _) => vec![Proof::Races],
            (Self::Kills, Kind::Sled) => vec![Proof::KillsOfTheWriter],
            (Self::Kills, Kind::Postgres) => {
                vec![Proof::KillsOfTheWriter, Proof::KillsOfEither, Proof::KillsOfTheDatabase]
            }
            (Self::Starts, _) => vec![Proof::Starts],
        }
    }
}

/// What is proved in one store.
#[derive(Clone, Copy, Debug)]
enum Proof {
    Races,
    KillsOfTheWriter,
    KillsOfEither,
    KillsOfTheDatabase,
    Starts,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // The one that is killed is this program as well.
    let done = match arguments.next().as_deref() {
        Some("writer") => write(arguments).await,
        Some("founder") => found(arguments).await,
        Some("opener") => open(arguments).await,
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

async fn found(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let mut next = || arguments.next().context("usage: prove founder PLACE GROUPS SEED");
    let (place, groups, seed) = (next()?, next()?.parse()?, next()?.parse()?);
    founding::found(&place, groups, seed).await?;
    Ok(ExitCode::SUCCESS)
}

async fn open(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let place = arguments.next().context("usage: prove opener PLACE")?;
    Opened::here(&place).await?.say()?;
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
    let below = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    for (what, kind) in asked {
        for proof in what.proofs(kind) {
            let mut ground = Ground::of(kind, &below).await?;
            match prove(proof, arguments, seed, &mut ground).await {
                Ok(said) => println!("{}: {said}", kind.name()),
                Err(error) => {
                    println!("{}, {proof:?}: FAILED, with --seed {seed}: {error:#}", kind.name());
                    println!("what is left is kept in {}", ground.keep());
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
    println!("everything holds");
    Ok(ExitCode::SUCCESS)
}

/// Proves something; says how it went.
async fn prove(proof: Proof, arguments: &Arguments, seed: u64, ground: &mut Ground) -> Result<String> {
    let Arguments { rounds, committers, kills, groups, start_ms, spoil, .. } = *arguments;
    let (place, folder) = (ground.place()?, ground.folder().to_owned());
    let victim = match proof {
        Proof::Races => {
            // On a database through two stores; a folder has one.
            let places = if ground.postgres().is_ok() { vec![place.clone(), place] } else { vec![place] };
            return Box::pin(race::run(Race { rounds, committers, seed, spoil }, &places)).await;
        }
        Proof::Starts => {
            let within = Duration::from_millis(start_ms);
            return Box::pin(starts::run(Starts { groups, within, seed, spoil }, &place, &folder)).await;
        }
        Proof::KillsOfTheWriter => Victim::Writer,
        Proof::KillsOfEither => Victim::EitherOfTwo,
        Proof::KillsOfTheDatabase => Victim::Database(ground.postgres()?),
    };
    Box::pin(kills::run(Kills { kills, seed, spoil }, victim, &place, &folder)).await
}
