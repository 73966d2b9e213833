//! What is said to the members, in bytes.

use maypole_core::ids::{Lane, Sha256, UserId};
use maypole_core::records::{Answer, Delivery, Owed, Recipient};
use maypole_core::time::Timestamp;

/// To the winner.
pub(super) fn accepted_text(hash: Sha256) -> Vec<u8> {
    [b"accepted ".as_slice(), hash.as_bytes()].concat()
}

/// To everybody else.
pub(super) fn stale_text(winner: Sha256) -> Vec<u8> {
    [b"stale; won by ".as_slice(), winner.as_bytes()].concat()
}

/// The answer to a commit that won, or that nobody raced with.
pub(super) fn accepted(user: &UserId, hash: Sha256) -> Answer {
    answer(user, accepted_text(hash))
}

/// An answer that says this.
pub(super) fn answer(user: &UserId, text: Vec<u8>) -> Answer {
    let question = Sha256::of(b"commit");
    Answer { question, reply: delivery(user, text), lane: Lane::of_user(user), expires_at: Timestamp::END }
}

/// What is owed by an answer.
pub(super) fn owed(user: &UserId, text: &[u8], now: Timestamp) -> Owed {
    Owed { lane: Lane::of_user(user), delivery: delivery(user, text.to_vec()), owed_at: now }
}

fn delivery(user: &UserId, content: Vec<u8>) -> Delivery {
    let recipients = vec![Recipient { user: user.clone(), device: None }];
    Delivery::ToDevice { kind: "m.mls.commit".to_owned(), content, recipients }
}
