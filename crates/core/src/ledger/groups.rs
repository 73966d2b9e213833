//! What is written of groups: a command staged, a decision, a refusal of what was staged; and how a group is read back.

use super::{Answered, Durable, Ledger, LedgerError};
use crate::batch::{Backend, Expect, Op};
use crate::group::{Decision, Entry, Frozen, Group, Head, RestoreError, Restoring, Staged, Terms, Told};
use crate::ids::{Epoch, GroupId, InboxSeq};
use crate::limits;
use crate::records::AnswerKey;
use crate::time::Timestamp;

impl<B: Backend> Ledger<B> {
    /// Writes down that a command waits for what must happen outside. Its message stays in the inbox; its answer will be
    /// remembered under `key`.
    pub async fn stage(
        &self,
        staged: Staged,
        at: Option<Epoch>,
        key: AnswerKey,
    ) -> Result<Durable<Staged>, LedgerError> {
        let group = staged.group();
        let expect = vec![
            Expect::InInbox(staged.row),
            Expect::GroupAt(group.clone(), at),
            Expect::StagedIn(group.clone(), None),
            Expect::NotFrozen(group.clone()),
            Expect::NoAnswer(key, staged.staged_at),
        ];
        self.write("stage", expect, vec![Op::Stage(staged.clone())]).await?;
        Ok(Durable(staged))
    }

    /// What is staged in a group, to be taken up again.
    pub async fn staged(&self, group: &GroupId) -> Result<Option<Durable<Staged>>, LedgerError> {
        Ok(self.backend.staged(group).await?.map(Durable))
    }

    /// The groups in which something is staged, and the message of the inbox that each came with: what must be taken up after
    /// a start.
    pub async fn staged_groups(&self) -> Result<Vec<(GroupId, InboxSeq)>, LedgerError> {
        Ok(self.backend.staged_groups(limits::STAGED_AT_START).await?)
    }

    /// Writes a decision down, and what follows from it: the group's new head, the entry in its log, the answer and what is
    /// owed, in one write, in which the message leaves the inbox. It is refused if somebody else has moved the group.
    ///
    /// What was staged has had its effects outside, so nothing but the group's own state may stand in its way; not even
    /// that the group was frozen meanwhile.
    pub async fn decide(
        &self,
        row: InboxSeq,
        staged: Option<&Durable<Staged>>,
        mut decision: Decision,
        told: Told,
        now: Timestamp,
    ) -> Result<Durable<Decision>, LedgerError> {
        if decision.is_staged && staged.is_none() {
            let what = "a decision that needs something outside was not staged".to_owned();
            return Err(LedgerError::Unavailable(what));
        }
        let group = decision.head.group.clone();
        let before = decision.entry.epoch.get().checked_sub(1).and_then(Epoch::new);
        decision.head.receipt = told.receipt_hash;
        decision.head.notes = told.head_notes.unwrap_or(decision.head.notes);
        decision.entry.receipt = told.receipt;
        decision.entry.notes = told.notes;
        let (key, answer) = told.answer;
        let mut expect = vec![
            Expect::GroupAt(group.clone(), before),
            Expect::StagedIn(group.clone(), staged.map(|staged| staged.get().row)),
        ];
        if staged.is_none() {
            expect.extend([
                Expect::InInbox(row),
                Expect::NoAnswer(key, now),
                Expect::NotFrozen(group.clone()),
            ]);
        }
        let mut ops = vec![
            Op::Leave(row),
            Op::SetHead(decision.head.clone()),
            Op::Append(group.clone(), decision.entry.clone()),
            Op::Remember(key, answer),
        ];
        if let Some(snapshot) = decision.snapshot.take() {
            ops.push(Op::PutSnapshot(group.clone(), snapshot));
        }
        if staged.is_some() {
            ops.push(Op::Unstage(group));
        }
        ops.extend(told.owed.into_iter().map(Op::Owe));
        self.write("decide", expect, ops).await?;
        Ok(Durable(decision))
    }

    /// Refuses what was staged: it is answered, and nothing is staged any more.
    pub async fn answer_staged(
        &self,
        answered: Answered,
        staged: &Durable<Staged>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let group = staged.get().group();
        let (_, mut ops) = answered.into_batch(now);
        ops.push(Op::Unstage(group.clone()));
        let expect = vec![Expect::StagedIn(group.clone(), Some(staged.get().row))];
        self.write("answer_staged", expect, ops).await?;
        Ok(())
    }

    /// Freezes a group: from now on it takes no command. What is staged is still finished. `false`: there is no such group.
    pub async fn freeze(&self, group: &GroupId, frozen: Frozen) -> Result<bool, LedgerError> {
        // A group that is there stays there.
        if self.backend.head(group).await?.is_none() {
            return Ok(false);
        }
        self.write("freeze", Vec::new(), vec![Op::Freeze(group.clone(), frozen)]).await?;
        Ok(true)
    }

