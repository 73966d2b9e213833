//! Reading a system call at its entry: what it would do to the watched folder, or that it cannot be followed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use super::base::FileKey;
use super::live::LiveTree;
use super::op::NodeId;
use super::process::Thread;
use super::registers::Call;

/// `ioctl` requests that share blocks between files.
const FICLONE: u64 = 0x4004_9409;
const FICLONERANGE: u64 = 0x4020_940d;
/// What of `mmap`'s flags says how the mapping is shared.
const MAP_TYPE: i32 = 0x0f;

/// The watched folder: where it is, what is in it, and where the program's own words go.
#[derive(Debug)]
pub(super) struct Watch {
    /// The folder's path as the kernel writes it.
    pub(super) folder: PathBuf,
    pub(super) tree: LiveTree,
    pub(super) stdout: FileKey,
}

/// Where a call keeps the bytes that it writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    One {
        address: u64,
        len: u64,
    },
    Pieces {
        address: u64,
        count: u64,
    },
    /// Another file: the bytes are read back from where the kernel copied them to.
    File,
}

/// A name in a watched folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) folder: NodeId,
    pub(super) name: OsString,
    pub(super) path: PathBuf,
}

/// What a call that has begun will have done, if it succeeds.
#[derive(Debug)]
pub(super) enum Intent {
    Open { flags: i32 },
    Write { descriptor: i32, node: NodeId, source: Source, offset: Option<u64>, position: u64 },
    SetLen { node: NodeId, len: u64 },
    Grow { node: NodeId, len: u64 },
    Sync { node: NodeId, begun: usize },
    SyncAll { begun: usize },
    RangeHint { node: NodeId },
    Rename { from: Entry, to: Entry },
    Link { from: Entry, to: Entry },
    Remove { entry: Entry },
    CreateFolder { entry: Entry },
    Say { text: Vec<u8> },
}

impl Intent {
    /// Whether the call changes what others see, so that only one such call may run at a time for the order to be known. Syncs
    /// are not among them: that writes come in while a sync runs is a case worth recording.
    pub(super) fn is_exclusive(&self) -> bool {
        !matches!(self, Self::Sync { .. } | Self::SyncAll { .. } | Self::RangeHint { .. } | Self::Say { .. })
    }
}

impl Watch {
    /// What the call would do to the folder. `begun` is the present length of the record.
    pub(super) fn plan(&self, thread: Thread, call: Call, begun: usize) -> Result<Option<Intent>> {
        let call = with_folders(call);
        let [a, b, c, d, e, f] = call.args;
        match call.number {
            libc::SYS_openat => Ok(opening(int(c))),
            libc::SYS_openat2 => Ok(opening(int(thread.number(c)?))),
            libc::SYS_write => self.writing(thread, int(a), Source::One { address: b, len: c }, None),
            libc::SYS_pwrite64 => self.writing(thread, int(a), Source::One { address: b, len: c }, Some(d)),
            libc::SYS_writev => self.writing(thread, int(a), Source::Pieces { address: b, count: c }, None),
            libc::SYS_pwritev => {
                self.writing(thread, int(a), Source::Pieces { address: b, count: c }, Some(d))
            }
            libc::SYS_pwritev2 => {
                self.refuse_if(f != 0, thread, int(a), "pwritev2 with flags")?;
                let offset = (d != u64::MAX).then_some(d);
                self.writing(thread, int(a), Source::Pieces { address: b, count: c }, offset)
            }
            libc::SYS_ftruncate => Ok(self.node(thread, int(a))?.map(|node| Intent::SetLen { node, len: b })),
            libc::SYS_truncate => self.truncating(thread, a, b),
            libc::SYS_fallocate => self.allocating(thread, int(a), int(b), c.saturating_add(d)),
            libc::SYS_fsync | libc::SYS_fdatasync => {
                Ok(self.node(thread, int(a))?.map(|node| Intent::Sync { node, begun }))
            }
            libc::SYS_sync => Ok(Some(Intent::SyncAll { begun })),
            libc::SYS_syncfs => Ok(self.node(thread, int(a))?.map(|_| Intent::SyncAll { begun })),
            libc::SYS_sync_file_range => {
                Ok(self.node(thread, int(a))?.map(|node| Intent::RangeHint { node }))
            }
            libc::SYS_renameat | libc::SYS_renameat2 => {
                let flags = if call.number == libc::SYS_renameat2 { e } else { 0 };
                self.renaming(thread, (int(a), b), (int(c), d), flags)
            }
            libc::SYS_linkat => self.linking(thread, (int(a), b), (int(c), d), int(e)),
            libc::SYS_unlinkat => Ok(self.entry(thread, int(a), b)?.map(|entry| Intent::Remove { entry })),
            libc::SYS_mkdirat => {
                Ok(self.entry(thread, int(a), b)?.map(|entry| Intent::CreateFolder { entry }))
            }
            _ => self.refuse_unknown(thread, call),
        }
    }

