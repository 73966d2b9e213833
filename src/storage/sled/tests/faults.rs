//! The n-th write or sync fails, for every n: nobody is answered with success for what may be lost, nothing
//! panics through, and the store recovers by itself with everything that was acknowledged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use maypole_core::batch::{Backend, BackendError, Expect, Op};
use maypole_core::directory::Standing;
use maypole_core::ids::{InboxSeq, OwedId};
use maypole_core::records::OwedRow;
use maypole_core::time::Timestamp;

use super::Somewhere;
use crate::storage::Health;
use crate::storage::conformance::samples::{
    agenda, answer, batch, entry, epoch, frozen, group, head, key, key_package, message, owed, reference,
    snapshot, staged, token,
};
use crate::storage::sled::disk::{Disk, Step};
use crate::storage::sled::{OpenError, Store};

/// What a step does that was chosen to fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The disk is full.
    Error,
    /// The disk fails.
    Broken,
    Panic,
    /// This one and the four after it.
    Errors,
}

/// A disk on which one step fails.
struct FailingDisk {
    seen: AtomicU64,
    at: u64,
    fault: Fault,
    failed: AtomicBool,
}

impl FailingDisk {
    fn new(at: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self { seen: AtomicU64::new(0), at, fault, failed: AtomicBool::new(false) })
    }

    fn failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}

impl Disk for FailingDisk {
    fn before(&self, step: Step) -> io::Result<()> {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        let length = if matches!(self.fault, Fault::Errors) { 5 } else { 1 };
        if !(self.at..self.at + length).contains(&number) {
            return Ok(());
        }
        self.failed.store(true, Ordering::SeqCst);
        match self.fault {
            Fault::Panic => panic!("step {number}, {step:?}, panics as the test wants"),
            Fault::Error | Fault::Errors => Err(io::Error::from_raw_os_error(28)),
            Fault::Broken => Err(io::Error::from_raw_os_error(5)),
        }
    }
}

async fn ready(store: &Store) {
    let mut health = store.health();
    let waited =
        tokio::time::timeout(Duration::from_secs(30), health.wait_for(|health| *health == Health::Ready));
    waited.await.expect("the store recovers within its time").unwrap();
}

/// How large the records of a round are: some lie beside the log.
fn size_in(round: u64) -> usize {
    [100, 9_000, 4_000][usize::try_from(round % 3).unwrap()]
}

/// A group is begun, and a command staged in it; then a second epoch is decided, and the group frozen.
async fn decide(store: &Store, round: u64) -> Result<(), BackendError> {
    let (id, size, row) = (group(round), size_in(round), InboxSeq::new(500 + round));
    let expect = vec![
        Expect::GroupAt(id.clone(), None),
        Expect::AgendaAt(id.clone(), None),
        Expect::StagedIn(id.clone(), None),
        Expect::NotStaged(row),
        Expect::NotFrozen(id.clone()),
    ];
    let ops = vec![
        Op::SetHead(head(round, 1, size)),
        Op::Append(id.clone(), entry(1, size)),
        Op::PutSnapshot(id.clone(), snapshot(1, size)),
        Op::SetAgenda(agenda(round, 1, size)),
        Op::Stage(staged(round, 500 + round, size)),
    ];
    store.apply(batch(expect, ops)).await?;
    let expect = vec![
        Expect::GroupAt(id.clone(), Some(epoch(1))),
        Expect::AgendaAt(id.clone(), Some(1)),
        Expect::StagedIn(id.clone(), Some(row)),
    ];
    let ops = vec![
        Op::SetHead(head(round, 2, size)),
        Op::Append(id.clone(), entry(2, size)),
        Op::SetAgenda(agenda(round, 2, size)),
        Op::Unstage(id.clone()),
        Op::Freeze(id, frozen(round, 10)),
    ];
    store.apply(batch(expect, ops)).await.map(drop)
}

