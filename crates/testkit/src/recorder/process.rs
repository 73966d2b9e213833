//! What the recorder reads of a stopped thread, all of it through `/proc`: memory, paths, and the files behind descriptors.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;

use super::base::FileKey;

/// The longest path that the kernel takes.
const PATH_BYTES: usize = 4_096;
/// Memory is read in steps that do not cross a page, because the next one may not be there.
const PAGE_BYTES: u64 = 4_096;
/// The most pieces that one gathering write may have.
const PIECES: u64 = 1_024;
/// The most bytes that the kernel writes in one call.
const WRITE_BYTES: u64 = 0x7fff_f000;

/// The state of an open descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) size: u64,
    pub(super) position: u64,
    pub(super) flags: i32,
}

/// One stopped thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread(pub(super) Pid);

impl Thread {
    /// Copies memory.
    pub(super) fn bytes(self, address: u64, len: u64) -> Result<Vec<u8>> {
        if len > WRITE_BYTES {
            bail!("a write of {len} bytes");
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        self.memory()?.read_exact_at(&mut bytes, address)?;
        Ok(bytes)
    }

    /// Copies the first `len` bytes of a gathering write's pieces.
    pub(super) fn gathered(self, pieces: u64, count: u64, len: u64) -> Result<Vec<u8>> {
        if count > PIECES {
            bail!("a write of {count} pieces");
        }
        let mut all = Vec::new();
        for index in 0..count {
            let left = len.saturating_sub(all.len() as u64);
            let start = self.number(pieces.wrapping_add(index * 16))?;
            let size = self.number(pieces.wrapping_add(index * 16 + 8))?;
            all.extend(self.bytes(start, size.min(left))?);
        }
        Ok(all)
    }

    /// Reads a part of a descriptor's file.
    pub(super) fn file_bytes(self, descriptor: i32, offset: u64, len: u64) -> Result<Vec<u8>> {
        if len > WRITE_BYTES {
            bail!("a write of {len} bytes");
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        File::open(format!("/proc/{}/fd/{descriptor}", self.0))?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// One 64-bit number.
    pub(super) fn number(self, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.memory()?.read_exact_at(&mut bytes, address)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// A path, up to its closing zero; `None` if the address is none, as the kernel will find out too.
    pub(super) fn path(self, address: u64) -> Result<Option<PathBuf>> {
        let memory = self.memory()?;
        let mut path = Vec::new();
        let mut at = address;
        while path.len() < PATH_BYTES {
            let mut part = vec![0; usize::try_from(PAGE_BYTES - at % PAGE_BYTES)?];
            if memory.read_exact_at(&mut part, at).is_err() {
                return Ok(None);
            }
            at = at.wrapping_add(part.len() as u64);
            let end = part.iter().position(|byte| *byte == 0);
            path.extend(part.iter().take(end.unwrap_or(part.len())));
            if end.is_some() {
                return Ok(Some(PathBuf::from(OsString::from_vec(path))));
            }
        }
        Ok(None)
    }

    /// The folder that a relative path starts from.
    pub(super) fn start_folder(self, descriptor: i32) -> Option<PathBuf> {
        let link = match descriptor {
            libc::AT_FDCWD => format!("/proc/{}/cwd", self.0),
            number => format!("/proc/{}/fd/{number}", self.0),
        };
        fs::read_link(link).ok()
    }

    /// The path of an open descriptor's file at this moment.
    pub(super) fn descriptor_path(self, descriptor: i32) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{descriptor}", self.0)).ok()
    }

    /// Which file a descriptor means, if it is open.
    pub(super) fn key(self, descriptor: i32) -> Option<FileKey> {
        let meta = fs::metadata(format!("/proc/{}/fd/{descriptor}", self.0)).ok()?;
        Some((meta.dev(), meta.ino()))
    }

    /// The size of a descriptor's file, and the descriptor's position and flags.
    pub(super) fn descriptor(self, descriptor: i32) -> Result<Descriptor> {
        let meta = fs::metadata(format!("/proc/{}/fd/{descriptor}", self.0))?;
        let text = fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", self.0))?;
        let position = field(&text, "pos:")?.parse().context("position of a descriptor")?;
        let flags = i32::from_str_radix(field(&text, "flags:")?, 8).context("flags of a descriptor")?;
        Ok(Descriptor { size: meta.len(), position, flags })
    }

    fn memory(self) -> io::Result<File> {
        File::open(OsStr::from_bytes(format!("/proc/{}/mem", self.0).as_bytes()))
    }
}

fn field<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map(str::trim).ok_or_else(|| anyhow!("no {name} of a descriptor"))
}
