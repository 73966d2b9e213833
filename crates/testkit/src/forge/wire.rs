//! How RFC 9420 writes things down (§2.1): big-endian numbers, and vectors behind the shortest length that fits.

/// Bytes being written.
#[derive(Debug, Default)]
pub(super) struct Wire(Vec<u8>);

impl Wire {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn u8(self, number: u8) -> Self {
        self.raw(&[number])
    }

    pub(super) fn u16(self, number: u16) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn u32(self, number: u32) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn u64(self, number: u64) -> Self {
        self.raw(&number.to_be_bytes())
    }

    /// Bytes as they are.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes behind their length, `opaque<V>`.
    pub(super) fn vector(self, bytes: &[u8]) -> Self {
        let length = bytes.len() as u32;
        let head = match length {
            0..64 => self.u8(length as u8),
            64..16_384 => self.u16(length as u16 | 0x4000),
            _ => self.u32(length | 0x8000_0000),
        };
        head.raw(bytes)
    }

    /// Items one after the other, behind the length of all of them.
    pub(super) fn list<T>(self, items: impl IntoIterator<Item = T>, write: impl Fn(Wire, T) -> Wire) -> Self {
        let inner = items.into_iter().fold(Wire::new(), write);
        self.vector(&inner.0)
    }

    /// A list of 16-bit numbers.
    pub(super) fn numbers(self, numbers: &[u16]) -> Self {
        self.list(numbers, |wire, number| wire.u16(*number))
    }

    /// What may be there, behind a byte that says whether it is.
    pub(super) fn optional<T>(self, value: Option<T>, write: impl FnOnce(Wire, T) -> Wire) -> Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Wire;

    #[test]
    fn lengths_are_the_shortest_that_fit() {
        let head = |length: usize| Wire::new().vector(&vec![7; length]).done()[..4].to_vec();
        assert_eq!(head(37)[..2], [0x25, 7]);
        assert_eq!(head(63)[..2], [0x3f, 7]);
        assert_eq!(head(64)[..3], [0x40, 0x40, 7]);
        assert_eq!(head(15_293)[..3], [0x7b, 0xbd, 7]);
        assert_eq!(head(16_384), [0x80, 0, 0x40, 0]);
    }
}
