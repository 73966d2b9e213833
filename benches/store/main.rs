//! How long it takes until a commit is judged, its receipt signed and all of it written durably, and what many groups take: on the
//! real stores, through the real core. Outside of it are what a service asks the homeserver and the reading of the inbox.
//!
//! `cargo bench --bench store -- --help` says what can be asked. Beside each figure stands what cannot be left out, taken in the
//! same run: the signatures of a commit, one `fdatasync`, one write of the store.

#[path = "../../examples/ledger/chain.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod chain;
#[path = "../../examples/ledger/contents.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod contents;
#[path = "../../examples/ledger/crowd.rs"]
mod crowd;
mod floor;
#[path = "../../examples/ledger/founding.rs"]
mod founding;
#[path = "../../examples/ledger/hall.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod hall;
mod idle;
#[path = "../../examples/ledger/kind.rs"]
mod kind;
#[path = "../../examples/ledger/life.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod life;
mod line;
mod many;
#[path = "../../examples/ledger/place.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod place;
#[path = "../../examples/ledger/post.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod post;
#[path = "../../examples/ledger/saying.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod saying;
#[path = "../../examples/ledger/tape.rs"]
#[expect(dead_code, reason = "the proofs use the rest")]
mod tape;
#[path = "../../examples/ledger/terms.rs"]
mod terms;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use maypole_testkit::postgres::Postgres;

use crate::kind::Kind;

/// Measures the stores.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured; everything if it is not said.
    #[arg(long)]
    what: Vec<What>,
    /// On which store; both if it is not said.
    #[arg(long)]
    store: Vec<Kind>,
    /// Where the stores lie, and where `fdatasync` is measured: a folder on a disk of the kind that is asked about.
    #[arg(long, default_value = "target")]
    folder: PathBuf,
    /// Commits one after the other in one group.
    #[arg(long, default_value_t = 500)]
    commits: u64,
    /// Groups side by side.
    #[arg(long, default_value_t = 1_000)]
    groups: u64,
    /// Epochs of each of them.
    #[arg(long, default_value_t = 5)]
    epochs: u64,
    /// Groups that are known when nothing happens.
    #[arg(long, default_value_t = 10_000)]
    known: u64,
    /// From which all keys follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
    /// The process of `idle` that is killed: founds the groups that are known, at this place.
    #[arg(long, hide = true)]
    founds: Option<String>,
    /// The process after it: opens the store at this place and says what that took.
    #[arg(long, hide = true)]
    opens: Option<String>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// One group, commit after commit.
    Line,
    /// Many groups at once.
    Crowd,
    /// Many groups that are known while nothing happens, after a kill.
    Idle,
}

/// What was asked for; everything if nothing was.
fn all<T: Clone>(asked: &[T], all: &[T]) -> Vec<T> {
    if asked.is_empty() { all } else { asked }.to_vec()
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(place) = &arguments.founds {
        return founding::found(place, arguments.known, arguments.seed).await;
    }
    if let Some(place) = &arguments.opens {
        return founding::Opened::here(place).await?.say();
    }
    let folder = tempfile::Builder::new().prefix("maypole-bench-").tempdir_in(&arguments.folder)?;
    for what in all(&arguments.what, &[What::Line, What::Crowd, What::Idle]) {
        for kind in all(&arguments.store, &Kind::ALL) {
            let postgres = match kind {
                Kind::Sled => None,
                Kind::Postgres => Some(Postgres::start_durable_in(&arguments.folder).await?),
            };
            let place = match &postgres {
                Some(postgres) => postgres.url(),
                None => {
                    let path = folder.path().join(format!("{what:?}"));
                    path.to_str().context("a folder")?.to_owned()
                }
            };
            match what {
                What::Line => Box::pin(line::run(&arguments, kind, &place, folder.path())).await?,
                What::Crowd => many::run(&arguments, kind, &place).await?,
                What::Idle => idle::run(&arguments, kind, &place, folder.path()).await?,
            }
        }
    }
    Ok(())
}
