//! Devices, and a relay between them that puts commits into an order and signs receipts. It judges nothing: what a service
//! would refuse, a test refuses by hand.

mod answers;
mod catching_up;
mod commits;
mod forged;
mod joining;
mod messages;
mod printed;
mod registering;
mod restoring;
mod transfers;
mod trees;
mod trusting;
mod welcomes;
mod wishes;

use maypole_room::proposals::Proposals;
use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use maypole_core::ids::{ClientId, DeviceId, Epoch, GroupId, RequestId, RoomId, Sha256, TxnId, UserId};
use maypole_core::receipt::Receipt;
use maypole_core::time::Timestamp;
use maypole_room::bytes::{Bytes, decode, encode};
use maypole_room::commit_event::{AuthEvents, CommitEvent};
use maypole_room::description::{
    Credential, Description, ExternalSender, Limits, ReceiptKey, external_sender_identity,
};
use maypole_room::receipt::RoomReceipt;
use maypole_room::response::{Answer, CommitPage, CurrentEpoch, Response};
use maypole_room::welcome_event::WelcomeEvent;
use openmls::prelude::{
    ExternalProposal, GroupEpoch, GroupId as MlsGroupId, LeafNodeIndex, SenderExtensionIndex,
};
use openmls_basic_credential::SignatureKeyPair;
use serde_json::{Value, json};

use super::*;

const SERVICE: &str = "@:a.org";
const KEY_ID: &str = "ed25519:1";

/// A room, and who orders its commits.
pub(crate) struct Relay {
    user: String,
    pub(crate) room_id: RoomId,
    suite: u16,
    receipt_key: Ed25519KeyPair,
    signer: SignatureKeyPair,
    receipts: Vec<Value>,
    log: Vec<CommitEvent>,
    /// The last GroupInfo, and whose it is.
    group_info: Vec<u8>,
}

fn client(user: &str, device: &str) -> ClientId {
    ClientId { user: UserId::parse(user).unwrap(), device: DeviceId::parse(device).unwrap() }
}

impl Relay {
    fn new(suite: u16) -> Self {
        Self::of(suite, SERVICE, "!room:a.org")
    }

    pub(crate) fn of(suite: u16, user: &str, room_id: &str) -> Self {
        Self {
            user: user.to_owned(),
            room_id: RoomId::parse(room_id).unwrap(),
            suite,
            receipt_key: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
            signer: mls::new_signer(suite).unwrap(),
            receipts: Vec::new(),
            log: Vec::new(),
            group_info: Vec::new(),
        }
    }

    fn service(&self) -> Service {
        Service { user: UserId::parse(self.user.as_str()).unwrap(), unstable: false }
    }

    pub(crate) fn description(&self) -> Description {
        let public_key = encode(self.receipt_key.public_key().as_ref());
        let identity = external_sender_identity(&self.user, KEY_ID, &public_key);
        let scheme = if self.suite == 2 { "ecdsa_secp256r1_sha256" } else { "ed25519" };
        let signature_keys = BTreeMap::from([(scheme.to_owned(), encode(self.signer.public()))]);
        Description {
            user_id: self.user.clone(),
            device_id: String::new(),
            event_prefix: "m.mls.".into(),
            external_sender: ExternalSender {
                credential: Credential { credential_type: "basic".into(), identity },
                signature_keys,
            },
            receipt_key: ReceiptKey { key_id: KEY_ID.into(), public_key },
            ciphersuites: vec![self.suite],
            room_versions: vec!["12".into()],
            limits: Limits {
                to_device_content_bytes: 65_536,
                group_id_bytes: 1_024,
                txn_id_bytes: 255,
                burst_messages: 1,
                messages_per_second: 1,
            },
        }
    }

    /// A device that knows the room's service.
    fn device(&self, user: &str, name: &str) -> Device {
        let (mut device, actions) = Device::new(client(user, name), self.suite).unwrap();
        checked(&actions);
        checked(&device.trust(&self.room_id, self.service()).unwrap());
        device
    }

    /// A device whose group is registered.
    fn founder(&mut self, user: &str, name: &str) -> Device {
        let mut device = self.device(user, name);
        let sent = sent(&device.register(&self.room_id, &self.description()).unwrap());
        let accepted = self.accept_registration(&sent);
        let told = told(&device.receive(&self.user, "m.mls.accepted", &accepted).unwrap());
        assert_eq!(told, [Event::Registered { room_id: self.room_id.clone() }]);
        device
    }

    /// Takes a registration, and says so.
    pub(crate) fn accept_registration(&mut self, sent: &Outgoing) -> Value {
        let message = decode(sent.content["message"].as_str().unwrap()).unwrap();
        self.group_info = message.clone();
        let receipt = self.sign(0, &message);
        self.receipts.push(receipt.clone());
        json!({
            "room_id": self.room_id, "txn_id": sent.content["txn_id"], "epoch": 0, "receipt": receipt,
            "message_hash": encode(Sha256::of(&message).as_bytes()),
        })
    }

