//! What may be asked: a line of JSON in, a command out.

use maypole_core::ids::RoomId;
use serde_json::{Map, Value, json};

/// The commands that there are.
const COMMANDS: &str = "`explain`";

/// What the operator asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// What is known about the group of a room.
    Explain(RoomId),
}

impl Command {
    /// Reads a request. The error is a sentence for whoever wrote it.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let request: Map<String, Value> = serde_json::from_slice(line).map_err(|_| {
            r#"the request is not a JSON object; ask like this: {"command": "explain", "room": "!…"}"#
                .to_owned()
        })?;
        match request.get("command").and_then(Value::as_str) {
            Some("explain") => Self::explain(&request),
            Some(_) => Err(format!("there is no such command; there are: {COMMANDS}")),
            None => Err(format!("the request has no `command`; there are: {COMMANDS}")),
        }
    }

    fn explain(request: &Map<String, Value>) -> Result<Self, String> {
        if let Some(odd) = request.keys().find(|key| !matches!(key.as_str(), "command" | "room")) {
            return Err(format!("`explain` takes a `room` and no {odd:?}"));
        }
        let room = request.get("room").and_then(Value::as_str);
        let room = room.filter(|room| ruma::RoomId::parse(*room).is_ok()).and_then(RoomId::parse);
        Ok(Self::Explain(room.ok_or("`explain` takes a `room`: a room ID such as !abc:a.org")?))
    }

    /// The request, without the line's end.
    pub(super) fn write(&self) -> String {
        match self {
            Self::Explain(room) => json!({"command": "explain", "room": room.as_str()}).to_string(),
        }
    }
}
