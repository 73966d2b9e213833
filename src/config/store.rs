//! `store`: where the service remembers.

use std::path::PathBuf;

use maypole_core::limits;
use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::Reading;
use super::secret::Secret;
use super::text_file;
use crate::storage::postgres::is_address;

/// Where the service remembers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreSection {
    /// A folder of the service's own, made if it is not there, on a disk that keeps what it is told to. A relative
    /// path starts at the configuration file's folder.
    #[serde(default = "default_path")]
    path: PathBuf,
    /// A PostgreSQL to remember in, `postgres://user:password@host/database`; then the folder has the service's keys alone.
    /// Without it, the folder has everything. The database must not be set to answer before it has written.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    postgres: Option<Secret>,
    /// A file that holds `postgres` and nothing else.
    #[serde(default)]
    postgres_file: Option<PathBuf>,
}

fn default_path() -> PathBuf {
    "data".into()
}

/// Where the service remembers.
#[derive(Clone, Debug)]
pub struct Store {
    /// The folder, absolute.
    pub path: PathBuf,
    /// The database, where there is one.
    pub postgres: Option<Secret>,
}

/// Reads the section.
pub(super) fn read(reading: &mut Reading) -> Option<Store> {
    let section: StoreSection = reading.section("store")?;
    let path = reading.absolute("store.path", &section.path);
    let postgres = match (section.postgres, section.postgres_file) {
        (None, None) => None,
        (Some(address), None) => Some(database("store.postgres", address, reading)?),
        (None, Some(file)) => {
            let file = reading.absolute("store.postgres_file", &file)?;
            match text_file::read(&file, limits::DATABASE_ADDRESS_BYTES) {
                Ok(text) => {
                    let address = Secret::new(text.trim_end_matches(['\r', '\n']));
                    Some(database("store.postgres_file", address, reading)?)
                }
                Err(error) => {
                    reading
                        .refuse("store.postgres_file", format!("{} cannot be read: {error}", file.display()));
                    return None;
                }
            }
        }
        (Some(_), Some(_)) => {
            reading.refuse("store.postgres_file", "must not be given together with store.postgres");
            return None;
        }
    };
    Some(Store { path: path?, postgres })
}

/// An address that may be one of a PostgreSQL; what is wrong with it is said when it is used.
fn database(key: &str, address: Secret, reading: &mut Reading) -> Option<Secret> {
    if !is_address(address.expose()) {
        reading.refuse(key, "is no address of a PostgreSQL: it begins with postgres://");
        return None;
    }
    Some(address)
}
