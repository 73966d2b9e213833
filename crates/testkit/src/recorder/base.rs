//! The watched folder as it was before the program began: all of it counts as durable.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::op::NodeId;

/// Bytes of a folder that may be there before the recording: a test's store is small, and each cut copies it.
const BASE_BYTES: u64 = 256 * 1024 * 1024;

/// What the kernel calls a file: its device and its inode.
pub(super) type FileKey = (u64, u64);

/// A file or folder of the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BaseNode {
    File(Vec<u8>),
    Folder(BTreeMap<OsString, NodeId>),
}

/// The content of a folder at one moment, and the kernel's name of each file in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) nodes: Vec<BaseNode>,
    pub(super) keys: BTreeMap<FileKey, NodeId>,
    bytes: u64,
}

impl Base {
    /// Reads the folder and all below it. Refuses what the model does not know: symbolic links, sockets, pipes.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut base = Self::default();
        base.add_folder(folder)?;
        Ok(base)
    }

    fn add_folder(&mut self, path: &Path) -> Result<NodeId> {
        let meta = fs::metadata(path).with_context(|| format!("cannot watch {}", path.display()))?;
        let id = self.add(BaseNode::Folder(BTreeMap::new()), (meta.dev(), meta.ino()))?;
        let mut children = BTreeMap::new();
        let mut listing = fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
        listing.sort_by_key(fs::DirEntry::file_name);
        for entry in listing {
            let kind = entry.file_type()?;
            let child = if kind.is_dir() {
                self.add_folder(&entry.path())?
            } else if kind.is_file() {
                self.add_file(&entry.path())?
            } else {
                bail!("{} is neither a file nor a folder", entry.path().display());
            };
            children.insert(entry.file_name(), child);
        }
        if let Some(slot) = self.nodes.get_mut(id.0 as usize) {
            *slot = BaseNode::Folder(children);
        }
        Ok(id)
    }

    fn add_file(&mut self, path: &Path) -> Result<NodeId> {
        let meta = fs::metadata(path)?;
        let key = (meta.dev(), meta.ino());
        if let Some(id) = self.keys.get(&key) {
            return Ok(*id);
        }
        self.bytes = self.bytes.saturating_add(meta.len());
        if self.bytes > BASE_BYTES {
            bail!("more than {BASE_BYTES} bytes in the watched folder");
        }
        let content = fs::read(path)?;
        self.add(BaseNode::File(content), key)
    }

    fn add(&mut self, node: BaseNode, key: FileKey) -> Result<NodeId> {
        let id = NodeId(u32::try_from(self.nodes.len())?);
        self.nodes.push(node);
        self.keys.insert(key, id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbolic_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join("link")).unwrap();
        let refusal = Base::read(folder.path()).unwrap_err();
        assert!(refusal.to_string().contains("neither a file nor a folder"), "{refusal}");
    }

    #[test]
    fn a_missing_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Base::read(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn files_folders_and_second_names_are_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/c"), "hello").unwrap();
        fs::hard_link(folder.path().join("b/c"), folder.path().join("a")).unwrap();
        let base = Base::read(folder.path()).unwrap();
        assert_eq!(base.nodes.len(), 3);
        assert!(base.nodes.contains(&BaseNode::File(b"hello".to_vec())));
    }
}
