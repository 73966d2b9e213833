//! What is written where a store is filled from a copy, or turns out to be an older copy of itself.

use super::{Ledger, LedgerError};
use crate::batch::{Backend, BackendError, Expect, Op};
use crate::group::{Entry, Frozen, Snapshot};
use crate::ids::{Epoch, GroupId, Sha256};
use crate::limits;
use crate::records::{Depths, Incoming, Progress, SetAside, SetAsideKind};
use crate::time::Timestamp;

/// What was done to a store that is an older copy of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Groups that were frozen; those that were before are not counted.
    pub frozen: u64,
    /// KeyPackages that were voided.
    pub key_packages: u64,
    /// Messages that were set aside, those of staged commands among them.
    pub set_aside: u64,
}

impl<B: Backend> Ledger<B> {
    /// Whether nothing was ever written to the store.
    pub async fn is_untouched(&self) -> Result<bool, LedgerError> {
        let nobody = self.backend.owner().await?.is_none() && self.backend.keys().await?.is_none();
        Ok(nobody
            && self.backend.cursor().await?.is_none()
            && self.backend.progress().await? == Progress::default()
            && self.backend.groups(None, 1).await?.is_empty()
            && self.backend.any_stocked(1).await?.is_empty()
            && self.backend.depths().await? == Depths::default())
    }

    /// Begins to take over what another store told of itself: with its keys, so that nobody else begins with this one.
    pub async fn begin_to_take_over(&self, keys: Sha256) -> Result<(), LedgerError> {
        let untouched = vec![Expect::Unbound, Expect::KeysUnbound, Expect::Cursor(None)];
        self.write("begin_to_take_over", untouched, vec![Op::BindKeys(keys)]).await?;
        Ok(())
    }

    /// Takes over more of it, as long as the store is nobody's.
    pub async fn take_over(&self, ops: Vec<Op>) -> Result<(), LedgerError> {
        self.write("take_over", vec![Expect::Unbound], ops).await?;
        Ok(())
    }

    /// Puts parts of a group back that were damaged: entries of its log, and trees. The group stays where it stands, and whoever
    /// calls this has seen that the parts lead there. Broken off in between, what is not put back yet is damaged, as before.
    pub async fn mend(
        &self,
        group: &GroupId,
        at: Epoch,
        entries: Vec<Entry>,
        trees: Vec<Snapshot>,
    ) -> Result<(), LedgerError> {
        let stands = || vec![Expect::GroupAt(group.clone(), Some(at))];
        for entry in entries {
            self.write("mend_entry", stands(), vec![Op::Append(group.clone(), entry)]).await?;
        }
        for tree in trees {
            self.write("mend_tree", stands(), vec![Op::PutSnapshot(group.clone(), tree)]).await?;
        }
        Ok(())
    }

    /// How far the store has come.
    pub async fn progress(&self) -> Result<Progress, LedgerError> {
        Ok(self.backend.progress().await?)
    }

