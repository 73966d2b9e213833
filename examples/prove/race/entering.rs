//! What is there before a race: the stores, the group, and a good commit of everybody.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use maypole::clock;
use maypole_core::auth::Authenticated;
use maypole_core::group::{Command, Decision, Group};
use maypole_core::ids::InboxSeq;
use maypole_core::ledger::Ledger;
use maypole_testkit::recorder::SplitMix64;

use super::words::accepted;
use super::{Arena, Process, Race};
use crate::chain::told;
use crate::hall::{Hall, Made};
use crate::post::Post;
use crate::terms::judge;
use crate::{contents, place};

/// The size of a message.
const MESSAGE_BYTES: usize = 64;

impl Arena {
    pub(super) async fn open(race: Race, places: &[String]) -> Result<Self> {
        let mut stores = Vec::new();
        for place in places {
            stores.push(place::open(place).await?);
        }
        let store = stores.first().context("a place")?.clone();
        let process = |store| Process { ledger: Arc::new(Ledger::new(store)), group: None };
        let now = clock::now();
        let post = Post::open(&Ledger::new(store.clone()), now).await?;
        let (hall, registration) = Hall::found(0, race.seed)?;
        let mut arena = Self {
            processes: stores.into_iter().map(process).collect(),
            store,
            terms: hall.terms()?,
            hall,
            now,
            user: post.user.clone(),
            post,
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
        self.winners.push((number, hash));
        Ok(())
    }

    /// Messages come in; their numbers and rows.
    pub(super) async fn receive(&mut self, count: u64) -> Result<Vec<(u64, InboxSeq)>> {
        let ledger = &self.processes.first().context("a process")?.ledger;
        self.post.receive(ledger, count, MESSAGE_BYTES).await
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
