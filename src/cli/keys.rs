//! `maypole keys`: a copy of the keys in a safe place, and its way back.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConfigFile, Exit, Failure, Surroundings};
use crate::config::Settings;
use crate::keys::{self, Restored};

/// Arguments of `maypole keys`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write all keys into one new file, readable by its owner alone; losing the keys strands every group
    Backup(Arguments),
    /// Put the keys of a backup back, unless other keys are there
    Restore(Arguments),
}

#[derive(Debug, Args)]
struct Arguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

impl Keys {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let (Command::Backup(arguments) | Command::Restore(arguments)) = &self.command;
        let file = &arguments.file;
        let settings =
            Settings::load(arguments.config.path(), std::mem::take(&mut surroundings.env).into_iter())?;
        let folder = settings.keys.path;
        let (file_name, folder_name) = (file.display(), folder.display());
        match self.command {
            Command::Backup(_) => {
                keys::backup(&folder, file)?;
                writeln!(
                    surroundings.out,
                    "the keys of {folder_name} are in {file_name}; whoever has that file can speak as this service"
                )?;
            }
            Command::Restore(_) => match keys::restore(&folder, file)? {
                Restored::PutBack => {
                    writeln!(surroundings.out, "the keys of {file_name} are in {folder_name}")?
                }
                Restored::AlreadyThere => writeln!(
                    surroundings.out,
                    "the same keys are in {folder_name} already; nothing was changed"
                )?,
            },
        }
        Ok(Exit::Ok)
    }
}
