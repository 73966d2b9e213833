//! Spells a refusal as the to-device message that answers a question.

use maypole_core::ids::{InboxSeq, Lane};
use maypole_core::ledger::Answered;
use maypole_core::limits;
use maypole_core::records::{Answer, Delivery, Owed, Recipient};
use maypole_core::rejection::Rejection;
use maypole_core::time::Timestamp;
use maypole_room::names::{Name, Prefix};
use maypole_room::rejected;
use serde_json::{Map, Value};

use super::questions::Question;

/// Refuses a question for the first time.
pub fn refuse(row: InboxSeq, question: &Question, rejection: &Rejection, now: Timestamp) -> Answered {
    refuse_with(row, question, rejection, content(question, rejection), question.prefix, now)
}

/// What a refusal says.
pub fn content(question: &Question, rejection: &Rejection) -> Map<String, Value> {
    match rejected::content(&question.message, rejection) {
        Value::Object(content) => content,
        _ => Map::new(),
    }
}

/// Refuses a question for the first time, with this content, spelled like that.
pub fn refuse_with(
    row: InboxSeq,
    question: &Question,
    rejection: &Rejection,
    content: Map<String, Value>,
    prefix: Prefix,
    now: Timestamp,
) -> Answered {
    // A `Value` of strings and numbers always has a JSON form.
    let content = Value::Object(content).to_string().into_bytes();
    let recipient =
        Recipient { user: question.caller.get().clone(), device: question.message.device.clone() };
    let kind = prefix.event_type(Name::Rejected);
    let delivery = Delivery::ToDevice { kind, content, recipients: vec![recipient] };
    let lane = Lane::of_user(question.caller.get());
    let remember = rejection.code().facts().remembered.then(|| {
        let answer = Answer {
            question: question.message.question_hash,
            reply: delivery.clone(),
            lane: lane.clone(),
            expires_at: now.plus(limits::REFUSAL_REMEMBERED),
        };
        (question.key, answer)
    });
    Answered { row, remember, owed: vec![Owed { lane, delivery, owed_at: now }] }
}

/// Answers a question under whose key there is an answer already: the same question gets it again.
pub fn again(row: InboxSeq, question: &Question, answer: Answer, now: Timestamp) -> Answered {
    if answer.question == question.message.question_hash {
        repeat(row, answer, now)
    } else {
        refuse(row, question, &Rejection::TxnReused, now)
    }
}

/// Gives the same answer to the same question once more.
pub fn repeat(row: InboxSeq, answer: Answer, now: Timestamp) -> Answered {
    let owed = Owed { lane: answer.lane, delivery: answer.reply, owed_at: now };
    Answered { row, remember: None, owed: vec![owed] }
}

/// Lets a message go that needs no answer.
pub fn ignore(row: InboxSeq) -> Answered {
    Answered { row, remember: None, owed: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use maypole_core::auth::{AuthToken, Authenticated};
    use maypole_core::ids::UserId;
    use maypole_core::records::{InboxItem, Incoming};
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    #[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
    fn question(kind: &str, content: &Value) -> Question {
        let caller = Authenticated::by(AuthToken::make(), UserId::parse("@alice:a.org").unwrap());
        let message = Incoming::ToDevice { kind: kind.into(), content: content.to_string().into_bytes() };
        Question::read(&InboxItem::new(caller, NOW, message)).unwrap()
    }

    fn delivery(answered: &Answered) -> (&str, Value, &[Recipient]) {
        let Delivery::ToDevice { kind, content, recipients } = &answered.owed[0].delivery;
        (kind, serde_json::from_slice(content).unwrap(), recipients)
    }

    #[test]
    fn a_refusal_goes_to_the_device_that_asked_in_its_own_spelling() {
        let asked = json!({"device_id": "ALICE1", "txn_id": "t", "message": "!"});
        let question = question("org.matrix.msc4244.mls.message", &asked);
        let rejection = question.message.asked.clone().unwrap_err();
        let answered = refuse(InboxSeq::new(4), &question, &rejection, NOW);
        let (kind, content, recipients) = delivery(&answered);
        assert_eq!(kind, "org.matrix.msc4244.mls.rejected");
        assert_eq!(content["txn_id"], "t");
        assert_eq!(recipients[0].device.as_ref().unwrap().as_str(), "ALICE1");
        let (_, answer) = answered.remember.unwrap();
        assert_eq!(answer.expires_at, NOW.plus(Duration::from_hours(24)));
    }

    #[test]
    fn without_a_device_it_goes_to_all() {
        let question = question("m.mls.message", &json!({"message": "AA"}));
        let answered = refuse(InboxSeq::new(4), &question, &Rejection::UnknownGroup, NOW);
        assert_eq!(delivery(&answered).2[0].device, None);
    }

    #[test]
    fn what_may_be_asked_again_is_not_remembered() {
        let question = question("m.mls.message", &json!({"device_id": "A", "message": "AA"}));
        for rejection in [Rejection::LimitExceeded { retry_after: Duration::ZERO }, Rejection::TxnReused] {
            let answered = refuse(InboxSeq::new(4), &question, &rejection, NOW);
            assert_eq!((answered.remember, answered.owed.len()), (None, 1));
        }
    }

    #[test]
    fn a_repeat_is_the_same_to_the_byte() {
        let question = question("m.mls.message", &json!({"device_id": "A", "txn_id": "t", "message": "AA"}));
        let first = refuse(InboxSeq::new(4), &question, &Rejection::UnknownGroup, NOW);
        let (_, answer) = first.remember.unwrap();
        let again = repeat(InboxSeq::new(9), answer, NOW.plus(Duration::from_hours(1)));
        assert_eq!(again.owed[0].delivery, first.owed[0].delivery);
        assert_eq!(again.remember, None);
    }
}
