//! The frame around every stored record: version, kind, place, checksum.
//!
//! The checksum covers the key as well, so that a record under another's key is found. What does not fit into a value
//! lies in a bulk file that the record names by its hash: the large field alone, or else everything.
//!
//! ```text
//! version u8 · kind u8 · place u8 · crc32 u32le · payload
//!   place 0, all here:     head length u32le · head · body
//!   place 1, body outside: sha256 · body length u32le · head
//!   place 2, all outside:  sha256 · length u32le          (the file holds what place 0 would)
//! ```

use maypole_core::ids::Sha256;
use maypole_core::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::{KEY_BYTES, Kind};

/// The version of the frame and of the forms within.
const VERSION: u8 = 1;
const FRAME_BYTES: usize = 7;
const REFERENCE_BYTES: usize = 36;
/// The largest record, so that it fits into a value even with its key before it, in quarantine.
const RECORD_BYTES: usize = limits::SLED_VALUE_BYTES - KEY_BYTES - 1;

/// What is wrong with a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// The record is shorter than its frame says.
    #[error("it is cut short")]
    Short,
    /// The record is of a version that is not known.
    #[error("its version is not known")]
    Version,
    /// The record is not what its key says.
    #[error("its kind is not that of its key")]
    Kind,
    /// The checksum differs.
    #[error("its checksum differs")]
    Checksum,
    /// The bytes do not have the record's form.
    #[error("its form is wrong")]
    Form,
    /// The bulk file is gone.
    #[error("its bulk file is missing")]
    BulkMissing,
    /// The bulk file has other content.
    #[error("its bulk file differs from its hash")]
    BulkDiffers,
    /// There is no record of one that must exist.
    #[error("it is missing")]
    Missing,
    /// Another record, without which it means nothing, is damaged or says something else.
    #[error("what goes with it does not")]
    Alone,
}

/// A record that can be stored: a small head, and at most one field of free size, the body.
pub(super) trait Stored: Serialize + DeserializeOwned {
    /// Takes the body out of the record.
    fn take_body(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Puts the body back.
    fn put_body(&mut self, body: Vec<u8>) {
        drop(body);
    }
}

/// Bytes for a bulk file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BulkFile {
    /// The hash of the bytes, which is the file's name.
    pub(super) name: Sha256,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
}

/// A bulk file, as a record names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BulkRef {
    /// The hash of its bytes.
    pub(super) name: Sha256,
    /// How many there are.
    pub(super) length: u32,
}

/// A record in its stored form, but for the key, which may not be known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    place: u8,
    payload: Vec<u8>,
    /// What must be on the disk before the record is.
    pub(super) bulk: Option<BulkFile>,
}

impl Packed {
    /// Packs a record. Fails only if it has no stored form at all, or none that could be read again.
    pub(super) fn of<T: Stored>(mut record: T) -> Result<Self, Damage> {
        let body = record.take_body();
        let head = postcard::to_stdvec(&record).map_err(|_| Damage::Form)?;
        Self::of_parts(&head, body)
    }

    /// Packs a head and a body.
    pub(super) fn of_parts(head: &[u8], body: Vec<u8>) -> Result<Self, Damage> {
        let head_length = u32::try_from(head.len()).map_err(|_| Damage::Form)?;
        let whole_length = 4_usize.saturating_add(head.len()).saturating_add(body.len());
        if u64::try_from(whole_length).map_or(true, |length| length > limits::BULK_FILE_BYTES) {
            return Err(Damage::Form);
        }
        if FRAME_BYTES + REFERENCE_BYTES + head.len() <= RECORD_BYTES
            && FRAME_BYTES + whole_length > RECORD_BYTES
        {
            return Ok(Self::outside(1, body, head));
        }
        let mut whole = Vec::with_capacity(whole_length);
        whole.extend_from_slice(&head_length.to_le_bytes());
        whole.extend_from_slice(head);
        whole.extend_from_slice(&body);
        if FRAME_BYTES + whole.len() <= RECORD_BYTES {
            return Ok(Self { place: 0, payload: whole, bulk: None });
        }
        Ok(Self::outside(2, whole, &[]))
    }

    fn outside(place: u8, bytes: Vec<u8>, head: &[u8]) -> Self {
        let name = Sha256::of(&bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut payload = Vec::with_capacity(REFERENCE_BYTES + head.len());
        payload.extend_from_slice(name.as_bytes());
        payload.extend_from_slice(&length.to_le_bytes());
        payload.extend_from_slice(head);
        Self { place, payload, bulk: Some(BulkFile { name, bytes }) }
    }

    /// The value to be stored under a key.
    pub(super) fn seal(&self, kind: Kind, key: &[u8]) -> Vec<u8> {
        let crc = checksum(kind.prefix(), self.place, key, &self.payload);
        let mut value = Vec::with_capacity(FRAME_BYTES + self.payload.len());
        value.extend_from_slice(&[VERSION, kind.prefix(), self.place]);
        value.extend_from_slice(&crc.to_le_bytes());
        value.extend_from_slice(&self.payload);
        value
    }
}

fn checksum(kind: u8, place: u8, key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[VERSION, kind, place, u8::try_from(key.len()).unwrap_or(u8::MAX)]);
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

/// A record whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened<'a> {
    /// Everything is here.
    Here {
        /// The record without its body.
        head: &'a [u8],
        /// The body.
        body: &'a [u8],
    },
    /// The body is in a bulk file.
    BodyOutside {
        /// The record without its body.
        head: &'a [u8],
        /// The body.
        body: BulkRef,
    },
    /// Everything is in a bulk file.
    AllOutside(BulkRef),
}

