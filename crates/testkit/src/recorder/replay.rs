//! The disk as the model has it: what is durable of each file and folder, and what is not yet.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::base::{Base, BaseNode};
use super::op::{NodeId, Op};

/// A change of a file that has not been synced, with its place in the record.
#[derive(Clone, Debug)]
pub(super) enum DataChange<'a> {
    Write { offset: u64, data: &'a [u8] },
    SetLen { len: u64 },
    Grow { len: u64 },
}

/// A change of a folder's entries that has not been synced.
#[derive(Clone, Debug)]
pub(super) enum EntryChange<'a> {
    Put { name: &'a OsString, node: NodeId },
    Remove { name: &'a OsString },
    Rename { from: &'a OsString, to: &'a OsString, node: NodeId },
}

/// Something durable, and what is waiting to become so.
#[derive(Clone, Debug)]
pub(super) struct State<Durable, Change> {
    pub(super) durable: Durable,
    pub(super) waiting: Vec<(usize, Change)>,
}

pub(super) type FileState<'a> = State<Vec<u8>, DataChange<'a>>;
pub(super) type FolderState<'a> = State<BTreeMap<OsString, NodeId>, EntryChange<'a>>;

/// What a disk holds at one place of a record.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    pub(super) files: BTreeMap<NodeId, FileState<'a>>,
    pub(super) folders: BTreeMap<NodeId, FolderState<'a>>,
    played: usize,
}

impl<'a> Replay<'a> {
    /// The disk before the first step.
    pub(super) fn new(base: &Base) -> Self {
        let mut replay = Self { files: BTreeMap::new(), folders: BTreeMap::new(), played: 0 };
        for (id, node) in (0..).map(NodeId).zip(&base.nodes) {
            match node {
                BaseNode::File(content) => {
                    replay.files.insert(id, State { durable: content.clone(), waiting: Vec::new() });
                }
                BaseNode::Folder(entries) => {
                    replay.folders.insert(id, State { durable: entries.clone(), waiting: Vec::new() });
                }
            }
        }
        replay
    }

    /// How many steps were played.
    pub fn played(&self) -> usize {
        self.played
    }

    /// How many changes would be lost if the disk kept nothing that it need not keep.
    pub fn unsynced(&self) -> usize {
        let files: usize = self.files.values().map(|file| file.waiting.len()).sum();
        let folders: usize = self.folders.values().map(|folder| folder.waiting.len()).sum();
        files + folders
    }

    /// Plays the next step.
    pub(super) fn play(&mut self, op: &'a Op) {
        let at = self.played;
        self.played += 1;
        match op {
            Op::CreateFile { folder, name, node } => {
                self.files.insert(*node, State { durable: Vec::new(), waiting: Vec::new() });
                self.entry(*folder, at, EntryChange::Put { name, node: *node });
            }
            Op::CreateFolder { folder, name, node } => {
                self.folders.insert(*node, State { durable: BTreeMap::new(), waiting: Vec::new() });
                self.entry(*folder, at, EntryChange::Put { name, node: *node });
            }
            Op::Link { folder, name, node } => {
                self.entry(*folder, at, EntryChange::Put { name, node: *node });
            }
            Op::Remove { folder, name } => self.entry(*folder, at, EntryChange::Remove { name }),
            Op::Rename { from, from_name, to, to_name, node } if from == to => {
                self.entry(*from, at, EntryChange::Rename { from: from_name, to: to_name, node: *node });
            }
            Op::Rename { from, from_name, to, to_name, node } => {
                self.entry(*from, at, EntryChange::Remove { name: from_name });
                self.entry(*to, at, EntryChange::Put { name: to_name, node: *node });
            }
            Op::Write { node, offset, data } => {
                self.data(*node, at, DataChange::Write { offset: *offset, data });
            }
            Op::SetLen { node, len } => self.data(*node, at, DataChange::SetLen { len: *len }),
            Op::Grow { node, len } => self.data(*node, at, DataChange::Grow { len: *len }),
            Op::Sync { node, begun } => self.sync(*node, *begun),
            Op::SyncAll { begun } => {
                let all: Vec<_> = self.files.keys().chain(self.folders.keys()).copied().collect();
                all.into_iter().for_each(|node| self.sync(node, *begun));
            }
            Op::RangeHint { .. } | Op::Ack { .. } => {}
        }
    }

    fn entry(&mut self, folder: NodeId, at: usize, change: EntryChange<'a>) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.waiting.push((at, change));
        }
    }

    fn data(&mut self, file: NodeId, at: usize, change: DataChange<'a>) {
        if let Some(file) = self.files.get_mut(&file) {
            file.waiting.push((at, change));
        }
    }

    /// Makes durable what was finished when the sync began.
    fn sync(&mut self, node: NodeId, begun: usize) {
        if let Some(file) = self.files.get_mut(&node) {
            for (_, change) in covered(&mut file.waiting, begun) {
                change.apply(&mut file.durable);
            }
        }
        if let Some(folder) = self.folders.get_mut(&node) {
            for (_, change) in covered(&mut folder.waiting, begun) {
                change.apply(&mut folder.durable);
            }
        }
    }
}

