//! The files of a Synapse, as we write them. JSON is YAML, and nothing in it needs quoting by hand.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::builder::Registration;
use crate::secrets;

/// The configuration.
pub(super) const CONFIG_FILE: &str = "homeserver.yaml";
/// What Synapse logs.
pub(super) const LOG_FILE: &str = "homeserver.log";
/// What it prints, before its log is set up or when it fails.
pub(super) const CONSOLE_FILE: &str = "console.log";

/// What a configuration is made of.
pub(super) struct Settings<'a> {
    pub(super) folder: &'a Path,
    pub(super) server_name: &'a str,
    pub(super) port: u16,
    pub(super) registration_secret: &'a str,
    pub(super) push: bool,
    pub(super) registrations: &'a [Registration],
    pub(super) changes: &'a Map<String, Value>,
}

impl Settings<'_> {
    /// Writes everything that Synapse reads at its start.
    pub(super) fn write(&self) -> Result<()> {
        write(&self.folder.join("signing.key"), &secrets::signing_key_line()?)?;
        write(&self.folder.join("log.yaml"), &self.logging().to_string())?;
        let registrations = self.write_registrations()?;
        let mut config = self.config(&registrations)?;
        let keys = config.as_object_mut().context("a configuration is an object")?;
        keys.extend(self.changes.clone());
        write(&self.folder.join(CONFIG_FILE), &config.to_string())
    }

    /// Gives each application service a file, and says where.
    fn write_registrations(&self) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for (number, registration) in self.registrations.iter().enumerate() {
            paths.push(match registration {
                Registration::Text(text) => {
                    let path = self.folder.join(format!("registration-{number}.yaml"));
                    write(&path, text)?;
                    path
                }
                Registration::File(path) => {
                    ensure!(path.is_file(), "there is no registration in {}", path.display());
                    std::path::absolute(path)?
                }
            });
        }
        Ok(paths)
    }

    fn config(&self, registrations: &[PathBuf]) -> Result<Value> {
        let mut config = json!({
            "server_name": self.server_name,
            "public_baseurl": format!("http://127.0.0.1:{}/", self.port),
            "listeners": [{
                "port": self.port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": false,
                "resources": [{"names": ["client", "federation"], "compress": false}],
            }],
            "database": {"name": "sqlite3", "args": {"database": self.folder.join("homeserver.db")}},
            "log_config": self.folder.join("log.yaml"),
            "pid_file": self.folder.join("homeserver.pid"),
            "media_store_path": self.folder.join("media"),
            "signing_key_path": self.folder.join("signing.key"),
            "macaroon_secret_key": secrets::secret()?,
            "form_secret": secrets::secret()?,
            "registration_shared_secret": self.registration_secret,
            "enable_registration": true,
            "enable_registration_without_verification": true,
            // The lowest cost there is: passwords of tests protect nothing.
            "bcrypt_rounds": 4,
            "report_stats": false,
            "trusted_key_servers": [],
            "suppress_key_server_warning": true,
            // Loopback may be asked, for other servers of a test.
            "ip_range_blacklist": [],
            "app_service_config_files": registrations,
            "experimental_features": experiments(self.push),
        });
        let keys = config.as_object_mut().context("a configuration is an object")?;
        keys.extend(no_limits());
        Ok(config)
    }

    fn logging(&self) -> Value {
        json!({
            "version": 1,
            "disable_existing_loggers": false,
            "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s"}},
            "handlers": {"file": {
                "class": "logging.FileHandler", "formatter": "line", "filename": self.folder.join(LOG_FILE),
            }},
            "root": {"level": "INFO", "handlers": ["file"]},
        })
    }
}

/// What makes Synapse send to-device messages and device changes to application services.
fn experiments(push: bool) -> Value {
    json!({
        "msc2409_to_device_messages_enabled": push,
        "msc3202_transaction_extensions": push,
        "msc3983_appservice_otk_claims": push,
        "msc3984_appservice_key_query": push,
    })
}

/// Every rate limit, so high that no test meets it.
fn no_limits() -> Map<String, Value> {
    let high = json!({"per_second": 1_000_000, "burst_count": 1_000_000});
    let mut limits = Map::new();
    for plain in [
        "rc_message",
        "rc_registration",
        "rc_registration_token_validity",
        "rc_admin_redaction",
        "rc_joins_per_room",
        "rc_key_requests",
        "rc_3pid_validation",
        "rc_third_party_invite",
        "rc_media_create",
        "rc_delayed_event_mgmt",
        "rc_room_creation",
        "rc_reports",
        "rc_user_directory",
        "rc_profile",
    ] {
        limits.insert(plain.to_owned(), high.clone());
    }
    for (outer, inner) in [
        ("rc_login", &["address", "account", "failed_attempts"][..]),
        ("rc_joins", &["local", "remote"]),
        ("rc_invites", &["per_room", "per_user", "per_issuer"]),
        ("rc_presence", &["per_user"]),
    ] {
        let kinds: Map<String, Value> = inner.iter().map(|kind| ((*kind).to_owned(), high.clone())).collect();
        limits.insert(outer.to_owned(), kinds.into());
    }
    limits.insert(
        "rc_federation".to_owned(),
        json!({
            "window_size": 1000, "sleep_limit": 1_000_000, "sleep_delay": 1, "reject_limit": 1_000_000,
            "concurrent": 1000,
        }),
    );
    limits
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