    /// Brings a store that was replaced by an older copy of itself into a state from which the service can go on without telling
    /// two stories: what was decided since the copy was made is not known any more.
    ///
    /// `reached` is how far the store had come; what came into the inbox from `since` on came after the copy took its place.
    /// Every group is frozen, since it may have gone on. No KeyPackage of the stock is handed out any more. What waited in the
    /// inbox, and what was staged, may have been answered in any way: it is set aside. Last the store skips beyond all numbers
    /// that were given out; until then whoever looks finds it behind, and this is done again.
    pub async fn recover(
        &self,
        since: u64,
        reached: Progress,
        frozen: &Frozen,
        now: Timestamp,
    ) -> Result<Recovered, LedgerError> {
        let mut done = Recovered::default();
        let mut last: Option<GroupId> = None;
        loop {
            let page = self.backend.groups(last.as_ref(), limits::GROUPS_PAGE).await?;
            let Some(end) = page.last() else { break };
            last = Some(end.clone());
            for group in &page {
                let freezes = self.stop_in_doubt(group, frozen).await?;
                done.frozen = done.frozen.saturating_add(u64::from(freezes));
            }
        }
        self.drop_unbegun(since).await?;
        loop {
            let page = self.void_key_packages().await?;
            if page == 0 {
                break;
            }
            done.key_packages = done.key_packages.saturating_add(u64::try_from(page).unwrap_or(u64::MAX));
        }
        done.set_aside = self.set_inbox_aside(since, now).await?;
        let beyond = Progress {
            inbox: reached.inbox.saturating_add(limits::NUMBERS_SKIPPED),
            owed: reached.owed.saturating_add(limits::NUMBERS_SKIPPED),
            issued: reached.issued.saturating_add(limits::NUMBERS_SKIPPED),
        };
        self.write("recover", Vec::new(), vec![Op::SkipTo(beyond)]).await?;
        Ok(done)
    }

    /// Freezes a group, if it is not frozen; what is staged there is not any more. Says whether it was not frozen.
    async fn stop_in_doubt(&self, group: &GroupId, frozen: &Frozen) -> Result<bool, LedgerError> {
        // What is damaged stands in the way of nothing: it is replaced, or removed.
        let freezes = match self.backend.frozen(group).await {
            Err(BackendError::Damaged(_)) => true,
            frozen => frozen?.is_none(),
        };
        let staged = match self.backend.staged(group).await {
            Err(BackendError::Damaged(_)) => true,
            staged => staged?.is_some(),
        };
        let mut ops = Vec::new();
        ops.extend(freezes.then(|| Op::Freeze(group.clone(), frozen.clone())));
        ops.extend(staged.then(|| Op::Unstage(group.clone())));
        if !ops.is_empty() {
            self.write("recover_group", Vec::new(), ops).await?;
        }
        Ok(freezes)
    }

    /// What is staged in groups that are not there yet, whose registrations these are, is not any more: such a group may have
    /// begun since in another way. As of messages, what came later stays.
    async fn drop_unbegun(&self, below: u64) -> Result<(), LedgerError> {
        let staged = self.backend.staged_groups(limits::STAGED_AT_START).await?;
        let waited: Vec<_> = staged.into_iter().filter(|(_, row)| row.get() < below).collect();
        for some in waited.chunks(limits::RECOVERED_AT_ONCE) {
            let expect = some.iter().map(|(group, row)| Expect::StagedIn(group.clone(), Some(*row)));
            let ops = some.iter().map(|(group, _)| Op::Unstage(group.clone()));
            self.write("recover_staged", expect.collect(), ops.collect()).await?;
        }
        Ok(())
    }

    /// Sets aside the messages of the inbox. Invitations stay: they are looked at anew, and nobody is told two stories by that.
    /// What comes in later stays, too: somebody else may have done all this meanwhile, and the service go on.
    async fn set_inbox_aside(&self, below: u64, now: Timestamp) -> Result<u64, LedgerError> {
        let (mut count, mut last) = (0_u64, None);
        loop {
            let page = self.backend.inbox(last, limits::RECOVERED_AT_ONCE).await?;
            let Some(end) = page.last() else { return Ok(count) };
            last = Some(end.seq);
            let mut ops = Vec::new();
            let waited = page.into_iter().filter(|row| row.seq.get() < below);
            for row in waited.filter(|row| matches!(row.item.message, Incoming::ToDevice { .. })) {
                let reason = "the store was replaced by an older copy of itself".to_owned();
                ops.push(Op::Leave(row.seq));
                ops.push(Op::SetAside(SetAside { at: now, reason, what: SetAsideKind::Inbox(row.item) }));
                count = count.saturating_add(1);
            }
            if !ops.is_empty() {
                self.write("recover_inbox", Vec::new(), ops).await?;
            }
        }
    }
}
