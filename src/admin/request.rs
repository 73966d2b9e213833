//! What may be asked: a line of JSON in, a command out.

use maypole_core::ids::{Epoch, FreezeReason, GroupId, RoomId};
use maypole_core::limits;
use serde_json::{Map, Value, json};

use super::LogRange;
use super::inspection::{group_as_text, group_of_text};

/// The commands that there are.
const COMMANDS: &str = "`explain`, `freeze`, `unfreeze`, `frozen`, `log`, `check`, `copy`";

/// What the operator asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// What is known about the group of a room.
    Explain(RoomId),
    /// That the group of a room takes no commands.
    Freeze(RoomId, FreezeReason),
    /// That it takes them again.
    Unfreeze(RoomId),
    /// Which groups take none, from behind this group on.
    Frozen(Option<GroupId>),
    /// What the log of a room's group has of these epochs.
    Log(RoomId, LogRange),
    /// Whether what is stored fits together, from behind this group on.
    Check(Option<GroupId>),
    /// A copy of the whole store.
    Copy,
}

impl Command {
    /// Reads a request. The error is a sentence for whoever wrote it.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let request: Map<String, Value> = serde_json::from_slice(line).map_err(|_| {
            r#"the request is not a JSON object; ask like this: {"command": "explain", "room": "!…"}"#
                .to_owned()
        })?;
        match request.get("command").and_then(Value::as_str) {
            Some("explain") => Asked::of("explain", &request, &["room"])?.room().map(Self::Explain),
            Some("freeze") => {
                let asked = Asked::of("freeze", &request, &["room", "reason"])?;
                Ok(Self::Freeze(asked.room()?, asked.reason()?))
            }
            Some("unfreeze") => Asked::of("unfreeze", &request, &["room"])?.room().map(Self::Unfreeze),
            Some("frozen") => Asked::of("frozen", &request, &["after"])?.after().map(Self::Frozen),
            Some("log") => {
                let asked = Asked::of("log", &request, &["room", "from", "to"])?;
                Ok(Self::Log(asked.room()?, asked.range()?))
            }
            Some("check") => Asked::of("check", &request, &["after"])?.after().map(Self::Check),
            Some("copy") => Asked::of("copy", &request, &[]).map(|_| Self::Copy),
            Some(_) => Err(format!("there is no such command; there are: {COMMANDS}")),
            None => Err(format!("the request has no `command`; there are: {COMMANDS}")),
        }
    }

    /// The request, without the line's end.
    pub(super) fn write(&self) -> String {
        match self {
            Self::Explain(room) => json!({"command": "explain", "room": room}),
            Self::Freeze(room, reason) => json!({"command": "freeze", "room": room, "reason": reason}),
            Self::Unfreeze(room) => json!({"command": "unfreeze", "room": room}),
            Self::Frozen(None) => json!({"command": "frozen"}),
            Self::Frozen(Some(after)) => json!({"command": "frozen", "after": group_as_text(after)}),
            Self::Check(None) => json!({"command": "check"}),
            Self::Check(Some(after)) => json!({"command": "check", "after": group_as_text(after)}),
            Self::Copy => json!({"command": "copy"}),
            Self::Log(room, LogRange { from, to: None }) => {
                json!({"command": "log", "room": room, "from": from})
            }
            Self::Log(room, LogRange { from, to }) => {
                json!({"command": "log", "room": room, "from": from, "to": to})
            }
        }
        .to_string()
    }

    /// The room that it is about, if it is about one.
    pub(super) fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Explain(room) | Self::Freeze(room, _) | Self::Unfreeze(room) | Self::Log(room, _) => {
                Some(room)
            }
            Self::Frozen(_) | Self::Check(_) | Self::Copy => None,
        }
    }
}

/// A request whose command is known.
struct Asked<'a> {
    command: &'static str,
    request: &'a Map<String, Value>,
}

impl<'a> Asked<'a> {
    /// A request that has no other fields than these.
    fn of(
        command: &'static str,
        request: &'a Map<String, Value>,
        fields: &'static [&'static str],
    ) -> Result<Self, String> {
        let known = |key: &&String| key.as_str() == "command" || fields.contains(&key.as_str());
        if let Some(odd) = request.keys().find(|key| !known(key)) {
            let takes: Vec<String> = fields.iter().map(|field| format!("a `{field}`")).collect();
            let takes = if takes.is_empty() { "nothing else".to_owned() } else { takes.join(", ") };
            return Err(format!("`{command}` takes {takes} and no {odd:?}"));
        }
        Ok(Self { command, request })
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.request.get(field).and_then(Value::as_str)
    }

    fn room(&self) -> Result<RoomId, String> {
        let room = self.text("room").filter(|room| ruma::RoomId::parse(*room).is_ok());
        let wrong = || format!("`{}` takes a `room`: a room ID such as !abc:a.org", self.command);
        room.and_then(RoomId::parse).ok_or_else(wrong)
    }

    /// From the first epoch on if `from` is not there, to the newest if `to` is not.
    fn range(&self) -> Result<LogRange, String> {
        let wrong = |field| format!("`{}` takes `{field}`: the number of an epoch", self.command);
        let epoch = |field: &'static str| match self.request.get(field) {
            None => Ok(None),
            Some(value) => value.as_u64().and_then(Epoch::new).map(Some).ok_or_else(|| wrong(field)),
        };
        Ok(LogRange { from: epoch("from")?.unwrap_or(Epoch::ZERO), to: epoch("to")? })
    }

    /// Behind which group, if the question is not of the first.
    fn after(&self) -> Result<Option<GroupId>, String> {
        let wrong = || format!("`{}` takes `after`: what the answer before said as `next`", self.command);
        match self.request.get("after") {
            None => Ok(None),
            Some(_) => self.text("after").and_then(group_of_text).map(Some).ok_or_else(wrong),
        }
    }

    fn reason(&self) -> Result<FreezeReason, String> {
        let wrong = || {
            let (command, most) = (self.command, limits::FREEZE_REASON_BYTES);
            format!(
                "`{command}` takes a `reason`: a sentence for the group's members, of at most {most} bytes"
            )
        };
        self.text("reason").and_then(FreezeReason::parse).ok_or_else(wrong)
    }
}
