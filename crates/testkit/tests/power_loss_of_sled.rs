//! Why the store is written as it is: what sled 0.34.7 keeps of acknowledged rows through a power loss, by the care that is taken.
//!
//! Beyond the syncs that it leaves out (its settings, its folders, its blobs), three habits of its own take what was durable:
//!
//! - It calls stable what it has given to `sync_file_range`, and each segment of its file says in its header how far that had come
//!   when the segment began. At recovery only segments from there on are looked through for tears
//!   (`check_contiguity_in_unstable_tail`). If that segment's own header is not on the disk, the log counts as empty; a
//!   torn message in an older segment ends that segment without a word. So what is not synced must be less than a segment.
//! - It takes a snapshot `snap.*.generating`, left behind when it was killed while opening, for a finished one, and
//!   then refuses to open. So those are removed first.
//! - When it opens it overwrites segments that its new snapshot makes superfluous, before that snapshot has a durable name. If
//!   the name is lost and one of them is the segment that the tail begins with, the log counts as empty again. So recovery
//!   happens in a copy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its preparations included")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use maypole_testkit::recorder::{Cut, NodeId, Op, Policy, Recording, Until, example_program, output_within};

const WITHIN: Duration = Duration::from_secs(40);
const SEED: u64 = 0x6d61_7970_6f6c_6500;
/// sled's own default.
const SEGMENT_BYTES: u64 = 512 * 1024;

/// How a store is written, as `examples/sled_writer.rs` takes it.
#[derive(Clone, Copy)]
struct Mode {
    care: &'static str,
    value_bytes: u64,
    kept: u64,
    segment_bytes: u64,
    rows: u64,
    group: u64,
}

/// Small values, each acknowledged for itself, nothing removed.
const PLAIN: Mode = Mode {
    care: "careful",
    value_bytes: 1_000,
    kept: u64::MAX / 2,
    segment_bytes: SEGMENT_BYTES,
    rows: 120,
    group: 1,
};
/// Many rows in the smallest segments that hold them without blobs.
const SMALL_SEGMENTS: Mode = Mode { value_bytes: 40, segment_bytes: 16 * 1024, rows: 1_000, ..PLAIN };

/// What became of acknowledged rows.
#[derive(Default)]
struct Tally {
    cuts: usize,
    /// The store is as an earlier row left it than the last one acknowledged.
    lost: Vec<String>,
    /// The store cannot be opened or read, or is as no row ever left it.
    damaged: Vec<String>,
    /// Nothing was acknowledged yet, but the store that was being made cannot be opened.
    refused: Vec<String>,
}

impl Mode {
    fn command(&self, action: &str, folder: &Path) -> Command {
        let mut command = Command::new(example_program("sled_writer").unwrap());
        command.arg(action).arg(folder).arg(self.care);
        let numbers = [self.value_bytes, self.kept, self.segment_bytes, self.rows, self.group];
        command.args(numbers.map(|number| number.to_string()));
        command
    }

    fn record(&self) -> Recording {
        self.record_in(tempfile::tempdir().unwrap().path())
    }

    fn record_in(&self, folder: &Path) -> Recording {
        let until = Until::Acks(self.rows / self.group);
        Recording::run(&self.command("write", folder), folder, until, WITHIN).unwrap()
    }

    /// The number of the last row if all is as that row left it, or why not.
    fn held(&self, folder: &Path) -> Result<u64, String> {
        let output =
            output_within(&mut self.command("read", folder), WITHIN).map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let number = said.trim().strip_prefix("holds ").and_then(|number| number.parse().ok());
        number.ok_or_else(|| {
            String::from_utf8_lossy(&output.stderr).lines().take(4).collect::<Vec<_>>().join(" ")
        })
    }

    fn cut(&self, recording: &Recording, what: &str, cuts: impl Iterator<Item = Cut>) -> Tally {
        let mut tally = Tally::default();
        for (cut, held) in recording.look_at(cuts, |_, folder| Ok(self.held(folder))).unwrap() {
            tally.judge(recording.acked(&cut).last().copied(), &cut.to_string(), held);
        }
        tally.tell(what);
        tally
    }
}

impl Tally {
    fn tell(&self, what: &str) {
        let Self { cuts, lost, damaged, refused } = self;
        let [lost_count, damaged_count, refused_count] = [lost, damaged, refused].map(Vec::len);
        println!(
            "{what}: {cuts} cuts, {lost_count} lost acknowledged rows, {damaged_count} damaged the store,"
        );
        println!("  {refused_count} could not be opened before anything was acknowledged");
        [lost, damaged, refused]
            .iter()
            .for_each(|kind| kind.iter().take(3).for_each(|line| println!("  {line}")));
    }

