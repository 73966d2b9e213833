//! One reading of a configuration: sections are taken from it, and problems gather in it.

use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::value::Value;
use serde::de::DeserializeOwned;

use super::error::{ConfigError, Problem};
use super::layers::Layers;

/// Layers that are being read, and everything found wrong so far.
pub(super) struct Reading {
    layers: Layers,
    problems: Vec<Problem>,
}

impl Reading {
    /// Begins with what the layers themselves found wrong.
    pub(super) fn of(mut layers: Layers) -> Self {
        let problems = std::mem::take(&mut layers.problems);
        Self { layers, problems }
    }

    /// The file that is read, if there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.layers.file.as_deref()
    }

    /// Notes that the value of a key is wrong.
    pub(super) fn refuse(&mut self, key: &str, reason: impl Into<String>) {
        let origin = self.layers.origin(key);
        self.problems.push(Problem { origin, key: key.to_owned(), reason: reason.into() });
    }

    /// Notes what is wrong elsewhere, in a file that the configuration names.
    pub(super) fn refuse_elsewhere(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether somebody set the key, and not to `null`.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.layers.figment().find_value(key).is_ok_and(|value| !matches!(value, Value::Empty(..)))
    }

    /// A section as it was written.
    pub(super) fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let missing = self.missing(name);
        if !missing.is_empty() {
            for key in missing {
                self.refuse(&key, "is missing");
            }
            return None;
        }
        match self.layers.figment().extract_inner(name) {
            Ok(section) => Some(section),
            Err(error) => {
                for error in error {
                    let (key, reason) = (key_of(name, &error.path), Self::reason(&error));
                    self.refuse(&key, reason);
                }
                None
            }
        }
    }

    /// The keys that a section must have and has not.
    fn missing(&self, name: &str) -> Vec<String> {
        let sections = self.layers.sections.iter().filter(|section| section.name == name);
        let required = sections.flat_map(|section| &section.keys).filter(|key| key.required);
        required.map(|key| key.path()).filter(|key| !self.is_set(key)).collect()
    }

    /// What is wrong, without the value: figment would show it.
    fn reason(error: &figment::Error) -> String {
        match &error.kind {
            Kind::InvalidType(found, expected) => {
                let quotes = match found {
                    Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) | Actual::Bool(_) => {
                        "; put it in quotes"
                    }
                    _ => "",
                };
                format!("expected {expected}, found {}{quotes}", actual_kind(found))
            }
            Kind::UnknownVariant(_, options) => format!("must be one of {}", options.join(", ")),
            _ => "cannot be used".to_owned(),
        }
    }

    /// A path of the configuration, absolute: relative ones start at the configuration file's folder.
    pub(super) fn absolute(&mut self, key: &str, path: &Path) -> Option<PathBuf> {
        if path.as_os_str().is_empty() {
            self.refuse(key, "must not be empty");
            return None;
        }
        match std::path::absolute(self.layers.folder.join(path)) {
            Ok(path) => Some(path),
            Err(error) => {
                self.refuse(key, format!("is no path that can be made absolute: {error}"));
                None
            }
        }
    }

    /// Ends the reading: with every problem, if there is one.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(self.problems)) }
    }
}

/// The key that figment complains of. Its paths hold the section, before or after the key, and the place in a list.
fn key_of(section: &str, path: &[String]) -> String {
    let key = path.iter().map(String::as_str).find(|name| *name != section);
    std::iter::once(section).chain(key).collect::<Vec<_>>().join(".")
}

fn actual_kind(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) => "a string",
        Actual::Unit | Actual::Option => "nothing",
        Actual::Seq => "a list",
        Actual::Map => "a mapping",
        _ => "something else",
    }
}
