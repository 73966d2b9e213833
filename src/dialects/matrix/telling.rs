//! A decision in the words of `m.mls.*`: the receipt, the commit to everybody, the Welcomes, and the answer.

use std::sync::Arc;

use maypole_core::group::{Command, Decision, Staged, Told};
use maypole_core::ids::{ClientId, Lane, RoomId, Sha256, TxnId};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, Delivery, Owed, Recipient};
use maypole_core::rejection::{Part, Rejection};
use maypole_core::time::Timestamp;
use maypole_mls::service::Welcome;
use maypole_room::accepted::Accepted;
use maypole_room::bytes::Bytes;
use maypole_room::commit_event::{AuthEvents, CommitEvent};
use maypole_room::message::Message;
use maypole_room::names::{Name, Prefix};
use maypole_room::proposals::Proposals;
use maypole_room::receipt::RoomReceipt;
use maypole_room::welcome_event::WelcomeEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blobs::Blobs;
use super::commands::room_of;
use super::questions::Question;
use crate::homeserver::CallError;
use crate::keys::Keys;

/// What is needed to answer a question after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    prefix: String,
    txn_id: Option<TxnId>,
    key: AnswerKey,
    question: Sha256,
}

/// What the log notes of an epoch: what was uploaded for it, and where its acceptance is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryNotes {
    /// The commit, where it is too large for an event.
    #[serde(default)]
    pub message: Option<Value>,
    /// What it cites, where that is too large.
    #[serde(default)]
    pub auth_events: Option<Value>,
    /// The service's proposals for it, as they were told.
    #[serde(default)]
    pub proposals: Option<Value>,
    /// The key under which the acceptance is remembered, as long as the epoch is in the log.
    #[serde(default)]
    pub answer: Option<AnswerKey>,
}

impl EntryNotes {
    /// As they were stored.
    pub fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}

impl Asker {
    /// Who asks a question.
    pub fn of(question: &Question) -> Self {
        Self {
            prefix: question.prefix.as_str().to_owned(),
            txn_id: question.message.txn_id.clone(),
            key: question.key,
            question: question.message.question_hash,
        }
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As it was stored.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The question, as far as an answer needs it.
    pub fn question(&self, staged: &Staged) -> Question {
        let command = staged.command();
        let message = Message {
            device: Some(command.get().by.device.clone()),
            txn_id: self.txn_id.clone(),
            message_hash: Some(command.get().message_hash()),
            content_hash: self.question,
            question_hash: self.question,
            group: Some(staged.group().clone()),
            asked: Err(Rejection::UnknownGroup),
        };
        Question { caller: Command::caller(&command), prefix: self.prefix(), message, key: self.key }
    }

    /// Under what the answer is remembered.
    pub fn key(&self) -> AnswerKey {
        self.key
    }

    /// How the question was spelled.
    pub fn prefix(&self) -> Prefix {
        prefix_of(self.prefix.as_bytes())
    }
}

/// How a group spells its events: as it was registered. It is what the group's head notes.
pub fn prefix_of(notes: &[u8]) -> Prefix {
    if notes == Prefix::Unstable.as_str().as_bytes() { Prefix::Unstable } else { Prefix::Stable }
}

/// Puts decisions into words.
pub struct Teller {
    keys: Arc<Keys>,
    our_user: String,
    blobs: Arc<Blobs>,
}

/// What all messages about one epoch share.
struct Epoch<'d> {
    room: RoomId,
    decision: &'d Decision,
    prefix: Prefix,
    lane: Lane,
    receipt: Value,
    proposals: Proposals,
    now: Timestamp,
}

impl Teller {
    /// A teller that signs with these keys.
    pub fn new(keys: Arc<Keys>, our_user: String, blobs: Arc<Blobs>) -> Self {
        Self { keys, our_user, blobs }
    }

