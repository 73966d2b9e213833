//! The store while it works: log, bulk files, and what is kept in memory beside them, owned by the one writer.
//!
//! What is in memory follows from what is on the disk, and is computed anew at every opening. On any [`Failure`] the
//! whole engine is dropped: nothing is trusted that the disk did not say.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use maypole_core::group::{Snapshot, Staged};
use maypole_core::ids::{GroupId, InboxSeq};
use maypole_core::limits;
use maypole_core::records::{Depths, PushTransaction};
use maypole_core::time::Timestamp;

use super::OpenError;
use super::bulk::{Bulk, BulkFault};
use super::disk::Disk;
use super::folder::Folder;
use super::forms::{Counters, Issued};
use super::generation;
use super::keys::{self, Kind};
use super::log::{Failure, Log, Write};
use super::record::{self, BulkFile, Damage, Opened, Packed, Stored};
use super::view::View;
use crate::telemetry;

/// The changes of a batch, by key; the last change of a key counts.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The store while it works.
pub(super) struct Engine {
    pub(super) log: Log,
    pub(super) bulk: Bulk,
    /// The next numbers.
    pub(super) next: Counters,
    /// How many KeyPackages were given out.
    pub(super) issued: Issued,
    /// How much waits.
    pub(super) depths: Depths,
    /// Push transactions, oldest first.
    pub(super) transactions: BTreeMap<u64, PushTransaction>,
    /// The same, to be found.
    pub(super) known: HashSet<PushTransaction>,
    /// Rows set aside.
    pub(super) aside: BTreeSet<u64>,
    /// What is staged in groups, by their keys; of a damaged one, only that it is there.
    pub(super) staged: BTreeMap<Vec<u8>, Option<(GroupId, InboxSeq)>>,
    /// Epochs of groups and revisions of their agendas, by key: those that were lately written or looked at.
    pub(super) numbers: HashMap<Vec<u8>, u64>,
    /// Quarantined records.
    pub(super) quarantined: BTreeSet<u64>,
    /// A copy of the store that is being made.
    pub(super) view: Option<View>,
}

/// What a record turned out to be.
pub(super) enum Loaded<T> {
    /// Whole.
    Whole(T),
    /// Damaged.
    Damaged(Damage),
}

/// A record's parts, wherever they lie.
pub(super) struct Parts {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Parts {
    /// How many bytes they have.
    pub(super) fn size(&self) -> usize {
        self.head.len().saturating_add(self.body.len())
    }

    /// The record.
    pub(super) fn read<T: Stored>(self) -> Result<T, Damage> {
        record::decode(&self.head, self.body)
    }
}

impl Engine {
    /// Opens the store in a folder that is held.
    pub(super) fn open(folder: &Folder, disk: &Arc<dyn Disk>) -> Result<Self, OpenError> {
        let log = generation::renew(folder, disk, |log| {
            log.apply(counters_writes(Counters::default()).into_iter())
                .and_then(|()| log.sync())
                .map_err(|failure| io::Error::other(failure.0))
        })?;
        folder
            .make_bulk(&**disk)
            .map_err(|source| OpenError::Io { folder: folder.path().to_owned(), source })?;
        let mut engine = Self {
            log,
            bulk: Bulk::new(folder.bulk(), Arc::clone(disk)),
            next: Counters::default(),
            issued: Issued::default(),
            depths: Depths::default(),
            transactions: BTreeMap::new(),
            known: HashSet::new(),
            aside: BTreeSet::new(),
            staged: BTreeMap::new(),
            numbers: HashMap::new(),
            quarantined: BTreeSet::new(),
            view: None,
        };
        let damaged = |what: String| OpenError::Damaged { folder: folder.path().to_owned(), what };
        engine
            .finish_journal()
            .map_err(|failure| failed(folder, failure))?
            .map_err(|damage| damaged(format!("the journal of an unfinished write: {damage}")))?;
        match engine.single::<Counters>(Kind::Counters).map_err(|failure| failed(folder, failure))? {
            Loaded::Whole(Some(counters)) => engine.next = counters,
            Loaded::Whole(None) => return Err(damaged(format!("the counters: {}", Damage::Missing))),
            Loaded::Damaged(damage) => return Err(damaged(format!("the counters: {damage}"))),
        }
        match engine.single::<Issued>(Kind::Issued).map_err(|failure| failed(folder, failure))? {
            Loaded::Whole(issued) => engine.issued = issued.unwrap_or_default(),
            Loaded::Damaged(damage) => return Err(damaged(format!("the {}: {damage}", Kind::Issued.name()))),
        }
        engine.take_stock().and_then(|()| engine.sync()).map_err(|failure| failed(folder, failure))?;
        engine.bulk.sweep().map_err(|source| OpenError::Io { folder: folder.path().to_owned(), source })?;
        Ok(engine)
    }

