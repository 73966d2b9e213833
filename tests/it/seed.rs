//! Random choices that can be made again: the seed is printed, and `MAYPOLE_SEED` sets it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// A small generator (splitmix64).
pub(crate) struct Seed(u64);

impl Seed {
    /// From `MAYPOLE_SEED`, or a new one. Shown with a test that fails.
    #[expect(clippy::disallowed_methods, reason = "a failure is repeated by setting the variable")]
    pub(crate) fn fresh() -> Self {
        let given = std::env::var("MAYPOLE_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("MAYPOLE_SEED={seed}");
        Self(seed)
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}
