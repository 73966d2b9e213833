//! Writes to sled with more or less care, or says what is left of that, for the disk recorder's tests.
//!
//! `sled_writer write|read FOLDER CARE BYTES KEPT SEGMENT ROWS GROUP`. Row N is written in one batch with the number N itself and
//! with the removal of row N - KEPT. After GROUP batches they are made durable as CARE says, and acknowledged:
//! `flush` trusts sled's own `flush`; `fdatasync` syncs sled's file as well; `synced` syncs besides, when the store
//! is opened, the folders and the files that sled does not; `swept` also removes, before that, snapshots that were never finished;
//! `careful` lets sled recover in a copy, which takes the store's place when all of it is durable.
//! The writer goes on after the last row that is there. The reader prints `holds N` if the store is exactly as row N left it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use maypole_testkit::recorder::SplitMix64;

/// Where the number of the last row is.
const LAST: &[u8] = b"last";

struct Work {
    folder: PathBuf,
    care: String,
    bytes: usize,
    kept: u64,
    segment: usize,
    rows: u64,
    group: u64,
}

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [action, folder, care, numbers @ ..] = words.as_slice() else { bail!("too few arguments") };
    let [bytes, kept, segment, rows, group] = numbers else { bail!("five numbers, please") };
    let work = Work {
        folder: folder.into(),
        care: care.clone(),
        bytes: bytes.parse()?,
        kept: kept.parse()?,
        segment: segment.parse()?,
        rows: rows.parse()?,
        group: group.parse()?,
    };
    match action.as_str() {
        "write" => work.write(),
        "read" => work.read(),
        _ => bail!("write or read, please"),
    }
}

impl Work {
    /// Opens the store, and says where its files are.
    fn open(&self) -> Result<(sled::Db, PathBuf)> {
        if self.care == "careful" {
            return self.open_copy();
        }
        let store = self.folder.join("store");
        if self.care == "swept" && store.exists() {
            for unfinished in paths(&store)?.into_iter().filter(|path| is_unfinished(path)) {
                fs::remove_file(unfinished)?;
            }
        }
        let db = self.open_at(&store)?;
        if self.care == "synced" || self.care == "swept" {
            sync_all_below(&store)?;
            File::open(&self.folder)?.sync_all()?;
        }
        Ok((db, store))
    }

    fn open_at(&self, store: &Path) -> Result<sled::Db> {
        let config = sled::Config::new().path(store).segment_size(self.segment);
        let db = config.flush_every_ms(None).open().context("sled does not open")?;
        db.flush()?;
        Ok(db)
    }

    /// Recovery overwrites what it has just made superfluous by a snapshot whose name is not durable yet. So it happens in a copy, and the
    /// store before it stays as it was until the copy is durable and has its name, the next number. sled keeps the old path, but
    /// asks for it for large values only.
    fn open_copy(&self) -> Result<(sled::Db, PathBuf)> {
        let unfinished = self.folder.join("new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u64>().ok();
        let mut numbers: Vec<_> = paths(&self.folder)?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        fs::create_dir(&unfinished)?;
        if let Some(last) = numbers.last() {
            for path in paths(&self.folder.join(last.to_string()))? {
                if path.is_file()
                    && !is_unfinished(&path)
                    && let Some(name) = path.file_name()
                {
                    fs::copy(&path, unfinished.join(name))?;
                }
            }
        }
        let db = self.open_at(&unfinished)?;
        sync_all_below(&unfinished)?;
        let store = self.folder.join((numbers.last().unwrap_or(&0) + 1).to_string());
        fs::rename(&unfinished, &store)?;
        File::open(&self.folder)?.sync_all()?;
        for old in numbers {
            fs::remove_dir_all(self.folder.join(old.to_string()))?;
        }
        Ok((db, store))
    }

    fn write(&self) -> Result<()> {
        let (db, store) = self.open()?;
        let data = File::open(store.join("db"))?;
        let last = last_row(&db)?;
        for row in last + 1..=last + self.rows {
            let mut batch = sled::Batch::default();
            batch.insert(key(row).as_slice(), self.value(row));
            batch.insert(LAST, row.to_be_bytes().as_slice());
            if let Some(old) = row.checked_sub(self.kept) {
                batch.remove(key(old).as_slice());
            }
            db.apply_batch(batch)?;
            if row % self.group == 0 {
                db.flush()?;
                if self.care != "flush" {
                    data.sync_data()?;
                }
                println!("ack {row}");
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<()> {
        let (db, _) = self.open()?;
        let last = last_row(&db)?;
        for row in 1..=last {
            let expected = (row + self.kept > last).then(|| self.value(row));
            let there = db.get(key(row))?;
            ensure!(there.as_deref() == expected.as_deref(), "row {row} of {last} is not as it was written");
        }
        let rows = db.iter().keys().collect::<sled::Result<Vec<_>>>()?.len() as u64;
        ensure!(rows == last.min(self.kept) + u64::from(last > 0), "{rows} keys after row {last}");
        println!("holds {last}");
        Ok(())
    }

    fn value(&self, row: u64) -> Vec<u8> {
        let mut numbers = SplitMix64::new(row);
        let bytes = std::iter::repeat_with(|| numbers.next_number().to_be_bytes()).flatten();
        bytes.take(self.bytes).collect()
    }
}

fn last_row(db: &sled::Db) -> Result<u64> {
    let last = db.get(LAST)?.map_or(Ok([0; 8]), |last| last.as_ref().try_into())?;
    Ok(u64::from_be_bytes(last))
}

/// sled takes a snapshot that it was writing when it ended for a finished one, and refuses to open.
fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "generating")
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?)
}

fn key(row: u64) -> [u8; 9] {
    let mut key = [b'r'; 9];
    if let Some(number) = key.get_mut(1..) {
        number.copy_from_slice(&row.to_be_bytes());
    }
    key
}

/// Makes everything in a folder durable, then its names, from below.
fn sync_all_below(folder: &Path) -> Result<()> {
    for path in paths(folder)? {
        if path.is_dir() { sync_all_below(&path)? } else { File::open(&path)?.sync_all()? }
    }
    Ok(File::open(folder)?.sync_all()?)
}
