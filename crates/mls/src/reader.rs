//! A cursor over the TLS presentation language as RFC 9420 §2.1 uses it.
//!
//! It borrows from its input and allocates nothing. It refuses lengths that are not written in their shortest form
//! (§2.1.2) and lengths beyond the input, and says at which byte it stopped.

/// Where and why bytes stopped making sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {problem}")]
pub struct Broken {
    /// The byte, counted from the start of the input.
    pub offset: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Bytes still to be read.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of some bytes.
    ///
    /// ```
    /// use maypole_mls::reader::Reader;
    ///
    /// let mut reader = Reader::new(&[0x02, b'h', b'i', 0x00, 0x07]);
    /// assert_eq!(reader.opaque("greeting").unwrap(), b"hi");
    /// assert_eq!(reader.u16("number").unwrap(), 7);
    /// assert!(reader.end().is_ok());
    /// ```
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    /// How many bytes were read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes that were not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error at the place that is to be read next.
    pub fn broken(&self, problem: &'static str) -> Broken {
        Broken { offset: self.offset, problem }
    }

    /// Refuses bytes that are left over.
    pub fn end(&self) -> Result<(), Broken> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.broken("bytes are left over")) }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.broken(what))?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Broken> {
        let here = self.broken(what);
        self.take(N, what)?.try_into().map_err(|_| here)
    }

    /// A `uint8`.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Broken> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// A `uint16`.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Broken> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// A `uint32`.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Broken> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// A `uint64`.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Broken> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// The length before a vector `<V>`, in its shortest form (RFC 9420 §2.1.2).
    pub fn length(&mut self, what: &'static str) -> Result<usize, Broken> {
        let here = self.broken("a length is not written in its shortest form");
        let first = self.u8(what)?;
        let low = u32::from(first & 0x3f);
        let (length, least) = match first >> 6 {
            0 => (low, 0),
            1 => ((low << 8) | u32::from(self.u8(what)?), 1 << 6),
            2 => {
                let [a, b, c] = self.array::<3>(what)?;
                (u32::from_be_bytes([first & 0x3f, a, b, c]), 1 << 14)
            }
            _ => return Err(Broken { problem: "a length starts with the bits 11", ..here }),
        };
        if length < least {
            return Err(here);
        }
        usize::try_from(length).map_err(|_| here)
    }

    /// An `opaque<V>`.
    pub fn opaque(&mut self, what: &'static str) -> Result<&'a [u8], Broken> {
        let length = self.length(what)?;
        self.take(length, what)
    }

    /// What was read since an earlier state of the same cursor.
    ///
    /// ```
    /// use maypole_mls::reader::Reader;
    ///
    /// let mut reader = Reader::new(&[1, 2, 3]);
    /// let start = reader.clone();
    /// reader.u16("number").unwrap();
    /// assert_eq!(reader.since(&start), [1, 2]);
    /// ```
    pub fn since(&self, earlier: &Self) -> &'a [u8] {
        let length = self.offset.saturating_sub(earlier.offset);
        earlier.rest.get(..length).unwrap_or_default()
    }

    /// An `optional<T>`'s mark: whether a value follows (§2.1.1).
    pub fn present(&mut self, what: &'static str) -> Result<bool, Broken> {
        let unknown = self.broken("an optional value is marked neither absent nor present");
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(unknown),
        }
    }

    /// The inside of a vector `<V>`, as a cursor that knows its place in the whole.
    pub fn vector(&mut self, what: &'static str) -> Result<Self, Broken> {
        let length = self.length(what)?;
        let offset = self.offset;
        Ok(Self { rest: self.take(length, what)?, offset })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write_length(length: u32) -> Vec<u8> {
        match length {
            0..=0x3f => vec![length as u8],
            0x40..=0x3fff => (0x4000 | length as u16).to_be_bytes().to_vec(),
            _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
        }
    }

    #[test]
    fn lengths_of_the_rfc() {
        for (bytes, length) in
            [(&[0x9d, 0x7f, 0x3e, 0x7d][..], 494_878_333), (&[0x7b, 0xbd], 15_293), (&[0x25], 37)]
        {
            assert_eq!(Reader::new(bytes).length("length").unwrap(), length);
        }
    }

    #[test]
    fn lengths_that_are_too_long_are_refused() {
        for bytes in
            [&[0x40, 0x25][..], &[0x80, 0, 0, 0x25], &[0x80, 0, 0x3f, 0xff], &[0xc0, 0, 0, 0, 0, 0, 0, 1]]
        {
            assert_eq!(Reader::new(bytes).length("length").unwrap_err().offset, 0, "{bytes:?}");
        }
    }

    #[test]
    fn an_inner_cursor_knows_its_place() {
        let mut outer = Reader::new(&[0xaa, 0x02, 0x01, 0x02, 0xbb]);
        outer.u8("first").unwrap();
        let mut inner = outer.vector("inner").unwrap();
        inner.u8("one").unwrap();
        assert_eq!(inner.u16("two").unwrap_err(), Broken { offset: 3, problem: "two" });
        assert_eq!(outer.u8("last").unwrap(), 0xbb);
    }

    proptest! {
        #[test]
        fn lengths_come_back(length in 0u32..1 << 30) {
            let bytes = write_length(length);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.length("length").unwrap(), length as usize);
            prop_assert!(reader.end().is_ok());
        }

        #[test]
        fn a_length_that_is_taken_was_in_its_shortest_form(bytes in proptest::collection::vec(any::<u8>(), 0..6)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(length) = reader.length("length") {
                prop_assert_eq!(write_length(length as u32), &bytes[..reader.offset()]);
            }
        }
    }
}
