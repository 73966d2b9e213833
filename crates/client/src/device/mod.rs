//! One Matrix device and its groups, without I/O.
//!
//! The caller tells a [`Device`] its wishes and what arrived, and carries out the [`Action`]s that come back, in their
//! order. What is kept true here (docs/protocol.md §10):
//!
//! - the whole state is written before anything that follows from it is sent;
//! - at most one commit per group is out, and it is merged only on its own `m.mls.commit`, byte for byte what was sent;
//! - commits are applied by epoch, not by arrival, and each only with a receipt that continues the chain;
//! - a Welcome is not touched without its tree, uses up no KeyPackage when it fails, and replaces no group in which the
//!   device has a leaf;
//! - in a group that the service has not accepted, nothing is sent and nothing read.

mod action;
mod answers;
mod catching_up;
mod chain;
mod commits;
mod error;
mod joining;
mod messages;
mod outgoing;
mod private;
mod proposals;
mod registering;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod transfers;
mod trusting;
mod waiting;
mod welcomes;
mod wish;
mod wishes;
mod written;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use maypole_core::ids::{ClientId, Epoch, RoomId, UserId};
use maypole_core::limits;
use maypole_room::bytes::encode;
use maypole_room::names::{self, Name};
use openmls::prelude::{GroupId, MlsGroup, OpenMlsProvider as _, OpenMlsRand as _};
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::Value;

pub use action::{Action, Advance, Event, Leaf, Outgoing, RoomMessage, TransferId};
pub use error::DeviceError;
pub use messages::ALGORITHM;
pub use private::Private;
pub use state::{Service, Standing};
pub use wish::{Citing, Leaving, Wish};

use crate::mls;
use state::{Room, State};

/// A Matrix device with its groups.
///
/// ```
/// use maypole_client::device::{Action, Device};
/// use maypole_core::ids::{ClientId, DeviceId, UserId};
///
/// let me = ClientId { user: UserId::parse("@alice:a.org").unwrap(), device: DeviceId::parse("PHONE").unwrap() };
/// let (device, actions) = Device::new(me, 1)?;
/// let [Action::Persist(state)] = &actions[..] else { panic!() };
/// let restored = Device::restore(state)?;
/// assert_eq!(restored.signature_key(), device.signature_key());
/// # Ok::<(), maypole_client::device::DeviceError>(())
/// ```
pub struct Device {
    provider: OpenMlsRustCrypto,
    state: State,
    groups: BTreeMap<RoomId, MlsGroup>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standings: BTreeMap<_, _> =
            self.state.rooms.iter().map(|(id, room)| (id, room.standing)).collect();
        write!(f, "Device({}, {standings:?})", self.state.me)
    }
}

/// A KeyPackage to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKeyPackage {
    /// Its key ID among one-time keys.
    pub id: String,
    /// Its bytes, bare.
    pub bytes: Vec<u8>,
}

/// What one input leads to.
#[derive(Default)]
struct Step {
    told: Vec<Event>,
    changed: bool,
    then: Vec<Action>,
}

impl Step {
    fn tell(&mut self, event: Event) {
        self.told.push(event);
    }

    fn ignore(&mut self, problem: impl Into<String>) {
        self.told.push(Event::Ignored { problem: problem.into() });
    }
}

impl Device {
    /// A device with a new signature key of a cipher suite's scheme.
    pub fn new(me: ClientId, suite: u16) -> Result<(Self, Vec<Action>), DeviceError> {
        let signer = mls::new_signer(suite).ok_or(DeviceError::Suite(suite))?;
        let state = State {
            me,
            suite,
            signer,
            rooms: BTreeMap::new(),
            downloads: BTreeMap::new(),
            uploads: BTreeMap::new(),
            last_transfer: 0,
            welcomes: VecDeque::new(),
        };
        let device = Self { provider: OpenMlsRustCrypto::default(), state, groups: BTreeMap::new() };
        let actions = device.finish(Step { changed: true, ..Step::default() })?;
        Ok((device, actions))
    }

    /// The device that an [`Action::Persist`] wrote down. [`Self::resume`] comes next.
    pub fn restore(bytes: &[u8]) -> Result<Self, DeviceError> {
        let (state, entries) = state::read(bytes)?;
        let provider = mls::from_entries(entries);
        let mut groups = BTreeMap::new();
        for (room_id, room) in &state.rooms {
            let group_id = GroupId::from_slice(room_id.as_str().as_bytes());
            let group = MlsGroup::load(provider.storage(), &group_id);
            let group = group.map_err(|error| DeviceError::State(error.to_string()))?;
            if group.is_none() && !matches!(room.standing, Standing::Outside) {
                return Err(DeviceError::State(format!("the group of {room_id} is missing")));
            }
            groups.extend(group.map(|group| (room_id.clone(), group)));
        }
        Ok(Self { provider, state, groups })
    }

