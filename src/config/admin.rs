//! `admin`: where the operator's commands reach the running service.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::Reading;
use super::store::Store;

/// Where the operator's commands, such as `maypole explain`, reach the running service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminSection {
    /// The Unix socket, which the service makes for its own user alone, in a folder to which others may not write.
    /// Without it, `admin.sock` in `store.path`. A relative path starts at the configuration file's folder. The
    /// system allows an absolute path of about 100 bytes.
    #[serde(default)]
    socket: Option<PathBuf>,
}

/// Where the operator's commands reach the running service.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The Unix socket, absolute.
    pub socket: PathBuf,
}

/// Reads the section.
pub(super) fn read(store: Option<&Store>, reading: &mut Reading) -> Option<Admin> {
    let section: AdminSection = reading.section("admin")?;
    let socket = match section.socket {
        Some(path) => reading.absolute("admin.socket", &path)?,
        None => store?.path.join("admin.sock"),
    };
    Some(Admin { socket })
}
