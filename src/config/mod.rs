//! The configuration: a commented YAML file, the environment over it, and nothing else.
//!
//! It is read once, checked in full before anything is bound or opened, and never written by the service. Every
//! refusal names where the value came from, its key and the reason, and never the value itself: it might be a secret
//! in the wrong place. One file per section; each turns what was written into what the service uses.

mod admin;
mod appservice;
mod environment;
mod error;
mod example;
mod homeserver;
mod key_table;
mod keys;
mod layers;
mod listener;
mod log;
mod operations;
mod protocol;
mod reading;
mod reference;
pub mod registration;
mod schema;
mod secret;
mod store;
mod suggestion;
mod text_file;
mod yaml;

use std::ops::Deref;
use std::path::{Path, PathBuf};

pub use self::admin::Admin;
pub use self::appservice::Appservice;
use self::appservice::AppserviceSection;
pub use self::environment::of_process as environment_of_process;
pub use self::error::{ConfigError, Origin, Problem};
pub use self::example::example;
pub use self::homeserver::Homeserver;
pub use self::keys::Keys;
use self::layers::Layers;
pub use self::listener::Listener;
pub use self::log::{Log, LogFormat};
pub use self::operations::Operations;
pub use self::protocol::{EventPrefix, Protocol};
use self::reading::Reading;
pub use self::reference::reference;
pub use self::schema::json_schema;
pub use self::secret::Secret;
pub use self::store::Store;
pub(crate) use self::text_file::read as read_text_file;

/// The file that is read where neither the command line nor the environment names one.
pub const DEFAULT_FILE: &str = "maypole.yaml";

/// Everything that the service is told: checked, with absolute paths, secrets in hand.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// How the homeserver and the service know each other.
    pub appservice: Appservice,
    /// Everything else.
    pub settings: Settings,
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl Config {
    /// Reads the configuration: `path`, or the file that `MAYPOLE_CONFIG` names, or [`DEFAULT_FILE`]; then the
    /// environment over it; then the secrets from their files. All problems that can be found are reported at once.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut reading = Reading::of(Layers::read(path, env)?);
        let settings = Settings::read(&mut reading);
        let appservice = reading.section::<AppserviceSection>("appservice").and_then(|section| {
            let user = settings.as_ref().map(|settings| &*settings.homeserver.user_id);
            section.resolve(user, &mut reading)
        });
        let file = reading.file().map(Path::to_path_buf);
        match (settings, appservice, reading.finish()) {
            (Some(settings), Some(appservice), Ok(())) => Ok(Self { file, appservice, settings }),
            (_, _, Err(error)) => Err(error),
            _ => Err(ConfigError::Invalid(Vec::new())),
        }
    }
}

/// The configuration without the secrets: for what must work before there is a registration, such as making one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The homeserver that the service belongs to.
    pub homeserver: Homeserver,
    /// Where the homeserver and clients reach the service.
    pub listener: Listener,
    /// Where the operator's monitoring reaches the service.
    pub operations: Operations,
    /// Where the operator's commands reach the service.
    pub admin: Admin,
    /// Where the service remembers.
    pub store: Store,
    /// Where the service's own keys live.
    pub keys: Keys,
    /// What is logged, and how.
    pub log: Log,
    /// How the protocol is spelled.
    pub protocol: Protocol,
}

impl Settings {
    /// Reads the same layers as [`Config::load`], but for the registration and the tokens.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut reading = Reading::of(Layers::read(path, env)?);
        let settings = Self::read(&mut reading);
        match (settings, reading.finish()) {
            (Some(settings), Ok(())) => Ok(settings),
            (_, Err(error)) => Err(error),
            _ => Err(ConfigError::Invalid(Vec::new())),
        }
    }

    /// Resolves every section, so that the problems of all of them are found.
    fn read(reading: &mut Reading) -> Option<Self> {
        let homeserver = homeserver::read(reading);
        let listener = listener::read(reading);
        let operations = operations::read(listener.as_ref(), reading);
        let store = store::read(reading);
        let admin = admin::read(store.as_ref(), reading);
        let keys = keys::read(store.as_ref(), reading);
        let log = log::read(reading);
        let protocol = protocol::read(reading);
        Some(Self {
            homeserver: homeserver?,
            listener: listener?,
            operations: operations?,
            admin: admin?,
            store: store?,
            keys: keys?,
            log: log?,
            protocol: protocol?,
        })
    }
}

#[cfg(test)]
mod tests;
