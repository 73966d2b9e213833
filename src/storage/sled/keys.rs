//! Where each record lies: one tree, the kind of a record as the first byte of its key.
//!
//! One tree makes a batch over all kinds atomic. Numbers are big-endian, so that the order of keys is the order of rows.

use maypole_core::ids::{ClientId, GroupId, KeyPackageRef, Sha256};
use maypole_core::records::AnswerKey;
use maypole_core::time::Timestamp;
use maypole_mls::Suite;

/// The longest keys: an expiry row, a KeyPackage.
pub(super) const KEY_BYTES: usize = 1 + 8 + 32;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Whose store this is; two copies.
    Owner,
    /// What the keys of its service are known by; two copies.
    Keys,
    /// The position in the homeserver's stream; two copies.
    Cursor,
    /// How many KeyPackages were given out; two copies.
    Issued,
    /// The next numbers to give out; two copies.
    Counters,
    /// A row of the inbox.
    Inbox,
    /// A row of the outbox.
    Owed,
    /// An answer that is remembered.
    Answer,
    /// When an answer expires; the key says it all.
    Expiry,
    /// A push transaction that was received.
    Transaction,
    /// Something kept for the operator.
    SetAside,
    /// A damaged record, with its former key.
    Quarantined,
    /// A large batch that is being carried out.
    Journal,
    /// Where a group stands.
    Head,
    /// An entry of a group's log.
    Entry,
    /// A group's tree at an epoch.
    Snapshot,
    /// The only tree of a group, as earlier versions kept it.
    FormerSnapshot,
    /// What waits in a group for something outside.
    Staged,
    /// What a group owes.
    Agenda,
    /// That a group takes no commands.
    Frozen,
    /// A KeyPackage in stock.
    Shelved,
    /// A device's last resort for a suite.
    LastResort,
    /// What is known of a KeyPackage, in stock or not.
    Known,
    /// Until when that is; the key says it all.
    KnownUntil,
}

impl Kind {
    const ALL: [Self; 24] = [
        Self::Owner,
        Self::Keys,
        Self::Issued,
        Self::Cursor,
        Self::Counters,
        Self::Inbox,
        Self::Owed,
        Self::Answer,
        Self::Expiry,
        Self::Transaction,
        Self::SetAside,
        Self::Quarantined,
        Self::Journal,
        Self::Head,
        Self::Entry,
        Self::Snapshot,
        Self::FormerSnapshot,
        Self::Staged,
        Self::Agenda,
        Self::Frozen,
        Self::Shelved,
        Self::LastResort,
        Self::Known,
        Self::KnownUntil,
    ];

    /// The first byte of the keys of this kind. Never changed, never used again.
    pub(super) const fn prefix(self) -> u8 {
        match self {
            Self::Owner => b'o',
            Self::Keys => b'v',
            Self::Issued => b'd',
            Self::Cursor => b'c',
            Self::Counters => b'n',
            Self::Inbox => b'i',
            Self::Owed => b'w',
            Self::Answer => b'a',
            Self::Expiry => b'x',
            Self::Transaction => b't',
            Self::SetAside => b's',
            Self::Quarantined => b'q',
            Self::Journal => b'j',
            Self::Head => b'g',
            Self::Entry => b'l',
            Self::Snapshot => b'm',
            Self::FormerSnapshot => b'p',
            Self::Staged => b'y',
            Self::Agenda => b'e',
            Self::Frozen => b'f',
            Self::Shelved => b'k',
            Self::LastResort => b'r',
            Self::Known => b'h',
            Self::KnownUntil => b'u',
        }
    }

