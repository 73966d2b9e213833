//! What the commands share that ask the running service.

use std::path::Path;

use maypole_core::ids::RoomId;

use super::{ConfigFile, Exit, Failure, Surroundings};
use crate::admin::AskError;
use crate::config::Settings;

/// A room's ID on the command line.
pub(super) fn room(text: &str) -> Result<RoomId, &'static str> {
    let sound = ruma::RoomId::parse(text).is_ok();
    RoomId::parse(text).filter(|_| sound).ok_or("a room ID looks like !abc:a.org, or !abc in newer rooms")
}

/// Where the running service is asked, and a runtime to ask in.
pub(super) struct Asking {
    settings: Settings,
    runtime: tokio::runtime::Runtime,
}

impl Asking {
    /// Finds the socket of the service that has this configuration.
    pub(super) fn prepare(config: &ConfigFile, surroundings: &mut Surroundings<'_>) -> Result<Self, Failure> {
        let settings = Settings::load(config.path(), std::mem::take(&mut surroundings.env).into_iter())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { settings, runtime })
    }

    /// The socket.
    pub(super) fn socket(&self) -> &Path {
        &self.settings.admin.socket
    }

    /// What the service is configured with.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Waits for something.
    pub(super) fn wait<T>(&self, for_it: impl Future<Output = T>) -> T {
        self.runtime.block_on(for_it)
    }

    /// Waits for an answer.
    pub(super) fn ask<T>(&self, asked: impl Future<Output = Result<T, AskError>>) -> Result<T, Failure> {
        Ok(self.wait(asked)?)
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::new(Exit::Failed, error)
    }
}
