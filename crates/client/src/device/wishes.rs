//! Commits that the caller wishes for. One is out at a time; one that comes too late is made again.

use std::collections::BTreeMap;

use maypole_core::ids::{ClientId, Epoch, RoomId, UserId};
use maypole_core::limits;
use maypole_room::identity;
use openmls::prelude::{BasicCredential, KeyPackage, MlsGroup, OpenMlsProvider as _};
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::outgoing::{Out, What};
use super::state::{Again, State};
use super::{Action, Citing, Device, DeviceError, Event, Leaving, Standing, Step, Wish};
use crate::mls::{self, Making};

impl Device {
    /// Renews the device's own keys, and commits what is proposed.
    pub fn update(&mut self, room_id: &RoomId) -> Result<Vec<Action>, DeviceError> {
        self.wish(room_id, Wish::Update)
    }

    /// Adds devices by their KeyPackages. What the commit cites is in force now: the caller has looked.
    pub fn add(
        &mut self,
        room_id: &RoomId,
        key_packages: Vec<Vec<u8>>,
        citing: Citing,
    ) -> Result<Vec<Action>, DeviceError> {
        self.wish(room_id, Wish::Add { key_packages, citing })
    }

    /// Removes devices.
    pub fn remove(
        &mut self,
        room_id: &RoomId,
        devices: Vec<ClientId>,
        citing: Citing,
    ) -> Result<Vec<Action>, DeviceError> {
        self.wish(room_id, Wish::Remove { devices, citing })
    }

    fn wish(&mut self, room_id: &RoomId, wish: Wish) -> Result<Vec<Action>, DeviceError> {
        self.may_act(room_id)?;
        let room = self.state.rooms.get(room_id).ok_or_else(|| DeviceError::NoGroup(room_id.clone()))?;
        if room.out.is_some() || room.again.is_some() {
            return Err(DeviceError::Busy(room_id.clone()));
        }
        let mut step = Step::default();
        self.make(room_id, wish, 1, &mut step)?;
        self.finish(step)
    }

    /// Whether the device is a member whom the service knows.
    pub(super) fn may_act(&self, room_id: &RoomId) -> Result<(), DeviceError> {
        let room = room_id.clone();
        match self.standing(room_id) {
            Standing::Member => Ok(()),
            Standing::Outside => Err(DeviceError::NoGroup(room)),
            Standing::Registering | Standing::Joining => Err(DeviceError::NotAccepted(room)),
            Standing::Gone => Err(DeviceError::Removed(room)),
            Standing::Lost => Err(DeviceError::Lost(room)),
        }
    }

    /// Makes a commit of a wish and sends it.
    pub(super) fn make(
        &mut self,
        room_id: &RoomId,
        wish: Wish,
        tries: u32,
        step: &mut Step,
    ) -> Result<(), DeviceError> {
        let Self { provider, state, groups } = self;
        let State { signer, rooms, suite, .. } = state;
        let (Some(group), Some(room)) = (groups.get_mut(room_id), rooms.get_mut(room_id)) else {
            return Err(DeviceError::NoGroup(room_id.clone()));
        };
        let making = read_wish(provider, group, *suite, &wish)?;
        let (epoch, authenticated_data) = (group.epoch().as_u64(), making.aad.clone());
        let made = mls::make(provider, signer, group, making);
        let made = made.map_err(|error| DeviceError::Mls(error.to_string()))?;
        room.out = Some(Out::commit(What::Commit(wish), epoch, made, authenticated_data, tries));
        step.changed = true;
        self.dispatch(room_id, step);
        Ok(())
    }

    /// Makes a commit that came too late again, once the epoch has moved.
    pub(super) fn try_again(&mut self, room_id: &RoomId, step: &mut Step) {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return };
        let Some(group) = self.groups.get(room_id) else { return };
        let epoch = group.epoch().as_u64();
        let ready = room.standing == Standing::Member && room.out.is_none() && room.catching_up.is_none();
        let Some(Again { wish, tries, .. }) = room.again.take_if(|again| ready && again.epoch < epoch) else {
            return;
        };
        step.changed = true;
        let refused = |wish, errcode: &str, error: String| Event::Refused {
            room_id: room_id.clone(),
            wish: Some(wish),
            errcode: errcode.to_owned(),
            content: serde_json::json!({"error": error}),
        };
        if tries >= limits::CLIENT_TRIES {
            let error = format!("others were first {tries} times");
            return step.tell(refused(wish, "M_MLS_STALE_EPOCH", error));
        }
        let Some(rest) = still_to_do(&self.provider, group, wish.clone()) else {
            return step.tell(Event::Unneeded { room_id: room_id.clone(), wish });
        };
        match self.make(room_id, rest, tries + 1, step) {
            Ok(()) => {
                let epoch = Epoch::new(epoch).unwrap_or(Epoch::ZERO);
                step.tell(Event::Retried { room_id: room_id.clone(), epoch });
            }
            Err(error) => step.tell(refused(wish, "M_MLS_INVALID_COMMIT", error.to_string())),
        }
    }
}

