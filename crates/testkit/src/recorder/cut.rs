//! Where the power is cut, and what the disk makes of the writes that were not synced.

use std::collections::BTreeMap;
use std::fmt;

use super::generator::SplitMix64;
use super::op::{NodeId, Op};
use super::replay::index;

/// What a disk keeps of what it need not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing.
    DropAll,
    /// Everything, as after `kill -9`.
    KeepAll,
    /// All entries of folders, but of the files neither content nor size.
    EntriesOnly,
    /// All content, but no change of a folder.
    DataOnly,
    /// All entries and all sizes, with zeros where data should be.
    SizesOnly,
    /// Each change or not, by chance: so later writes may be there without earlier ones.
    Subset,
    /// As `Subset`, and writes are torn at sectors.
    Torn,
    /// Everything, but the last write of each file is torn.
    TornLast,
    /// Everything, but the first write of each file is lost: the disk wrote it last.
    FirstLost,
    /// Everything, but one write of each file, by chance, is lost: the disk had not come to it yet.
    OneLost,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::DropAll,
        Self::KeepAll,
        Self::EntriesOnly,
        Self::DataOnly,
        Self::SizesOnly,
        Self::Subset,
        Self::Torn,
        Self::TornLast,
        Self::FirstLost,
        Self::OneLost,
    ];
}

/// One power loss. The same cut of the same record gives the same folder, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many steps of the record had happened.
    pub at: usize,
    /// What the disk made of those that were not synced.
    pub policy: Policy,
    /// What chance rested on.
    pub seed: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "power cut after step {} ({:?}, seed {:#x})", self.at, self.policy, self.seed)
    }
}

/// How many places before a sync are compared, and the one with the most to lose taken.
const CONTENDERS: usize = 4;

/// Cuts of one record: all policies in turn; a third of the places right after an acknowledgement, where the promise is freshest, a third
/// right before a sync, where the most is to lose, a third anywhere.
#[derive(Clone, Debug)]
pub struct Cuts {
    acks: Vec<usize>,
    /// Places right before a sync, each with the number of changes that it makes durable.
    syncs: Vec<(usize, usize)>,
    steps: usize,
    left: usize,
    made: usize,
    numbers: SplitMix64,
}

impl Cuts {
    pub(super) fn new(ops: &[Op], seed: u64, count: usize) -> Self {
        let acks = ops.iter().enumerate().filter(|(_, op)| matches!(op, Op::Ack { .. }));
        Self {
            acks: acks.map(|(at, _)| at + 1).collect(),
            syncs: syncs(ops),
            steps: ops.len(),
            left: count,
            made: 0,
            numbers: SplitMix64::new(seed),
        }
    }

    fn place(&mut self) -> usize {
        let place = match self.numbers.below(3) {
            0 => chosen(&mut self.numbers, &self.acks),
            1 => {
                let contenders: Vec<_> =
                    (0..CONTENDERS).filter_map(|_| chosen(&mut self.numbers, &self.syncs)).collect();
                contenders.into_iter().max_by_key(|(_, changes)| *changes).map(|(at, _)| at)
            }
            _ => None,
        };
        place.unwrap_or_else(|| index(self.numbers.below(self.steps as u64 + 1)))
    }
}

impl Iterator for Cuts {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        self.left = self.left.checked_sub(1)?;
        let policy = *Policy::ALL.get(self.made % Policy::ALL.len())?;
        self.made += 1;
        Some(Cut { at: self.place(), policy, seed: self.numbers.next_number() })
    }
}

fn chosen<T: Copy>(numbers: &mut SplitMix64, places: &[T]) -> Option<T> {
    places.get(index(numbers.below(places.len() as u64))).copied()
}

/// The syncs that make something durable, with the number of changes of each.
fn syncs(ops: &[Op]) -> Vec<(usize, usize)> {
    let mut waiting: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    let mut syncs = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let mut covered = 0;
        let mut cover = |changes: &mut Vec<usize>, begun: usize| {
            covered += changes.extract_if(.., |change| *change < begun).count();
        };
        match op {
            Op::Sync { node, begun } => cover(waiting.entry(*node).or_default(), *begun),
            Op::SyncAll { begun } => waiting.values_mut().for_each(|changes| cover(changes, *begun)),
            _ => {
                for node in op.changed() {
                    waiting.entry(node).or_default().push(at);
                }
            }
        }
        if covered > 0 {
            syncs.push((at, covered));
        }
    }
    syncs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_follow_from_the_seed_and_stay_within_the_record() {
        let ops = [Op::Ack { number: 1 }, Op::SyncAll { begun: 0 }, Op::Ack { number: 2 }];
        let cuts: Vec<_> = Cuts::new(&ops, 5, 100).collect();
        assert_eq!(cuts, Cuts::new(&ops, 5, 100).collect::<Vec<_>>());
        assert_ne!(cuts, Cuts::new(&ops, 6, 100).collect::<Vec<_>>());
        assert_eq!(cuts.len(), 100);
        assert!(cuts.iter().all(|cut| cut.at <= 3));
        for policy in Policy::ALL {
            assert_eq!(cuts.iter().filter(|cut| cut.policy == policy).count(), 10);
        }
    }

    #[test]
    fn places_before_a_sync_are_known_with_what_they_would_lose() {
        let node = NodeId(1);
        let ops = [
            Op::CreateFile { folder: NodeId::ROOT, name: "a".into(), node },
            Op::Write { node, offset: 0, data: vec![1] },
            Op::SetLen { node, len: 0 },
            Op::Sync { node, begun: 3 },
            Op::Sync { node, begun: 4 },
            Op::Write { node, offset: 0, data: vec![1] },
            Op::SyncAll { begun: 5 },
            Op::SyncAll { begun: 7 },
        ];
        assert_eq!(syncs(&ops), [(3, 2), (6, 1), (7, 1)]);
        assert!(Cuts::new(&ops, 1, 90).any(|cut| cut.at == 3));
    }

    #[test]
    fn a_record_without_steps_can_be_cut_at_its_beginning() {
        assert!(Cuts::new(&[], 5, 9).all(|cut| cut.at == 0));
    }

    #[test]
    fn a_cut_says_how_to_see_it_again() {
        let cut = Cut { at: 7, policy: Policy::Torn, seed: 255 };
        assert_eq!(cut.to_string(), "power cut after step 7 (Torn, seed 0xff)");
    }
}
