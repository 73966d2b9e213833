//! `m.mls.message`: what a device sends to the service.
//!
//! A message that is refused must still be answered, to the right device and so that the client knows what the answer
//! is about. So reading it yields who asked and how the answer is told apart, whatever else is wrong with it.

use serde_json::{Map, Value};

use maypole_core::ids::{DeviceId, Epoch, GroupId, Sha256, TxnId};
use maypole_core::limits;
use maypole_core::rejection::{Part, Rejection, Unsupported};
use maypole_mls::envelope::{ContentType, Envelope, EnvelopeError};

use crate::bytes::Bytes;
use crate::strict_json;

/// An `m.mls.message` as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The device that sent it, by its own word; none if that word cannot be used.
    pub device: Option<DeviceId>,
    /// Its own name for the message, if it gave a usable one.
    pub txn_id: Option<TxnId>,
    /// The hash of the MLS bytes, if there are any.
    pub message_hash: Option<Sha256>,
    /// The hash of the whole content, by which an answer is told apart where there are no MLS bytes.
    pub content_hash: Sha256,
    /// The hash of what is asked: of the fields that mean something here. Client libraries put others beside them, new
    /// each time.
    pub question_hash: Sha256,
    /// The group it is about, where that could be read.
    pub group: Option<GroupId>,
    /// What is asked, or why that cannot be read.
    pub asked: Result<Asked, Rejection>,
}

/// What a device asks of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The MLS message.
    pub message: Bytes,
    /// What it is; not known while it lies in the media repository.
    pub inside: Option<Inside>,
    /// The Welcome that belongs to a commit.
    pub welcome: Option<Bytes>,
    /// The GroupInfo of the epoch that a commit makes.
    pub group_info: Option<Bytes>,
}

/// What an MLS message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    /// To take care of a new group.
    Register {
        /// The group.
        group: GroupId,
        /// The cipher suite.
        cipher_suite: u16,
    },
    /// To accept a commit.
    Commit {
        /// The group.
        group: GroupId,
        /// The epoch that it was made in.
        epoch: Epoch,
    },
}

impl Message {
    /// Reads the content of an `m.mls.message`.
    pub fn read(content: &[u8]) -> Self {
        let limit_bytes = limits::TO_DEVICE_CONTENT_BYTES as u64;
        let too_large = Rejection::TooLarge { what: "the event content", limit_bytes };
        // The homeserver may have spelled characters with escapes, so what came may be longer than what was sent.
        if content.len() > limits::TO_DEVICE_SPELLED_BYTES {
            return Self::unreadable(content, too_large);
        }
        match strict_json::parse(content) {
            Ok(value) if value.to_string().len() > limits::TO_DEVICE_CONTENT_BYTES => {
                Self::unreadable(content, too_large)
            }
            Ok(Value::Object(object)) => Self::read_object(object, content),
            Ok(_) => Self::unreadable(content, bad("content", "is not an object")),
            Err(_) => {
                Self::unreadable(content, bad("content", "is not JSON, nests too deeply, or has a key twice"))
            }
        }
    }

    fn unreadable(content: &[u8], rejection: Rejection) -> Self {
        Self {
            device: None,
            txn_id: None,
            message_hash: None,
            content_hash: Sha256::of(content),
            question_hash: Sha256::of(content),
            group: None,
            asked: Err(rejection),
        }
    }

    fn read_object(object: Map<String, Value>, content: &[u8]) -> Self {
        let device = read_device(&object);
        let txn_id = read_txn_id(&object);
        let bytes = match object.get("message") {
            Some(value) => Bytes::read("message", value),
            None => Err(bad("message", "is missing")),
        };
        let message_hash = match &bytes {
            Ok(Bytes::Inline(bytes)) => Some(Sha256::of(bytes)),
            Ok(Bytes::Blob(blob)) => Some(blob.sha256),
            Err(_) => None,
        };
        let inside = match &bytes {
            Ok(Bytes::Inline(bytes)) => Inside::read(bytes).map(Some),
            Ok(Bytes::Blob(_)) => Ok(None),
            Err(rejection) => Err(rejection.clone()),
        };
        let group =
            inside.as_ref().ok().and_then(|inside| inside.as_ref()).map(|inside| inside.group().clone());
        // What is wrong with the JSON is told before what is wrong with the MLS inside it.
        let asked = device.as_ref().map_err(Rejection::clone).and_then(|_| {
            txn_id.as_ref().map_err(Rejection::clone)?;
            let (welcome, group_info) = read_commit_info(&object)?;
            Ok(Asked { message: bytes?, inside: inside?, welcome, group_info })
        });
        let question_hash = hash_question(&object, content);
        let content_hash = strict_json::content_hash(&Value::Object(object), content);
        let (device, txn_id) = (device.ok(), txn_id.unwrap_or_default());
        Self { device, txn_id, message_hash, content_hash, question_hash, group, asked }
    }
}

