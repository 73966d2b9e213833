//! What is staged waits for the homeserver beside its group's lane: who waits for it, who does not, and who is first.

use maypole_core::batch::{Backend as _, Batch, Op};
use maypole_core::group::Staged;
use maypole_core::ids::{FreezeReason, RoomId};
use maypole_core::limits;
use maypole_core::shares::{Held, Share, Shares};
use maypole_core::time::Timestamp;
use maypole_testkit::postgres::Postgres;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};

use super::hall::{Hall, Mood, PATIENCE, asks_for_commits, codes, group, room, sent, txn_of};
use super::{BOUND, work_during};
use crate::clock;
use crate::groups::Operator;
use crate::hold::Hold;
use crate::storage::postgres;

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
    Box::pin(what_takes_too_long_is_overtaken(false)).await;
}

#[tokio::test]
async fn what_was_staged_before_a_restart_is_overtaken_as_well() {
    Box::pin(what_takes_too_long_is_overtaken(true)).await;
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
    let (worker, lanes) = hall.worker(2 * BOUND, Hold::of_everything());
    let update = hall.bob.update().unwrap();
    hall.bob.merge().unwrap();
    hall.hears(vec![sent("alice", "PHONE", &both), sent("bob", "PHONE", &update)]).await;
    work_during(&worker, async {
        hall.left(0).await;
        let ended = || async { Ok((lanes.open() == 0).then_some(())) };
        eventually(BOUND, "what hangs to be given up", ended).await.unwrap();
    })
    .await;
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
