//! What keeps sled within what it syncs: no blob file, ever, and never more unsynced than one segment.

use std::fs;
use std::sync::Arc;

use maypole_core::limits;

use super::Somewhere;
use crate::storage::sled::disk::RealDisk;
use crate::storage::sled::engine::Changes;
use crate::storage::sled::engine::Engine;
use crate::storage::sled::folder::Folder;
use crate::storage::sled::generation;
use crate::storage::sled::keys::KEY_BYTES;
use crate::storage::sled::log::SEGMENT_BYTES;

/// Numbers without pattern.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) % bound
    }
}

/// The longest keys, in an order without pattern, so that every write meets another page.
fn key(number: u64) -> Vec<u8> {
    let mut key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec();
    key.resize(KEY_BYTES, b'k');
    key
}

#[test]
fn the_largest_values_on_the_longest_keys_make_no_blob_and_no_wide_gap() {
    let place = Somewhere::new();
    let folder = Folder::hold(&place.path(), &RealDisk).unwrap();
    let disk: Arc<dyn crate::storage::sled::disk::Disk> = Arc::new(RealDisk);
    let mut engine = Engine::open(&folder, &disk).unwrap();
    let mut numbers = Numbers(7);
    for round in 0..120 {
        // Growing, rewriting, and emptying in turn: splits, consolidations, merges.
        let removing = round % 4 == 3;
        let changes: Changes = (0..limits::SLED_BATCH_WRITES)
            .map(|_| {
                let number = numbers.below(3_000);
                let size = if numbers.below(8) == 0 { 1 } else { limits::SLED_VALUE_BYTES };
                let value = vec![u8::try_from(numbers.below(256)).unwrap(); size];
                (key(number), (!removing).then_some(value))
            })
            .collect();
        engine.log.apply(changes.into_iter()).unwrap();
        if numbers.below(3) == 0 {
            engine.sync().unwrap();
        }
    }
    // From one end to the other: every page merges into its neighbour.
    let mut all: Vec<Vec<u8>> = (0..3_000).map(key).collect();
    all.sort_unstable();
    all.reverse();
    for keys in all.chunks(limits::SLED_BATCH_WRITES) {
        engine.log.apply(keys.iter().map(|key| (key.clone(), None))).unwrap();
    }
    engine.sync().unwrap();
    assert_eq!(
        fs::read_dir(generation::current(folder.path()).unwrap().unwrap().join("blobs")).unwrap().count(),
        0,
        "sled wrote a blob file"
    );
    let widest = engine.log.widest;
    assert!(widest > limits::SLED_UNSYNCED_BYTES / 2, "the test wrote too little to mean anything: {widest}");
    assert!(widest < SEGMENT_BYTES, "{widest} bytes were not synced");
}
