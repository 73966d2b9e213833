//! Choices that are read from bytes: a fuzzer's input, or what follows from a seed.

use crate::forge::dice::Dice;

/// A stream of choices. When the bytes have run out every choice is 0, and 0 is always the plainest.
///
/// ```
/// use maypole_testkit::forge::chance::Choices;
///
/// let mut choices = Choices::new(&[7, 254]);
/// assert_eq!(choices.below(4), 3);
/// assert!(choices.rarely(3));
/// assert_eq!((choices.below(4), choices.rarely(3)), (0, false));
/// ```
#[derive(Debug, Clone)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// The choices that these bytes make.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that look random, for choices that follow from a seed.
    pub fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
        Dice::new(seed).bytes(length)
    }

    /// Whether the bytes have run out.
    pub fn are_spent(&self) -> bool {
        self.rest.is_empty()
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A few of the bytes themselves, behind one that says how many.
    pub fn some(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte()).min(self.rest.len());
        let (some, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, &[]));
        self.rest = rest;
        some
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// A number below another; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let drawn = match end {
            0..=1 => return 0,
            2..=256 => usize::from(self.byte()),
            _ => usize::from(u16::from_be_bytes([self.byte(), self.byte()])),
        };
        drawn % end
    }

    /// True about once in so many times.
    pub fn rarely(&mut self, one_in: usize) -> bool {
        self.below(one_in) + 1 == one_in
    }

    /// One of some values, of which the first is the plainest.
    pub fn one_of<T: Copy>(&mut self, plainest: T, others: &[T]) -> T {
        match self.below(others.len() + 1) {
            0 => plainest,
            chosen => others.get(chosen - 1).copied().unwrap_or(plainest),
        }
    }
}
