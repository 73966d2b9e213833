//! The ledger: every write of the service, each a named transaction, and the only maker of [`Durable`].

mod copies;
mod directory;
mod groups;
mod trees;
mod work;

pub use copies::Recovered;
pub use trees::Past;

use crate::batch::{Backend, BackendError, Batch, Expect, Op};
use crate::group::Group;
use crate::ids::{GroupId, InboxSeq, OwedId, Sha256, SyncToken, UserId};
use crate::limits;
use crate::records::{
    Answer, AnswerKey, Depths, InboxItem, InboxRow, Owed, OwedRow, PushTransaction, SetAside, SetAsideKind,
};
use crate::time::Timestamp;

/// Something that would survive a loss of power. Only a [`Ledger`] makes one, from a back end's success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable<T>(pub(crate) T);

impl<T> Durable<T> {
    /// What is durable.
    pub fn get(&self) -> &T {
        &self.0
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

/// How a message of the inbox is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The row that is answered; it leaves the inbox.
    pub row: InboxSeq,
    /// What is remembered, and under which key; nothing for what may be asked again, or what was remembered before.
    pub remember: Option<(AnswerKey, Answer)>,
    /// What is owed by this.
    pub owed: Vec<Owed>,
}

impl Answered {
    /// What must hold and what is done, so that the message leaves the inbox with its answer.
    fn into_batch(self, now: Timestamp) -> (Vec<Expect>, Vec<Op>) {
        let mut expect = vec![Expect::InInbox(self.row), Expect::NotStaged(self.row)];
        let mut ops = vec![Op::Leave(self.row)];
        if let Some((key, answer)) = self.remember {
            expect.push(Expect::NoAnswer(key, now));
            ops.push(Op::Remember(key, answer));
        }
        ops.extend(self.owed.into_iter().map(Op::Owe));
        (expect, ops)
    }

    /// The same in a group, by who knows this to be staged there. What is not remembered answers nothing for good, and so
    /// need not wait for that.
    fn into_batch_beside(
        self,
        group: &GroupId,
        staged: Option<InboxSeq>,
        now: Timestamp,
    ) -> (Vec<Expect>, Vec<Op>) {
        let is_remembered = self.remember.is_some();
        let (mut expect, ops) = self.into_batch(now);
        expect.extend(is_remembered.then(|| Expect::StagedIn(group.clone(), staged)));
        (expect, ops)
    }
}

/// Why the ledger refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Somebody else was first; nothing was written.
    #[error("somebody else was first: {0:?}")]
    Conflict(Box<Expect>),
    /// The store cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// A stored record is damaged.
    #[error("{0}")]
    Damaged(String),
}

impl From<BackendError> for LedgerError {
    fn from(error: BackendError) -> Self {
        let text = error.to_string();
        match error {
            BackendError::Conflict(expect) => Self::Conflict(expect),
            BackendError::Unavailable(_) => Self::Unavailable(text),
            BackendError::Damaged(_) => Self::Damaged(text),
        }
    }
}

/// Every write of the service, over some back end.
#[derive(Debug)]
pub struct Ledger<B> {
    pub(crate) backend: B,
}

impl<B: Backend> Ledger<B> {
    /// A ledger over a back end.
    pub fn new(backend: B) -> Self {
        Self { backend }
    }

    /// The back end again.
    pub fn into_backend(self) -> B {
        self.backend
    }

    /// Whose store this is, if it is anybody's yet.
    pub async fn owner(&self) -> Result<Option<UserId>, LedgerError> {
        Ok(self.backend.owner().await?)
    }

    /// Declares whose store this is, once; says whose it is.
    pub async fn bind(&self, owner: &UserId) -> Result<UserId, LedgerError> {
        if let Some(bound) = self.backend.owner().await? {
            return Ok(bound);
        }
        // A store that has keys and nobody is being filled from a copy.
        let nobodys = vec![Expect::Unbound, Expect::KeysUnbound];
        self.write("bind", nobodys, vec![Op::Bind(owner.clone())]).await?;
        Ok(owner.clone())
    }

    /// What the keys of the service are known by, if that was declared.
    pub async fn keys(&self) -> Result<Option<Sha256>, LedgerError> {
        Ok(self.backend.keys().await?)
    }

    /// Declares what the keys of the service are known by, once; says which ones these are. Groups rest on them, so that no
    /// process with others may work on this store.
    pub async fn bind_keys(&self, keys: Sha256) -> Result<Sha256, LedgerError> {
        if let Some(bound) = self.backend.keys().await? {
            return Ok(bound);
        }
        match self.write("bind_keys", vec![Expect::KeysUnbound], vec![Op::BindKeys(keys)]).await {
            Err(LedgerError::Conflict(_)) => {
                let gone = || LedgerError::Unavailable("the keys of the store are gone".to_owned());
                self.backend.keys().await?.ok_or_else(gone)
            }
            written => written.map(|_| keys),
        }
    }

    /// Takes in what `/sync` brought: the messages and the new position in one write.
    pub async fn receive(
        &self,
        from: Option<&SyncToken>,
        to: &SyncToken,
        items: Vec<InboxItem>,
        poisoned: Vec<SetAside>,
    ) -> Result<(), LedgerError> {
        let mut ops: Vec<Op> = items.into_iter().map(Op::Receive).collect();
        ops.extend(poisoned.into_iter().map(Op::SetAside));
        ops.push(Op::MoveCursor(to.clone()));
        self.write("receive", vec![Expect::Cursor(from.cloned())], ops).await?;
        Ok(())
    }

