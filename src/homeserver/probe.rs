//! What this homeserver is and can do: found out once at the start, written down, and never assumed.

use std::collections::BTreeMap;
use std::fmt;

use maypole_core::ids::UserId;
use maypole_core::limits;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::error::CallError;
use super::{Homeserver, ServiceDevice};

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Versions of the specification that the homeserver follows.
    pub versions: Vec<String>,
    /// Unstable features, and whether each is on.
    pub features: BTreeMap<String, bool>,
    /// The service's user.
    pub user_id: UserId,
    /// Its one device.
    pub device: ServiceDevice,
    /// What follows for us.
    pub abilities: Abilities,
}

/// What later code, or the operator, needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Abilities {
    /// The service's device has the empty ID, so that clients may address it as such; otherwise only as `*`.
    pub empty_device_id: bool,
    /// Devices can be made by name (MSC4190).
    pub msc4190: bool,
    /// `/sync` can name the device (MSC4326); otherwise the homeserver chooses whose messages it shows.
    pub names_device: bool,
    /// The homeserver can be asked to ping us.
    pub push_ping: bool,
    /// Devices of the service's user that should not be there and could not be deleted: messages to `*` pile up there.
    pub extra_devices: Vec<ServiceDevice>,
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<String>,
    #[serde(default)]
    unstable_features: BTreeMap<String, serde_json::Value>,
}

impl Homeserver {
    /// Finds out what there is, and makes the service's user and its device if they are not there yet. Doing it
    /// again changes nothing.
    pub async fn probe(&self) -> Result<Probe, CallError> {
        const NAME: &str = "GET /versions";
        let Versions { versions, unstable_features } =
            self.ask_for(Call::get(NAME, &["client", "versions"]).without_user()).await?;
        if versions.len() > limits::HOMESERVER_VERSIONS
            || unstable_features.len() > limits::HOMESERVER_VERSIONS
        {
            return Err(CallError::Broken {
                call: NAME,
                why: "it lists more than any homeserver would".to_owned(),
            });
        }
        let on = |(name, value): (String, serde_json::Value)| (name, value.as_bool() == Some(true));
        let features: BTreeMap<String, bool> = unstable_features.into_iter().map(on).collect();
        if !self.user_exists().await? {
            self.register().await?;
            if !self.user_exists().await? {
                let why = format!("it has registered {} and still does not let us act as it", self.user_id());
                return Err(CallError::Broken { call: "GET /account/whoami", why });
            }
        }
        let settled = self.settle_device().await?;
        let abilities = Abilities {
            empty_device_id: settled.device == ServiceDevice::empty(),
            msc4190: settled.made_by_name,
            names_device: self.acts_as(&settled.device).await?,
            push_ping: has_ping(&versions, &features),
            extra_devices: settled.extra,
        };
        let user_id = self.user_id().clone();
        Ok(Probe { versions, features, user_id, device: settled.device, abilities })
    }
}

/// `/appservice/{id}/ping` is stable since version 1.7.
fn has_ping(versions: &[String], features: &BTreeMap<String, bool>) -> bool {
    let minor = |version: &String| version.strip_prefix("v1.")?.parse::<u32>().ok();
    versions.iter().filter_map(minor).any(|minor| minor >= 7)
        || features.get("fi.mau.msc2659.stable").is_some_and(|on| *on)
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Abilities { empty_device_id: _, msc4190, names_device, push_ping, extra_devices } =
            &self.abilities;
        let word = |can: bool| if can { "yes" } else { "no" };
        write!(
            f,
            "homeserver up to {}, user {}, device {}, devices by name: {}, names its device: {}, ping: {}",
            self.versions.last().map_or("no version", String::as_str),
            self.user_id,
            self.device,
            word(*msc4190),
            word(*names_device),
            word(*push_ping),
        )?;
        if !extra_devices.is_empty() {
            write!(f, "; devices that should not be there:")?;
            for device in extra_devices {
                write!(f, " {device}")?;
            }
        }
        Ok(())
    }
}
