//! Trees of epochs that have passed: to be had as long as the log keeps them, while it is cut and after.

use super::party::{ALICE, BOB, CAROL, Party, id};
use super::writes::done;
use super::*;
use crate::batch::{Backend as _, Batch, Op};
use crate::ledger::{Ledger, LedgerError, Past};
use crate::memory::Memory;
use crate::records::AnswerKey;

/// Epochs of the log.
const EPOCHS: u64 = 80;

/// A stored group, which has come as far as epoch 80, and how it was in each.
struct Archive {
    ledger: Ledger<Memory>,
    group: GroupId,
    /// The tree, and the weight of the group that has it.
    was: Vec<(Vec<u8>, usize)>,
    snapshots: Vec<Snapshot>,
    old: Timestamp,
}

impl Archive {
    /// With snapshots of these epochs. As far as the head says, all epochs up to one need not be kept any more.
    fn of(snapshots: &[u64], beyond: u64) -> Self {
        let mut party = Party::of(&[BOB]);
        let seen = |party: &Party| {
            let group = &party.group;
            let at = Snapshot { epoch: group.epoch(), bytes: group.mls().snapshot() };
            ((group.mls().ratchet_tree(), group.weight_bytes()), at)
        };
        let first = Restoring::begin(&party.beginning).unwrap();
        let (mut was, mut all) = (vec![(first.ratchet_tree(), 0)], vec![party.beginning.clone()]);
        while party.group.epoch().get() < EPOCHS {
            let (is, at) = seen(&party);
            was.push(is);
            all.push(at);
            party.update(if all.len().is_multiple_of(2) { ALICE } else { BOB }, false).unwrap();
        }
        let (is, at) = seen(&party);
        was.push(is);
        all.push(at);
        let group = party.group.id().clone();
        let registration = Entry { epoch: Epoch::ZERO, delta: Vec::new(), ..party.log[0].clone() };
        let head = Head {
            epoch: Epoch::new(beyond + limits::LOG_KEPT_EPOCHS).unwrap(),
            ..party.group.head().clone()
        };
        let old = party.now.plus(limits::LOG_KEPT_FOR);
        let archive = Self { ledger: Ledger::new(Memory::default()), group, was, snapshots: all, old };
        let entries = std::iter::once(registration).chain(party.log);
        archive.write(entries.map(|entry| Op::Append(archive.group.clone(), entry)).collect());
        archive.write(vec![Op::SetHead(head)]);
        archive.write(snapshots.iter().map(|epoch| archive.put(*epoch)).collect());
        archive
    }

    fn put(&self, epoch: u64) -> Op {
        Op::PutSnapshot(self.group.clone(), self.snapshots[usize::try_from(epoch).unwrap()].clone())
    }

    fn write(&self, ops: Vec<Op>) {
        done(self.ledger.backend.apply(Batch { name: "test", expect: Vec::new(), ops })).unwrap();
    }

    fn accept_at(&self, epochs: impl Iterator<Item = u64>, accepted_at: Timestamp) {
        for epoch in epochs.filter_map(Epoch::new) {
            let entry = done(self.ledger.log(&self.group, epoch, 1)).unwrap().remove(0);
            self.write(vec![Op::Append(self.group.clone(), Entry { accepted_at, ..entry })]);
        }
    }

    fn at(&self, epoch: u64) -> Result<Past, LedgerError> {
        done(self.ledger.tree_at(&self.group, Epoch::new(epoch).unwrap()))
    }

    /// These trees are as they were.
    fn has(&self, epochs: impl Iterator<Item = u64>) {
        for epoch in epochs {
            let Ok(Past::Kept(past)) = self.at(epoch) else { panic!("epoch {epoch} has no tree") };
            let (tree, weight) = &self.was[usize::try_from(epoch).unwrap()];
            assert_eq!(past.ratchet_tree(), *tree, "epoch {epoch}");
            let foreseen =
                done(self.ledger.tree_weight_bytes(&self.group, Epoch::new(epoch).unwrap())).unwrap();
            assert!(*weight <= foreseen, "epoch {epoch}: {weight} {foreseen}");
        }
    }

