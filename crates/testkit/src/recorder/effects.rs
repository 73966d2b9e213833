//! What a system call did, read at its exit: the tree takes it up, and the record gets its step.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, anyhow, bail};

use super::calls::{Entry, Intent, Source, Watch};
use super::op::{NodeId, Op};
use super::process::Thread;

impl Watch {
    /// The step that a finished call makes. A call that failed makes none.
    pub(super) fn done(&mut self, thread: Thread, intent: Intent, result: i64) -> Result<Option<Op>> {
        if let Intent::Say { text } = &intent {
            if usize::try_from(result).ok() != Some(text.len()) {
                bail!("the program could not print: {result}");
            }
            return Ok(None);
        }
        if result < 0 {
            return Ok(None);
        }
        match intent {
            Intent::Open { flags } => self.opened(thread, i32::try_from(result)?, flags),
            Intent::Write { descriptor, node, source, offset, position } => {
                let len = result.cast_unsigned();
                let offset = written_at(thread, descriptor, offset, position, len)?;
                let data = match source {
                    Source::One { address, .. } => thread.bytes(address, len)?,
                    Source::Pieces { address, count } => thread.gathered(address, count, len)?,
                    Source::File => thread.file_bytes(descriptor, offset, len)?,
                };
                Ok((!data.is_empty()).then_some(Op::Write { node, offset, data }))
            }
            Intent::SetLen { node, len } => Ok(Some(Op::SetLen { node, len })),
            Intent::Grow { node, len } => Ok(Some(Op::Grow { node, len })),
            Intent::Sync { node, begun } => Ok(Some(Op::Sync { node, begun })),
            Intent::SyncAll { begun } => Ok(Some(Op::SyncAll { begun })),
            Intent::RangeHint { node } => Ok(Some(Op::RangeHint { node })),
            Intent::Rename { from, to } => self.renamed(from, to),
            Intent::Link { from, to } => {
                let node = self.named(&from)?;
                self.tree.put(to.folder, &to.name, node)?;
                Ok(Some(Op::Link { folder: to.folder, name: to.name, node }))
            }
            Intent::Remove { entry } => {
                self.tree.remove(entry.folder, &entry.name)?;
                Ok(Some(Op::Remove { folder: entry.folder, name: entry.name }))
            }
            Intent::CreateFolder { entry } => {
                let meta = std::fs::symlink_metadata(&entry.path).context("a folder that was just made")?;
                let node = self.tree.create(entry.folder, &entry.name, (meta.dev(), meta.ino()), true)?;
                Ok(Some(Op::CreateFolder { folder: entry.folder, name: entry.name, node }))
            }
            Intent::Say { .. } => Ok(None),
        }
    }

    fn opened(&mut self, thread: Thread, descriptor: i32, flags: i32) -> Result<Option<Op>> {
        let Some(path) = thread.descriptor_path(descriptor) else {
            bail!("a file that was just opened is gone");
        };
        let Ok(relative) = path.strip_prefix(&self.folder) else {
            return Ok(None);
        };
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            bail!("files without a name cannot be recorded");
        }
        let (Some(parent), Some(name)) = (relative.parent(), relative.file_name()) else {
            return Ok(None);
        };
        let folder = self.folder_at(parent)?;
        let key = thread.key(descriptor).ok_or_else(|| anyhow!("a file that was just opened is gone"))?;
        match self.tree.entry(folder, name) {
            Some(node) if self.tree.by_key(key) == Some(node) => {
                let truncated = flags & libc::O_TRUNC != 0 && flags & libc::O_ACCMODE != libc::O_RDONLY;
                Ok(truncated.then_some(Op::SetLen { node, len: 0 }))
            }
            Some(_) => bail!("{} is another file than the record has", path.display()),
            None if flags & libc::O_CREAT != 0 => {
                let node = self.tree.create(folder, name, key, false)?;
                Ok(Some(Op::CreateFile { folder, name: name.to_owned(), node }))
            }
            None => bail!("{} is not in the record", path.display()),
        }
    }

    fn renamed(&mut self, from: Entry, to: Entry) -> Result<Option<Op>> {
        let node = self.named(&from)?;
        if self.tree.entry(to.folder, &to.name) == Some(node) {
            // Two names of one file: POSIX leaves both.
            return Ok(None);
        }
        self.tree.remove(from.folder, &from.name)?;
        self.tree.put(to.folder, &to.name, node)?;
        Ok(Some(Op::Rename {
            from: from.folder,
            from_name: from.name,
            to: to.folder,
            to_name: to.name,
            node,
        }))
    }

    fn named(&self, entry: &Entry) -> Result<NodeId> {
        let node = self.tree.entry(entry.folder, &entry.name);
        node.ok_or_else(|| anyhow!("{} is not in the record", entry.path.display()))
    }
}

/// Where a write that has finished went: to where it was told, to the end if the file is opened so, or to the descriptor's position.
fn written_at(thread: Thread, descriptor: i32, offset: Option<u64>, position: u64, len: u64) -> Result<u64> {
    let state = thread.descriptor(descriptor)?;
    if state.flags & libc::O_APPEND != 0 {
        return state
            .size
            .checked_sub(len)
            .ok_or_else(|| anyhow!("a file that shrank under an appending write"));
    }
    if let Some(offset) = offset {
        return Ok(offset);
    }
    if state.position != position.saturating_add(len) {
        bail!("a descriptor's position was moved by another thread during a write");
    }
    Ok(position)
}
