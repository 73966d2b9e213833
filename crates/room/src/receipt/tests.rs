use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

const SERVICE: &str = "@:a.org";
const KEY_ID: &str = "ed25519:1";

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn receipt(epoch: u64, prev: Option<Sha256>) -> Receipt {
    Receipt {
        group: GroupId::parse(*b"!room:a.org").unwrap(),
        term: 1,
        epoch: Epoch::new(epoch).unwrap(),
        commit: Sha256::of(b"commit"),
        tree_hash: vec![1; 32],
        confirmed_transcript_hash: vec![2; 32],
        external_pub: vec![3; 32],
        prev,
        issued_at: Timestamp::from_millis(1_700_000_000_000),
    }
}

fn room_receipt(receipt: Receipt) -> RoomReceipt {
    RoomReceipt::new(RoomId::parse("!room:a.org").unwrap(), receipt).unwrap()
}

fn signed(receipt: &RoomReceipt) -> Value {
    receipt.signed(SERVICE, KEY_ID, key().sign(&receipt.signable()).as_ref())
}

fn verify(value: &Value) -> Result<RoomReceipt, ShapeError> {
    RoomReceipt::verify(value, SERVICE, KEY_ID, key().public_key().as_ref())
}

#[test]
fn numbers_that_cannot_be_written_make_no_receipt() {
    let room = || RoomId::parse("!room:a.org").unwrap();
    for term in [0, 1 << 53, u64::MAX] {
        assert_eq!(RoomReceipt::new(room(), Receipt { term, ..receipt(1, None) }), None, "{term}");
    }
    let late = Receipt { issued_at: Timestamp::END, ..receipt(1, None) };
    assert_eq!(RoomReceipt::new(room(), late), None);
}

#[test]
fn what_is_changed_afterwards_is_forged() {
    let whole = signed(&room_receipt(receipt(1, Some(Sha256::of(b"before")))));
    let changes = [
        ("/room_id", json!("!other:a.org")),
        ("/group_id", json!(encode(b"!other:a.org"))),
        ("/term", json!(2)),
        ("/epoch", json!(2)),
        ("/commit", json!(encode(Sha256::of(b"another").as_bytes()))),
        ("/tree_hash", json!(encode(&[9; 32]))),
        ("/confirmed_transcript_hash", json!("")),
        ("/external_pub", json!("")),
        ("/prev", json!(null)),
        ("/origin_server_ts", json!(1)),
        ("/signatures/@:a.org/ed25519:1", json!(encode(&[0; 64]))),
        ("/signatures/@:a.org/ed25519:1", json!("")),
    ];
    for (place, value) in changes {
        let mut receipt = whole.clone();
        *receipt.pointer_mut(place).unwrap() = value.clone();
        assert_eq!(verify(&receipt), Err(ShapeError::Forged), "{place} is {value}");
    }
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    for public_key in [other.public_key().as_ref(), &[], &[0; 33]] {
        let verdict = RoomReceipt::verify(&whole, SERVICE, KEY_ID, public_key);
        assert_eq!(verdict, Err(ShapeError::Forged));
    }
}

#[test]
fn a_signature_of_somebody_else_is_none() {
    let whole = signed(&room_receipt(receipt(0, None)));
    let public = key().public_key().as_ref().to_vec();
    assert_eq!(RoomReceipt::verify(&whole, "@:b.org", KEY_ID, &public), Err(ShapeError::Unsigned));
    assert_eq!(RoomReceipt::verify(&whole, SERVICE, "ed25519:2", &public), Err(ShapeError::Unsigned));
    for signatures in
        [json!(null), json!([]), json!({}), json!({SERVICE: {KEY_ID: 7}}), json!({SERVICE: {KEY_ID: "="}})]
    {
        let mut receipt = whole.clone();
        receipt["signatures"] = signatures.clone();
        assert_eq!(verify(&receipt), Err(ShapeError::Unsigned), "{signatures}");
    }
}

