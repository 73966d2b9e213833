//! Histories of real members play to their end, and the same seed gives the same shape.

use std::collections::BTreeSet;

use maypole_testkit::mls::history::{History, Kind};
use maypole_testkit::mls::{Read, SUITES, read};

#[test]
fn the_same_seed_gives_the_same_shape_and_other_keys() {
    let mut shapes = BTreeSet::new();
    for seed in 0..8 {
        for suite in SUITES {
            let (one, other) = (History::play(suite, seed).unwrap(), History::play(suite, seed).unwrap());
            assert_eq!(shape(&one), shape(&other), "seed {seed}, suite {suite}");
            assert_ne!(
                one.first.tree_hash, other.first.tree_hash,
                "seed {seed}, suite {suite}: keys are new"
            );
            shapes.insert(shape(&one));
        }
    }
    assert_eq!(shapes.len(), 8, "a shape for each seed, whatever the suite");
}

fn shape(history: &History) -> Vec<(Vec<Kind>, usize)> {
    history.steps.iter().map(|step| (step.kinds.clone(), step.proposals.len())).collect()
}

#[test]
fn a_history_is_public_messages_epoch_by_epoch() {
    for seed in 0..8 {
        let history = History::play(1, seed).unwrap();
        let mut epoch = history.first.number;
        let group_id = b"!room:a.org".to_vec();
        let info = |epoch, with_tree| {
            let group_id = group_id.clone();
            Read::GroupInfo { group_id, epoch, with_tree, with_external_pub: true }
        };
        let message = |epoch, content| {
            let group_id = group_id.clone();
            Read::Group { public: true, group_id, epoch, content }
        };
        assert_eq!(read(&history.first.group_info).unwrap(), info(epoch, false), "seed {seed}");
        assert_eq!(read(&history.first_with_tree).unwrap(), info(epoch, true), "seed {seed}");
        for step in &history.steps {
            for proposal in &step.proposals {
                assert_eq!(read(proposal).unwrap(), message(epoch, "proposal"), "seed {seed}");
            }
            assert_eq!(read(&step.commit).unwrap(), message(epoch, "commit"), "seed {seed}");
            epoch += 1;
            assert_eq!(step.epoch.number, epoch, "seed {seed}");
            assert_eq!(read(&step.epoch.group_info).unwrap(), info(epoch, false), "seed {seed}");
        }
    }
}

#[test]
fn every_kind_is_listed_once() {
    let listed: BTreeSet<_> = Kind::ALL.into_iter().collect();
    assert_eq!(listed.len(), Kind::ALL.len());
}