    /// What a decision makes the service say. It fails where something is too large for an event and the homeserver does not
    /// take it as an upload: what nobody can be told must not be decided.
    pub async fn tell(&self, decision: &Decision, asker: &Asker, now: Timestamp) -> Result<Told, Rejection> {
        let begins = decision.receipt.prev.is_none();
        let prefix = if begins { asker.prefix() } else { prefix_of(decision.notes()) };
        let room = room_of(&decision.receipt.group).ok_or(Rejection::UnknownGroup)?;
        let receipt =
            RoomReceipt::new(room.clone(), decision.receipt.clone()).ok_or(Rejection::UnknownGroup)?;
        let key = self.keys.receipt_key();
        let signed = receipt.signed(&self.our_user, key.id(), &key.sign(&receipt.signable()));
        let lane = Lane::of_group(&decision.receipt.group);
        let proposals = place_proposals(&self.blobs, &decision.stapled, decision.members_before.len()).await;
        let proposals = proposals.map_err(|error| refusal(Part::Commit, &error))?;
        let epoch = Epoch { room, decision, prefix, lane, receipt: signed, proposals, now };
        let (answer, owed, mut notes) =
            if begins { accepted(&epoch, asker) } else { self.committed(&epoch, asker).await? };
        notes.answer = Some(asker.key);
        let answer = Answer {
            question: asker.question,
            reply: answer.delivery.clone(),
            lane: answer.lane.clone(),
            expires_at: Timestamp::END,
        };
        Ok(Told {
            receipt: epoch.receipt.to_string().into_bytes(),
            receipt_hash: receipt.hash(),
            notes: serde_json::to_vec(&notes).unwrap_or_default(),
            head_notes: begins.then(|| prefix.as_str().as_bytes().to_vec()),
            answer: (asker.key, answer),
            owed,
        })
    }

    /// The commit to all who had a leaf, and the Welcomes behind it.
    async fn committed(
        &self,
        epoch: &Epoch<'_>,
        asker: &Asker,
    ) -> Result<(Owed, Vec<Owed>, EntryNotes), Rejection> {
        let entry = epoch.decision.entry();
        let others: Vec<&ClientId> =
            epoch.decision.members_before.iter().filter(|client| **client != entry.sender).collect();
        let message = self.place(Part::Commit, &entry.message, others.len()).await?;
        let auth_events =
            place_cited(&self.blobs, &entry.cited).await.map_err(|error| refusal(Part::Commit, &error))?;
        let notes = EntryNotes {
            message: matches!(message, Bytes::Blob(_)).then(|| message.to_value()),
            auth_events: match &auth_events {
                AuthEvents::Blob(blob) => Some(blob.to_value()),
                AuthEvents::Inline(_) => None,
            },
            proposals: (!epoch.decision.stapled.is_empty()).then(|| epoch.proposals.to_value()),
            answer: None,
        };
        let mut event = CommitEvent {
            room_id: epoch.room.clone(),
            group_id: epoch.decision.receipt.group.clone(),
            epoch: epoch.decision.receipt.epoch,
            message,
            sender: entry.sender.user.clone(),
            txn_id: asker.txn_id.clone(),
            auth_events,
            proposals: epoch.proposals.clone(),
            receipt: epoch.receipt.clone(),
        };
        let answer = epoch.owe(Name::Commit, &event.content(), vec![recipient(&entry.sender)]);
        let mut owed = vec![answer.clone()];
        if !others.is_empty() {
            event.txn_id = None;
            let recipients = others.into_iter().map(recipient).collect();
            owed.push(epoch.owe(Name::Commit, &event.content(), recipients));
        }
        owed.extend(self.welcomes(epoch).await?);
        Ok((answer, owed, notes))
    }

    /// To each device that is added, its own part of the Welcome, and the tree.
    async fn welcomes(&self, epoch: &Epoch<'_>) -> Result<Vec<Owed>, Rejection> {
        let decision = epoch.decision;
        let (Some(welcome), Some(tree)) = (&decision.welcome, &decision.ratchet_tree) else {
            return Ok(Vec::new());
        };
        let Ok(whole) = Welcome::read(welcome) else { return Ok(Vec::new()) };
        let tree = self.place(Part::Welcome, tree, decision.added.len()).await?;
        let mut owed = Vec::new();
        for added in &decision.added {
            let Some(cut) = whole.cut_to(&added.key_package) else { continue };
            if decision.withheld.contains(&added.client.user) {
                continue;
            }
            let event = WelcomeEvent {
                room_id: epoch.room.clone(),
                group_id: decision.receipt.group.clone(),
                epoch: decision.receipt.epoch,
                welcome: self.place(Part::Welcome, &cut, 1).await?,
                ratchet_tree: tree.clone(),
                proposals: epoch.proposals.clone(),
                receipt: epoch.receipt.clone(),
            };
            owed.push(epoch.owe(Name::Welcome, &event.content(), vec![recipient(&added.client)]));
        }
        Ok(owed)
    }

