//! Many devices commit for one epoch at once, epoch after epoch: one wins each time, and the others are told so.
//!
//! Each commit is judged by the core as if it were alone, and found good; then all decisions are written at once. On a
//! database two processes do so, each with sessions of its own. Who loses finds the winner in the log, is judged again in the
//! new epoch, and is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use maypole::clock;
use maypole::storage::Store;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::batch::{Backend as _, Batch, Expect, Op};
use maypole_core::group::{Command, Decision, Group};
use maypole_core::ids::{Epoch, InboxSeq, Lane, Sha256, SyncToken, UserId};
use maypole_core::ledger::{Answered, Durable, Ledger, LedgerError};
use maypole_core::records::{Answer, Delivery, InboxItem, Incoming, Owed, Recipient};
use maypole_core::rejection::Rejection;
use maypole_core::time::Timestamp;
use maypole_testkit::recorder::SplitMix64;
use tokio::task::{JoinSet, block_in_place};

use crate::chain::{Chain, told};
use crate::contents;
use crate::hall::{Hall, Made};
use crate::place;
use crate::terms::{Here, judge};

/// What is raced for, and by how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Race {
    pub(crate) rounds: u64,
    pub(crate) committers: u32,
    pub(crate) seed: u64,
    /// Whether an entry is taken out of the log at the end, which must be found.
    pub(crate) spoil: bool,
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
    cursor: Option<SyncToken>,
    /// The number of the next message.
    next: u64,
    /// Which message began each epoch.
    winners: Vec<Sha256>,
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
    let mut arena = Arena::open(race, places).await?;
    for _ in 1..race.committers {
        let made = arena.hall.join()?;
        arena.alone(made.command.clone()).await?;
        arena.hall.play(&made)?;
    }
    for round in 0..race.rounds {
        arena.round(race.committers).await.with_context(|| format!("round {round}"))?;
        if (round + 1) % 500 == 0 {
            println!("  {} rounds, {} s", round + 1, began.elapsed().as_secs());
        }
    }
    if race.spoil {
        let middle = Epoch::new(arena.hall.epoch() / 2).context("an epoch")?;
        arena.apply(Vec::new(), vec![Op::RemoveEntry(arena.hall.id.clone(), middle)]).await?;
    }
    let commits = race.rounds * u64::from(race.committers);
    let racing = arena.racing.as_secs_f64();
    arena.close(&places[..1]).await?;
    let took = began.elapsed().as_secs_f64();
    Ok(format!(
        "{} rounds of {} commits by {} {}: {} won, {} lost and were told who won; {took:.0} s, of which {racing:.0} s in the \
         store, {:.0} answers a second",
        race.rounds,
        race.committers,
        places.len(),
        if places.len() == 1 { "process" } else { "processes" },
        race.rounds,
        commits - race.rounds,
        commits as f64 / racing.max(0.001),
    ))
}

impl Arena {
    async fn open(race: Race, places: &[String]) -> Result<Self> {
        let mut stores = Vec::new();
        for place in places {
            stores.push(place::open(place).await?);
        }
        let store = stores.first().context("a place")?.clone();
        let process = |store| Process { ledger: Arc::new(Ledger::new(store)), group: None };
        let (hall, registration) = Hall::found(0, race.seed)?;
        let mut arena = Self {
            processes: stores.into_iter().map(process).collect(),
            store,
            terms: hall.terms()?,
            hall,
            now: clock::now(),
            user: UserId::parse("@alice:a.org").context("a user")?,
            cursor: None,
            next: 0,
            winners: Vec::new(),
            answered: Vec::new(),
            random: SplitMix64::new(race.seed),
            racing: Duration::ZERO,
        };
        arena.alone(registration).await?;
        Ok(arena)
    }

    /// A command against which nobody races.
    async fn alone(&mut self, command: Authenticated<Command>) -> Result<()> {
        let hash = command.get().message_hash();
        let [(number, row)] = self.receive(1).await?[..] else { bail!("one message was sent") };
        let [first, ..] = &mut self.processes[..] else { bail!("nobody is there") };
        let decision = judge(first.group.as_ref(), command, &self.terms, self.now)?;
        let decision = decision.map_err(|rejection| anyhow::anyhow!("refused: {rejection:?}"))?;
        let told = told(&decision, number, (contents::key(number), accepted(&self.user, hash)), Vec::new())?;
        let decided = first.ledger.decide(row, None, *decision, told, self.now).await?;
        first.group = Group::enter(first.group.take(), decided);
        self.winners.push(hash);
        Ok(())
    }

