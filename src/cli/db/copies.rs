//! `maypole db export`, `import` and `backup`: copies of the whole store.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use maypole_core::ledger::Ledger;
use maypole_core::time::Timestamp;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::admin::{self, AdminLimits};
use crate::cli::asking::Asking;
use crate::cli::source::{Opened, Source};
use crate::cli::{ConfigFile, Exit, Failure, Surroundings};
use crate::clock;
use crate::new_file::NewFile;
use crate::service::{in_doubt, open_store};
use crate::storage::copy::{CopyError, ImportError, Reader, Tally, pour, restore};

/// Copies that a backup leaves in its folder, if nothing else is said.
const KEPT: usize = 7;
/// How a backup is named: `maypole-20261124T093000Z.copy`.
const PREFIX: &str = "maypole-";
const SUFFIX: &str = ".copy";

/// Arguments of `maypole db export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

/// Arguments of `maypole db import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// A file that `maypole db export` or `backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take it although records were damaged where it was made: all groups are frozen, and no KeyPackage is given out
    #[arg(long)]
    damaged: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Arguments of `maypole db backup`.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The folder, which is there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// How many copies stay in the folder, this one included
    #[arg(long, value_name = "NUMBER", default_value_t = KEPT, value_parser = at_least_one)]
    keep: usize,
    #[command(flatten)]
    config: ConfigFile,
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("a number from 1 on")
}

/// How much is in a copy.
pub(super) fn in_words(tally: &Tally) -> String {
    format!(
        "{} groups with {} epochs, {} KeyPackages, {} messages that wait, {} deliveries that are owed",
        tally.groups, tally.epochs, tally.key_packages, tally.inbox, tally.owed
    )
}

impl Export {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        write_copy(&self.file, &self.config, surroundings)
    }
}

/// Writes a copy into a new file, and reads it again before it has its name.
fn write_copy(
    path: &Path,
    config: &ConfigFile,
    surroundings: &mut Surroundings<'_>,
) -> Result<Exit, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format_args!("{}: {error}", path.display()));
    let asking = Asking::prepare(config, surroundings)?;
    let (new, file) = NewFile::create(path).map_err(failed)?;
    let to = tokio::fs::File::from_std(file.try_clone().map_err(failed)?);
    let asked = asking.wait(async {
        let mut to = to;
        admin::copy(asking.socket(), &mut to, AdminLimits::default()).await?;
        to.flush().await.map_err(crate::admin::AskError::Unwritten)
    });
    if let (Source::Store(Opened { store, .. }), _) = Source::find(&asking, asked)? {
        let mut to = tokio::fs::File::from_std(file);
        let (pieces, mut taken) = mpsc::channel::<Vec<u8>>(1);
        let written = async move {
            while let Some(piece) = taken.recv().await {
                to.write_all(&piece).await?;
            }
            to.flush().await
        };
        let (poured, written) = asking.wait(async { tokio::join!(pour(&store, pieces), written) });
        asking.wait(store.close());
        written.map_err(failed)?;
        poured.map_err(|error| Failure::new(Exit::Store, error))?;
    }
    let whole = new
        .written()
        .map_err(CopyError::from)
        .and_then(|written| Reader::open(BufReader::new(written)).and_then(Reader::verify));
    let (tally, damaged) = whole
        .map_err(std::io::Error::other)
        .and_then(|told| {
            new.keep()?;
            Ok(told)
        })
        .map_err(failed)?;
    let out = &mut surroundings.out;
    writeln!(out, "{}: {}", path.display(), in_words(&tally))?;
    writeln!(out, "  the service's keys are not in it: they have `maypole keys backup`")?;
    if damaged > 0 {
        writeln!(
            out,
            "  {damaged} records of the store are damaged and are not in it: see `maypole db check`"
        )?;
        return Ok(Exit::Store);
    }
    Ok(Exit::Ok)
}

impl Import {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let open = || -> Result<_, ImportError> {
            let file = File::open(&self.file).map_err(CopyError::from)?;
            Ok(Reader::open(BufReader::new(file))?)
        };
        let failed =
            |error: ImportError| Failure::new(Exit::Store, format_args!("{}: {error}", self.file.display()));
        // All of it is looked at before anything is written.
        let (_, lost) = open().and_then(|copy| Ok(copy.verify()?)).map_err(failed)?;
        if lost > 0 && !self.damaged {
            return Err(failed(ImportError::Incomplete(lost)));
        }
        let store = asking.wait(open_store(&asking.settings().store))?;
        let ledger = Ledger::new(store.clone());
        let frozen = in_doubt(clock::now()).map_err(ImportError::from).map_err(failed)?;
        let imported = open().and_then(|copy| asking.wait(restore(&ledger, copy, Some(&frozen))));
        asking.wait(store.close());
        let imported = imported.map_err(failed)?;
        let out = &mut surroundings.out;
        writeln!(out, "{} of {}: {}", self.file.display(), imported.owner, in_words(&imported.tally))?;
        writeln!(
            out,
            "  It needs the keys that it was made with (`maypole keys restore`). When the service starts, it asks the homeserver \
             how far the store had come; if the copy is older than that, all groups are frozen until you unfreeze them."
        )?;
        Ok(Exit::Ok)
    }
}

impl Backup {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let path = self.folder.join(format!("{PREFIX}{}{SUFFIX}", stamp(clock::now())));
        let exit = write_copy(&path, &self.config, surroundings)?;
        if exit == Exit::Ok {
            let failed = |error: std::io::Error| {
                Failure::new(Exit::Failed, format_args!("{}: {error}", self.folder.display()))
            };
            for old in oldest(&self.folder, self.keep).map_err(failed)? {
                fs::remove_file(&old).map_err(failed)?;
                writeln!(surroundings.out, "{}: removed", old.display())?;
            }
        }
        Ok(exit)
    }
}

/// The backups of a folder but for the newest ones.
fn oldest(folder: &Path, keep: usize) -> std::io::Result<Vec<PathBuf>> {
    let mut backups = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let stamp = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        let is_stamp = |stamp: &str| {
            stamp.len() == 16 && stamp.bytes().all(|byte| byte.is_ascii_digit() || b"TZ".contains(&byte))
        };
        if stamp.is_some_and(is_stamp) {
            backups.push(folder.join(name));
        }
    }
    backups.sort();
    backups.truncate(backups.len().saturating_sub(keep));
    Ok(backups)
}

/// A time as `20261124T093000Z`, whose order is that of time.
fn stamp(at: Timestamp) -> String {
    let seconds = at.as_millis() / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// The date of a day since 1970, in years that begin in March: then a leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_210_096, "20240229T123456Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(Timestamp::from_millis(seconds * 1_000)), expected);
        }
    }

    #[test]
    fn only_backups_are_removed_and_only_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let name = |day: u32| format!("maypole-202611{day:02}T093000Z.copy");
        for day in [3, 1, 4, 2] {
            fs::write(folder.path().join(name(day)), "").unwrap();
        }
        for other in
            ["maypole-.copy", "maypole-20261101T093000Z.copy.unfinished", "notes", "maypole-now.copy"]
        {
            fs::write(folder.path().join(other), "").unwrap();
        }
        let found = oldest(folder.path(), 2).unwrap();
        assert_eq!(found, [folder.path().join(name(1)), folder.path().join(name(2))]);
        assert!(oldest(folder.path(), 4).unwrap().is_empty());
    }
}
