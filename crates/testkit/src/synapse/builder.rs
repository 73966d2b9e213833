//! What can be chosen about a Synapse before it starts.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::Synapse;
use super::settings::Settings;
use crate::ports::HeldPort;
use crate::provision::Provision;
use crate::secrets;

/// An application service's registration.
#[derive(Debug, Clone)]
pub(super) enum Registration {
    Text(String),
    File(PathBuf),
}

/// A Synapse that is not yet started.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    server_name: Option<String>,
    registrations: Vec<Registration>,
    push: bool,
    keep: bool,
    changes: Map<String, Value>,
}

impl Builder {
    /// The server name; without it, `localhost:PORT`.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// An application service, by the text of its registration (YAML).
    pub fn registration(mut self, yaml: impl Into<String>) -> Self {
        self.registrations.push(Registration::Text(yaml.into()));
        self
    }

    /// An application service, by the file of its registration.
    pub fn registration_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.registrations.push(Registration::File(path.into()));
        self
    }

    /// Sends to-device messages and device changes to application services: the experimental features that
    /// push needs. Off unless asked for, as on a stock homeserver.
    pub fn push(mut self, on: bool) -> Self {
        self.push = on;
        self
    }

    /// Leaves the folder where it is when the Synapse is dropped, and prints where.
    pub fn keep_folder(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Sets a key of Synapse's configuration, in place of what it has here.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.changes.insert(key.into(), value.into());
        self
    }

    /// Writes its folder, starts it, and returns when it answers.
    pub async fn start(self) -> Result<Synapse> {
        let python = Provision::synapse()?.python().await?;
        let port = HeldPort::any()?;
        let folder = tempfile::Builder::new()
            .prefix("maypole-synapse-")
            .tempdir()
            .context("no folder for a Synapse")?;
        let server_name = self.server_name.unwrap_or_else(|| format!("localhost:{}", port.number()));
        let registration_secret = secrets::secret()?;
        Settings {
            folder: folder.path(),
            server_name: &server_name,
            port: port.number(),
            registration_secret: &registration_secret,
            push: self.push,
            registrations: &self.registrations,
            changes: &self.changes,
        }
        .write()?;
        let mut synapse = Synapse {
            server_name,
            registration_secret,
            port,
            python,
            process: None,
            booted_in: Duration::ZERO,
            keep: self.keep,
            path: folder.path().to_owned(),
            folder: Some(folder),
        };
        synapse.boot().await?;
        Ok(synapse)
    }
}
