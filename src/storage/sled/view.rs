//! The store as it was at one moment, told page by page while it works: what is overwritten or removed meanwhile is kept aside.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use maypole_core::batch::BackendError;
use maypole_core::directory::KeyPackage;
use maypole_core::group::Head;
use maypole_core::ids::{GroupId, InboxSeq, OwedId, Sha256, SyncToken, UserId};
use maypole_core::limits;

use super::Store;
use super::apply::damaged;
use super::engine::{Changes, Engine, Loaded, Parts};
use super::forms::{FrozenGroup, Known, Whereabouts};
use super::keys::{self, KEY_BYTES, Kind};
use super::log::Failure;
use super::record::{self, Damage};
use crate::storage::copy::Record;

/// No two copies that one process makes have the same number, not even if the store is opened anew between them.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// What a copy in progress sees.
#[derive(Debug)]
pub(super) struct View {
    number: u64,
    /// What there is one of.
    first: Vec<Record>,
    /// What stood under keys that were written since.
    kept: Changes,
    kept_bytes: usize,
    /// Of files that stay because of it, or may.
    kept_file_bytes: u64,
    /// How many bytes may be kept.
    pub(super) most: usize,
    /// Where the next page begins; nowhere if everything was told.
    next: Option<Vec<u8>>,
    /// The groups whose heads were told: the keys of their other records have a hash alone.
    groups: BTreeMap<Vec<u8>, GroupId>,
    damaged: u64,
}

/// A part of a copy.
struct Page {
    records: Vec<Record>,
    damaged: u64,
    is_last: bool,
}

impl View {
    /// Keeps what stands under a key that is about to be written.
    fn keep(&mut self, key: &[u8], before: Option<&[u8]>) {
        // Each writing may have left a file without a name.
        let file = before.and_then(|before| record::bulk_of(key, before));
        let bytes = file.map_or(0, |file| u64::from(file.length));
        self.kept_file_bytes = self.kept_file_bytes.saturating_add(bytes);
        if !self.kept.contains_key(key) {
            let bytes = before.map_or(0, <[u8]>::len).saturating_add(key.len());
            self.kept_bytes =
                self.kept_bytes.saturating_add(bytes).saturating_add(limits::COPY_KEPT_ENTRY_BYTES);
            self.kept.insert(key.to_vec(), before.map(<[u8]>::to_vec));
        }
    }
}

impl Engine {
    /// Keeps what a copy in progress still needs. One that would need too much is given up.
    pub(super) fn keep_for_view(&mut self, key: &[u8], before: Option<&[u8]>) {
        if let Some(view) = &mut self.view {
            view.keep(key, before);
            if view.kept_bytes > view.most || view.kept_file_bytes > limits::COPY_KEPT_FILE_BYTES {
                tracing::warn!("a copy of the store was given up: too much was written while it was made");
                self.view = None;
            }
        }
    }

    /// Removes bulk files that nobody needs, unless a copy may still need them: then they wait for its end.
    pub(super) fn remove_idle(&mut self) {
        if self.view.is_none() {
            self.bulk.remove_idle();
        }
    }

    /// Begins a copy. An earlier one that was not finished is given up.
    fn open_view(&mut self) -> Result<Result<u64, BackendError>, Failure> {
        let mut first = Vec::new();
        match self.single::<UserId>(Kind::Owner)? {
            Loaded::Whole(owner) => first.extend(owner.map(Record::Owner)),
            Loaded::Damaged(damage) => return Ok(Err(damaged(Kind::Owner, b"", damage))),
        }
        match self.single::<Sha256>(Kind::Keys)? {
            Loaded::Whole(keys) => first.extend(keys.map(Record::Keys)),
            Loaded::Damaged(damage) => return Ok(Err(damaged(Kind::Keys, b"", damage))),
        }
        match self.single::<SyncToken>(Kind::Cursor)? {
            Loaded::Whole(cursor) => first.extend(cursor.map(Record::Cursor)),
            Loaded::Damaged(damage) => return Ok(Err(damaged(Kind::Cursor, b"", damage))),
        }
        first.push(Record::Progress(self.progress()));
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        self.view = Some(View {
            number,
            first,
            kept: Changes::new(),
            kept_bytes: 0,
            kept_file_bytes: 0,
            most: limits::COPY_KEPT_BYTES,
            next: Some(Vec::new()),
            groups: BTreeMap::new(),
            damaged: 0,
        });
        Ok(Ok(number))
    }

