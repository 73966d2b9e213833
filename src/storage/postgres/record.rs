//! Records as they lie in a column: a version, a checksum over the record and where it belongs, and its compact form.
//!
//! The database keeps checksums of its pages only where its operator asked for them; these find a flipped bit in any case.

use maypole_core::ids::GroupId;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The form that is written.
const VERSION: u8 = 1;
/// Bytes before the compact form.
const FRAME_BYTES: usize = 5;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// It ends too soon.
    #[error("it is too short")]
    Short,
    /// It is whole, and a newer program wrote it.
    #[error("its version is unknown")]
    Version,
    /// Something in it has changed since.
    #[error("its checksum is wrong")]
    Checksum,
    /// Its checksum is right, and it cannot be read.
    #[error("its form is unknown")]
    Form,
    /// It is whole, and belongs into another row.
    #[error("it is another's")]
    Elsewhere,
    /// The database cannot read it from its files.
    #[error("the database cannot read it")]
    Unreadable,
}

/// The tables with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Inbox,
    Answers,
    Owed,
    SetAside,
    Groups,
    Log,
    Snapshots,
    Staged,
    Frozen,
    KeyPackages,
    Agendas,
}

impl Table {
    /// Its name, in the database, in errors and in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Answers => "answers",
            Self::Owed => "owed",
            Self::SetAside => "set_aside",
            Self::Groups => "groups",
            Self::Log => "log",
            Self::Snapshots => "snapshots",
            Self::Staged => "staged",
            Self::Frozen => "frozen",
            Self::KeyPackages => "key_packages",
            Self::Agendas => "agendas",
        }
    }
}

/// What an entry of a group's log is found by.
pub(super) fn entry_key(group: &GroupId, epoch: i64) -> Vec<u8> {
    [group.as_bytes(), &epoch.to_be_bytes()].concat()
}

/// A record as it is stored in a row of a table. `key` is what the row is found by; empty where that is given out as the row
/// is written.
pub(super) fn seal(table: Table, key: &[u8], record: &impl Serialize) -> Result<Vec<u8>, Damage> {
    let form = postcard::to_stdvec(record).map_err(|_| Damage::Form)?;
    let mut sealed = Vec::with_capacity(FRAME_BYTES.saturating_add(form.len()));
    sealed.push(VERSION);
    sealed.extend_from_slice(&checksum(VERSION, table, key, &form).to_le_bytes());
    sealed.extend_from_slice(&form);
    Ok(sealed)
}

/// A record from what is stored.
pub(super) fn open<T: DeserializeOwned>(table: Table, key: &[u8], sealed: &[u8]) -> Result<T, Damage> {
    let (version, rest) = sealed.split_first().ok_or(Damage::Short)?;
    let (crc, form) = rest.split_first_chunk::<4>().ok_or(Damage::Short)?;
    if checksum(*version, table, key, form) != u32::from_le_bytes(*crc) {
        return Err(Damage::Checksum);
    }
    if *version != VERSION {
        return Err(Damage::Version);
    }
    match postcard::take_from_bytes(form) {
        Ok((record, [])) => Ok(record),
        _ => Err(Damage::Form),
    }
}

fn checksum(version: u8, table: Table, key: &[u8], form: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[version]);
    for part in [table.name().as_bytes(), key] {
        hasher.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(form);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_any_flipped_bit_is_found() {
        let record = ("text".to_owned(), 7_u64, vec![1_u8, 2, 3]);
        let sealed = seal(Table::Log, b"key", &record).unwrap();
        assert_eq!(open(Table::Log, b"key", &sealed), Ok(record));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<(String, u64, Vec<u8>)>(Table::Log, b"key", &flipped).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open::<(String, u64, Vec<u8>)>(Table::Log, b"key", &sealed[..length]).is_err());
        }
    }

    /// It is no damage: whoever can read it will.
    #[test]
    fn a_record_of_a_newer_program_is_known_to_be_one() {
        let mut sealed = seal(Table::Inbox, b"", &7_u64).unwrap();
        sealed[0] = VERSION + 1;
        assert_eq!(open::<u64>(Table::Inbox, b"", &sealed), Err(Damage::Checksum), "that bit flipped");
        let crc = checksum(VERSION + 1, Table::Inbox, b"", &sealed[FRAME_BYTES..]);
        sealed[1..FRAME_BYTES].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(open::<u64>(Table::Inbox, b"", &sealed), Err(Damage::Version));
    }

    #[test]
    fn a_record_is_good_in_its_own_place_alone() {
        let sealed = seal(Table::Groups, b"a", &7_u64).unwrap();
        assert_eq!(open::<u64>(Table::Groups, b"b", &sealed), Err(Damage::Checksum));
        assert_eq!(open::<u64>(Table::Staged, b"a", &sealed), Err(Damage::Checksum));
        let longer = seal(Table::Groups, b"a", &(7_u64, 8_u64)).unwrap();
        assert_eq!(open::<u64>(Table::Groups, b"a", &longer), Err(Damage::Form));
    }
}
