//! What is written of groups: a command staged, a decision, a refusal of what was staged; and how a group is read back.

use super::trees::damaged;
use super::{Answered, Durable, Ledger, LedgerError};
use crate::batch::{Backend, BackendError, Expect, Op};
use crate::group::{
    Agenda, Amendment, Decision, Entry, Frozen, Group, Head, RestoreError, Restoring, Staged, Terms, Told,
};
use crate::ids::{Epoch, GroupId, InboxSeq};
use crate::limits;
use crate::records::{AnswerKey, Owed};
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
            Expect::GroupAt(group.clone(), at),
            Expect::StagedIn(group.clone(), None),
            Expect::NotFrozen(group.clone()),
            Expect::InInbox(staged.row),
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

    /// Writes a decision down, and what follows from it: the group's new head, what it owes, the entry in its log, the answer
    /// and what is owed, in one write, in which the message leaves the inbox. It is refused if somebody else has moved the
    /// group.
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
        let (key, _) = told.answer;
        let (mut expect, mut ops) = write_down(&mut decision, row, told, now);
        expect.push(Expect::StagedIn(group.clone(), staged.map(|staged| staged.get().row)));
        if staged.is_none() {
            expect.extend([
                Expect::InInbox(row),
                Expect::NoAnswer(key, now),
                Expect::NotFrozen(group.clone()),
            ]);
        } else {
            ops.push(Op::Unstage(group));
        }
        self.write("decide", expect, ops).await?;
        Ok(Durable(decision))
    }

    /// Writes a decision down that needed nothing outside, in a group where a commit was staged and took too long. That one is
    /// refused by it, in the same write. One that came under the same key, sent twice, gets the winner's answer instead, which
    /// is not remembered a second time.
    pub async fn overtake(
        &self,
        row: InboxSeq,
        overtaken: (&Durable<Staged>, Answered),
        mut decision: Decision,
        told: Told,
        now: Timestamp,
    ) -> Result<Durable<Decision>, LedgerError> {
        let (staged, refusal) = (overtaken.0.get(), overtaken.1);
        if decision.is_staged || refusal.row != staged.row || row == staged.row {
            let what = "only what needs nothing outside overtakes, and the one that is staged".to_owned();
            return Err(LedgerError::Unavailable(what));
        }
        let group = decision.head.group.clone();
        let (key, _) = told.answer;
        if refusal.remember.as_ref().is_some_and(|(refused, _)| *refused == key) {
            let what =
                "one question has one answer: what it overtakes was asked under the same key".to_owned();
            return Err(LedgerError::Unavailable(what));
        }
        let (mut expect, mut ops) = write_down(&mut decision, row, told, now);
        expect.extend([
            Expect::StagedIn(group.clone(), Some(staged.row)),
            Expect::InInbox(row),
            Expect::NoAnswer(key, now),
            Expect::NotFrozen(group.clone()),
        ]);
        // Somebody may have remembered another answer for it since it was staged; it is refused all the same.
        let (_, refused) = refusal.into_batch(now);
        ops.extend(refused);
        ops.push(Op::Unstage(group));
        self.write("overtake", expect, ops).await?;
        Ok(Durable(decision))
    }

    /// Writes an amendment down, with the telling of everybody what waits from now on; where it came as a message, that leaves
    /// the inbox with its answer, which is refused where something else is staged in the group than the caller knows. It is
    /// refused, too, if somebody else has changed the group.
    pub async fn amend(
        &self,
        amendment: Amendment,
        answered: Option<(Answered, Option<InboxSeq>)>,
        owed: Vec<Owed>,
        now: Timestamp,
    ) -> Result<Durable<Amendment>, LedgerError> {
        if !amendment.proposals.is_empty() && owed.is_empty() {
            let what = "a proposal that nobody is told of must not wait for a commit".to_owned();
            return Err(LedgerError::Unavailable(what));
        }
        let group = amendment.agenda.group.clone();
        let (mut expect, mut ops) = match answered {
            Some((answered, staged)) => answered.into_batch_beside(&group, staged, now),
            None => Default::default(),
        };
        expect.push(Expect::GroupAt(group.clone(), Some(amendment.epoch)));
        expect.push(Expect::AgendaAt(group, amendment.before.stored()));
        ops.push(Op::SetAgenda(amendment.agenda.clone()));
        ops.extend(owed.into_iter().map(Op::Owe));
        self.write("amend", expect, ops).await?;
        Ok(Durable(amendment))
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

    /// Answers a message of a group of which a record is damaged. If it is what is staged there, nothing is any more, by the same
    /// write. Where it cannot be told what is staged, that goes too. If something may have happened outside for what goes, the
    /// group is frozen from then on, unless it never began.
    pub async fn answer_of_damaged(
        &self,
        group: &GroupId,
        answered: Answered,
        freeze: Frozen,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let row = answered.row;
        self.write_damaged(group, row, answered.into_batch(now), freeze).await
    }

    /// The same for what is staged in a group when its message is lost, so that there is nobody to answer.
    pub async fn give_up_staged(
        &self,
        group: &GroupId,
        row: InboxSeq,
        freeze: Frozen,
    ) -> Result<(), LedgerError> {
        self.write_damaged(group, row, (Vec::new(), Vec::new()), freeze).await
    }

    async fn write_damaged(
        &self,
        group: &GroupId,
        row: InboxSeq,
        (mut expect, mut ops): (Vec<Expect>, Vec<Op>),
        freeze: Frozen,
    ) -> Result<(), LedgerError> {
        let (staged, is_readable, is_harmless) = match self.backend.staged(group).await {
            Err(BackendError::Damaged(_)) => {
                // A store may know the row of a record that it cannot read.
                let mut staged = self.staged_groups().await?.into_iter();
                (staged.find(|(of, _)| of == group).map(|(_, row)| row), false, false)
            }
            staged => {
                let staged = staged?;
                let is_harmless = staged.as_ref().is_none_or(|staged| staged.permit.effects.is_empty());
                (staged.map(|staged| staged.row), true, is_harmless)
            }
        };
        let goes = if is_readable { staged == Some(row) } else { staged.is_none_or(|staged| staged == row) };
        if goes {
            ops.push(Op::Unstage(group.clone()));
            if staged.is_some() {
                expect.retain(|expect| !matches!(expect, Expect::NotStaged(_)));
                expect.push(Expect::StagedIn(group.clone(), staged));
            }
        }
        // A freeze that is there stays as it is, and nothing holds up a group that is not there yet.
        let must_freeze = goes && !is_harmless && !matches!(self.backend.head(group).await, Ok(None));
        if must_freeze && matches!(self.backend.frozen(group).await, Ok(None)) {
            expect.push(Expect::NotFrozen(group.clone()));
            ops.push(Op::Freeze(group.clone(), freeze));
        }
        if !ops.is_empty() {
            self.write("answer_of_damaged", expect, ops).await?;
        }
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

    /// What a group owes; nothing where nothing was ever written of it.
    pub async fn agenda(&self, group: &GroupId) -> Result<Option<Agenda>, LedgerError> {
        Ok(self.backend.agenda(group).await?)
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

    /// A group, brought back from its newest snapshot and the log after it.
    /// Another process may move it meanwhile: then it is read again.
    pub async fn group(&self, id: &GroupId, terms: &dyn Terms) -> Result<Option<Group>, LedgerError> {
        for _ in 0..limits::ANSWER_TRIES {
            let before = self.backend.head(id).await?.map(|head| head.epoch);
            match self.read_group(id, terms).await {
                Err(LedgerError::Damaged(_))
                    if self.backend.head(id).await?.map(|head| head.epoch) != before => {}
                read => return read,
            }
        }
        Err(LedgerError::Unavailable("a group moves on faster than it can be read".to_owned()))
    }

    async fn read_group(&self, id: &GroupId, terms: &dyn Terms) -> Result<Option<Group>, LedgerError> {
        let Some((head, agenda)) = self.head_and_agenda(id).await? else { return Ok(None) };
        let snapshot = self.backend.snapshot(id, head.epoch).await?;
        let snapshot = snapshot.ok_or_else(|| damaged(id, "it has no snapshot".to_owned()))?;
        let restored = |error: RestoreError| damaged(id, error.to_string());
        let mut restoring = Restoring::begin(&snapshot).map_err(restored)?;
        if let Some(lacking) = self.replay(id, &mut restoring, snapshot.epoch, head.epoch).await? {
            return Err(damaged(id, format!("its log lacks epoch {lacking}")));
        }
        restoring.finish(head, agenda, terms).map(Some).map_err(restored)
    }

    /// Where a group stands and what it owes there: of one epoch, whoever moves it meanwhile.
    async fn head_and_agenda(&self, id: &GroupId) -> Result<Option<(Head, Option<Agenda>)>, LedgerError> {
        let Some(mut head) = self.backend.head(id).await? else { return Ok(None) };
        for _ in 0..limits::ANSWER_TRIES {
            let agenda = self.backend.agenda(id).await?;
            let Some(again) = self.backend.head(id).await? else { return Ok(None) };
            if again.epoch == head.epoch {
                return Ok(Some((head, agenda)));
            }
            head = again;
        }
        Err(LedgerError::Unavailable("a group moves on faster than it can be read".to_owned()))
    }
}

/// What must hold for a decision of any kind, and what is done by it.
fn write_down(decision: &mut Decision, row: InboxSeq, told: Told, now: Timestamp) -> (Vec<Expect>, Vec<Op>) {
    let group = decision.head.group.clone();
    let before = decision.entry.epoch.get().checked_sub(1).and_then(Epoch::new);
    decision.head.receipt = told.receipt_hash;
    if let Some(notes) = told.head_notes {
        decision.head.notes = notes;
    }
    decision.entry.receipt = told.receipt;
    decision.entry.notes = told.notes;
    let (key, answer) = told.answer;
    let mut expect = vec![
        Expect::GroupAt(group.clone(), before),
        Expect::AgendaAt(group.clone(), decision.agenda_before.stored()),
    ];
    let mut ops = vec![
        Op::Leave(row),
        Op::SetHead(decision.head.clone()),
        Op::Append(group.clone(), decision.entry.clone()),
        Op::Remember(key, answer),
    ];
    if decision.agenda != decision.agenda_before {
        ops.push(Op::SetAgenda(decision.agenda.clone()));
    }
    if let Some(snapshot) = decision.snapshot.take() {
        ops.push(Op::PutSnapshot(group.clone(), snapshot));
    }
    // The generation before ends in the write that begins the next.
    if let Some(before) = &decision.succeeds {
        let ended = before.agenda.group.clone();
        expect.push(Expect::GroupAt(ended.clone(), Some(before.epoch)));
        expect.push(Expect::AgendaAt(ended, before.agenda.stored()));
        ops.push(Op::SetAgenda(before.ended(&group, now)));
    }
    ops.extend(told.owed.into_iter().map(Op::Owe));
    (expect, ops)
}