    fn close_view(&mut self, number: u64) {
        if self.view.as_ref().is_some_and(|view| view.number == number) {
            self.view = None;
        }
    }

    /// The next records of a copy, if there are some on the way to a next place.
    fn view_page(&mut self, number: u64) -> Result<Result<Page, BackendError>, Failure> {
        let is_it = self.view.as_ref().is_some_and(|view| view.number == number);
        let Some(mut view) = self.view.take_if(|_| is_it) else {
            let why = "the copy was given up, because too much was written meanwhile, another one was begun, or the \
                       store failed: try again at a quieter time";
            return Ok(Err(BackendError::Unavailable(why.to_owned())));
        };
        let mut records = std::mem::take(&mut view.first);
        if records.is_empty() {
            records = self.rows_of(&mut view)?;
        }
        let page = Page { records, damaged: view.damaged, is_last: view.next.is_none() };
        self.view = Some(view);
        Ok(Ok(page))
    }

    /// Some rows on.
    fn rows_of(&mut self, view: &mut View) -> Result<Vec<Record>, Failure> {
        let Some(from) = view.next.take() else { return Ok(Vec::new()) };
        if let Some(after) = after_untold(&from) {
            view.next = Some(after);
            return Ok(Vec::new());
        }
        let mut rows = BTreeMap::new();
        let mut end = vec![u8::MAX; KEY_BYTES + 1];
        for row in self.log.range(&from, &end.clone())?.take(limits::COPY_PAGE) {
            let (key, value) = row?;
            rows.insert(key.to_vec(), value.to_vec());
        }
        let is_last = rows.len() < limits::COPY_PAGE;
        if let Some((last, _)) = rows.last_key_value().filter(|_| !is_last) {
            end.clone_from(last);
        }
        for (key, before) in view.kept.range(from..=end.clone()) {
            match before {
                Some(before) => drop(rows.insert(key.clone(), before.clone())),
                None => drop(rows.remove(key)),
            }
        }
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        for (key, value) in rows {
            if bytes > limits::COPY_PAGE_BYTES {
                view.next = Some(key);
                return Ok(records);
            }
            match self.record_of(view, &key, &value)? {
                Ok(None) => {}
                Ok(Some((record, size))) => {
                    bytes = bytes.saturating_add(size);
                    records.push(record);
                }
                Err(damage) => {
                    view.damaged = view.damaged.saturating_add(1);
                    let name = Kind::of_key(&key).map_or("unknown", Kind::name);
                    tracing::error!(record = name, key = %key.escape_ascii(), %damage, "not in the copy: a damaged record");
                }
            }
        }
        if !is_last {
            end.push(0);
            view.next = Some(end);
        }
        Ok(records)
    }

    /// What a copy says of a row, if anything, and its size.
    fn record_of(
        &self,
        view: &mut View,
        key: &[u8],
        value: &[u8],
    ) -> Result<Result<Option<(Record, usize)>, Damage>, Failure> {
        let Some(kind) = Kind::of_key(key) else { return Ok(Err(Damage::Kind)) };
        if !is_told(kind) {
            return Ok(Ok(None));
        }
        let parts = match self.bytes(kind, key, value)? {
            Loaded::Whole(parts) => parts,
            Loaded::Damaged(damage) => return Ok(Err(damage)),
        };
        let size = parts.size();
        if let Kind::Shelved | Kind::LastResort = kind {
            let Ok(found) = parts.read::<KeyPackage>() else { return Ok(Err(Damage::Form)) };
            let used = self.use_of(view, kind, key, &found)?;
            return Ok(used.map(|used| Some((Record::KeyPackage(Box::new(found), used), size))));
        }
        Ok(view.record(kind, key, parts).map(|record| record.map(|record| (record, size))))
    }

