//! `m.mls.request`: what a device wants to know of a group, so that it can catch up or come back.
//!
//! As with messages, a request that is refused must still be answered so that the client knows what the answer is about.

use serde_json::{Map, Value};

use maypole_core::ids::{DeviceId, Epoch, GroupId, RequestId, RoomId};
use maypole_core::limits;
use maypole_core::rejection::{Rejection, Unsupported};

use crate::bytes::encode;
use crate::fields::{Fields, Wrong};
use crate::identity::parse_device;
use crate::strict_json;

/// An `m.mls.request` as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The device that sent it, by its own word; none if that word cannot be used.
    pub device: Option<DeviceId>,
    /// Its own name for the request, if it gave a usable one.
    pub request_id: Option<RequestId>,
    /// The room, where it could be read.
    pub room_id: Option<RoomId>,
    /// The want as it was written, which an answer repeats.
    pub wanted: Option<String>,
    /// What is asked, or why that cannot be answered.
    pub asked: Result<Asked, Rejection>,
}

/// What a device asks, and the content that asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The device.
    pub device: DeviceId,
    /// Its own name for the request.
    pub request_id: RequestId,
    /// The room.
    pub room_id: RoomId,
    /// The group, where the device knows of more than one.
    pub group_id: Option<GroupId>,
    /// What it wants to know.
    pub want: Want,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// The current epoch: to join it by external commit.
    GroupInfo,
    /// The commits from an epoch on.
    Commits {
        /// The epoch that the first of them was made in.
        from_epoch: Epoch,
    },
    /// The ratchet tree of an epoch: to join with a Welcome whose tree is not to be had any more.
    RatchetTree {
        /// The epoch.
        epoch: Epoch,
    },
}

impl Want {
    /// The want as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GroupInfo => "group_info",
            Self::Commits { .. } => "commits",
            Self::RatchetTree { .. } => "ratchet_tree",
        }
    }
}

impl Request {
    /// Reads the content of an `m.mls.request`.
    ///
    /// ```
    /// use maypole_room::request::{Request, Want};
    ///
    /// let content = br#"{"device_id": "ALICE1", "request_id": "r1", "room_id": "!room:a.org", "want": "group_info"}"#;
    /// assert_eq!(Request::read(content).asked.unwrap().want, Want::GroupInfo);
    /// ```
    pub fn read(content: &[u8]) -> Self {
        let unreadable = |rejection| Self {
            device: None,
            request_id: None,
            room_id: None,
            wanted: None,
            asked: Err(rejection),
        };
        if content.len() > limits::TO_DEVICE_SPELLED_BYTES {
            let limit_bytes = limits::TO_DEVICE_CONTENT_BYTES as u64;
            return unreadable(Rejection::TooLarge { what: "the event content", limit_bytes });
        }
        let bad = |problem| Rejection::BadJson { field: "content", problem };
        match strict_json::parse(content) {
            Ok(Value::Object(object)) => Self::read_object(&object),
            Ok(_) => unreadable(bad("is not an object")),
            Err(_) => unreadable(bad("is not JSON, nests too deeply, or has a key twice")),
        }
    }

    fn read_object(object: &Map<String, Value>) -> Self {
        let fields = Fields::of_object(object);
        let device = read_device(fields);
        let problem = "is empty or longer than 255 bytes";
        let request_id = fields.parsed("request_id", problem, RequestId::parse);
        let room_id = fields.room_id("room_id");
        let wanted = fields.text("want");
        let (device_read, id_read, room_read) = (device.clone(), request_id.clone(), room_id.clone());
        let ask = || {
            Ok(Asked {
                device: device_read?,
                request_id: id_read?,
                room_id: room_read?,
                group_id: fields.optional("group_id", Fields::group_id)?,
                want: read_want(fields, wanted?)?,
            })
        };
        let asked = ask();
        let wanted = wanted.ok().filter(|text| text.len() <= limits::WANT_BYTES).map(str::to_owned);
        Self { device: device.ok(), request_id: request_id.ok(), room_id: room_id.ok(), wanted, asked }
    }
}

impl Asked {
    /// The content of the `m.mls.request`.
    pub fn content(&self) -> Value {
        let mut content = Map::new();
        content.insert("device_id".into(), self.device.as_str().into());
        content.insert("request_id".into(), self.request_id.as_str().into());
        content.insert("room_id".into(), self.room_id.as_str().into());
        if let Some(group) = &self.group_id {
            content.insert("group_id".into(), encode(group.as_bytes()).into());
        }
        content.insert("want".into(), self.want.as_str().into());
        match self.want {
            Want::GroupInfo => {}
            Want::Commits { from_epoch } => {
                drop(content.insert("from_epoch".into(), from_epoch.get().into()))
            }
            Want::RatchetTree { epoch } => drop(content.insert("epoch".into(), epoch.get().into())),
        }
        content.into()
    }
}