    /// Messages come in; their numbers and rows.
    #[expect(clippy::disallowed_methods, reason = "an example authenticates for itself")]
    async fn receive(&mut self, count: u64) -> Result<Vec<(u64, InboxSeq)>> {
        let numbers = self.next..self.next + count;
        let items = numbers.clone().map(|number| {
            let caller = Authenticated::by(AuthToken::make(), self.user.clone());
            let content = contents::content(number, 0, 64);
            InboxItem::new(caller, self.now, Incoming::ToDevice { kind: "m.mls.message".to_owned(), content })
        });
        let to = SyncToken::parse(numbers.end.to_string()).context("a position")?;
        let ledger = &self.processes.first().context("a process")?.ledger;
        ledger.receive(self.cursor.as_ref(), &to, items.collect(), Vec::new()).await?;
        self.cursor = Some(to);
        self.next = numbers.end;
        let rows = ledger.inbox(None, usize::try_from(count)? + 1).await?;
        ensure!(rows.len() as u64 == count, "{} messages wait, and {count} were sent", rows.len());
        Ok(numbers.zip(rows.into_iter().map(|row| row.seq)).collect())
    }

    /// All commit for one epoch.
    async fn round(&mut self, committers: u32) -> Result<()> {
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
        let (winner, decided) = self.race(&entrants, decisions).await?;
        let won = entrants.get(winner).context("the winner")?;
        self.winners.push(won.made.hash());
        self.hall.play(&won.made)?;
        let process = self.processes.get_mut(won.process).context("a process")?;
        process.group = Group::enter(process.group.take(), decided);
        self.tell_the_others(&entrants, winner).await?;
        self.nothing_is_answered_twice(&entrants).await?;
        self.check_answers(&entrants, winner).await?;
        self.tidy(&entrants).await?;
        self.racing += began.elapsed();
        Ok(())
    }