/// Takes out the changes that lie before `begun`; they are in the order of the record.
fn covered<Change>(waiting: &mut Vec<(usize, Change)>, begun: usize) -> Vec<(usize, Change)> {
    let count = waiting.partition_point(|(at, _)| *at < begun);
    waiting.drain(..count).collect()
}

impl DataChange<'_> {
    /// The size that the file has at least (or exactly) after the change.
    pub(super) fn apply_size(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => grow(content, offset.saturating_add(data.len() as u64)),
            Self::SetLen { len } => content.resize(index(*len), 0),
            Self::Grow { len } => grow(content, *len),
        }
    }

    /// The whole change.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        self.apply_size(content);
        if let Self::Write { offset, data } = self {
            put_bytes(content, index(*offset), data);
        }
    }
}

impl EntryChange<'_> {
    /// The whole change. A name that is removed may be absent, because the change that made it was lost.
    pub(super) fn apply(&self, entries: &mut BTreeMap<OsString, NodeId>) {
        match self {
            Self::Put { name, node } => {
                entries.insert((*name).clone(), *node);
            }
            Self::Remove { name } => {
                entries.remove(*name);
            }
            Self::Rename { from, to, node } => {
                entries.remove(*from);
                entries.insert((*to).clone(), *node);
            }
        }
    }
}

/// Overwrites a part of the content, which must be large enough.
pub(super) fn put_bytes(content: &mut [u8], at: usize, data: &[u8]) {
    if let Some(place) = content.get_mut(at..).and_then(|rest| rest.get_mut(..data.len())) {
        place.copy_from_slice(data);
    }
}

fn grow(content: &mut Vec<u8>, len: u64) {
    let len = index(len);
    if content.len() < len {
        content.resize(len, 0);
    }
}

/// A place in a file as a place in memory.
pub(super) fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> OsString {
        name.into()
    }

    fn played(ops: &[Op]) -> Replay<'_> {
        let mut replay = Replay::new(&Base::read(tempfile::tempdir().unwrap().path()).unwrap());
        ops.iter().for_each(|op| replay.play(op));
        replay
    }

    const FILE: NodeId = NodeId(1);

    fn create() -> Op {
        Op::CreateFile { folder: NodeId::ROOT, name: name("a"), node: FILE }
    }

    fn write(offset: u64, data: &[u8]) -> Op {
        Op::Write { node: FILE, offset, data: data.to_vec() }
    }

    #[test]
    fn a_sync_of_a_file_leaves_its_entry_behind() {
        let ops = [create(), write(0, b"x"), Op::Sync { node: FILE, begun: 2 }];
        let replay = played(&ops);
        assert_eq!(replay.files[&FILE].durable, b"x");
        assert!(replay.folders[&NodeId::ROOT].durable.is_empty());
        assert_eq!(replay.unsynced(), 1);
    }

    #[test]
    fn a_sync_of_a_folder_leaves_the_content_behind() {
        let ops = [create(), write(0, b"x"), Op::Sync { node: NodeId::ROOT, begun: 2 }];
        let replay = played(&ops);
        assert_eq!(replay.folders[&NodeId::ROOT].durable[&name("a")], FILE);
        assert!(replay.files[&FILE].durable.is_empty());
    }

    #[test]
    fn a_write_that_finishes_while_a_sync_runs_is_not_covered() {
        let ops = [create(), write(0, b"x"), write(1, b"y"), Op::Sync { node: FILE, begun: 2 }];
        let replay = played(&ops);
        assert_eq!(replay.files[&FILE].durable, b"x");
        assert_eq!(replay.files[&FILE].waiting.len(), 1);
    }

    #[test]
    fn sync_file_range_makes_nothing_durable() {
        let ops = [create(), write(0, b"x"), Op::RangeHint { node: FILE }];
        assert_eq!(played(&ops).unsynced(), 2);
    }

    #[test]
    fn truncation_is_durable_with_the_file() {
        let ops = [
            create(),
            write(0, b"xyz"),
            Op::SetLen { node: FILE, len: 1 },
            Op::Grow { node: FILE, len: 3 },
            Op::Sync { node: FILE, begun: 4 },
        ];
        assert_eq!(played(&ops).files[&FILE].durable, b"x\0\0");
    }

    #[test]
    fn a_sync_of_everything_covers_files_and_folders() {
        let ops = [create(), write(0, b"x"), Op::SyncAll { begun: 2 }];
        assert_eq!(played(&ops).unsynced(), 0);
    }
}