impl Opened<'_> {
    /// The bulk file that the record needs.
    pub(super) fn bulk(&self) -> Option<BulkRef> {
        match self {
            Self::Here { .. } => None,
            Self::BodyOutside { body, .. } => Some(*body),
            Self::AllOutside(whole) => Some(*whole),
        }
    }
}

/// Opens a value: frame and checksum are checked, the form of the record is not.
pub(super) fn open<'a>(kind: Kind, key: &[u8], value: &'a [u8]) -> Result<Opened<'a>, Damage> {
    let (&[version, stored_kind, place], rest) = value.split_first_chunk::<3>().ok_or(Damage::Short)?;
    let (crc, payload) = rest.split_first_chunk::<4>().ok_or(Damage::Short)?;
    if version != VERSION {
        return Err(Damage::Version);
    }
    if stored_kind != kind.prefix() {
        return Err(Damage::Kind);
    }
    if checksum(stored_kind, place, key, payload) != u32::from_le_bytes(*crc) {
        return Err(Damage::Checksum);
    }
    match place {
        0 => split(payload).map(|(head, body)| Opened::Here { head, body }),
        1 => reference(payload).map(|(body, head)| Opened::BodyOutside { head, body }),
        2 => match reference(payload)? {
            (whole, []) => Ok(Opened::AllOutside(whole)),
            _ => Err(Damage::Form),
        },
        _ => Err(Damage::Form),
    }
}

/// The value of a record that is moved under another key. It is whole where it lies now.
pub(super) fn moved(value: &[u8], kind: Kind, key: &[u8]) -> Option<Vec<u8>> {
    let (place, payload) = (*value.get(2)?, value.get(FRAME_BYTES..)?.to_vec());
    Some(Packed { place, payload, bulk: None }.seal(kind, key))
}

/// The bulk file that a value seems to name, whether or not the value is whole: what may be needed is kept.
pub(super) fn bulk_name(key: &[u8], value: &[u8]) -> Option<Sha256> {
    bulk_of(key, value).map(|bulk| bulk.name)
}

/// The same, with its length.
pub(super) fn bulk_of(key: &[u8], value: &[u8]) -> Option<BulkRef> {
    let value = match Kind::of_key(key)? {
        Kind::Quarantined => quarantined(value)?.1,
        _ => value,
    };
    let place = *value.get(2)?;
    (place == 1 || place == 2).then_some(())?;
    Some(reference(value.get(FRAME_BYTES..)?).ok()?.0)
}

/// The value of a quarantined record: its former key and its bytes.
pub(super) fn quarantine(key: &[u8], value: &[u8]) -> Vec<u8> {
    let key = key.get(..key.len().min(KEY_BYTES)).unwrap_or_default();
    let value = value.get(..value.len().min(limits::SLED_VALUE_BYTES - KEY_BYTES - 1)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(1 + key.len() + value.len());
    bytes.push(u8::try_from(key.len()).unwrap_or_default());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    bytes
}

/// The former key and the bytes of a quarantined record.
pub(super) fn quarantined(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = value.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Splits what place 0 holds, here or in a bulk file.
pub(super) fn split(whole: &[u8]) -> Result<(&[u8], &[u8]), Damage> {
    let (length, rest) = whole.split_first_chunk::<4>().ok_or(Damage::Short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Damage::Form)?;
    rest.split_at_checked(length).ok_or(Damage::Short)
}

/// Reads a record from its parts.
pub(super) fn decode<T: Stored>(head: &[u8], body: Vec<u8>) -> Result<T, Damage> {
    let (mut record, rest) = postcard::take_from_bytes::<T>(head).map_err(|_| Damage::Form)?;
    if !rest.is_empty() {
        return Err(Damage::Form);
    }
    record.put_body(body);
    Ok(record)
}

fn reference(payload: &[u8]) -> Result<(BulkRef, &[u8]), Damage> {
    let (name, rest) = payload.split_first_chunk::<32>().ok_or(Damage::Short)?;
    let (length, head) = rest.split_first_chunk::<4>().ok_or(Damage::Short)?;
    Ok((BulkRef { name: Sha256::from_bytes(*name), length: u32::from_le_bytes(*length) }, head))
}