/// What a wish asks of a commit.
fn read_wish(
    provider: &OpenMlsRustCrypto,
    group: &MlsGroup,
    suite: u16,
    wish: &Wish,
) -> Result<Making, DeviceError> {
    match wish {
        Wish::Update => Ok(Making { renew: true, ..Making::default() }),
        Wish::Add { key_packages, citing } => {
            let mut add = Vec::with_capacity(key_packages.len());
            for bytes in key_packages {
                let (client, key_package) = read_key_package(provider, bytes)?;
                if u16::from(key_package.ciphersuite()) != suite {
                    let problem = format!("{client}'s is of another cipher suite");
                    return Err(DeviceError::KeyPackage(problem));
                }
                if mls::leaf_of(group, &client).is_some() {
                    return Err(DeviceError::Here(client));
                }
                add.push(key_package);
            }
            if add.is_empty() {
                return Err(DeviceError::Nothing);
            }
            Ok(Making { add, aad: citing.authenticated_data(), ..Making::default() })
        }
        Wish::Remove { devices, citing } => {
            let leaf = |client: &ClientId| {
                mls::leaf_of(group, client).ok_or_else(|| DeviceError::Absent(client.clone()))
            };
            let remove = devices.iter().map(leaf).collect::<Result<Vec<_>, _>>()?;
            if remove.is_empty() {
                return Err(DeviceError::Nothing);
            }
            let citing = Citing { membership: leaving(group, devices, citing), ..citing.clone() };
            Ok(Making { remove, aad: citing.authenticated_data(), ..Making::default() })
        }
    }
}

/// Who leaves the room by a removal: of those that the wish names, whose last leaf goes by it. Others may have removed
/// some of a user's leaves meanwhile, or added one; and who goes by what is proposed already does not leave by this.
fn leaving(group: &MlsGroup, devices: &[ClientId], citing: &Citing) -> BTreeMap<UserId, Leaving> {
    let going = mls::going(group);
    let members = mls::member_names(group);
    let is_last = |user: &UserId| {
        let staying = members.iter().filter(|(leaf, client)| client.user == *user && !going.contains(leaf));
        let mut staying = staying.map(|(_, client)| client).peekable();
        staying.peek().is_some() && staying.all(|client| devices.contains(client))
    };
    let named = citing.membership.iter().filter(|(user, _)| is_last(user));
    named.map(|(user, leaving)| (user.clone(), leaving.clone())).collect()
}

/// What is left of a wish after others' commits; `None` if nothing is.
fn still_to_do(provider: &OpenMlsRustCrypto, group: &MlsGroup, wish: Wish) -> Option<Wish> {
    match wish {
        Wish::Update => Some(Wish::Update),
        Wish::Add { mut key_packages, citing } => {
            key_packages.retain(|bytes| {
                let read = read_key_package(provider, bytes);
                read.map_or(true, |(client, _)| mls::leaf_of(group, &client).is_none())
            });
            (!key_packages.is_empty()).then_some(Wish::Add { key_packages, citing })
        }
        Wish::Remove { mut devices, citing } => {
            devices.retain(|client| mls::leaf_of(group, client).is_some());
            (!devices.is_empty()).then_some(Wish::Remove { devices, citing })
        }
    }
}

/// A KeyPackage and the device that it is of.
pub(super) fn read_key_package(
    provider: &OpenMlsRustCrypto,
    bytes: &[u8],
) -> Result<(ClientId, KeyPackage), DeviceError> {
    let key_package = mls::key_package(provider.crypto(), bytes).map_err(DeviceError::KeyPackage)?;
    let credential = BasicCredential::try_from(key_package.leaf_node().credential().clone());
    let client = credential.ok().and_then(|credential| identity::parse(credential.identity()));
    let client =
        client.ok_or_else(|| DeviceError::KeyPackage("it names no device of a Matrix user".into()))?;
    Ok((client, key_package))
}
