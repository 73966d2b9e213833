//! `m.mls.response`: the answer to an `m.mls.request`.

use serde_json::{Map, Value, json};

use maypole_core::ids::{Epoch, GroupId, RequestId, RoomId};
use maypole_core::rejection::Rejection;

use crate::bytes::{Bytes, encode};
use crate::commit_event::CommitEvent;
use crate::fields::{Fields, ShapeError, Wrong};
use crate::rejected;
use crate::request::Request;

/// The content of an `m.mls.response`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The device's name for its request.
    pub request_id: RequestId,
    /// The answer.
    pub answer: Answer,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `group_info`.
    GroupInfo(CurrentEpoch),
    /// To `commits`.
    Commits(CommitPage),
    /// To `ratchet_tree`.
    RatchetTree(TreeOfEpoch),
    /// To whatever was wanted: that it is not told.
    Refused(Refused),
}

/// The epoch that a group is in, as somebody from outside needs it to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentEpoch {
    /// The room.
    pub room_id: RoomId,
    /// The group.
    pub group_id: GroupId,
    /// The epoch.
    pub epoch: Epoch,
    /// Its GroupInfo.
    pub group_info: Bytes,
    /// Its ratchet tree.
    pub ratchet_tree: Bytes,
    /// Its receipt, signed.
    pub receipt: Value,
}

/// Commits of a group, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPage {
    /// The room.
    pub room_id: RoomId,
    /// The group.
    pub group_id: GroupId,
    /// The epoch that was asked from.
    pub from_epoch: Epoch,
    /// The epoch that the group is in.
    pub current_epoch: Epoch,
    /// The commits.
    pub commits: Vec<CommitEvent>,
    /// Whether there are more than fit.
    pub more: bool,
}

/// The tree of an epoch, as somebody needs it who was added in that epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeOfEpoch {
    /// The room.
    pub room_id: RoomId,
    /// The group.
    pub group_id: GroupId,
    /// The epoch.
    pub epoch: Epoch,
    /// Its ratchet tree.
    pub ratchet_tree: Bytes,
}

/// That something is refused, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub errcode: String,
    /// What is wrong, in a sentence.
    pub error: String,
    /// Everything else that the answer carries.
    pub particulars: Map<String, Value>,
}

/// The content that refuses a request.
///
/// ```
/// use maypole_core::rejection::Rejection;
/// use maypole_room::{request::Request, response};
///
/// let request = Request::read(br#"{"device_id": "A", "request_id": "r1", "room_id": "!r:a.org", "want": "group_info"}"#);
/// let content = response::refusal(&request, &Rejection::UnknownGroup);
/// assert_eq!(content["request_id"], "r1");
/// assert_eq!(content["want"], "group_info");
/// assert_eq!(content["errcode"], "M_MLS_UNKNOWN_GROUP");
/// ```
pub fn refusal(request: &Request, rejection: &Rejection) -> Value {
    let facts = rejection.code().facts();
    let mut content = Map::new();
    if let Some(request_id) = &request.request_id {
        content.insert("request_id".into(), request_id.as_str().into());
    }
    if let Some(room_id) = &request.room_id {
        content.insert("room_id".into(), room_id.as_str().into());
    }
    if let Some(wanted) = &request.wanted {
        content.insert("want".into(), wanted.as_str().into());
    }
    content.insert("errcode".into(), facts.errcode.into());
    content.insert("error".into(), rejection.to_string().into());
    content.insert("advice".into(), facts.advice.into());
    content
        .extend(rejected::particulars(rejection).into_iter().map(|(name, value)| (name.to_owned(), value)));
    content.into()
}

impl Response {
    /// The content of an answer that tells what was wanted, or repeats a refusal.
    pub fn content(&self) -> Value {
        let mut content = match &self.answer {
            Answer::GroupInfo(current) => current.content(),
            Answer::Commits(page) => page.content(),
            Answer::RatchetTree(tree) => tree.content(),
            Answer::Refused(refused) => refused.content(),
        };
        content.insert("request_id".into(), self.request_id.as_str().into());
        content.into()
    }

