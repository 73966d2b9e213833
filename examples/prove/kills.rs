//! `kill -9`, again and again: of those who write, and of the database that they write to. After each, whatever was promised
//! is there, whole and once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use maypole::clock;
use maypole_testkit::postgres::Postgres;
use maypole_testkit::recorder::SplitMix64;

use crate::life::{Ended, Life, TASKS};
use crate::place;
use crate::quiet::quiet;
use crate::score::Score;
use crate::spoil::Spoil;

/// How often each kind of victim is killed, and from which seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kills {
    pub(crate) kills: u64,
    pub(crate) seed: u64,
    /// What is damaged at the end, which must be found.
    pub(crate) spoil: Option<Spoil>,
}

/// Who is killed.
pub(crate) enum Victim<'p> {
    /// The one who writes.
    Writer,
    /// Each of two who write to one database, one while the other writes.
    EitherOfTwo,
    /// The database, under one who writes and goes on, and is killed later.
    Database(&'p mut Postgres),
}

/// Where it happens.
struct Scene<'s> {
    place: &'s str,
    folder: &'s Path,
    random: SplitMix64,
    /// Whether whoever is to go on is killed before.
    silent: bool,
    /// How many were killed, and how many of them were databases.
    killed: u64,
    databases: u64,
    /// How often somebody else was left, and how often they went on; their tape was at its end the other times.
    left: u64,
    went_on: u64,
}

/// Kills so often; says how it went.
pub(crate) async fn run(kills: Kills, mut victim: Victim<'_>, place: &str, folder: &Path) -> Result<String> {
    let began = clock::monotonic();
    let mut score = Score::new(kills.seed)?;
    let mut scene = Scene::of(kills, place, folder);
    let (mut next_report, mut slowest) = (100, Duration::ZERO);
    let mut to_spoil = kills.spoil;
    while scene.killed_of(&victim) < kills.kills || to_spoil.is_some() {
        let tape = scene.tape();
        score.tape()?.write(&tape)?;
        let acked = scene.lives(&mut victim, &tape).await?.concat();
        score.promise(&acked)?;
        if place.starts_with("postgres://") {
            quiet(place).await?;
        }
        let opening = clock::monotonic();
        let store = place::open(place).await.context("the store does not open after the kill")?;
        slowest = slowest.max(opening.elapsed());
        if let Some(spoil) = to_spoil.filter(|_| scene.killed_of(&victim) >= kills.kills)
            && let Some(prey) = score.prey(&store, &acked.into_iter().collect()).await?
        {
            spoil.damage(&store, &prey).await?;
            to_spoil = None;
        }
        score.check(&store).await.with_context(|| format!("after kill {}", scene.killed))?;
        store.close().await;
        if scene.killed >= next_report {
            println!("  {} kills, {} s", scene.killed, began.elapsed().as_secs());
            next_report += 100;
        }
    }
    ensure!(score.promised > 0, "nothing was ever promised: this shows nothing");
    ensure!(
        scene.left == 0 || scene.went_on > 0,
        "whoever was left had nothing more to write: this shows nothing"
    );
    let store = place::open(place).await?;
    let epochs = score.look_back(&store).await?;
    store.close().await;
    Ok(format!(
        "{}{}: {} answers were promised, {epochs} of them epochs of groups, and all are there, once; the store opened \
         within {} ms each time; {} s",
        scene.what_was_killed(&victim),
        scene.what_went_on(),
        score.promised,
        slowest.as_millis(),
        began.elapsed().as_secs(),
    ))
}

impl<'s> Scene<'s> {
    fn of(kills: Kills, place: &'s str, folder: &'s Path) -> Self {
        let (random, silent) = (SplitMix64::new(!kills.seed), kills.spoil == Some(Spoil::Silence));
        Self { place, folder, random, silent, killed: 0, databases: 0, left: 0, went_on: 0 }
    }

    fn tape(&self) -> PathBuf {
        self.folder.join("tape")
    }

    fn begin(&self, tape: &Path, who: &str) -> Result<Life> {
        let (tasks, tape) = (TASKS.to_string(), tape.to_str().context("a tape")?);
        Life::begin(&["writer", self.place, "1000000", &tasks, "0", tape], &self.folder.join(who))
    }

    /// Whoever is left goes on, and lives until chance says otherwise.
    async fn goes_on(&mut self, life: &mut Life) -> Result<()> {
        self.left += 1;
        if self.silent {
            life.silence().await?;
        }
        self.went_on += u64::from(life.signs_of_life().await?);
        life.live(&mut self.random).await
    }

    /// From the start of the writers until all of them are dead; what each promised.
    async fn lives(&mut self, victim: &mut Victim<'_>, tape: &Path) -> Result<Vec<Vec<u64>>> {
        let mut one = self.begin(tape, "one")?;
        match victim {
            Victim::Writer => {
                one.live(&mut self.random).await?;
                let one = one.kill().await?;
                Ok(vec![self.count(one)])
            }
            Victim::EitherOfTwo => {
                let mut other = self.begin(tape, "other")?;
                let (mut here, mut there) = (self.fork(), self.fork());
                let first = async {
                    one.live(&mut here).await?;
                    one.kill().await
                };
                let silent = self.silent;
                let second = async {
                    // What it says then lies in the pipe.
                    if !silent {
                        other.live(&mut there).await?;
                    }
                    anyhow::Ok(())
                };
                let (one, lived) = tokio::join!(first, second);
                lived?;
                let one = one?;
                if one.killed || silent {
                    self.goes_on(&mut other).await?;
                }
                let other = other.kill().await?;
                Ok(vec![self.count(one), self.count(other)])
            }
            Victim::Database(postgres) => {
                // Whoever finds no database at its start ends, as it should.
                one.answers(1).await?;
                one.live(&mut self.random).await?;
                postgres.kill()?;
                self.killed += 1;
                self.databases += 1;
                postgres.boot().await?;
                // The writer finds it again by itself.
                self.goes_on(&mut one).await?;
                let one = one.kill().await?;
                Ok(vec![self.count(one)])
            }
        }
    }

    /// How many of those were killed who are to be killed so often.
    fn killed_of(&self, victim: &Victim<'_>) -> u64 {
        match victim {
            Victim::Writer | Victim::EitherOfTwo => self.killed,
            Victim::Database(_) => self.databases,
        }
    }

    fn what_was_killed(&self, victim: &Victim<'_>) -> String {
        let killed = self.killed;
        match victim {
            Victim::Writer => format!("{killed} kills of the writer"),
            Victim::EitherOfTwo => format!("{killed} kills of one or the other of two writers"),
            Victim::Database(_) => {
                let (databases, writers) = (self.databases, killed - self.databases);
                format!(
                    "{databases} kills of the database under a writer, and {writers} of that writer afterwards"
                )
            }
        }
    }

    fn what_went_on(&self) -> String {
        let (left, went_on) = (self.left, self.went_on);
        if left == 0 {
            String::new()
        } else {
            format!("; {went_on} of {left} times, whoever was left went on")
        }
    }

    fn fork(&mut self) -> SplitMix64 {
        SplitMix64::new(self.random.next_number())
    }

    fn count(&mut self, ended: Ended) -> Vec<u64> {
        self.killed += u64::from(ended.killed);
        ended.acked
    }
}
