//! The directory of KeyPackages.
//!
//! A KeyPackage has three records: itself, in its device's stock; what is known of it, by its reference, which outlives the
//! first; and a row by which that is found when its time is over. It is in stock if what is known of it says where, and it is
//! there: so whatever one of them loses, nothing is handed out twice.

use std::collections::HashSet;

use maypole_core::directory::{KeyPackage, LastResort, Shelved, Standing, Stock};
use maypole_core::ids::{ClientId, KeyPackageRef, Sha256, ShelfPlace};
use maypole_core::time::Timestamp;
use maypole_mls::Suite;

use super::apply::put;
use super::engine::{Changes, Engine, Loaded};
use super::forms::{Known, Whereabouts};
use super::keys::{self, Kind};
use super::log::Failure;
use super::record::{Damage, Packed};

/// What the writer needs to know of a KeyPackage that enters the stock.
#[derive(Debug)]
pub(super) struct Arrival {
    reference: KeyPackageRef,
    shelf: Sha256,
    suite: Suite,
    until: Timestamp,
    last_resort: bool,
}

impl Arrival {
    pub(super) fn of(key_package: &KeyPackage) -> Self {
        Self {
            reference: key_package.reference.clone(),
            shelf: keys::shelf(&key_package.client),
            suite: key_package.suite,
            until: key_package.known_until(),
            last_resort: key_package.last_resort,
        }
    }
}

impl Engine {
    /// A KeyPackage enters the stock.
    pub(super) fn shelve(
        &mut self,
        changes: &mut Changes,
        arrival: Arrival,
        packed: &Packed,
    ) -> Result<(), Failure> {
        let Arrival { reference, shelf, suite, until, last_resort } = arrival;
        self.discard(changes, &reference)?;
        let (kind, key, whereabouts) = if last_resort {
            let key = keys::last_resort(&shelf, suite);
            if let Some(before) = self.current(changes, &key)?
                && let Loaded::Whole(before) = self.peek::<KeyPackage>(Kind::LastResort, &key, &before)?
            {
                self.take_out(changes, &before.reference)?;
            }
            (Kind::LastResort, key, Whereabouts::LastResort(suite.code(), false))
        } else {
            let place = self.next_place(changes, &shelf)?;
            (Kind::Shelved, keys::shelved(&shelf, place), Whereabouts::Shelved(place))
        };
        put(changes, kind, key, packed);
        put_until(changes, until, &reference);
        put_known(changes, Known { reference, shelf, until, whereabouts })
    }

    /// The place behind all others of a device's stock.
    fn next_place(&mut self, changes: &Changes, shelf: &Sha256) -> Result<u64, Failure> {
        let (first, last) = (keys::shelved(shelf, 0), keys::shelved(shelf, u64::MAX));
        let in_batch = changes.range(first.clone()..=last.clone()).next_back();
        let in_batch = in_batch.and_then(|(key, _)| keys::place(key));
        let in_log = self.log.range(&first, &last)?.next_back().transpose()?;
        let in_log = in_log.and_then(|(key, _)| keys::place(&key));
        Ok(in_batch.max(in_log).map_or(0, |place| place.saturating_add(1)))
    }

    /// A KeyPackage leaves the stock and stays known.
    pub(super) fn take_out(&self, changes: &mut Changes, reference: &KeyPackageRef) -> Result<(), Failure> {
        let Some(Loaded::Whole(known)) = self.known(changes, reference)? else { return Ok(()) };
        if let Some(row) = self.row_of(changes, &known)? {
            changes.insert(row, None);
        }
        put_known(changes, Known { whereabouts: Whereabouts::Gone, ..known })
    }