    /// Takes in a push transaction. `false`: it was received before, and nothing was written.
    pub async fn receive_push(
        &self,
        transaction: PushTransaction,
        items: Vec<InboxItem>,
        poisoned: Vec<SetAside>,
    ) -> Result<bool, LedgerError> {
        let expect = vec![Expect::NewTransaction(transaction.clone())];
        let mut ops = vec![Op::NoteTransaction(transaction)];
        ops.extend(items.into_iter().map(Op::Receive));
        ops.extend(poisoned.into_iter().map(Op::SetAside));
        match self.write("receive_push", expect, ops).await {
            Ok(_) => Ok(true),
            Err(LedgerError::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Answers a message: it leaves the inbox in the write that records its answer and what is owed by it.
    pub async fn answer(
        &self,
        answered: Answered,
        now: Timestamp,
    ) -> Result<Vec<Durable<OwedRow>>, LedgerError> {
        let owed = answered.owed.clone();
        let (expect, ops) = answered.into_batch(now);
        let ids = self.write("answer", expect, ops).await?;
        Ok(ids.into_iter().zip(owed).map(|(id, owed)| Durable(OwedRow { id, owed })).collect())
    }

    /// Answers a message by the state that a group is in, or, with no group, by there being none; refused if somebody has
    /// moved the group meanwhile, or has changed what it owes: a proposal may be known by now that was not.
    ///
    /// `staged` is what is staged in the group, as far as the caller knows. An answer that is remembered is refused where
    /// that is not so any more: what is staged may have come under the same key, and its own answer is still to come.
    pub async fn answer_as_of(
        &self,
        id: &GroupId,
        group: Option<&Group>,
        staged: Option<InboxSeq>,
        answered: Answered,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let (mut expect, ops) = answered.into_batch_beside(id, staged, now);
        expect.push(Expect::GroupAt(id.clone(), group.map(Group::epoch)));
        expect.extend(group.map(|group| Expect::AgendaAt(id.clone(), group.agenda().stored())));
        self.write("answer_as_of", expect, ops).await?;
        Ok(())
    }

    /// Sets a message aside that can never be answered.
    pub async fn set_aside_received(
        &self,
        row: InboxRow,
        reason: String,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let aside = SetAside { at, reason, what: SetAsideKind::Inbox(row.item) };
        let ops = vec![Op::Leave(row.seq), Op::SetAside(aside)];
        self.write("set_aside_received", vec![Expect::InInbox(row.seq)], ops).await?;
        Ok(())
    }

    /// Notes that something owed has been done.
    pub async fn settle(&self, row: &Durable<OwedRow>) -> Result<(), LedgerError> {
        let id = row.get().id;
        self.write("settle", vec![Expect::StillOwed(id)], vec![Op::Settle(id)]).await?;
        Ok(())
    }

    /// Sets something owed aside that was refused for good.
    pub async fn set_aside_owed(
        &self,
        row: &Durable<OwedRow>,
        reason: String,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let id = row.get().id;
        let aside = SetAside { at, reason, what: SetAsideKind::Owed(row.get().owed.clone()) };
        let ops = vec![Op::Settle(id), Op::SetAside(aside)];
        self.write("set_aside_owed", vec![Expect::StillOwed(id)], ops).await?;
        Ok(())
    }

    /// Forgets a page of answers that expired, or, where too many are remembered, of refusals that expire next: an acceptance
    /// goes with its epoch alone. Says how many; a full page may not be the last.
    pub async fn forget(&self, now: Timestamp) -> Result<usize, LedgerError> {
        let crowded = self.backend.depths().await?.answers > limits::ANSWERS_REMEMBERED;
        let until = if crowded { now.plus(limits::REFUSAL_REMEMBERED) } else { now };
        let keys = self.backend.expired_answers(until, limits::ANSWERS_FORGOTTEN_AT_ONCE).await?;
        let count = keys.len();
        if !keys.is_empty() {
            // A question that was answered anew since the keys were read keeps its answer.
            let expect = keys.iter().map(|key| Expect::NoAnswer(*key, until)).collect();
            self.write("forget", expect, keys.into_iter().map(Op::Forget).collect()).await?;
        }
        Ok(count)
    }

    /// The position in the homeserver's stream.
    pub async fn cursor(&self) -> Result<Option<SyncToken>, LedgerError> {
        Ok(self.backend.cursor().await?)
    }

    /// A page of the inbox after a place, oldest first.
    pub async fn inbox(&self, after: Option<InboxSeq>, limit: usize) -> Result<Vec<InboxRow>, LedgerError> {
        Ok(self.backend.inbox(after, limit).await?)
    }

    /// What is remembered under a key and has not expired.
    pub async fn remembered(&self, key: AnswerKey, now: Timestamp) -> Result<Option<Answer>, LedgerError> {
        Ok(self.backend.answer(key).await?.filter(|answer| answer.expires_at > now))
    }

    /// A page of the outbox after a place, oldest first.
    pub async fn owed(
        &self,
        after: Option<OwedId>,
        limit: usize,
    ) -> Result<Vec<Durable<OwedRow>>, LedgerError> {
        Ok(self.backend.owed(after, limit).await?.into_iter().map(Durable).collect())
    }

    /// What was set aside, newest first.
    pub async fn set_aside(&self, limit: usize) -> Result<Vec<SetAside>, LedgerError> {
        Ok(self.backend.set_aside(limit).await?)
    }

    /// How much waits.
    pub async fn depths(&self) -> Result<Depths, LedgerError> {
        Ok(self.backend.depths().await?)
    }

    pub(crate) async fn write(
        &self,
        name: &'static str,
        expect: Vec<Expect>,
        ops: Vec<Op>,
    ) -> Result<Vec<OwedId>, LedgerError> {
        Ok(self.backend.apply(Batch { name, expect, ops }).await?)
    }
}