    /// Looks at every record once: counts them, notes the bulk files they name, sets damaged ones aside.
    fn take_stock(&mut self) -> Result<(), Failure> {
        let (mut damaged, mut former) = (Vec::new(), Vec::new());
        for record in self.log.all()? {
            let (key, value) = record?;
            if let Some(name) = record::bulk_name(&key, &value) {
                self.bulk.name(name);
            }
            if let Err(damage) = self.count(&key, &value) {
                damaged.push((key.clone(), value.clone(), damage));
            } else if Kind::of_key(&key) == Some(Kind::FormerSnapshot) {
                former.push((key.clone(), value.clone()));
            }
            if Kind::of_key(&key) == Some(Kind::Staged) {
                let staged = match self.load::<Staged>(Kind::Staged, &key, &value)? {
                    Loaded::Whole(staged) => Some((staged.group().clone(), staged.row)),
                    Loaded::Damaged(_) => None,
                };
                self.staged.insert(key.to_vec(), staged);
            }
        }
        for (key, value) in former {
            self.move_former(&key, &value)?;
        }
        let is_known = |key: &Vec<u8>| Kind::of_key(key) == Some(Kind::Known);
        let known: HashSet<Vec<u8>> = damaged.iter().map(|(key, ..)| key.to_vec()).filter(is_known).collect();
        let mended = if known.is_empty() { known } else { self.mend_known(&known)? };
        for (key, value, damage) in damaged.into_iter().filter(|(key, ..)| !mended.contains(&key[..])) {
            if let Some(kind) = Kind::of_key(&key).filter(|kind| kind.stays()) {
                let name = kind.name();
                tracing::error!(record = name, key = %key.escape_ascii(), %damage, "a damaged record stays where it is");
                telemetry::record::quarantined(name);
            } else if !self.mend_expiry(&key)? {
                self.quarantine(&key, &value, damage)?;
            }
        }
        Ok(())
    }

    /// A tree of an earlier version gets its place among those of its group. What cannot be read stays.
    fn move_former(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let Loaded::Whole(snapshot) = self.peek::<Snapshot>(Kind::FormerSnapshot, key, value)? else {
            return Ok(());
        };
        let Some(place) = keys::snapshot_of_former(key, snapshot.epoch.get()) else { return Ok(()) };
        let moved = record::moved(value, Kind::Snapshot, &place);
        self.commit(Changes::from([(key.to_vec(), None), (place, moved)]))
    }

    /// Of an expiry row the key says it all: if what expires agrees, the row is written anew.
    fn mend_expiry(&mut self, key: &[u8]) -> Result<bool, Failure> {
        let (kind, expires_at) = match Kind::of_key(key) {
            Some(Kind::Expiry) => {
                let answer = keys::answer_key(key);
                (Kind::Expiry, answer.map_or(Ok(None), |answer| self.expiry_of(&answer))?)
            }
            Some(Kind::KnownUntil) => (Kind::KnownUntil, self.until_of_row(key)?),
            _ => return Ok(false),
        };
        let Ok(empty) = Packed::of_parts(&[], Vec::new()) else { return Ok(false) };
        if expires_at.is_none() || expires_at.map(Timestamp::as_millis) != keys::number(key) {
            return Ok(false);
        }
        self.commit(Changes::from([(key.to_vec(), Some(empty.seal(kind, key)))]))?;
        Ok(true)
    }

    fn count(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damage> {
        let kind = Kind::of_key(key).ok_or(Damage::Kind)?;
        let number = keys::number(key).unwrap_or_default();
        match kind {
            // A copy is covered by the other; damage is noticed when both are needed.
            Kind::Owner | Kind::Keys | Kind::Issued | Kind::Cursor | Kind::Counters | Kind::Journal => {
                return Ok(());
            }
            Kind::Quarantined => {
                self.quarantined.insert(number);
                return Ok(());
            }
            Kind::Inbox => self.depths.inbox = self.depths.inbox.saturating_add(1),
            Kind::Owed => self.depths.owed = self.depths.owed.saturating_add(1),
            Kind::Answer => self.depths.answers = self.depths.answers.saturating_add(1),
            Kind::SetAside => {
                self.aside.insert(number);
                self.depths.set_aside = self.depths.set_aside.saturating_add(1);
            }
            Kind::Head => self.depths.groups = self.depths.groups.saturating_add(1),
            Kind::Staged => self.depths.staged = self.depths.staged.saturating_add(1),
            Kind::Expiry
            | Kind::Transaction
            | Kind::Entry
            | Kind::Snapshot
            | Kind::FormerSnapshot
            | Kind::Frozen
            | Kind::Agenda
            | Kind::Shelved
            | Kind::LastResort
            | Kind::Known
            | Kind::KnownUntil => {}
        }
        let opened = record::open(kind, key, value)?;
        if kind == Kind::Transaction {
            let Opened::Here { head, body } = opened else { return Err(Damage::Form) };
            let transaction = record::decode::<PushTransaction>(head, body.to_vec())?;
            self.known.insert(transaction.clone());
            self.transactions.insert(number, transaction);
        }
        Ok(())
    }

    /// Makes bulk files durable that records are to name.
    pub(super) fn write_bulk<'a>(
        &mut self,
        files: impl Iterator<Item = &'a BulkFile>,
    ) -> Result<(), Failure> {
        Ok(self.bulk.write(files)?)
    }

