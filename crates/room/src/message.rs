//! `m.mls.message`: what a device sends to the service.
//!
//! A message that is refused must still be answered, to the right device and so that the client knows what the answer
//! is about. So reading it yields who asked and how the answer is told apart, whatever else is wrong with it.

use serde_json::{Map, Value};

use maypole_core::ids::{DeviceId, GroupId, Sha256, TxnId};
use maypole_core::limits;
use maypole_core::rejection::{Rejection, Unsupported};
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
pub enum Asked {
    /// To take care of a new group.
    Register {
        /// The group.
        group: GroupId,
        /// The cipher suite.
        cipher_suite: u16,
    },
    /// To accept a commit or pass on a proposal.
    Handshake {
        /// The group.
        group: GroupId,
        /// The epoch that it was made in.
        epoch: u64,
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
        let read = match &bytes {
            Ok(Bytes::Inline(bytes)) => read_envelope(bytes),
            Ok(Bytes::Blob(_)) => Err(Rejection::Unsupported(Unsupported::Blob)),
            Err(rejection) => Err(rejection.clone()),
        };
        let group = read.as_ref().ok().map(|asked| asked.group().clone());
        // What is wrong with the JSON is told before what is wrong with the MLS inside it.
        let asked = device.as_ref().map_err(Rejection::clone).and_then(|_| {
            txn_id.as_ref().map_err(Rejection::clone)?;
            check_commit_info(&object)?;
            read
        });
        let question_hash = hash_question(&object, content);
        let content_hash = strict_json::content_hash(&Value::Object(object), content);
        let (device, txn_id) = (device.ok(), txn_id.unwrap_or_default());
        Self { device, txn_id, message_hash, content_hash, question_hash, group, asked }
    }
}

impl Asked {
    /// The group that it is about.
    pub fn group(&self) -> &GroupId {
        match self {
            Self::Register { group, .. } | Self::Handshake { group, .. } => group,
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

fn check_commit_info(object: &Map<String, Value>) -> Result<(), Rejection> {
    let Some(info) = object.get("commit_info") else { return Ok(()) };
    let info = info.as_object().ok_or(bad("commit_info", "is not an object"))?;
    for (key, field) in [("welcome", "commit_info.welcome"), ("group_info", "commit_info.group_info")] {
        if let Some(value) = info.get(key) {
            Bytes::read(field, value)?;
        }
    }
    Ok(())
}

fn read_envelope(bytes: &[u8]) -> Result<Asked, Rejection> {
    let envelope = Envelope::read(bytes).map_err(|error| match error {
        EnvelopeError::Version(version) => Rejection::Unsupported(Unsupported::ProtocolVersion(version)),
        EnvelopeError::WireFormat(format) => Rejection::Unsupported(Unsupported::WireFormat(format)),
        EnvelopeError::Broken(broken) => {
            Rejection::Malformed { offset: broken.offset, problem: broken.problem }
        }
    })?;
    match envelope {
        Envelope::Public(message) => handshake(message.group_id, message.epoch),
        Envelope::Private(message) if message.content_type == ContentType::Application => {
            Err(Rejection::Unsupported(Unsupported::ApplicationMessage))
        }
        Envelope::Private(message) => handshake(message.group_id, message.epoch),
        Envelope::GroupInfo(info) => {
            let group = read_group_id(info.context.group_id)?;
            Ok(Asked::Register { group, cipher_suite: info.context.suite })
        }
        Envelope::Welcome(_) => Err(Rejection::Unsupported(Unsupported::WireFormat(3))),
        Envelope::KeyPackage(_) => Err(Rejection::Unsupported(Unsupported::WireFormat(5))),
    }
}

fn handshake(group: &[u8], epoch: u64) -> Result<Asked, Rejection> {
    let group = read_group_id(group)?;
    if epoch >= limits::EPOCH_END {
        return Err(Rejection::Unsupported(Unsupported::Epoch));
    }
    Ok(Asked::Handshake { group, epoch })
}

fn read_group_id(bytes: &[u8]) -> Result<GroupId, Rejection> {
    let limit_bytes = limits::GROUP_ID_BYTES as u64;
    GroupId::parse(bytes).ok_or(Rejection::TooLarge { what: "the group ID", limit_bytes })
}

#[cfg(test)]
mod tests;
