//! A copy in a file: the name of the form, frames of records, and an end without which the file is not whole.
//!
//! ```text
//! "maypole copy 1\n" · (length u32le · crc32 u32le · postcard of a `Frame`)*
//! ```
//!
//! Each frame goes into a hash together with the hash of those before it; the last frame says that hash, so that none can be
//! missing, be there twice or come in another order.

use std::io::{self, Read};

use maypole_core::ids::Sha256;
use maypole_core::limits;
use serde::{Deserialize, Serialize};

use super::{Record, Tally};

/// The first line.
const NAME: &[u8] = b"maypole copy 1\n";
/// What the first line of every version begins with.
const NAME_OF_ALL: &[u8] = b"maypole copy ";

/// A part of the file.
#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    /// Some of the records.
    Records(Vec<Record>),
    /// All of them were there.
    End { tally: Tally, damaged: u64, hash: Sha256 },
    /// There will not be more, for this reason.
    Broken(String),
}

/// Why something is not a whole copy of a store.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It is something else.
    #[error("it is not a copy that `maypole db export` or `maypole db backup` made")]
    Foreign,
    /// A newer program made it.
    #[error("a newer version of maypole made it: this one cannot read it")]
    Newer,
    /// It ends too soon.
    #[error("it is cut short: what made it did not finish")]
    CutShort,
    /// Whoever made it could not go on.
    #[error("it is not whole: {0}")]
    Broken(String),
    /// Something in it has changed since.
    #[error("it is damaged, {0} bytes from its beginning")]
    Damaged(u64),
    /// Something comes after its end.
    #[error("something was added to it after its end")]
    Longer,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Makes the bytes of a copy.
#[derive(Debug)]
pub struct Writer {
    hash: Sha256,
    tally: Tally,
}

impl Writer {
    /// Begins, with the first bytes.
    pub fn begin() -> (Self, Vec<u8>) {
        (Self { hash: Sha256::of(NAME), tally: Tally::default() }, NAME.to_vec())
    }

    /// Some records.
    pub fn records(&mut self, records: Vec<Record>) -> Result<Vec<u8>, CopyError> {
        records.iter().for_each(|record| self.tally.count(record));
        self.frame(&Frame::Records(records))
    }

    /// The end: so many records were damaged and are not among those that were told.
    pub fn end(mut self, damaged: u64) -> Result<Vec<u8>, CopyError> {
        let (tally, hash) = (self.tally, self.hash);
        self.frame(&Frame::End { tally, damaged, hash })
    }

    /// The end of a copy that is not whole.
    pub fn broken(mut self, why: &str) -> Result<Vec<u8>, CopyError> {
        self.frame(&Frame::Broken(why.to_owned()))
    }

    fn frame(&mut self, frame: &Frame) -> Result<Vec<u8>, CopyError> {
        let form = postcard::to_stdvec(frame).map_err(|error| CopyError::Broken(error.to_string()))?;
        let length = u32::try_from(form.len()).ok().filter(|length| *length <= limits::COPY_FRAME_BYTES);
        let length =
            length.ok_or_else(|| CopyError::Broken("a record is too large for a copy".to_owned()))?;
        let mut bytes = Vec::with_capacity(form.len().saturating_add(8));
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&form).to_le_bytes());
        bytes.extend_from_slice(&form);
        self.hash = Sha256::of_parts(&[self.hash.as_bytes(), &form]);
        Ok(bytes)
    }
}

/// What comes next in a copy.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// Some records.
    Records(Vec<Record>),
    /// Nothing more: the copy is whole.
    End {
        /// How much was in it.
        tally: Tally,
        /// How many records the store had that were damaged; they are not in the copy.
        damaged: u64,
    },
}

/// Reads a copy.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    hash: Sha256,
    tally: Tally,
    place: u64,
}

impl<R: Read> Reader<R> {
    /// Begins to read what should be a copy.
    pub fn open(mut from: R) -> Result<Self, CopyError> {
        let mut name = Vec::new();
        let length = u64::try_from(NAME.len()).unwrap_or_default();
        from.by_ref().take(length).read_to_end(&mut name)?;
        if name != NAME {
            let is_of_some_version = name.starts_with(NAME_OF_ALL);
            return Err(if is_of_some_version { CopyError::Newer } else { CopyError::Foreign });
        }
        Ok(Self { from, hash: Sha256::of(NAME), tally: Tally::default(), place: length })
    }

    /// What comes next. After the end nothing does.
    pub fn read(&mut self) -> Result<Told, CopyError> {
        let begin = self.place;
        let (length, crc) = (self.number()?, self.number()?);
        if length > limits::COPY_FRAME_BYTES {
            return Err(CopyError::Damaged(begin));
        }
        let mut form = Vec::new();
        self.from.by_ref().take(u64::from(length)).read_to_end(&mut form)?;
        if u32::try_from(form.len()) != Ok(length) {
            return Err(CopyError::CutShort);
        }
        self.place = self.place.saturating_add(u64::from(length));
        if crc32fast::hash(&form) != crc {
            return Err(CopyError::Damaged(begin));
        }
        let Ok((frame, [])) = postcard::take_from_bytes::<Frame>(&form) else {
            return Err(CopyError::Damaged(begin));
        };
        let before = self.hash;
        self.hash = Sha256::of_parts(&[before.as_bytes(), &form]);
        match frame {
            Frame::Records(records) => {
                records.iter().for_each(|record| self.tally.count(record));
                Ok(Told::Records(records))
            }
            Frame::End { tally, damaged, hash } if hash == before && tally == self.tally => {
                match self.from.read(&mut [0])? {
                    0 => Ok(Told::End { tally, damaged }),
                    _ => Err(CopyError::Longer),
                }
            }
            Frame::End { .. } => Err(CopyError::Damaged(begin)),
            Frame::Broken(why) => Err(CopyError::Broken(why)),
        }
    }

    /// Reads to the end: how much there was, and how many records the store had that were damaged.
    pub fn verify(mut self) -> Result<(Tally, u64), CopyError> {
        loop {
            if let Told::End { tally, damaged } = self.read()? {
                return Ok((tally, damaged));
            }
        }
    }

    fn number(&mut self) -> Result<u32, CopyError> {
        let mut bytes = [0; 4];
        self.from.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CopyError::CutShort,
            _ => CopyError::Io(error),
        })?;
        self.place = self.place.saturating_add(4);
        Ok(u32::from_le_bytes(bytes))
    }
}
