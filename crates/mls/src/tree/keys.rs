//! Where in the tree a key stands, found by the key.
//!
//! The table holds places and short hashes alone; the keys themselves are in the nodes. So it costs some ten bytes a
//! key. The hash is seeded at random by the standard library, so that nobody can choose keys that collide; the seed
//! shows in no result.
//!
//! A table that is full is not made anew at once: its entries move to a larger one a few at a time, with each key that
//! comes. So no commit pays for all the keys of a group.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

/// Places of keys. A key may stand at several places.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyTable {
    entries: HashTable<Entry>,
    outgrown: Option<Box<Outgrown>>,
    seed: RandomState,
}

/// What a table was until it was full.
#[derive(Clone, Debug)]
struct Outgrown {
    entries: HashTable<Entry>,
    /// So many buckets, from the first on, are empty by now.
    emptied: usize,
}

/// Buckets that are emptied with each key that comes: enough that a table is through before the next one is full, unless it
/// had lost most of its keys before; then the next one grows as a whole, which is little.
const EMPTIED_AT_ONCE: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Entry {
    short: u32,
    place: u32,
}

impl KeyTable {
    /// Notes that a key stands at a place.
    pub(crate) fn insert(&mut self, key: &[u8], place: u32) {
        self.make_room();
        let short = self.short(key);
        self.insert_entry(Entry { short, place });
    }

    fn insert_entry(&mut self, entry: Entry) {
        self.entries.insert_unique(spread(entry.short), entry, |entry| spread(entry.short));
    }

    fn make_room(&mut self) {
        if self.outgrown.is_none() && self.entries.len() == self.entries.capacity() {
            let larger = HashTable::with_capacity(self.entries.len() + self.entries.len() / 2);
            let entries = std::mem::replace(&mut self.entries, larger);
            self.outgrown = Some(Box::new(Outgrown { entries, emptied: 0 }));
        }
        let Some(mut outgrown) = self.outgrown.take() else { return };
        for _ in 0..EMPTIED_AT_ONCE {
            if let Ok(found) = outgrown.entries.get_bucket_entry(outgrown.emptied) {
                let (entry, _) = found.remove();
                self.insert_entry(entry);
            }
            outgrown.emptied += 1;
        }
        self.outgrown = Some(outgrown).filter(|outgrown| !outgrown.entries.is_empty());
    }

    /// Forgets that a key stands at a place.
    pub(crate) fn remove(&mut self, key: &[u8], place: u32) {
        let short = self.short(key);
        let outgrown = self.outgrown.as_mut().map(|outgrown| &mut outgrown.entries);
        for table in std::iter::once(&mut self.entries).chain(outgrown) {
            let found = table.find_entry(spread(short), |entry| entry.place == place && entry.short == short);
            if let Ok(found) = found {
                found.remove();
                return;
            }
        }
    }

    /// A place that `stands_there` confirms.
    pub(crate) fn find(&self, key: &[u8], stands_there: impl Fn(u32) -> bool) -> Option<u32> {
        let short = self.short(key);
        let is_it = |entry: &Entry| entry.short == short && stands_there(entry.place);
        let outgrown = self.outgrown.as_ref().map(|outgrown| &outgrown.entries);
        let mut tables = std::iter::once(&self.entries).chain(outgrown);
        tables.find_map(|table| table.find(spread(short), is_it)).map(|entry| entry.place)
    }

    fn short(&self, key: &[u8]) -> u32 {
        self.seed.hash_one(key) as u32
    }
}

/// The table takes its place from the low bits of a hash and its tag from the high ones: the same bits are in both halves.
fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x1_0000_0001)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_at_two_places_is_found_at_each() {
        let mut table = KeyTable::default();
        table.insert(b"key", 4);
        table.insert(b"key", 8);
        table.insert(b"other", 6);
        assert_eq!(table.find(b"key", |place| place == 8), Some(8));
        assert_eq!(table.find(b"key", |place| place == 6), None);
        table.remove(b"key", 8);
        table.remove(b"other", 4);
        assert_eq!(table.find(b"key", |place| place == 8), None);
        assert_eq!(table.find(b"key", |_| true), Some(4));
        assert_eq!(table.find(b"other", |_| true), Some(6));
        assert_eq!(table.find(b"neither", |_| true), None);
    }

    /// Only a full table makes room for a larger one, and whoever comes then moves a few entries and not all.
    #[test]
    fn a_full_table_is_left_a_few_keys_at_a_time() {
        let mut table = KeyTable::default();
        for place in 0..3_000_u32 {
            let (length, capacity) = (table.entries.len(), table.entries.capacity());
            table.insert(&place.to_be_bytes(), place);
            let is_new = table.entries.capacity() != capacity;
            assert_eq!(is_new, length == capacity, "at {place}");
            let stay = if is_new { 0 } else { length };
            assert!(table.entries.len() <= stay + EMPTIED_AT_ONCE + 1, "at {place}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set_while_it_grows(
            seed in any::<u32>(), kept in 1u32..9, count in 0u32..3_000
        ) {
            let mut table = KeyTable::default();
            let key = |place: u32| (place ^ seed).to_be_bytes();
            let is_kept = |place: u32| place.is_multiple_of(kept);
            for place in 0..count {
                table.insert(&key(place), place);
                let before = place / 2;
                if !is_kept(before) {
                    table.remove(&key(before), before);
                }
                prop_assert_eq!(table.find(&key(place), |at| at == place), Some(place));
            }
            for place in 0..count {
                let expected = is_kept(place) || place > (count - 1) / 2;
                prop_assert_eq!(table.find(&key(place), |at| at == place).is_some(), expected, "{}", place);
            }
        }
    }
}
