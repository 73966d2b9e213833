//! Putting damaged records of one group back from a copy of the store, where the group then stands exactly where it stood.
//!
//! A group never goes back: its head, which says how far it has come, is the store's own, and whatever is put back must lead
//! there, receipt by receipt. So nothing can be decided a second time, and nothing need be frozen. Where the head itself is
//! damaged, nobody knows how far the group has come, and nothing is put back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use maypole_core::batch::Backend;
use maypole_core::group::{Agenda, Entry, Head, RestoreError, Restoring, Snapshot};
use maypole_core::ids::{Epoch, GroupId};
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_room::chain::Chain;
use maypole_room::description::ServiceKeys;

use super::inspecting::{AnyTerms, link};
use crate::storage::copy::{CopyError, Reader, Record, Told};

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// There is no such group.
    #[error("the store has no group of that room")]
    Unknown,
    /// All of it can be read.
    #[error("every record of the group can be read: there is nothing to put back")]
    Whole,
    /// What no copy can replace is damaged: the copy may be older than it.
    #[error("{0}: of that only the store itself knew what is true, so nothing can be put back")]
    Lost(String),
    /// The copy has not what is needed.
    #[error("the copy does not have what is needed: {0}")]
    Lacking(String),
    /// What the copy has does not lead to where the group stands.
    #[error("with what the copy has, the group would not stand where it stood: {0}")]
    Other(String),
    /// The copy is no good.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LedgerError),
}

/// What was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mended {
    /// Where the group stands, as before.
    pub epoch: Epoch,
    /// How many epochs of its log.
    pub entries: usize,
    /// How many of its trees.
    pub trees: usize,
    /// Trees of epochs that have passed which stay damaged: neither the store nor the copy has what leads to them.
    pub left: usize,
}

/// What the store still has of a group.
struct Patient<'a, B> {
    ledger: &'a Ledger<B>,
    head: Head,
    agenda: Option<Agenda>,
    begins: Epoch,
}

/// What is missing, and what was found for it.
#[derive(Default)]
struct Parts {
    entries: BTreeMap<Epoch, Option<Entry>>,
    /// Epochs whose trees are damaged: each is made anew from an earlier one and the log.
    trees: BTreeSet<Epoch>,
    /// Of the trees that are whole, the store's and then the copy's, the ones to begin with: the last before anything is missing,
    /// and the first after that.
    before: Option<Snapshot>,
    after: Option<Snapshot>,
}

/// Puts back what is damaged of a group. The copy is one that was verified. Nobody else may use the store meanwhile.
pub async fn mend<B: Backend>(
    ledger: &Ledger<B>,
    keys: Option<&ServiceKeys>,
    group: &GroupId,
    copy: Reader<impl Read>,
) -> Result<Mended, MendError> {
    let patient = Patient::of(ledger, group).await?;
    let mut parts = patient.missing().await?;
    let first = parts.first().ok_or(MendError::Whole)?;
    patient.trees(&mut parts, first).await?;
    parts.find(copy, group, first, patient.begins)?;
    let base = parts.before.take().or_else(|| parts.after.take());
    let base = base.ok_or_else(|| MendError::Lacking("its tree is not in it".to_owned()))?;
    let left = parts.trees.range(..base.epoch).count();
    if patient.head.snapshot_epoch < base.epoch && parts.trees.contains(&patient.head.snapshot_epoch) {
        return Err(MendError::Lacking("its tree is not in it".to_owned()));
    }
    if parts.entries.is_empty() && left == parts.trees.len() {
        return Err(MendError::Lacking(format!("the tree of epoch {first} is not in it")));
    }
    let hashes = patient.leads_to_its_head(&parts, keys).await?;
    let trees = patient.comes_back(&parts, &base, &hashes).await?;
    let entries: Vec<Entry> = parts.entries.into_values().flatten().collect();
    let mended = Mended { epoch: patient.head.epoch, entries: entries.len(), trees: trees.len(), left };
    ledger.mend(group, patient.head.epoch, entries, trees).await?;
    Ok(mended)
}