    /// Bytes for so many recipients.
    async fn place(&self, part: Part, bytes: &[u8], recipients: usize) -> Result<Bytes, Rejection> {
        let placed = self.blobs.place(bytes.to_vec(), inline_bytes(recipients)).await;
        placed.map_err(|error| refusal(part, &error))
    }
}

/// The commit that was told, as somebody is told of it who was too late for it: without its committer's own name for it.
/// Nothing where it does not fit into another event.
pub fn commit_in(told: &Told) -> Option<Value> {
    let Delivery::ToDevice { content, .. } = &told.answer.1.reply;
    if content.len() > limits::OUTGOING_CONTENT_BYTES - limits::RESPONSE_FRAME_BYTES {
        return None;
    }
    let mut commit: Value = serde_json::from_slice(content).ok()?;
    commit.as_object_mut()?.remove("txn_id");
    Some(commit)
}

/// How many bytes of one field stand in an event for so many recipients.
const fn inline_bytes(recipients: usize) -> usize {
    if recipients > limits::INLINE_RECIPIENTS { limits::INLINE_BYTES_FOR_MANY } else { limits::INLINE_BYTES }
}

/// Why something is not decided that nobody could be told.
fn refusal(part: Part, error: &CallError) -> Rejection {
    tracing::error!(%error, "what is to be given out cannot be uploaded");
    if error.is_transient() {
        Rejection::Unavailable { users: Vec::new(), problem: "the homeserver takes no uploads now" }
    } else {
        let limit_bytes = u64::try_from(limits::INLINE_BYTES).unwrap_or(u64::MAX);
        Rejection::TooLarge { what: part.noun(), limit_bytes }
    }
}

/// The service's proposals for an epoch, as they are given out to so many: all of them, since a commit may refer to each.
async fn place_proposals(blobs: &Blobs, all: &[Vec<u8>], recipients: usize) -> Result<Proposals, CallError> {
    let bytes: usize = all.iter().map(Vec::len).sum();
    if bytes <= inline_bytes(recipients) {
        return Ok(Proposals::of(all));
    }
    // However few bytes the array has.
    Ok(match blobs.place(Proposals::to_blob(all), 0).await? {
        Bytes::Blob(blob) => Proposals::Blob(blob),
        Bytes::Inline(_) => Proposals::of(all),
    })
}

/// What a commit cites, as it is given out.
pub async fn place_cited(blobs: &Blobs, cited: &[Vec<u8>]) -> Result<AuthEvents, CallError> {
    let events: Vec<Value> = cited.iter().filter_map(|event| serde_json::from_slice(event).ok()).collect();
    let bytes = serde_json::to_vec(&events).unwrap_or_default();
    Ok(match blobs.place(bytes, limits::INLINE_BYTES).await? {
        Bytes::Blob(blob) => AuthEvents::Blob(blob),
        Bytes::Inline(_) => AuthEvents::Inline(events),
    })
}

/// A group begins: its creator alone is told.
fn accepted(epoch: &Epoch<'_>, asker: &Asker) -> (Owed, Vec<Owed>, EntryNotes) {
    let accepted = Accepted {
        room_id: epoch.room.clone(),
        txn_id: asker.txn_id.clone(),
        message_hash: epoch.decision.receipt.commit,
        epoch: epoch.decision.receipt.epoch,
        receipt: Some(epoch.receipt.clone()),
    };
    let sender = recipient(&epoch.decision.entry().sender);
    let answer = epoch.owe(Name::Accepted, &accepted.content(), vec![sender]);
    (answer.clone(), vec![answer], EntryNotes::default())
}

impl Epoch<'_> {
    fn owe(&self, name: Name, content: &Value, recipients: Vec<Recipient>) -> Owed {
        let kind = self.prefix.event_type(name);
        let delivery = Delivery::ToDevice { kind, content: content.to_string().into_bytes(), recipients };
        Owed { lane: self.lane.clone(), delivery, owed_at: self.now }
    }
}

fn recipient(client: &ClientId) -> Recipient {
    Recipient { user: client.user.clone(), device: Some(client.device.clone()) }
}