/// Each group is whole, in one epoch or the other; one that was acknowledged is in the second.
async fn check_groups(store: &Store, acknowledged: &[u64]) {
    let mut groups = 0;
    for round in 0..4 {
        let (id, size) = (group(round), size_in(round));
        let at = store.head(&id).await.unwrap().map_or(0, |head| head.epoch.get());
        assert!(
            at == 2 || !acknowledged.contains(&round),
            "round {round} was acknowledged, and is in epoch {at}"
        );
        let log = store.log(&id, epoch(0), 9).await.unwrap();
        assert_eq!(log, (1..=at).map(|at| entry(at, size)).collect::<Vec<_>>());
        let owes = (at > 0).then(|| agenda(round, at, size));
        assert_eq!(store.agenda(&id).await.unwrap(), owes);
        assert_eq!(store.snapshot(&id, epoch(9)).await.unwrap(), (at > 0).then(|| snapshot(1, size)));
        assert_eq!(store.frozen(&id).await.unwrap(), (at == 2).then(|| frozen(round, 10)));
        let waits = store.staged(&id).await.unwrap().map(|staged| staged.row.get());
        assert_eq!(waits, (at == 1).then_some(500 + round));
        groups += u64::from(at > 0);
    }
    let depths = store.depths().await.unwrap();
    assert_eq!(depths.groups, groups);
    assert_eq!(depths.staged, store.staged_groups(9).await.unwrap().len() as u64);
}

/// One message through the store: received, answered with a KeyPackage, settled, with bytes in the log and beside it, and now and then a batch
/// so large that it needs the journal; and a group. Tried until the store says that it is done; says whether it was.
async fn one_round(store: &Store, round: u64) -> Result<(), BackendError> {
    let from = (round > 0).then(|| token(&format!("s{round}")));
    let to = token(&format!("s{}", round + 1));
    let size = size_in(round);
    let mut ops = vec![
        Op::MoveCursor(to),
        Op::Receive(message(round, size)),
        Op::Shelve(key_package("bob", round, 50, 100)),
    ];
    if round == 2 {
        ops.extend((0..150).map(|seed| Op::Receive(message(seed, 10))));
    }
    store.apply(batch(vec![Expect::Cursor(from)], ops)).await?;
    let row = store.inbox(None, 1).await?[0].seq;
    let ops = vec![
        Op::Leave(row),
        Op::Remember(key(round), answer(round, size, 1_000 + round)),
        Op::Owe(owed(round, size)),
        Op::TakeOut(reference(round)),
    ];
    let unanswered = Expect::NoAnswer(key(round), Timestamp::from_millis(0));
    let expect = vec![Expect::InInbox(row), unanswered, Expect::InStock(reference(round))];
    store.apply(batch(expect, ops)).await?;
    if round % 2 == 1 {
        let OwedRow { id, .. } = store.owed(None, 1).await?[0];
        store.apply(batch(vec![Expect::StillOwed(id)], vec![Op::Settle(id)])).await?;
    }
    decide(store, round).await
}

/// Everything of a round that was acknowledged as a whole is there, and whole.
async fn check(store: &Store, acknowledged: &[u64]) {
    check_groups(store, acknowledged).await;
    for round in acknowledged {
        let size = size_in(*round);
        let found = store.answer(key(*round)).await.unwrap();
        assert_eq!(found, Some(answer(*round, size, 1_000 + round)), "round {round} was acknowledged");
        let standing = store.standing(&reference(*round)).await.unwrap();
        assert_eq!(standing, Some(Standing::Gone), "the KeyPackage of round {round} was handed out");
    }
    let rows = store.owed(None, 1_000).await.unwrap();
    assert!(rows.iter().all(|row| row.owed.owed_at.as_millis() < 4), "something is owed that never was");
    let depths = store.depths().await.unwrap();
    assert_eq!(depths.owed, rows.len() as u64);
    let inbox = store.inbox(None, 1_000).await.unwrap();
    assert_eq!(depths.inbox, inbox.len() as u64);
    // The large batch is there whole or not at all; its first row may have been answered.
    assert!(inbox.len() < 3 || inbox.len() >= 148, "{} of a batch of 151", inbox.len());
}

