//! What a commit says in its authenticated data: the events that it rests on, and what becomes of those whom it removes.
//!
//! Nothing; or event IDs, joined by commas; or a JSON object, which starts with `{` as no event ID does.

use std::collections::BTreeMap;

use maypole_core::ids::UserId;
use maypole_core::limits;
use maypole_core::rejection::Rejection;
use ruma::{EventId, OwnedEventId};
use serde_json::Value;

use super::Membership;
use crate::fields::{Fields, Wrong};
use crate::strict_json;

/// The authenticated data of a commit.
///
/// ```
/// use maypole_room::permit::AuthenticatedData;
///
/// let data = AuthenticatedData::read(br#"{"auth_events": ["$power:a.org"], "is_direct": true}"#).unwrap();
/// assert_eq!(data.cited, ["$power:a.org"]);
/// assert_eq!(AuthenticatedData::read(b"$power:a.org").unwrap().cited, data.cited);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticatedData {
    /// What it cites.
    pub cited: Vec<OwnedEventId>,
    /// What becomes of the users whose last leaf goes; none where it does not say, and each is kicked.
    pub removals: Option<BTreeMap<UserId, Removal>>,
    /// The room is a direct chat for those who are invited.
    pub is_direct: bool,
}

/// What becomes of a user whose last leaf goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Kicked or banned.
    pub membership: Membership,
    /// Why.
    pub reason: Option<String>,
}

/// The field that is named when the data is refused.
const FIELD: &str = "authenticated_data";

impl AuthenticatedData {
    /// Reads the authenticated data of a commit.
    pub fn read(data: &[u8]) -> Result<Self, Rejection> {
        if data.len() > limits::AUTHENTICATED_DATA_BYTES {
            let limit_bytes = limits::AUTHENTICATED_DATA_BYTES as u64;
            return Err(Rejection::TooLarge { what: "the authenticated data", limit_bytes });
        }
        let data = match data {
            [] => Ok(Self::default()),
            [b'{', ..] => Self::read_json(data),
            _ => Self::read_list(data),
        };
        data.map_err(|problem| Rejection::BadJson { field: FIELD, problem })
    }

    fn read_list(data: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(data).map_err(|_| "is neither JSON nor event IDs joined by commas")?;
        Ok(Self { cited: read_cited(text.split(','))?, ..Self::default() })
    }

    fn read_json(data: &[u8]) -> Result<Self, &'static str> {
        let problem = "is not JSON, nests too deeply, or has a key twice";
        let value = strict_json::parse(data).map_err(|_| problem)?;
        let fields = known(&value, &["auth_events", "membership", "is_direct"])?;
        let is_direct =
            fields.optional("is_direct", Fields::flag).map_err(|_| "has an `is_direct` that is no flag")?;
        let cited = match fields
            .optional("auth_events", Fields::array)
            .map_err(|_| "has `auth_events` that are no array")?
        {
            None => Vec::new(),
            Some(cited) if cited.iter().all(Value::is_string) => {
                read_cited(cited.iter().filter_map(Value::as_str))?
            }
            Some(_) => return Err("cites something that is no event ID"),
        };
        let removals = match fields.get("membership") {
            None => BTreeMap::new(),
            Some(membership) => read_removals(membership)?,
        };
        Ok(Self { cited, removals: Some(removals), is_direct: is_direct.unwrap_or_default() })
    }
}

fn read_cited<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<OwnedEventId>, &'static str> {
    let mut cited: Vec<OwnedEventId> = Vec::new();
    for text in texts {
        let id = EventId::parse(text).map_err(|_| "cites something that is no event ID")?;
        if cited.contains(&id) {
            return Err("cites an event twice");
        }
        if cited.len() == limits::CITED_EVENTS {
            return Err("cites more events than a commit may");
        }
        cited.push(id);
    }
    Ok(cited)
}

fn read_removals(value: &Value) -> Result<BTreeMap<UserId, Removal>, &'static str> {
    let users = value.as_object().ok_or("has a `membership` that is not an object")?;
    if users.len() > limits::MEMBER_CHANGES {
        return Err("names more users in `membership` than one commit may change");
    }
    let read = |(user, removal): (&String, &Value)| {
        ruma::UserId::parse(user).map_err(|_| "names somebody in `membership` who is no user")?;
        let user = UserId::parse(user.as_str()).ok_or("names somebody in `membership` who is no user")?;
        Ok((user, Removal::read(removal)?))
    };
    users.iter().map(read).collect()
}

impl Removal {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let fields = known(value, &["membership", "reason"])?;
        let membership = match fields.get("membership").and_then(Value::as_str) {
            Some("leave") => Membership::Leave,
            Some("ban") => Membership::Ban,
            _ => return Err("has a membership that is neither `leave` nor `ban`"),
        };
        let reason = fields.optional("reason", Fields::text).map_err(|_| "has a reason that is no text")?;
        if reason.is_some_and(|reason| reason.len() > limits::REASON_BYTES) {
            return Err("has a reason that is longer than is taken");
        }
        Ok(Self { membership, reason: reason.map(str::to_owned) })
    }
}