    /// Whether a KeyPackage in stock was ever handed out, by what was known of it.
    fn use_of(
        &self,
        view: &View,
        kind: Kind,
        key: &[u8],
        found: &KeyPackage,
    ) -> Result<Result<bool, Damage>, Failure> {
        let of_it = keys::known(&found.reference);
        let value = match view.kept.get(&of_it) {
            Some(kept) => kept.clone(),
            None => self.log.get(&of_it)?.map(|value| value.to_vec()),
        };
        let Some(value) = value else { return Ok(Err(Damage::Alone)) };
        let known = match self.load::<Known>(Kind::Known, &of_it, &value)? {
            Loaded::Whole(known) => known.whereabouts,
            Loaded::Damaged(damage) => return Ok(Err(damage)),
        };
        Ok(match (kind, known) {
            (Kind::LastResort, Whereabouts::LastResort(suite, used)) if suite == found.suite.code() => {
                Ok(used)
            }
            (Kind::Shelved, Whereabouts::Shelved(place)) if Some(place) == keys::place(key) => Ok(false),
            _ => Err(Damage::Alone),
        })
    }
}

impl View {
    /// What a copy says of a row that needs no other, if anything.
    fn record(&mut self, kind: Kind, key: &[u8], parts: Parts) -> Result<Option<Record>, Damage> {
        let number = keys::number(key).unwrap_or_default();
        Ok(Some(match kind {
            Kind::Inbox => Record::Inbox(InboxSeq::new(number), parts.read()?),
            Kind::Owed => Record::Owed(OwedId::new(number), parts.read()?),
            Kind::Answer => Record::Answer(keys::answer_key(key).ok_or(Damage::Form)?, parts.read()?),
            Kind::Transaction => Record::Transaction(parts.read()?),
            Kind::SetAside => Record::Aside(parts.read()?),
            Kind::Head => {
                let head = parts.read::<Head>()?;
                self.groups.insert(hash_of(key)?.to_vec(), head.group.clone());
                Record::Head(head)
            }
            Kind::Agenda => Record::Agenda(parts.read()?),
            Kind::Entry => Record::Entry(self.group(key)?, parts.read()?),
            Kind::Snapshot | Kind::FormerSnapshot => Record::Snapshot(self.group(key)?, parts.read()?),
            Kind::Staged => Record::Staged(parts.read()?),
            Kind::Frozen => {
                let FrozenGroup { group, frozen } = parts.read()?;
                Record::Frozen(group, frozen)
            }
            Kind::Known => match parts.read::<Known>()? {
                Known { reference, until, whereabouts: Whereabouts::Gone, .. } => {
                    Record::Gone(reference, until)
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    fn group(&self, key: &[u8]) -> Result<GroupId, Damage> {
        self.groups.get(hash_of(key)?).cloned().ok_or(Damage::Alone)
    }
}

/// The hash of a group's ID, in the key of something of the group.
fn hash_of(key: &[u8]) -> Result<&[u8], Damage> {
    key.get(1..33).ok_or(Damage::Form)
}

/// Where the next kind of rows begins, if copies do not speak of those that begin here.
fn after_untold(from: &[u8]) -> Option<Vec<u8>> {
    let first = *from.first()?;
    let kind = Kind::of_prefix(first)?;
    (!is_told(kind)).then(|| vec![first.saturating_add(1)])
}

/// Whether copies speak of this kind. The rest is told at once, follows from others, or is of this store alone.
fn is_told(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Owner
            | Kind::Keys
            | Kind::Issued
            | Kind::Cursor
            | Kind::Counters
            | Kind::Expiry
            | Kind::KnownUntil
            | Kind::Journal
            | Kind::Quarantined
    )
}

/// A copy of the embedded store that is being made.
#[derive(Debug)]
pub struct Copying {
    store: Store,
    number: u64,
    damaged: u64,
}

impl Store {
    /// Begins a copy of the store as it is now.
    pub async fn copy(&self) -> Result<Copying, BackendError> {
        let number = self.read(Engine::open_view).await?;
        Ok(Copying { store: self.clone(), number, damaged: 0 })
    }
}

impl Copying {
    /// The next records; none when all were told.
    pub async fn next(&mut self) -> Result<Vec<Record>, BackendError> {
        let number = self.number;
        loop {
            // One question for each page: between two, others have their turn.
            let page = self.store.read(move |engine| engine.view_page(number)).await?;
            self.damaged = page.damaged;
            if page.is_last || !page.records.is_empty() {
                return Ok(page.records);
            }
        }
    }

    /// How many records could not be told because they are damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }
}

impl Drop for Copying {
    /// Nothing more need be kept for it.
    fn drop(&mut self) {
        let number = self.number;
        self.store.tell(move |engine| engine.close_view(number));
    }
}