    /// Reads a content.
    pub fn read(content: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("content", content)?;
        let request_id =
            fields.parsed("request_id", "is empty or longer than 255 bytes", RequestId::parse)?;
        let answer = if fields.get("errcode").is_some() {
            Answer::Refused(Refused::read(content)?)
        } else {
            match fields.text("want")? {
                "group_info" => Answer::GroupInfo(CurrentEpoch::read(fields)?),
                "commits" => Answer::Commits(CommitPage::read(fields)?),
                "ratchet_tree" => Answer::RatchetTree(TreeOfEpoch::read(fields)?),
                _ => return Err(Wrong { field: "want", problem: "is not known" }.into()),
            }
        };
        Ok(Self { request_id, answer })
    }
}

impl CurrentEpoch {
    fn content(&self) -> Map<String, Value> {
        object([
            ("want", "group_info".into()),
            ("room_id", json!(self.room_id)),
            ("group_id", encode(self.group_id.as_bytes()).into()),
            ("epoch", self.epoch.get().into()),
            ("group_info", self.group_info.to_value()),
            ("ratchet_tree", self.ratchet_tree.to_value()),
            ("receipt", self.receipt.clone()),
        ])
    }

    fn read(fields: Fields<'_>) -> Result<Self, ShapeError> {
        Ok(Self {
            room_id: fields.room_id("room_id")?,
            group_id: fields.group_id("group_id")?,
            epoch: fields.epoch("epoch")?,
            group_info: fields.bytes("group_info")?,
            ratchet_tree: fields.bytes("ratchet_tree")?,
            receipt: fields.object("receipt")?.clone(),
        })
    }
}

impl TreeOfEpoch {
    fn content(&self) -> Map<String, Value> {
        object([
            ("want", "ratchet_tree".into()),
            ("room_id", json!(self.room_id)),
            ("group_id", encode(self.group_id.as_bytes()).into()),
            ("epoch", self.epoch.get().into()),
            ("ratchet_tree", self.ratchet_tree.to_value()),
        ])
    }

    fn read(fields: Fields<'_>) -> Result<Self, ShapeError> {
        Ok(Self {
            room_id: fields.room_id("room_id")?,
            group_id: fields.group_id("group_id")?,
            epoch: fields.epoch("epoch")?,
            ratchet_tree: fields.bytes("ratchet_tree")?,
        })
    }
}

impl CommitPage {
    fn content(&self) -> Map<String, Value> {
        object([
            ("want", "commits".into()),
            ("room_id", json!(self.room_id)),
            ("group_id", encode(self.group_id.as_bytes()).into()),
            ("from_epoch", self.from_epoch.get().into()),
            ("current_epoch", self.current_epoch.get().into()),
            ("commits", self.commits.iter().map(CommitEvent::content).collect()),
            ("more", self.more.into()),
        ])
    }

    fn read(fields: Fields<'_>) -> Result<Self, ShapeError> {
        Ok(Self {
            room_id: fields.room_id("room_id")?,
            group_id: fields.group_id("group_id")?,
            from_epoch: fields.epoch("from_epoch")?,
            current_epoch: fields.epoch("current_epoch")?,
            commits: fields.array("commits")?.iter().map(CommitEvent::read).collect::<Result<_, _>>()?,
            more: fields.flag("more")?,
        })
    }
}

