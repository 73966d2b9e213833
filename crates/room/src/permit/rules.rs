//! The authorisation rules of a room, asked by hypothetical events.

use ruma::events::{StateEventType, TimelineEventType};
use ruma::room_version_rules::AuthorizationRules;
use ruma::state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField as Level};
use ruma::state_res::{Event, check_state_dependent_auth_rules};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UInt, UserId,
};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::{MemberChange, RoomState, StateEvent, joined};
use crate::invite::NotOurs;
use crate::member_event::plain_content;

/// What the service must be able to do, at any time.
const NEEDED: [(Level, &str); 3] = [(Level::Invite, "invite"), (Level::Kick, "kick"), (Level::Ban, "ban")];

/// The rules of a room, by its version and its current state.
pub(super) struct Rules<'a> {
    state: &'a RoomState,
    rules: AuthorizationRules,
}

impl<'a> Rules<'a> {
    /// The rules, if the room is of a version that is served.
    pub(super) fn of(state: &'a RoomState) -> Result<Self, NotOurs> {
        let version = state.creation()?.version;
        let served = matches!(version, RoomVersionId::V11 | RoomVersionId::V12);
        let rules = version.rules().filter(|_| served).ok_or(NotOurs::Version(version))?;
        Ok(Self { state, rules: rules.authorization })
    }

    /// Whether a user may bring about a membership; if not, why.
    pub(super) fn may_change(&self, sender: &UserId, change: &MemberChange) -> Result<(), String> {
        let content = Value::from(plain_content(change));
        self.check(sender, TimelineEventType::RoomMember, change.user.as_str(), &content)
    }

    /// Whether a user may send a state event; if not, why.
    pub(super) fn may_send(&self, sender: &UserId, kind: &str, state_key: &str) -> Result<(), String> {
        self.check(sender, kind.into(), state_key, &Value::Object(serde_json::Map::new()))
    }

    /// Whether the service is in the room and has the power that it needs; if not, why.
    pub(super) fn empower(&self, service: &UserId) -> Result<(), String> {
        if !joined(self.state, service.as_str()) {
            return Err(format!("the delivery service {service} is not in the room"));
        }
        let create = self.fetch(&StateEventType::RoomCreate, "").ok_or("the room has no create event")?;
        let is_creator = RoomCreateEvent::new(create).creators(&self.rules)?.contains(service);
        if is_creator && self.rules.explicitly_privilege_room_creators {
            return Ok(());
        }
        let Some(levels) = self.fetch(&StateEventType::RoomPowerLevels, "") else {
            // The creator of a room has all power until somebody says otherwise, and nobody else has any.
            let lacks = format!("the delivery service {service} has no power: the room has no power levels");
            return if is_creator { Ok(()) } else { Err(lacks) };
        };
        let levels = RoomPowerLevelsEvent::new(levels);
        let own = levels.user_power_level(service, &self.rules)?;
        for (level, what) in NEEDED {
            let needed = levels.get_as_int_or_default(level, &self.rules)?;
            if own < needed {
                return Err(format!(
                    "the delivery service {service} has power {own} and needs {needed} to {what}"
                ));
            }
        }
        Ok(())
    }

    fn check(
        &self,
        sender: &UserId,
        kind: TimelineEventType,
        key: &str,
        content: &Value,
    ) -> Result<(), String> {
        let event = Pdu {
            event_id: ruma::owned_event_id!("$hypothetical"),
            room_id: self.state.room_id().to_owned(),
            sender: sender.to_owned(),
            kind,
            state_key: key.to_owned(),
            content: raw(content),
        };
        check_state_dependent_auth_rules(&self.rules, event, |kind, key| self.fetch(kind, key))
    }

    fn fetch(&self, kind: &StateEventType, state_key: &str) -> Option<Pdu> {
        let event = self.state.get(&kind.to_string(), state_key)?;
        Some(Pdu::of(self.state.room_id(), event))
    }
}

/// An event as ruma's rules see it.
struct Pdu {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    kind: TimelineEventType,
    state_key: String,
    content: Box<RawValue>,
}

impl Pdu {
    fn of(room_id: &RoomId, event: &StateEvent) -> Self {
        Self {
            event_id: event.event_id.clone(),
            room_id: room_id.to_owned(),
            sender: event.sender.clone(),
            kind: event.kind.as_str().into(),
            state_key: event.state_key.clone(),
            content: raw(&event.content),
        }
    }
}

/// JSON that is there can be written; were it not, the rules would refuse the `null` that stands in for it.
fn raw(content: &Value) -> Box<RawValue> {
    to_raw_value(content).unwrap_or_default()
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        Some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::MIN)
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        Some(&self.state_key)
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(std::iter::empty())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(std::iter::empty())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }

    fn rejected(&self) -> bool {
        false
    }
}