    /// The kind's name, in errors, logs and metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Keys => "service's keys",
            Self::Issued => "count of issued KeyPackages",
            Self::Cursor => "cursor",
            Self::Counters => "counters",
            Self::Inbox => "inbox row",
            Self::Owed => "outbox row",
            Self::Answer => "answer",
            Self::Expiry => "expiry row",
            Self::Transaction => "push transaction",
            Self::SetAside => "row set aside",
            Self::Quarantined => "quarantined record",
            Self::Journal => "journal",
            Self::Head => "group's head",
            Self::Entry => "log entry",
            Self::Snapshot => "snapshot",
            Self::FormerSnapshot => "snapshot of an earlier version",
            Self::Staged => "staged command",
            Self::Agenda => "group's agenda",
            Self::Frozen => "freeze",
            Self::Shelved => "KeyPackage",
            Self::LastResort => "last resort",
            Self::Known => "KeyPackage's standing",
            Self::KnownUntil => "KeyPackage's expiry row",
        }
    }

    /// Whether a damaged record of this kind stays where it is. Without one of these its group is not what it was, and
    /// must not be taken for a new or an older one, nor for one that takes commands; and a KeyPackage that may have been
    /// handed out not for a new one.
    pub(super) const fn stays(self) -> bool {
        matches!(
            self,
            Self::Head
                | Self::Entry
                | Self::Snapshot
                | Self::FormerSnapshot
                | Self::Staged
                | Self::Frozen
                | Self::Agenda
                | Self::Known
        )
    }

    /// The kind whose keys begin so.
    pub(super) fn of_prefix(first: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix() == first)
    }

    /// The kind of a key, if its form is that of one.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let (first, rest) = key.split_first()?;
        let kind = Self::of_prefix(*first)?;
        let length = match kind {
            Self::Owner | Self::Keys | Self::Issued | Self::Cursor | Self::Counters => 1,
            Self::Inbox | Self::Owed | Self::Transaction | Self::SetAside | Self::Quarantined => 8,
            Self::Answer | Self::Head | Self::FormerSnapshot | Self::Staged | Self::Frozen => 32,
            Self::Agenda | Self::Known => 32,
            Self::LastResort => 34,
            Self::Expiry | Self::Entry | Self::Snapshot | Self::Shelved | Self::KnownUntil => 40,
            Self::Journal => 0,
        };
        (rest.len() == length).then_some(kind)
    }
}

/// The two places of something that there is one of: a damaged copy is covered by the other.
pub(super) fn copies(kind: Kind) -> [Vec<u8>; 2] {
    [vec![kind.prefix(), b'1'], vec![kind.prefix(), b'2']]
}

/// The key of a numbered row.
pub(super) fn row(kind: Kind, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(kind.prefix());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The number of a row, from its key.
pub(super) fn number(key: &[u8]) -> Option<u64> {
    key.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}

/// The key of an answer.
pub(super) fn answer(key: &AnswerKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(33);
    bytes.push(Kind::Answer.prefix());
    bytes.extend_from_slice(key.0.as_bytes());
    bytes
}

/// The key of an answer's expiry row.
pub(super) fn expiry(at: Timestamp, key: &AnswerKey) -> Vec<u8> {
    let mut bytes = row(Kind::Expiry, at.as_millis());
    bytes.extend_from_slice(key.0.as_bytes());
    bytes
}

/// What an expiry row says, or the key of an answer.
pub(super) fn answer_key(key: &[u8]) -> Option<AnswerKey> {
    let hash = key.get(key.len().checked_sub(32)?..)?;
    Some(AnswerKey(Sha256::from_bytes(hash.try_into().ok()?)))
}

/// The key of something that a group has one of.
pub(super) fn of_group(kind: Kind, group: &GroupId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(KEY_BYTES);
    bytes.push(kind.prefix());
    bytes.extend_from_slice(Sha256::of(group.as_bytes()).as_bytes());
    bytes
}

/// The key of an entry of a group's log.
pub(super) fn entry(group: &GroupId, epoch: u64) -> Vec<u8> {
    of_epoch(Kind::Entry, group, epoch)
}

/// The key of a group's tree at an epoch.
pub(super) fn snapshot(group: &GroupId, epoch: u64) -> Vec<u8> {
    of_epoch(Kind::Snapshot, group, epoch)
}

fn of_epoch(kind: Kind, group: &GroupId, epoch: u64) -> Vec<u8> {
    let mut bytes = of_group(kind, group);
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes
}

/// The key of a tree whose key was without its epoch.
pub(super) fn snapshot_of_former(key: &[u8], epoch: u64) -> Option<Vec<u8>> {
    let group = key.get(1..33)?;
    Some([&[Kind::Snapshot.prefix()], group, &epoch.to_be_bytes()].concat())
}

/// The key that a tree had before it had an epoch.
pub(super) fn former_snapshot(key: &[u8]) -> Option<Vec<u8>> {
    let group = key.get(1..33)?;
    Some([&[Kind::FormerSnapshot.prefix()], group].concat())
}

/// The epoch of an entry of a group's log, or of a tree, from its key.
pub(super) fn epoch(key: &[u8]) -> Option<u64> {
    key.get(33..41).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}

/// A device, as it stands in keys.
pub(super) fn shelf(client: &ClientId) -> Sha256 {
    let (user, device) = (client.user.as_str(), client.device.as_str());
    let length = u64::try_from(user.len()).unwrap_or(u64::MAX).to_be_bytes();
    Sha256::of_parts(&[&length, user.as_bytes(), device.as_bytes()])
}

/// The key of a KeyPackage in a device's stock.
pub(super) fn shelved(shelf: &Sha256, place: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(KEY_BYTES);
    bytes.push(Kind::Shelved.prefix());
    bytes.extend_from_slice(shelf.as_bytes());
    bytes.extend_from_slice(&place.to_be_bytes());
    bytes
}

/// The place of a KeyPackage in its device's stock, from its key.
pub(super) fn place(key: &[u8]) -> Option<u64> {
    key.get(33..41).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}

/// The key of a device's last resort.
pub(super) fn last_resort(shelf: &Sha256, suite: Suite) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(35);
    bytes.push(Kind::LastResort.prefix());
    bytes.extend_from_slice(shelf.as_bytes());
    bytes.extend_from_slice(&suite.code().to_be_bytes());
    bytes
}

