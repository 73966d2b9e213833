//! The operator's hand on a running service: a group is frozen, its log is shown and verified, and is not kept for ever.

use std::path::PathBuf;

use maypole::storage::sled::Store;
use maypole_client::matrix::RoomVersion;
use maypole_core::batch::{Backend, Batch, Op};
use maypole_core::group::{Head, Snapshot, Terms};
use maypole_core::ids::{ClientId, Epoch, GroupId};
use maypole_core::ledger::Ledger;
use maypole_mls::Suite;
use maypole_room::identity;
use serde_json::{Value, json};

use super::cast::{explained, within};
use super::crash::reads_the_room;
use super::hall::Hall;
use super::outlaw::{fields, refuses};
use super::scene::{Scene, refused};
use crate::proxy::sends_a_member_event;

impl Hall {
    /// Runs a command with the service's configuration; an error is what it said.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let config = self.house.service.config();
        let arguments = [arguments, &["--config", config.to_str().unwrap()]].concat();
        self.house.service.run(&arguments).map_err(|error| error.to_string())
    }

    /// The log, as lines of JSON.
    fn log(&self, more: &[&str]) -> Vec<Value> {
        let text = self.run(&[&["log", "show", &self.room, "--json"], more].concat()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A file of the service's folder with these lines.
    fn file(&self, name: &str, lines: &[Value]) -> PathBuf {
        let path = self.house.service.folder().join(name);
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        path
    }

    /// alice renews her keys, and is accepted.
    pub(super) async fn alice_updates(&mut self) -> Value {
        let commit = self.alice.member.update().unwrap();
        let answer = self.alice.commit(&commit).await;
        assert_eq!(answer["type"], "m.mls.commit", "{answer}");
        self.alice.member.merge().unwrap();
        answer["content"].clone()
    }
}

#[tokio::test]
async fn a_frozen_group_takes_no_command_until_it_is_unfrozen() {
    let mut hall = Hall::open().await;
    let refused = hall.run(&["freeze", "!nowhere:maypole.test", "--reason", "x"]).unwrap_err();
    assert!(refused.contains("keeps no group"), "{refused}");
    let accepted = hall.alice.member.update().unwrap();
    let mut told = fields(&accepted);
    told["txn_id"] = "before".into();
    told["device_id"] = hall.alice.user.device_id().into();
    let first = hall.alice.send(&told).await;
    hall.alice.member.merge().unwrap();
    let said = hall.run(&["freeze", &hall.room, "--reason", "moving to another server"]).unwrap();
    assert!(said.contains(": frozen."), "{said}");
    let before = hall.explained();
    assert_eq!(before["frozen"]["reason"], "moving to another server");
    let commit = hall.alice.member.update().unwrap();
    let answer = hall.alice.commit(&commit).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_FROZEN");
    assert_eq!(content["error"], "the group is frozen: moving to another server");
    // Who has no leaf is not told the operator's words, nor is a registration of what is there taken.
    let mut carol = super::outlaw::Outlaw::new(&hall.house, "carol", "TABLET").await;
    let answer = carol.ask(fields(&commit)).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_FROZEN");
    assert!(!content["error"].as_str().unwrap().contains("moving"), "{content}");

    // What was answered before gets that answer again, and requests are answered.
    assert_eq!(hall.alice.send(&told).await, first);
    let asked = json!({"room_id": hall.room, "want": "commits", "from_epoch": 1});
    assert_eq!(hall.bob.request(asked).await["commits"][0]["epoch"], 2);
    hall.house.service.kill().unwrap();
    hall.house.service.start().unwrap();
    hall.house.service.ready().await.unwrap();
    assert_eq!(hall.explained(), before);
    let answer = hall.alice.commit(&commit).await;
    refuses(&hall.house, &before, &answer, "M_MLS_FROZEN");
    let listed = hall.run(&["freeze", "--list"]).unwrap();
    assert!(listed.starts_with(&format!("{}  for ", hall.room)) && listed.lines().count() == 1, "{listed}");

    assert!(hall.run(&["unfreeze", &hall.room]).unwrap().ends_with(": unfrozen\n"));
    assert!(hall.run(&["unfreeze", &hall.room]).unwrap().ends_with(": was not frozen\n"));
    assert_eq!(
        (&hall.explained()["frozen"], hall.run(&["freeze", "--list"]).unwrap()),
        (&Value::Null, String::new())
    );
    assert_eq!(hall.alice.commit(&commit).await["content"]["epoch"], 3);
    hall.house.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_staged_when_a_group_is_frozen_is_finished_and_nothing_after_it() {
    let mut scene = Scene::open().await;
    let room = scene.hall(RoomVersion::V12).await;
    let config = scene.stage.house.service.config();
    let mut gate = scene.proxy.gate(sends_a_member_event);
    let bob_id = scene.bob.device().me().user.to_string();
    within("an invitation", scene.alice.invite(&room, &bob_id)).await;
    let held = gate.next().await;
    let freeze = ["freeze", room.as_str(), "--reason", "enough", "--config", config.to_str().unwrap()];
    scene.stage.house.service.run(&freeze).unwrap();
    let seen = explained(&scene.stage.house.service, room.as_str());
    assert!(!seen["staged"].is_null() && seen["frozen"]["reason"] == "enough", "{seen}");
    held.pass().await;
    drop(gate);
    within("it to be accepted", scene.alice.settle(&room)).await;
    let before = explained(&scene.stage.house.service, room.as_str());
    assert_eq!((&before["epoch"], &before["staged"]), (&2.into(), &Value::Null), "{before}");
    within("an update", scene.alice.update(&room)).await;
    let content = refused(&mut scene.alice, &room).await;
    assert_eq!(
        (&content["errcode"], &content["error"]),
        (&"M_MLS_FROZEN".into(), &"the group is frozen: enough".into())
    );
    scene.is_untouched(&room, &before);
    scene.stage.house.stop().await.unwrap();
}

/// The freeze comes when the command was found right and is not decided yet: with and without something to be staged.
#[tokio::test]
async fn a_command_that_is_being_judged_when_its_group_is_frozen_is_refused() {
    let mut scene = Scene::open().await;
    let room = scene.hall(RoomVersion::V12).await;
    let config = scene.stage.house.service.config();
    let freeze = ["freeze", room.as_str(), "--reason", "enough", "--config", config.to_str().unwrap()];
    let unfreeze = ["unfreeze", room.as_str(), "--config", config.to_str().unwrap()];
    let bob_id = scene.bob.device().me().user.to_string();
    for invites in [false, true] {
        let mut gate = scene.proxy.gate(reads_the_room);
        if invites {
            within("an invitation", scene.alice.invite(&room, &bob_id)).await;
        } else {
            within("an update", scene.alice.update(&room)).await;
        }
        let held = gate.next().await;
        drop(gate);
        scene.stage.house.service.run(&freeze).unwrap();
        let before = explained(&scene.stage.house.service, room.as_str());
        held.pass().await;
        let content = refused(&mut scene.alice, &room).await;
        assert_eq!(content["errcode"], "M_MLS_FROZEN", "{content}");
        scene.is_untouched(&room, &before);
        assert_eq!(scene.invitations(&room, 2).await, 0);
        scene.stage.house.service.run(&unfreeze).unwrap();
    }
    within("an update", scene.alice.update(&room)).await;
    within("it to be accepted", scene.alice.settle(&room)).await;
    scene.stage.house.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_is_shown_and_verified_here_and_elsewhere() {
    let mut hall = Hall::open().await;
    let told = hall.alice_updates().await;
    let log = hall.log(&[]);
    let epochs: Vec<&Value> = log.iter().map(|logged| &logged["epoch"]).collect();
    assert_eq!(epochs, [&json!(0), &json!(1), &json!(2)]);
    let bob = format!("{}/{}", hall.bob.user.user_id(), hall.bob.user.device_id());
    assert_eq!((&log[1]["joined"], &log[1]["left"]), (&json!([bob]), &json!([])));
    assert_eq!(log[2]["receipt"], told["receipt"], "it is what everybody was told");
    assert_eq!(log[2]["commit"], told["receipt"]["commit"]);
    assert_eq!(hall.log(&["--from", "1", "--to", "1"]), log[1..2]);
    let words = hall.run(&["log", "show", &hall.room]).unwrap();
    assert!(words.contains("epoch 1, by @alice:maypole.test/PHONE, "), "{words}");
    assert!(words.contains(&format!("  came     {bob}\n")), "{words}");

    let verified = hall.run(&["log", "verify", &hall.room]).unwrap();
    assert!(verified.contains("3 receipts, one chain from epoch 0 to 2\n"), "{verified}");
    let key = verified.lines().find_map(|line| line.trim().strip_prefix("signed by ")).unwrap();
    let whole = hall.file("whole", &log);
    let whole = whole.to_str().unwrap();
    hall.house.service.run(&["log", "verify", "--file", whole, "--key", key]).unwrap();
    hall.run(&["log", "verify", &hall.room, "--against", whole]).unwrap();

    let mut forged = log.clone();
    forged[1]["receipt"]["tree_hash"] = log[0]["receipt"]["tree_hash"].clone();
    let forged = hall.file("forged", &forged);
    let forged = forged.to_str().unwrap();
    let said = hall.house.service.run(&["log", "verify", "--file", forged, "--key", key]).unwrap_err();
    assert!(
        said.to_string().contains("exit status: 7") && said.to_string().contains("at epoch 1: the signature"),
        "{said}"
    );
    let said = hall.run(&["log", "verify", &hall.room, "--against", forged]).unwrap_err();
    assert!(said.contains("exit status: 7") && said.contains("forged: line 2: at epoch 1"), "{said}");
    let said = hall.house.service.run(&["log", "verify", "--file", whole, "--against", forged]).unwrap_err();
    assert!(said.to_string().contains("line 3: at epoch 2: `prev` is not"), "{said}");
    let one = hall.file("one", &[json!({"receipt": {"signatures": {}}})]);
    let said = hall.house.service.run(&["log", "verify", "--file", one.to_str().unwrap()]).unwrap_err();
    assert!(said.to_string().contains("exit status: 7"), "{said}");
    hall.house.stop().await.unwrap();
}

/// Whoever is there.
struct Anybody;

impl Terms for Anybody {
    fn client(&self, identity: &[u8]) -> Option<ClientId> {
        identity::parse(identity)
    }

    fn external_sender(&self, _: Suite) -> Option<(Vec<u8>, Vec<u8>)> {
        None
    }
}

impl Hall {
    /// Has something written into the store while the service is away.
    async fn write(&mut self, ops: impl AsyncFnOnce(&GroupId, &Ledger<Store>) -> Vec<Op>) {
        self.house.service.stop().await.unwrap();
        let store = Store::open(&self.house.service.folder().join("data/sled")).unwrap();
        let id = GroupId::parse(self.room.as_str()).unwrap();
        let ops = ops(&id, &Ledger::new(store.clone())).await;
        store.apply(Batch { name: "test", expect: Vec::new(), ops }).await.unwrap();
        store.close().await;
        self.house.service.start().unwrap();
        self.house.service.ready().await.unwrap();
    }

    /// The group's tree is written anew, as it is after many epochs.
    pub(super) async fn tree_is_written_anew(&mut self) {
        self.write(async |id, ledger| {
            let group = ledger.group(id, &Anybody).await.unwrap().unwrap();
            let epoch = group.epoch();
            vec![
                Op::SetHead(Head { snapshot_epoch: epoch, ..group.head().clone() }),
                Op::PutSnapshot(id.clone(), Snapshot { epoch, bytes: group.mls().snapshot() }),
            ]
        })
        .await;
    }

    /// The first epochs are let go, and the tree that they began with.
    async fn let_go_of_epochs_before(&mut self, first: u64) {
        self.write(async |id, _| {
            let of_epoch = |epoch| Op::RemoveEntry(id.clone(), Epoch::new(epoch).unwrap());
            (0..first).map(of_epoch).chain([Op::RemoveSnapshot(id.clone(), Epoch::ZERO)]).collect()
        })
        .await;
    }

    /// What the service says of the tree of an epoch to bob.
    async fn tree_for_bob(&mut self, epoch: u64) -> Value {
        let asked = json!({"room_id": self.room, "want": "ratchet_tree", "epoch": epoch});
        self.bob.request(asked).await
    }
}

#[tokio::test]
async fn what_left_the_log_is_told_to_be_gone_and_the_group_goes_on() {
    let mut hall = Hall::open().await;
    for _ in 2..=5 {
        hall.alice_updates().await;
    }
    hall.tree_is_written_anew().await;
    hall.let_go_of_epochs_before(4).await;
    for epoch in 0..4 {
        let answer = hall.tree_for_bob(epoch).await;
        let said = (&answer["errcode"], &answer["oldest_epoch"]);
        assert_eq!(said, (&"M_MLS_EPOCH_GONE".into(), &5.into()), "{answer}");
    }
    assert_eq!(hall.tree_for_bob(4).await["errcode"], "M_FORBIDDEN", "bob did not come with it");
    assert!(hall.tree_for_bob(5).await["ratchet_tree"].is_string());

    let explained = hall.explained();
    assert_eq!((&explained["epoch"], &explained["log_epochs"]), (&5.into(), &2.into()), "{explained}");
    let asked = |from: u64| json!({"room_id": hall.room, "want": "commits", "from_epoch": from});
    for from in 0..3 {
        let answer = hall.bob.request(asked(from)).await;
        assert_eq!(
            (&answer["errcode"], &answer["oldest_epoch"]),
            (&"M_MLS_EPOCH_GONE".into(), &3.into()),
            "{answer}"
        );
    }
    // Who is in epoch 3 misses the commits that make 4 and 5.
    for from in 3..6_u64 {
        let answer = hall.bob.request(asked(from)).await;
        let epochs: Vec<u64> = answer["commits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|commit| commit["epoch"].as_u64().unwrap())
            .collect();
        assert_eq!(epochs, (from + 1..6).collect::<Vec<_>>(), "{answer}");
    }
    let verified = hall.run(&["log", "verify", &hall.room]).unwrap();
    assert!(verified.contains("2 receipts, one chain from epoch 4 to 5\n"), "{verified}");
    assert_eq!(hall.log(&[]).len(), 2);
    assert_eq!(hall.alice_updates().await["epoch"], 6);
    let verified = hall.run(&["log", "verify", &hall.room]).unwrap();
    assert!(verified.contains("3 receipts, one chain from epoch 4 to 6\n"), "{verified}");
    hall.house.stop().await.unwrap();
}

/// The trees of two epochs are damaged, the first of them that of the group's beginning; the copy has both.
#[tokio::test]
async fn damaged_trees_of_epochs_that_have_passed_are_named_and_made_anew_and_the_group_works_meanwhile() {
    let mut hall = Hall::open().await;
    for _ in 0..2 {
        hall.alice_updates().await;
        hall.alice_updates().await;
        hall.tree_is_written_anew().await;
    }
    // That of the epoch in which bob came, and the present one.
    let (came, present) = (hall.tree_for_bob(1).await, hall.tree_for_bob(5).await);
    let (came, present) = (came["ratchet_tree"].clone(), present["ratchet_tree"].clone());
    assert!(came.is_string() && present.is_string() && came != present);
    let copy = hall.house.service.folder().join("copy");
    let mend = ["db", "mend", hall.room.as_str(), "--from", copy.to_str().unwrap()].map(str::to_owned);
    let mend = mend.each_ref().map(String::as_str);
    hall.run(&["db", "export", copy.to_str().unwrap()]).unwrap();
    let whole = hall.run(&["db", "check"]).unwrap();
    hall.write(async |id, _| {
        let garbage = |epoch| Snapshot { epoch: Epoch::new(epoch).unwrap(), bytes: vec![9, 9] };
        [0, 3].map(|epoch| Op::PutSnapshot(id.clone(), garbage(epoch))).into()
    })
    .await;

    for (epoch, errcode) in [(1, "M_MLS_UNAVAILABLE"), (2, "M_FORBIDDEN"), (3, "M_FORBIDDEN")] {
        let answer = hall.tree_for_bob(epoch).await;
        assert_eq!(answer["errcode"], errcode, "{answer}");
    }
    assert_eq!(hall.tree_for_bob(5).await["ratchet_tree"], present);
    assert_eq!(hall.alice_updates().await["epoch"], 6, "the group goes on");
    let damaged = hall.run(&["db", "check"]).unwrap_err();
    assert!(damaged.contains("exit status: 5"), "{damaged}");

    hall.house.service.stop().await.unwrap();
    let mended = hall.run(&mend).unwrap();
    assert!(mended.contains("whole again, in epoch 6, where it stood"), "{mended}");
    assert!(mended.contains("0 epochs of its log and 2 of its trees were put back"), "{mended}");
    let nothing = hall.run(&mend).unwrap_err();
    assert!(nothing.contains("there is nothing to put back"), "{nothing}");
    hall.house.service.start().unwrap();
    hall.house.service.ready().await.unwrap();
    assert_eq!(hall.tree_for_bob(1).await["ratchet_tree"], came);
    assert_eq!(hall.run(&["db", "check"]).unwrap(), whole.replace("with 6 epochs", "with 7 epochs"));
    hall.house.stop().await.unwrap();
}
