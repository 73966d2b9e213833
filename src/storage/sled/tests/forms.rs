//! The stored forms, byte for byte: a change of any of them needs a new version and a way to read the old one.

use maypole_core::ids::Sha256;

use crate::storage::conformance::samples::{
    answer, aside, client, key, key_package, message, owed, reference, token, transaction, user,
};
use crate::storage::sled::forms::{Counters, Known, Whereabouts};
use crate::storage::sled::keys::{self, Kind};
use crate::storage::sled::record::{self, Damage, Opened, Packed, Stored};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sealed<T: Stored>(kind: Kind, key: &[u8], record: T) -> Vec<u8> {
    Packed::of(record).unwrap().seal(kind, key)
}

fn all_kinds() -> Vec<(Kind, Vec<u8>, Vec<u8>)> {
    let counters = Counters { inbox: 1, owed: 300, set_aside: 3, transaction: 4, quarantined: 5 };
    let at = |kind| keys::row(kind, 258);
    let one = |kind| keys::copies(kind)[0].clone();
    let expiry = keys::expiry(maypole_core::time::Timestamp::from_millis(7), &key(1));
    let at_place = keys::shelved(&keys::shelf(&client("bob")), 258);
    let package = key_package("bob", 6, 3, 4);
    let last = keys::last_resort(&keys::shelf(&client("bob")), package.suite);
    let until = keys::known_until(package.known_until(), &package.reference);
    let known = |whereabouts| {
        let (reference, shelf) = (reference(6), keys::shelf(&client("bob")));
        let known = Known { reference, shelf, until: package.known_until(), whereabouts };
        (Kind::Known, keys::known(&known.reference), Packed::of(known).unwrap())
    };
    let list: Vec<(Kind, Vec<u8>, Packed)> = vec![
        (Kind::Owner, one(Kind::Owner), Packed::of(user("_mls_ds")).unwrap()),
        (Kind::Cursor, one(Kind::Cursor), Packed::of(token("s1_2")).unwrap()),
        (Kind::Counters, one(Kind::Counters), Packed::of(counters).unwrap()),
        (Kind::Inbox, at(Kind::Inbox), Packed::of(message(1, 4)).unwrap()),
        (Kind::Inbox, at(Kind::Inbox), Packed::of(message(4, 4)).unwrap()),
        (Kind::Inbox, at(Kind::Inbox), Packed::of(message(1, 5_000)).unwrap()),
        (Kind::Owed, at(Kind::Owed), Packed::of(owed(2, 4)).unwrap()),
        (Kind::Answer, keys::answer(&key(1)), Packed::of(answer(3, 4, 1_000)).unwrap()),
        (Kind::Expiry, expiry, Packed::of_parts(&[], Vec::new()).unwrap()),
        (Kind::Transaction, at(Kind::Transaction), Packed::of(transaction(1)).unwrap()),
        (Kind::SetAside, at(Kind::SetAside), Packed::of(aside(0, 4)).unwrap()),
        (Kind::SetAside, at(Kind::SetAside), Packed::of(aside(1, 4)).unwrap()),
        (Kind::SetAside, at(Kind::SetAside), Packed::of(aside(2, 4)).unwrap()),
        (Kind::Cursor, one(Kind::Cursor), Packed::of(token(&"s".repeat(4_096))).unwrap()),
        (Kind::Shelved, at_place, Packed::of(key_package("bob", 1, 3, 4)).unwrap()),
        (Kind::LastResort, last, Packed::of(package.clone()).unwrap()),
        known(Whereabouts::Shelved(300)),
        known(Whereabouts::LastResort(1, true)),
        known(Whereabouts::Gone),
        (Kind::KnownUntil, until, Packed::of_parts(&[], Vec::new()).unwrap()),
    ];
    list.into_iter().map(|(kind, key, packed)| (kind, key.clone(), packed.seal(kind, &key))).collect()
}

#[test]
fn are_these_bytes() {
    let found: String =
        all_kinds().iter().map(|(_, key, value)| format!("{} = {}\n", hex(key), hex(value))).collect();
    let expected = include_str!("forms.txt");
    assert_eq!(found, expected, "the stored form has changed");
}

#[test]
fn come_back_as_they_were() {
    let key = keys::row(Kind::Inbox, 1);
    for size in [0, 10, 3_000] {
        let value = sealed(Kind::Inbox, &key, message(1, size));
        let Ok(Opened::Here { head, body }) = record::open(Kind::Inbox, &key, &value) else {
            panic!("{size} bytes fit into a value")
        };
        assert_eq!(record::decode(head, body.to_vec()), Ok(message(1, size)));
    }
    let packed = Packed::of(message(1, 9_000)).unwrap();
    let value = packed.seal(Kind::Inbox, &key);
    let Ok(Opened::BodyOutside { head, body }) = record::open(Kind::Inbox, &key, &value) else {
        panic!("9,000 bytes do not fit")
    };
    let bulk = packed.bulk.unwrap();
    assert_eq!(body.name, Sha256::of(&bulk.bytes));
    assert_eq!(record::bulk_name(&key, &value), Some(body.name));
    assert_eq!(record::decode(head, bulk.bytes), Ok(message(1, 9_000)));
}

#[test]
fn are_refused_cut_short_flipped_moved_or_with_more_after_them() {
    for (kind, key, value) in all_kinds() {
        assert!(record::open(kind, &key, &value).is_ok());
        for length in 0..value.len() {
            assert!(record::open(kind, &key, &value[..length]).is_err(), "{kind:?} cut at {length}");
        }
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(record::open(kind, &key, &flipped).is_err(), "{kind:?} with bit {bit} flipped");
        }
        let longer = [value.as_slice(), &[0]].concat();
        assert_eq!(record::open(kind, &key, &longer), Err(Damage::Checksum));
        let mut elsewhere = key.clone();
        *elsewhere.last_mut().unwrap() ^= 1;
        assert_eq!(record::open(kind, &elsewhere, &value), Err(Damage::Checksum));
        let quarantined = record::quarantine(&key, &value);
        assert!(quarantined.len() <= maypole_core::limits::SLED_VALUE_BYTES);
        assert_eq!(record::quarantined(&quarantined), Some((key.as_slice(), value.as_slice())));
    }
}

#[test]
fn with_a_right_checksum_around_nonsense_are_refused() {
    let key = keys::row(Kind::Inbox, 1);
    for head in [&b""[..], &[0xff; 20], &[0x80]] {
        let value = Packed::of_parts(head, Vec::new()).unwrap().seal(Kind::Inbox, &key);
        let Ok(Opened::Here { head, body }) = record::open(Kind::Inbox, &key, &value) else { panic!() };
        let decoded = record::decode::<maypole_core::records::InboxItem>(head, body.to_vec());
        assert_eq!(decoded, Err(Damage::Form));
    }
    let counters = [postcard::to_stdvec(&Counters::default()).unwrap(), vec![0]].concat();
    assert_eq!(record::decode::<Counters>(&counters, Vec::new()), Err(Damage::Form), "trailing bytes");
    assert_eq!(
        Packed::of_parts(&[], vec![0; 65 * 1024 * 1024]),
        Err(Damage::Form),
        "too large to be read again"
    );
}
