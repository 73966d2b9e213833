//! A service that signs receipts, with a key made for tests and for the vectors of docs/receipts.json.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use maypole_core::ids::{Epoch, GroupId, RoomId, Sha256, UserId};
use maypole_core::receipt::Receipt;
use maypole_core::time::Timestamp;
use maypole_room::bytes::encode;
use maypole_room::description::ServiceKeys;
use maypole_room::receipt::RoomReceipt;
use serde_json::{Value, json};

/// The seed of the key, which is nobody's.
pub(crate) const SEED: [u8; 32] = [42; 32];
pub(crate) const USER: &str = "@:a.org";
pub(crate) const KEY_ID: &str = "ed25519:vectors";
const ROOM: &str = "!room:a.org";

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap()
}

pub(crate) fn keys() -> ServiceKeys {
    ServiceKeys {
        user: UserId::parse(USER).unwrap(),
        receipt_key_id: KEY_ID.to_owned(),
        receipt_key: key().public_key().as_ref().to_vec(),
    }
}

/// The bytes that a receipt of this epoch is for; nobody looks into them.
pub(crate) fn message(epoch: u64) -> Vec<u8> {
    format!("the commit that makes epoch {epoch}").into_bytes()
}

pub(crate) fn receipt(epoch: u64, prev: Option<Sha256>) -> Receipt {
    let hash = |what: &str| Sha256::of(format!("{what} of epoch {epoch}").as_bytes()).as_bytes().to_vec();
    Receipt {
        group: GroupId::parse(ROOM).unwrap(),
        term: 1,
        epoch: Epoch::new(epoch).unwrap(),
        commit: Sha256::of(&message(epoch)),
        tree_hash: hash("the tree"),
        confirmed_transcript_hash: if epoch == 0 { Vec::new() } else { hash("the transcript") },
        external_pub: hash("the key for external commits"),
        prev,
        issued_at: Timestamp::from_millis(1_700_000_000_000 + 60_000 * epoch),
    }
}

pub(crate) fn of_room(receipt: Receipt) -> RoomReceipt {
    RoomReceipt::new(RoomId::parse(ROOM).unwrap(), receipt).unwrap()
}

/// Receipts that are one chain from the first epoch on.
pub(crate) fn chain(count: u64) -> Vec<RoomReceipt> {
    let mut made: Vec<RoomReceipt> = Vec::new();
    for epoch in 0..count {
        made.push(of_room(receipt(epoch, made.last().map(RoomReceipt::hash))));
    }
    made
}

/// The receipt as the service gives it out.
pub(crate) fn signed(receipt: &RoomReceipt) -> Value {
    receipt.signed(USER, KEY_ID, key().sign(&receipt.signable()).as_ref())
}

/// A link of a chain, with the message that belongs to its epoch.
pub(crate) fn line(receipt: &RoomReceipt) -> Value {
    let message = message(receipt.receipt().epoch.get());
    json!({"message": encode(&message), "receipt": signed(receipt)})
}
