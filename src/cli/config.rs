//! `maypole config`: an example to start from, a check of one's own, the schema for editors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Exit, Failure, Surroundings};
use crate::config::{self, Config as Checked};

/// Arguments of `maypole config`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a configuration with every key, to start from
    Example,
    /// Say whether a configuration can be used, and its registration with it
    Check {
        /// The configuration file [default: $MAYPOLE_CONFIG, or maypole.yaml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The same, as other commands take it
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
    },
    /// Print the configuration's JSON Schema, for editors
    Schema,
    /// Print the reference of every key, in Markdown
    Reference,
}

impl Config {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        match self.command {
            Command::Example => write!(surroundings.out, "{}", config::example())?,
            Command::Schema => write!(surroundings.out, "{}", schema_text())?,
            Command::Reference => write!(surroundings.out, "{}", config::reference())?,
            Command::Check { file, config } => check(file.or(config).as_deref(), surroundings)?,
        }
        Ok(Exit::Ok)
    }
}

/// `config.schema.json`.
fn schema_text() -> String {
    format!("{:#}\n", config::json_schema())
}

fn check(file: Option<&Path>, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let config = Checked::load(file, std::mem::take(&mut surroundings.env).into_iter())?;
    let path = |path: &Path| path.display().to_string();
    let addresses =
        |addresses: &[SocketAddr]| addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
    let registration = config.appservice.registration.as_deref();
    for warning in &config.appservice.warnings {
        writeln!(surroundings.out, "{}: {warning}", path(registration.unwrap_or(Path::new("registration"))))?;
    }
    let lines = [
        ("file", config.file.as_deref().map_or_else(|| "none; all from the environment".to_owned(), path)),
        ("homeserver", config.homeserver.url.to_string()),
        ("user", config.homeserver.user_id.to_string()),
        ("registration", registration.map_or_else(|| "none; the tokens are given".to_owned(), path)),
        ("listener", addresses(&config.listener.address)),
        ("operations", config.operations.address.map_or_else(|| "off".to_owned(), |one| one.to_string())),
        ("admin", path(&config.admin.socket)),
        ("store", path(&config.store.path)),
        ("keys", path(&config.keys.path)),
    ];
    writeln!(surroundings.out, "ok")?;
    for (name, value) in lines {
        writeln!(surroundings.out, "  {name:<13} {value}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use maypole_testkit::generated::assert_current;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
    fn token() -> maypole_core::auth::AuthToken {
        maypole_core::auth::AuthToken::make()
    }

    fn printed(command: Command) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut surroundings = Surroundings { token: token(), env: Vec::new(), out: &mut out, err: &mut err };
        assert_eq!(Config { command }.run(&mut surroundings).unwrap(), Exit::Ok);
        assert!(err.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_printed_is_current_where_it_is_committed() {
        let current = |page, command| {
            assert_current(env!("CARGO_MANIFEST_DIR"), page, &printed(command));
        };
        current("config.example.yaml", Command::Example);
        current("config.schema.json", Command::Schema);
        current("docs/configuration.md", Command::Reference);
    }
}
