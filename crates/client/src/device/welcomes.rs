//! `m.mls.welcome`: joining by another's commit.
//!
//! OpenMLS deletes the KeyPackage before it has looked at the tree; so everything happens in a copy of the store, which
//! takes the store's place only when the device is in.

use maypole_core::ids::{RoomId, UserId};
use maypole_core::limits;
use maypole_room::bytes::{Blob, Bytes};
use maypole_room::names::Prefix;
use maypole_room::receipt::RoomReceipt;
use maypole_room::request::Want;
use maypole_room::response::{Answer, Refused};
use maypole_room::welcome_event::WelcomeEvent;
use openmls::prelude::{GroupId, MlsGroup, OpenMlsProvider as _, StagedWelcome};
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::Value;

use super::chain::vouches;
use super::commits::missing;
use super::proposals::hear_stapled;
use super::state::{Purpose, Room, Service, State, WaitingWelcome};
use super::{Device, Event, Standing, Step, leaves};
use crate::mls;

impl Device {
    pub(super) fn hear_welcome(&mut self, sender: &UserId, prefix: Prefix, content: &Value, step: &mut Step) {
        let event = match WelcomeEvent::read(content) {
            Ok(event) => event,
            Err(error) => return step.ignore(format!("a Welcome: {error}")),
        };
        let room_id = event.room_id;
        let (content, unstable) = (content.to_string(), prefix == Prefix::Unstable);
        let room = self.state.rooms.get_mut(&room_id);
        let Some((room, service)) = room.and_then(|room| room.service.clone().map(|service| (room, service)))
        else {
            step.changed = true;
            step.tell(Event::WelcomeWaits { room_id: room_id.clone(), sender: sender.clone() });
            return self.keep_waiting(WaitingWelcome { room_id, sender: sender.clone(), unstable, content });
        };
        if service.user != *sender {
            return step.ignore(format!("{sender} is not the delivery service of {room_id}"));
        }
        if !matches!(room.standing, Standing::Outside | Standing::Gone | Standing::Joining) {
            return step.ignore("a Welcome to a group in which the device has a leaf");
        }
        room.welcome = Some(content);
        (room.tree, room.tree_tries) = (None, 0);
        room.service = Some(Service { unstable, ..service });
        step.changed = true;
        self.use_waiting_welcome(&room_id, step);
    }