    /// After a start: everything that was under way, once more.
    pub fn resume(&mut self) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        let rooms: Vec<RoomId> = self.state.rooms.keys().cloned().collect();
        for room_id in rooms {
            self.dispatch(&room_id, &mut step);
            self.ask_again(&room_id, &mut step);
            self.send_unsent(&room_id, &mut step);
        }
        self.fetch_again(&mut step);
        self.finish(step)
    }

    /// A to-device message came: its sender and type, and its content.
    pub fn receive(&mut self, sender: &str, kind: &str, content: &Value) -> Result<Vec<Action>, DeviceError> {
        let mut step = Step::default();
        let Some((prefix, name)) = names::parse(kind) else { return Ok(Vec::new()) };
        let Some(sender) = UserId::parse(sender) else { return Ok(Vec::new()) };
        match name {
            Name::Commit => self.hear_commit(&sender, content, &mut step),
            Name::Welcome => self.hear_welcome(&sender, prefix, content, &mut step),
            Name::Accepted => self.hear_accepted(&sender, content, &mut step),
            Name::Rejected => self.hear_rejected(&sender, content, &mut step),
            Name::Response => self.hear_response(&sender, content, &mut step),
            _ => step.ignore(format!("{kind} is nothing that a delivery service sends to a device")),
        }
        self.finish(step)
    }

    /// Who the device is.
    pub const fn me(&self) -> &ClientId {
        &self.state.me
    }

    /// Its cipher suite.
    pub const fn suite(&self) -> u16 {
        self.state.suite
    }

    /// The public signature key, as the device publishes it in its `device_keys`.
    pub fn signature_key(&self) -> Vec<u8> {
        self.state.signer.to_public_vec()
    }

    /// Where the device stands in the group of a room.
    pub fn standing(&self, room_id: &RoomId) -> Standing {
        self.state.rooms.get(room_id).map(|room| room.standing).unwrap_or_default()
    }

    /// The epoch of a room's group, where the device is a member.
    pub fn epoch(&self, room_id: &RoomId) -> Option<Epoch> {
        let group = self.groups.get(room_id)?;
        if self.standing(room_id) == Standing::Member { Epoch::new(group.epoch().as_u64()) } else { None }
    }

    /// Everybody in the group of a room, where the device is a member, in the order of their leaves.
    pub fn members(&self, room_id: &RoomId) -> Vec<Leaf> {
        let group = self.groups.get(room_id).filter(|_| self.standing(room_id) == Standing::Member);
        group.map(leaves).unwrap_or_default()
    }

    /// Whether something of this room waits for the service's answer.
    pub fn is_waiting(&self, room_id: &RoomId) -> bool {
        let waits = |room: &Room| room.out.is_some() || room.again.is_some() || room.asking.is_some();
        self.state.rooms.get(room_id).is_some_and(waits)
    }

    /// What two members of one epoch have in common, and nobody else has.
    pub fn epoch_authenticator(&self, room_id: &RoomId) -> Option<Vec<u8>> {
        self.groups.get(room_id).map(|group| group.epoch_authenticator().as_slice().to_vec())
    }

    /// Makes KeyPackages. They are published after their secrets are written.
    pub fn key_packages(
        &mut self,
        count: usize,
        last_resort: bool,
    ) -> Result<(Vec<NewKeyPackage>, Vec<Action>), DeviceError> {
        if count > limits::CLIENT_KEY_PACKAGES_AT_ONCE {
            return Err(DeviceError::TooMany(limits::CLIENT_KEY_PACKAGES_AT_ONCE));
        }
        let State { me, suite, signer, .. } = &self.state;
        let mut made = Vec::with_capacity(count);
        for _ in 0..count {
            let credential = mls::credential(me, signer);
            let bytes = mls::create_key_package(&self.provider, signer, credential, *suite, last_resort);
            let bytes = bytes.map_err(DeviceError::Mls)?;
            made.push(NewKeyPackage { id: outgoing::txn_id_of(&bytes), bytes });
        }
        Ok((made, self.finish(Step { changed: true, ..Step::default() })?))
    }

    /// The signature key in a KeyPackage of a device, to be checked against what the device publishes.
    pub fn signature_key_in(&self, key_package: &[u8], of: &ClientId) -> Result<Vec<u8>, DeviceError> {
        let (client, key_package) = wishes::read_key_package(&self.provider, key_package)?;
        if client != *of {
            return Err(DeviceError::KeyPackage(format!("it is {client}'s, not {of}'s")));
        }
        Ok(key_package.leaf_node().signature_key().as_slice().to_vec())
    }

    /// What one input leads to, in order: what is told, then the state, then what follows from it. What is told comes
    /// first, so that a crash repeats it rather than loses it.
    fn finish(&self, step: Step) -> Result<Vec<Action>, DeviceError> {
        let Step { told, changed, then } = step;
        let mut actions: Vec<Action> = told.into_iter().map(Action::Tell).collect();
        if changed {
            let state = state::write(&self.state, mls::to_entries(&self.provider))?;
            actions.push(Action::Persist(state.into()));
        }
        actions.extend(then);
        Ok(actions)
    }

    /// Whether a message about a room comes from the one who orders it.
    fn is_service(&self, room_id: &RoomId, sender: &UserId) -> bool {
        let service = self.state.rooms.get(room_id).and_then(|room| room.service.as_ref());
        service.is_some_and(|service| service.user == *sender)
    }

    /// A new name for a question.
    fn new_request_id(&self) -> Result<String, DeviceError> {
        let random: Result<[u8; 16], _> = self.provider.rand().random_array();
        random.map(|bytes| encode(&bytes)).map_err(|error| DeviceError::Mls(error.to_string()))
    }
}

/// Everybody in a group.
fn leaves(group: &MlsGroup) -> Vec<Leaf> {
    let names = mls::member_names(group);
    let members = group.members().filter_map(|member| {
        let client = names.get(&member.index.u32())?.clone();
        Some(Leaf { client, signature_key: member.signature_key })
    });
    members.collect()
}