    /// The receipt of an epoch that a message begins, by the last GroupInfo.
    fn receipt(&self, epoch: u64, message: &[u8]) -> RoomReceipt {
        let info = mls::group_info(&self.group_info).unwrap();
        let prev = self.receipts.last().map(|last| RoomReceipt::read(last).unwrap().hash());
        let receipt = Receipt {
            group: GroupId::parse(self.room_id.as_str().as_bytes()).unwrap(),
            term: 1,
            epoch: Epoch::new(epoch).unwrap(),
            commit: Sha256::of(message),
            tree_hash: info.group_context().tree_hash().to_vec(),
            confirmed_transcript_hash: info.group_context().confirmed_transcript_hash().to_vec(),
            external_pub: info.extensions().external_pub().unwrap().external_pub().as_slice().to_vec(),
            prev,
            issued_at: Timestamp::from_millis(epoch),
        };
        RoomReceipt::new(self.room_id.clone(), receipt).unwrap()
    }

    fn sign(&self, epoch: u64, message: &[u8]) -> Value {
        self.signed(&self.receipt(epoch, message))
    }

    fn signed(&self, receipt: &RoomReceipt) -> Value {
        receipt.signed(&self.user, KEY_ID, self.receipt_key.sign(&receipt.signable()).as_ref())
    }

    /// Accepts a commit: the event for the committer. [`for_others`] makes that for everybody else.
    pub(crate) fn accept(&mut self, by: &Device, sent: &Outgoing) -> CommitEvent {
        let bytes = |value: &Value| decode(value.as_str().unwrap()).unwrap();
        let message = bytes(&sent.content["message"]);
        self.group_info = bytes(&sent.content["commit_info"]["group_info"]);
        let epoch = mls::group_info(&self.group_info).unwrap().group_context().epoch().as_u64();
        let receipt = self.sign(epoch, &message);
        self.receipts.push(receipt.clone());
        let event = CommitEvent {
            room_id: self.room_id.clone(),
            group_id: GroupId::parse(self.room_id.as_str().as_bytes()).unwrap(),
            epoch: Epoch::new(epoch).unwrap(),
            message: Bytes::Inline(message),
            sender: by.me().user.clone(),
            txn_id: TxnId::parse(sent.content["txn_id"].as_str().unwrap()),
            auth_events: AuthEvents::Inline(Vec::new()),
            proposals: Proposals::default(),
            receipt,
        };
        self.log.push(for_others(&event));
        event
    }

    /// Accepts the one commit that a device sends, and tells the device.
    fn order(&mut self, by: &mut Device, actions: &[Action]) -> CommitEvent {
        let event = self.accept(by, &sent(actions));
        let told = told(&hear(by, &event));
        assert!(matches!(&told[..], [Event::Advanced(advance)] if advance.own), "{told:?}");
        for_others(&event)
    }

    /// The Welcome of a commit, with the tree that its committer has now.
    pub(crate) fn welcome(&self, by: &Device, sent: &Outgoing) -> WelcomeEvent {
        let receipt = self.receipts.last().unwrap().clone();
        WelcomeEvent {
            room_id: self.room_id.clone(),
            group_id: GroupId::parse(self.room_id.as_str().as_bytes()).unwrap(),
            epoch: by.epoch(&self.room_id).unwrap(),
            welcome: Bytes::Inline(decode(sent.content["commit_info"]["welcome"].as_str().unwrap()).unwrap()),
            ratchet_tree: Bytes::Inline(tree_of(by, &self.room_id)),
            proposals: Proposals::default(),
            receipt,
        }
    }

    /// Adds a device to the group: the adder's commit, as everybody else hears it.
    fn add(&mut self, by: &mut Device, joiner: &mut Device) -> CommitEvent {
        let actions = by.add(&self.room_id, vec![key_package(joiner)], Citing::default()).unwrap();
        let event = self.order(by, &actions);
        let welcome = self.welcome(by, &sent(&actions));
        let told = told(&joiner.receive(&self.user, "m.mls.welcome", &welcome.content()).unwrap());
        assert!(matches!(&told[..], [Event::Joined { .. }]), "{told:?}");
        assert_eq!(joiner.epoch_authenticator(&self.room_id), by.epoch_authenticator(&self.room_id));
        event
    }

    /// Alice's phone, and Bob's laptop in her group.
    fn pair(&mut self) -> (Device, Device) {
        let mut alice = self.founder("@alice:a.org", "PHONE");
        let mut bob = self.device("@bob:b.org", "LAPTOP");
        self.add(&mut alice, &mut bob);
        (alice, bob)
    }

    /// And Carol's tablet, added by Alice.
    fn trio(&mut self) -> (Device, Device, Device) {
        let (mut alice, mut bob) = self.pair();
        let mut carol = self.device("@carol:b.org", "TABLET");
        let event = self.add(&mut alice, &mut carol);
        hear(&mut bob, &event);
        (alice, bob, carol)
    }

