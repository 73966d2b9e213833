//! `maypole log`: what was ordered in a room's group, and whether the receipts of it are one whole chain.

mod lines;
mod pages;
mod show;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod verify;

use clap::{Args, Subcommand};
use maypole_core::ids::Epoch;

use super::{Exit, Failure, Surroundings};

/// Arguments of `maypole log`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(super) struct Log {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the log of a room's group: of the running service, or of its store if none runs
    Show(show::Show),
    /// Check the receipts of a log: of the running service, of its store if none runs, or in a file
    Verify(verify::Verify),
}

impl Log {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        match self.command {
            Command::Show(show) => show.run(surroundings),
            Command::Verify(verify) => verify.run(surroundings),
        }
    }
}

/// An epoch on the command line.
fn epoch(text: &str) -> Result<Epoch, &'static str> {
    text.parse().ok().and_then(Epoch::new).ok_or("an epoch is a number from 0 to 2^53 - 1")
}
