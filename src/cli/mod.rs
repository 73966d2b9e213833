//! The command line: one file per command, each writing to what it is given, so that tests can read it.

mod asking;
mod config;
mod db;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod explain;
mod failure;
mod freeze;
mod keys;
mod log;
mod registration;
mod serve;
mod source;
mod version;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use maypole_core::auth::AuthToken;

pub use self::exit::Exit;
pub use self::failure::Failure;

/// An MLS (RFC 9420) Delivery Service for Matrix (MSC4244), an application service beside the homeserver.
#[derive(Debug, Parser)]
#[command(name = "maypole", version, arg_required_else_help = true, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Serve),
    /// See it work: a private Synapse, the service, and a user who tries it
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Make or check the registration by which the homeserver knows the service
    Registration(registration::Registration),
    /// Show or check the configuration
    Config(config::Config),
    /// Back up or restore the service's own keys
    Keys(keys::Keys),
    /// Say what the running service knows about the group of a room
    Explain(explain::Explain),
    /// Have the running service order nothing in the group of a room
    Freeze(freeze::Freeze),
    /// Have it order commands there again
    Unfreeze(freeze::Unfreeze),
    /// Show the log of a room's group, or check the receipts of one; of a service that runs or does not
    Log(log::Log),
    /// Check the store, copy it, or fill an empty one from a copy
    Db(db::Db),
    /// Print the version
    Version,
}

/// Which configuration a command reads.
#[derive(Clone, Debug, Default, Args)]
struct ConfigFile {
    /// The configuration file [default: $MAYPOLE_CONFIG, or maypole.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn path(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// What a command is run with, besides its own arguments.
pub struct Surroundings<'s> {
    /// The right to declare callers authenticated; `main` makes the only one.
    pub token: AuthToken,
    /// The environment, as far as it may concern the service.
    pub env: Vec<(String, String)>,
    /// Standard output.
    pub out: &'s mut dyn Write,
    /// Standard error.
    pub err: &'s mut dyn Write,
}

/// Parses a command line, program name first, and runs it.
pub fn run(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    surroundings: &mut Surroundings<'_>,
) -> Exit {
    let command = match parse(arguments) {
        Ok(command) => command,
        Err(error) => return show(&error, surroundings),
    };
    let done =
        dispatch(command, surroundings).and_then(|exit| Ok(surroundings.out.flush().map(|()| exit)?));
    match done {
        Ok(exit) => exit,
        Err(failure) => {
            if failure.exit() != Exit::Ok {
                // If standard error is closed too, the exit code still tells.
                let _ = writeln!(surroundings.err, "maypole: {failure}");
            }
            failure.exit()
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Command, clap::Error> {
    let matches = Cli::command().after_help(Exit::help()).try_get_matches_from(arguments)?;
    Ok(Cli::from_arg_matches(&matches)?.command)
}

/// Help and version go to standard output and are no failure; the rest is a wrong command line.
fn show(error: &clap::Error, surroundings: &mut Surroundings<'_>) -> Exit {
    let (out, exit) = if error.use_stderr() {
        (&mut surroundings.err, Exit::Usage)
    } else {
        (&mut surroundings.out, Exit::Ok)
    };
    let _ = write!(out, "{}", error.render()).and_then(|()| out.flush());
    exit
}

fn dispatch(command: Command, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Serve(serve) => serve.run(surroundings),
        #[cfg(feature = "demo")]
        Command::Demo(demo) => demo.run(surroundings),
        Command::Registration(registration) => registration.run(surroundings),
        Command::Config(config) => config.run(surroundings),
        Command::Keys(keys) => keys.run(surroundings),
        Command::Explain(explain) => explain.run(surroundings),
        Command::Freeze(freeze) => freeze.run(surroundings),
        Command::Unfreeze(unfreeze) => unfreeze.run(surroundings),
        Command::Log(log) => log.run(surroundings),
        Command::Db(db) => db.run(surroundings),
        Command::Version => version::run(surroundings),
    }
}

#[cfg(test)]
pub(crate) mod tests;
