//! Writing down what a disk may hold after a power loss.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::cut::Policy;
use super::generator::SplitMix64;
use super::op::NodeId;
use super::replay::{DataChange, FileState, FolderState, Replay, index, put_bytes};

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What becomes of one change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    SizeKept,
    Torn,
}

/// A file or folder after the power loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    File(Vec<u8>),
    Folder(BTreeMap<OsString, Found>),
}

impl Replay<'_> {
    /// What the disk holds afterwards. Everything that is left to chance follows from the seed.
    pub(super) fn after_power_loss(&self, policy: Policy, seed: u64) -> Found {
        let mut numbers = SplitMix64::new(seed);
        let files: BTreeMap<_, _> =
            self.files.iter().map(|(id, file)| (*id, content_after(file, policy, &mut numbers))).collect();
        let folders: BTreeMap<_, _> = self
            .folders
            .iter()
            .map(|(id, folder)| (*id, entries_after(folder, policy, &mut numbers)))
            .collect();
        found(NodeId::ROOT, &files, &folders)
    }
}

impl Found {
    /// Writes it below a folder, which must be empty or absent.
    pub(super) fn write_into(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            bail!("{} is not empty", folder.display());
        }
        self.write_to(folder)
    }

    fn write_to(&self, path: &Path) -> Result<()> {
        match self {
            Self::File(content) => {
                fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
            }
            Self::Folder(entries) => {
                fs::create_dir_all(path)?;
                entries.iter().try_for_each(|(name, found)| found.write_to(&path.join(name)))
            }
        }
    }
}

fn found(
    node: NodeId,
    files: &BTreeMap<NodeId, Vec<u8>>,
    folders: &BTreeMap<NodeId, BTreeMap<OsString, NodeId>>,
) -> Found {
    match folders.get(&node) {
        Some(entries) => Found::Folder(
            entries.iter().map(|(name, child)| (name.clone(), found(*child, files, folders))).collect(),
        ),
        None => Found::File(files.get(&node).cloned().unwrap_or_default()),
    }
}

fn entries_after(
    folder: &FolderState<'_>,
    policy: Policy,
    numbers: &mut SplitMix64,
) -> BTreeMap<OsString, NodeId> {
    let mut entries = folder.durable.clone();
    for (_, change) in &folder.waiting {
        let kept = match policy {
            Policy::DropAll | Policy::DataOnly => false,
            Policy::Subset | Policy::Torn => numbers.coin(),
            Policy::KeepAll
            | Policy::EntriesOnly
            | Policy::SizesOnly
            | Policy::TornLast
            | Policy::FirstLost
            | Policy::OneLost => true,
        };
        if kept {
            change.apply(&mut entries);
        }
    }
    entries
}

