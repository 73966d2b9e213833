//! Newtypes for everything that has a name: parsed once at the edge, never a bare string or number inside.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Makes newtypes around an opaque string that is at most a stated number of bytes.
macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident, $limit:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text if it is neither empty nor too long.
            pub fn parse(text: impl Into<String>) -> Option<Self> {
                let text = text.into();
                (!text.is_empty() && text.len() <= $limit).then_some(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_ids! {
    /// An account, as the homeserver authenticated it.
    UserId, 255;
    /// A device of an account, as a message names it.
    DeviceId, limits::DEVICE_ID_BYTES;
    /// The name that a device gives one of its messages.
    TxnId, limits::TXN_ID_BYTES;
    /// The name that a device gives one of its requests.
    RequestId, limits::REQUEST_ID_BYTES;
    /// The homeserver's name for a push transaction.
    PushTxnId, 255;
    /// A position in the homeserver's stream of events.
    SyncToken, 4_096;
    /// A room, as the homeserver names it.
    RoomId, 255;
    /// Why somebody froze a group, in a sentence for its members.
    FreezeReason, limits::FREEZE_REASON_BYTES;
    /// Who takes KeyPackages out of the directory: an account, or another service on behalf of its accounts.
    Claimer, 255;
}

/// An MLS group, by the bytes that name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(Vec<u8>);

impl GroupId {
    /// Takes the bytes if they are not too many.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= limits::GROUP_ID_BYTES).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The group's first generation, and how often it was begun anew since. A group that is begun anew has the ID of its
    /// first generation, a `#`, and the number of the generation.
    ///
    /// ```
    /// use maypole_core::ids::GroupId;
    ///
    /// let first = GroupId::parse("!room:a.org").unwrap();
    /// let third = GroupId::parse("!room:a.org#2").unwrap();
    /// assert_eq!(first.generation(), (first.clone(), 0));
    /// assert_eq!(third.generation(), (first, 2));
    /// ```
    pub fn generation(&self) -> (Self, u64) {
        let whole = || (self.clone(), 0);
        let Some(at) = self.0.iter().rposition(|byte| *byte == b'#') else { return whole() };
        let (Some(first), Some(digits)) = (self.0.get(..at), self.0.get(at.saturating_add(1)..)) else {
            return whole();
        };
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        match number.filter(|number| *number > 0 && *number < limits::JSON_NUMBER_END) {
            // One spelling: without a sign or leading zeros.
            Some(number) if number.to_string().as_bytes() == digits => (Self(first.to_vec()), number),
            _ => whole(),
        }
    }

    /// The ID of the generation of that number; nothing where the ID would be too long.
    ///
    /// ```
    /// use maypole_core::ids::GroupId;
    ///
    /// let first = GroupId::parse("!room:a.org").unwrap();
    /// let second = first.of_generation(1).unwrap();
    /// assert_eq!(second.as_bytes(), b"!room:a.org#1");
    /// assert_eq!(second.of_generation(0), Some(first));
    /// ```
    pub fn of_generation(&self, number: u64) -> Option<Self> {
        let (first, _) = self.generation();
        if number == 0 {
            Some(first)
        } else {
            Self::parse([first.0, format!("#{number}").into_bytes()].concat())
        }
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupId({})", self.0.escape_ascii())
    }
}

/// A `KeyPackageRef`: the hash by which a KeyPackage is known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyPackageRef(Vec<u8>);

impl KeyPackageRef {
    /// Takes the bytes if they are a hash of one of the suites.
    ///
    /// ```
    /// use maypole_core::ids::KeyPackageRef;
    ///
    /// assert!(KeyPackageRef::parse([7; 32]).is_some());
    /// assert!(KeyPackageRef::parse([7; 31]).is_none());
    /// ```
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        matches!(bytes.len(), 32 | 48 | 64).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyPackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One device of one account: what a leaf's credential names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId {
    /// The account.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.user, self.device)
    }
}

/// The number of an epoch, of those that canonical JSON can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// A group's first.
    pub const ZERO: Self = Self(0);

    /// Takes the number if it can be written.
    ///
    /// ```
    /// use maypole_core::ids::Epoch;
    ///
    /// assert!(Epoch::new((1 << 53) - 1).is_some());
    /// assert!(Epoch::new(1 << 53).is_none());
    /// ```
    pub const fn new(number: u64) -> Option<Self> {
        if number < limits::EPOCH_END { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it, if it can be written.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Self::new(number),
            None => None,
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The hash of some bytes.
    ///
    /// ```
    /// use maypole_core::ids::Sha256;
    ///
    /// assert_eq!(&Sha256::of(b"abc").as_bytes()[..4], &[0xba, 0x78, 0x16, 0xbf]);
    /// ```
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// The hash of several byte strings, one after the other.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// The first of the bytes.
    pub(crate) const fn first(&self) -> u8 {
        let [first, ..] = self.0;
        first
    }

    /// From bytes that were stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// One run of the service, drawn anew at each start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId([u8; 16]);

impl ProcessId {
    /// From bytes that were drawn.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes newtypes around a number that the store gives out, growing.
macro_rules! sequence_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// From the number that the store gave out.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

sequence_ids! {
    /// A row of the inbox. Never given out twice.
    InboxSeq;
    /// A row of the outbox. Never given out twice: it is part of the row's transaction IDs.
    OwedId;
    /// A place in the stock of a device's KeyPackages: those behind it came later. A place that is free may be given out again.
    ShelfPlace;
}

/// Where a row of the outbox waits its turn: rows of one lane leave one after the other, lanes side by side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lane(String);

impl Lane {
    /// The lane of answers to one account, for what belongs to no group.
    pub fn of_user(user: &UserId) -> Self {
        Self(format!("user/{user}"))
    }

    /// The lane of what a group's members are told.
    pub fn of_group(group: &GroupId) -> Self {
        Self(format!("group/{:?}", Sha256::of(group.as_bytes())))
    }

    /// The lane's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first byte of the hash of whom or what it is for.
    pub(crate) fn hash_byte(&self) -> u8 {
        match self.0.split_once('/') {
            Some(("group", hash)) => {
                hash.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or_default()
            }
            Some((_, name)) => Sha256::of(name.as_bytes()).first(),
            None => Sha256::of(self.0.as_bytes()).first(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_refuse_emptiness_and_excess() {
        assert!(TxnId::parse("").is_none());
        assert!(TxnId::parse("x".repeat(255)).is_some());
        assert!(TxnId::parse("x".repeat(256)).is_none());
        assert!(FreezeReason::parse("x".repeat(limits::FREEZE_REASON_BYTES)).is_some());
        assert!(FreezeReason::parse("x".repeat(limits::FREEZE_REASON_BYTES + 1)).is_none());
        assert!(GroupId::parse(vec![0; 1_025]).is_none());
    }

    #[test]
    fn a_generation_has_one_spelling() {
        for none in
            ["!r:a.org", "!r:a.org#", "!r:a.org#0", "!r:a.org#01", "!r:a.org#+1", "!r#1:a.org", "#", ""]
        {
            let group = GroupId::parse(none).unwrap();
            assert_eq!(group.generation(), (group.clone(), 0), "{none}");
        }
        let large = GroupId::parse(format!("!r:a.org#{}", limits::JSON_NUMBER_END)).unwrap();
        assert_eq!(large.generation().1, 0, "what canonical JSON cannot write is no generation");
        for number in [1, 9, 10, limits::JSON_NUMBER_END - 1] {
            let group = GroupId::parse("!r:a.org").unwrap().of_generation(number).unwrap();
            assert_eq!(group.generation(), (GroupId::parse("!r:a.org").unwrap(), number));
            assert_eq!(group.of_generation(number), Some(group));
        }
        assert_eq!(GroupId::parse(vec![b'a'; limits::GROUP_ID_BYTES]).unwrap().of_generation(1), None);
    }

    #[test]
    fn debug_of_a_group_is_readable() {
        assert_eq!(format!("{:?}", GroupId::parse(*b"!a:b\x00").unwrap()), "GroupId(!a:b\\x00)");
    }
}
