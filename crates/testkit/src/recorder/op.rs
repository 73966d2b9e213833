//! What a record consists of: one change of the folder, one sync or one acknowledgement, in the order in which they happened.

use std::ffi::OsString;
use std::fmt;

/// A file or folder, whatever it is called at the moment. Numbers are given in the order of first sight; the watched folder is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The watched folder itself.
    pub const ROOT: Self = Self(0);
}

/// One step of a record.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// A new, empty file got a name.
    CreateFile {
        /// The folder that holds the name.
        folder: NodeId,
        /// The name.
        name: OsString,
        /// The new file.
        node: NodeId,
    },
    /// A new folder got a name.
    CreateFolder {
        /// The folder that holds the name.
        folder: NodeId,
        /// The name.
        name: OsString,
        /// The new folder.
        node: NodeId,
    },
    /// A file got one more name.
    Link {
        /// The folder that holds the name.
        folder: NodeId,
        /// The name.
        name: OsString,
        /// The file.
        node: NodeId,
    },
    /// A name was removed, of a file or of an empty folder.
    Remove {
        /// The folder that held the name.
        folder: NodeId,
        /// The name.
        name: OsString,
    },
    /// A file or folder was renamed, and what had the new name before lost it.
    Rename {
        /// The folder that held the old name.
        from: NodeId,
        /// The old name.
        from_name: OsString,
        /// The folder that holds the new name.
        to: NodeId,
        /// The new name.
        to_name: OsString,
        /// What was renamed.
        node: NodeId,
    },
    /// Bytes were written; the file grew if they reach beyond its end.
    Write {
        /// The file.
        node: NodeId,
        /// Where in the file.
        offset: u64,
        /// The bytes that were really written.
        data: Vec<u8>,
    },
    /// The file's size was set, down or up.
    SetLen {
        /// The file.
        node: NodeId,
        /// The new size in bytes.
        len: u64,
    },
    /// The file was made at least this large.
    Grow {
        /// The file.
        node: NodeId,
        /// The least size in bytes.
        len: u64,
    },
    /// A sync of a file or folder succeeded.
    Sync {
        /// What was synced.
        node: NodeId,
        /// The place in the record at which the sync began: it covers what lies before.
        begun: usize,
    },
    /// A sync of the whole file system succeeded.
    SyncAll {
        /// The place in the record at which the sync began.
        begun: usize,
    },
    /// `sync_file_range` was called, which makes nothing durable.
    RangeHint {
        /// The file.
        node: NodeId,
    },
    /// The program printed `ack <number>`; it may have been seen from here on.
    Ack {
        /// What was acknowledged.
        number: u64,
    },
}

impl Op {
    /// The files and folders that the step changes, and that want a sync afterwards.
    pub fn changed(&self) -> Vec<NodeId> {
        match self {
            Self::CreateFile { folder, .. }
            | Self::CreateFolder { folder, .. }
            | Self::Link { folder, .. }
            | Self::Remove { folder, .. } => vec![*folder],
            Self::Rename { from, to, .. } if from == to => vec![*from],
            Self::Rename { from, to, .. } => vec![*from, *to],
            Self::Write { node, .. } | Self::SetLen { node, .. } | Self::Grow { node, .. } => vec![*node],
            Self::Sync { .. } | Self::SyncAll { .. } | Self::RangeHint { .. } | Self::Ack { .. } => {
                Vec::new()
            }
        }
    }
}

impl fmt::Debug for Op {
    /// Without the bytes of a write: they would fill the screen.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateFile { folder, name, node } => {
                write!(out, "create file {}/{} = {}", folder.0, name.display(), node.0)
            }
            Self::CreateFolder { folder, name, node } => {
                write!(out, "create folder {}/{} = {}", folder.0, name.display(), node.0)
            }
            Self::Link { folder, name, node } => {
                write!(out, "link {}/{} = {}", folder.0, name.display(), node.0)
            }
            Self::Remove { folder, name } => write!(out, "remove {}/{}", folder.0, name.display()),
            Self::Rename { from, from_name, to, to_name, node } => write!(
                out,
                "rename {}/{} to {}/{} = {}",
                from.0,
                from_name.display(),
                to.0,
                to_name.display(),
                node.0
            ),
            Self::Write { node, offset, data } => {
                write!(out, "write {} at {offset} + {}", node.0, data.len())
            }
            Self::SetLen { node, len } => write!(out, "set size of {} to {len}", node.0),
            Self::Grow { node, len } => write!(out, "grow {} to {len}", node.0),
            Self::Sync { node, begun } => write!(out, "sync {} (begun at {begun})", node.0),
            Self::SyncAll { begun } => write!(out, "sync everything (begun at {begun})"),
            Self::RangeHint { node } => write!(out, "sync_file_range of {}", node.0),
            Self::Ack { number } => write!(out, "ack {number}"),
        }
    }
}
