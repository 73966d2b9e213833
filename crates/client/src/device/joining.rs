//! Joining from outside, by an external commit. OpenMLS enters the new epoch at once; here the device is in only when the
//! service has accepted the commit.

use maypole_core::ids::{RoomId, Sha256};
use maypole_room::bytes::Bytes;
use maypole_room::commit_event::CommitEvent;
use maypole_room::receipt::RoomReceipt;
use maypole_room::response::{Answer, CurrentEpoch, Response};
use openmls::prelude::{GroupId, MlsGroup, OpenMlsProvider as _};

use super::chain::{continues, verify, vouches};
use super::commits::is_named;
use super::outgoing::{Out, What};
use super::proposals::hear_stapled;
use super::state::{Asking, Purpose, State};
use super::{Action, Device, DeviceError, Event, Standing, Step, leaves};
use crate::mls;

impl Device {
    /// Joins the group of a room from outside, or comes back after it lost it. The user is in the room already.
    pub fn join(&mut self, room_id: &RoomId) -> Result<Vec<Action>, DeviceError> {
        let room = self.state.rooms.get(room_id).filter(|room| room.service.is_some());
        let room = room.ok_or_else(|| DeviceError::NoService(room_id.clone()))?;
        if !matches!(room.standing, Standing::Outside | Standing::Gone | Standing::Lost) {
            return Err(DeviceError::Inside(room_id.clone()));
        }
        if room.asking.is_some() {
            return Err(DeviceError::Busy(room_id.clone()));
        }
        let mut step = Step::default();
        self.ask_for_group_info(room_id, 1, &mut step);
        self.finish(step)
    }

    /// Makes the external commit, when the answer is there with all its bytes.
    pub(super) fn join_by_answer(&mut self, room_id: &RoomId, step: &mut Step) {
        let Some(room) = self.state.rooms.get(room_id) else { return };
        let kept = room.group_info.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let Some(Ok(Response { answer: Answer::GroupInfo(current), .. })) =
            kept.map(|kept| Response::read(&kept))
        else {
            return;
        };
        for bytes in [&current.group_info, &current.ratchet_tree] {
            if let Bytes::Blob(blob) = bytes {
                return self.fetch(room_id, Purpose::GroupInfo, &blob.clone(), step);
            }
        }
        let tries = room.asking.as_ref().map_or(1, |asking: &Asking| asking.tries);
        let made = self.enter(room_id, &current, tries);
        step.changed = true;
        if let Some(room) = self.state.rooms.get_mut(room_id) {
            room.asking = None;
            room.group_info = None;
        }
        match made {
            Ok(()) => self.dispatch(room_id, step),
            Err(problem) => {
                let problem = format!("the epoch to join by: {problem}");
                step.tell(Event::Report {
                    room_id: room_id.clone(),
                    epoch: current.epoch,
                    problem,
                    lost: false,
                });
            }
        }
    }

    /// Is in the group, as far as OpenMLS is concerned. Works on a copy: an error leaves everything as it was.
    fn enter(&mut self, room_id: &RoomId, current: &CurrentEpoch, tries: u32) -> Result<(), String> {
        let State { me, signer, suite, rooms, .. } = &mut self.state;
        let room = rooms.get_mut(room_id).ok_or("the room is not known")?;
        let service = room.service.as_ref().ok_or("the service is not known")?;
        let (Bytes::Inline(info), Bytes::Inline(tree)) = (&current.group_info, &current.ratchet_tree) else {
            return Err("bytes are missing".into());
        };
        let info = mls::group_info(info).ok_or("it has no GroupInfo")?;
        let tree = mls::tree(tree).ok_or("it has no ratchet tree")?;
        if u16::from(info.ciphersuite()) != *suite {
            return Err("the group has another cipher suite than this device".into());
        }
        let context = info.group_context();
        let keys = mls::service_keys(context.extensions())?;
        if keys.user != service.user {
            return Err("the group names another delivery service".into());
        }
        let group_id = room_id.as_str().as_bytes();
        let right = context.group_id().as_slice() == group_id
            && current.group_id.as_bytes() == group_id
            && context.epoch().as_u64() == current.epoch.get();
        if !right {
            return Err("the GroupInfo is of another group or epoch".into());
        }
        let (user, id, key) = (keys.user.as_str(), keys.receipt_key_id.as_str(), &keys.receipt_key);
        let receipt =
            RoomReceipt::verify(&current.receipt, user, id, key).map_err(|error| error.to_string())?;
        receipt.is_of(room_id, &current.group_id, current.epoch).map_err(|error| error.to_string())?;
        vouches(&receipt, context)?;
        let external_pub =
            info.extensions().external_pub().map(|found| found.external_pub().as_slice().to_vec());
        if external_pub.as_deref() != Some(receipt.receipt().external_pub.as_slice()) {
            return Err("the GroupInfo's `external_pub` is not the one of the receipt".into());
        }
        let provider = mls::copy(&self.provider);
        let old = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id));
        if let Some(mut old) = old.map_err(|error| error.to_string())? {
            old.delete(provider.storage()).map_err(|error| error.to_string())?;
        }
        let credential = mls::credential(me, signer);
        let made = mls::make_external(&provider, signer, credential, info, tree);
        let (group, made) = made.map_err(|error| error.to_string())?;
        self.provider = provider;
        self.groups.insert(room_id.clone(), group);
        room.drop_plans();
        room.standing = Standing::Joining;
        room.receipt = Some(current.receipt.to_string());
        room.out = Some(Out::commit(What::Joining, current.epoch.get(), made, Vec::new(), tries));
        Ok(())
    }

    /// A commit for the epoch that the device's own external commit would make.
    pub(super) fn hear_own_joining(&mut self, event: &CommitEvent, step: &mut Step) {
        let State { me, rooms, signer, .. } = &mut self.state;
        let Some((room, group)) = rooms.get_mut(&event.room_id).zip(self.groups.get_mut(&event.room_id))
        else {
            return;
        };
        let own = room.out.as_ref().is_some_and(|out| {
            is_named(out, event, &me.user) && event.message.hash() == Sha256::of(&out.message)
        });
        if !own {
            return step.ignore("a commit that came before the device's own: the refusal will say so");
        }
        let checked = verify(group, event).and_then(|receipt| {
            continues(room, &receipt)?;
            vouches(&receipt, group.public_group().group_context())?;
            Ok(receipt)
        });
        step.changed = true;
        let (room_id, epoch) = (event.room_id.clone(), event.epoch);
        match checked {
            Ok(receipt) => {
                room.out = None;
                room.drop_welcome();
                room.standing = Standing::Member;
                room.receipt = Some(event.receipt.to_string());
                step.tell(Event::Joined { room_id: room_id.clone(), epoch, members: leaves(group) });
                let mut problems = hear_stapled(&self.provider, group, &event.proposals);
                let own = mls::external_pub(&self.provider, signer, group);
                if own.as_deref() != Some(receipt.receipt().external_pub.as_slice()) {
                    problems.push("the receipt's `external_pub` is false".into());
                }
                for problem in problems {
                    step.tell(Event::Report { room_id: room_id.clone(), epoch, problem, lost: false });
                }
                self.go_on(&room_id, step);
            }
            Err(problem) => {
                room.standing = Standing::Lost;
                room.drop_plans();
                step.tell(Event::Report { room_id, epoch, problem, lost: true });
            }
        }
    }
}