#[cfg(test)]
mod tests {
    use maypole_core::receipt::Receipt;
    use maypole_core::records::Recipient;
    use maypole_testkit::forge::{Forge, Founding, Shape, Suite};
    use serde_json::json;

    use super::*;
    use crate::admin::tests::receipts::{USER, keys, of_room, receipt};
    use crate::homeserver::tests::facing;
    use crate::homeserver::tests::faulty::Reply;

    #[tokio::test]
    async fn all_proposals_are_given_out_however_many() {
        let uploaded = Reply::json(200, r#"{"content_uri": "mxc://localhost/abc"}"#);
        let (faulty, homeserver) = facing(uploaded).await;
        let blobs = Blobs::new(homeserver);
        let all = vec![vec![7; 200]; 20];
        let few = inline_bytes(limits::INLINE_RECIPIENTS) / 200;
        assert!(few > all.len(), "they stand in an event for few");
        let inline = place_proposals(&blobs, &all, limits::INLINE_RECIPIENTS).await.unwrap();
        assert_eq!((inline, faulty.requests().len()), (Proposals::of(&all), 0));
        let placed = place_proposals(&blobs, &all, limits::INLINE_RECIPIENTS + 1).await.unwrap();
        let Proposals::Blob(blob) = placed else { panic!("{placed:?}") };
        let bytes = Proposals::to_blob(&all);
        assert_eq!((blob.sha256, blob.size_bytes), (Sha256::of(&bytes), bytes.len() as u64));
        assert_eq!(Proposals::from_blob(&bytes), Ok(Proposals::of(&all)));
    }

    /// The answer that is remembered for a commit, as the stores have it, and how large the commit is.
    fn remembered(members: u32, cited: Vec<Value>) -> (usize, usize) {
        let forge = Forge::new(&Founding::of(Suite::One, members, Shape::Warm, 1)).unwrap();
        let message = forge.commit(&forge.draft_update(2)).unwrap().message;
        let receipt = of_room(Receipt { commit: Sha256::of(&message), ..receipt(5, Some(Sha256::of(b"4"))) });
        let event = CommitEvent {
            room_id: RoomId::parse("!room:a.org").unwrap(),
            group_id: receipt.receipt().group.clone(),
            epoch: receipt.receipt().epoch,
            message: Bytes::Inline(message.clone()),
            sender: keys().user,
            txn_id: TxnId::parse("a-name-of-the-device"),
            auth_events: AuthEvents::Inline(cited),
            proposals: Proposals::default(),
            receipt: receipt.signed(USER, "ed25519:abcdefgh", &[7; 64]),
        };
        let recipients = vec![Recipient { user: keys().user, device: None }];
        let (kind, content) = ("m.mls.commit".to_owned(), event.content().to_string().into_bytes());
        let answer = Answer {
            question: Sha256::of(b"question"),
            reply: Delivery::ToDevice { kind, content, recipients },
            lane: Lane::of_group(&receipt.receipt().group),
            expires_at: Timestamp::END,
        };
        (postcard::to_allocvec(&answer).unwrap().len(), message.len())
    }

    /// docs/performance.md tells these figures beside what the log has of a commit.
    #[test]
    fn a_remembered_acceptance_has_the_commit_again_and_a_kilobyte_and_what_was_cited() {
        for members in [8, 512] {
            let (answer, commit) = remembered(members, Vec::new());
            let beside = answer - commit.div_ceil(3) * 4;
            assert!((700..1_000).contains(&beside), "{answer} bytes for {commit}, {beside} beside it");
            let levels = json!({"type": "m.room.power_levels", "content": {"users": {"@alice:a.org": 100}}});
            let cited = remembered(members, vec![levels.clone()]).0;
            assert_eq!(cited - answer, levels.to_string().len());
        }
    }

    #[test]
    fn each_recipient_of_a_fan_out_takes_its_name() {
        let recipients = |count: usize| {
            let one = Recipient {
                user: maypole_core::ids::UserId::parse("@somebody:example.org").unwrap(),
                device: maypole_core::ids::DeviceId::parse("ABCDEFGHIJ"),
            };
            let delivery =
                Delivery::ToDevice { kind: String::new(), content: Vec::new(), recipients: vec![one; count] };
            postcard::to_allocvec(&delivery).unwrap().len()
        };
        assert_eq!((recipients(2_000) - recipients(1_000)) / 1_000, 34);
    }
}