/// What was read, or nothing where it is damaged.
fn legible<T>(read: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(LedgerError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a log that begins there goes on from the tree of an epoch. Where a cut was broken off, one may be left that leads
/// nowhere.
fn leads_on(tree: Epoch, begins: Epoch) -> bool {
    tree.next() >= Some(begins)
}

impl<'a, B: Backend> Patient<'a, B> {
    async fn of(ledger: &'a Ledger<B>, group: &GroupId) -> Result<Self, MendError> {
        let lost = |what: &str| MendError::Lost(format!("{what} is damaged"));
        let head = legible(ledger.head(group).await)?.ok_or_else(|| lost("where the group stands"))?;
        let head = head.ok_or(MendError::Unknown)?;
        let agenda = legible(ledger.agenda(group).await)?.ok_or_else(|| lost("what the group owes"))?;
        legible(ledger.frozen(group).await)?.ok_or_else(|| lost("whether the group is frozen"))?;
        legible(ledger.staged(group).await)?.ok_or_else(|| lost("what is staged in the group"))?;
        let begins = ledger.log_begins(group).await?.unwrap_or(head.epoch).min(head.epoch);
        Ok(Self { ledger, head, agenda, begins })
    }

    fn epochs(&self) -> impl Iterator<Item = Epoch> + use<B> {
        (self.begins.get()..=self.head.epoch.get()).filter_map(Epoch::new)
    }

    /// An entry of the log, if it is there and legible.
    async fn entry(&self, epoch: Epoch) -> Result<Option<Entry>, MendError> {
        let page = legible(self.ledger.log(&self.head.group, epoch, 1).await)?;
        Ok(page.unwrap_or_default().into_iter().find(|entry| entry.epoch == epoch))
    }

    async fn part(&self, parts: &Parts, epoch: Epoch) -> Result<Entry, MendError> {
        let found = match parts.entries.get(&epoch) {
            Some(found) => found.clone(),
            None => self.entry(epoch).await?,
        };
        found.ok_or_else(|| MendError::Lacking(format!("epoch {epoch} of its log is not in it")))
    }

    /// What of it is damaged, or not there.
    async fn missing(&self) -> Result<Parts, MendError> {
        let mut parts = Parts::default();
        for epoch in self.epochs() {
            if self.entry(epoch).await?.is_none() {
                parts.entries.insert(epoch, None);
            }
        }
        // The one that the head names must be there.
        let mut trees = self.kept().await?;
        trees.insert(self.head.snapshot_epoch);
        for epoch in trees {
            if self.tree(epoch).await?.is_none() {
                parts.trees.insert(epoch);
            }
        }
        Ok(parts)
    }

    /// The epochs of which it has trees, legible or not.
    async fn kept(&self) -> Result<BTreeSet<Epoch>, MendError> {
        let (mut kept, mut next) = (BTreeSet::new(), Some(Epoch::ZERO));
        while let Some(from) = next {
            let page = self.ledger.snapshots(&self.head.group, from, limits::LOG_PAGE).await?;
            let before = kept.len();
            kept.extend(page.iter().map(|snapshot| snapshot.epoch));
            next = page.last().and_then(|last| last.epoch.next()).filter(|_| kept.len() > before);
        }
        Ok(kept)
    }

    /// The tree of an epoch, if it is there and legible.
    async fn tree(&self, epoch: Epoch) -> Result<Option<Snapshot>, MendError> {
        let read = legible(self.ledger.snapshot(&self.head.group, epoch).await)?.flatten();
        Ok(read.filter(|snapshot| snapshot.epoch == epoch && Restoring::begin(snapshot).is_ok()))
    }

    /// Which of its own trees there is to begin with, where this is the first epoch of which something is missing.
    async fn trees(&self, parts: &mut Parts, first: Epoch) -> Result<(), MendError> {
        let whole = self.kept().await?.into_iter().filter(|epoch| !parts.trees.contains(epoch));
        let (before, after): (Vec<Epoch>, Vec<Epoch>) = whole.partition(|epoch| *epoch < first);
        if let Some(epoch) = before.last().filter(|epoch| leads_on(**epoch, self.begins)) {
            parts.before = self.tree(*epoch).await?;
        }
        if let Some(epoch) = after.first() {
            parts.after = self.tree(*epoch).await?;
        }
        Ok(())
    }

    /// The receipts are one chain to where the group stands: the hashes of trees that they vouch for, of those that are made anew
    /// and of the present one.
    async fn leads_to_its_head(
        &self,
        parts: &Parts,
        keys: Option<&ServiceKeys>,
    ) -> Result<BTreeMap<Epoch, Vec<u8>>, MendError> {
        let (mut chain, mut hashes) = (Chain::new(keys.cloned()), BTreeMap::new());
        for epoch in self.epochs() {
            let entry = self.part(parts, epoch).await?;
            chain.take(&link(&entry)).map_err(|broken| MendError::Other(broken.to_string()))?;
            if parts.trees.contains(&epoch) || epoch == self.head.epoch {
                hashes.extend(chain.last().map(|last| (epoch, last.receipt().tree_hash.clone())));
            }
        }
        let is_last = chain.last().is_some_and(|last| last.hash() == self.head.receipt);
        is_last.then_some(hashes).ok_or_else(|| MendError::Other("its last receipt is another".to_owned()))
    }

    /// The group comes back from a tree and the log, with the trees that receipts vouch for: those that are damaged, made anew.
    async fn comes_back(
        &self,
        parts: &Parts,
        base: &Snapshot,
        hashes: &BTreeMap<Epoch, Vec<u8>>,
    ) -> Result<Vec<Snapshot>, MendError> {
        if base.epoch > self.head.epoch || !leads_on(base.epoch, self.begins) {
            return Err(MendError::Lacking(format!(
                "its tree is of epoch {}, and the log has the epochs {} to {}",
                base.epoch, self.begins, self.head.epoch
            )));
        }
        let other = |error: RestoreError| MendError::Other(error.to_string());
        let mut restoring = Restoring::begin(base).map_err(other)?;
        let mut trees = Vec::new();
        for epoch in (base.epoch.get()..=self.head.epoch.get()).filter_map(Epoch::new) {
            if epoch > base.epoch {
                restoring.replay(&self.part(parts, epoch).await?).map_err(other)?;
            }
            // Of an epoch that the log does not have any more there is no receipt.
            if hashes.get(&epoch).is_some_and(|hash| *hash != restoring.tree_hash()) {
                let what = format!("its tree of epoch {epoch} is another than the receipt says");
                return Err(MendError::Other(what));
            }
            if parts.trees.contains(&epoch) {
                trees.push(Snapshot { epoch, bytes: restoring.snapshot() });
            }
        }
        restoring.finish(self.head.clone(), self.agenda.clone(), &AnyTerms).map_err(other)?;
        Ok(trees)
    }
}

impl Parts {
    /// The first epoch of which something is missing.
    fn first(&self) -> Option<Epoch> {
        let entry = self.entries.keys().next().copied();
        entry.into_iter().chain(self.trees.first().copied()).min()
    }

    /// Looks through a copy for what is missing; where the store has no tree to begin with, for one of those.
    fn find(
        &mut self,
        mut copy: Reader<impl Read>,
        group: &GroupId,
        first: Epoch,
        begins: Epoch,
    ) -> Result<(), MendError> {
        let (has_before, has_after) = (self.before.is_some(), self.after.is_some());
        while let Told::Records(records) = copy.read()? {
            for record in records {
                match record {
                    Record::Entry(of, entry) if of == *group => {
                        if let Some(place) = self.entries.get_mut(&entry.epoch) {
                            *place = Some(entry);
                        }
                    }
                    Record::Snapshot(of, snapshot) if of == *group && leads_on(snapshot.epoch, begins) => {
                        let is_later = |than: &Option<Snapshot>| {
                            than.as_ref().is_none_or(|than| than.epoch < snapshot.epoch)
                        };
                        if snapshot.epoch <= first && !has_before && is_later(&self.before) {
                            self.before = Some(snapshot);
                        } else if snapshot.epoch > first
                            && !has_after
                            && (self.after.is_none() || !is_later(&self.after))
                        {
                            self.after = Some(snapshot);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