#[test]
fn fields_are_exactly_those_that_are_known() {
    let whole = signed(&room_receipt(receipt(0, None)));
    for name in FIELDS {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(name);
        assert_eq!(verify(&without), Err(ShapeError::Field { field: name, problem: "is missing" }));
        let mut wrong = whole.clone();
        wrong[name] = json!(-1);
        assert!(matches!(verify(&wrong), Err(ShapeError::Field { field, .. }) if field == name), "{name}");
    }
    let mut more = whole.clone();
    more["note"] = json!("signed by nobody");
    assert!(matches!(verify(&more), Err(ShapeError::Field { field: "receipt", .. })));
    let mut annotated = whole;
    annotated["unsigned"] = json!({"age": 7});
    assert!(verify(&annotated).is_ok());
}

#[test]
fn a_chain_is_of_one_room_and_names_what_came_before() {
    let first = room_receipt(receipt(0, None));
    let next = room_receipt(receipt(1, Some(first.hash())));
    assert_eq!(next.follows(&first), Ok(()));
    assert_eq!(next.follows(&next), Err(ShapeError::NotNext));
    assert_eq!(first.follows(&next), Err(ShapeError::NotNext));
    assert_eq!(room_receipt(receipt(1, None)).follows(&first), Err(ShapeError::NotNext));
    let elsewhere = RoomReceipt::new(RoomId::parse("!other:a.org").unwrap(), next.receipt().clone()).unwrap();
    assert_eq!(elsewhere.follows(&first), Err(ShapeError::NotNext));
    let late = Receipt { issued_at: Timestamp::from_millis(1), ..receipt(0, None) };
    assert_eq!(next.follows(&room_receipt(late)), Err(ShapeError::NotNext), "the hash covers the time too");
}

#[test]
fn a_receipt_is_of_one_epoch_of_one_group() {
    let receipt = room_receipt(receipt(6, None));
    let (room, group) = (receipt.room_id(), &receipt.receipt().group);
    let epoch = |number| Epoch::new(number).unwrap();
    assert_eq!(receipt.is_of(room, group, epoch(6)), Ok(()));
    assert_eq!(receipt.is_of(room, group, epoch(7)), Err(ShapeError::OtherReceipt));
    let (room2, group2) = (RoomId::parse("!other:a.org").unwrap(), GroupId::parse(*b"other").unwrap());
    assert_eq!(receipt.is_of(&room2, group, epoch(6)), Err(ShapeError::OtherReceipt));
    assert_eq!(receipt.is_of(room, &group2, epoch(6)), Err(ShapeError::OtherReceipt));
}

/// What every other program must come to as well.
#[test]
fn a_known_receipt_has_known_bytes_hash_and_signature() {
    let receipt = room_receipt(receipt(6, Some(Sha256::from_bytes([4; 32]))));
    let signable = String::from_utf8(receipt.signable()).unwrap();
    assert_eq!(
        signable,
        concat!(
            r#"{"commit":"lQXKy3xxDtFxJfzGyzZp6N3KbIzYr2ox9rPNZGBMMJg","confirmed_transcript_hash":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI","#,
            r#""epoch":6,"external_pub":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM","group_id":"IXJvb206YS5vcmc","#,
            r#""origin_server_ts":1700000000000,"prev":"BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ","#,
            r#""room_id":"!room:a.org","term":1,"tree_hash":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}"#
        )
    );
    assert_eq!(
        format!("{:?}", receipt.hash()),
        "f7ed8fd5729e75d91c2238fab0b36bebb450e3d267813cb35bb50466e1256c88"
    );
    let value = signed(&receipt);
    assert_eq!(
        value["signatures"],
        json!({SERVICE: {KEY_ID: "vPJQld+PKoLPdhLMHhpmxugx3UKuoNto6AxTfK0i6PKfHbgmFjRtAUd1yRD9xtiH7goous6zKJhjBqCuIwk6AA"}})
    );
    assert_eq!(verify(&value), Ok(receipt));
}
