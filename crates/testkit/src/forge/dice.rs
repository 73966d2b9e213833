//! Bytes that look random and follow from a seed, so that a failure can be had again.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};

/// A stream of bytes: SHA-256 over the seed and a count of what was drawn before.
#[derive(Debug)]
pub(super) struct Dice {
    seed: u64,
    drawn: AtomicU64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 31);
        while bytes.len() < length {
            let turn = self.drawn.fetch_add(1, Ordering::Relaxed);
            let mut input = self.seed.to_be_bytes().to_vec();
            input.extend_from_slice(&turn.to_be_bytes());
            bytes.extend_from_slice(digest(&SHA256, &input).as_ref());
        }
        bytes.truncate(length);
        bytes
    }
}

impl Clone for Dice {
    /// The copy draws from here on what the original would have drawn.
    fn clone(&self) -> Self {
        Self { seed: self.seed, drawn: AtomicU64::new(self.drawn.load(Ordering::Relaxed)) }
    }
}
