//! Every cell of the table of docs/protocol.md §4, and registrations, in rooms of versions 11 and 12.

mod citations;
mod committers;
mod devices;
mod invites;
mod powers;
mod proposers;
mod registrations;
mod removals;

use maypole_core::ids::{ClientId, DeviceId, UserId};
use maypole_core::permit::UserChange;
use serde_json::{Value, json};

use super::*;

const VERSIONS: [&str; 2] = ["11", "12"];

/// The service's account.
const SERVICE: &str = "@:a.org";
/// Created the room.
const ALICE: &str = "@alice:a.org";
/// Has joined, with a level of 50.
const MODERATOR: &str = "@mod:a.org";
/// Has joined, with no level of his own.
const BOB: &str = "@bob:b.org";
/// Is not in the room.
const CAROL: &str = "@carol:a.org";

const POWER_LEVELS: &str = "m.room.power_levels";
const HISTORY_VISIBILITY: &str = "m.room.history_visibility";

/// A room, as it is built for a test.
#[derive(Clone)]
struct Room {
    version: &'static str,
    state: RoomState,
    events: usize,
}

impl Room {
    /// A room that alice made and the service serves. Inviting needs a level of 50.
    fn new(version: &'static str) -> Self {
        let room_id = if version == "12" { format!("!{}", "r".repeat(43)) } else { "!room:a.org".into() };
        let state = RoomState::new(ruma::RoomId::parse(room_id).unwrap(), []);
        let mut creation = json!({"room_version": version, "encryption_algorithm": "m.mls.10", "m.mls.delivery_service": SERVICE});
        if version == "12" {
            creation["additional_creators"] = json!([SERVICE]);
        }
        let room = Self { version, state, events: 0 }.put("m.room.create", "", creation);
        let room = [ALICE, SERVICE, MODERATOR, BOB].iter().fold(room, |room, user| room.member(user, "join"));
        room.levels(json!({})).put(HISTORY_VISIBILITY, "", json!({"history_visibility": "shared"}))
    }

    /// An event of alice's.
    fn put(mut self, kind: &str, state_key: &str, content: Value) -> Self {
        self.events += 1;
        self.state.put(StateEvent {
            event_id: ruma::EventId::parse(format!("$event{}:a.org", self.events)).unwrap(),
            sender: ruma::UserId::parse(ALICE).unwrap(),
            kind: kind.into(),
            state_key: state_key.into(),
            content,
        });
        self
    }

    fn member(self, user: &str, membership: &str) -> Self {
        self.put("m.room.member", user, json!({"membership": membership}))
    }

    /// The usual power levels, but for these. In version 12, creators have all power and no level.
    fn levels(self, changes: Value) -> Self {
        let mut levels = json!({"invite": 50, "users": {MODERATOR: 50}});
        if self.version == "11" {
            levels["users"] = json!({MODERATOR: 50, ALICE: 100, SERVICE: 100});
        }
        for (key, value) in changes.as_object().unwrap() {
            match (key.as_str(), value) {
                ("users", Value::Object(users)) => {
                    users.iter().for_each(|(user, level)| levels["users"][user] = level.clone());
                }
                _ => levels[key] = value.clone(),
            }
        }
        self.put(POWER_LEVELS, "", levels)
    }

    /// Exactly these power levels.
    fn exact_levels(self, levels: Value) -> Self {
        self.put(POWER_LEVELS, "", levels)
    }

    fn visibility(self, visibility: &str) -> Self {
        self.put(HISTORY_VISIBILITY, "", json!({"history_visibility": visibility}))
    }

    /// The room without an event; version 11 and 12 cannot lose one, but it may never have had it.
    fn without(self, kind: &str) -> Self {
        let events: Vec<_> = self.state.events().filter(|event| event.kind != kind).cloned().collect();
        Self { state: RoomState::new(self.state.room_id().to_owned(), events), ..self }
    }

    /// A room of version 12 whose service is no creator but has that level; in version 11, only that.
    fn service_level(self, level: i64) -> Self {
        let mut creation = self.state.get("m.room.create", "").unwrap().content.clone();
        creation.as_object_mut().unwrap().remove("additional_creators");
        self.put("m.room.create", "", creation).levels(json!({"users": {SERVICE: level}}))
    }

