//! `appservice`: how the homeserver and the service know each other.

use std::path::{Path, PathBuf};

use maypole_core::limits;
use ruma::UserId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::{Origin, Problem};
use super::reading::Reading;
use super::registration::{self, Finding, token};
use super::secret::Secret;
use super::text_file;

/// How the homeserver and the service know each other: the registration file, or both tokens by themselves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppserviceSection {
    /// The registration file, the same that the homeserver reads; the tokens are taken from it. A relative path starts
    /// at the configuration file's folder, as for every file here.
    #[serde(default)]
    #[schemars(example = "registration.yaml")]
    registration: Option<PathBuf>,
    /// The token with which the service calls the homeserver.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    as_token: Option<Secret>,
    /// A file that holds `as_token` and nothing else.
    #[serde(default)]
    as_token_file: Option<PathBuf>,
    /// The token with which the homeserver calls the service.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    hs_token: Option<Secret>,
    /// A file that holds `hs_token` and nothing else.
    #[serde(default)]
    hs_token_file: Option<PathBuf>,
}

/// How the homeserver and the service know each other.
#[derive(Clone, Debug)]
pub struct Appservice {
    /// The registration file, where the tokens came from one; absolute.
    pub registration: Option<PathBuf>,
    /// What the homeserver calls the service: the registration's `id`, or, without one, the `id` of those made here.
    pub id: String,
    /// The token with which the service calls the homeserver.
    pub as_token: Secret,
    /// The token with which the homeserver calls the service.
    pub hs_token: Secret,
    /// What the registration could do better; worth a line in the log.
    pub warnings: Vec<Finding>,
}

impl AppserviceSection {
    /// Reads the registration, or the tokens.
    pub(super) fn resolve(self, user: Option<&UserId>, reading: &mut Reading) -> Option<Appservice> {
        const TOKENS: [&str; 4] = ["as_token", "as_token_file", "hs_token", "hs_token_file"];
        let given: Vec<String> = TOKENS
            .iter()
            .map(|name| format!("appservice.{name}"))
            .filter(|key| reading.is_set(key))
            .collect();
        match (&self.registration, given.is_empty()) {
            (Some(file), true) => from_registration(file, user, reading),
            (None, false) => self.take_tokens(reading),
            (Some(_), false) => {
                for key in given {
                    reading.refuse(&key, "must not be given together with appservice.registration");
                }
                None
            }
            (None, true) => {
                let reason = "is missing; give it, or both as_token and hs_token (or their _file forms)";
                reading.refuse("appservice.registration", reason);
                None
            }
        }
    }

    fn take_tokens(self, reading: &mut Reading) -> Option<Appservice> {
        let as_token = one_token("appservice.as_token", self.as_token, self.as_token_file, reading);
        let hs_token = one_token("appservice.hs_token", self.hs_token, self.hs_token_file, reading);
        let (as_token, hs_token) = (as_token?, hs_token?);
        if as_token == hs_token {
            reading.refuse("appservice.hs_token", "must not be the same as as_token");
            return None;
        }
        let id = registration::ID.to_owned();
        Some(Appservice { registration: None, id, as_token, hs_token, warnings: Vec::new() })
    }
}

/// A secret, from its value or from its file: exactly one of the two.
fn one_token(
    key: &str,
    value: Option<Secret>,
    file: Option<PathBuf>,
    reading: &mut Reading,
) -> Option<Secret> {
    let file_key = format!("{key}_file");
    let (key, secret) = match (value, file) {
        (Some(value), None) => (key, value),
        (None, Some(file)) => {
            let file = reading.absolute(&file_key, &file)?;
            // A token and the newline that an editor puts after it.
            match text_file::read(&file, limits::TOKEN_BYTES.saturating_add(2)) {
                Ok(text) => (file_key.as_str(), Secret::new(text.trim_end_matches(['\r', '\n']))),
                Err(error) => {
                    reading.refuse(&file_key, format!("{} cannot be read: {error}", file.display()));
                    return None;
                }
            }
        }
        (Some(_), Some(_)) => {
            reading.refuse(&file_key, "must not be given together with the token itself");
            return None;
        }
        (None, None) => {
            reading.refuse(key, "is missing; give it, or its _file form");
            return None;
        }
    };
    match token::fault(secret.expose()) {
        Some(fault) => {
            reading.refuse(key, fault);
            None
        }
        None => Some(secret),
    }
}

fn from_registration(file: &Path, user: Option<&UserId>, reading: &mut Reading) -> Option<Appservice> {
    const KEY: &str = "appservice.registration";
    let file = reading.absolute(KEY, file)?;
    let text = match text_file::read(&file, limits::CONFIG_FILE_BYTES) {
        Ok(text) => text,
        Err(error) => {
            let hint = if error.kind() == std::io::ErrorKind::NotFound {
                "; `maypole registration` makes one"
            } else {
                ""
            };
            reading.refuse(KEY, format!("{} cannot be read: {error}{hint}", file.display()));
            return None;
        }
    };
    let checked = registration::check(&text, user);
    let (errors, warnings): (Vec<Finding>, _) = checked.findings.into_iter().partition(Finding::is_error);
    for finding in errors {
        let origin = Origin::File(file.clone());
        reading.refuse_elsewhere(Problem { origin, key: finding.key, reason: finding.reason });
    }
    let (id, (as_token, hs_token)) = (checked.id?, checked.tokens?);
    Some(Appservice { registration: Some(file), id, as_token, hs_token, warnings })
}
