//! `keys`: where the service's own keys live.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::Reading;
use super::store::Store;

/// The service's own keys. Losing them strands every group: see `maypole keys backup`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysSection {
    /// The folder of the keys, readable by the service alone. Without it, the folder `keys` in `store.path`. A
    /// relative path starts at the configuration file's folder.
    #[serde(default)]
    path: Option<PathBuf>,
}

/// Where the service's own keys live.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The folder, absolute.
    pub path: PathBuf,
}

/// Reads the section.
pub(super) fn read(store: Option<&Store>, reading: &mut Reading) -> Option<Keys> {
    let section: KeysSection = reading.section("keys")?;
    let path = match section.path {
        Some(path) => reading.absolute("keys.path", &path)?,
        None => store?.path.join("keys"),
    };
    Some(Keys { path })
}
