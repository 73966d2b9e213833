//! A room with a group of real members, beside a homeserver with moods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maypole_core::batch::{Backend, Batch, Op};
use maypole_core::group::{Head, Snapshot, Staged};
use maypole_core::ids::{GroupId, Sha256, SyncToken};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::records::{Delivery, InboxItem, Incoming};
use maypole_core::time::Timestamp;
use maypole_mls::UnixSeconds;
use maypole_room::bytes::encode;
use maypole_testkit::mls::{Commit, Member, Outsider};
use maypole_testkit::wait::{eventually, unix_seconds};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::forged::Anybody;
use super::{BOUND, asked, message, worker_holding};
use crate::groups::{Lanes, Road, Worker};
use crate::hold::Hold;
use crate::homeserver::tests::adapter_with;
use crate::homeserver::tests::faulty::{Faulty, Reply};
use crate::homeserver::tests::keys::publishes;
use crate::storage::conformance::samples::{entry, epoch, head};
use crate::storage::sled;

/// Long enough for a request on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What the homeserver does with a member event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It does not answer.
    Hangs,
    /// It takes carol's, and does not answer others.
    TakesCarol,
    /// It refuses dan's, and takes others.
    RefusesDan,
    /// It takes it.
    Takes,
}

/// What the homeserver has.
pub(super) struct House {
    mood: Mood,
    /// The member events that it took, by the names in them.
    pub(super) taken: BTreeMap<&'static str, Value>,
    devices: Value,
}

/// Who is not in the room yet.
const GUESTS: [&str; 2] = ["dan", "carol"];

/// A room of version 12 with two users in its group, in epoch 1: alice, with two devices, and bob.
pub(super) struct Hall<B> {
    pub(super) folder: TempDir,
    pub(super) ledger: Arc<Ledger<B>>,
    pub(super) server: Faulty,
    pub(super) house: Arc<Mutex<House>>,
    pub(super) alice: Member,
    pub(super) laptop: Member,
    pub(super) bob: Member,
    pub(super) guests: BTreeMap<&'static str, Member>,
    /// A commit of alice's phone for the epoch before.
    pub(super) old: InboxItem,
    inbox: Arc<Notify>,
}

pub(super) fn room() -> String {
    format!("!{}", "r".repeat(43))
}

pub(super) fn group() -> GroupId {
    GroupId::parse(room()).unwrap()
}

/// The state of the room: without power levels and history visibility there is nothing to cite.
fn state() -> Value {
    let creation = json!({
        "room_version": "12", "encryption_algorithm": "m.mls.10", "m.mls.delivery_service": "@:a.org", "additional_creators": ["@:a.org"],
    });
    let event = |number: usize, kind: &str, key: &str, content: &Value| json!({"event_id": format!("$event{number}:a.org"), "type": kind, "state_key": key, "sender": "@alice:a.org", "content": content});
    let joined = json!({"membership": "join"});
    let members = ["@alice:a.org", "@bob:a.org", "@:a.org"];
    let members = members.iter().enumerate().map(|(n, user)| event(n + 1, "m.room.member", user, &joined));
    std::iter::once(event(0, "m.room.create", "", &creation)).chain(members).collect()
}

