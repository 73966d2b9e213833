//! A tiny generator of numbers that are the same on every machine for the same seed, so that a failure's seed is enough to see
//! it again. Nothing secret may come from it.

/// The generator `splitmix64`: one addition and three mixing steps a number.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator whose numbers follow from the seed alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 if `end` is 0. The slight bias does not matter for choosing places.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_number().checked_rem(end).unwrap_or(0)
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.next_number() >> 63 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_generator() {
        let mut numbers = SplitMix64::new(1_234_567);
        assert_eq!(numbers.next_number(), 6_457_827_717_110_365_317);
        assert_eq!(numbers.next_number(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn below_stays_below_and_the_coin_has_two_sides() {
        let mut numbers = SplitMix64::new(7);
        assert_eq!(numbers.below(0), 0);
        assert!((0..1_000).all(|_| numbers.below(3) < 3));
        let heads = (0..1_000).filter(|_| numbers.coin()).count();
        assert!((400..600).contains(&heads), "{heads}");
    }
}
