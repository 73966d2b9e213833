use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;
use serde_json::json;

use maypole_core::ids::{GroupId, RoomId, UserId};
use maypole_core::receipt::Receipt;
use maypole_core::time::Timestamp;

use super::*;
use crate::bytes::encode;

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn keys() -> ServiceKeys {
    ServiceKeys {
        user: UserId::parse("@:a.org").unwrap(),
        receipt_key_id: "ed25519:1".into(),
        receipt_key: key().public_key().as_ref().to_vec(),
    }
}

fn message(epoch: u64) -> Vec<u8> {
    format!("commit {epoch}").into_bytes()
}

fn receipt(epoch: u64, prev: Option<Sha256>) -> Receipt {
    Receipt {
        group: GroupId::parse(*b"!room:a.org").unwrap(),
        term: 1,
        epoch: Epoch::new(epoch).unwrap(),
        commit: Sha256::of(&message(epoch)),
        tree_hash: vec![1; 32],
        confirmed_transcript_hash: Vec::new(),
        external_pub: vec![3; 32],
        prev,
        issued_at: Timestamp::from_millis(1_000 + epoch),
    }
}

fn of_room(room: &str, receipt: Receipt) -> RoomReceipt {
    RoomReceipt::new(RoomId::parse(room).unwrap(), receipt).unwrap()
}

/// As a service writes it.
fn signed(receipt: &RoomReceipt) -> Value {
    let signature = key().sign(&receipt.signable());
    let commit = encode(receipt.receipt().commit.as_bytes());
    json!({"commit": commit, "receipt": receipt.signed("@:a.org", "ed25519:1", signature.as_ref())})
}

/// Receipts that are one chain, from an epoch on.
fn receipts(from: u64, count: u64) -> Vec<RoomReceipt> {
    let mut made: Vec<RoomReceipt> = Vec::new();
    for epoch in from..from + count {
        let before = (epoch > 0).then(|| made.last().map_or(Sha256::of(b"before"), RoomReceipt::hash));
        made.push(of_room("!room:a.org", receipt(epoch, before)));
    }
    made
}

/// How many links a chain took, and what it broke at.
fn taken(keys: Option<ServiceKeys>, lines: &[Value]) -> (usize, Option<(Option<u64>, &'static str)>) {
    let mut chain = Chain::new(keys);
    for (number, line) in lines.iter().enumerate() {
        let before = chain.last().cloned();
        if let Err(broken) = chain.take(&Link::read(line).unwrap()) {
            assert_eq!(chain.last(), before.as_ref(), "what breaks it changes nothing");
            return (number, Some((broken.epoch.map(Epoch::get), broken.flaw.name())));
        }
    }
    (lines.len(), None)
}

#[test]
fn each_way_in_which_a_chain_breaks_is_told_with_its_epoch() {
    let whole = receipts(0, 4);
    let lines: Vec<Value> = whole.iter().map(signed).collect();
    let other = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = whole[2].receipt().clone();
        change(&mut receipt);
        signed(&of_room("!room:a.org", receipt))
    };
    let mut forged = lines[2].clone();
    forged["receipt"]["tree_hash"] = encode(&[9; 32]).into();
    let mut unsigned = lines[2].clone();
    unsigned["receipt"]["signatures"] = json!({});
    let mut malformed = lines[2].clone();
    malformed["receipt"]["note"] = json!(1);
    let mut another = lines[2].clone();
    another["commit"] = encode(Sha256::of(b"another").as_bytes()).into();
    let elsewhere = signed(&of_room("!other:a.org", whole[2].receipt().clone()));
    let cases = [
        (forged, Some(2), "forged"),
        (unsigned, Some(2), "unsigned"),
        (malformed, Some(2), "malformed"),
        (another, Some(2), "message"),
        (elsewhere, Some(2), "group"),
        (other(&|receipt| receipt.group = GroupId::parse(*b"other").unwrap()), Some(2), "group"),
        (other(&|receipt| receipt.term = 2), Some(2), "term"),
        (lines[1].clone(), Some(1), "twice"),
        (other(&|receipt| receipt.epoch = Epoch::new(1).unwrap()), Some(1), "fork"),
        (lines[3].clone(), Some(3), "epoch"),
        (lines[0].clone(), Some(0), "epoch"),
        (other(&|receipt| receipt.prev = None), Some(2), "prev"),
        (other(&|receipt| receipt.prev = Some(Sha256::of(b"another"))), Some(2), "prev"),
    ];
    for (line, epoch, flaw) in cases {
        let story = [lines[0].clone(), lines[1].clone(), line];
        assert_eq!(taken(Some(keys()), &story), (2, Some((epoch, flaw))), "{flaw}");
    }
    assert_eq!(taken(Some(keys()), &lines), (4, None));
}