    /// Makes durable what was committed.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        self.log.sync()
    }

    /// Writes changes, all or none. They are durable after the next sync.
    pub(super) fn commit(&mut self, changes: Changes) -> Result<(), Failure> {
        for (key, value) in &changes {
            let before = self.log.get(key)?;
            self.keep_for_view(key, before.as_deref());
            if let Some(name) = value.as_ref().and_then(|value| record::bulk_name(key, value)) {
                self.bulk.name(name);
            }
            if let Some(name) = before.and_then(|before| record::bulk_name(key, &before)) {
                self.bulk.unname(name);
            }
        }
        if changes.len() <= limits::SLED_BATCH_WRITES {
            return self.log.apply(changes.into_iter());
        }
        self.commit_through_journal(changes.into_iter().collect())
    }

    /// Writes more than fits into one atomic write of the log: the changes go into a bulk file, a record that names the
    /// file makes them irrevocable, and then they are carried out, again if need be.
    fn commit_through_journal(&mut self, writes: Vec<Write>) -> Result<(), Failure> {
        let bytes =
            postcard::to_stdvec(&writes).map_err(|_| Failure("a batch has no stored form".to_owned()))?;
        let packed = Packed::of_parts(&[], bytes).map_err(|damage| Failure(damage.to_string()))?;
        self.bulk.write(packed.bulk.iter())?;
        let key = keys::journal();
        let value = packed.seal(Kind::Journal, &key);
        if let Some(name) = record::bulk_name(&key, &value) {
            self.bulk.name(name);
        }
        self.log.apply([(key, Some(value))].into_iter())?;
        self.log.sync()?;
        self.carry_out(writes)
    }

    fn carry_out(&mut self, writes: Vec<Write>) -> Result<(), Failure> {
        for write in writes {
            self.log.apply([write].into_iter())?;
        }
        // Not before everything is durable: until then the journal is needed.
        self.log.sync()?;
        let key = keys::journal();
        if let Some(name) = self.log.get(&key)?.and_then(|value| record::bulk_name(&key, &value)) {
            self.bulk.unname(name);
        }
        self.log.apply([(key, None)].into_iter())
    }

    /// Carries out what was irrevocable when the store was last left.
    fn finish_journal(&mut self) -> Result<Result<(), Damage>, Failure> {
        let key = keys::journal();
        let Some(value) = self.log.get(&key)? else { return Ok(Ok(())) };
        let bytes = match self.bytes(Kind::Journal, &key, &value)? {
            Loaded::Whole(parts) => parts.body,
            Loaded::Damaged(damage) => return Ok(Err(damage)),
        };
        let Ok(writes) = postcard::from_bytes::<Vec<Write>>(&bytes) else { return Ok(Err(Damage::Form)) };
        self.carry_out(writes)?;
        self.log.sync().map(Ok)
    }

    /// Head and body of a record, wherever they lie.
    pub(super) fn bytes(&self, kind: Kind, key: &[u8], value: &[u8]) -> Result<Loaded<Parts>, Failure> {
        let opened = match record::open(kind, key, value) {
            Ok(opened) => opened,
            Err(damage) => return Ok(Loaded::Damaged(damage)),
        };
        let outside = match opened.bulk().map(|bulk| self.bulk.read(bulk)) {
            None => Vec::new(),
            Some(Ok(bytes)) => bytes,
            Some(Err(BulkFault::Damage(damage))) => return Ok(Loaded::Damaged(damage)),
            Some(Err(BulkFault::Io(error))) => return Err(error.into()),
        };
        Ok(match opened {
            Opened::Here { head, body } => Loaded::Whole(Parts { head: head.to_vec(), body: body.to_vec() }),
            Opened::BodyOutside { head, .. } => Loaded::Whole(Parts { head: head.to_vec(), body: outside }),
            Opened::AllOutside(_) => match record::split(&outside) {
                Ok((head, body)) => Loaded::Whole(Parts { head: head.to_vec(), body: body.to_vec() }),
                Err(damage) => Loaded::Damaged(damage),
            },
        })
    }

