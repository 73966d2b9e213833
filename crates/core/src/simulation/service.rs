//! The service around the core, as short as can be: in its words a reply is the name of a code.

use crate::group::{Amendment, Decision, Told};
use crate::ids::{ClientId, Epoch, InboxSeq, Lane, Sha256};
use crate::ledger::Answered;
use crate::limits;
use crate::records::{Answer, AnswerKey, Delivery, Owed, Recipient};
use crate::rejection::Rejection;
use crate::time::Timestamp;

use super::people::Sent;

pub(super) const ANSWER: &str = "answer";
pub(super) const COMMIT: &str = "commit";
pub(super) const WELCOME: &str = "welcome";
pub(super) const PROPOSAL: &str = "proposal";

fn told_to<'c>(kind: &str, content: Vec<u8>, clients: impl Iterator<Item = &'c ClientId>) -> Delivery {
    let device = |client: &ClientId| Some(client.device.clone());
    let recipients = clients.map(|client| Recipient { user: client.user.clone(), device: device(client) });
    Delivery::ToDevice { kind: kind.to_owned(), content, recipients: recipients.collect() }
}

fn owe(lane: Lane, delivery: Delivery, owed_at: Timestamp) -> Owed {
    Owed { lane, delivery, owed_at }
}

fn reply(sent: &Sent, words: &str, expires_at: Timestamp) -> Answer {
    let by = &sent.command.get().by;
    let reply = told_to(ANSWER, words.as_bytes().to_vec(), std::iter::once(by));
    Answer { question: sent.question, reply, lane: Lane::of_user(&by.user), expires_at }
}

/// A refusal, remembered where it is one that is.
pub(super) fn refused(row: InboxSeq, sent: &Sent, rejection: &Rejection, now: Timestamp) -> Answered {
    let facts = rejection.code().facts();
    let answer = reply(sent, facts.errcode, now.plus(limits::REFUSAL_REMEMBERED));
    let owed = vec![owe(answer.lane.clone(), answer.reply.clone(), now)];
    Answered { row, remember: facts.remembered.then_some((sent.key, answer)), owed }
}

/// What was answered before, or that it was another question.
pub(super) fn again(row: InboxSeq, sent: &Sent, answer: Answer, now: Timestamp) -> Answered {
    if answer.question != sent.question {
        return refused(row, sent, &Rejection::TxnReused, now);
    }
    Answered { row, remember: None, owed: vec![owe(answer.lane, answer.reply, now)] }
}

pub(super) fn accepted(sent: &Sent, epoch: Epoch) -> (AnswerKey, Answer) {
    (sent.key, reply(sent, &format!("epoch {epoch}"), Timestamp::END))
}

/// A decision as everybody is told of it: the commit, then the Welcome.
pub(super) fn told(decision: &Decision, sent: &Sent, now: Timestamp) -> Told {
    let receipt = [decision.receipt.tree_hash.clone(), decision.receipt.confirmed_transcript_hash.clone()];
    let receipt = receipt.concat();
    let lane = || Lane::of_group(&decision.receipt.group);
    let mut owed = Vec::new();
    let answer = accepted(sent, decision.receipt.epoch);
    owed.push(owe(answer.1.lane.clone(), answer.1.reply.clone(), now));
    let mut commit = decision.entry().message.clone();
    decision.stapled.iter().for_each(|message| commit.extend_from_slice(Sha256::of(message).as_bytes()));
    owed.push(owe(lane(), told_to(COMMIT, commit, decision.members_before.iter()), now));
    let added = decision.added.iter().map(|added| &added.client);
    let mut added = added.filter(|client| !decision.withheld.contains(&client.user)).peekable();
    if let (Some(welcome), true) = (&decision.welcome, added.peek().is_some()) {
        owed.push(owe(lane(), told_to(WELCOME, welcome.clone(), added), now));
    }
    // The log notes under which key the answer is remembered, which goes with its epoch.
    let (receipt_hash, notes) = (Sha256::of(&receipt), sent.key.0.as_bytes().to_vec());
    Told { receipt, receipt_hash, notes, head_notes: None, answer, owed }
}

/// What waits from now on, as everybody is told of it.
pub(super) fn proposals(amendment: &Amendment, now: Timestamp) -> Vec<Owed> {
    let lane = Lane::of_group(amendment.group());
    let all = amendment.proposals.iter();
    let told = all.map(|waiting| told_to(PROPOSAL, waiting.message.clone(), amendment.members.iter()));
    told.map(|delivery| owe(lane.clone(), delivery, now)).collect()
}

pub(super) fn accepted_proposal(row: InboxSeq, sent: &Sent, epoch: Epoch, now: Timestamp) -> Answered {
    let (key, answer) = accepted(sent, epoch);
    let owed = vec![owe(answer.lane.clone(), answer.reply.clone(), now)];
    Answered { row, remember: Some((key, answer)), owed }
}

/// Which message of the clients a row of the inbox is.
pub(super) fn number_of(content: &[u8]) -> usize {
    usize::try_from(u64::from_be_bytes(content.try_into().unwrap())).unwrap()
}
