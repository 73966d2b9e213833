//! Those who send what no client would: a Matrix user with a device, and an MLS member whose messages it may send in any shape.

use maypole_client::matrix::Http;
use maypole_room::bytes::decode;
use maypole_testkit::mls::{Commit, ExternalSender, Member};
use maypole_testkit::service::House;
use maypole_testkit::user::User;
use serde_json::{Map, Value, json};

use super::cast::{BOUND, explained};
use crate::homeserver::keys::device_keys;
use crate::messages::{base64, send};

/// Every member's ciphersuite here.
const SUITE: u16 = 1;

/// A device that keeps to no rules.
pub(crate) struct Outlaw {
    pub(crate) user: User,
    pub(crate) member: Member,
    sent: usize,
}

impl Outlaw {
    /// A new user, whose device publishes its MLS key.
    pub(crate) async fn new(house: &House, name: &str, device: &str) -> Self {
        let outlaw = Self::unpublished(house, name, device).await;
        outlaw.publish(&outlaw.member.signature_key()).await;
        outlaw
    }

    /// A new user, whose device publishes nothing.
    pub(crate) async fn unpublished(house: &House, name: &str, device: &str) -> Self {
        Self::of(house.synapse.register(name, device).await.unwrap())
    }

    pub(crate) fn of(user: User) -> Self {
        let member = Member::new(&format!("{}/{}", user.user_id(), user.device_id()), SUITE).unwrap();
        Self { user, member, sent: 0 }
    }

    /// Publishes a key as that of its MLS member.
    pub(crate) async fn publish(&self, key: &[u8]) {
        let keys = device_keys(&self.user, &base64(key));
        self.user.upload_keys(&json!({"device_keys": keys})).await.unwrap();
    }

    fn next_name(&mut self) -> String {
        self.sent += 1;
        format!("{}-{}", self.user.device_id(), self.sent)
    }

    /// Sends an `m.mls.message` with these fields; gives the whole answer.
    pub(crate) async fn ask(&mut self, fields: Value) -> Value {
        let name = self.next_name();
        let mut content = json!({"device_id": self.user.device_id(), "txn_id": name});
        content.as_object_mut().unwrap().extend(object(fields));
        self.send(&content).await
    }

    /// Sends an `m.mls.message` as it is; gives the answer to its transaction.
    pub(crate) async fn send(&mut self, content: &Value) -> Value {
        let name = self.next_name();
        send(&self.user, &name, "m.mls.message", content).await;
        let ours = |event: &Value| event["content"]["txn_id"] == content["txn_id"];
        self.user.next_to_device(BOUND, ours).await.unwrap()
    }

    /// Sends a commit with all that goes with it.
    pub(crate) async fn commit(&mut self, commit: &Commit) -> Value {
        self.ask(fields(commit)).await
    }

    /// Sends an `m.mls.request` with these fields; gives the content of the answer.
    pub(crate) async fn request(&mut self, asked: Value) -> Value {
        let name = self.next_name();
        let mut content = json!({"device_id": self.user.device_id(), "request_id": name});
        content.as_object_mut().unwrap().extend(object(asked));
        send(&self.user, &name, "m.mls.request", &content).await;
        let ours = |event: &Value| event["content"]["request_id"] == content["request_id"];
        let answer = self.user.next_to_device(BOUND, ours).await.unwrap();
        assert_eq!(answer["type"], "m.mls.response");
        answer["content"].clone()
    }

    /// The IDs of the room's current state events of these types, as a commit cites them.
    pub(crate) async fn citing(&self, room: &str, kinds: &[&str]) -> Vec<u8> {
        let state = self.user.state(room).await.unwrap();
        let state = state.as_array().unwrap();
        let id =
            |kind: &&str| state.iter().find(|event| event["type"] == **kind).unwrap()["event_id"].clone();
        let ids: Vec<String> = kinds.iter().map(|kind| id(kind).as_str().unwrap().to_owned()).collect();
        ids.join(",").into_bytes()
    }
}

/// What an `m.mls.message` says of a commit.
pub(crate) fn fields(commit: &Commit) -> Value {
    let mut info = json!({"group_info": base64(&commit.group_info)});
    if let Some(welcome) = &commit.welcome {
        info["welcome"] = base64(welcome).into();
    }
    json!({"message": base64(&commit.message), "commit_info": info})
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// The service as groups name it.
pub(crate) async fn external_sender(house: &House) -> ExternalSender {
    let description = Http::new(&house.service.url()).unwrap().describe().await.unwrap().external_sender;
    let signature_key = decode(&description.signature_keys["ed25519"]).unwrap();
    ExternalSender { identity: description.credential.identity, signature_key }
}

/// Checks that an answer refuses with this code, and that the group is what it was. Gives the refusal's content.
pub(crate) fn refuses(house: &House, before: &Value, answer: &Value, errcode: &str) -> Value {
    assert_eq!(
        (&answer["type"], &answer["content"]["errcode"]),
        (&"m.mls.rejected".into(), &errcode.into()),
        "{answer}"
    );
    let room = before["room"].as_str().unwrap();
    assert_eq!(
        explained(&house.service, room),
        *before,
        "a refusal with {errcode} leaves the group untouched"
    );
    answer["content"].clone()
}
