//! The watched folder as the program sees it at this moment: which name leads to which file, and which file the kernel means.
//! The recorder lets one change of names happen at a time, so this tree never runs behind the kernel's.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

use anyhow::{Result, anyhow, bail};

use super::base::{Base, BaseNode, FileKey};
use super::op::NodeId;

/// Names, and the files behind them.
#[derive(Debug)]
pub(super) struct LiveTree {
    /// The entries of every folder that was ever seen; a file has no entries.
    nodes: Vec<Option<BTreeMap<OsString, NodeId>>>,
    keys: HashMap<FileKey, NodeId>,
}

impl LiveTree {
    pub(super) fn new(base: &Base) -> Self {
        let nodes = base.nodes.iter().map(|node| match node {
            BaseNode::File(_) => None,
            BaseNode::Folder(entries) => Some(entries.clone()),
        });
        Self { nodes: nodes.collect(), keys: base.keys.iter().map(|(key, id)| (*key, *id)).collect() }
    }

    /// The file or folder that the kernel calls so, if it is a watched one.
    pub(super) fn by_key(&self, key: FileKey) -> Option<NodeId> {
        self.keys.get(&key).copied()
    }

    /// The file or folder at a path relative to the watched folder.
    pub(super) fn by_path(&self, relative: &Path) -> Option<NodeId> {
        relative.components().try_fold(NodeId::ROOT, |folder, part| match part {
            Component::Normal(name) => self.entry(folder, name),
            Component::CurDir => Some(folder),
            _ => None,
        })
    }

    /// What a name in a folder leads to.
    pub(super) fn entry(&self, folder: NodeId, name: &OsStr) -> Option<NodeId> {
        self.entries(folder)?.get(name).copied()
    }

    /// Whether this is a folder.
    pub(super) fn is_folder(&self, node: NodeId) -> bool {
        self.entries(node).is_some()
    }

    /// Takes up a new file or folder. The kernel may use an inode again once its file is gone; the newest meaning holds.
    pub(super) fn create(
        &mut self,
        folder: NodeId,
        name: &OsStr,
        key: FileKey,
        is_folder: bool,
    ) -> Result<NodeId> {
        if self.entry(folder, name).is_some() {
            bail!("{} was created, but is already in the record", name.display());
        }
        let id = NodeId(u32::try_from(self.nodes.len())?);
        self.nodes.push(is_folder.then(BTreeMap::new));
        self.keys.insert(key, id);
        self.put(folder, name, id)?;
        Ok(id)
    }

    /// Lets a name lead to a file.
    pub(super) fn put(&mut self, folder: NodeId, name: &OsStr, node: NodeId) -> Result<()> {
        self.entries_mut(folder)?.insert(name.to_owned(), node);
        Ok(())
    }

    /// Removes a name and says what it led to.
    pub(super) fn remove(&mut self, folder: NodeId, name: &OsStr) -> Result<NodeId> {
        let removed = self.entries_mut(folder)?.remove(name);
        removed.ok_or_else(|| anyhow!("{} vanished, but is not in the record", name.display()))
    }

    fn entries(&self, folder: NodeId) -> Option<&BTreeMap<OsString, NodeId>> {
        self.nodes.get(folder.0 as usize)?.as_ref()
    }

    fn entries_mut(&mut self, folder: NodeId) -> Result<&mut BTreeMap<OsString, NodeId>> {
        let entries = self.nodes.get_mut(folder.0 as usize).and_then(Option::as_mut);
        entries.ok_or_else(|| anyhow!("{} is not a folder of the record", folder.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> LiveTree {
        let folder = tempfile::tempdir().unwrap();
        LiveTree::new(&Base::read(folder.path()).unwrap())
    }

    #[test]
    fn a_name_cannot_be_created_twice_nor_removed_twice() {
        let mut tree = empty();
        let name = OsStr::new("a");
        tree.create(NodeId::ROOT, name, (1, 1), false).unwrap();
        assert!(tree.create(NodeId::ROOT, name, (1, 2), false).is_err());
        tree.remove(NodeId::ROOT, name).unwrap();
        assert!(tree.remove(NodeId::ROOT, name).is_err());
    }

    #[test]
    fn a_file_holds_no_names() {
        let mut tree = empty();
        let file = tree.create(NodeId::ROOT, OsStr::new("a"), (1, 1), false).unwrap();
        assert!(tree.create(file, OsStr::new("b"), (1, 2), false).is_err());
        assert_eq!(tree.by_path(Path::new("a/b")), None);
    }

    #[test]
    fn an_inode_that_is_used_again_means_the_newer_file() {
        let mut tree = empty();
        let old = tree.create(NodeId::ROOT, OsStr::new("a"), (1, 1), false).unwrap();
        tree.remove(NodeId::ROOT, OsStr::new("a")).unwrap();
        let new = tree.create(NodeId::ROOT, OsStr::new("b"), (1, 1), false).unwrap();
        assert_ne!(old, new);
        assert_eq!(tree.by_key((1, 1)), Some(new));
        assert_eq!(tree.by_path(Path::new("b")), Some(new));
    }
}