    fn judge(&mut self, acked: Option<u64>, cut: &str, held: Result<u64, String>) {
        self.cuts += 1;
        match (acked, held) {
            (Some(acked), Ok(held)) if held >= acked => {}
            (None, Ok(_)) => {}
            (Some(acked), Ok(held)) => {
                self.lost.push(format!("{cut}: {acked} was acknowledged, {held} is there"))
            }
            (Some(_), Err(why)) => self.damaged.push(format!("{cut}: {why}")),
            (None, Err(why)) => self.refused.push(format!("{cut}: {why}")),
        }
    }

    fn assert_whole(&self) {
        assert_eq!((&self.lost, &self.damaged), (&vec![], &vec![]));
    }
}

/// Cuts where what is not synced of sled's file touches at least so many segments, at most `count` of them, spread over the record.
fn cuts_across_segments(
    recording: &Recording,
    mode: &Mode,
    segments: usize,
    count: usize,
    policies: &[Policy],
) -> Vec<Cut> {
    let mut file = None;
    let mut waiting: Vec<(usize, u64)> = Vec::new();
    let mut places = Vec::new();
    for (at, op) in recording.ops().iter().enumerate() {
        match op {
            Op::CreateFile { name, node, .. } if name == "db" => file = Some(*node),
            Op::Write { node, offset, .. } if Some(*node) == file => {
                waiting.push((at, offset / mode.segment_bytes));
            }
            Op::Sync { node, begun } if Some(*node) == file => waiting.retain(|(at, _)| at >= begun),
            _ => {}
        }
        if waiting.iter().map(|(_, segment)| segment).collect::<BTreeSet<_>>().len() >= segments {
            places.push(at + 1);
        }
    }
    let spread = places.iter().step_by((places.len() * policies.len()).div_ceil(count).max(1));
    let cuts = spread.flat_map(|at| {
        let seeds = (*at as u64 * 1_000)..;
        seeds.zip(policies).map(|(seed, policy)| Cut { at: *at, policy: *policy, seed })
    });
    cuts.collect()
}

fn general_cuts(mode: &Mode, what: &str, count: usize) -> Tally {
    let recording = mode.record();
    mode.cut(&recording, what, recording.cuts(SEED, count))
}

/// Cuts the power, lets the store be opened and written again, and cuts the power once more, right after that or amid it.
fn cut_twice(mode: &Mode, first_cuts: usize, second_cuts: usize) -> Tally {
    let recording = mode.record();
    let mut tally = Tally::default();
    let again = Mode { rows: 12, ..*mode };
    for first in recording.cuts(SEED, first_cuts) {
        let folder = tempfile::tempdir().unwrap();
        recording.materialise(&first, folder.path()).unwrap();
        let second = again.record_in(folder.path());
        let seen = second.look_at(second.cuts(SEED, second_cuts), |_, folder| Ok(mode.held(folder))).unwrap();
        for (cut, held) in seen {
            let acked = second.acked(&cut).last().or(recording.acked(&first).last()).copied();
            tally.judge(acked, &format!("{first}, then {cut}"), held);
        }
    }
    tally.tell("power lost twice");
    tally
}

#[test]
fn its_own_flush_loses_acknowledged_rows() {
    let tally = general_cuts(&Mode { care: "flush", ..PLAIN }, "sled's flush", 60);
    assert!(!tally.lost.is_empty());
}

#[test]
fn a_sync_of_its_file_alone_loses_acknowledged_rows() {
    let tally = general_cuts(&Mode { care: "fdatasync", ..PLAIN }, "flush and fdatasync", 60);
    assert!(!tally.lost.is_empty());
}

#[test]
fn large_values_are_lost_in_spite_of_all_care() {
    let mode = Mode { care: "swept", value_bytes: 40_000, rows: 60, ..PLAIN };
    let tally = general_cuts(&mode, "values of 40 KB", 60);
    assert!(!tally.lost.is_empty());
}

#[test]
fn small_values_with_all_care_are_never_lost() {
    let mode = Mode { value_bytes: 4_000, kept: 100, rows: 400, group: 2, ..PLAIN };
    let tally = general_cuts(&mode, "all care, values of 4 KB", 126);
    tally.assert_whole();
    assert_eq!(tally.cuts, 126);
}

