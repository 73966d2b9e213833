//! `operations`: where the operator's monitoring reaches the service.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::listener::{Listener, socket_address};
use super::reading::Reading;

/// Where monitoring reaches the service: `/live`, `/ready` and `/metrics`, without authentication. Keep it off the
/// public network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationsSection {
    /// An IP address with a port, or `null` for none.
    #[serde(default = "default_address")]
    address: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the key's own type, for serde")]
fn default_address() -> Option<String> {
    Some("127.0.0.1:8669".to_owned())
}

/// Where the operator's monitoring reaches the service.
#[derive(Clone, Debug)]
pub struct Operations {
    /// The address; nowhere without one.
    pub address: Option<SocketAddr>,
}

/// Reads the section.
pub(super) fn read(listener: Option<&Listener>, reading: &mut Reading) -> Option<Operations> {
    const KEY: &str = "operations.address";
    let section: OperationsSection = reading.section("operations")?;
    let address = match &section.address {
        Some(text) => Some(socket_address(KEY, text, reading)?),
        None => None,
    };
    let taken = |address: &SocketAddr| listener.is_some_and(|listener| listener.address.contains(address));
    if address.is_some_and(|address| address.port() != 0 && taken(&address)) {
        reading.refuse(KEY, "is also an address of listener.address");
        return None;
    }
    Some(Operations { address })
}
