//! Where in the tree a key stands, found by the key.
//!
//! The table holds places and short hashes alone; the keys themselves are in the nodes. So it costs some ten bytes a
//! key. The hash is seeded at random by the standard library, so that nobody can choose keys that collide; the seed
//! shows in no result.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

/// Places of keys. A key may stand at several places.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyTable {
    entries: HashTable<Entry>,
    seed: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    short: u32,
    place: u32,
}

impl KeyTable {
    /// Notes that a key stands at a place.
    pub(crate) fn insert(&mut self, key: &[u8], place: u32) {
        let short = self.short(key);
        self.entries.insert_unique(spread(short), Entry { short, place }, |entry| spread(entry.short));
    }

    /// Forgets that a key stands at a place.
    pub(crate) fn remove(&mut self, key: &[u8], place: u32) {
        let short = self.short(key);
        if let Ok(found) =
            self.entries.find_entry(spread(short), |entry| entry.place == place && entry.short == short)
        {
            found.remove();
        }
    }

    /// A place that `stands_there` confirms.
    pub(crate) fn find(&self, key: &[u8], stands_there: impl Fn(u32) -> bool) -> Option<u32> {
        let short = self.short(key);
        self.entries
            .find(spread(short), |entry| entry.short == short && stands_there(entry.place))
            .map(|entry| entry.place)
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
}