    /// The commits for the present epoch, each found good.
    fn make_all(&self, committers: u32) -> Result<Vec<(Made, Box<Decision>)>> {
        let leaves: Vec<u32> = (0..committers).collect();
        let at_once = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let parts = leaves.chunks(leaves.len().div_ceil(at_once).max(1));
            let parts: Vec<_> = parts
                .map(|part| {
                    scope.spawn(|| part.iter().map(|leaf| self.make(*leaf)).collect::<Result<Vec<_>>>())
                })
                .collect();
            let mut made = Vec::new();
            for part in parts {
                made.extend(part.join().map_err(|_| anyhow::anyhow!("a commit could not be made"))??);
            }
            Ok(made)
        })
    }

    fn make(&self, leaf: u32) -> Result<(Made, Box<Decision>)> {
        let made = self.hall.update(leaf)?;
        let process = self.processes.get(usize::try_from(leaf)? % self.processes.len());
        let group = process.and_then(|process| process.group.as_ref());
        match judge(group, made.command.clone(), &self.terms, self.now)? {
            Ok(decision) => Ok((made, decision)),
            Err(rejection) => bail!("the commit of leaf {leaf} was refused: {rejection:?}"),
        }
    }

    /// All decisions are written at once, in an order that chance gives: which one is, and that no other is.
    async fn race(
        &mut self,
        entrants: &[Entrant],
        decisions: Vec<Box<Decision>>,
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
            racing.spawn(async move { (place, ledger.decide(row, None, *decision, told, now).await) });
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
        ensure!(winners.len() == 1, "{} commits won one epoch", winners.len());
        winners.pop().context("a winner")
    }

    /// Who lost looks who won, is judged again, and is answered by that.
    async fn tell_the_others(&mut self, entrants: &[Entrant], winner: usize) -> Result<()> {
        let epoch = Epoch::new(self.hall.epoch()).context("an epoch")?;
        let mut answering = JoinSet::new();
        for process in &mut self.processes {
            if process.group.as_ref().is_none_or(|group| group.epoch() != epoch) {
                process.group = process.ledger.group(&self.hall.id, &self.terms).await?;
            }
        }
        for (_, entrant) in entrants.iter().enumerate().filter(|(place, _)| *place != winner) {
            let process = self.processes.get(entrant.process).context("a process")?;
            let again = judge(process.group.as_ref(), entrant.made.command.clone(), &self.terms, self.now)?;
            let stale = Rejection::StaleEpoch { current: Some(epoch), reserved: None };
            ensure!(again.as_ref().err() == Some(&stale), "who lost is told {again:?}");
            let (ledger, id, now) = (Arc::clone(&process.ledger), self.hall.id.clone(), self.now);
            let (row, key, user) = (entrant.row, contents::key(entrant.number), self.user.clone());
            answering.spawn(async move {
                let page = ledger.log(&id, epoch, 2).await?;
                let [entry] = &page[..] else { bail!("{} entries from {epoch} on", page.len()) };
                let text = stale_text(Sha256::of(&entry.message));
                let answer = answer(&user, text.clone());
                let answered =
                    Answered { row, remember: Some((key, answer)), owed: vec![owed(&user, &text, now)] };
                Ok(ledger.answer_as_of(&id, Some(epoch), answered, now).await?)
            });
        }
        while let Some(answered) = answering.join_next().await {
            answered??;
        }
        Ok(())
    }

    /// Whoever comes with another answer to a question that has one is refused.
    async fn nothing_is_answered_twice(&mut self, entrants: &[Entrant]) -> Result<()> {
        let picked = usize::try_from(self.random.below(entrants.len() as u64))?;
        let entrant = entrants.get(picked).context("a commit")?;
        for process in &self.processes {
            let other = answer(&self.user, b"another answer".to_vec());
            let remember = Some((contents::key(entrant.number), other));
            let again = Answered { row: entrant.row, remember, owed: Vec::new() };
            let again = process.ledger.answer(again, self.now).await;
            ensure!(
                matches!(again, Err(LedgerError::Conflict(_))),
                "one question had two answers: {again:?}"
            );
        }
        Ok(())
    }

    /// Each question has its answer, from whichever process one asks: the winner's, and who won.
    async fn check_answers(&self, entrants: &[Entrant], winner: usize) -> Result<()> {
        let won = entrants.get(winner).context("the winner")?.made.hash();
        for (place, entrant) in entrants.iter().enumerate() {
            let text = if place == winner { accepted_text(won) } else { stale_text(won) };
            let asked =
                self.processes.get((entrant.process + 1) % self.processes.len()).context("a process")?;
            let found = asked.ledger.remembered(contents::key(entrant.number), self.now).await?;
            let found = found.with_context(|| format!("the answer to message {} is lost", entrant.number))?;
            let is_right = contents::delivered(&found.reply) == text;
            ensure!(is_right, "message {} has another answer than it was given", entrant.number);
        }
        Ok(())
    }

    /// What was owed is sent, and the answers of the round before are forgotten, so that the store stays small.
    async fn tidy(&mut self, entrants: &[Entrant]) -> Result<()> {
        let owed = self.store.owed(None, entrants.len() + 1).await?;
        ensure!(
            owed.len() == entrants.len(),
            "{} messages are owed for {} answers",
            owed.len(),
            entrants.len()
        );
        let expect = owed.iter().map(|row| Expect::StillOwed(row.id)).collect();
        let settled = owed.iter().map(|row| Op::Settle(row.id));
        let numbers = entrants.iter().map(|entrant| entrant.number).collect();
        let forgotten = std::mem::replace(&mut self.answered, numbers).into_iter();
        let forgotten = forgotten.map(|number| Op::Forget(contents::key(number)));
        let ops = settled.chain(forgotten).collect();
        self.apply(expect, ops).await
    }

    async fn apply(&self, expect: Vec<Expect>, ops: Vec<Op>) -> Result<()> {
        self.store.apply(Batch { name: "tidy", expect, ops }).await?;
        Ok(())
    }

    /// Everything is closed and opened again: the log is whole, of exactly those who won, and leads to the members' tree.
    async fn close(self, places: &[String]) -> Result<()> {
        for process in self.processes {
            let ledger = Arc::into_inner(process.ledger).context("nobody is at work any more")?;
            ledger.into_backend().close().await;
        }
        let store = place::open(places.first().context("a place")?).await?;
        let ledger = Ledger::new(store.clone());
        let (mut chain, mut seen) = (Chain::default(), BTreeMap::new());
        let count = |entry: &maypole_core::group::Entry| {
            seen.insert(entry.epoch.get(), Sha256::of(&entry.message));
            Ok(())
        };
        chain.follow(&ledger, &self.hall.id, count).await?;
        ensure!(
            seen.into_values().eq(self.winners.iter().copied()),
            "the log has other commits than those that won"
        );
        ensure!(chain.ends_with(self.hall.tree_hash()), "the last receipt is of another tree");
        let group = ledger.group(&self.hall.id, &self.terms).await?.context("the group is gone")?;
        ensure!(group.mls().tree_hash() == self.hall.tree_hash(), "the group comes back with another tree");
        let depths = ledger.depths().await?;
        ensure!(
            (depths.inbox, depths.owed, depths.groups) == (0, 0, 1),
            "something is left over: {depths:?}"
        );
        let damaged = place::quarantined(&store).await?;
        ensure!(damaged == 0, "{damaged} records are damaged");
        store.close().await;
        Ok(())
    }
}

fn accepted_text(hash: Sha256) -> Vec<u8> {
    [b"accepted ".as_slice(), hash.as_bytes()].concat()
}

fn stale_text(winner: Sha256) -> Vec<u8> {
    [b"stale; won by ".as_slice(), winner.as_bytes()].concat()
}

fn accepted(user: &UserId, hash: Sha256) -> Answer {
    answer(user, accepted_text(hash))
}

fn answer(user: &UserId, text: Vec<u8>) -> Answer {
    let question = Sha256::of(b"commit");
    Answer { question, reply: delivery(user, text), lane: Lane::of_user(user), expires_at: Timestamp::END }
}

fn owed(user: &UserId, text: &[u8], now: Timestamp) -> Owed {
    Owed { lane: Lane::of_user(user), delivery: delivery(user, text.to_vec()), owed_at: now }
}

fn delivery(user: &UserId, content: Vec<u8>) -> Delivery {
    let recipients = vec![Recipient { user: user.clone(), device: None }];
    Delivery::ToDevice { kind: "m.mls.commit".to_owned(), content, recipients }
}
