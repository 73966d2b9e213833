//! What a store that was left in order says of its log, so that it is found at the next opening if a bit of it has turned since.
//!
//! sled itself finds some of that, and takes some for the tear that a crash leaves: then it goes on without what comes after,
//! in silence. The last thing written into a generation is therefore `sealed`: a checksum of each file, made when all of them
//! are durable and nobody writes any more. It is never copied, so that it says nothing of what is written later; after a crash
//! there is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use maypole_core::limits;

use super::disk::{self, Disk};
use super::generation;

/// Where it says so.
pub(super) const SEAL_FILE: &str = "sealed";
const HEADING: &str = "maypole seal, version 1\n";

/// Seals a generation. Nobody may be about to write to it; who still does is waited for.
pub(super) fn seal(generation: &Path, disk: &dyn Disk) -> io::Result<()> {
    let _held = generation::let_go(generation)?;
    for path in generation::files_to_copy(generation)? {
        disk::sync_file(disk, &path)?;
    }
    let unnamed = generation.join("sealed.new");
    disk::write_file(disk, &unnamed, written(&sums(generation)?).as_bytes())?;
    disk::rename(disk, &unnamed, &generation.join(SEAL_FILE))?;
    disk::sync_folder(disk, generation)
}

/// What in a generation is not as its seal says; nothing, too, if it has none.
pub(super) fn broken(generation: &Path) -> io::Result<Option<String>> {
    let seal = match fs::read(generation.join(SEAL_FILE)) {
        Ok(seal) => seal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = sums(generation)?;
    if seal == written(&found).as_bytes() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&seal);
    let changed = found.iter().find(|(name, sum)| !said.lines().any(|said| said == line(name, **sum)));
    let what = changed.map_or(SEAL_FILE, |(name, _)| name);
    Ok(Some(format!("`{what}` is not what it was when the store was closed")))
}

fn written(sums: &BTreeMap<String, u32>) -> String {
    let mut text = HEADING.to_owned();
    for (name, sum) in sums {
        let _ = writeln!(text, "{}", line(name, *sum));
    }
    let sum = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "{sum:08x}");
    text
}

fn line(name: &str, sum: u32) -> String {
    format!("{sum:08x} {name}")
}

/// The files of the log, and the checksum of each.
fn sums(generation: &Path) -> io::Result<BTreeMap<String, u32>> {
    let mut sums = BTreeMap::new();
    for path in generation::files_to_copy(generation)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        sums.insert(name, sum_of(&path)?);
    }
    Ok(sums)
}

fn sum_of(path: &Path) -> io::Result<u32> {
    let (mut file, mut hasher) = (File::open(path)?, crc32fast::Hasher::new());
    let mut bytes = vec![0; limits::SEAL_READ_BYTES];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(bytes.get(..count).unwrap_or_default()),
        }
    }
}