fn content_after(file: &FileState<'_>, policy: Policy, numbers: &mut SplitMix64) -> Vec<u8> {
    let mut content = file.durable.clone();
    let is_write = |(_, change): &(usize, DataChange<'_>)| matches!(change, DataChange::Write { .. });
    let writes: Vec<_> =
        (0..).zip(&file.waiting).filter(|(_, change)| is_write(change)).map(|(place, _)| place).collect();
    let unlucky = writes.get(index(numbers.below(writes.len() as u64))).copied();
    for (place, (_, change)) in file.waiting.iter().enumerate() {
        let fate = match policy {
            Policy::DropAll | Policy::EntriesOnly => Fate::Lost,
            Policy::SizesOnly => Fate::SizeKept,
            Policy::Subset if numbers.coin() => Fate::Lost,
            Policy::Torn => match numbers.below(4) {
                0 => Fate::Lost,
                1 => Fate::Kept,
                _ => Fate::Torn,
            },
            Policy::TornLast if Some(&place) == writes.last() => Fate::Torn,
            Policy::FirstLost if Some(&place) == writes.first() => Fate::Lost,
            Policy::OneLost if Some(place) == unlucky => Fate::Lost,
            Policy::KeepAll
            | Policy::DataOnly
            | Policy::Subset
            | Policy::TornLast
            | Policy::FirstLost
            | Policy::OneLost => Fate::Kept,
        };
        meet(fate, change, &mut content, numbers);
    }
    content
}

fn meet(fate: Fate, change: &DataChange<'_>, content: &mut Vec<u8>, numbers: &mut SplitMix64) {
    match (fate, change) {
        (Fate::Lost, _) => {}
        (Fate::SizeKept, _) => change.apply_size(content),
        (Fate::Torn, DataChange::Write { offset, data }) => {
            tear(index(*offset), data, content, numbers);
        }
        (Fate::Kept | Fate::Torn, _) => change.apply(content),
    }
}

/// Keeps some sectors of a write. The size grows to the end of the last sector kept, or, by chance, to that of the whole write.
fn tear(offset: usize, data: &[u8], content: &mut Vec<u8>, numbers: &mut SplitMix64) {
    if numbers.coin() && content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    let mut at = offset;
    let mut rest = data;
    while !rest.is_empty() {
        let until_boundary = SECTOR_BYTES - at % SECTOR_BYTES;
        let (sector, others) = rest.split_at(until_boundary.min(rest.len()));
        if numbers.coin() {
            if content.len() < at + sector.len() {
                content.resize(at + sector.len(), 0);
            }
            put_bytes(content, at, sector);
        }
        at += sector.len();
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::super::base::Base;
    use super::super::op::Op;
    use super::*;

    const FILE: NodeId = NodeId(1);

    fn after(ops: &[Op], policy: Policy, seed: u64) -> BTreeMap<OsString, Found> {
        let mut replay = Replay::new(&Base::read(tempfile::tempdir().unwrap().path()).unwrap());
        ops.iter().for_each(|op| replay.play(op));
        match replay.after_power_loss(policy, seed) {
            Found::Folder(entries) => entries,
            Found::File(_) => panic!("the watched folder is a folder"),
        }
    }

    fn create(name: &str) -> Op {
        Op::CreateFile { folder: NodeId::ROOT, name: name.into(), node: FILE }
    }

    fn write(offset: u64, data: &[u8]) -> Op {
        Op::Write { node: FILE, offset, data: data.to_vec() }
    }

    fn file(content: &[u8]) -> Found {
        Found::File(content.to_vec())
    }

    /// A file `a` whose name is durable, with `old` durable in it.
    fn durable(old: &[u8]) -> Vec<Op> {
        vec![create("a"), write(0, old), Op::SyncAll { begun: 2 }]
    }

    #[test]
    fn what_was_synced_survives_every_policy_and_seed() {
        for policy in Policy::ALL {
            for seed in 0..20 {
                assert_eq!(after(&durable(b"old"), policy, seed)[&OsString::from("a")], file(b"old"));
            }
        }
    }

    #[test]
    fn each_policy_keeps_what_it_says() {
        let mut ops = durable(b"old");
        ops.extend([write(3, b"new"), Op::Link { folder: NodeId::ROOT, name: "b".into(), node: FILE }]);
        let content = |policy| {
            let entries = after(&ops, policy, 1);
            (entries[&OsString::from("a")].clone(), entries.contains_key(&OsString::from("b")))
        };
        assert_eq!(content(Policy::DropAll), (file(b"old"), false));
        assert_eq!(content(Policy::KeepAll), (file(b"oldnew"), true));
        assert_eq!(content(Policy::EntriesOnly), (file(b"old"), true));
        assert_eq!(content(Policy::DataOnly), (file(b"oldnew"), false));
        assert_eq!(content(Policy::SizesOnly), (file(b"old\0\0\0"), true));
        assert_eq!(content(Policy::FirstLost), (file(b"old"), true));
    }

    #[test]
    fn a_subset_may_have_the_later_write_without_the_earlier() {
        let mut ops = durable(b"");
        ops.extend([write(0, b"1"), write(1, b"2")]);
        let seen: std::collections::BTreeSet<_> = (0..64)
            .map(|seed| match &after(&ops, Policy::Subset, seed)[&OsString::from("a")] {
                Found::File(content) => content.clone(),
                Found::Folder(_) => panic!("a is a file"),
            })
            .collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [&b""[..], b"\x002", b"1", b"12"]);
    }

    #[test]
    fn one_of_several_writes_may_be_the_only_one_lost() {
        let mut ops = durable(b"...");
        ops.extend([write(0, b"1"), write(1, b"2"), write(2, b"3")]);
        let found = |seed| after(&ops, Policy::OneLost, seed)[&OsString::from("a")].clone();
        for lost in [b".23", b"1.3", b"12."] {
            assert!((0..64).any(|seed| found(seed) == file(lost)));
        }
        assert!((0..64).all(|seed| [b".23", b"1.3", b"12."].iter().any(|left| found(seed) == file(*left))));
    }

    #[test]
    fn a_torn_write_is_torn_at_sectors_and_nowhere_else() {
        let mut ops = durable(&[b'o'; 4096]);
        ops.push(write(300, &[b'n'; 2000]));
        let mut torn = 0;
        for seed in 0..50 {
            let Found::File(content) = &after(&ops, Policy::TornLast, seed)[&OsString::from("a")] else {
                panic!("a is a file");
            };
            assert_eq!(content.len(), 4096);
            let changes = (1..content.len()).filter(|at| content[*at] != content[at - 1]);
            let inner: Vec<_> = changes.filter(|at| *at != 300 && *at != 2300).collect();
            assert!(inner.iter().all(|at| at % SECTOR_BYTES == 0), "{inner:?}, seed {seed}");
            torn += usize::from(!inner.is_empty());
        }
        assert!(torn > 30, "{torn}");
    }

    #[test]
    fn a_rename_without_a_sync_of_the_folder_may_vanish_but_the_old_name_does_not() {
        let mut ops = durable(b"x");
        ops.push(Op::Rename {
            from: NodeId::ROOT,
            from_name: "a".into(),
            to: NodeId::ROOT,
            to_name: "b".into(),
            node: FILE,
        });
        let names: std::collections::BTreeSet<_> =
            (0..20).map(|seed| after(&ops, Policy::Subset, seed).into_keys().collect::<Vec<_>>()).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [[OsString::from("a")], [OsString::from("b")]]);
        ops.push(Op::Sync { node: NodeId::ROOT, begun: 4 });
        assert!(after(&ops, Policy::DropAll, 1).contains_key(&OsString::from("b")));
    }

    #[test]
    fn a_folder_that_is_not_empty_is_not_written_into() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "").unwrap();
        assert!(Found::Folder(BTreeMap::new()).write_into(folder.path()).is_err());
    }
}