    /// These are gone, and this is the oldest that is not.
    fn lacks(&self, epochs: impl Iterator<Item = u64>, oldest: u64) {
        for epoch in epochs {
            let Ok(Past::Gone { oldest: found }) = self.at(epoch) else { panic!("epoch {epoch} has a tree") };
            assert_eq!(found.get(), oldest, "epoch {epoch}");
        }
    }

    fn trim(&self, now: Timestamp) -> usize {
        done(self.ledger.trim(&self.group, |_| None::<AnswerKey>, now)).unwrap()
    }

    /// Where the log begins, and of which epochs there are snapshots.
    fn kept(&self) -> (u64, Vec<u64>) {
        let begins = done(self.ledger.log_begins(&self.group)).unwrap().unwrap().get();
        let snapshots = done(self.ledger.snapshots(&self.group, Epoch::ZERO, 99)).unwrap();
        (begins, snapshots.iter().map(|snapshot| snapshot.epoch.get()).collect())
    }
}

#[test]
fn each_kept_epoch_has_its_tree_before_a_cut_and_after_it_and_the_later_ones_all_the_time() {
    let archive = Archive::of(&[0, 70, 76], 72);
    archive.has(0..=EPOCHS);
    assert_eq!(archive.trim(Timestamp::default()), 0, "they are young");
    assert_eq!(archive.trim(archive.old), 32);
    // Broken off here: what is cut is known to be, and nothing of it is taken for damage.
    assert_eq!(archive.kept(), (32, vec![0, 70, 76]));
    archive.lacks(1..70, 70);
    archive.has(70..=EPOCHS);
    assert_eq!((archive.trim(archive.old), archive.trim(archive.old)), (32, 6));
    assert_eq!(archive.kept(), (70, vec![70, 76]), "the tree before goes with the last that needs it");
    archive.lacks(0..70, 70);
    archive.has(70..=EPOCHS);
    assert_eq!(archive.trim(archive.old), 0, "76 may not be reached: 74 must stay");
}

#[test]
fn one_write_passes_several_trees_and_stops_at_the_last_that_may_be_reached() {
    let archive = Archive::of(&[0, 4, 5, 20, 31, 40], 38);
    assert_eq!(archive.trim(archive.old), 31);
    assert_eq!(archive.kept(), (31, vec![31, 40]));
    archive.has(31..=EPOCHS);
    // The next may begin with 40 when 39 need not be kept any more.
    let archive = Archive::of(&[0, 4, 5, 20, 31, 40], 39);
    assert_eq!((archive.trim(archive.old), archive.trim(archive.old)), (32, 8));
    assert_eq!(archive.kept(), (40, vec![40]));
    archive.has(40..=EPOCHS);
}

#[test]
fn a_log_is_not_cut_into_what_is_young() {
    let archive = Archive::of(&[0, 5, 20, 60], 72);
    // By a clock that went wrong, one among old ones.
    archive.accept_at(10..11, archive.old);
    assert_eq!(archive.trim(archive.old), 5);
    assert_eq!(archive.kept(), (5, vec![5, 20, 60]));
    archive.has(5..=EPOCHS);
    // A cut is not begun that could not come to the next tree.
    let archive = Archive::of(&[0, 60], 72);
    archive.accept_at(50..=EPOCHS, archive.old);
    assert_eq!(archive.trim(archive.old), 0);
    assert_eq!(archive.kept(), (0, vec![0, 60]));
    archive.has(0..=EPOCHS);
}

