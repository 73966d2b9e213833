//! Many devices commit for one epoch at once, epoch after epoch: one wins each time, and the others are told so.
//!
//! Each commit is judged by the core as if it were alone, and found good; then all decisions are written at once. On a
//! database they do so through two stores, each with sessions of its own, as two processes have. Who loses finds the winner in the log, is judged again in the
//! new epoch, and is refused.

mod checks;
mod entering;
mod words;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use maypole::clock;
use maypole::storage::Store;
use maypole_core::batch::{Backend as _, Expect, Op};
use maypole_core::group::{Decision, Group, Head};
use maypole_core::ids::{Epoch, InboxSeq, Sha256, UserId};
use maypole_core::ledger::{Durable, Ledger, LedgerError};
use maypole_core::time::Timestamp;
use maypole_testkit::recorder::SplitMix64;
use tokio::task::{JoinSet, block_in_place};

use self::words::{accepted, accepted_text, owed};
use crate::chain::told;
use crate::contents;
use crate::hall::{Hall, Made};
use crate::post::Post;
use crate::spoil::{Prey, Spoil};
use crate::terms::{Here, judge};

/// What is raced for, and by how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Race {
    pub(crate) rounds: u64,
    pub(crate) committers: u32,
    pub(crate) seed: u64,
    /// What is damaged in the last round, which must be found.
    pub(crate) spoil: Option<Spoil>,
}

/// One who works on the store: the group as it has it, and its way to the store.
struct Process {
    ledger: Arc<Ledger<Store>>,
    group: Option<Group>,
}

/// Where they race.
struct Arena {
    processes: Vec<Process>,
    store: Store,
    hall: Hall,
    terms: Here,
    now: Timestamp,
    user: UserId,
    post: Post,
    /// Which message began each epoch, by its number and its hash.
    winners: Vec<(u64, Sha256)>,
    /// Whose answers are still remembered, of the round before.
    answered: Vec<u64>,
    random: SplitMix64,
    racing: Duration,
}

/// A commit in a race.
struct Entrant {
    number: u64,
    row: InboxSeq,
    process: usize,
    made: Made,
}

/// Runs a race on the store at these places, of which each is opened by a process of its own; says how it went.
pub(crate) async fn run(race: Race, places: &[String]) -> Result<String> {
    let began = clock::monotonic();
    let mut arena = Box::pin(Arena::open(race, places)).await?;
    for _ in 1..race.committers {
        let made = arena.hall.join()?;
        arena.alone(made.command.clone()).await?;
        arena.hall.play(&made)?;
    }
    for round in 0..race.rounds {
        let spoil = race.spoil.filter(|_| round + 1 == race.rounds);
        arena.round(race.committers, spoil).await.with_context(|| format!("round {round}"))?;
        if (round + 1) % 500 == 0 {
            println!("  {} rounds, {} s", round + 1, began.elapsed().as_secs());
        }
    }
    let commits = race.rounds * u64::from(race.committers);
    let racing = arena.racing.as_secs_f64();
    arena.close(places.first().context("a place")?).await?;
    let took = began.elapsed().as_secs_f64();
    Ok(format!(
        "{} rounds of {} commits by {} {}: {} won, {} lost and were told who won; {took:.0} s, of which {racing:.0} s in the \
         store, {:.0} answers a second",
        race.rounds,
        race.committers,
        places.len(),
        if places.len() == 1 { "store" } else { "stores" },
        race.rounds,
        commits - race.rounds,
        commits as f64 / racing.max(0.001),
    ))
}

