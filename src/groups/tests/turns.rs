//! What is staged waits for the homeserver beside its group's lane: who waits for it, who does not, and who is first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maypole_core::batch::{Backend, Batch, Op};
use maypole_core::group::{Head, Snapshot, Staged};
use maypole_core::ids::{FreezeReason, GroupId, RoomId, Sha256, SyncToken};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::records::{Delivery, InboxItem, Incoming};
use maypole_core::shares::{Held, Share, Shares};
use maypole_core::time::Timestamp;
use maypole_mls::UnixSeconds;
use maypole_room::bytes::encode;
use maypole_testkit::mls::{Commit, Member, Outsider};
use maypole_testkit::postgres::Postgres;
use maypole_testkit::wait::{eventually, unix_seconds};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::forged::Anybody;
use super::{BOUND, asked, message, work_during, worker_holding};
use crate::clock;
use crate::groups::{Lanes, Operator, Road, Worker};
use crate::hold::Hold;
use crate::homeserver::tests::adapter_with;
use crate::homeserver::tests::faulty::{Faulty, Reply};
use crate::homeserver::tests::keys::publishes;
use crate::storage::conformance::samples::{entry, epoch, head};
use crate::storage::{postgres, sled};

/// Long enough for a request on a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the homeserver does with a member event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
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
struct House {
    mood: Mood,
    /// The member events that it took, by the names in them.
    taken: BTreeMap<&'static str, Value>,
    devices: Value,
}

/// Who is not in the room yet.
const GUESTS: [&str; 2] = ["dan", "carol"];

/// A room of version 12 with two users in its group, in epoch 1: alice, with two devices, and bob.
struct Hall<B> {
    folder: TempDir,
    ledger: Arc<Ledger<B>>,
    server: Faulty,
    house: Arc<Mutex<House>>,
    alice: Member,
    laptop: Member,
    bob: Member,
    guests: BTreeMap<&'static str, Member>,
    /// A commit of alice's phone for the epoch before.
    old: InboxItem,
    inbox: Arc<Notify>,
}

fn room() -> String {
    format!("!{}", "r".repeat(43))
}

