//! What is there before a race: the stores, the group, and a good commit of everybody.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use maypole::clock;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::group::{Command, Decision, Group};
use maypole_core::ids::{InboxSeq, SyncToken, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::records::{InboxItem, Incoming};
use maypole_testkit::recorder::SplitMix64;

use super::words::accepted;
use super::{Arena, Process, Race};
use crate::chain::told;
use crate::hall::{Hall, Made};
use crate::terms::judge;
use crate::{contents, place};

impl Arena {
    pub(super) async fn open(race: Race, places: &[String]) -> Result<Self> {
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
    pub(super) async fn alone(&mut self, command: Authenticated<Command>) -> Result<()> {
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
    pub(super) async fn receive(&mut self, count: u64) -> Result<Vec<(u64, InboxSeq)>> {
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

    /// The commits for the present epoch, each found good.
    pub(super) fn make_all(&self, committers: u32) -> Result<Vec<(Made, Decision)>> {
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

    fn make(&self, leaf: u32) -> Result<(Made, Decision)> {
        let made = self.hall.update(leaf)?;
        let process = self.processes.get(usize::try_from(leaf)? % self.processes.len());
        let group = process.and_then(|process| process.group.as_ref());
        match judge(group, made.command.clone(), &self.terms, self.now)? {
            Ok(decision) => Ok((made, *decision)),
            Err(rejection) => bail!("the commit of leaf {leaf} was refused: {rejection:?}"),
        }
    }
}
