//! A new group for a room, registered with the room's delivery service (docs/protocol.md §3).

use maypole_core::ids::{Epoch, RoomId, Sha256, TxnId, UserId};
use maypole_room::accepted::Accepted;
use maypole_room::bytes::decode;
use maypole_room::description::Description;
use maypole_room::receipt::RoomReceipt;
use openmls::prelude::OpenMlsProvider as _;
use serde_json::Value;

use super::outgoing::{Out, What};
use super::state::State;
use super::{Action, Device, DeviceError, Event, Standing, Step};
use crate::mls;

impl Device {
    /// Makes the group of a room, with this device alone in it, and registers it. [`Device::trust`] comes first.
    pub fn register(
        &mut self,
        room_id: &RoomId,
        description: &Description,
    ) -> Result<Vec<Action>, DeviceError> {
        let service = self.state.rooms.get(room_id).and_then(|room| room.service.clone());
        let service = service.ok_or_else(|| DeviceError::NoService(room_id.clone()))?;
        if description.user_id != service.user.as_str() {
            let named = service.user.to_string();
            return Err(DeviceError::OtherService { described: description.user_id.clone(), named });
        }
        if self.standing(room_id) != Standing::Outside {
            return Err(DeviceError::Inside(room_id.clone()));
        }
        if self.is_waiting(room_id) {
            return Err(DeviceError::Busy(room_id.clone()));
        }
        let State { me, suite, signer, .. } = &self.state;
        let key = description.external_sender.signature_keys.get(scheme(*suite)).and_then(|key| decode(key));
        let key = key.ok_or(DeviceError::Description("it has no key of this suite's scheme"))?;
        let identity = description.external_sender.credential.identity.as_str();
        let provider = mls::copy(&self.provider);
        let credential = mls::credential(me, signer);
        let group_id = room_id.as_str().as_bytes();
        let group = mls::create(&provider, signer, credential, *suite, group_id, (identity, key));
        let group = group.map_err(DeviceError::Mls)?;
        let keys = mls::service_keys(group.extensions()).map_err(DeviceError::Description)?;
        if keys.user != service.user {
            return Err(DeviceError::Description("its credential names another account"));
        }
        let info = group.export_group_info(provider.crypto(), signer, true);
        let info = info.map_err(|error| DeviceError::Mls(error.to_string()))?;
        let message = info.to_bytes().map_err(|error| DeviceError::Mls(error.to_string()))?;
        self.provider = provider;
        self.groups.insert(room_id.clone(), group);
        let room = self.state.rooms.entry(room_id.clone()).or_default();
        room.standing = Standing::Registering;
        room.out = Some(Out::registration(message));
        let mut step = Step { changed: true, ..Step::default() };
        self.dispatch(room_id, &mut step);
        self.finish(step)
    }

    /// `m.mls.accepted`.
    pub(super) fn hear_accepted(&mut self, sender: &UserId, content: &Value, step: &mut Step) {
        let accepted = match Accepted::read(content) {
            Ok(accepted) => accepted,
            Err(error) => return step.ignore(format!("an acceptance: {error}")),
        };
        let room_id = accepted.room_id.clone();
        if !self.is_service(&room_id, sender) {
            return step.ignore(format!("{sender} is not the delivery service of {room_id}"));
        }
        let Some(room) = self.state.rooms.get_mut(&room_id) else { return };
        let txn_id = accepted.txn_id.as_ref().map(TxnId::as_str);
        let ours = room.out.as_ref().filter(|out| {
            out.what == What::Registration
                && Some(out.txn_id.as_str()) == txn_id
                && accepted.message_hash == Sha256::of(&out.message)
        });
        let (Some(out), Some(group)) = (ours, self.groups.get(&room_id)) else {
            return step.ignore("an acceptance of nothing that is out");
        };
        let pub_key = mls::external_pub(&self.provider, &self.state.signer, group);
        match first_receipt(&accepted, group, out, pub_key.as_deref()) {
            Ok(receipt) => {
                room.receipt = Some(receipt.to_string());
                room.out = None;
                room.standing = Standing::Member;
                step.changed = true;
                step.tell(Event::Registered { room_id });
            }
            Err(problem) => {
                let problem = format!("the registration's receipt: {problem}");
                step.tell(Event::Report { room_id, epoch: Epoch::ZERO, problem, lost: false });
            }
        }
    }
}

/// The receipt of epoch 0, if it is that of this group.
fn first_receipt<'a>(
    accepted: &'a Accepted,
    group: &openmls::prelude::MlsGroup,
    out: &Out,
    external_pub: Option<&[u8]>,
) -> Result<&'a Value, String> {
    let value = accepted.receipt.as_ref().ok_or("it is missing")?;
    let keys = mls::service_keys(group.extensions())?;
    let verified = RoomReceipt::verify(value, keys.user.as_str(), &keys.receipt_key_id, &keys.receipt_key);
    let receipt = verified.map_err(|error| error.to_string())?;
    let said = receipt.receipt();
    let context = group.public_group().group_context();
    let fits = *receipt.room_id() == accepted.room_id
        && said.group.as_bytes() == context.group_id().as_slice()
        && said.epoch == Epoch::ZERO
        && said.prev.is_none()
        && said.commit == Sha256::of(&out.message)
        && said.tree_hash == context.tree_hash()
        && said.confirmed_transcript_hash == context.confirmed_transcript_hash()
        && Some(said.external_pub.as_slice()) == external_pub;
    if fits { Ok(value) } else { Err("it is of something else".into()) }
}

/// The name of a suite's signature scheme in a service's description.
fn scheme(suite: u16) -> &'static str {
    if suite == 2 { "ecdsa_secp256r1_sha256" } else { "ed25519" }
}
