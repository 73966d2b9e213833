//! Device keys and one-time keys: published, looked up, claimed.

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;

use super::User;

impl User {
    /// Publishes keys of this device: a whole `/keys/upload` body.
    pub async fn upload_keys(&self, body: &Value) -> Result<Value> {
        self.request(Method::POST, "/_matrix/client/v3/keys/upload", Some(body)).await
    }

    /// Looks devices' keys up: a whole `/keys/query` body.
    pub async fn query_keys(&self, body: &Value) -> Result<Value> {
        self.request(Method::POST, "/_matrix/client/v3/keys/query", Some(body)).await
    }

    /// Claims one-time keys: a whole `/keys/claim` body.
    pub async fn claim_keys(&self, body: &Value) -> Result<Value> {
        self.request(Method::POST, "/_matrix/client/v3/keys/claim", Some(body)).await
    }
}