    /// Lets a group take commands again. `false`: it was not frozen.
    pub async fn unfreeze(&self, group: &GroupId) -> Result<bool, LedgerError> {
        // One that cannot be read goes all the same.
        if matches!(self.backend.frozen(group).await, Ok(None)) {
            return Ok(false);
        }
        self.write("unfreeze", Vec::new(), vec![Op::Unfreeze(group.clone())]).await?;
        Ok(true)
    }

    /// Whether and why a group is frozen.
    pub async fn frozen(&self, group: &GroupId) -> Result<Option<Frozen>, LedgerError> {
        Ok(self.backend.frozen(group).await?)
    }

    /// Groups that are frozen, up to a number.
    pub async fn frozen_groups(&self, limit: usize) -> Result<Vec<(GroupId, Frozen)>, LedgerError> {
        Ok(self.backend.frozen_groups(limit).await?)
    }

    /// Where a group stands.
    pub async fn head(&self, group: &GroupId) -> Result<Option<Head>, LedgerError> {
        Ok(self.backend.head(group).await?)
    }

    /// A page of a group's log, from an epoch on.
    pub async fn log(&self, group: &GroupId, from: Epoch, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        Ok(self.backend.log(group, from, limit).await?)
    }

    /// The first epoch in a group's log.
    pub async fn log_begins(&self, group: &GroupId) -> Result<Option<Epoch>, LedgerError> {
        Ok(self.backend.log_begins(group).await?)
    }

    /// A page of groups after a place, in an order that stays the same. The page after the last is empty.
    pub async fn groups(&self, after: Option<&GroupId>, limit: usize) -> Result<Vec<GroupId>, LedgerError> {
        Ok(self.backend.groups(after, limit).await?)
    }

    /// Removes the oldest epochs from a group's log, a page of those that need not be kept: neither among the newest, nor
    /// young, nor needed to bring the group back. `key` says under which key an epoch's acceptance is remembered, which is
    /// forgotten with it. Says how many were removed; a full page may not be the last.
    pub async fn trim(
        &self,
        group: &GroupId,
        key: impl Fn(&Entry) -> Option<AnswerKey> + Send,
        now: Timestamp,
    ) -> Result<usize, LedgerError> {
        let Some(head) = self.backend.head(group).await? else { return Ok(0) };
        let Some(beyond) = head.epoch.get().checked_sub(limits::LOG_KEPT_EPOCHS) else { return Ok(0) };
        // The newest snapshot stands for its own epoch; the log leads on from there.
        let last = beyond.min(head.snapshot_epoch.get());
        let mut next = self.backend.log_begins(group).await?;
        let (mut ops, mut count) = (Vec::new(), 0_usize);
        'pages: while let Some(from) = next.filter(|from| from.get() <= last) {
            let page = self.backend.log(group, from, limits::LOG_PAGE).await?;
            next = page.last().and_then(|entry| entry.epoch.next());
            for entry in &page {
                let is_young = entry.accepted_at.plus(limits::LOG_KEPT_FOR) > now;
                if is_young || entry.epoch.get() > last || count >= limits::LOG_TRIMMED_AT_ONCE {
                    break 'pages;
                }
                count = count.saturating_add(1);
                ops.push(Op::RemoveEntry(group.clone(), entry.epoch));
                ops.extend(key(entry).map(Op::Forget));
            }
        }
        if count > 0 {
            self.write("trim", Vec::new(), ops).await?;
        }
        Ok(count)
    }

    /// A group, brought back from its newest snapshot and the log after it.
    pub async fn group(&self, id: &GroupId, terms: &dyn Terms) -> Result<Option<Group>, LedgerError> {
        let Some(head) = self.backend.head(id).await? else { return Ok(None) };
        let damaged = |what: String| LedgerError::Damaged(format!("group {id:?}: {what}"));
        let snapshot = self.backend.snapshot(id).await?;
        let snapshot = snapshot.ok_or_else(|| damaged("it has no snapshot".to_owned()))?;
        let restored = |error: RestoreError| damaged(error.to_string());
        let mut restoring = Restoring::begin(&snapshot).map_err(restored)?;
        let mut from = snapshot.epoch.next();
        while let Some(first) = from.filter(|first| *first <= head.epoch) {
            let page = self.backend.log(id, first, limits::LOG_PAGE).await?;
            let Some(last) = page.last() else {
                return Err(damaged(format!("its log ends before epoch {first}")));
            };
            from = last.epoch.next();
            for entry in page.iter().filter(|entry| entry.epoch <= head.epoch) {
                restoring.replay(entry).map_err(restored)?;
            }
        }
        restoring.finish(head, terms).map(Some).map_err(restored)
    }
}
