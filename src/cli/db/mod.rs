//! `maypole db`: the store as a whole, of a service that runs or does not.

mod check;
mod copies;
mod file;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};

use super::asking::Asking;
use super::{Exit, Failure, Surroundings};
use crate::admin::AskError;
use crate::config::Settings;
use crate::service::open_store;
use crate::storage::Store;

/// Arguments of `maypole db`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(super) struct Db {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look whether everything in the store fits together, or whether a copy is whole
    Check(check::Check),
    /// Write a copy of the whole store into a new file; of a running service, as it is at this moment
    Export(copies::Export),
    /// Take a copy into a store that is empty, of whatever kind
    Import(copies::Import),
    /// Write a copy into a folder, named by its time, and remove the oldest ones
    Backup(copies::Backup),
}

impl Db {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        match self.command {
            Command::Check(check) => check.run(surroundings),
            Command::Export(export) => export.run(surroundings),
            Command::Import(import) => import.run(surroundings),
            Command::Backup(backup) => backup.run(surroundings),
        }
    }
}

/// What can be asked about the store: the service that has it open, or else the store itself.
enum Source {
    Service,
    Store(Store),
}

impl Source {
    /// The running service, if `asked` is not refused because none runs; or else the store, if there is one.
    fn find<T>(
        settings: &Settings,
        asking: &Asking,
        asked: Result<T, AskError>,
    ) -> Result<(Self, Option<T>), Failure> {
        match asked {
            Ok(told) => Ok((Self::Service, Some(told))),
            Err(AskError::NotRunning(_)) => {
                let folder = settings.store.path.join("sled");
                if settings.store.postgres.is_none() && !folder.exists() {
                    let why =
                        format!("there is no store in {} (`store.path`)", settings.store.path.display());
                    return Err(Failure::new(Exit::Store, why));
                }
                Ok((Self::Store(asking.wait(open_store(&settings.store))?), None))
            }
            Err(error) => Err(error.into()),
        }
    }
}