    /// The answer to a question for commits.
    pub(crate) fn page(&self, asked: &Outgoing, more: bool) -> Value {
        let from_epoch = asked.content["from_epoch"].as_u64().unwrap();
        let commits = self.log.iter().filter(|event| event.epoch.get() > from_epoch).cloned().collect();
        let page = CommitPage {
            room_id: self.room_id.clone(),
            group_id: GroupId::parse(self.room_id.as_str().as_bytes()).unwrap(),
            from_epoch: Epoch::new(from_epoch).unwrap(),
            current_epoch: self.log.last().unwrap().epoch,
            commits,
            more,
        };
        answer(asked, Answer::Commits(page))
    }

    /// The epoch that a member is in, to join by.
    pub(crate) fn current(&self, member: &Device) -> CurrentEpoch {
        CurrentEpoch {
            room_id: self.room_id.clone(),
            group_id: GroupId::parse(self.room_id.as_str().as_bytes()).unwrap(),
            epoch: member.epoch(&self.room_id).unwrap(),
            group_info: Bytes::Inline(self.group_info.clone()),
            ratchet_tree: Bytes::Inline(tree_of(member, &self.room_id)),
            receipt: self.receipts.last().unwrap().clone(),
        }
    }

    /// A refusal of what was sent.
    fn reject(&self, sent: &Outgoing, errcode: &str, particulars: Value) -> Value {
        let mut content = particulars;
        content["room_id"] = json!(self.room_id);
        content["txn_id"] = sent.content["txn_id"].clone();
        content["errcode"] = errcode.into();
        content["error"] = "no".into();
        content
    }

    /// A Remove of the service for an epoch.
    fn remove(&self, epoch: u64, leaf: u32) -> Vec<u8> {
        let proposal = ExternalProposal::new_remove::<OpenMlsRustCrypto>(
            LeafNodeIndex::new(leaf),
            MlsGroupId::from_slice(self.room_id.as_str().as_bytes()),
            GroupEpoch::from(epoch),
            &self.signer,
            SenderExtensionIndex::new(0),
        );
        proposal.unwrap().to_bytes().unwrap()
    }
}

pub(crate) fn answer(asked: &Outgoing, answer: Answer) -> Value {
    let request_id = RequestId::parse(asked.content["request_id"].as_str().unwrap()).unwrap();
    Response { request_id, answer }.content()
}

pub(crate) fn for_others(event: &CommitEvent) -> CommitEvent {
    CommitEvent { txn_id: None, ..event.clone() }
}

fn hear(device: &mut Device, event: &CommitEvent) -> Vec<Action> {
    let actions = device.receive(SERVICE, "m.mls.commit", &event.content()).unwrap();
    checked(&actions);
    actions
}

fn key_package(device: &mut Device) -> Vec<u8> {
    device.key_packages(1, false).unwrap().0.remove(0).bytes
}

fn tree_of(device: &Device, room_id: &RoomId) -> Vec<u8> {
    mls::encode(&device.groups[room_id].export_ratchet_tree()).unwrap()
}

/// Nothing is sent before the state is written, and the state is written at most once.
fn checked(actions: &[Action]) {
    let persisted = actions.iter().position(|action| matches!(action, Action::Persist(_)));
    let first = actions.iter().position(|action| !matches!(action, Action::Tell(_) | Action::Persist(_)));
    if let Some(first) = first {
        assert!(persisted.is_some_and(|persisted| persisted < first), "{actions:?}");
    }
    assert!(actions.iter().filter(|action| matches!(action, Action::Persist(_))).count() <= 1);
}

/// The one to-device message among actions.
fn sent(actions: &[Action]) -> Outgoing {
    checked(actions);
    let sent: Vec<_> = actions
        .iter()
        .filter_map(|action| if let Action::Send(outgoing) = action { Some(outgoing) } else { None })
        .collect();
    assert_eq!(sent.len(), 1, "{actions:?}");
    sent[0].clone()
}

fn sends_nothing(actions: &[Action]) -> bool {
    actions.iter().all(|action| matches!(action, Action::Tell(_) | Action::Persist(_)))
}

fn told(actions: &[Action]) -> Vec<Event> {
    checked(actions);
    let told = |action: &Action| if let Action::Tell(event) = action { Some(event.clone()) } else { None };
    actions.iter().filter_map(told).collect()
}

/// What a crash leaves: the device that the last written state makes.
fn after_crash(actions: &[Action]) -> Device {
    let state = actions.iter().find_map(|action| match action {
        Action::Persist(state) => Some(state),
        _ => None,
    });
    Device::restore(state.unwrap()).unwrap()
}

fn is_ignored(actions: &[Action]) -> bool {
    sends_nothing(actions) && matches!(&told(actions)[..], [Event::Ignored { .. }])
}