/// The fields of an object that has no other than these.
fn known<'a>(value: &'a Value, names: &[&str]) -> Result<Fields<'a>, &'static str> {
    let fields =
        Fields::of(FIELD, value).map_err(|Wrong { .. }| "has something in `membership` that is no object")?;
    if fields.names().all(|name| names.contains(&name)) {
        Ok(fields)
    } else {
        Err("has a field that is not known")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(data: &[u8]) -> &'static str {
        match AuthenticatedData::read(data) {
            Err(Rejection::BadJson { field: "authenticated_data", problem }) => problem,
            other => panic!("{}: {other:?}", data.escape_ascii()),
        }
    }

    #[test]
    fn what_is_neither_json_nor_event_ids_is_refused() {
        let wrong: [&[u8]; 11] = [
            b"hello",
            b"\xff",
            b" {}",
            b"[]",
            b"$power,",
            b",$power",
            b"$power,,$history",
            b"$power, $history",
            b"@alice:a.org",
            b"{",
            b"{\"auth_events\": NaN}",
        ];
        for data in wrong {
            problem(data);
        }
        assert!(problem(b"$power,$history,$power").contains("twice"));
        assert!(problem(br#"{"auth_events": ["$power", "$power"]}"#).contains("twice"));
        assert!(problem(br#"{"is_direct": true, "is_direct": false}"#).contains("key twice"));
        assert!(problem(br#"{"membership": {"@b:b.org": {}, "@b:b.org": {}}}"#).contains("key twice"));
    }

    #[test]
    fn each_field_is_of_its_kind() {
        let removal = |value: Value| json!({"membership": {"@bob:b.org": value}});
        let wrong = [
            json!({"auth_events": "$power"}),
            json!({"auth_events": null}),
            json!({"auth_events": [7]}),
            json!({"auth_events": ["power"]}),
            json!({"is_direct": 1}),
            json!({"membership": []}),
            json!({"membership": {"bob": {"membership": "leave"}}}),
            json!({"reason": "spam"}),
            removal(json!("ban")),
            removal(json!({})),
            removal(json!({"membership": "kick"})),
            removal(json!({"membership": "invite"})),
            removal(json!({"membership": "join"})),
            removal(json!({"membership": "ban", "reason": 7})),
            removal(json!({"membership": "ban", "reason": "x".repeat(limits::REASON_BYTES + 1)})),
            removal(json!({"membership": "ban", "avatar_url": "mxc://a.org/a"})),
        ];
        for wrong in wrong {
            problem(wrong.to_string().as_bytes());
        }
    }

    #[test]
    fn there_is_a_bound_on_everything() {
        let ids = |count: usize| (0..count).map(|n| format!("$event{n}")).collect::<Vec<_>>();
        let many = ids(limits::CITED_EVENTS + 1);
        assert!(problem(many.join(",").as_bytes()).contains("more events"));
        assert!(problem(json!({"auth_events": many}).to_string().as_bytes()).contains("more events"));
        let enough = ids(limits::CITED_EVENTS);
        assert_eq!(AuthenticatedData::read(enough.join(",").as_bytes()).unwrap().cited, enough);
        let users: BTreeMap<_, _> = (0..=limits::MEMBER_CHANGES)
            .map(|n| (format!("@u{n}:b.org"), json!({"membership": "ban"})))
            .collect();
        assert!(problem(json!({"membership": users}).to_string().as_bytes()).contains("more users"));
        let long = vec![b'$'; limits::AUTHENTICATED_DATA_BYTES + 1];
        assert!(matches!(AuthenticatedData::read(&long), Err(Rejection::TooLarge { .. })));
    }

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(AuthenticatedData::read(b""), Ok(AuthenticatedData::default()));
        let list =
            AuthenticatedData::read(b"$power:a.org,$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg").unwrap();
        assert_eq!((list.cited.len(), list.removals, list.is_direct), (2, None, false));
        assert_eq!(AuthenticatedData::read(b"{}").unwrap().removals, Some(BTreeMap::new()));
        let whole = json!({"auth_events": ["$power:a.org"], "is_direct": true, "membership": {
            "@bob:b.org": {"membership": "ban", "reason": "spam"}, "@carol:a.org": {"membership": "leave"}}});
        let data = AuthenticatedData::read(whole.to_string().as_bytes()).unwrap();
        let removals = data.removals.unwrap();
        assert_eq!(
            removals[&UserId::parse("@bob:b.org").unwrap()],
            Removal { membership: Membership::Ban, reason: Some("spam".into()) }
        );
        assert_eq!(
            removals[&UserId::parse("@carol:a.org").unwrap()],
            Removal { membership: Membership::Leave, reason: None }
        );
        assert!(data.is_direct && data.cited == ["$power:a.org"]);
    }
}