/// The key of what is known of a KeyPackage.
pub(super) fn known(reference: &KeyPackageRef) -> Vec<u8> {
    known_by_hash(Sha256::of(reference.as_bytes()).as_bytes())
}

fn known_by_hash(hash: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(33);
    bytes.push(Kind::Known.prefix());
    bytes.extend_from_slice(hash);
    bytes
}

/// The key of the row that says until when a KeyPackage is known.
pub(super) fn known_until(at: Timestamp, reference: &KeyPackageRef) -> Vec<u8> {
    let mut bytes = row(Kind::KnownUntil, at.as_millis());
    bytes.extend_from_slice(Sha256::of(reference.as_bytes()).as_bytes());
    bytes
}

/// The key of what is known of the KeyPackage of such a row.
pub(super) fn known_of_row(key: &[u8]) -> Option<Vec<u8>> {
    key.get(9..41).map(known_by_hash)
}

/// The key of the journal.
pub(super) fn journal() -> Vec<u8> {
    vec![Kind::Journal.prefix()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_what_they_are_and_wrong_lengths_do_not() {
        let hash = AnswerKey(Sha256::of(b"x"));
        let group = GroupId::parse(*b"!room:a.org").unwrap();
        let reference = KeyPackageRef::parse([7; 48]).unwrap();
        for (key, kind) in [
            (row(Kind::Inbox, 7), Kind::Inbox),
            (row(Kind::Owed, 7), Kind::Owed),
            (answer(&hash), Kind::Answer),
            (expiry(Timestamp::from_millis(5), &hash), Kind::Expiry),
            (journal(), Kind::Journal),
            (of_group(Kind::Head, &group), Kind::Head),
            (snapshot(&group, 7), Kind::Snapshot),
            (of_group(Kind::FormerSnapshot, &group), Kind::FormerSnapshot),
            (of_group(Kind::Staged, &group), Kind::Staged),
            (of_group(Kind::Agenda, &group), Kind::Agenda),
            (of_group(Kind::Frozen, &group), Kind::Frozen),
            (entry(&group, 7), Kind::Entry),
            (shelved(&hash.0, 7), Kind::Shelved),
            (last_resort(&hash.0, Suite::P256Aes128), Kind::LastResort),
            (known(&reference), Kind::Known),
            (known_until(Timestamp::from_millis(5), &reference), Kind::KnownUntil),
        ] {
            assert_eq!(Kind::of_key(&key), Some(kind));
            assert!(key.len() <= KEY_BYTES);
            let longer = [key.as_slice(), &[0]].concat();
            assert_eq!(Kind::of_key(&longer), None);
        }
        assert_eq!(Kind::of_key(b""), None);
        assert_eq!(Kind::of_key(b"z"), None);
    }

    #[test]
    fn the_order_of_keys_is_the_order_of_rows() {
        assert!(row(Kind::Inbox, 255) < row(Kind::Inbox, 256));
        assert_eq!(number(&row(Kind::Inbox, 256)), Some(256));
        let group = GroupId::parse(*b"!room:a.org").unwrap();
        assert!(entry(&group, 255) < entry(&group, 256));
        assert_eq!((epoch(&entry(&group, 256)), epoch(b"short")), (Some(256), None));
        assert!(snapshot(&group, 255) < snapshot(&group, 256));
        let former = of_group(Kind::FormerSnapshot, &group);
        assert_eq!(snapshot_of_former(&former, 256), Some(snapshot(&group, 256)));
        assert_eq!(former_snapshot(&snapshot(&group, 256)), Some(former));
        assert_eq!((snapshot_of_former(b"short", 1), former_snapshot(b"short")), (None, None));
        let hash = AnswerKey(Sha256::of(b"x"));
        assert_eq!(answer_key(&expiry(Timestamp::from_millis(5), &hash)), Some(hash));
        assert_eq!(answer_key(b"short"), None);
        assert!(shelved(&hash.0, 255) < shelved(&hash.0, 256));
        assert_eq!(place(&shelved(&hash.0, 256)), Some(256));
        let reference = KeyPackageRef::parse([7; 48]).unwrap();
        let row = known_until(Timestamp::from_millis(5), &reference);
        assert_eq!((number(&row), known_of_row(&row)), (Some(5), Some(known(&reference))));
        assert_eq!(known_of_row(b"short"), None);
    }
}