fn read_device(fields: Fields<'_>) -> Result<DeviceId, Wrong> {
    let problem = "is empty, longer than 255 bytes, `*`, or has control characters";
    fields.parsed("device_id", problem, parse_device)
}

fn read_want(fields: Fields<'_>, wanted: &str) -> Result<Want, Rejection> {
    match wanted {
        "group_info" => Ok(Want::GroupInfo),
        "commits" => Ok(Want::Commits { from_epoch: fields.epoch("from_epoch")? }),
        "ratchet_tree" if fields.get("from_epoch").is_some() => {
            let problem = "says from where commits are told, and a tree is of one `epoch`";
            Err(Wrong { field: "from_epoch", problem }.into())
        }
        "ratchet_tree" => Ok(Want::RatchetTree { epoch: fields.epoch("epoch")? }),
        _ => Err(Rejection::Unsupported(Unsupported::Want)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        json!({"device_id": "ALICE1", "request_id": "r1", "room_id": "!room:a.org", "want": "commits", "from_epoch": 4,
               "group_id": encode(b"!room:a.org")})
    }

    fn read(content: &Value) -> Request {
        Request::read(content.to_string().as_bytes())
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for content in [&b""[..], b"[]", b"{", b"{\"want\": 1, \"want\": 2}", b"\xff"] {
            let request = Request::read(content);
            assert!(matches!(request.asked, Err(Rejection::BadJson { field: "content", .. })), "{request:?}");
        }
        let large = format!("{{\"a\": \"{}\"}}", "x".repeat(limits::TO_DEVICE_SPELLED_BYTES));
        assert!(matches!(Request::read(large.as_bytes()).asked, Err(Rejection::TooLarge { .. })));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let wrong = [
            ("device_id", json!("*")),
            ("device_id", json!("")),
            ("device_id", json!("A\u{0}")),
            ("device_id", json!(7)),
            ("request_id", json!("")),
            ("request_id", json!("r".repeat(256))),
            ("request_id", json!(null)),
            ("room_id", json!("room")),
            ("group_id", json!("=")),
            ("group_id", json!(null)),
            ("want", json!(["commits"])),
            ("from_epoch", json!(-1)),
            ("from_epoch", json!(1_u64 << 53)),
        ];
        for (key, value) in wrong {
            let mut content = whole();
            content[key] = value;
            let asked = read(&content).asked;
            assert!(
                matches!(asked, Err(Rejection::BadJson { field, .. }) if field == key),
                "{content}: {asked:?}"
            );
        }
        for key in ["device_id", "request_id", "room_id", "want", "from_epoch"] {
            let mut content = whole();
            content.as_object_mut().unwrap().remove(key);
            assert!(
                matches!(read(&content).asked, Err(Rejection::BadJson { field, .. }) if field == key),
                "{key}"
            );
        }
    }

    #[test]
    fn a_tree_is_of_one_epoch() {
        let mut content = json!({"device_id": "ALICE1", "request_id": "r1", "room_id": "!room:a.org", "want": "ratchet_tree"});
        let field_of = |content: &Value| match read(content).asked {
            Err(Rejection::BadJson { field, .. }) => field,
            asked => panic!("{content}: {asked:?}"),
        };
        assert_eq!(field_of(&content), "epoch");
        for wrong in [json!(-1), json!(1.5), json!("4"), json!(null), json!([4]), json!(1_u64 << 53)] {
            content["epoch"] = wrong;
            assert_eq!(field_of(&content), "epoch");
        }
        content["epoch"] = json!(4);
        for beside in [json!(4), json!(null), json!("x")] {
            content["from_epoch"] = beside;
            assert_eq!(field_of(&content), "from_epoch");
        }
        content.as_object_mut().unwrap().remove("from_epoch");
        let asked = read(&content).asked.unwrap();
        assert_eq!(
            (asked.want, asked.content()),
            (Want::RatchetTree { epoch: Epoch::new(4).unwrap() }, content)
        );
    }

    #[test]
    fn a_request_that_is_refused_can_still_be_answered() {
        let mut content = whole();
        content["want"] = json!("everything");
        content["room_id"] = json!("!other:b.org");
        let request = read(&content);
        assert_eq!(request.asked, Err(Rejection::Unsupported(Unsupported::Want)));
        assert_eq!(request.device.unwrap().as_str(), "ALICE1");
        assert_eq!(request.request_id.unwrap().as_str(), "r1");
        assert_eq!(request.room_id.unwrap().as_str(), "!other:b.org");
        assert_eq!(request.wanted.as_deref(), Some("everything"));
        content["want"] = json!("w".repeat(limits::WANT_BYTES + 1));
        assert_eq!(read(&content).wanted, None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(read(&whole()).asked.unwrap().content(), whole());
        let want = json!({"device_id": "ALICE1", "request_id": "r1", "room_id": "!room:a.org", "want": "group_info"});
        let asked = read(&want).asked.unwrap();
        assert_eq!((asked.want, asked.content()), (Want::GroupInfo, want));
    }
}
