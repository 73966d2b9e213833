//! What must hold after a race.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use maypole_core::batch::{Backend as _, Batch, Expect, Op};
use maypole_core::ids::{Epoch, Sha256};
use maypole_core::ledger::{Answered, Ledger, LedgerError};
use maypole_core::rejection::Rejection;
use tokio::task::JoinSet;

use super::words::{accepted_text, answer, owed, stale_text};
use super::{Arena, Entrant};
use crate::chain::{self, Chain};
use crate::terms::judge;
use crate::{contents, place};

impl Arena {
    /// Who lost looks who won, is judged again, and is answered by that.
    pub(super) async fn tell_the_others(&mut self, entrants: &[Entrant], winner: usize) -> Result<()> {
        let epoch = Epoch::new(self.hall.epoch()).context("an epoch")?;
        let mut answering = JoinSet::new();
        for process in &mut self.processes {
            if process.group.as_ref().is_none_or(|group| group.epoch() != epoch) {
                process.group = process.ledger.group(&self.hall.id, &self.terms).await?;
            }
        }
        // While they are answered, all who answer look at the same groups.
        let groups: Vec<_> =
            self.processes.iter_mut().map(|process| Arc::new(process.group.take())).collect();
        for (_, entrant) in entrants.iter().enumerate().filter(|(place, _)| *place != winner) {
            let process = self.processes.get(entrant.process).context("a process")?;
            let group = Arc::clone(groups.get(entrant.process).context("a group")?);
            let again = judge((*group).as_ref(), entrant.made.command.clone(), &self.terms, self.now)?;
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
                Ok(ledger.answer_as_of(&id, (*group).as_ref(), None, answered, now).await?)
            });
        }
        while let Some(answered) = answering.join_next().await {
            answered??;
        }
        for (process, group) in self.processes.iter_mut().zip(groups) {
            process.group = Arc::into_inner(group).context("nobody looks at it any more")?;
        }
        Ok(())
    }

    /// Whoever comes with another answer to a question that has one is refused.
    pub(super) async fn nothing_is_answered_twice(&mut self, entrants: &[Entrant]) -> Result<()> {
        let picked = usize::try_from(self.random.below(entrants.len() as u64))?;
        let entrant = entrants.get(picked).context("a commit")?;
        // The question comes once more: its message is new, and its answer is not.
        let [(_, row)] = self.receive(1).await?[..] else { bail!("one message was sent") };
        for process in &self.processes {
            let other = answer(&self.user, b"another answer".to_vec());
            let remember = Some((contents::key(entrant.number), other));
            let again = Answered { row, remember, owed: Vec::new() };
            let again = process.ledger.answer(again, self.now).await;
            let is_known = matches!(&again, Err(LedgerError::Conflict(expect)) if matches!(**expect, Expect::NoAnswer(..)));
            ensure!(is_known, "one question had two answers: {again:?}");
        }
        self.apply(Vec::new(), vec![Op::Leave(row)]).await
    }

    /// Each question has its answer, from whichever process one asks: the winner's, and who won.
    pub(super) async fn check_answers(&self, entrants: &[Entrant], winner: usize) -> Result<()> {
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
    pub(super) async fn tidy(&mut self, entrants: &[Entrant]) -> Result<()> {
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

    pub(super) async fn apply(&self, expect: Vec<Expect>, ops: Vec<Op>) -> Result<()> {
        self.store.apply(Batch { name: "tidy", expect, ops }).await?;
        Ok(())
    }

    /// Everything is closed and opened again: the log is whole, of exactly those who won, and leads to the members' tree.
    pub(super) async fn close(self, place: &str) -> Result<()> {
        for process in self.processes {
            let ledger = Arc::into_inner(process.ledger).context("nobody is at work any more")?;
            ledger.into_backend().close().await;
        }
        let store = place::open(place).await?;
        let ledger = Ledger::new(store.clone());
        let (mut chain, mut seen) = (Chain::default(), Vec::new());
        let count = |entry: &maypole_core::group::Entry| {
            seen.push((
                chain::number(entry).context("an entry that answers nothing")?,
                Sha256::of(&entry.message),
            ));
            Ok(())
        };
        chain.follow(&ledger, &self.hall.id, count).await?;
        ensure!(seen == self.winners, "the log has other commits than those that won");
        let at = ledger.cursor().await?.context("a position")?;
        let taken_in = self.post.next();
        ensure!(
            at.as_str() == taken_in.to_string(),
            "{taken_in} messages were sent, and {at:?} were taken in"
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
