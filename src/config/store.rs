//! `store`: where the service remembers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::Reading;

/// Where the service remembers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreSection {
    /// A folder of the service's own, made if it is not there, on a disk that keeps what it is told to. A relative
    /// path starts at the configuration file's folder.
    #[serde(default = "default_path")]
    path: PathBuf,
}

fn default_path() -> PathBuf {
    "data".into()
}

/// Where the service remembers.
#[derive(Clone, Debug)]
pub struct Store {
    /// The folder, absolute.
    pub path: PathBuf,
}

/// Reads the section.
pub(super) fn read(reading: &mut Reading) -> Option<Store> {
    let section: StoreSection = reading.section("store")?;
    Some(Store { path: reading.absolute("store.path", &section.path)? })
}
