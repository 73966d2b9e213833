//! What is kept in a file: the account, its keys, the place in `/sync`, the device's state, and what it told; written whole, in one step
//! that a crash either made or did not make.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use maypole_core::ids::RoomId;
use maypole_core::limits;
use serde::{Deserialize, Serialize};

use super::MatrixError;
use crate::device::Event;

/// The version of the file.
const VERSION: u8 = 2;

/// Everything that a client needs to go on.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) base_url: String,
    pub(super) service_url: String,
    pub(super) access_token: String,
    /// The Matrix device's Ed25519 key.
    pub(super) device_key: Vec<u8>,
    /// The public half of its Curve25519 key.
    pub(super) identity_key: Vec<u8>,
    /// The place in `/sync`.
    pub(super) since: Option<String>,
    /// Whether event types have the unstable prefix.
    pub(super) unstable: bool,
    /// The state of the MLS device.
    pub(super) device: Vec<u8>,
    /// The versions of MLS rooms, by which events are hashed.
    pub(super) room_versions: BTreeMap<RoomId, String>,
    /// What was told and the caller has not taken, the oldest first. A text's key is used up when it is read: it must not
    /// be lost with the process.
    pub(super) events: VecDeque<Event>,
    /// What was told and is not checked yet.
    pub(super) unchecked: VecDeque<Event>,
    /// Rooms to which the user is invited, and by whom.
    pub(super) invites: BTreeMap<RoomId, String>,
}

impl Stored {
    /// Keeps an event for the caller. Where too many were not taken, the oldest goes that is no text.
    pub(super) fn keep(&mut self, event: Event) {
        self.events.push_back(event);
        if self.events.len() > limits::CLIENT_EVENTS_KEPT {
            let least = self.events.iter().position(|event| !matches!(event, Event::Text { .. }));
            self.events.remove(least.unwrap_or_default());
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), MatrixError> {
        let failed = |error| MatrixError::File { path: path.display().to_string(), error };
        let bytes = postcard::to_extend(self, vec![VERSION]);
        let bytes =
            bytes.map_err(|error| MatrixError::Settings(format!("the state cannot be written: {error}")))?;
        let beside = beside(path);
        // What a crash left there keeps its own permissions: it is made anew.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let mut file = new.map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&beside, path).map_err(failed)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    pub(super) fn read(path: &Path) -> Result<Self, MatrixError> {
        let failed = |error| MatrixError::File { path: path.display().to_string(), error };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(limits::CLIENT_STATE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        let wrong = |problem: &str| MatrixError::Settings(format!("{}: {problem}", path.display()));
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits::CLIENT_STATE_BYTES {
            return Err(wrong("it is larger than a client's state may be"));
        }
        let Some((&VERSION, bytes)) = bytes.split_first() else {
            return Err(wrong("it is of a version that is not known here"));
        };
        match postcard::take_from_bytes(bytes) {
            Ok((stored, [])) => Ok(stored),
            _ => Err(wrong("it is damaged")),
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn stored() -> Stored {
        Stored {
            base_url: "http://localhost".into(),
            service_url: "http://localhost".into(),
            access_token: "secret".into(),
            device_key: vec![1],
            identity_key: vec![2],
            since: None,
            unstable: false,
            device: vec![3; 100],
            room_versions: BTreeMap::new(),
            events: VecDeque::new(),
            unchecked: VecDeque::new(),
            invites: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert!(matches!(Stored::read(&path), Err(MatrixError::File { .. })));
        stored().write(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        let mut later = good.clone();
        later[0] = 9;
        let mut longer = good.clone();
        longer.push(0);
        for wrong in [&[][..], &later, &longer, &good[..good.len() - 1]] {
            std::fs::write(&path, wrong).unwrap();
            assert!(matches!(Stored::read(&path), Err(MatrixError::Settings(_))));
        }
    }

    #[test]
    fn a_state_is_replaced_whole_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        stored().write(&path).unwrap();
        // What a crash left half written.
        std::fs::write(beside(&path), b"half").unwrap();
        let next = Stored { since: Some("s1".into()), ..stored() };
        next.write(&path).unwrap();
        assert_eq!(Stored::read(&path).unwrap().since.as_deref(), Some("s1"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!beside(&path).exists());
    }

    #[test]
    fn what_was_told_is_read_back() {
        use maypole_core::ids::{ClientId, DeviceId, Epoch, Sha256, UserId};
        use maypole_room::bytes::Blob;
        use maypole_room::commit_event::AuthEvents;
        use serde_json::json;

        use crate::device::{Advance, Leaf};

        let room_id = RoomId::parse("!room:a.org").unwrap();
        let user = UserId::parse("@bob:b.org").unwrap();
        let client = ClientId { user, device: DeviceId::parse("LAPTOP").unwrap() };
        let blob = Blob { mxc: "mxc://a.org/x".into(), sha256: Sha256::of(b"x"), size_bytes: 1 };
        let advance = |auth_events| {
            Event::Advanced(Box::new(Advance {
                room_id: room_id.clone(),
                epoch: Epoch::ZERO,
                by: client.clone(),
                own: false,
                added: vec![Leaf { client: client.clone(), signature_key: vec![1] }],
                rekeyed: Vec::new(),
                removed: vec![client.clone()],
                authenticated_data: vec![2],
                auth_events,
            }))
        };
        let told = [
            advance(AuthEvents::Inline(vec![json!({"a": [1, null]})])),
            advance(AuthEvents::Blob(blob)),
            Event::Refused {
                room_id: room_id.clone(),
                wish: None,
                errcode: "M_FORBIDDEN".into(),
                content: json!({"error": "no"}),
            },
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut stored = stored();
        told.iter().for_each(|event| stored.keep(event.clone()));
        stored.invites.insert(room_id, "@alice:a.org".into());
        stored.write(&path).unwrap();
        let back = Stored::read(&path).unwrap();
        assert_eq!((back.events, back.invites), (VecDeque::from(told), stored.invites));
    }

    #[test]
    fn where_too_much_was_not_taken_texts_stay_longest() {
        use maypole_core::ids::{ClientId, DeviceId, Epoch, UserId};

        let room_id = RoomId::parse("!room:a.org").unwrap();
        let user = UserId::parse("@bob:b.org").unwrap();
        let sender = ClientId { user, device: DeviceId::parse("LAPTOP").unwrap() };
        let text = |text: u64| Event::Text {
            room_id: room_id.clone(),
            event_id: text.to_string(),
            sender: sender.clone(),
            epoch: Epoch::ZERO,
            text: Vec::new().into(),
        };
        let mut stored = stored();
        stored.keep(text(0));
        stored.keep(Event::Registered { room_id: room_id.clone() });
        for number in 2..=limits::CLIENT_EVENTS_KEPT {
            stored.keep(text(number as u64));
        }
        assert_eq!(stored.events.len(), limits::CLIENT_EVENTS_KEPT);
        assert_eq!((&stored.events[0], &stored.events[1]), (&text(0), &text(2)));
        stored.keep(text(9));
        assert_eq!((stored.events.len(), &stored.events[0]), (limits::CLIENT_EVENTS_KEPT, &text(2)));
    }
}
