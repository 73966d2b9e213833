//! What one `/sync` brought: every event read on its own, so that a poisoned one spoils nothing but itself.

use maypole_core::auth::{AuthToken, Authenticated, Caller};
use maypole_core::ids::{RoomId, SyncToken, UserId};
use maypole_core::limits;
use serde_json::value::RawValue;

use super::json::Members;

/// What one `/sync` brought, to be stored in one write with the token.
#[derive(Debug)]
pub struct SyncPage {
    /// Where the next `/sync` goes on; asking from there acknowledges the messages in this page.
    pub next_batch: SyncToken,
    /// Messages to the service's device, in order.
    pub to_device: Vec<Result<ToDevice, Poisoned>>,
    /// Rooms that the service is invited to.
    pub invites: Vec<Result<Invite, Poisoned>>,
    /// How long the answer was.
    pub answer_bytes: usize,
}

/// A message from one device, whose sender the homeserver vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToDevice {
    /// Who sent it.
    pub sender: Caller,
    /// The event type, as the client spelled it.
    pub kind: String,
    /// The content, byte for byte as the homeserver passed it on. It is some JSON value, however odd.
    pub content: Vec<u8>,
}

/// An invitation to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// The room.
    pub room: RoomId,
    /// Who invites: the sender of our own membership event.
    pub inviter: Caller,
    /// The list of stripped state events, byte for byte. Where the room is another server's, its word and no more.
    pub state: Vec<u8>,
}

/// Something that cannot be read, for the operator to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poisoned {
    /// Its first bytes.
    pub raw: Vec<u8>,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Poisoned {
    fn new(raw: &str, reason: &'static str) -> Self {
        let kept = raw.as_bytes().get(..limits::POISONED_BYTES).unwrap_or(raw.as_bytes());
        Self { raw: kept.to_vec(), reason }
    }
}

/// The page is unusable as a whole: there is no way to go on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    NotAnObject,
    NoNextBatch,
}

/// Reads a page.
pub(super) fn read(body: &[u8], us: &UserId, auth: AuthToken) -> Result<SyncPage, Unusable> {
    // A homeserver that passes on invalid UTF-8 has one bad event; the others must not go down with it.
    let text = String::from_utf8_lossy(body);
    let mended = matches!(text, std::borrow::Cow::Owned(_));
    let page: Members<'_> = serde_json::from_str(&text).map_err(|_| Unusable::NotAnObject)?;
    let next_batch = page.read("next_batch").and_then(|token: String| SyncToken::parse(token));
    let whole =
        |raw: &RawValue| if mended && raw.get().contains('\u{FFFD}') { Err("not UTF-8") } else { Ok(()) };
    let to_device = page.last("to_device").map_or_else(Vec::new, |section| {
        each_event(section, |raw| whole(raw).and_then(|()| to_device(raw, auth)))
    });
    let invites = page.last("rooms").map_or_else(Vec::new, |section| {
        each_invite(section, |room, raw| whole(raw).and_then(|()| invite(room, raw, us, auth)))
    });
    Ok(SyncPage {
        next_batch: next_batch.ok_or(Unusable::NoNextBatch)?,
        to_device,
        invites,
        answer_bytes: body.len(),
    })
}

/// Reads each of a section's `events` on its own.
fn each_event<T>(
    section: &RawValue,
    read: impl Fn(&RawValue) -> Result<T, &'static str>,
) -> Vec<Result<T, Poisoned>> {
    let poisoned = |reason| vec![Err(Poisoned::new(section.get(), reason))];
    let Some(members) = Members::of(section) else { return poisoned("the section is not an object") };
    let Some(events) = members.last("events") else { return Vec::new() };
    let Ok(events) = serde_json::from_str::<Vec<&RawValue>>(events.get()) else {
        return poisoned("`events` is not an array");
    };
    events.into_iter().map(|raw| read(raw).map_err(|reason| Poisoned::new(raw.get(), reason))).collect()
}

/// Reads each of the invitations on its own.
fn each_invite<T>(
    section: &RawValue,
    read: impl Fn(&str, &RawValue) -> Result<T, &'static str>,
) -> Vec<Result<T, Poisoned>> {
    let poisoned = |reason| vec![Err(Poisoned::new(section.get(), reason))];
    let Some(members) = Members::of(section) else { return poisoned("`rooms` is not an object") };
    let Some(invites) = members.last("invite") else { return Vec::new() };
    let Some(invites) = Members::of(invites) else { return poisoned("`invite` is not an object") };
    let read = |(room, raw): (String, &RawValue)| {
        read(&room, raw).map_err(|reason| Poisoned::new(&format!("{room}: {}", raw.get()), reason))
    };
    invites.into_vec().into_iter().map(read).collect()
}

fn to_device(raw: &RawValue, auth: AuthToken) -> Result<ToDevice, &'static str> {
    let members = Members::of(raw).ok_or("not an object")?;
    if members.repeat() {
        return Err("a name stands twice");
    }
    let sender = user(&members, "sender").ok_or("no valid `sender`")?;
    let kind: String = members.read("type").ok_or("no valid `type`")?;
    if kind.is_empty() || kind.len() > limits::EVENT_TYPE_BYTES {
        return Err("the `type` is empty or too long");
    }
    let content = members.last("content").ok_or("no `content`")?.get();
    if content.len() > limits::TO_DEVICE_SPELLED_BYTES {
        return Err("the `content` is too long");
    }
    Ok(ToDevice { sender: Authenticated::by(auth, sender), kind, content: content.as_bytes().to_vec() })
}

fn invite(room: &str, raw: &RawValue, us: &UserId, auth: AuthToken) -> Result<Invite, &'static str> {
    let room =
        Some(room).filter(|room| room.starts_with('!')).and_then(RoomId::parse).ok_or("not a room ID")?;
    let members = Members::of(raw).ok_or("not an object")?;
    let state = members.last("invite_state").ok_or("no `invite_state`")?.get();
    if state.len() > limits::INVITE_STATE_BYTES {
        return Err("the `invite_state` is too long");
    }
    let state = members.last("invite_state").and_then(Members::of).and_then(|state| state.last("events"));
    let state = state.ok_or("no `events`")?.get();
    let events: Vec<&RawValue> = serde_json::from_str(state).map_err(|_| "no valid `events`")?;
    // Our own homeserver puts the invite itself last; whatever stands before may be another server's invention.
    let inviter =
        events.into_iter().rev().find_map(|event| inviter(event, us)).ok_or("no invite of ours in it")?;
    Ok(Invite { room, inviter: Authenticated::by(auth, inviter), state: state.as_bytes().to_vec() })
}

/// Who sent this event, if it is our invitation.
fn inviter(event: &RawValue, us: &UserId) -> Option<UserId> {
    let event = Members::of(event)?;
    let ours =
        event.read::<String>("type")? == "m.room.member" && event.read::<String>("state_key")? == us.as_str();
    let membership: String = Members::of(event.last("content")?)?.read("membership")?;
    user(&event, "sender").filter(|_| ours && membership == "invite")
}

fn user(members: &Members<'_>, name: &str) -> Option<UserId> {
    let text: String = members.read(name)?;
    ruma::UserId::parse(&text).ok()?;
    UserId::parse(text)
}
