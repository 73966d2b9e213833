//! Records to store.

use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::batch::{Batch, Expect, Op};
use maypole_core::directory::KeyPackage;
use maypole_core::group::{
    Agenda, Cause, Command, Does, Entry, Freeze, FreezeCause, Frozen, Head, Lease, Leaving, Proposer,
    Request, Snapshot, Staged, Waiting,
};
use maypole_core::ids::{
    ClientId, DeviceId, Epoch, FreezeReason, GroupId, InboxSeq, KeyPackageRef, Lane, PushTxnId, RoomId,
    Sha256, SyncToken, UserId,
};
use maypole_core::limits;
use maypole_core::permit::{Effect, Permit};
use maypole_core::records::{
    Answer, AnswerKey, Delivery, InboxItem, Incoming, Owed, PushTransaction, Recipient, SetAside,
    SetAsideKind,
};
use maypole_core::time::Timestamp;
use maypole_mls::Suite;

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(format!("@{name}:a.org")).unwrap()
}

pub(crate) fn token(text: &str) -> SyncToken {
    SyncToken::parse(text).unwrap()
}

/// Bytes that differ with the seed, and compress badly.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "tests are their own authority")]
pub(crate) fn message(seed: u64, length: usize) -> InboxItem {
    let caller = Authenticated::by(AuthToken::make(), user("alice"));
    let kind = "m.mls.message".to_owned();
    let message = if seed % 5 == 4 {
        Incoming::Invite { room: RoomId::parse("!room:b.org").unwrap(), state: bytes(seed, length) }
    } else {
        Incoming::ToDevice { kind, content: bytes(seed, length) }
    };
    InboxItem::new(caller, Timestamp::from_millis(seed), message)
}

pub(crate) fn delivery(seed: u64, length: usize) -> Delivery {
    let device = seed.is_multiple_of(2).then(|| DeviceId::parse("PHONE").unwrap());
    let recipients = vec![Recipient { user: user("bob"), device }];
    Delivery::ToDevice { kind: "m.mls.rejected".to_owned(), content: bytes(seed, length), recipients }
}

pub(crate) fn owed(seed: u64, length: usize) -> Owed {
    let lane = Lane::of_user(&user("bob"));
    Owed { lane, delivery: delivery(seed, length), owed_at: Timestamp::from_millis(seed) }
}

/// An owed message to so many devices that the list alone is large.
pub(crate) fn owed_to_many(seed: u64, recipients: usize) -> Owed {
    let recipients = (0..recipients)
        .map(|number| Recipient { user: user(&format!("bob{number}")), device: DeviceId::parse("LAPTOP") })
        .collect();
    let delivery =
        Delivery::ToDevice { kind: "m.mls.commit".to_owned(), content: bytes(seed, 300), recipients };
    Owed { delivery, ..owed(seed, 0) }
}

pub(crate) fn answer(seed: u64, length: usize, expires_at: u64) -> Answer {
    Answer {
        question: Sha256::of(&seed.to_le_bytes()),
        reply: delivery(seed, length),
        lane: Lane::of_user(&user("bob")),
        expires_at: Timestamp::from_millis(expires_at),
    }
}

pub(crate) fn key(number: u64) -> AnswerKey {
    AnswerKey(Sha256::of(&number.to_be_bytes()))
}

pub(crate) fn transaction(number: u64) -> PushTransaction {
    let id = PushTxnId::parse(format!("t{}", number / 2)).unwrap();
    PushTransaction { id, body: Sha256::of(&(number % 2).to_le_bytes()) }
}

pub(crate) fn aside(seed: u64, length: usize) -> SetAside {
    let what = match seed % 3 {
        0 => SetAsideKind::Event(bytes(seed, length)),
        1 => SetAsideKind::Inbox(message(seed, length)),
        _ => SetAsideKind::Owed(owed(seed, length)),
    };
    SetAside { at: Timestamp::from_millis(seed), reason: format!("reason {seed}"), what }
}

pub(crate) fn group(number: u64) -> GroupId {
    GroupId::parse(format!("!room{number}:a.org")).unwrap()
}

pub(crate) fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId { user: user(name), device: DeviceId::parse("PHONE").unwrap() }
}