#[test]
fn a_cut_is_not_begun_where_one_young_epoch_lies_before_its_end() {
    // Beyond what the first write removes, wherever a page begins or ends.
    for young in [32, 33, 47, 48, 58, 59] {
        let archive = Archive::of(&[0, 60], 72);
        archive.accept_at(young..young + 1, archive.old);
        assert_eq!(archive.trim(archive.old), 0, "{young}");
        assert_eq!(archive.kept(), (0, vec![0, 60]));
        archive.has(0..=EPOCHS);
        let later = archive.old.plus(limits::LOG_KEPT_FOR);
        assert_eq!((archive.trim(later), archive.trim(later)), (32, 28), "{young}");
        assert_eq!(archive.kept(), (60, vec![60]));
        // The first write ends behind a tree: it goes back to that.
        let archive = Archive::of(&[0, 20, 60], 72);
        archive.accept_at(young..young + 1, archive.old);
        assert_eq!((archive.trim(archive.old), archive.trim(archive.old)), (20, 0), "{young}");
        assert_eq!(archive.kept(), (20, vec![20, 60]));
        archive.has(20..=EPOCHS);
    }
    // One that is begun goes on as far as it may.
    let archive = Archive::of(&[0, 70], 72);
    assert_eq!(archive.trim(archive.old), 32);
    archive.accept_at(66..67, archive.old);
    assert_eq!((archive.trim(archive.old), archive.trim(archive.old)), (32, 0));
    assert_eq!(archive.kept(), (64, vec![0, 70]));
    archive.has(70..=EPOCHS);
}

#[test]
fn a_damaged_tree_hurts_only_what_comes_from_it() {
    let archive = Archive::of(&[0, 5, 20, 70], 30);
    let garbage = Snapshot { epoch: Epoch::new(5).unwrap(), bytes: vec![9, 9] };
    archive.write(vec![Op::PutSnapshot(archive.group.clone(), garbage)]);
    for epoch in 5..20 {
        assert!(matches!(archive.at(epoch), Err(LedgerError::Damaged(_))), "epoch {epoch}");
    }
    archive.has((0..5).chain(20..=EPOCHS));
    assert_eq!(archive.trim(archive.old), 20, "it is not in the way");
    assert_eq!(archive.kept(), (20, vec![20, 70]));
    // Nor is what is missing taken for what was cut.
    archive.write(vec![Op::RemoveEntry(archive.group.clone(), Epoch::new(30).unwrap())]);
    assert!(matches!(archive.at(31), Err(LedgerError::Damaged(_))), "31 comes from 30");
    archive.has((20..30).chain(70..=EPOCHS));
}

#[test]
fn what_earlier_versions_kept_has_the_trees_that_it_has() {
    // One tree, and all the log from before it.
    let archive = Archive::of(&[40], 72);
    archive.lacks(0..40, 40);
    archive.has(40..=EPOCHS);
    // Cut behind its tree's own epoch.
    let first = (0..=40).filter_map(Epoch::new).map(|epoch| Op::RemoveEntry(archive.group.clone(), epoch));
    archive.write(first.collect());
    assert_eq!(archive.kept(), (41, vec![40]));
    archive.lacks(0..40, 40);
    archive.has(40..=EPOCHS);
    archive.write(vec![archive.put(60)]);
    assert_eq!(archive.trim(archive.old), 19);
    assert_eq!(archive.kept(), (60, vec![60]));
    archive.has(60..=EPOCHS);
    // A group without any is damaged.
    archive.write(vec![Op::RemoveSnapshot(archive.group.clone(), Epoch::new(60).unwrap())]);
    assert!(matches!(archive.at(70), Err(LedgerError::Damaged(_))));
}

#[test]
fn who_had_a_leaf_is_told_by_the_tree_of_the_epoch() {
    let archive = Archive::of(&[0, 5], 0);
    for (epoch, name, inside) in
        [(0, ALICE, true), (0, BOB, false), (1, BOB, true), (7, BOB, true), (7, CAROL, false)]
    {
        let Ok(Past::Kept(past)) = archive.at(epoch) else { panic!("epoch {epoch}") };
        assert_eq!(past.has_leaf(&id(name), &Here), inside, "{name} in epoch {epoch}");
    }
}
