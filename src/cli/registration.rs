//! `maypole registration`: makes the registration, and checks one.

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use maypole_core::limits;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};

use super::{Exit, Failure, Surroundings};
use crate::config::registration::{self, Wanted};
use crate::config::{Settings, read_text_file};
use crate::new_file;

/// Arguments of `maypole registration`. Without a subcommand it generates.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Registration {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    generate: Generate,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a registration with new random tokens
    Generate(Generate),
    /// Say everything about a registration that should be otherwise
    Check(Check),
}

#[derive(Debug, Args)]
struct Generate {
    /// The homeserver's name; the service's user is then `@:` and this name
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    server_name: Option<OwnedServerName>,
    /// The service's user, where it is not the one with the empty localpart
    #[arg(long, value_name = "USER", value_parser = user_id, conflicts_with = "server_name")]
    user_id: Option<OwnedUserId>,
    /// Where the homeserver reaches the service [default: as configured, or http://127.0.0.1:8668]
    #[arg(long, value_name = "URL", value_parser = http_url)]
    url: Option<String>,
    /// Write a new file, readable by its owner alone, instead of printing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Take from this configuration what is not said here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Check {
    /// The registration
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Judge it for the user of this configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Registration {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        match self.command {
            Some(Command::Check(check)) => check.run(surroundings),
            Some(Command::Generate(generate)) => generate.run(surroundings),
            None => self.generate.run(surroundings),
        }
    }
}

impl Generate {
    fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let settings = settings(self.config, surroundings)?;
        let named = self.server_name.as_deref().map(registration::default_user);
        let user = match named {
            Some(user) => Some(
                UserId::parse(user)
                    .map_err(|_| Failure::new(Exit::Usage, "the server name is too long for a user's ID"))?,
            ),
            None => self.user_id,
        };
        let user = user.as_deref().or(settings.as_ref().map(|settings| &*settings.homeserver.user_id));
        let url = self.url.or_else(|| settings.as_ref().map(|settings| settings.listener.url()));
        let text = registration::generate(&Wanted { user, url: url.as_deref() })?;
        match self.out {
            None => write!(surroundings.out, "{text}")?,
            Some(file) => {
                new_file::write(&file, &text).map_err(|error| {
                    let never = if error.kind() == io::ErrorKind::AlreadyExists {
                        "; what is there is never overwritten"
                    } else {
                        ""
                    };
                    Failure::new(
                        Exit::Failed,
                        format_args!("{}: cannot be written: {error}{never}", file.display()),
                    )
                })?;
                writeln!(
                    surroundings.out,
                    "{} is written; tell the homeserver to read it (Synapse: app_service_config_files)",
                    file.display()
                )?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl Check {
    fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let settings = settings(self.config, surroundings)?;
        let name = self.file.display();
        let text = read_text_file(&self.file, limits::CONFIG_FILE_BYTES).map_err(|error| {
            Failure::new(Exit::Configuration, format_args!("{name}: cannot be read: {error}"))
        })?;
        let user = settings.as_ref().map(|settings| &*settings.homeserver.user_id);
        let findings = registration::check(&text, user).findings;
        for finding in &findings {
            writeln!(surroundings.out, "{name}: {finding}")?;
        }
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        let warnings = findings.len().saturating_sub(errors);
        let (exit, verdict) = if errors == 0 { (Exit::Ok, "ok") } else { (Exit::Configuration, "not ok") };
        writeln!(surroundings.out, "{verdict} (errors: {errors}, warnings: {warnings})")?;
        Ok(exit)
    }
}

/// The configuration, if one was named. The registration that it names need not be there yet.
fn settings(file: Option<PathBuf>, surroundings: &mut Surroundings<'_>) -> Result<Option<Settings>, Failure> {
    let env = std::mem::take(&mut surroundings.env);
    Ok(file.map(|file| Settings::load(Some(&file), env.into_iter())).transpose()?)
}

fn server_name(text: &str) -> Result<OwnedServerName, String> {
    ServerName::parse(text)
        .map_err(|_| "a host name or address, perhaps with a port, without `http://`".to_owned())
}

fn user_id(text: &str) -> Result<OwnedUserId, String> {
    UserId::parse(text).map_err(|_| "a Matrix user ID, such as `@:a.org`".to_owned())
}

fn http_url(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("a URL that begins with `http://` or `https://`".to_owned()),
    }
}