    /// Reads a record.
    pub(super) fn load<T: Stored>(&self, kind: Kind, key: &[u8], value: &[u8]) -> Result<Loaded<T>, Failure> {
        Ok(match self.bytes(kind, key, value)? {
            Loaded::Whole(parts) => parts.read().map_or_else(Loaded::Damaged, Loaded::Whole),
            Loaded::Damaged(damage) => Loaded::Damaged(damage),
        })
    }

    /// Reads a record without its body, which often saves reading a bulk file.
    pub(super) fn peek<T: Stored>(&self, kind: Kind, key: &[u8], value: &[u8]) -> Result<Loaded<T>, Failure> {
        match record::open(kind, key, value) {
            Ok(Opened::Here { head, .. } | Opened::BodyOutside { head, .. }) => {
                Ok(record::decode(head, Vec::new()).map_or_else(Loaded::Damaged, Loaded::Whole))
            }
            Ok(Opened::AllOutside(_)) => self.load(kind, key, value),
            Err(damage) => Ok(Loaded::Damaged(damage)),
        }
    }

    /// Reads something that there is one of, from whichever copy is whole.
    pub(super) fn single<T: Stored>(&self, kind: Kind) -> Result<Loaded<Option<T>>, Failure> {
        let mut found = Loaded::Whole(None);
        for key in keys::copies(kind) {
            let Some(value) = self.log.get(&key)? else { continue };
            match self.load(kind, &key, &value)? {
                Loaded::Whole(record) => return Ok(Loaded::Whole(Some(record))),
                Loaded::Damaged(damage) => found = Loaded::Damaged(damage),
            }
        }
        Ok(found)
    }

    /// Moves a damaged record out of the way, as it is, so that the rest goes on.
    pub(super) fn quarantine(&mut self, key: &[u8], value: &[u8], damage: Damage) -> Result<(), Failure> {
        let kind = Kind::of_key(key);
        let name = kind.map_or("unknown", Kind::name);
        tracing::error!(record = name, key = %key.escape_ascii(), %damage, "a damaged record was quarantined");
        telemetry::record::quarantined(name);
        let number = keys::number(key).unwrap_or_default();
        match kind {
            Some(Kind::Inbox) => self.depths.inbox = self.depths.inbox.saturating_sub(1),
            Some(Kind::Owed) => self.depths.owed = self.depths.owed.saturating_sub(1),
            Some(Kind::Answer) => self.depths.answers = self.depths.answers.saturating_sub(1),
            Some(Kind::SetAside) => {
                self.depths.set_aside = self.depths.set_aside.saturating_sub(1);
                self.aside.remove(&number);
            }
            _ => {}
        }
        let mut changes = Changes::new();
        changes.insert(key.to_vec(), None);
        let place = take_number(&mut self.next.quarantined);
        changes.insert(keys::row(Kind::Quarantined, place), Some(record::quarantine(key, value)));
        self.quarantined.insert(place);
        while self.quarantined.len() > limits::QUARANTINED_ROWS {
            let Some(oldest) = self.quarantined.pop_first() else { break };
            changes.insert(keys::row(Kind::Quarantined, oldest), None);
        }
        changes.extend(counters_writes(self.next));
        self.commit(changes)
    }

    /// Walks over rows in order; the damaged ones are quarantined when the walk is over.
    pub(super) fn walk<T: Stored>(
        &mut self,
        kind: Kind,
        rows: impl Iterator<Item = ::sled::Result<(::sled::IVec, ::sled::IVec)>>,
        mut each: impl FnMut(&[u8], T) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let mut damaged = Vec::new();
        for row in rows {
            let (key, value) = row?;
            match self.load::<T>(kind, &key, &value)? {
                Loaded::Whole(record) => {
                    if each(&key, record).is_break() {
                        break;
                    }
                }
                Loaded::Damaged(damage) => damaged.push((key, value, damage)),
            }
        }
        for (key, value, damage) in damaged {
            self.quarantine(&key, &value, damage)?;
        }
        Ok(())
    }
}

/// The next number; the one after is stored in the same write as what it is given to.
pub(super) fn take_number(counter: &mut u64) -> u64 {
    let number = *counter;
    *counter = counter.saturating_add(1);
    number
}

/// Both copies of the counters.
pub(super) fn counters_writes(counters: Counters) -> Vec<Write> {
    Packed::of(counters).map(|packed| single_writes(Kind::Counters, &packed)).unwrap_or_default()
}

/// Both copies of something that there is one of.
pub(super) fn single_writes(kind: Kind, packed: &Packed) -> Vec<Write> {
    keys::copies(kind)
        .into_iter()
        .map(|key| {
            let value = packed.seal(kind, &key);
            (key, Some(value))
        })
        .collect()
}

fn failed(folder: &Folder, failure: Failure) -> OpenError {
    OpenError::Io { folder: folder.path().to_owned(), source: io::Error::other(failure.0) }
}
