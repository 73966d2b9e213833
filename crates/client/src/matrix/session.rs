//! Accounts: made or entered, with one device.

use maypole_core::ids::{ClientId, DeviceId, UserId};
use maypole_room::description::Description;
use reqwest::Method;
use serde_json::{Value, json};

use super::http::text_of;
use super::{Http, MatrixError};

/// An account on a homeserver, with a device and its token.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) me: ClientId,
    pub(super) access_token: String,
}

impl Http {
    /// Makes a user, on a homeserver that lets anybody register.
    pub(super) async fn register(
        &self,
        localpart: &str,
        password: &str,
        device_id: &str,
    ) -> Result<Session, MatrixError> {
        let body = json!({
            "auth": {"type": "m.login.dummy"}, "username": localpart, "password": password, "device_id": device_id,
        });
        self.enter("/_matrix/client/v3/register", &body).await
    }

    /// Logs a user in on a device.
    pub(super) async fn login(
        &self,
        user: &str,
        password: &str,
        device_id: &str,
    ) -> Result<Session, MatrixError> {
        let body = json!({
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password,
            "device_id": device_id,
        });
        self.enter("/_matrix/client/v3/login", &body).await
    }

    async fn enter(&self, path: &str, body: &Value) -> Result<Session, MatrixError> {
        let request = format!("POST {path}");
        let answer = self.json(Method::POST, path, Some(body)).await?;
        let text = |pointer| text_of(&answer, pointer, &request, "names no user, device or token");
        let user = UserId::parse(text("/user_id")?);
        let device = DeviceId::parse(text("/device_id")?);
        let problem = "names a user or device that cannot be one";
        let (user, device) =
            user.zip(device).ok_or(MatrixError::Answer { request: request.clone(), problem })?;
        Ok(Session { me: ClientId { user, device }, access_token: text("/access_token")?.to_owned() })
    }

    /// What the delivery service that answers at this address says of itself.
    pub async fn describe(&self) -> Result<Description, MatrixError> {
        let path = "/_matrix/client/unstable/org.matrix.msc4244/delivery_service";
        let answer = self.json(Method::GET, path, None).await?;
        let (request, problem) = (format!("GET {path}"), "is no description of a delivery service");
        serde_json::from_value(answer).map_err(|_| MatrixError::Answer { request, problem })
    }
}