#[test]
fn nothing_is_lost_where_segments_meet() {
    let mode = Mode { kept: 8, ..SMALL_SEGMENTS };
    let recording = mode.record();
    let cuts = cuts_across_segments(&recording, &mode, 2, 120, &Policy::ALL);
    assert!(cuts.len() >= 30, "{} cuts", cuts.len());
    let tally = mode.cut(&recording, "all care, where segments meet", cuts.into_iter());
    tally.assert_whole();
}

#[test]
fn a_second_loss_of_power_while_it_recovers_takes_nothing() {
    let tally = cut_twice(&Mode { kept: 8, rows: 200, ..SMALL_SEGMENTS }, 12, 27);
    tally.assert_whole();
    assert_eq!(tally.cuts, 12 * 27);
}

#[test]
fn recovery_in_place_takes_everything_if_the_name_of_its_snapshot_is_lost() {
    let mode = Mode { care: "swept", kept: 8, rows: 200, ..SMALL_SEGMENTS };
    let recording = mode.record();
    let (mut cuts, mut gone) = (0, 0);
    for acked in (104..=mode.rows).step_by(4) {
        let is_it = |op: &Op| *op == Op::Ack { number: acked };
        let at = recording.ops().iter().position(is_it).unwrap() + 1;
        let folder = tempfile::tempdir().unwrap();
        recording.materialise(&Cut { at, policy: Policy::DropAll, seed: 0 }, folder.path()).unwrap();
        let again = Mode { rows: 1, ..mode }.record_in(folder.path());
        // The last sync of the store's folder: until then the snapshot has no durable name.
        let named = |op: &Op| matches!(op, Op::Sync { node, .. } if *node == NodeId(1));
        let at = again.ops().iter().position(named).unwrap();
        let cut = Cut { at, policy: Policy::DataOnly, seed: 0 };
        let seen = again.look_at([cut], |_, folder| Ok(mode.held(folder))).unwrap();
        cuts += 1;
        gone += seen.iter().filter(|(_, held)| *held == Ok(0)).count();
    }
    println!("recovery in place: {cuts} cuts, {gone} took all acknowledged rows");
    assert!(gone > 0);
}

#[test]
fn an_unfinished_snapshot_shuts_it_for_ever() {
    // Without a loss of power: everything is kept, as when the process is killed.
    let mode = Mode { care: "synced", rows: 20, ..PLAIN };
    let folder = tempfile::tempdir().unwrap();
    mode.record_in(folder.path());
    let recovery = mode.record_in(folder.path());
    let begun = |op: &Op| matches!(op, Op::CreateFile { name, .. } if name.to_string_lossy().ends_with(".generating"));
    let at = recovery.ops().iter().position(begun).unwrap() + 1;
    let killed = Cut { at, policy: Policy::KeepAll, seed: 0 };
    for (care, opens) in [("synced", false), ("swept", true)] {
        let mode = Mode { care, ..mode };
        let seen = recovery.look_at([killed], |_, folder| Ok(mode.held(folder))).unwrap();
        let held = seen.into_iter().next().unwrap().1;
        assert_eq!(held.is_ok(), opens, "{care}: {held:?}");
    }
}

#[test]
fn what_spans_segments_before_it_is_synced_takes_acknowledged_rows_along() {
    let mode = Mode { kept: 500, group: 60, ..SMALL_SEGMENTS };
    let recording = mode.record();
    let policies = [[Policy::OneLost; 4], [Policy::Subset; 4]].concat();
    let cuts = cuts_across_segments(&recording, &mode, 3, 240, &policies);
    let tally = mode.cut(&recording, "all care, but several segments without a sync", cuts.into_iter());
    assert!(!tally.lost.is_empty() || !tally.damaged.is_empty());
}

#[test]
fn it_syncs_neither_its_settings_nor_its_blobs() {
    let mode = Mode { care: "flush", value_bytes: 40_000, rows: 20, ..PLAIN };
    let recording = mode.record();
    let mut settings = None;
    let mut blobs = BTreeSet::new();
    for op in recording.ops() {
        match op {
            Op::CreateFile { name, node, .. } if name == "conf" => settings = Some(*node),
            Op::CreateFile { name, node, .. }
                if name.to_str().is_some_and(|name| name.parse::<u64>().is_ok()) =>
            {
                blobs.insert(*node);
            }
            Op::Sync { node, .. } => {
                assert!(Some(*node) != settings && *node != NodeId::ROOT && !blobs.contains(node));
            }
            _ => {}
        }
    }
    assert!(settings.is_some() && !blobs.is_empty());
}
