//! `/sync` as the service's own user: the intake. It loses nothing; pushes to application services do.

use std::time::Duration;

use maypole_core::ids::SyncToken;

use super::call::Call;
use super::error::CallError;
use super::page::{self, SyncPage, Unusable};
use super::{Homeserver, ServiceDevice};

/// To-device messages and invites, and of all else as little as can be asked for. To-device messages and invites
/// cannot be filtered, so they need no mention; `"rooms": []` would take away the invites too.
const FILTER: &str = concat!(
    r#""presence":{"types":[]},"account_data":{"types":[]},"room":{"timeline":{"types":[],"limit":1},"#,
    r#""state":{"types":[]},"ephemeral":{"types":[]},"account_data":{"types":[]},"include_leave":false}"#
);

const NAME: &str = "GET /sync";

impl Homeserver {
    /// Waits up to `wait` for something to happen, and says what.
    ///
    /// Asking from a token acknowledges everything up to it, for everybody who asks for this device: only one process
    /// may, and only when that page is stored. Synapse does so even for a token that it has not given yet: when it
    /// was restored from a backup, an old token of ours lies in its future and acknowledges what nobody has read.
    /// Asking without a token acknowledges nothing, and gives again whatever is not acknowledged.
    ///
    /// The homeserver refuses with `M_UNKNOWN_DEVICE` when the device is gone: then probe again.
    pub async fn sync(
        &self,
        device: &ServiceDevice,
        since: Option<&SyncToken>,
        wait: Duration,
    ) -> Result<SyncPage, CallError> {
        // Synapse answers the same question the same way for two minutes. Without a token that would give again what
        // was acknowledged meanwhile, so each such question is made a new one.
        let filter = match since {
            Some(_) => format!("{{{FILTER}}}"),
            None => format!("{{\"maypole\":{},{FILTER}}}", self.unique()),
        };
        let mut call = Call::get(NAME, &["client", "v3", "sync"])
            .query("device_id", device.as_str())
            .query("org.matrix.msc3202.device_id", device.as_str())
            .query("timeout", wait.as_millis().to_string())
            .query("set_presence", "offline")
            .query("filter", filter)
            .held_for(wait);
        if let Some(since) = since {
            call = call.query("since", since.as_str());
        }
        let body = self.ask(call).await?;
        page::read(&body, &self.0.user_id, self.0.auth).map_err(|unusable| {
            let why = match unusable {
                Unusable::NotAnObject => "something that is not a JSON object",
                Unusable::NoNextBatch => "no `next_batch`",
            };
            CallError::Broken { call: NAME, why: why.to_owned() }
        })
    }
}
