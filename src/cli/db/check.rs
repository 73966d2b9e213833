//! `maypole db check`: does everything in the store fit together?

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use maypole_core::ids::GroupId;

use super::copies::in_words;
use crate::admin::{self, AdminLimits, Inspection, group_of_text, plain};
use crate::cli::asking::Asking;
use crate::cli::source::Source;
use crate::cli::{ConfigFile, Exit, Failure, Surroundings};
use crate::groups::inspect;
use crate::storage::copy::Reader;

/// What an operator does about damage of any kind.
const DISK: &str = "what to do:
  Nothing damages records but the disk, the memory, or a hand: look for the cause first, for there will be more. Keep the store
  as it is, by copying the folder or the database while the service is stopped, before anything is tried.
";

/// What an operator does about damaged groups.
const GROUPS: &str = "  A damaged group is never begun anew: what needs the damaged part is refused, and all other groups are served.
  First try `maypole db mend ROOM --from BACKUP` with the service stopped: it puts back what is damaged of one group, if the
  group then stands where it stood. If it cannot, either replace the whole store by a backup: stop the service, move the store
  away, `maypole db import`, start. What was decided since the backup is lost, and all groups are frozen until you say which
  ones did not go on (`maypole unfreeze`).
  Or leave it: those in the room can still write to each other, but nobody comes or goes; a new room, with a group of its
  own, takes its place.
";

/// Arguments of `maypole db check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// A file that `maypole db export` or `backup` wrote: it is checked instead of the store
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        match &self.file {
            Some(file) => check_file(file, surroundings),
            None => self.check_store(surroundings),
        }
    }

    fn check_store(&self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let ask = |after| asking.wait(admin::check(asking.socket(), after, AdminLimits::default()));
        let (source, first) = Source::find(&asking, ask(None))?;
        // Only what is opened here is asked for its keys: the running service has them.
        let signers = match &source {
            Source::Service => None,
            Source::Store(opened) => Some(opened.signers(&asking)),
        };
        let next = |after: Option<GroupId>| match &source {
            Source::Service => Ok::<_, Failure>(ask(after)?),
            Source::Store(opened) => {
                let keys = signers.as_ref().and_then(|signers| signers.as_ref().ok());
                let inspected = asking.wait(inspect(&opened.ledger, &opened.store, keys, after));
                inspected.map_err(|error| Failure::new(Exit::Store, error))
            }
        };
        let found = all(first, next);
        source.close(&asking);
        let exit = report(&found?, &mut surroundings.out)?;
        if let Some(Err(why)) = signers {
            writeln!(surroundings.out, "signatures of receipts were not looked at: {why}")?;
        }
        Ok(exit)
    }
}

/// What is found by going on from part to part.
fn all(
    first: Option<Inspection>,
    next: impl Fn(Option<GroupId>) -> Result<Inspection, Failure>,
) -> Result<Inspection, Failure> {
    let mut all = match first {
        Some(first) => first,
        None => next(None)?,
    };
    while let Some(after) = all.next.take() {
        let unknown = || Failure::new(Exit::Failed, "the service names a group that cannot be one");
        let after = group_of_text(&after).ok_or_else(unknown)?;
        join(&mut all, next(Some(after))?);
    }
    Ok(all)
}

/// What was found so far, and what came last.
fn join(all: &mut Inspection, last: Inspection) {
    all.problems.extend(last.problems);
    let (groups, epochs) = (all.groups.saturating_add(last.groups), all.epochs.saturating_add(last.epochs));
    let problems = std::mem::take(&mut all.problems);
    // Groups that are registered meanwhile, and where the check has been, are not missed.
    let groups_stored = all.groups_stored.min(last.groups_stored);
    *all = Inspection { groups, epochs, problems, groups_stored, ..last };
}

fn report(found: &Inspection, out: &mut dyn Write) -> Result<Exit, Failure> {
    for problem in &found.problems {
        writeln!(out, "{}: {}", plain(&problem.group), plain(&problem.what))?;
    }
    let illegible = found.groups_stored.saturating_sub(found.groups);
    if illegible > 0 {
        writeln!(
            out,
            "{illegible} groups cannot even be named, since what says where they stand is damaged"
        )?;
    }
    if found.quarantined > 0 {
        writeln!(
            out,
            "{} damaged records were moved out of the way; the service works without them",
            found.quarantined
        )?;
    }
    let troubled = u64::try_from(found.problems.len()).unwrap_or(u64::MAX).saturating_add(illegible);
    writeln!(
        out,
        "{} groups with {} epochs looked at, {troubled} of them damaged; {} messages wait, {} deliveries are owed, {} were set \
         aside",
        found.groups, found.epochs, found.inbox, found.owed, found.set_aside
    )?;
    if troubled == 0 && found.quarantined == 0 {
        return Ok(Exit::Ok);
    }
    write!(out, "{DISK}")?;
    if troubled > 0 {
        write!(out, "{GROUPS}")?;
    }
    Ok(Exit::Store)
}

fn check_file(path: &Path, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
    let failed =
        |why: &dyn std::fmt::Display| Failure::new(Exit::Store, format_args!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| failed(&error))?;
    let verified = Reader::open(BufReader::new(file)).and_then(Reader::verify);
    let (tally, damaged) = verified.map_err(|error| failed(&error))?;
    writeln!(surroundings.out, "{}: a whole copy: {}", path.display(), in_words(&tally))?;
    if damaged > 0 {
        writeln!(
            surroundings.out,
            "  {damaged} records of the store were damaged and are not in it: use an earlier copy that lacks none, or else \
             `maypole db import --damaged`"
        )?;
        return Ok(Exit::Store);
    }
    Ok(Exit::Ok)
}