fn group() -> GroupId {
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
    fn reply(&mut self, request: &str) -> Reply {
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
    async fn on_sled() -> (Self, sled::Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = sled::Store::open(&folder.path().join("store")).unwrap();
        (Self::open(folder, store.clone()).await, store)
    }
}

impl<B: Backend> Hall<B> {
    async fn open(folder: TempDir, store: B) -> Self {
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

    fn is(&self, mood: Mood) {
        self.house.lock().unwrap().mood = mood;
    }

    /// A worker that gives a request up after this time.
    fn worker(&self, patience: Duration, hold: Hold) -> (Worker<B>, Arc<Lanes<Road<B>>>) {
        let homeserver = adapter_with(&self.server.url(), |settings| {
            settings.bounds.request = patience;
            settings.user_id = "@:a.org".to_owned();
        });
        let room_kib = limits::GROUPS_AT_WORK_KIB;
        worker_holding(homeserver, &self.ledger, self.folder.path(), room_kib, (hold, self.inbox.clone()))
    }

    /// Messages come in.
    async fn hears(&self, items: Vec<InboxItem>) {
        let from = self.ledger.cursor().await.unwrap();
        let number = from.as_ref().map_or(0, |from| from.as_str()[1..].parse::<u64>().unwrap() + 1);
        let to = SyncToken::parse(format!("s{number}")).unwrap();
        self.ledger.receive(from.as_ref(), &to, items, Vec::new()).await.unwrap();
        self.inbox.notify_one();
    }

    /// alice's phone invites a guest.
    fn alice_invites(&mut self, guest: &str) -> InboxItem {
        sent("alice", "PHONE", &invitation(&mut self.alice, &self.guests[guest]))
    }

    fn laptop_invites(&mut self, guest: &str) -> InboxItem {
        sent("alice", "LAPTOP", &invitation(&mut self.laptop, &self.guests[guest]))
    }

    fn bob_updates(&mut self) -> InboxItem {
        let update = self.bob.update().unwrap();
        self.bob.discard().unwrap();
        sent("bob", "PHONE", &update)
    }

    /// Waits until something is staged.
    async fn staged(&self) -> Staged {
        let staged = || async { Ok(self.ledger.staged(&group()).await?) };
        eventually(BOUND, "something to be staged", staged).await.unwrap().get().clone()
    }

    async fn left(&self, rows: u64) {
        let left = || async { Ok((self.ledger.depths().await?.inbox == rows).then_some(())) };
        eventually(BOUND, &format!("{rows} messages to be left"), left).await.unwrap();
    }

    /// Waits until this device has been told so many things, and what.
    async fn told(&self, user: &str, device: &str, count: usize) -> Vec<Value> {
        let look =
            || async { Ok(Some(self.has_told(user, device).await).filter(|told| told.len() >= count)) };
        eventually(BOUND, &format!("{user} {device} to be told {count} things"), look).await.unwrap()
    }

    /// What this device alone has been told.
    async fn has_told(&self, user: &str, device: &str) -> Vec<Value> {
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
    async fn made(&self, number: u64) -> (String, Timestamp) {
        let made = self.ledger.log(&group(), epoch(number), 1).await.unwrap().remove(0);
        assert_eq!(made.epoch, epoch(number));
        (made.sender.to_string(), made.accepted_at)
    }

    /// All is answered, the group is in this epoch, and nothing is staged.
    async fn is_quiet(&self, number: u64) {
        let depths = self.ledger.depths().await.unwrap();
        assert_eq!((depths.inbox, depths.staged), (0, 0));
        assert_eq!(self.ledger.head(&group()).await.unwrap().unwrap().epoch, epoch(number));
    }

    /// How often the room was read whole.
    fn reads(&self) -> usize {
        self.server.lines().iter().filter(|line| line.contains("/state?") || line.contains("/state ")).count()
    }
}

fn invitation(by: &mut Member, guest: &Member) -> Commit {
    let commit = by.add(&[guest.key_package().unwrap()]).unwrap();
    by.discard().unwrap();
    commit
}

/// A commit as its device sends it.
fn sent(user: &str, device: &str, commit: &Commit) -> InboxItem {
    let mut info = json!({"group_info": encode(&commit.group_info)});
    if let Some(welcome) = &commit.welcome {
        info["welcome"] = encode(welcome).into();
    }
    let txn_id = encode(Sha256::of(&commit.message).as_bytes());
    let content = json!({"device_id": device, "txn_id": txn_id, "message": encode(&commit.message), "commit_info": info});
    message(user, &content)
}

/// A question for the commits since an epoch.
fn asks_for_commits(user: &str, from: u64) -> InboxItem {
    let content = json!({"device_id": "PHONE", "request_id": "r", "room_id": room(), "want": "commits", "from_epoch": from});
    asked(user, &content)
}

/// Under what name it was sent.
fn txn_of(item: &InboxItem) -> Value {
    let Incoming::ToDevice { content, .. } = &item.message else { panic!("{item:?}") };
    serde_json::from_slice::<Value>(content).unwrap()["txn_id"].clone()
}

/// The codes of refusals, and the types of other answers.
fn codes(told: &[Value]) -> Vec<&str> {
    told.iter().map(|told| told["errcode"].as_str().or(told["type"].as_str()).unwrap()).collect()
}

const STALE: &str = "M_MLS_STALE_EPOCH";
const ACCEPTED: &str = "m.mls.commit";

/// A commit of whoever needs nothing overtakes what takes too long; the service ends in between, or does not.
async fn what_takes_too_long_is_overtaken(restarts: bool) {
    let (mut hall, _store) = Hall::on_sled().await;
    let invites = hall.alice_invites("dan");
    let (first, second) = (hall.bob_updates(), hall.bob_updates());
    let others = vec![
        hall.old.clone(),
        hall.laptop_invites("carol"),
        first.clone(),
        second,
        asks_for_commits("bob", 1),
    ];
    hall.hears(vec![invites]).await;
    let (mut worker, _) = hall.worker(2 * BOUND, Hold::of_everything());
    let mut staged_at = Timestamp::END;
    if restarts {
        work_during(&worker, async { staged_at = hall.staged().await.staged_at }).await;
        worker = hall.worker(2 * BOUND, Hold::of_everything()).0;
    }
    work_during(&worker, async {
        staged_at = hall.staged().await.staged_at;
        hall.hears(others).await;
        // What is of another epoch, and what only asks, waits for nothing.
        let (bob, alice) = (hall.told("bob", "PHONE", 1).await, hall.told("alice", "PHONE", 1).await);
        assert_eq!((codes(&bob), codes(&alice)), (vec!["m.mls.response"], vec![STALE]));
        hall.left(0).await;
    })
    .await;
    hall.is_quiet(2).await;
    let (by, at) = hall.made(2).await;
    assert_eq!(by, "@bob:a.org/PHONE");
    assert!(at >= staged_at.plus(limits::STAGED_FIRST), "{at:?} {staged_at:?}");
    let bob = hall.has_told("bob", "PHONE").await;
    assert_eq!(codes(&bob), ["m.mls.response", ACCEPTED, STALE]);
    assert_eq!(bob[1]["txn_id"], txn_of(&first), "of two, the one that came first");
    let (phone, laptop) = (hall.has_told("alice", "PHONE").await, hall.has_told("alice", "LAPTOP").await);
    assert_eq!((codes(&phone), codes(&laptop)), (vec![STALE; 2], vec![STALE]));
    // Both are told what they missed, in the same words.
    assert_eq!(phone[1]["commits"], laptop[0]["commits"]);
    let [commit] = phone[1]["commits"].as_array().unwrap().as_slice() else { panic!("{phone:?}") };
    assert_eq!(
        (&commit["epoch"], &commit["sender"], &commit["txn_id"]),
        (&json!(2), &json!("@bob:a.org"), &Value::Null)
    );
    assert_eq!(phone[1]["current_epoch"], 2);
    assert!(hall.house.lock().unwrap().taken.is_empty());
}

#[tokio::test]
async fn what_needs_nothing_overtakes_what_takes_too_long() {
    what_takes_too_long_is_overtaken(false).await;
}

#[tokio::test]
async fn what_was_staged_before_a_restart_is_overtaken_as_well() {
    what_takes_too_long_is_overtaken(true).await;
}

#[tokio::test]
async fn what_needs_something_waits_until_nothing_is_staged() {
    let (mut hall, store) = Hall::on_sled().await;
    let (invites, waits) = (hall.alice_invites("dan"), hall.laptop_invites("carol"));
    hall.hears(vec![invites.clone()]).await;
    let (worker, _) = hall.worker(PATIENCE, Hold::of_everything());
    work_during(&worker, async { drop(hall.staged().await) }).await;
    // It was staged long ago.
    let staged = hall.staged().await;
    let long_ago = Timestamp::from_millis(staged.staged_at.as_millis() - 60_000);
    let command = staged.command();
    let older = Staged::new(&command, staged.row, long_ago, staged.permit, staged.notes);
    let ops = vec![Op::Unstage(group()), Op::Stage(older)];
    store.apply(Batch { name: "test", expect: Vec::new(), ops }).await.unwrap();

    let (worker, _) = hall.worker(PATIENCE, Hold::of_everything());
    let before = hall.reads();
    hall.hears(vec![waits, invites]).await;
    work_during(&worker, async {
        // The room was asked again about the one, and about the other.
        let judged = || async { Ok((hall.reads() >= before + 2).then_some(())) };
        eventually(BOUND, "the room to be read twice", judged).await.unwrap();
        assert_eq!(hall.ledger.depths().await.unwrap().inbox, 3);
        assert!(hall.has_told("alice", "LAPTOP").await.is_empty());
        hall.is(Mood::RefusesDan);
        hall.left(0).await;
    })
    .await;
    hall.is_quiet(2).await;
    assert_eq!(hall.made(2).await.0, "@alice:a.org/LAPTOP");
    let phone = hall.has_told("alice", "PHONE").await;
    assert_eq!(codes(&phone), ["M_FORBIDDEN"; 2], "its twin is answered after it, and the same");
    assert_eq!(phone[0], phone[1]);
    assert_eq!(codes(&hall.has_told("alice", "LAPTOP").await), [ACCEPTED]);
    assert_eq!(hall.house.lock().unwrap().taken.keys().collect::<Vec<_>>(), [&"carol"]);
}

#[tokio::test]
async fn a_freeze_refuses_what_waits_and_what_is_staged_is_finished() {
    let (mut hall, store) = Hall::on_sled().await;
    let (invites, update) = (hall.alice_invites("dan"), hall.bob_updates());
    let (worker, lanes) = hall.worker(PATIENCE, Hold::of_everything());
    let operator = Operator::new(hall.ledger.clone(), store.clone(), lanes.clone());
    hall.hears(vec![invites.clone()]).await;
    work_during(&worker, async {
        let staged_at = hall.staged().await.staged_at;
        hall.hears(vec![invites, update]).await;
        let wait = || async { Ok((lanes.waiting(&group()) == 2).then_some(())) };
        eventually(BOUND, "two to wait", wait).await.unwrap();
        let reason = FreezeReason::parse("a quarrel").unwrap();
        operator.shut(&RoomId::parse(room()).unwrap(), reason).await.unwrap().unwrap();
        let bob = hall.told("bob", "PHONE", 1).await;
        assert_eq!(codes(&bob), ["M_MLS_FROZEN"]);
        assert!(bob[0]["error"].as_str().unwrap().contains("a quarrel"), "{bob:?}");
        assert!(clock::now() < staged_at.plus(limits::STAGED_FIRST), "it is told at once");
        assert_eq!(hall.ledger.depths().await.unwrap().staged, 1);
        hall.is(Mood::Takes);
        hall.left(0).await;
    })
    .await;
    hall.is_quiet(2).await;
    let phone = hall.has_told("alice", "PHONE").await;
    assert_eq!((codes(&phone), &phone[0]), (vec![ACCEPTED; 2], &phone[1]));
}

#[tokio::test]
async fn a_lane_that_waits_is_left_to_whoever_gets_its_share() {
    let server = Postgres::start().await.unwrap();
    let open = || async { postgres::Store::open(&server.url(), 6).await.unwrap() };
    let mut hall = Hall::open(tempfile::tempdir().unwrap(), open().await).await;
    let (invites, update) = (hall.alice_invites("dan"), hall.bob_updates());
    let (share, hold) = (Share::of_group(&group()), Hold::of_everything());
    for item in [&invites, &update] {
        assert_ne!(Share::of_user(item.sender()), share, "they come into other shares");
    }
    let (worker, lanes) = hall.worker(2 * BOUND, hold.clone());
    hall.hears(vec![invites]).await;
    Box::pin(work_during(&worker, async {
        hall.staged().await;
        hall.hears(vec![update]).await;
        let wait = || async { Ok((lanes.waiting(&group()) == 1).then_some(())) };
        eventually(BOUND, "one to wait", wait).await.unwrap();
        let of_group: Shares = std::iter::once(share).collect();
        hold.tell(Held { surplus: of_group, ..Held::EVERYTHING });
        let routed = || async {
            let rows = hall.ledger.unanswered(of_group, Default::default(), 9).await?;
            Ok((rows.len() == 2 && lanes.open() == 0).then_some(()))
        };
        eventually(BOUND, "both to be left to another process", routed).await.unwrap();

        // Which takes up what is staged, and then the other.
        hall.is(Mood::Takes);
        let (heir, _) = hall.worker(2 * BOUND, Hold::of_everything());
        work_during(&heir, hall.left(0)).await;
        assert_eq!(lanes.open(), 0);
    }))
    .await;
    hall.is_quiet(2).await;
    assert_eq!(codes(&hall.has_told("alice", "PHONE").await), [ACCEPTED]);
    assert_eq!(codes(&hall.has_told("bob", "PHONE").await), [STALE]);
}

#[tokio::test]
async fn who_was_too_late_three_times_in_a_row_has_the_next_epoch_kept() {
    let (mut hall, _store) = Hall::on_sled().await;
    let (worker, _) = hall.worker(PATIENCE, Hold::of_everything());
    for _ in 0..limits::STALE_IN_A_ROW {
        let late = hall.bob_updates();
        let update = hall.alice.update().unwrap();
        hall.alice.merge().unwrap();
        hall.bob.hear(&update.message).unwrap();
        hall.hears(vec![sent("alice", "PHONE", &update), late]).await;
        work_during(&worker, hall.left(0)).await;
    }
    let told = hall.has_told("bob", "PHONE").await;
    let reserved: Vec<_> = told.iter().map(|told| (told["errcode"].as_str(), &told["reserved_ms"])).collect();
    let nothing = (Some(STALE), &Value::Null);
    assert_eq!(reserved, [nothing, nothing, (Some(STALE), &json!(5_000))]);

    // alice is first, and waits all the same.
    let faster = hall.alice.update().unwrap();
    let updates = vec![sent("alice", "PHONE", &faster), hall.bob_updates()];
    hall.hears(updates).await;
    work_during(&worker, hall.left(0)).await;
    hall.is_quiet(5).await;
    assert_eq!(hall.made(5).await.0, "@bob:a.org/PHONE");
    assert_eq!(codes(&hall.has_told("alice", "PHONE").await), [ACCEPTED, ACCEPTED, ACCEPTED, STALE]);
}

#[tokio::test]
async fn an_invitation_of_a_commit_that_is_overtaken_stands_and_nothing_more_is_sent() {
    let (mut hall, _store) = Hall::on_sled().await;
    hall.is(Mood::TakesCarol);
    let guests = ["carol", "dan"].map(|guest| hall.guests[guest].key_package().unwrap());
    let both = hall.alice.add(&guests).unwrap();
    hall.alice.discard().unwrap();
    let (worker, _) = hall.worker(2 * BOUND, Hold::of_everything());
    let update = hall.bob.update().unwrap();
    hall.bob.merge().unwrap();
    hall.hears(vec![sent("alice", "PHONE", &both), sent("bob", "PHONE", &update)]).await;
    work_during(&worker, hall.left(0)).await;
    hall.is_quiet(2).await;
    assert_eq!(codes(&hall.has_told("alice", "PHONE").await), [STALE]);
    hall.is(Mood::Takes);
    let taken = hall.house.lock().unwrap().taken.clone();
    assert_eq!(taken.keys().collect::<Vec<_>>(), [&"carol"]);

    // carol is invited; to add her device takes no other event.
    hall.alice.hear(&update.message).unwrap();
    let again = hall.alice_invites("carol");
    hall.hears(vec![again]).await;
    work_during(&worker, hall.left(0)).await;
    hall.is_quiet(3).await;
    assert_eq!(codes(&hall.has_told("alice", "PHONE").await), [STALE, ACCEPTED]);
    assert_eq!(hall.house.lock().unwrap().taken, taken);
}
