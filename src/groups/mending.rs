//! Putting damaged records of one group back from a copy of the store, where the group then stands exactly where it stood.
//!
//! A group never goes back: its head, which says how far it has come, is the store's own, and whatever is put back must lead
//! there, receipt by receipt. So nothing can be decided a second time, and nothing need be frozen. Where the head itself is
//! damaged, nobody knows how far the group has come, and nothing is put back.

use std::collections::BTreeMap;
use std::io::Read;

use maypole_core::batch::{Backend, BackendError};
use maypole_core::group::{Agenda, Entry, Head, Restoring, Snapshot};
use maypole_core::ids::{Epoch, GroupId};
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_room::chain::Chain;
use maypole_room::description::ServiceKeys;
use maypole_room::receipt::RoomReceipt;

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
    /// Whether its tree.
    pub snapshot: bool,
}

/// What the store still has of a group.
struct Patient<'a, B> {
    ledger: &'a Ledger<B>,
    store: &'a B,
    head: Head,
    agenda: Option<Agenda>,
    begins: Epoch,
}

/// What is missing, and what was found for it.
#[derive(Default)]
struct Parts {
    entries: BTreeMap<Epoch, Option<Entry>>,
    snapshot: Option<Snapshot>,
}

/// Puts back what is damaged of a group. The copy is one that was verified. Nobody else may use the store meanwhile.
pub async fn mend<B: Backend>(
    ledger: &Ledger<B>,
    store: &B,
    keys: Option<&ServiceKeys>,
    group: &GroupId,
    copy: Reader<impl Read>,
) -> Result<Mended, MendError> {
    let patient = Patient::of(ledger, store, group).await?;
    let mut parts = Parts::default();
    for epoch in patient.epochs() {
        if patient.entry(epoch).await?.is_none() {
            parts.entries.insert(epoch, None);
        }
    }
    let own = patient.snapshot().await?;
    if parts.entries.is_empty() && own.is_some() {
        return Err(MendError::Whole);
    }
    let needs_snapshot = own.is_none();
    parts.find(copy, group, needs_snapshot)?;
    let snapshot = own.or_else(|| parts.snapshot.clone());
    let snapshot = snapshot.ok_or_else(|| MendError::Lacking("its tree is not in it".to_owned()))?;
    let last = patient.leads_to_its_head(&parts, keys).await?;
    let delta_bytes = patient.comes_back(&parts, &snapshot, &last).await?;
    let entries: Vec<Entry> = parts.entries.into_values().flatten().collect();
    let count = entries.len();
    let tree = needs_snapshot.then(|| {
        let (snapshot_epoch, bytes) = (snapshot.epoch, u64::try_from(snapshot.bytes.len()));
        let snapshot_bytes = bytes.unwrap_or(u64::MAX);
        (Head { snapshot_epoch, snapshot_bytes, delta_bytes, ..patient.head.clone() }, snapshot)
    });
    ledger.mend(group, patient.head.epoch, entries, tree).await?;
    Ok(Mended { epoch: patient.head.epoch, entries: count, snapshot: needs_snapshot })
}

/// What was read, or nothing where it is damaged.
fn legible<T>(read: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(LedgerError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl<'a, B: Backend> Patient<'a, B> {
    async fn of(ledger: &'a Ledger<B>, store: &'a B, group: &GroupId) -> Result<Self, MendError> {
        let lost = |what: &str| MendError::Lost(format!("{what} is damaged"));
        let head = legible(ledger.head(group).await)?.ok_or_else(|| lost("where the group stands"))?;
        let head = head.ok_or(MendError::Unknown)?;
        let agenda = legible(ledger.agenda(group).await)?.ok_or_else(|| lost("what the group owes"))?;
        legible(ledger.frozen(group).await)?.ok_or_else(|| lost("whether the group is frozen"))?;
        legible(ledger.staged(group).await)?.ok_or_else(|| lost("what is staged in the group"))?;
        let begins = ledger.log_begins(group).await?.unwrap_or(head.epoch).min(head.epoch);
        Ok(Self { ledger, store, head, agenda, begins })
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

    /// The tree that the head names, if it is there and legible.
    async fn snapshot(&self) -> Result<Option<Snapshot>, MendError> {
        let read = match self.store.snapshot(&self.head.group).await {
            Err(BackendError::Damaged(_)) => None,
            read => read.map_err(LedgerError::from)?,
        };
        let is_sound = |snapshot: &Snapshot| {
            snapshot.epoch == self.head.snapshot_epoch && Restoring::begin(snapshot).is_ok()
        };
        Ok(read.filter(is_sound))
    }

    /// The receipts are one chain to where the group stands: the last of it.
    async fn leads_to_its_head(
        &self,
        parts: &Parts,
        keys: Option<&ServiceKeys>,
    ) -> Result<RoomReceipt, MendError> {
        let mut chain = Chain::new(keys.cloned());
        for epoch in self.epochs() {
            let entry = self.part(parts, epoch).await?;
            chain.take(&link(&entry)).map_err(|broken| MendError::Other(broken.to_string()))?;
        }
        let last = chain.last().filter(|last| last.hash() == self.head.receipt).cloned();
        last.ok_or_else(|| MendError::Other("its last receipt is another".to_owned()))
    }

    /// The group comes back from the tree and the log, with the tree that the last receipt vouches for. How many bytes the log has
    /// for that.
    async fn comes_back(
        &self,
        parts: &Parts,
        snapshot: &Snapshot,
        last: &RoomReceipt,
    ) -> Result<u64, MendError> {
        if snapshot.epoch > self.head.epoch || snapshot.epoch.next().is_some_and(|next| next < self.begins) {
            return Err(MendError::Lacking(format!(
                "its tree is of epoch {}, and the log has the epochs {} to {}",
                snapshot.epoch, self.begins, self.head.epoch
            )));
        }
        let other = |error: maypole_core::group::RestoreError| MendError::Other(error.to_string());
        let mut restoring = Restoring::begin(snapshot).map_err(other)?;
        let mut delta_bytes = 0_u64;
        for epoch in self.epochs().filter(|epoch| *epoch > snapshot.epoch) {
            let entry = self.part(parts, epoch).await?;
            restoring.replay(&entry).map_err(other)?;
            let bytes = u64::try_from(entry.delta.len()).unwrap_or(u64::MAX);
            delta_bytes = delta_bytes.saturating_add(bytes);
        }
        let group = restoring.finish(self.head.clone(), self.agenda.clone(), &AnyTerms).map_err(other)?;
        if group.mls().tree_hash() != last.receipt().tree_hash {
            return Err(MendError::Other("its tree is another than the receipt says".to_owned()));
        }
        Ok(delta_bytes)
    }
}

impl Parts {
    /// Looks through a copy for what is missing.
    fn find(
        &mut self,
        mut copy: Reader<impl Read>,
        group: &GroupId,
        needs_snapshot: bool,
    ) -> Result<(), MendError> {
        while let Told::Records(records) = copy.read()? {
            for record in records {
                match record {
                    Record::Entry(of, entry) if of == *group => {
                        if let Some(place) = self.entries.get_mut(&entry.epoch) {
                            *place = Some(entry);
                        }
                    }
                    Record::Snapshot(of, snapshot) if of == *group && needs_snapshot => {
                        self.snapshot = Some(snapshot);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
