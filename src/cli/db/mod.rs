//! `maypole db`: the store as a whole, of a service that runs or does not.

mod check;
mod copies;
mod mend;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};

use super::{Exit, Failure, Surroundings};

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
    /// Put back from a copy what is damaged of one room's group, where the group then stands where it stood
    Mend(mend::Mend),
    /// Write a copy into a folder, named by its time, and remove the oldest ones
    Backup(copies::Backup),
}

impl Db {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        match self.command {
            Command::Check(check) => check.run(surroundings),
            Command::Export(export) => export.run(surroundings),
            Command::Import(import) => import.run(surroundings),
            Command::Mend(mend) => mend.run(surroundings),
            Command::Backup(backup) => backup.run(surroundings),
        }
    }
}
