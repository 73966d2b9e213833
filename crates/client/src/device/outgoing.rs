//! What is out, waiting for the service's answer: written down before it is sent, and sent again as it was.

use std::collections::BTreeMap;

use maypole_core::ids::{RoomId, Sha256};
use maypole_core::limits;
use maypole_room::bytes::{Blob, Bytes, encode};
use maypole_room::names::Name;
use maypole_room::response::Refused;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::Field;
use super::{Action, Device, DeviceError, Outgoing, Step, TransferId, Wish};
use crate::mls::Made;

/// An `m.mls.message` that is not answered yet.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Out {
    pub(super) what: What,
    pub(super) txn_id: String,
    /// The epoch in which it was made; of an external commit, the one before the one that it makes.
    pub(super) epoch: u64,
    pub(super) message: Vec<u8>,
    pub(super) welcome: Option<Vec<u8>>,
    pub(super) group_info: Option<Vec<u8>>,
    /// Where fields lie that are too large for the content.
    pub(super) uploaded: BTreeMap<Field, String>,
    pub(super) authenticated_data: Vec<u8>,
    pub(super) tries: u32,
}

/// What an `m.mls.message` is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    Registration,
    Commit(Wish),
    Joining,
}

impl Out {
    pub(super) fn registration(message: Vec<u8>) -> Self {
        Self::new(What::Registration, 0, message)
    }

    pub(super) fn commit(
        what: What,
        epoch: u64,
        made: Made,
        authenticated_data: Vec<u8>,
        tries: u32,
    ) -> Self {
        let Made { message, welcome, group_info } = made;
        let out = Self::new(what, epoch, message);
        Self { welcome, group_info: Some(group_info), authenticated_data, tries, ..out }
    }

    fn new(what: What, epoch: u64, message: Vec<u8>) -> Self {
        Self {
            what,
            txn_id: txn_id_of(&message),
            epoch,
            message,
            welcome: None,
            group_info: None,
            uploaded: BTreeMap::new(),
            authenticated_data: Vec::new(),
            tries: 0,
        }
    }

    fn bytes_of(&self, field: Field) -> Option<&Vec<u8>> {
        match field {
            Field::Message => Some(&self.message),
            Field::Welcome => self.welcome.as_ref(),
            Field::GroupInfo => self.group_info.as_ref(),
        }
    }

    fn value_of(&self, field: Field) -> Option<Value> {
        let bytes = self.bytes_of(field)?;
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let value = match self.uploaded.get(&field) {
            Some(mxc) => Bytes::Blob(Blob { mxc: mxc.clone(), sha256: Sha256::of(bytes), size_bytes }),
            None => Bytes::Inline(bytes.clone()),
        };
        Some(value.to_value())
    }

    /// The content, if it is small enough to be sent.
    fn content(&self, device_id: &str) -> Option<Value> {
        let mut content = json!({"device_id": device_id, "txn_id": self.txn_id});
        let mut info = serde_json::Map::new();
        let fields = [(Field::Welcome, "welcome"), (Field::GroupInfo, "group_info")];
        info.extend(
            fields.into_iter().filter_map(|(field, name)| Some((name.into(), self.value_of(field)?))),
        );
        if let Some(object) = content.as_object_mut() {
            object.extend(self.value_of(Field::Message).map(|message| ("message".to_owned(), message)));
            if !info.is_empty() {
                object.insert("commit_info".into(), info.into());
            }
        }
        (content.to_string().len() <= limits::OUTGOING_CONTENT_BYTES).then_some(content)
    }

    /// The largest field that is not uploaded.
    fn largest(&self) -> Option<(Field, &Vec<u8>)> {
        let fields = [Field::Message, Field::Welcome, Field::GroupInfo].into_iter();
        fields
            .filter(|field| !self.uploaded.contains_key(field))
            .filter_map(|field| Some((field, self.bytes_of(field)?)))
            .max_by_key(|(_, bytes)| bytes.len())
    }
}

/// The name of a message: a hash of it, so that no two messages of a device share one, even where it lost its state.
pub(super) fn txn_id_of(message: &[u8]) -> String {
    encode(Sha256::of(message).as_bytes()).replace('/', "_").replace('+', "-")
}

impl Device {
    /// The bytes of an [`Action::Upload`] are in the media repository.
    pub fn uploaded(&mut self, id: TransferId, mxc: &str) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        let Some((room_id, field)) = self.state.uploads.remove(&id) else {
            step.ignore("an upload that was not asked for");
            return self.finish(step);
        };
        if let Some(out) = self.state.rooms.get_mut(&room_id).and_then(|room| room.out.as_mut()) {
            out.uploaded.insert(field, mxc.to_owned());
        }
        self.dispatch(&room_id, &mut step);
        self.finish(step)
    }

    /// The media repository does not take the bytes of an [`Action::Upload`]: what they belong to was never sent, and is
    /// undone.
    pub fn not_uploaded(&mut self, id: TransferId, problem: &str) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        match self.state.uploads.remove(&id) {
            Some((room_id, _)) => {
                let content = json!({"errcode": "M_TOO_LARGE", "error": problem});
                if let Ok(refused) = Refused::read(&content) {
                    self.undo(&room_id, &refused, &content, &mut step);
                }
            }
            None => step.ignore("an upload that was not asked for"),
        }
        self.finish(step)
    }

    /// Sends what is out in a room once more, as it was: after [`super::Event::Delayed`].
    pub fn resend(&mut self, room_id: &RoomId) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        self.dispatch(room_id, &mut step);
        self.finish(step)
    }

    /// Sends what is out, or uploads first what is too large for that.
    pub(super) fn dispatch(&mut self, room_id: &RoomId, step: &mut Step) {
        self.state.uploads.retain(|_, (room, _)| room != room_id);
        step.changed = true;
        let Some(room) = self.state.rooms.get(room_id) else { return };
        let (Some(out), Some(service)) = (&room.out, &room.service) else { return };
        if let Some(content) = out.content(self.state.me.device.as_str()) {
            let kind = service.prefix().event_type(Name::Message);
            step.then.push(Action::Send(Outgoing { to: service.user.clone(), kind, content }));
        } else if let Some((field, bytes)) = out.largest() {
            let bytes = bytes.clone();
            let id = self.next_transfer();
            self.state.uploads.insert(id, (room_id.clone(), field));
            step.then.push(Action::Upload { id, bytes: bytes.into() });
        }
    }

    pub(super) fn next_transfer(&mut self) -> TransferId {
        self.state.last_transfer += 1;
        TransferId(self.state.last_transfer)
    }
}
