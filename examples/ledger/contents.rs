//! What `ledger_writer` writes and `ledger_reader` expects: everything follows from a message's number.

use maypole_core::ids::{Lane, Sha256, UserId};
use maypole_core::records::{Answer, AnswerKey, Delivery, Owed, Recipient};
use maypole_core::time::Timestamp;

/// When the answers expire: never, for a test.
const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// How large a message is: mostly small, often around what fits into the log, sometimes as large as they get.
pub(crate) fn size(number: u64) -> usize {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let (from, to) = match mixed % 8 {
        0..=3 => (10, 600),
        4 => (600, 3_800),
        5 => (3_800, 4_200),
        6 => (4_200, 20_000),
        _ => (20_000, 60_000),
    };
    let spread = usize::try_from(mixed >> 3).unwrap_or_default();
    from + spread % (to - from)
}

/// A message's bytes: its number, and then bytes that follow from it.
pub(crate) fn content(number: u64, salt: u64, size: usize) -> Vec<u8> {
    let mut state = (number ^ salt.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = number.to_be_bytes().to_vec();
    while bytes.len() < size.max(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size.max(8));
    bytes
}

/// The number of a message, from its bytes.
pub(crate) fn number(content: &[u8]) -> Option<u64> {
    content.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Under what the answer to a message is remembered.
pub(crate) fn key(number: u64) -> AnswerKey {
    AnswerKey(Sha256::of(&number.to_be_bytes()))
}

/// The answer to a message.
pub(crate) fn answer(user: &UserId, number: u64, size: usize) -> Answer {
    Answer {
        question: Sha256::of(&content(number, 0, size)),
        reply: delivery(user, content(number, 1, size)),
        lane: Lane::of_user(user),
        expires_at: NEVER,
    }
}

/// What is owed for a message: for every other the answer itself, for the rest something else.
pub(crate) fn owed(user: &UserId, number: u64, size: usize) -> Owed {
    let bytes = content(number, 1 + number % 2, size);
    Owed {
        lane: Lane::of_user(user),
        delivery: delivery(user, bytes),
        owed_at: Timestamp::from_millis(number),
    }
}

/// Which of some groups a message changes, if it changes one: three of four do.
pub(crate) fn group(number: u64, groups: usize) -> Option<usize> {
    let groups = u64::try_from(groups).ok()?;
    let group = (number / 4 + number % 4).checked_rem(groups)?;
    (number % 4 != 3).then_some(group).and_then(|group| usize::try_from(group).ok())
}

/// Whether what is owed for a message that changes no group is sent at once.
pub(crate) fn is_settled(number: u64) -> bool {
    number.is_multiple_of(3)
}

/// The bytes of what is delivered.
pub(crate) fn delivered(delivery: &Delivery) -> &[u8] {
    match delivery {
        Delivery::ToDevice { content, .. } => content,
    }
}

fn delivery(user: &UserId, content: Vec<u8>) -> Delivery {
    let recipients = vec![Recipient { user: user.clone(), device: None }];
    Delivery::ToDevice { kind: "m.mls.rejected".to_owned(), content, recipients }
}