impl Message {
    /// The bytes of a message that lay in the media repository have come.
    #[must_use]
    pub fn with_bytes(mut self, bytes: Vec<u8>) -> Self {
        let inside = Inside::read(&bytes);
        self.group = inside.as_ref().ok().map(|inside| inside.group().clone());
        self.asked = self
            .asked
            .and_then(|asked| Ok(Asked { message: Bytes::Inline(bytes), inside: Some(inside?), ..asked }));
        self
    }
}

impl Inside {
    /// The group that it is about.
    pub fn group(&self) -> &GroupId {
        match self {
            Self::Register { group, .. } | Self::Commit { group, .. } => group,
        }
    }

    /// Reads the outside of an `MLSMessage`.
    pub fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        let envelope = Envelope::read(bytes).map_err(|error| match error {
            EnvelopeError::Version(version) => Rejection::Unsupported(Unsupported::ProtocolVersion(version)),
            EnvelopeError::WireFormat(format) => Rejection::Unsupported(Unsupported::WireFormat(format)),
            EnvelopeError::Broken(broken) => Rejection::malformed(Part::Message, broken),
        })?;
        match envelope {
            Envelope::Public(message) if message.content_type == ContentType::Proposal => {
                Err(Rejection::Unsupported(Unsupported::Proposal))
            }
            Envelope::Public(message) => {
                let group = read_group_id(message.group_id)?;
                let epoch = Epoch::new(message.epoch).ok_or(Rejection::Unsupported(Unsupported::Epoch))?;
                Ok(Self::Commit { group, epoch })
            }
            Envelope::Private(message) if message.content_type == ContentType::Application => {
                Err(Rejection::Unsupported(Unsupported::ApplicationMessage))
            }
            Envelope::Private(_) => Err(Rejection::Unsupported(Unsupported::PrivateHandshake)),
            Envelope::GroupInfo(info) => {
                let group = read_group_id(info.context.group_id)?;
                Ok(Self::Register { group, cipher_suite: info.context.suite })
            }
            Envelope::Welcome(_) => Err(Rejection::Unsupported(Unsupported::WireFormat(3))),
            Envelope::KeyPackage(_) => Err(Rejection::Unsupported(Unsupported::WireFormat(5))),
        }
    }
}

fn bad(field: &'static str, problem: &'static str) -> Rejection {
    Rejection::BadJson { field, problem }
}

fn hash_question(object: &Map<String, Value>, as_it_came: &[u8]) -> Sha256 {
    let fields = ["device_id", "txn_id", "message", "commit_info"];
    let asked = fields.iter().filter_map(|field| Some(((*field).to_owned(), object.get(*field)?.clone())));
    strict_json::content_hash(&Value::Object(asked.collect()), as_it_came)
}

fn read_device(object: &Map<String, Value>) -> Result<DeviceId, Rejection> {
    let value = object.get("device_id").ok_or(bad("device_id", "is missing"))?;
    let text = value.as_str().ok_or(bad("device_id", "is not a string"))?;
    if text == "*" {
        return Err(bad("device_id", "names all devices; it must name the one that sends"));
    }
    // Databases take no NUL, and no device has such a name.
    if text.chars().any(char::is_control) {
        return Err(bad("device_id", "has control characters"));
    }
    DeviceId::parse(text).ok_or(bad("device_id", "is empty or longer than 255 bytes"))
}

fn read_txn_id(object: &Map<String, Value>) -> Result<Option<TxnId>, Rejection> {
    let Some(value) = object.get("txn_id") else { return Ok(None) };
    let text = value.as_str().ok_or(bad("txn_id", "is not a string"))?;
    TxnId::parse(text).map(Some).ok_or(bad("txn_id", "is empty or longer than 255 bytes"))
}

/// The Welcome and the GroupInfo beside a commit.
fn read_commit_info(object: &Map<String, Value>) -> Result<(Option<Bytes>, Option<Bytes>), Rejection> {
    let Some(info) = object.get("commit_info") else { return Ok((None, None)) };
    let info = info.as_object().ok_or(bad("commit_info", "is not an object"))?;
    let read = |key, field| info.get(key).map(|value| Bytes::read(field, value)).transpose();
    Ok((read("welcome", "commit_info.welcome")?, read("group_info", "commit_info.group_info")?))
}

fn read_group_id(bytes: &[u8]) -> Result<GroupId, Rejection> {
    let limit_bytes = limits::GROUP_ID_BYTES as u64;
    GroupId::parse(bytes).ok_or(Rejection::TooLarge { what: "the group ID", limit_bytes })
}

#[cfg(test)]
mod tests;
