//! Asks the homeserver to push to us, to learn whether its way to us is open. A successful ping also makes Synapse
//! retry at once what it holds back.

use std::time::Duration;

use maypole_core::ids::TxnId;
use serde::{Deserialize, Serialize};

use super::Homeserver;
use super::call::{Answer, Call, not_as_promised};
use super::error::CallError;

/// The homeserver cannot reach us, or we not the homeserver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// The registration has no `url`.
    #[error(
        "the registration that the homeserver has loaded has no `url`: set it, and restart the homeserver"
    )]
    UrlNotSet,
    /// Something answered at our address, but not as we do.
    #[error(
        "the homeserver's ping was answered with HTTP status {}: see that `url` in the registration leads to this \
         service, and that `hs_token` is the same in both",
        .status.map_or_else(|| "unknown".to_owned(), |status| status.to_string())
    )]
    BadStatus {
        /// The status that the homeserver got.
        status: Option<u16>,
    },
    /// Nobody answered at our address.
    #[error(
        "the homeserver cannot connect to `url` of the registration ({0}): see address, port and firewall"
    )]
    ConnectionFailed(String),
    /// Our address swallowed the request.
    #[error(
        "the homeserver's ping timed out: `url` of the registration leads to something that does not answer"
    )]
    ConnectionTimeout,
    /// The homeserver itself could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

#[derive(Serialize)]
struct Ping<'a> {
    transaction_id: &'a str,
}

#[derive(Deserialize)]
struct Pong {
    duration_ms: u64,
}

#[derive(Deserialize)]
struct NoPong {
    errcode: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    status: Option<u16>,
}

const NAME: &str = "POST /appservice/{id}/ping";

impl Homeserver {
    /// Has the homeserver call us with this transaction ID, and says how long that took it.
    pub async fn ping(&self, txn_id: &TxnId) -> Result<Duration, PingError> {
        let body = serde_json::to_vec(&Ping { transaction_id: txn_id.as_str() })
            .map_err(|_| CallError::Unaskable { call: NAME, why: "the ID cannot be written".to_owned() })?;
        let path = ["client", "v1", "appservice", &self.0.appservice_id, "ping"];
        let answer = self.exchange(Call::post(NAME, &path, body).without_user()).await?;
        if let Some(error) = self.told(&answer) {
            return Err(error);
        }
        let body = self.judge(NAME, answer)?;
        let pong: Pong = serde_json::from_slice(&body).map_err(|error| not_as_promised(NAME, &error))?;
        Ok(Duration::from_millis(pong.duration_ms))
    }

    /// What the homeserver says about its own attempt. It uses statuses for that which otherwise mean that the
    /// homeserver itself is broken.
    fn told(&self, answer: &Answer) -> Option<PingError> {
        if answer.status < 400 {
            return None;
        }
        let said: NoPong = serde_json::from_slice(&answer.body).ok()?;
        match said.errcode.as_str() {
            "M_URL_NOT_SET" => Some(PingError::UrlNotSet),
            "M_BAD_STATUS" => Some(PingError::BadStatus { status: said.status }),
            "M_CONNECTION_FAILED" => Some(PingError::ConnectionFailed(self.quote(&said.error))),
            "M_CONNECTION_TIMEOUT" => Some(PingError::ConnectionTimeout),
            _ => None,
        }
    }
}