impl Arena {
    /// All commit for one epoch.
    async fn round(&mut self, committers: u32, spoil: Option<Spoil>) -> Result<()> {
        for process in &mut self.processes {
            if process.group.as_ref().is_none_or(|group| group.epoch().get() != self.hall.epoch()) {
                process.group = process.ledger.group(&self.hall.id, &self.terms).await?;
            }
        }
        let made = block_in_place(|| self.make_all(committers))?;
        let began = clock::monotonic();
        let rows = self.receive(committers.into()).await?;
        let (entrants, decisions): (Vec<_>, Vec<_>) = made
            .into_iter()
            .zip(rows)
            .enumerate()
            .map(|(place, ((made, decision), (number, row)))| {
                (Entrant { number, row, process: place % self.processes.len(), made }, decision)
            })
            .unzip();
        let again =
            if spoil == Some(Spoil::TwoWinners) { self.store.head(&self.hall.id).await? } else { None };
        let (winner, decided) = self.race(&entrants, decisions, again).await?;
        let won = entrants.get(winner).context("the winner")?;
        self.winners.push((won.number, won.made.hash()));
        self.hall.play(&won.made)?;
        let process = self.processes.get_mut(won.process).context("a process")?;
        process.group = Group::enter(process.group.take(), decided);
        self.tell_the_others(&entrants, winner).await?;
        self.nothing_is_answered_twice(&entrants).await?;
        if let Some(spoil) = spoil {
            let number = entrants.get(winner).context("the winner")?.number;
            spoil.damage(&self.store, &Prey { group: self.hall.id.clone(), number }).await?;
        }
        self.check_answers(&entrants, winner).await?;
        self.tidy(&entrants).await?;
        self.racing += began.elapsed();
        Ok(())
    }

    /// All decisions are written at once, in an order that chance gives: which one is, and that no other is. With a head to go
    /// back to, the store forgets that somebody has won, and one more is written.
    async fn race(
        &mut self,
        entrants: &[Entrant],
        decisions: Vec<Decision>,
        again: Option<Head>,
    ) -> Result<(usize, Durable<Decision>)> {
        let mut order: Vec<_> = decisions.into_iter().enumerate().collect();
        for last in (1..order.len()).rev() {
            order.swap(last, usize::try_from(self.random.below(last as u64 + 1))?);
        }
        let mut racing = JoinSet::new();
        for (place, decision) in order {
            let entrant = entrants.get(place).context("a commit")?;
            let ledger = &self.processes.get(entrant.process).context("a process")?.ledger;
            let (ledger, row, now, hash) = (Arc::clone(ledger), entrant.row, self.now, entrant.made.hash());
            let answer = (contents::key(entrant.number), accepted(&self.user, hash));
            let owed = owed(&self.user, &accepted_text(hash), now);
            let told = told(&decision, entrant.number, answer, vec![owed])?;
            racing.spawn(async move { (place, ledger.decide(row, None, decision, told, now).await) });
        }
        let mut winners = Vec::new();
        while let Some(done) = racing.join_next().await {
            match done? {
                (place, Ok(decided)) => winners.push((place, decided)),
                (_, Err(LedgerError::Conflict(expect))) => {
                    let moved = matches!(&*expect, Expect::GroupAt(group, _) if *group == self.hall.id);
                    ensure!(moved, "a commit was held back by {expect:?}");
                }
                (place, Err(error)) => bail!("commit {place} could not be written: {error}"),
            }
        }
        if let (Some(head), Some((winner, _))) = (again, winners.first()) {
            winners.push(self.forget(entrants, *winner, head).await?);
        }
        ensure!(winners.len() == 1, "{} commits won one epoch", winners.len());
        winners.pop().context("a winner")
    }

    /// The group goes back to where it was before the winner, and somebody else wins.
    async fn forget(
        &self,
        entrants: &[Entrant],
        winner: usize,
        head: Head,
    ) -> Result<(usize, Durable<Decision>)> {
        let lost = Epoch::new(self.hall.epoch() + 1).context("an epoch")?;
        self.apply(Vec::new(), vec![Op::RemoveEntry(head.group.clone(), lost), Op::SetHead(head)]).await?;
        let place = (winner + 1) % entrants.len();
        let entrant = entrants.get(place).context("a commit")?;
        let process = self.processes.get(entrant.process).context("a process")?;
        let command = entrant.made.command.clone();
        let decision = judge(process.group.as_ref(), command, &self.terms, self.now)?;
        let decision = decision.map_err(|rejection| anyhow::anyhow!("refused: {rejection:?}"))?;
        let answer = (contents::key(entrant.number), accepted(&self.user, entrant.made.hash()));
        let told = told(&decision, entrant.number, answer, Vec::new())?;
        Ok((place, process.ledger.decide(entrant.row, None, *decision, told, self.now).await?))
    }
}