/// Says whether the fault was met at all.
async fn survives(at: u64, fault: Fault) -> bool {
    let place = Somewhere::new();
    let disk = FailingDisk::new(at, fault);
    let store = match Store::open_on(&place.path(), Arc::clone(&disk) as Arc<dyn Disk>) {
        Ok(store) => store,
        Err(refused) => {
            assert!(disk.failed(), "refused without reason: {refused}");
            assert!(matches!(refused, OpenError::Io { .. } | OpenError::Damaged { .. }), "{refused:?}");
            // The next start finds nothing in its way.
            let store = Store::open(&place.path()).unwrap();
            one_round(&store, 0).await.unwrap();
            return true;
        }
    };
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let before = disk.failed();
        match one_round(&store, round).await {
            Ok(()) => acknowledged.push(round),
            Err(BackendError::Unavailable(_)) => {
                assert!(disk.failed(), "step {at}: unavailable without reason");
                ready(&store).await;
            }
            // What was not acknowledged may have been done all the same.
            Err(BackendError::Conflict(_)) => assert!(before, "step {at}: a conflict without reason"),
            Err(other) => panic!("step {at}, {fault:?}: {other}"),
        }
        // What is removed when all is answered may have failed it too.
        while let Err(error) = store.progress().await {
            assert!(disk.failed(), "step {at}: {error}");
            ready(&store).await;
        }
        check(&store, &acknowledged).await;
    }
    store.close().await;
    let store = Store::open(&place.path()).unwrap();
    check(&store, &acknowledged).await;
    // Numbers are not given out again.
    let ids = store.apply(batch(vec![], vec![Op::Owe(owed(0, 10))])).await.unwrap();
    assert!(ids[0] >= OwedId::new(acknowledged.len() as u64));
    disk.failed()
}

/// Tries each of the steps from one on, in strides, until there are no more.
async fn each_step(fault: Fault, first: u64, stride: usize) {
    for at in (first..).step_by(stride) {
        if !survives(at, fault).await {
            assert!(at > 60, "only {at} steps were there to fail");
            return;
        }
    }
}

#[tokio::test]
async fn of_any_step_that_fails() {
    each_step(Fault::Error, 0, 1).await;
}

#[tokio::test]
async fn of_any_step_on_a_disk_that_breaks() {
    each_step(Fault::Broken, 0, 3).await;
}

#[tokio::test]
async fn of_any_five_steps_that_fail() {
    each_step(Fault::Errors, 0, 4).await;
}

#[tokio::test]
async fn of_any_step_that_panics() {
    // Those of the first opening are covered by the errors; the seam panics in bulk threads as well.
    each_step(Fault::Panic, 30, 3).await;
}

#[tokio::test]
async fn while_it_lasts_everybody_is_refused_with_the_reason() {
    let place = Somewhere::new();
    drop(Store::open(&place.path()).unwrap());
    let disk = Arc::new(BrokenDisk(AtomicBool::new(false)));
    let store = Store::open_on(&place.path(), Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
    assert_eq!(*store.health().borrow(), Health::Ready);
    disk.0.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        let refused = store.apply(batch(vec![], vec![Op::MoveCursor(token("s1"))])).await.unwrap_err();
        assert!(
            matches!(&refused, BackendError::Unavailable(why) if why.contains("No space")),
            "{refused:?}"
        );
        assert!(matches!(store.cursor().await, Err(BackendError::Unavailable(_))));
    }
    assert!(matches!(&*store.health().borrow(), Health::Unavailable(why) if why.contains("No space")));
    disk.0.store(false, Ordering::SeqCst);
    ready(&store).await;
    store.apply(batch(vec![], vec![Op::MoveCursor(token("s2"))])).await.unwrap();
    assert_eq!(store.cursor().await.unwrap(), Some(token("s2")));
    // Closed while it fails, it lets go of the folder as well.
    disk.0.store(true, Ordering::SeqCst);
    store.apply(batch(vec![], vec![Op::MoveCursor(token("s3"))])).await.unwrap_err();
    store.close().await;
    let store = Store::open(&place.path()).unwrap();
    assert!(store.cursor().await.unwrap() >= Some(token("s2")));
}

/// A disk that fails as long as it is told to.
struct BrokenDisk(AtomicBool);

impl Disk for BrokenDisk {
    fn before(&self, _: Step) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
}
