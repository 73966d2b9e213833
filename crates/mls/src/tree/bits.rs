//! A set of small numbers in which the next and the previous member are found in a few steps.
//!
//! Words of 64 bits; above each row of words, a row of bits says which of them are not empty.

/// The set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    rows: Vec<Vec<u64>>,
    count: u32,
}

const WORD_BITS: usize = u64::BITS as usize;

impl Bits {
    /// How many numbers are in it.
    pub(crate) fn len(&self) -> u32 {
        self.count
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        let number = number as usize;
        self.word(0, number / WORD_BITS) & (1 << (number % WORD_BITS)) != 0
    }

    pub(crate) fn insert(&mut self, number: u32) {
        if self.contains(number) {
            return;
        }
        self.count += 1;
        let mut number = number as usize;
        let mut row = 0;
        loop {
            let place = number / WORD_BITS;
            if self.rows.len() <= row {
                // A new row on top speaks of all the words that there were below it.
                let below = row.checked_sub(1).and_then(|below| self.rows.get(below));
                let first = below.and_then(|below| below.first()).is_some_and(|word| *word != 0);
                self.rows.push(vec![u64::from(first)]);
            }
            let Some(words) = self.rows.get_mut(row) else { return };
            if words.len() <= place {
                words.resize(place + 1, 0);
            }
            let Some(word) = words.get_mut(place) else { return };
            *word |= 1 << (number % WORD_BITS);
            if words.len() == 1 {
                return;
            }
            number = place;
            row += 1;
        }
    }

    pub(crate) fn remove(&mut self, number: u32) {
        if !self.contains(number) {
            return;
        }
        self.count -= 1;
        let mut number = number as usize;
        for words in &mut self.rows {
            let Some(word) = words.get_mut(number / WORD_BITS) else { return };
            *word &= !(1 << (number % WORD_BITS));
            if *word != 0 {
                return;
            }
            number /= WORD_BITS;
        }
    }

    /// The smallest member that is at least `from`.
    pub(crate) fn next(&self, from: u32) -> Option<u32> {
        let mut number = from as usize;
        let mut row = 0;
        loop {
            let words = self.rows.get(row)?;
            let place = number / WORD_BITS;
            let word = words.get(place).copied().unwrap_or(0) & (u64::MAX << (number % WORD_BITS));
            if word != 0 {
                return self.descend(
                    row,
                    place * WORD_BITS + word.trailing_zeros() as usize,
                    u64::trailing_zeros,
                );
            }
            number = place + 1;
            row += 1;
        }
    }

    /// The largest member that is at most `from`.
    pub(crate) fn previous(&self, from: u32) -> Option<u32> {
        let mut number = from as usize;
        let mut row = 0;
        loop {
            let words = self.rows.get(row)?;
            number = number.min(words.len() * WORD_BITS - 1);
            let place = number / WORD_BITS;
            let word = self.word(row, place) & (u64::MAX >> (WORD_BITS - 1 - number % WORD_BITS));
            let highest = |word: u64| u64::BITS - 1 - word.leading_zeros();
            if word != 0 {
                return self.descend(row, place * WORD_BITS + highest(word) as usize, highest);
            }
            number = place.checked_sub(1)?;
            row += 1;
        }
    }

    fn descend(&self, row: usize, number: usize, pick: impl Fn(u64) -> u32) -> Option<u32> {
        let found = (0..row)
            .rev()
            .fold(number, |place, row| place * WORD_BITS + pick(self.word(row, place)) as usize);
        u32::try_from(found).ok()
    }

    fn word(&self, row: usize, place: usize) -> u64 {
        self.rows.get(row).and_then(|words| words.get(place)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_tree_set(
            steps in proptest::collection::vec((any::<bool>(), prop_oneof![0u32..70, 0u32..5000, 0u32..300_000]), 0..300)
        ) {
            let mut bits = Bits::default();
            let mut set = BTreeSet::new();
            for (add, number) in steps {
                if add {
                    bits.insert(number);
                    set.insert(number);
                } else {
                    bits.remove(number);
                    set.remove(&number);
                }
                prop_assert_eq!(bits.len() as usize, set.len());
                for from in [0, number.saturating_sub(1), number, number + 1, number / 2, number * 2, 400_000] {
                    prop_assert_eq!(bits.contains(from), set.contains(&from));
                    prop_assert_eq!(bits.next(from), set.range(from..).next().copied(), "next of {}", from);
                    prop_assert_eq!(bits.previous(from), set.range(..=from).next_back().copied(), "previous of {}", from);
                }
            }
        }
    }
}