    fn id(&self, kind: &str) -> String {
        self.state.get(kind, "").unwrap().event_id.to_string()
    }

    /// The IDs of the events of these types, as a commit cites them.
    fn cite(&self, kinds: &[&str]) -> String {
        kinds.iter().map(|kind| self.id(kind)).collect::<Vec<_>>().join(",")
    }

    /// A commit that cites power levels and history visibility, as far as there are any.
    fn commit(&self, caller: &str, users: &[UserChange]) -> Result<Permitted, Rejection> {
        let kinds = [POWER_LEVELS, HISTORY_VISIBILITY];
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| self.state.get(kind, "").is_some()).collect();
        self.commit_with(caller, users, &self.cite(&kinds))
    }

    /// A commit that cites power levels and says what becomes of whom.
    fn commit_naming(
        &self,
        caller: &str,
        users: &[UserChange],
        membership: Value,
    ) -> Result<Permitted, Rejection> {
        let data = json!({"auth_events": [self.id(POWER_LEVELS)], "membership": membership});
        self.commit_with(caller, users, &data.to_string())
    }

    /// A commit with that authenticated data.
    fn commit_with(&self, caller: &str, users: &[UserChange], data: &str) -> Result<Permitted, Rejection> {
        let intent =
            Intent::Commit { external: false, users: users.to_vec(), extends: false, proposed: Vec::new() };
        self.ask(caller, intent, data)
    }

    fn join_from_outside(
        &self,
        caller: &str,
        users: &[UserChange],
        data: &str,
    ) -> Result<Permitted, Rejection> {
        self.ask(
            caller,
            Intent::Commit { external: true, users: users.to_vec(), extends: false, proposed: Vec::new() },
            data,
        )
    }

    fn extend(&self, caller: &str) -> Result<Permitted, Rejection> {
        self.ask(
            caller,
            Intent::Commit { external: false, users: Vec::new(), extends: true, proposed: Vec::new() },
            "",
        )
    }

    fn register(&self, caller: &str) -> Result<Permitted, Rejection> {
        self.ask(caller, Intent::Register, "")
    }

    fn ask(&self, caller: &str, intent: Intent, data: &str) -> Result<Permitted, Rejection> {
        let caller = ClientId { user: user(caller), device: device("D1") };
        judge(
            &self.state,
            ruma::user_id!("@:a.org"),
            &Question { caller, authenticated_data: data.into(), intent },
        )
    }
}

fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn device(text: &str) -> DeviceId {
    DeviceId::parse(text).unwrap()
}

fn change(name: &str, leaves: [usize; 2], added: &[&str], removed: &[&str]) -> UserChange {
    let devices = |names: &[&str]| names.iter().map(|name| device(name)).collect();
    let [leaves_before, leaves_after] = leaves;
    UserChange {
        user: user(name),
        leaves_before,
        leaves_after,
        added: devices(added),
        removed: devices(removed),
    }
}

/// The first leaf of a user comes.
fn first_leaf(name: &str) -> UserChange {
    change(name, [0, 1], &["D1"], &[])
}

/// Another leaf of a user comes.
fn second_leaf(name: &str) -> UserChange {
    change(name, [1, 2], &["D2"], &[])
}

/// The last leaf of a user goes.
fn last_leaf_gone(name: &str) -> UserChange {
    change(name, [1, 0], &[], &["D1"])
}

/// One leaf of a user goes, another stays.
fn one_leaf_gone(name: &str) -> UserChange {
    change(name, [2, 1], &[], &["D2"])
}

/// The rule by which something is forbidden.
fn forbidden(verdict: Result<Permitted, Rejection>) -> String {
    match verdict {
        Err(Rejection::Forbidden { rule }) => rule,
        other => panic!("{other:?}"),
    }
}

/// Why nothing is ordered.
fn frozen(verdict: Result<Permitted, Rejection>) -> String {
    match verdict {
        Err(Rejection::Frozen { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// The memberships that a permitted commit brings about.
fn members(verdict: Result<Permitted, Rejection>) -> Vec<(String, Membership)> {
    verdict.unwrap().members.into_iter().map(|change| (change.user.to_string(), change.membership)).collect()
}

fn both(test: impl Fn(Room)) {
    VERSIONS.into_iter().for_each(|version| test(Room::new(version)));
}
