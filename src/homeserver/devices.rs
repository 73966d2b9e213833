//! The service's user and its one device.
//!
//! `*` addresses all devices of a user, so exactly one must exist, or messages pile up in the others and are taken for
//! delivered. Its ID should be empty (MSC4246). Where a homeserver will not have that, it is the one that it chose.

use std::fmt;

use maypole_core::limits;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Homeserver;
use super::call::Call;
use super::error::CallError;

/// The ID of the service's device; unlike others it may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ServiceDevice(String);

impl ServiceDevice {
    /// The device whose ID is the empty string.
    pub fn empty() -> Self {
        Self(String::new())
    }

    /// Takes an ID if it is not too long.
    pub fn parse(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        (id.len() <= limits::DEVICE_ID_BYTES).then_some(Self(id))
    }

    /// The ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_default())
    }
}

/// What was found out about the device.
pub(super) struct Settled {
    /// The one to use.
    pub(super) device: ServiceDevice,
    /// Whether devices can be made by name (MSC4190).
    pub(super) made_by_name: bool,
    /// Devices that should not be there and could not be deleted.
    pub(super) extra: Vec<ServiceDevice>,
}

/// What the device is called in lists that people see.
const DISPLAY_NAME: &str = "Maypole";
/// The ID to ask for where an empty one is refused.
const NAMED: &str = "MAYPOLE";

#[derive(Deserialize)]
struct WhoAmI {
    user_id: String,
    #[serde(default)]
    device_id: Option<String>,
}

#[derive(Deserialize)]
struct Devices {
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    device_id: String,
}

impl Homeserver {
    /// Whether the homeserver lets us act as our user, which also means that the user exists.
    pub(super) async fn user_exists(&self) -> Result<bool, CallError> {
        const NAME: &str = "GET /account/whoami";
        match self.ask_for::<WhoAmI>(Call::get(NAME, &WHOAMI)).await {
            Ok(who) if who.user_id == self.user_id().as_str() => Ok(true),
            Ok(who) => {
                let why =
                    format!("asked as {}, it takes us for {}", self.user_id(), self.quote(&who.user_id));
                Err(CallError::Broken { call: NAME, why })
            }
            Err(CallError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes our user. First with a device, for homeservers that make devices in no other way; those where devices
    /// are made by name refuse that, and are asked without.
    pub(super) async fn register(&self) -> Result<(), CallError> {
        let mut outcome = self.register_once(false).await;
        if matches!(&outcome, Err(error) if !error.is_transient() && !in_use(error)) {
            outcome = self.register_once(true).await;
        }
        match outcome {
            Err(error) if in_use(&error) => Ok(()),
            outcome => outcome,
        }
    }

    async fn register_once(&self, inhibit_login: bool) -> Result<(), CallError> {
        let body = json!({
            "type": "m.login.application_service", "username": self.0.localpart, "inhibit_login": inhibit_login,
        });
        let call = Call::post("POST /register", &["client", "v3", "register"], body.to_string().into_bytes());
        self.ask_to_do(call.without_user()).await
    }

    /// Sees to it that there is one device and no other.
    pub(super) async fn settle_device(&self) -> Result<Settled, CallError> {
        let mut made_by_name = self.make_device("").await?;
        let mut devices = self.devices().await?;
        if devices.is_empty() {
            made_by_name = self.make_device(NAMED).await?;
            if !made_by_name {
                self.log_in().await?;
            }
            devices = self.devices().await?;
        }
        // Sorted, the empty ID is the first; among others the choice must be the same at every start.
        let Some(device) = devices.first().cloned() else {
            let why = format!("it gives {} no device, so no message can reach it", self.user_id());
            return Err(CallError::Broken { call: "GET /devices", why });
        };
        devices.retain(|other| *other != device);
        if !devices.is_empty() {
            self.delete_devices(&devices).await?;
            devices = self.devices().await?;
            devices.retain(|other| *other != device);
        }
        Ok(Settled { device, made_by_name, extra: devices })
    }

    /// Whether the homeserver lets us act as this device, so that `/sync` reads its messages.
    pub(super) async fn acts_as(&self, device: &ServiceDevice) -> Result<bool, CallError> {
        let call = Call::get("GET /account/whoami as the device", &WHOAMI)
            .query("device_id", device.as_str())
            .query("org.matrix.msc3202.device_id", device.as_str());
        match self.ask_for::<WhoAmI>(call).await {
            Ok(who) => Ok(who.device_id.as_deref() == Some(device.as_str())),
            Err(CallError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All devices of our user, sorted.
    async fn devices(&self) -> Result<Vec<ServiceDevice>, CallError> {
        let call = Call::get("GET /devices", &["client", "v3", "devices"]);
        let Devices { devices } = self.ask_for(call).await?;
        let mut devices: Vec<_> = devices.into_iter().map(|device| ServiceDevice(device.device_id)).collect();
        devices.sort_unstable();
        devices.dedup();
        Ok(devices)
    }

    /// Whether a device of this name is there now.
    async fn make_device(&self, id: &str) -> Result<bool, CallError> {
        let body = json!({"display_name": DISPLAY_NAME}).to_string().into_bytes();
        self.attempt(Call::put("PUT /devices/{device}", &["client", "v3", "devices", id], body)).await
    }

    /// Whether the homeserver did something that not every homeserver can. Those that do not know the way may answer
    /// as if there were no such page at all; one that is merely unwell says nothing about what it can do.
    async fn attempt(&self, call: Call<'_>) -> Result<bool, CallError> {
        let name = call.name();
        let answer = self.exchange(call).await?;
        let client_error = (400..500).contains(&answer.status);
        match self.judge(name, answer) {
            Ok(_) => Ok(true),
            Err(CallError::Refused { .. } | CallError::Broken { .. }) if client_error => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the homeserver make a device as for a person who logs in. The token in its answer is not used.
    async fn log_in(&self) -> Result<(), CallError> {
        let body = json!({
            "type": "m.login.application_service", "identifier": {"type": "m.id.user", "user": self.0.localpart},
            "initial_device_display_name": DISPLAY_NAME,
        });
        let call = Call::post("POST /login", &["client", "v3", "login"], body.to_string().into_bytes());
        self.ask_to_do(call.without_user()).await
    }

    /// Deletes devices, as far as the homeserver lets us without a password (MSC4190).
    async fn delete_devices(&self, devices: &[ServiceDevice]) -> Result<(), CallError> {
        for some in devices.chunks(limits::DEVICES_DELETED_AT_ONCE) {
            let body = json!({"devices": some}).to_string().into_bytes();
            let call = Call::post("POST /delete_devices", &["client", "v3", "delete_devices"], body);
            self.attempt(call).await?;
        }
        Ok(())
    }
}

const WHOAMI: [&str; 4] = ["client", "v3", "account", "whoami"];

fn in_use(error: &CallError) -> bool {
    error.errcode() == Some("M_USER_IN_USE")
}
