//! `docs/receipts.json`: chains of receipts for the authors of clients, whole ones and one for each way to break one.

use maypole_core::ids::{Epoch, GroupId, RoomId, Sha256};
use maypole_core::receipt::Receipt;
use maypole_room::bytes::encode;
use maypole_room::chain::{Chain, Link, Stories};
use maypole_room::receipt::RoomReceipt;
use serde_json::{Value, json};

use crate::admin::tests::receipts::{KEY_ID, SEED, USER, chain, keys, line, of_room, receipt, signed};

/// A chain, and why it is not whole.
struct Case {
    name: &'static str,
    what: &'static str,
    lines: Vec<Value>,
}

/// What a chain is found to be: whole, or broken at a line, of an epoch, by a flaw.
fn verdict(lines: &[Value]) -> Value {
    let mut chain = Chain::new(Some(keys()));
    for (number, line) in (1_u64..).zip(lines) {
        if let Err(broken) = Link::read(line).map(|link| chain.take(&link).map(drop)).unwrap() {
            return json!({"line": number, "epoch": broken.epoch.map(Epoch::get), "flaw": broken.flaw.name()});
        }
    }
    json!("whole")
}

/// A chain of four whose third link is another.
fn with_third(name: &'static str, what: &'static str, third: Value) -> Case {
    let mut lines: Vec<Value> = chain(4).iter().map(line).collect();
    lines[2] = third;
    Case { name, what, lines }
}

/// The third receipt, changed before it is signed.
fn third(change: impl FnOnce(&mut Receipt)) -> Value {
    let mut receipt = chain(3)[2].receipt().clone();
    change(&mut receipt);
    line(&of_room(receipt))
}

/// The third line, changed after its receipt was signed.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut third = line(&chain(3)[2]);
    change(&mut third);
    third
}

fn whole() -> Vec<Case> {
    let lines: Vec<Value> = chain(4).iter().map(line).collect();
    let bare = |receipt: &RoomReceipt| json!({"receipt": signed(receipt)});
    let hashed = |receipt: &RoomReceipt| {
        let commit = encode(receipt.receipt().commit.as_bytes());
        json!({"commit": commit, "receipt": signed(receipt)})
    };
    vec![
        Case { name: "whole", what: "a chain from the first epoch on", lines: lines.clone() },
        Case {
            name: "joined_late",
            what: "a chain from an epoch in which a device joined",
            lines: lines[2..].to_vec(),
        },
        Case {
            name: "hashes_alone",
            what: "the same without the messages, with their hashes",
            lines: chain(4).iter().map(hashed).collect(),
        },
        Case {
            name: "receipts_alone",
            what: "the same without the messages or their hashes",
            lines: chain(4).iter().map(bare).collect(),
        },
        with_third("unsigned_extra", "`unsigned` is neither hashed nor signed", {
            changed(|line| line["receipt"]["unsigned"] = json!({"age": 7}))
        }),
    ]
}

fn broken() -> Vec<Case> {
    let all = chain(4);
    let elsewhere = RoomReceipt::new(RoomId::parse("!other:a.org").unwrap(), all[2].receipt().clone());
    let of_other_room = json!({"receipt": signed(&elsewhere.unwrap())});
    let mut cases = vec![
        with_third("forged", "`tree_hash` was changed after it was signed", {
            changed(|line| {
                line["receipt"]["tree_hash"] = encode(Sha256::of(b"another tree").as_bytes()).into()
            })
        }),
        with_third("unsigned", "it is signed by another account", {
            changed(|line| {
                line["receipt"]["signatures"] = json!({"@:b.org": line["receipt"]["signatures"][USER]})
            })
        }),
        with_third("unknown_field", "it has a field that is not known", {
            changed(|line| line["receipt"]["note"] = "signed by nobody".into())
        }),
        with_third("missing_field", "it lacks a field", {
            changed(|line| drop(line["receipt"].as_object_mut().unwrap().remove("external_pub")))
        }),
        with_third("other_message", "`commit` is not the hash of the message", {
            changed(|line| line["message"] = encode(b"another commit").into())
        }),
        with_third("other_room", "it is of another room", of_other_room),
        with_third(
            "other_group",
            "it is of another group",
            third(|receipt| {
                receipt.group = GroupId::parse(*b"another group").unwrap();
            }),
        ),
        with_third("other_term", "it is of another term", third(|receipt| receipt.term = 2)),
        with_third("twice", "the receipt before comes again", line(&all[1])),
        with_third("two_of_one_epoch", "another receipt of the epoch before", {
            line(&of_room(Receipt { tree_hash: vec![9; 32], ..all[1].receipt().clone() }))
        }),
        with_third("gap", "an epoch is left out", line(&all[3])),
        with_third("back", "it goes back to the first epoch", line(&all[0])),
        with_third("prev_of_another", "`prev` is the hash of something else", {
            third(|receipt| receipt.prev = Some(Sha256::of(b"another receipt")))
        }),
        with_third("prev_missing", "`prev` is null in the middle", third(|receipt| receipt.prev = None)),
    ];
    let first = |epoch, prev| vec![line(&of_room(receipt(epoch, prev)))];
    cases.push(Case {
        name: "beginning_with_prev",
        what: "epoch 0 names a receipt before it",
        lines: first(0, Some(Sha256::of(b"before"))),
    });
    cases.push(Case {
        name: "late_without_prev",
        what: "a later epoch names no receipt before it",
        lines: first(7, None),
    });
    cases
}