pub(crate) fn head(number: u64, at: u64, length: usize) -> Head {
    Head {
        group: group(number),
        epoch: epoch(at),
        term: 1,
        generation: 0,
        receipt: Sha256::of(&at.to_le_bytes()),
        snapshot_epoch: epoch(0),
        snapshot_bytes: 7,
        delta_bytes: 8,
        notes: bytes(at, length),
    }
}

pub(crate) fn entry(at: u64, length: usize) -> Entry {
    Entry {
        epoch: epoch(at),
        sender: client("alice"),
        accepted_at: Timestamp::from_millis(at),
        joined: vec![client("bob")],
        left: Vec::new(),
        message: bytes(at, length),
        delta: bytes(at + 1, length / 2),
        group_info: bytes(at + 2, 100),
        cited: vec![bytes(at + 3, 100)],
        receipt: bytes(at + 4, 100),
        notes: Vec::new(),
    }
}

pub(crate) fn agenda(number: u64, revision: u64, length: usize) -> Agenda {
    let at = Timestamp::from_millis(revision);
    let waiting = |by, does| Waiting {
        by,
        does,
        reference: bytes(revision, 32),
        message: bytes(revision + 1, length),
        delta: bytes(revision + 2, length),
        proposed_at: at,
    };
    Agenda {
        group: group(number),
        revision,
        leaving: vec![Leaving {
            client: client("carol"),
            causes: vec![Cause::Left, Cause::DeviceGone],
            announced_at: at,
        }],
        proposals: vec![
            waiting(Proposer::Service, Does::Removes(client("carol"))),
            waiting(Proposer::Member(client("dan")), Does::Leaves(client("dan"))),
            waiting(Proposer::Joiner(client("bob")), Does::Adds(client("bob"))),
        ],
        wanted: vec![client("bob")],
        lease: revision.is_multiple_of(2).then(|| Lease {
            holder: client("alice"),
            since: at,
            tried: vec![client("dan")],
        }),
        frozen: vec![Freeze { cause: FreezeCause::Power, reason: "it lacks power".to_owned(), since: at }],
        reset_open: true,
    }
}

pub(crate) fn snapshot(at: u64, length: usize) -> Snapshot {
    Snapshot { epoch: epoch(at), bytes: bytes(at, length) }
}

pub(crate) fn frozen(at: u64, length: usize) -> Frozen {
    let reason = FreezeReason::parse("r".repeat(length.clamp(1, limits::FREEZE_REASON_BYTES))).unwrap();
    Frozen { reason, frozen_at: Timestamp::from_millis(at) }
}

#[expect(clippy::disallowed_methods, reason = "tests are their own authority")]
pub(crate) fn staged(number: u64, row: u64, length: usize) -> Staged {
    let caller = Authenticated::by(AuthToken::make(), user("alice"));
    let request = Request::Register { group_info: bytes(row, length) };
    let command = Command::of(&caller, DeviceId::parse("PHONE").unwrap(), group(number), request);
    let effects = vec![Effect { about: Some(user("bob")), words: bytes(row, 50) }];
    let permit = Permit { effects, cited: Vec::new() };
    Staged::new(&command, InboxSeq::new(row), Timestamp::from_millis(row), permit, bytes(row, 20))
}

pub(crate) fn reference(number: u64) -> KeyPackageRef {
    KeyPackageRef::parse(*Sha256::of(&number.to_be_bytes()).as_bytes()).unwrap()
}

/// One that ends in so many seconds; each seventh is a last resort.
pub(crate) fn key_package(name: &str, number: u64, ends: u64, length: usize) -> KeyPackage {
    let suites = [Suite::P256Aes128, Suite::X25519Aes128];
    KeyPackage {
        client: client(name),
        reference: reference(number),
        suite: suites[usize::from(number.is_multiple_of(2))],
        begins: Timestamp::from_millis(0),
        ends: Timestamp::from_millis(ends * 1_000),
        last_resort: number % 7 == 6,
        uploaded_at: Timestamp::from_millis(number),
        notes: bytes(number, 10),
        bytes: bytes(number + 1, length),
    }
}

pub(crate) fn batch(expect: Vec<Expect>, ops: Vec<Op>) -> Batch {
    Batch { name: "test", expect, ops }
}
