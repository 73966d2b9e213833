//! `homeserver`: which one, and who the service is there.

use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::reading::Reading;

/// The homeserver that the service belongs to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HomeserverSection {
    /// The name of the homeserver: the part of its users' IDs after the first colon.
    #[schemars(example = "a.org")]
    server_name: String,
    /// Where the service reaches the homeserver's client API: `http://` or `https://`.
    #[schemars(example = "http://127.0.0.1:8008")]
    url: String,
    /// The service's own user. Without it, the user with the empty localpart: `@:` and the server name. Set it for
    /// homeservers that refuse that one; the registration's namespace must cover it.
    #[serde(default)]
    user_id: Option<String>,
}

/// The homeserver that the service belongs to.
#[derive(Clone, Debug)]
pub struct Homeserver {
    /// Where the service reaches it; `http` or `https`, without user, query and fragment.
    pub url: Url,
    /// Its name.
    pub server_name: OwnedServerName,
    /// The service's own user there.
    pub user_id: OwnedUserId,
}

/// Reads the section.
pub(super) fn read(reading: &mut Reading) -> Option<Homeserver> {
    let section: HomeserverSection = reading.section("homeserver")?;
    let url = http_url("homeserver.url", &section.url, reading);
    let server_name = match ServerName::parse(section.server_name.as_str()) {
        Ok(name) => Some(name),
        Err(_) => {
            reading.refuse(
                "homeserver.server_name",
                "is no server name: a host name or address, perhaps with a port, without `http://`",
            );
            None
        }
    };
    let server_name = server_name?;
    let user_id = user_id(section.user_id, &server_name, reading);
    Some(Homeserver { url: url?, user_id: user_id?, server_name })
}

fn user_id(written: Option<String>, server_name: &ServerName, reading: &mut Reading) -> Option<OwnedUserId> {
    let key = if written.is_some() { "homeserver.user_id" } else { "homeserver.server_name" };
    let text = written.unwrap_or_else(|| format!("@:{server_name}"));
    match UserId::parse(text.as_str()) {
        Ok(user) if user.server_name() == server_name => Some(user),
        Ok(_) => {
            reading.refuse(key, "is a user of another server than homeserver.server_name");
            None
        }
        Err(_) => {
            reading.refuse(key, "is no Matrix user ID, such as `@:a.org`, of at most 255 bytes");
            None
        }
    }
}

/// A URL that is requested or advertised: nothing in it that could be a secret or be lost when a path is appended.
pub(super) fn http_url(key: &str, text: &str, reading: &mut Reading) -> Option<Url> {
    let fault = match Url::parse(text) {
        Err(_) => "is no URL, such as `http://127.0.0.1:8008`",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "must begin with `http://` or `https://`",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "must not have a user name or password in it"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "must not have a query or fragment in it"
        }
        Ok(url) => return Some(url),
    };
    reading.refuse(key, fault);
    None
}