/// Two chains of one group, each whole, that part at an epoch.
fn fork() -> (Vec<RoomReceipt>, Vec<RoomReceipt>) {
    let one = chain(4);
    let mut other = one[..2].to_vec();
    for epoch in 2..4 {
        let prev = other.last().map(RoomReceipt::hash);
        other.push(of_room(Receipt { external_pub: vec![9; 32], ..receipt(epoch, prev) }));
    }
    (one, other)
}

fn page() -> Value {
    let chains = |cases: Vec<Case>| -> Vec<Value> {
        let told = |Case { name, what, lines }: Case| json!({"name": name, "what": what, "verdict": verdict(&lines), "lines": lines});
        cases.into_iter().map(told).collect()
    };
    let (one, other) = fork();
    let mut stories = Stories::default();
    one.iter().for_each(|receipt| stories.note(receipt));
    let parted = other.iter().find_map(|receipt| stories.agree(receipt).err()).unwrap();
    let forms = chain(4).into_iter().map(|receipt| {
        let canonical = String::from_utf8(receipt.signable()).unwrap();
        json!({"canonical": canonical, "sha256": encode(receipt.hash().as_bytes())})
    });
    let lines = |receipts: &[RoomReceipt]| receipts.iter().map(line).collect::<Vec<_>>();
    json!({
        "about": "Chains of receipts (docs/protocol.md, section 5), made by src/cli/log/vectors.rs.",
        "service": {
            "user_id": USER, "key_id": KEY_ID, "public_key": encode(&keys().receipt_key),
            "identity": keys().to_string(), "seed": encode(&SEED),
        },
        "receipts": forms.collect::<Vec<_>>(),
        "whole": chains(whole()),
        "broken": chains(broken()),
        "forked": {"one": lines(&one), "other": lines(&other), "epoch": parted.epoch.map(Epoch::get)},
    })
}

#[test]
fn docs_receipts_json_is_current() {
    let page = format!("{:#}\n", page());
    maypole_testkit::generated::assert_current(env!("CARGO_MANIFEST_DIR"), "docs/receipts.json", &page);
}

#[test]
fn every_case_is_what_it_is_called() {
    for case in whole() {
        assert_eq!(verdict(&case.lines), "whole", "{}", case.name);
    }
    let mut flaws = Vec::new();
    for case in broken() {
        let verdict = verdict(&case.lines);
        let expected = if case.lines.len() == 1 { 1 } else { 3 };
        assert_eq!(verdict["line"], expected, "{}: {verdict}", case.name);
        flaws.push(verdict["flaw"].as_str().unwrap().to_owned());
    }
    for flaw in [
        "unsigned",
        "forged",
        "malformed",
        "group",
        "term",
        "twice",
        "fork",
        "epoch",
        "prev",
        "message",
        "beginning",
    ] {
        assert!(flaws.iter().any(|found| found == flaw), "no case breaks by {flaw}");
    }
    let (one, other) = fork();
    for story in [&one, &other] {
        assert_eq!(verdict(&story.iter().map(line).collect::<Vec<_>>()), "whole");
    }
    assert_eq!(page()["forked"]["epoch"], 2);
}
