//! Notes that the service keeps with the homeserver, of its own account and seen by nobody else.

use serde_json::{Map, Value};

use super::Homeserver;
use super::call::Call;
use super::error::CallError;

impl Homeserver {
    /// A note, if there is one.
    pub async fn account_data(&self, kind: &str) -> Result<Option<Map<String, Value>>, CallError> {
        let path = ["client", "v3", "user", self.user_id().as_str(), "account_data", kind];
        match self.ask_for(Call::get("GET /user/{user}/account_data/{type}", &path)).await {
            Err(CallError::Refused { status: 404, errcode, .. }) if errcode == "M_NOT_FOUND" => Ok(None),
            note => note.map(Some),
        }
    }

    /// Writes a note in the place of the one before.
    pub async fn put_account_data(&self, kind: &str, note: &Map<String, Value>) -> Result<(), CallError> {
        const NAME: &str = "PUT /user/{user}/account_data/{type}";
        let path = ["client", "v3", "user", self.user_id().as_str(), "account_data", kind];
        let unaskable =
            |error: serde_json::Error| CallError::Unaskable { call: NAME, why: error.to_string() };
        let content = serde_json::to_vec(note).map_err(unaskable)?;
        self.ask_to_do(Call::put(NAME, &path, content)).await
    }
}
