//! `listener`: where the homeserver and clients reach the service.

use std::fmt;
use std::net::SocketAddr;

use maypole_core::limits;
use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::homeserver::http_url;
use super::reading::Reading;

/// Where the homeserver and clients reach the service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerSection {
    /// IP addresses with ports: a list, or a single one. In the environment, separated by commas.
    #[serde(default = "default_address", deserialize_with = "one_or_many")]
    address: Vec<String>,
    /// The URL of this listener as the homeserver reaches it, where that is not the first address: behind a reverse
    /// proxy, or on another machine. `maypole registration` writes it down as the registration's `url`.
    #[serde(default)]
    public_url: Option<String>,
}

/// A list, or the single address that would stand in it.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(OneOrMany)
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses")
    }

    fn visit_str<E>(self, one: &str) -> Result<Vec<String>, E> {
        Ok(vec![one.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let mut many = Vec::new();
        while let Some(item) = items.next_element()? {
            many.push(item);
        }
        Ok(many)
    }
}

fn default_address() -> Vec<String> {
    vec![DEFAULT_ADDRESS.to_owned()]
}

/// Where the service listens if nobody says otherwise.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:8668";

/// Where the homeserver and clients reach the service.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The addresses; at least one, none twice.
    pub address: Vec<SocketAddr>,
    /// Its URL from outside, where the operator gave one.
    pub public_url: Option<Url>,
}

impl Listener {
    /// The URL under which the homeserver reaches the listener, as far as is known here.
    pub fn url(&self) -> String {
        match (&self.public_url, self.address.first()) {
            (Some(url), _) => url.as_str().trim_end_matches('/').to_owned(),
            (None, Some(address)) => format!("http://{}", reachable(*address)),
            (None, None) => default_url(),
        }
    }
}

/// The URL of the default address.
pub(super) fn default_url() -> String {
    format!("http://{DEFAULT_ADDRESS}")
}

/// An address to connect to, for one to listen on: "every address" is no destination.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(std::net::Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}

/// Reads the section.
pub(super) fn read(reading: &mut Reading) -> Option<Listener> {
    const KEY: &str = "listener.address";
    let section: ListenerSection = reading.section("listener")?;
    let public_url = match &section.public_url {
        Some(text) => Some(http_url("listener.public_url", text, reading)?),
        None => None,
    };
    if section.address.is_empty() {
        reading.refuse(KEY, "must have at least one address");
        return None;
    }
    if section.address.len() > limits::LISTENER_ADDRESSES {
        reading.refuse(KEY, format!("must not have more than {} addresses", limits::LISTENER_ADDRESSES));
        return None;
    }
    let mut address = Vec::new();
    for text in &section.address {
        let one = socket_address(KEY, text, reading)?;
        if one.port() != 0 && address.contains(&one) {
            reading.refuse(KEY, "has an address twice");
            return None;
        }
        address.push(one);
    }
    Some(Listener { address, public_url })
}

/// An IP address with a port.
pub(super) fn socket_address(key: &str, text: &str, reading: &mut Reading) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        reading.refuse(
            key,
            format!("is no IP address with a port, such as `{DEFAULT_ADDRESS}` or `\"[::1]:8668\"`"),
        );
    }
    address
}