#[test]
fn a_chain_may_begin_late_and_only_the_first_epoch_names_none_before_it() {
    let late: Vec<Value> = receipts(7, 3).iter().map(signed).collect();
    assert_eq!(taken(Some(keys()), &late), (3, None));
    let mut chain = Chain::new(Some(keys()));
    chain.take(&Link::read(&late[0]).unwrap()).unwrap();
    assert_eq!(chain.first().map(Epoch::get), Some(7));
    for (epoch, prev) in [(0, Some(Sha256::of(b"before"))), (7, None)] {
        let odd = [signed(&of_room("!room:a.org", receipt(epoch, prev)))];
        assert_eq!(taken(Some(keys()), &odd), (0, Some((Some(epoch), "beginning"))));
    }
}

#[test]
fn without_keys_all_but_the_signatures_is_checked() {
    let mut lines: Vec<Value> = receipts(0, 3).iter().map(signed).collect();
    lines[1]["receipt"]["signatures"] = json!({});
    assert_eq!(taken(None, &lines), (3, None));
    let other = ServiceKeys { receipt_key: vec![0; 32], ..keys() };
    assert_eq!(taken(Some(other), &lines), (0, Some((Some(0), "forged"))));
    lines.remove(1);
    assert_eq!(taken(None, &lines), (1, Some((Some(2), "epoch"))));
}

#[test]
fn a_link_has_a_receipt_and_one_message() {
    let line = signed(&receipts(0, 1)[0]);
    for (field, value) in [
        ("receipt", json!(null)),
        ("receipt", json!("{}")),
        ("commit", json!("AA")),
        ("commit", json!(7)),
        ("message", json!("=")),
        ("message", json!("AA")),
    ] {
        let mut odd = line.clone();
        odd[field] = value.clone();
        assert!(Link::read(&odd).is_err(), "{field} is {value}");
    }
    assert!(Link::read(&json!([])).is_err());
    let mut with = line.clone();
    with["message"] = encode(&message(0)).into();
    assert_eq!(Link::read(&with), Link::read(&line));
    with.as_object_mut().unwrap().remove("commit");
    assert_eq!(Link::read(&with), Link::read(&line));
    with["message"] = encode(b"another").into();
    assert_eq!(taken(Some(keys()), &[with]), (0, Some((Some(0), "message"))));
}

#[test]
fn two_logs_part_at_the_first_epoch_that_both_tell_otherwise() {
    let (one, mut stories) = (receipts(2, 5), Stories::default());
    for receipt in &one {
        stories.note(receipt);
        assert_eq!(stories.agree(receipt), Ok(true));
    }
    let fork = of_room("!room:a.org", Receipt { tree_hash: vec![9; 32], ..one[3].receipt().clone() });
    let parted = stories.agree(&fork).unwrap_err();
    assert_eq!((parted.epoch.map(Epoch::get), parted.flaw), (Some(5), Flaw::Fork));
    let elsewhere = of_room("!other:a.org", one[0].receipt().clone());
    assert_eq!(stories.agree(&elsewhere).unwrap_err().flaw, Flaw::Group);
    // Of what only one of them has, nothing can be said.
    assert_eq!(stories.agree(&receipts(9, 1)[0]), Ok(false));
    assert_eq!(Stories::default().agree(&one[0]), Ok(false));
}

#[test]
fn a_break_says_where_it_is() {
    let epoch = Epoch::new(5);
    assert_eq!(
        Break { epoch, flaw: Flaw::Prev }.to_string(),
        "at epoch 5: `prev` is not the hash of the receipt before"
    );
    assert_eq!(
        Break { epoch: None, flaw: Flaw::Receipt(ShapeError::Unsigned) }.to_string(),
        ShapeError::Unsigned.to_string()
    );
}

/// What somebody does to a log.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Remove,
    Repeat,
    Swap,
    /// A field becomes that of the receipt before.
    Field(&'static str),
    /// The message becomes that of the line before.
    Message,
}

fn harm() -> impl Strategy<Value = Harm> {
    const FIELDS: [&str; 5] = ["commit", "epoch", "origin_server_ts", "prev", "signatures"];
    prop_oneof![
        Just(Harm::Remove),
        Just(Harm::Repeat),
        Just(Harm::Swap),
        Just(Harm::Message),
        prop::sample::select(&FIELDS[..]).prop_map(Harm::Field),
    ]
}

proptest! {
    #[test]
    fn whatever_is_done_in_the_middle_of_a_log_is_found_there(
        (from, count, at) in (0_u64..3, 3_u64..7).prop_flat_map(|(from, count)| {
            let at = 1..usize::try_from(count).unwrap() - 1;
            (Just(from), Just(count), at)
        }),
        harm in harm(),
    ) {
        let mut lines: Vec<Value> = receipts(from, count).iter().map(signed).collect();
        match harm {
            Harm::Remove => drop(lines.remove(at)),
            Harm::Repeat => lines.insert(at, lines[at].clone()),
            Harm::Swap => lines.swap(at, at + 1),
            Harm::Field(field) => lines[at]["receipt"][field] = lines[at - 1]["receipt"][field].clone(),
            Harm::Message => lines[at]["commit"] = lines[at - 1]["commit"].clone(),
        }
        let found = if matches!(harm, Harm::Repeat) { at + 1 } else { at };
        let (taken, broken) = taken(Some(keys()), &lines);
        prop_assert_eq!(taken, found, "{:?} {:?}", harm, broken);
        prop_assert!(broken.is_some());
    }
}