impl House {
    pub(super) fn reply(&mut self, request: &str) -> Reply {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
        let line = head.lines().next().unwrap_or_default();
        let guest = GUESTS.into_iter().find(|guest| line.contains(guest));
        match (line.split(' ').next(), guest) {
            (Some("POST"), _) => Reply::json(200, &json!({"device_keys": self.devices}).to_string()),
            (Some("PUT"), _) if self.mood == Mood::Hangs => Reply::Stall(Vec::new()),
            (Some("PUT"), guest) if self.mood == Mood::TakesCarol && guest != Some("carol") => {
                Reply::Stall(Vec::new())
            }
            (Some("PUT"), Some("dan")) if self.mood == Mood::RefusesDan => {
                Reply::json(403, r#"{"errcode": "M_FORBIDDEN", "error": "not dan"}"#)
            }
            (Some("PUT"), Some(guest)) => {
                let event = json!({
                    "event_id": format!("${guest}"), "type": "m.room.member", "state_key": format!("@{guest}:a.org"), "sender": "@:a.org",
                    "content": serde_json::from_str::<Value>(body).unwrap(),
                });
                self.taken.insert(guest, event);
                Reply::json(200, &json!({"event_id": format!("${guest}")}).to_string())
            }
            (_, Some(guest)) => match self.taken.get(guest) {
                Some(event) => Reply::json(200, &event.to_string()),
                None => Reply::json(404, r#"{"errcode": "M_NOT_FOUND", "error": "No."}"#),
            },
            _ => {
                let state = state();
                let state: Value =
                    state.as_array().unwrap().iter().chain(self.taken.values()).cloned().collect();
                Reply::json(200, &state.to_string())
            }
        }
    }
}

impl Hall<sled::Store> {
    pub(super) async fn on_sled() -> (Self, sled::Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = sled::Store::open(&folder.path().join("store")).unwrap();
        (Self::open(folder, store.clone()).await, store)
    }
}

impl<B: Backend> Hall<B> {
    pub(super) async fn open(folder: TempDir, store: B) -> Self {
        let device = |name: &str| Member::new(name, 1).unwrap();
        let (mut alice, mut laptop) = (device("@alice:a.org/PHONE"), device("@alice:a.org/LAPTOP"));
        let mut bob = device("@bob:a.org/PHONE");
        let service = Outsider::new("@:a.org/k/k", 1).unwrap();
        alice.create_group(room().as_bytes(), &[service.external_sender()]).unwrap();
        let old = sent("alice", "PHONE", &alice.update().unwrap());
        alice.discard().unwrap();
        let commit = alice.add(&[laptop.key_package().unwrap(), bob.key_package().unwrap()]).unwrap();
        alice.merge().unwrap();
        for device in [&mut laptop, &mut bob] {
            device.join(commit.welcome.as_ref().unwrap(), &commit.ratchet_tree).unwrap();
        }
        let info = alice.group_info(true).unwrap();
        let tree = maypole_mls::Group::import(&info, None, &Anybody, UnixSeconds(unix_seconds())).unwrap();
        let snapshot = Snapshot { epoch: epoch(1), bytes: tree.snapshot() };
        let head = Head { group: group(), snapshot_epoch: epoch(1), ..head(1, 1, 10) };
        let ops =
            vec![Op::SetHead(head), Op::Append(group(), entry(1, 100)), Op::PutSnapshot(group(), snapshot)];
        store.apply(Batch { name: "test", expect: Vec::new(), ops }).await.unwrap();

        let guests = GUESTS.map(|name| (name, device(&format!("@{name}:a.org/PHONE"))));
        let devices = guests.iter().map(|(name, guest)| {
            let user = format!("@{name}:a.org");
            let device = publishes(&user, "PHONE", &encode(&guest.signature_key()));
            (user, json!({"PHONE": device}))
        });
        let devices = devices.collect::<serde_json::Map<_, _>>().into();
        let house = House { mood: Mood::Hangs, taken: BTreeMap::new(), devices };
        let house = Arc::new(Mutex::new(house));
        let answers = house.clone();
        let server = Faulty::deciding(move |request| answers.lock().unwrap().reply(request)).await;
        let ledger = Arc::new(Ledger::new(store));
        Self {
            folder,
            ledger,
            server,
            house,
            alice,
            laptop,
            bob,
            guests: guests.into(),
            old,
            inbox: Arc::default(),
        }
    }

    pub(super) fn is(&self, mood: Mood) {
        self.house.lock().unwrap().mood = mood;
    }

    /// A worker that gives a request up after this time.
    pub(super) fn worker(&self, patience: Duration, hold: Hold) -> (Worker<B>, Arc<Lanes<Road<B>>>) {
        let homeserver = adapter_with(&self.server.url(), |settings| {
            settings.bounds.request = patience;
            settings.user_id = "@:a.org".to_owned();
        });
        let room_kib = limits::GROUPS_AT_WORK_KIB;
        worker_holding(homeserver, &self.ledger, self.folder.path(), room_kib, (hold, self.inbox.clone()))
    }

    /// Messages come in.
    pub(super) async fn hears(&self, items: Vec<InboxItem>) {
        let from = self.ledger.cursor().await.unwrap();
        let number = from.as_ref().map_or(0, |from| from.as_str()[1..].parse::<u64>().unwrap() + 1);
        let to = SyncToken::parse(format!("s{number}")).unwrap();
        self.ledger.receive(from.as_ref(), &to, items, Vec::new()).await.unwrap();
        self.inbox.notify_one();
    }

    /// alice's phone invites a guest.
    pub(super) fn alice_invites(&mut self, guest: &str) -> InboxItem {
        sent("alice", "PHONE", &invitation(&mut self.alice, &self.guests[guest]))
    }

    pub(super) fn laptop_invites(&mut self, guest: &str) -> InboxItem {
        sent("alice", "LAPTOP", &invitation(&mut self.laptop, &self.guests[guest]))
    }

    pub(super) fn bob_updates(&mut self) -> InboxItem {
        let update = self.bob.update().unwrap();
        self.bob.discard().unwrap();
        sent("bob", "PHONE", &update)
    }

    /// Waits until something is staged.
    pub(super) async fn staged(&self) -> Staged {
        let staged = || async { Ok(self.ledger.staged(&group()).await?) };
        eventually(BOUND, "something to be staged", staged).await.unwrap().get().clone()
    }

    pub(super) async fn left(&self, rows: u64) {
        let left = || async { Ok((self.ledger.depths().await?.inbox == rows).then_some(())) };
        eventually(BOUND, &format!("{rows} messages to be left"), left).await.unwrap();
    }

    /// Waits until this device has been told so many things, and what.
    pub(super) async fn told(&self, user: &str, device: &str, count: usize) -> Vec<Value> {
        let look =
            || async { Ok(Some(self.has_told(user, device).await).filter(|told| told.len() >= count)) };
        eventually(BOUND, &format!("{user} {device} to be told {count} things"), look).await.unwrap()
    }

    /// What this device alone has been told.
    pub(super) async fn has_told(&self, user: &str, device: &str) -> Vec<Value> {
        let owed = self.ledger.owed(None, 1_000).await.unwrap();
        let to_it = owed.iter().filter_map(|row| {
            let Delivery::ToDevice { kind, content, recipients } = &row.get().owed.delivery;
            let [to] = recipients.as_slice() else { return None };
            let is_it = to.user.as_str() == format!("@{user}:a.org")
                && to.device.as_ref().is_some_and(|of| of.as_str() == device);
            let mut content: Value = serde_json::from_slice(content).unwrap();
            content["type"] = kind.clone().into();
            // Of what everybody is told, only its own is an answer.
            (is_it && (kind != "m.mls.commit" || content["txn_id"].is_string())).then_some(content)
        });
        to_it.collect()
    }

    /// Who made this epoch, and when.
    pub(super) async fn made(&self, number: u64) -> (String, Timestamp) {
        let made = self.ledger.log(&group(), epoch(number), 1).await.unwrap().remove(0);
        assert_eq!(made.epoch, epoch(number));
        (made.sender.to_string(), made.accepted_at)
    }

    /// All is answered, the group is in this epoch, and nothing is staged.
    pub(super) async fn is_quiet(&self, number: u64) {
        let depths = self.ledger.depths().await.unwrap();
        assert_eq!((depths.inbox, depths.staged), (0, 0));
        assert_eq!(self.ledger.head(&group()).await.unwrap().unwrap().epoch, epoch(number));
    }

    /// How often the room was read whole.
    pub(super) fn reads(&self) -> usize {
        self.server.lines().iter().filter(|line| line.contains("/state?") || line.contains("/state ")).count()
    }
}

fn invitation(by: &mut Member, guest: &Member) -> Commit {
    let commit = by.add(&[guest.key_package().unwrap()]).unwrap();
    by.discard().unwrap();
    commit
}

/// A commit as its device sends it.
pub(super) fn sent(user: &str, device: &str, commit: &Commit) -> InboxItem {
    let mut info = json!({"group_info": encode(&commit.group_info)});
    if let Some(welcome) = &commit.welcome {
        info["welcome"] = encode(welcome).into();
    }
    let txn_id = encode(Sha256::of(&commit.message).as_bytes());
    let content = json!({"device_id": device, "txn_id": txn_id, "message": encode(&commit.message), "commit_info": info});
    message(user, &content)
}

/// A question for the commits since an epoch.
pub(super) fn asks_for_commits(user: &str, from: u64) -> InboxItem {
    let content = json!({"device_id": "PHONE", "request_id": "r", "room_id": room(), "want": "commits", "from_epoch": from});
    asked(user, &content)
}

/// Under what name it was sent.
pub(super) fn txn_of(item: &InboxItem) -> Value {
    let Incoming::ToDevice { content, .. } = &item.message else { panic!("{item:?}") };
    serde_json::from_slice::<Value>(content).unwrap()["txn_id"].clone()
}

/// The codes of refusals, and the types of other answers.
pub(super) fn codes(told: &[Value]) -> Vec<&str> {
    told.iter().map(|told| told["errcode"].as_str().or(told["type"].as_str()).unwrap()).collect()
}