impl Refused {
    /// Reads what an `m.mls.rejected`, or a response that refuses, says.
    pub fn read(content: &Value) -> Result<Self, ShapeError> {
        let fields = Fields::of("content", content)?;
        let own = |name: &&str| !matches!(*name, "errcode" | "error" | "request_id");
        let particulars =
            fields.names().filter(own).filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())));
        Ok(Self {
            errcode: fields.text("errcode")?.to_owned(),
            error: fields.text("error")?.to_owned(),
            particulars: particulars.collect(),
        })
    }

    fn content(&self) -> Map<String, Value> {
        let mut content = self.particulars.clone();
        content.insert("errcode".into(), self.errcode.as_str().into());
        content.insert("error".into(), self.error.as_str().into());
        content
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use maypole_core::rejection::Unsupported;

    use super::*;
    use crate::commit_event::tests::commit;
    use crate::fields::tests::every_field_matters;

    fn current() -> Response {
        let answer = Answer::GroupInfo(CurrentEpoch {
            room_id: RoomId::parse("!room:a.org").unwrap(),
            group_id: GroupId::parse(*b"!room:a.org").unwrap(),
            epoch: Epoch::new(6).unwrap(),
            group_info: Bytes::Inline(vec![1]),
            ratchet_tree: Bytes::Inline(vec![2]),
            receipt: json!({"epoch": 6}),
        });
        Response { request_id: RequestId::parse("r1").unwrap(), answer }
    }

    fn page() -> Response {
        let answer = Answer::Commits(CommitPage {
            room_id: RoomId::parse("!room:a.org").unwrap(),
            group_id: GroupId::parse(*b"!room:a.org").unwrap(),
            from_epoch: Epoch::new(5).unwrap(),
            current_epoch: Epoch::new(9).unwrap(),
            commits: vec![commit(6), commit(7)],
            more: true,
        });
        Response { answer, ..current() }
    }

    fn tree() -> Response {
        let answer = Answer::RatchetTree(TreeOfEpoch {
            room_id: RoomId::parse("!room:a.org").unwrap(),
            group_id: GroupId::parse(*b"!room:a.org").unwrap(),
            epoch: Epoch::new(3).unwrap(),
            ratchet_tree: Bytes::Inline(vec![2]),
        });
        Response { answer, ..current() }
    }

    #[test]
    fn what_lacks_a_field_is_refused() {
        every_field_matters(&tree().content(), Response::read, &[]);
        every_field_matters(&current().content(), Response::read, &[]);
        every_field_matters(&page().content(), Response::read, &[]);
    }

    #[test]
    fn a_page_with_one_wrong_commit_is_refused() {
        let mut content = page().content();
        content["commits"][1]["epoch"] = json!(-7);
        let wrong = Response::read(&content).unwrap_err();
        assert!(matches!(wrong, ShapeError::Field { field: "epoch", .. }), "{wrong:?}");
    }

    #[test]
    fn a_refusal_without_its_sentence_is_refused() {
        for (key, value) in [("errcode", json!(7)), ("error", json!(null))] {
            let mut content = json!({"request_id": "r1", "errcode": "M_FORBIDDEN", "error": "no"});
            content[key] = value;
            assert!(Response::read(&content).is_err(), "{content}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for response in [current(), page(), tree()] {
            assert_eq!(Response::read(&response.content()), Ok(response));
        }
    }

    #[test]
    fn a_refusal_is_read_with_all_that_it_carries() {
        let content =
            br#"{"device_id": "A", "request_id": "r1", "room_id": "!r:a.org", "want": "everything"}"#;
        let content = refusal(&Request::read(content), &Rejection::Unsupported(Unsupported::Want));
        let response = Response::read(&content).unwrap();
        let Answer::Refused(refused) = &response.answer else { panic!("{response:?}") };
        assert_eq!(refused.errcode, "M_MLS_UNSUPPORTED");
        assert_eq!(
            refused.particulars["supported"]["want"],
            json!(["group_info", "commits", "ratchet_tree"])
        );
        assert_eq!(refused.particulars["want"], "everything");
        assert!(refused.particulars["advice"].is_string());
        assert_eq!(response.content(), content);
    }

    #[test]
    fn a_request_that_nothing_can_be_read_of_is_refused_without_a_name() {
        let content = refusal(&Request::read(b"[]"), &Rejection::UnknownGroup);
        assert!(content.get("request_id").is_none() && content.get("want").is_none());
        assert!(Response::read(&content).is_err(), "no client can have asked that");
    }
}