    /// Joins by the Welcome that waits in a room, if it can be used now. Whether there was one to use.
    pub(super) fn use_waiting_welcome(&mut self, room_id: &RoomId, step: &mut Step) -> bool {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return false };
        let Some(service) = room.service.as_ref().map(|service| service.user.clone()) else { return false };
        // While an external commit is out, its answer comes first: one of the two is void.
        if !matches!(room.standing, Standing::Outside | Standing::Gone) {
            return false;
        }
        let Some(text) = &room.welcome else { return false };
        let event = serde_json::from_str(text).ok().and_then(|content| WelcomeEvent::read(&content).ok());
        let Some(event) = event else {
            room.drop_welcome();
            step.changed = true;
            return false;
        };
        if let Some(blob) = missing([&event.welcome, &event.ratchet_tree], &event.proposals) {
            self.fetch(room_id, Purpose::Welcome, &blob, step);
            return true;
        }
        room.drop_welcome();
        step.changed = true;
        match self.join_by_welcome(room_id, &event, &service) {
            Ok(problems) => {
                let members = self.groups.get(room_id).map(leaves).unwrap_or_default();
                step.tell(Event::Joined { room_id: room_id.clone(), epoch: event.epoch, members });
                for problem in problems {
                    let room_id = room_id.clone();
                    step.tell(Event::Report { room_id, epoch: event.epoch, problem, lost: false });
                }
                self.go_on(room_id, step);
                let room = self.state.rooms.get_mut(room_id);
                if room.is_some_and(|room| std::mem::take(&mut room.behind)) {
                    self.ask_for_commits(room_id, step);
                }
                true
            }
            Err(problem) => {
                step.tell(Event::WelcomeRefused { room_id: room_id.clone(), problem });
                false
            }
        }
    }

    /// Asks the service for the tree of the Welcome that waits in a room, unless that was done too often or the tree is not this
    /// blob, if one is named. Whether it is asked for.
    pub(super) fn ask_for_tree(&mut self, room_id: &RoomId, lacking: Option<&Blob>, step: &mut Step) -> bool {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return false };
        let content = room.welcome.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let Some(event) = content.and_then(|content| WelcomeEvent::read(&content).ok()) else { return false };
        let is_it = |lacking| matches!(&event.ratchet_tree, Bytes::Blob(tree) if tree == lacking);
        if room.tree_tries >= limits::CLIENT_TRIES || !lacking.is_none_or(is_it) {
            return false;
        }
        room.tree_tries += 1;
        let asked = self.ask(room_id, Want::RatchetTree { epoch: event.epoch }, step);
        let Some(room) = self.state.rooms.get_mut(room_id) else { return false };
        room.tree = asked;
        room.tree.is_some()
    }

    /// The answer to that.
    pub(super) fn hear_tree(&mut self, room_id: &RoomId, answer: Answer, content: &Value, step: &mut Step) {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return };
        match answer {
            Answer::RatchetTree(found) if found.room_id == *room_id => {
                room.tree = None;
                step.changed = true;
                let welcome =
                    room.welcome.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
                let is_its = |welcome: &Value| welcome.get("epoch") == Some(&found.epoch.get().into());
                let Some(mut welcome) = welcome.filter(is_its) else {
                    return self.refuse_welcome(
                        room_id,
                        "the tree that came for it is of another epoch",
                        step,
                    );
                };
                if let Some(tree) = welcome.get_mut("ratchet_tree") {
                    *tree = found.ratchet_tree.to_value();
                }
                room.welcome = Some(welcome.to_string());
                self.use_waiting_welcome(room_id, step);
            }
            Answer::Refused(Refused { errcode, .. }) => {
                // What may pass is asked again after a start, but not without end.
                let may_pass = matches!(errcode.as_str(), "M_LIMIT_EXCEEDED" | "M_MLS_UNAVAILABLE");
                if !may_pass || room.tree_tries >= limits::CLIENT_TRIES {
                    self.refuse_welcome(room_id, "its tree is not to be had", step);
                }
                step.changed = true;
                let (room_id, content) = (room_id.clone(), content.clone());
                step.tell(Event::Refused { room_id, wish: None, errcode, content });
            }
            _ => step.ignore("an answer to another question"),
        }
    }

    /// Gives up the Welcome that waits in a room, if there is one, and says why.
    pub(super) fn refuse_welcome(&mut self, room_id: &RoomId, problem: &str, step: &mut Step) {
        let Some(room) = self.state.rooms.get_mut(room_id) else { return };
        step.changed = true;
        if room.drop_welcome() {
            step.tell(Event::WelcomeRefused { room_id: room_id.clone(), problem: problem.into() });
        }
    }

    /// Is in the group; says what only a member can see to be wrong.
    fn join_by_welcome(
        &mut self,
        room_id: &RoomId,
        event: &WelcomeEvent,
        service: &UserId,
    ) -> Result<Vec<String>, String> {
        let provider = mls::copy(&self.provider);
        let (mut group, receipt) = open_welcome(&provider, room_id, event, service)?;
        let State { rooms, signer, me, .. } = &mut self.state;
        if mls::leaf_of(&group, me) != Some(group.own_leaf_index()) {
            return Err("the leaf is another device's".into());
        }
        let room = rooms.get_mut(room_id).ok_or("the room is not known")?;
        let own = mls::external_pub(&provider, signer, &group);
        let mut problems = hear_stapled(&provider, &mut group, &event.proposals);
        if own.as_deref() != Some(receipt.receipt().external_pub.as_slice()) {
            problems.push("the receipt's `external_pub` is false".to_owned());
        }
        self.provider = provider;
        self.groups.insert(room_id.clone(), group);
        room.drop_plans();
        room.asking = None;
        room.group_info = None;
        room.standing = Standing::Member;
        room.receipt = Some(event.receipt.to_string());
        Ok(problems)
    }
}

impl Room {
    /// Forgets the Welcome that waits, and the question for its tree with it. Whether there was one.
    pub(super) fn drop_welcome(&mut self) -> bool {
        self.tree = None;
        self.welcome.take().is_some()
    }
}

/// Joins in a store that may be thrown away.
fn open_welcome(
    provider: &OpenMlsRustCrypto,
    room_id: &RoomId,
    event: &WelcomeEvent,
    service: &UserId,
) -> Result<(MlsGroup, RoomReceipt), String> {
    let (Bytes::Inline(welcome), Bytes::Inline(tree)) = (&event.welcome, &event.ratchet_tree) else {
        return Err("bytes are missing".into());
    };
    let group_id = room_id.as_str().as_bytes();
    if event.group_id.as_bytes() != group_id {
        return Err("the group is not that of the room".into());
    }
    let welcome = mls::welcome(welcome).ok_or("it is no Welcome")?;
    let tree = mls::tree(tree).ok_or("it has no ratchet tree")?;
    let old = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id));
    if let Some(mut old) = old.map_err(|error| error.to_string())? {
        old.delete(provider.storage()).map_err(|error| error.to_string())?;
    }
    let staged = StagedWelcome::build_from_welcome(provider, &mls::join_config(), welcome)
        .map_err(|error| error.to_string())?
        .with_ratchet_tree(tree)
        .skip_lifetime_validation()
        .build()
        .map_err(|error| error.to_string())?;
    let context = staged.group_context();
    if context.group_id().as_slice() != group_id || context.epoch().as_u64() != event.epoch.get() {
        return Err("it is of another group or epoch".into());
    }
    let keys = mls::service_keys(context.extensions())?;
    if keys.user != *service {
        return Err("the group names another delivery service".into());
    }
    let (user, id, key) = (keys.user.as_str(), keys.receipt_key_id.as_str(), &keys.receipt_key);
    let receipt = RoomReceipt::verify(&event.receipt, user, id, key).map_err(|error| error.to_string())?;
    receipt.is_of(room_id, &event.group_id, event.epoch).map_err(|error| error.to_string())?;
    vouches(&receipt, context)?;
    let group = staged.into_group(provider).map_err(|error| error.to_string())?;
    Ok((group, receipt))
}