    /// A last resort was handed out.
    pub(super) fn use_last_resort(
        &self,
        changes: &mut Changes,
        reference: &KeyPackageRef,
    ) -> Result<(), Failure> {
        match self.known(changes, reference)? {
            Some(Loaded::Whole(known)) => match known.whereabouts {
                Whereabouts::LastResort(suite, false) => {
                    put_known(changes, Known { whereabouts: Whereabouts::LastResort(suite, true), ..known })
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Nothing is known of a KeyPackage any more. Of one whose record is damaged the row with its time stays; it is removed
    /// when that has come.
    pub(super) fn discard(&self, changes: &mut Changes, reference: &KeyPackageRef) -> Result<(), Failure> {
        let Some(known) = self.known(changes, reference)? else { return Ok(()) };
        if let Loaded::Whole(known) = known {
            if let Some(row) = self.row_of(changes, &known)? {
                changes.insert(row, None);
            }
            changes.insert(keys::known_until(known.until, reference), None);
        }
        changes.insert(keys::known(reference), None);
        Ok(())
    }

    /// A KeyPackage is not in stock, and known until a time, whether or not it was here.
    pub(super) fn know_gone(
        &self,
        changes: &mut Changes,
        reference: KeyPackageRef,
        until: Timestamp,
    ) -> Result<(), Failure> {
        self.discard(changes, &reference)?;
        put_until(changes, until, &reference);
        // Whose it was nobody asks of one that is gone.
        let (shelf, whereabouts) = (Sha256::from_bytes([0; 32]), Whereabouts::Gone);
        put_known(changes, Known { reference, shelf, until, whereabouts })
    }

    /// What is known of a KeyPackage, as the batch so far leaves it.
    fn known(&self, changes: &Changes, reference: &KeyPackageRef) -> Result<Option<Loaded<Known>>, Failure> {
        let key = keys::known(reference);
        let Some(value) = self.current(changes, &key)? else { return Ok(None) };
        self.load(Kind::Known, &key, &value).map(Some)
    }

    /// The key of a KeyPackage in stock, if it is there.
    fn row_of(&self, changes: &Changes, known: &Known) -> Result<Option<Vec<u8>>, Failure> {
        let (kind, key) = match known.whereabouts {
            Whereabouts::Shelved(place) => (Kind::Shelved, keys::shelved(&known.shelf, place)),
            Whereabouts::LastResort(code, _) => match Suite::from_code(code) {
                Some(suite) => (Kind::LastResort, keys::last_resort(&known.shelf, suite)),
                None => return Ok(None),
            },
            Whereabouts::Gone => return Ok(None),
        };
        let Some(value) = self.current(changes, &key)? else { return Ok(None) };
        // Where a damaged one was moved away, its place may be another's now.
        Ok(match self.peek::<KeyPackage>(kind, &key, &value)? {
            Loaded::Whole(found) => (found.reference == known.reference).then_some(key),
            Loaded::Damaged(_) => None,
        })
    }

    /// What is known of a KeyPackage. One whose record is damaged may have been handed out.
    pub(super) fn standing(&self, reference: &KeyPackageRef) -> Result<Option<Standing>, Failure> {
        let none = Changes::new();
        Ok(match self.known(&none, reference)? {
            None => None,
            Some(Loaded::Whole(known)) if self.row_of(&none, &known)?.is_some() => Some(Standing::InStock),
            Some(_) => Some(Standing::Gone),
        })
    }

    /// How many KeyPackages a device has in stock.
    pub(super) fn shelved_rows(&mut self, client: &ClientId) -> Result<usize, Failure> {
        let shelf = keys::shelf(client);
        let rows = self.log.range(&keys::shelved(&shelf, 0), &keys::shelved(&shelf, u64::MAX))?;
        rows.map(|row| Ok(row.map(|_| 1_usize)?)).sum()
    }

    /// A device's KeyPackages after a place, oldest first.
    pub(super) fn stocked(
        &mut self,
        client: &ClientId,
        after: Option<ShelfPlace>,
        limit: usize,
    ) -> Result<Vec<Shelved>, Failure> {
        let Some(first) = after.map_or(Some(0), |after| after.get().checked_add(1)) else {
            return Ok(Vec::new());
        };
        let shelf = keys::shelf(client);
        let found = self.rows(&keys::shelved(&shelf, first), &keys::shelved(&shelf, u64::MAX), limit)?;
        let shelved = |(key, key_package): (Vec<u8>, KeyPackage)| {
            Some(Shelved { place: ShelfPlace::new(keys::place(&key)?), key_package })
        };
        Ok(found.into_iter().filter_map(shelved).collect())
    }

    /// KeyPackages in stock, with their keys. One of which something else is known, or nothing, is moved out of the way: it
    /// can neither be handed out nor taken out.
    fn rows(
        &mut self,
        first: &[u8],
        last: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, KeyPackage)>, Failure> {
        loop {
            let rows = self.log.range(first, last)?;
            let found = self.collect::<KeyPackage>(Kind::Shelved, rows, limit)?;
            let mut alone = Vec::new();
            for (key, key_package) in &found {
                let known = self.known(&Changes::new(), &key_package.reference)?;
                let place = keys::place(key).map(Whereabouts::Shelved);
                if !matches!(known, Some(Loaded::Whole(known)) if Some(known.whereabouts) == place) {
                    alone.extend(self.log.get(key)?.map(|value| (key.clone(), value)));
                }
            }
            if alone.is_empty() {
                return Ok(found);
            }
            for (key, value) in alone {
                self.quarantine(&key, &value, Damage::Alone)?;
            }
        }
    }

    /// A device's last resorts, by suite.
    pub(super) fn last_resorts(&mut self, client: &ClientId) -> Result<Vec<LastResort>, Failure> {
        let shelf = keys::shelf(client);
        let mut found = Vec::new();
        for suite in Suite::ALL {
            let key = keys::last_resort(&shelf, suite);
            let Some(value) = self.log.get(&key)? else { continue };
            match self.load::<KeyPackage>(Kind::LastResort, &key, &value)? {
                Loaded::Whole(key_package) => {
                    let known = self.known(&Changes::new(), &key_package.reference)?;
                    if let Some(Loaded::Whole(known)) = known
                        && let Whereabouts::LastResort(_, used) = known.whereabouts
                    {
                        found.push(LastResort { key_package, used });
                    }
                }
                Loaded::Damaged(damage) => self.quarantine(&key, &value, damage)?,
            }
        }
        Ok(found)
    }

    /// How much a device has in stock that has not ended.
    pub(super) fn stock(&mut self, client: &ClientId, now: Timestamp) -> Result<Stock, Failure> {
        let shelf = keys::shelf(client);
        let mut stock = Stock::default();
        for row in self.log.range(&keys::shelved(&shelf, 0), &keys::shelved(&shelf, u64::MAX))? {
            let (key, value) = row?;
            if let Loaded::Whole(found) = self.peek::<KeyPackage>(Kind::Shelved, &key, &value)? {
                stock.key_packages = stock.key_packages.saturating_add(u64::from(found.ends >= now));
            }
        }
        for last in self.last_resorts(client)?.iter().filter(|last| last.key_package.ends >= now) {
            stock.last_resorts = stock.last_resorts.saturating_add(1);
            stock.last_resort_used |= last.used;
        }
        Ok(stock)
    }

    /// Some KeyPackages in stock, of any devices.
    pub(super) fn any_stocked(&mut self, limit: usize) -> Result<Vec<KeyPackageRef>, Failure> {
        let (first, last) = all_of(Kind::Shelved);
        let found = self.rows(&first, &last, limit)?;
        Ok(found.into_iter().map(|(_, key_package)| key_package.reference).collect())
    }

    /// KeyPackages of which nothing need be known any more. What is damaged or left over of others is removed.
    pub(super) fn outlived(&mut self, now: Timestamp, limit: usize) -> Result<Vec<KeyPackageRef>, Failure> {
        let last = [keys::row(Kind::KnownUntil, now.as_millis()).as_slice(), &[u8::MAX; 32]].concat();
        let mut found = Vec::new();
        let mut stray = Changes::new();
        for row in self.log.range(&keys::row(Kind::KnownUntil, 0), &last)? {
            if found.len() >= limit {
                break;
            }
            let (key, _) = row?;
            match self.known_of_row(&key)? {
                Some(Loaded::Whole(known)) if keys::number(&key) == Some(known.until.as_millis()) => {
                    found.push(known.reference);
                    continue;
                }
                Some(Loaded::Damaged(_)) => stray.extend(keys::known_of_row(&key).map(|key| (key, None))),
                _ => {}
            }
            stray.insert(key.to_vec(), None);
        }
        if !stray.is_empty() {
            self.commit(stray)?;
        }
        Ok(found)
    }

    fn known_of_row(&self, row: &[u8]) -> Result<Option<Loaded<Known>>, Failure> {
        let Some(key) = keys::known_of_row(row) else { return Ok(None) };
        let Some(value) = self.log.get(&key)? else { return Ok(None) };
        self.load(Kind::Known, &key, &value).map(Some)
    }

    /// When a KeyPackage need not be known any more, by what is known of it.
    pub(super) fn until_of_row(&self, row: &[u8]) -> Result<Option<Timestamp>, Failure> {
        Ok(match self.known_of_row(row)? {
            Some(Loaded::Whole(known)) => Some(known.until),
            _ => None,
        })
    }

    /// What is known of KeyPackages, where that is damaged, is written anew for those that are in stock. The others may have
    /// been handed out.
    pub(super) fn mend_known(&mut self, damaged: &HashSet<Vec<u8>>) -> Result<HashSet<Vec<u8>>, Failure> {
        let mut mended = Changes::new();
        for kind in [Kind::Shelved, Kind::LastResort] {
            let (first, last) = all_of(kind);
            for row in self.log.range(&first, &last)? {
                let (key, value) = row?;
                let Loaded::Whole(found) = self.peek::<KeyPackage>(kind, &key, &value)? else { continue };
                if damaged.contains(&keys::known(&found.reference)) {
                    let whereabouts = match kind {
                        Kind::Shelved => Whereabouts::Shelved(keys::place(&key).unwrap_or_default()),
                        // It may have been.
                        _ => Whereabouts::LastResort(found.suite.code(), true),
                    };
                    let Arrival { reference, shelf, until, .. } = Arrival::of(&found);
                    put_known(&mut mended, Known { reference, shelf, until, whereabouts })?;
                }
            }
        }
        let keys = mended.keys().cloned().collect();
        if !mended.is_empty() {
            self.commit(mended)?;
        }
        Ok(keys)
    }
}

/// The first and the last key of a kind.
fn all_of(kind: Kind) -> (Vec<u8>, Vec<u8>) {
    (vec![kind.prefix()], [&[kind.prefix()][..], &[u8::MAX; keys::KEY_BYTES]].concat())
}

fn put_until(changes: &mut Changes, until: Timestamp, reference: &KeyPackageRef) {
    if let Ok(empty) = Packed::of_parts(&[], Vec::new()) {
        put(changes, Kind::KnownUntil, keys::known_until(until, reference), &empty);
    }
}

fn put_known(changes: &mut Changes, known: Known) -> Result<(), Failure> {
    let key = keys::known(&known.reference);
    let packed = Packed::of(known).map_err(|damage: Damage| Failure(damage.to_string()))?;
    put(changes, Kind::Known, key, &packed);
    Ok(())
}
