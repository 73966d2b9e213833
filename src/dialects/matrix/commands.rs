//! A question with all its bytes, as a command to a group.

use maypole_core::auth::Authenticated;
use maypole_core::group::{Command, Request};
use maypole_core::ids::GroupId;
use maypole_core::limits;
use maypole_core::rejection::{Part, Rejection};
use maypole_room::bytes::Bytes;
use maypole_room::message::{Asked, Inside};
use ruma::RoomId;

use super::blobs::{Blobs, Memory};
use super::questions::Question;

/// A command, and the memory that its bytes take.
pub struct Ready {
    /// The command.
    pub command: Authenticated<Command>,
    memory: Memory,
}

impl Ready {
    /// How many kibibytes of it were fetched.
    pub fn blobs_kib(&self) -> usize {
        self.memory.kib()
    }
}

/// Whether all bytes of a question are at hand, so that it can take its place at once.
pub fn is_whole(asked: &Asked) -> bool {
    let inline = |bytes: &Bytes| matches!(bytes, Bytes::Inline(_));
    let others = [&asked.welcome, &asked.group_info];
    inline(&asked.message) && others.into_iter().flatten().all(inline)
}

/// Fetches what is lacking. The question itself is completed too, so that even a refusal names its group.
pub async fn ready(blobs: &Blobs, question: &mut Question) -> Result<Ready, Rejection> {
    let asked = question.message.asked.clone()?;
    let sender = question.caller.get().clone();
    let device = question.message.device.clone();
    let device = device.ok_or(Rejection::BadJson { field: "device_id", problem: "is missing" })?;
    let memory = blobs.reserve(&sender, blob_bytes(&asked)?).await?;
    let message = blobs.fetch(&sender, "message", asked.message).await?;
    let inside = match asked.inside {
        Some(inside) => inside,
        None => {
            question.message = question.message.clone().with_bytes(message.clone());
            let whole = question.message.asked.clone()?;
            whole.inside.ok_or(Rejection::UnknownGroup)?
        }
    };
    let (group, request) = match inside {
        Inside::Register { group, .. } => (group, Request::Register { group_info: message }),
        Inside::Commit { group, epoch } => {
            let group_info = match asked.group_info {
                Some(info) => Some(blobs.fetch(&sender, "commit_info.group_info", info).await?),
                None => None,
            };
            let welcome = match asked.welcome {
                Some(welcome) => Some(blobs.fetch(&sender, "commit_info.welcome", welcome).await?),
                None => None,
            };
            (group, Request::Commit { epoch, message, welcome, group_info })
        }
    };
    if matches!(request, Request::Register { .. }) && room_of(&group).is_none() {
        let problem = "the group's ID must be the room's ID";
        return Err(Rejection::terms(Part::GroupInfo, "GroupId", "protocol: registering a group", problem));
    }
    Ok(Ready { command: Command::of(&question.caller, device, group, request), memory })
}

/// How many bytes of a question lie in the media repository, if none of them is larger than it may be.
fn blob_bytes(asked: &Asked) -> Result<u64, Rejection> {
    let fields = [
        (Part::Message, Some(&asked.message), limits::COMMIT_BYTES),
        (Part::Welcome, asked.welcome.as_ref(), limits::WELCOME_BYTES),
        (Part::GroupInfo, asked.group_info.as_ref(), limits::GROUP_INFO_BYTES),
    ];
    let mut sum = 0_u64;
    for (part, bytes, bound) in fields {
        let Some(Bytes::Blob(blob)) = bytes else { continue };
        let limit_bytes = u64::try_from(bound).unwrap_or(u64::MAX);
        if blob.size_bytes > limit_bytes {
            return Err(Rejection::TooLarge { what: part.noun(), limit_bytes });
        }
        sum = sum.saturating_add(blob.size_bytes);
    }
    Ok(sum)
}

/// The room of a group: its ID is the room's.
pub fn room_of(group: &GroupId) -> Option<maypole_core::ids::RoomId> {
    let text = std::str::from_utf8(group.as_bytes()).ok()?;
    RoomId::parse(text).ok()?;
    maypole_core::ids::RoomId::parse(text)
}
