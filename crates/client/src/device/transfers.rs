//! Bytes that lie in the media repository: fetched when their turn comes, and used only if they are what was announced.

use maypole_core::ids::{RoomId, Sha256};
use maypole_room::bytes::{Blob, encode};
use maypole_room::proposals::Proposals;
use serde_json::Value;

use super::state::{Download, Purpose};
use super::{Action, Device, DeviceError, Event, Step, TransferId};

impl Device {
    /// The bytes of an [`Action::Download`]. What could not be downloaded is asked for again by [`Device::resume`].
    pub fn downloaded(&mut self, id: TransferId, bytes: &[u8]) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        let Some(download) = self.state.downloads.remove(&id) else {
            step.ignore("a download that was not asked for");
            return self.finish(step);
        };
        step.changed = true;
        let room_id = download.room_id.clone();
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size_bytes != download.size_bytes || Sha256::of(bytes) != download.sha256 {
            step.tell(Event::BlobRefused { room_id: room_id.clone(), mxc: download.mxc.clone() });
            self.do_without(&download, &mut step);
            return self.finish(step);
        }
        self.put_in(&download, bytes);
        match download.purpose {
            Purpose::Commit(_) => self.go_on(&room_id, &mut step),
            Purpose::GroupInfo => self.join_by_answer(&room_id, &mut step),
            Purpose::Welcome => {
                self.use_waiting_welcome(&room_id, &mut step);
            }
        }
        self.finish(step)
    }

    /// Asks for the bytes of a blob, once.
    pub(super) fn fetch(&mut self, room_id: &RoomId, purpose: Purpose, blob: &Blob, step: &mut Step) {
        let known = self.state.downloads.values().any(|download| {
            download.room_id == *room_id && download.purpose == purpose && download.blob() == *blob
        });
        if known {
            return;
        }
        let id = self.next_transfer();
        let Blob { mxc, sha256, size_bytes } = blob.clone();
        let download = Download { room_id: room_id.clone(), purpose, mxc, sha256, size_bytes };
        self.state.downloads.insert(id, download);
        step.changed = true;
        step.then.push(Action::Download { id, blob: blob.clone() });
    }

    /// After a start: what was under way.
    pub(super) fn fetch_again(&self, step: &mut Step) {
        let downloads = self.state.downloads.iter();
        step.then.extend(downloads.map(|(id, download)| Action::Download { id: *id, blob: download.blob() }));
    }

    /// Puts bytes where the blob stood.
    fn put_in(&mut self, download: &Download, bytes: &[u8]) {
        let Some(room) = self.state.rooms.get_mut(&download.room_id) else { return };
        let text = match download.purpose {
            Purpose::Commit(epoch) => room.ahead.get_mut(&epoch).map(|ahead| &mut ahead.content),
            Purpose::Welcome => room.welcome.as_mut(),
            Purpose::GroupInfo => room.group_info.as_mut(),
        };
        let Some(text) = text else { return };
        let Ok(mut content) = serde_json::from_str::<Value>(text) else { return };
        // What is no array of proposals stays what it is, one that cannot be used.
        let proposals = Proposals::from_blob(bytes).unwrap_or_else(|_| Proposals::of(&[bytes.to_vec()]));
        let (blob, bytes, proposals) =
            (download.blob().to_value(), Value::from(encode(bytes)), proposals.to_value());
        for field in ["message", "welcome", "ratchet_tree", "group_info"] {
            replace(content.get_mut(field), &blob, &bytes);
        }
        match content.get_mut("proposals") {
            Some(Value::Array(proposals)) => {
                proposals.iter_mut().for_each(|proposal| replace(Some(proposal), &blob, &bytes));
            }
            all => replace(all, &blob, &proposals),
        }
        *text = content.to_string();
    }

    /// Bytes that are not those that were announced: what they belong to is dropped. The tree of a Welcome the service still has.
    fn do_without(&mut self, download: &Download, step: &mut Step) {
        let room_id = &download.room_id;
        if download.purpose == Purpose::Welcome && self.ask_for_tree(room_id, Some(&download.blob()), step) {
            return;
        }
        let Some(room) = self.state.rooms.get_mut(room_id) else { return };
        match download.purpose {
            Purpose::Commit(epoch) => {
                // It is asked for when the next one comes, or by the caller.
                room.ahead.remove(&epoch);
            }
            Purpose::Welcome => {
                self.refuse_welcome(room_id, "its bytes are not those that were announced", step);
            }
            Purpose::GroupInfo => {
                let tries = room.asking.take().map_or(1, |asking| asking.tries);
                self.ask_for_group_info(room_id, tries + 1, step);
            }
        }
    }
}

/// Compares blobs by what they say, whatever else stands in them.
fn replace(field: Option<&mut Value>, blob: &Value, bytes: &Value) {
    let Some(field) = field else { return };
    let same = |key: &str| field.get(key).is_some() && field.get(key) == blob.get(key);
    if ["mxc", "sha256", "size"].into_iter().all(same) {
        *field = bytes.clone();
    }
}
