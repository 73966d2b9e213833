//! The TLS presentation language (RFC 9420 §2.1), written: the other half of [`crate::reader`].

/// The longest that a vector `<V>` can be (§2.1.2).
pub const VECTOR_BYTES: usize = (1 << 30) - 1;

/// The bytes of an `opaque<V>` with its length.
pub(crate) const fn opaque_bytes(length: usize) -> usize {
    length
        + match length {
            0..=0x3f => 1,
            0x40..=0x3fff => 2,
            _ => 4,
        }
}

/// Appends the encodings of RFC 9420 to bytes.
///
/// ```
/// use maypole_mls::writer::Write as _;
///
/// let mut bytes = Vec::new();
/// bytes.put_opaque(b"hi");
/// bytes.put_vector(|inside| inside.put_u16(7));
/// assert_eq!(bytes, [2, b'h', b'i', 2, 0, 7]);
/// ```
pub trait Write {
    /// Bytes as they are.
    fn put(&mut self, bytes: &[u8]);

    /// A `uint8`.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// A `uint16`.
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// A `uint32`.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// A `uint64`.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    /// The length before a vector `<V>`, in its shortest form. Nothing longer than [`VECTOR_BYTES`] can be written; who
    /// holds more has bounded it before.
    fn put_length(&mut self, length: usize) {
        debug_assert!(length <= VECTOR_BYTES, "a vector of {length} bytes cannot be written");
        match length {
            0..=0x3f => self.put_u8(length as u8),
            0x40..=0x3fff => self.put_u16(0x4000 | length as u16),
            _ => self.put_u32(0x8000_0000 | length as u32),
        }
    }

    /// An `opaque<V>`.
    fn put_opaque(&mut self, bytes: &[u8]) {
        self.put_length(bytes.len());
        self.put(bytes);
    }

    /// A vector `<V>` of what is written inside.
    fn put_vector(&mut self, inside: impl FnOnce(&mut Vec<u8>))
    where
        Self: Sized,
    {
        let mut bytes = Vec::new();
        inside(&mut bytes);
        self.put_opaque(&bytes);
    }
}

impl Write for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reader::Reader;

    proptest! {
        #[test]
        fn what_is_written_is_read(length in 0usize..=VECTOR_BYTES, number in any::<u64>()) {
            let mut bytes = Vec::new();
            bytes.put_length(length);
            bytes.put_u64(number);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.length("length").unwrap(), length);
            prop_assert_eq!(reader.u64("number").unwrap(), number);
            prop_assert!(reader.end().is_ok());
            prop_assert_eq!(opaque_bytes(length), length + bytes.len() - 8);
        }
    }
}