    /// Calls that change files in ways which the model does not follow.
    fn refuse_unknown(&self, thread: Thread, call: Call) -> Result<Option<Intent>> {
        let [a, b, c, d, e, _] = call.args;
        match call.number {
            libc::SYS_io_uring_setup => bail!("io_uring cannot be recorded"),
            libc::SYS_copy_file_range => {
                self.refuse_if(d != 0, thread, int(c), "copy_file_range with an offset")?;
                return self.writing(thread, int(c), Source::File, None);
            }
            libc::SYS_sendfile => return self.writing(thread, int(a), Source::File, None),
            libc::SYS_splice => self.refuse_if(true, thread, int(c), "splice")?,
            libc::SYS_ioctl => {
                self.refuse_if(b == FICLONE || b == FICLONERANGE, thread, int(a), "a reflink")?
            }
            libc::SYS_symlinkat if self.entry(thread, int(b), c)?.is_some() => {
                bail!("symbolic links cannot be recorded")
            }
            libc::SYS_mknodat if self.entry(thread, int(a), b)?.is_some() => {
                bail!("mknod cannot be recorded")
            }
            libc::SYS_mmap => {
                let shared = matches!(int(d) & MAP_TYPE, libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE);
                if shared && self.node(thread, int(e))?.is_some() {
                    let writable = thread.descriptor(int(e))?.flags & libc::O_ACCMODE != libc::O_RDONLY;
                    self.refuse_if(writable, thread, int(e), "a shared mapping of a writable file")?;
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// The watched file or folder behind a descriptor. An inode's number alone could be that of a file elsewhere that was made
    /// after a watched one had gone, so the path has a say.
    pub(super) fn node(&self, thread: Thread, descriptor: i32) -> Result<Option<NodeId>> {
        let inside = thread.descriptor_path(descriptor).filter(|path| path.starts_with(&self.folder));
        let (Some(path), Some(key)) = (inside, thread.key(descriptor)) else {
            return Ok(None);
        };
        let node = self.tree.by_key(key);
        node.map(Some).ok_or_else(|| anyhow!("{} is not in the record", path.display()))
    }

    fn refuse_if(&self, unknown: bool, thread: Thread, descriptor: i32, what: &str) -> Result<()> {
        if unknown && self.node(thread, descriptor)?.is_some() {
            bail!("{what} cannot be recorded");
        }
        Ok(())
    }

    fn writing(
        &self,
        thread: Thread,
        descriptor: i32,
        source: Source,
        offset: Option<u64>,
    ) -> Result<Option<Intent>> {
        let Some(node) = self.node(thread, descriptor)? else {
            return self.saying(thread, descriptor, source);
        };
        let state = thread.descriptor(descriptor)?;
        if state.flags & libc::O_DSYNC != 0 {
            bail!("files opened with O_SYNC or O_DSYNC cannot be recorded");
        }
        Ok(Some(Intent::Write { descriptor, node, source, offset, position: state.position }))
    }

    /// A write to the program's standard output, which is where it acknowledges.
    fn saying(&self, thread: Thread, descriptor: i32, source: Source) -> Result<Option<Intent>> {
        if thread.key(descriptor) != Some(self.stdout) {
            return Ok(None);
        }
        let text = match source {
            Source::One { address, len } => thread.bytes(address, len)?,
            Source::Pieces { address, count } => thread.gathered(address, count, u64::MAX)?,
            Source::File => bail!("acknowledgements copied from a file cannot be recorded"),
        };
        Ok(Some(Intent::Say { text }))
    }

    fn truncating(&self, thread: Thread, path: u64, len: u64) -> Result<Option<Intent>> {
        let Some((start, path)) = thread.start_folder(libc::AT_FDCWD).zip(thread.path(path)?) else {
            return Ok(None);
        };
        let Ok(full) = fs::canonicalize(start.join(path)) else {
            return Ok(None);
        };
        let Ok(relative) = full.strip_prefix(&self.folder) else {
            return Ok(None);
        };
        let node = self.tree.by_path(relative);
        let node = node.ok_or_else(|| anyhow!("{} is not in the record", full.display()))?;
        Ok(Some(Intent::SetLen { node, len }))
    }

    fn allocating(&self, thread: Thread, descriptor: i32, mode: i32, end: u64) -> Result<Option<Intent>> {
        self.refuse_if(
            mode & !libc::FALLOC_FL_KEEP_SIZE != 0,
            thread,
            descriptor,
            "fallocate that changes content",
        )?;
        let node = self.node(thread, descriptor)?.filter(|_| mode == 0);
        Ok(node.map(|node| Intent::Grow { node, len: end }))
    }

    fn renaming(
        &self,
        thread: Thread,
        from: (i32, u64),
        to: (i32, u64),
        flags: u64,
    ) -> Result<Option<Intent>> {
        match (self.entry(thread, from.0, from.1)?, self.entry(thread, to.0, to.1)?) {
            (None, None) => Ok(None),
            (Some(from), Some(to)) => {
                if flags & !u64::from(libc::RENAME_NOREPLACE) != 0 {
                    bail!("a rename that exchanges cannot be recorded");
                }
                let node = self.tree.entry(from.folder, &from.name);
                if from.folder != to.folder && node.is_some_and(|node| self.tree.is_folder(node)) {
                    bail!("moving a folder into another cannot be recorded");
                }
                Ok(Some(Intent::Rename { from, to }))
            }
            _ => bail!("a rename across the border of the watched folder cannot be recorded"),
        }
    }

    fn linking(
        &self,
        thread: Thread,
        from: (i32, u64),
        to: (i32, u64),
        flags: i32,
    ) -> Result<Option<Intent>> {
        match (self.entry(thread, from.0, from.1)?, self.entry(thread, to.0, to.1)?) {
            (None, None) => Ok(None),
            (Some(from), Some(to)) if flags & libc::AT_EMPTY_PATH == 0 => Ok(Some(Intent::Link { from, to })),
            _ => bail!("a link across the border of the watched folder cannot be recorded"),
        }
    }

    /// The watched folder's entry that a call names, following links on the way to it but not the last one. `None` if it lies
    /// elsewhere, or if the way to it does not exist and the call will fail.
    fn entry(&self, thread: Thread, descriptor: i32, path: u64) -> Result<Option<Entry>> {
        let Some((start, path)) = thread.start_folder(descriptor).zip(thread.path(path)?) else {
            return Ok(None);
        };
        let full = start.join(path);
        let (Some(parent), Some(name)) = (full.parent(), full.file_name()) else {
            return Ok(None);
        };
        let Ok(parent) = fs::canonicalize(parent) else {
            return Ok(None);
        };
        let Ok(relative) = parent.strip_prefix(&self.folder) else {
            return Ok(None);
        };
        let folder = self.folder_at(relative)?;
        Ok(Some(Entry { folder, name: name.to_owned(), path: parent.join(name) }))
    }

    /// The watched folder's subfolder at this relative path.
    pub(super) fn folder_at(&self, relative: &Path) -> Result<NodeId> {
        let folder = self.tree.by_path(relative).filter(|node| self.tree.is_folder(*node));
        folder.ok_or_else(|| anyhow!("folder {} is not in the record", relative.display()))
    }
}

fn opening(flags: i32) -> Option<Intent> {
    let changes = libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    (flags & changes != 0).then_some(Intent::Open { flags })
}

/// The lower half of a register, where the kernel reads an `int`.
fn int(register: u64) -> i32 {
    let [a, b, c, d, ..] = register.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// The older calls without a folder's descriptor, written as the newer ones that have it. Newer processors have none of them.
#[cfg(not(target_arch = "x86_64"))]
fn with_folders(call: Call) -> Call {
    call
}

/// The older calls without a folder's descriptor, written as the newer ones that have it.
#[cfg(target_arch = "x86_64")]
fn with_folders(call: Call) -> Call {
    let here = u64::from(libc::AT_FDCWD.cast_unsigned());
    let create = u64::from((libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC).cast_unsigned());
    let [a, b, c, ..] = call.args;
    let (number, args) = match call.number {
        libc::SYS_open => (libc::SYS_openat, [here, a, b, c, 0, 0]),
        libc::SYS_creat => (libc::SYS_openat, [here, a, create, b, 0, 0]),
        libc::SYS_rename => (libc::SYS_renameat, [here, a, here, b, 0, 0]),
        libc::SYS_link => (libc::SYS_linkat, [here, a, here, b, 0, 0]),
        libc::SYS_unlink | libc::SYS_rmdir => (libc::SYS_unlinkat, [here, a, 0, 0, 0, 0]),
        libc::SYS_mkdir => (libc::SYS_mkdirat, [here, a, b, 0, 0, 0]),
        libc::SYS_symlink => (libc::SYS_symlinkat, [a, here, b, 0, 0, 0]),
        libc::SYS_mknod => (libc::SYS_mknodat, [here, a, b, c, 0, 0]),
        number => (number, call.args),
    };
    Call { number, args }
}
