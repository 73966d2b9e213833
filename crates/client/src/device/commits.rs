//! `m.mls.commit`: epochs, one after the other, each with a receipt that continues the chain.

use maypole_core::ids::{RoomId, TxnId, UserId};
use maypole_core::limits;
use maypole_room::bytes::{Blob, Bytes};
use maypole_room::commit_event::CommitEvent;
use maypole_room::proposals::Proposals;
use maypole_room::receipt::RoomReceipt;
use openmls::prelude::{ContentType, GroupContext, MlsGroup, ProcessedMessageContent, Sender, StagedCommit};
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::Value;

use super::chain::{continues, verify, vouches, vouches_for_tree};
use super::outgoing::{Out, What};
use super::proposals::hear_stapled;
use super::state::{Ahead, Purpose, Room, State};
use super::{Advance, Device, Event, Leaf, Standing, Step};
use crate::mls::{self, Sorting};

/// What became of a commit whose turn had come.
enum Turn {
    /// The epoch began.
    Begun(Box<Advance>),
    /// It is the device's own, without its name, from an answer: the commit itself is still to come.
    Later,
}

impl Device {
    pub(super) fn hear_commit(&mut self, sender: &UserId, content: &Value, step: &mut Step) {
        let event = match CommitEvent::read(content) {
            Ok(event) => event,
            Err(error) => return step.ignore(format!("a commit: {error}")),
        };
        if !self.is_service(&event.room_id, sender) {
            return step.ignore(format!("{sender} is not the delivery service of {}", event.room_id));
        }
        let room_id = event.room_id.clone();
        self.keep_commit(event, true, step);
        self.go_on(&room_id, step);
    }

    /// Keeps a commit for its turn.
    pub(super) fn keep_commit(&mut self, event: CommitEvent, direct: bool, step: &mut Step) {
        let Some((room, group)) =
            self.state.rooms.get_mut(&event.room_id).zip(self.groups.get(&event.room_id))
        else {
            return step.ignore(format!("a commit in {}, where the device has no group", event.room_id));
        };
        if event.group_id.as_bytes() != group.group_id().as_slice() {
            return step.ignore("a commit of another group");
        }
        let (epoch, current) = (event.epoch.get(), group.epoch().as_u64());
        match room.standing {
            // An external commit is in its own epoch already.
            Standing::Joining if epoch == current => return self.hear_own_joining(&event, step),
            Standing::Member | Standing::Joining if epoch > current => {}
            Standing::Member if epoch == current => return hear_twice(room, &event, step),
            _ => return step.ignore("a commit that changes nothing"),
        }
        if let Some(kept) = room.ahead.get_mut(&epoch) {
            kept.direct |= direct;
            let known =
                serde_json::from_str(&kept.content).ok().and_then(|kept| CommitEvent::read(&kept).ok());
            if known.is_some_and(|known| known.message.hash() != event.message.hash()) {
                let problem = "the service sent two commits for one epoch".into();
                step.tell(Event::Report { room_id: event.room_id, epoch: event.epoch, problem, lost: false });
            } else if direct && event.txn_id.is_some() {
                kept.content = event.content().to_string();
                step.changed = true;
            }
            return;
        }
        room.ahead.insert(epoch, Ahead { content: event.content().to_string(), direct });
        while room.ahead.len() > limits::CLIENT_COMMITS_AHEAD {
            // What is furthest ahead can be asked for when its turn comes.
            room.ahead.pop_last();
        }
        step.changed = true;
    }

    /// Applies all commits whose turn has come; then does what waited for them.
    pub(super) fn go_on(&mut self, room_id: &RoomId, step: &mut Step) {
        while self.apply_next(room_id, step) {}
        self.ask_for_gap(room_id, step);
        self.read_waiting(room_id, step);
        self.try_again(room_id, step);
    }

    /// Applies the next commit, if it is there with all its bytes.
    fn apply_next(&mut self, room_id: &RoomId, step: &mut Step) -> bool {
        let Self { provider, state, groups } = self;
        let State { rooms, signer, me, .. } = state;
        let Some((room, group)) = rooms.get_mut(room_id).zip(groups.get_mut(room_id)) else { return false };
        let next = group.epoch().as_u64() + 1;
        if room.standing != Standing::Member {
            return false;
        }
        let Some(ahead) = room.ahead.get(&next) else { return false };
        let event =
            serde_json::from_str(&ahead.content).ok().and_then(|content| CommitEvent::read(&content).ok());
        let Some(event) = event else {
            room.ahead.remove(&next);
            return false;
        };
        if let Some(blob) = missing([&event.message], &event.proposals) {
            self.fetch(room_id, Purpose::Commit(next), &blob, step);
            return false;
        }
        let direct = ahead.direct;
        room.ahead.remove(&next);
        step.changed = true;
        let applying = Applying { provider, group, room, me: &me.user };
        match applying.apply(&event, direct) {
            Ok(Turn::Later) => false,
            Ok(Turn::Begun(advance)) => {
                let problem = after(provider, signer, group, room, &event);
                let by = advance.by.clone();
                step.tell(Event::Advanced(advance));
                if room.standing == Standing::Gone {
                    step.tell(Event::Removed { room_id: room_id.clone(), by });
                }
                for problem in problem {
                    let (room_id, epoch) = (room_id.clone(), event.epoch);
                    step.tell(Event::Report { room_id, epoch, problem, lost: false });
                }
                true
            }
            Err(problem) => {
                room.standing = Standing::Lost;
                room.drop_plans();
                step.tell(Event::Report {
                    room_id: room_id.clone(),
                    epoch: event.epoch,
                    problem,
                    lost: true,
                });
                false
            }
        }
    }
}

impl Room {
    /// Forgets what was under way in a group that the device is no longer in.
    pub(super) fn drop_plans(&mut self) {
        self.out = None;
        self.again = None;
        self.catching_up = None;
        self.ahead.clear();
    }
}

/// Another commit for the epoch that the device is in: a repeat, or a second story.
fn hear_twice(room: &Room, event: &CommitEvent, step: &mut Step) {
    let last = room.receipt.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let last = last.and_then(|value| RoomReceipt::read(&value).ok());
    if last.is_some_and(|last| last.receipt().commit != event.message.hash()) {
        let problem = "the service sent two commits for one epoch".into();
        let (room_id, epoch) = (event.room_id.clone(), event.epoch);
        step.tell(Event::Report { room_id, epoch, problem, lost: false });
    } else {
        step.ignore("a commit that came before");
    }
}

/// The first of an event's bytes that lie elsewhere.
pub(super) fn missing<const N: usize>(fields: [&Bytes; N], proposals: &Proposals) -> Option<Blob> {
    let all = match proposals {
        Proposals::Blob(blob) => return Some(blob.clone()),
        Proposals::Inline(all) => all,
    };
    fields.into_iter().chain(all).find_map(|bytes| match bytes {
        Bytes::Blob(blob) => Some(blob.clone()),
        Bytes::Inline(_) => None,
    })
}

/// What is done in the epoch that began: proposals for it, and the check of what only members can know.
fn after(
    provider: &OpenMlsRustCrypto,
    signer: &openmls_basic_credential::SignatureKeyPair,
    group: &mut MlsGroup,
    room: &mut Room,
    event: &CommitEvent,
) -> Vec<String> {
    room.receipt = Some(event.receipt.to_string());
    if !group.is_active() {
        room.standing = Standing::Gone;
        room.drop_plans();
        return Vec::new();
    }
    let mut problems = Vec::new();
    let said = RoomReceipt::read(&event.receipt).ok().map(|receipt| receipt.receipt().external_pub.clone());
    if said.is_none() || said != mls::external_pub(provider, signer, group) {
        problems.push("the receipt's `external_pub` is false".to_owned());
    }
    problems.extend(hear_stapled(provider, group, &event.proposals));
    problems
}

/// A group in which a commit is applied. Every error leaves it as it was.
struct Applying<'a> {
    provider: &'a OpenMlsRustCrypto,
    group: &'a mut MlsGroup,
    room: &'a mut Room,
    me: &'a UserId,
}

impl Applying<'_> {
    fn apply(mut self, event: &CommitEvent, direct: bool) -> Result<Turn, String> {
        let receipt = verify(self.group, event)?;
        continues(self.room, &receipt)?;
        let Bytes::Inline(message) = &event.message else {
            return Err("the commit's bytes are missing".into());
        };
        let made_in = event.epoch.get().checked_sub(1);
        let out = self.room.out.as_ref().filter(|out| matches!(out.what, What::Commit(_)));
        let out = out.filter(|out| Some(out.epoch) == made_in);
        let named = out.is_some_and(|out| is_named(out, event, self.me));
        let same = out.is_some_and(|out| out.message == *message);
        match (named, same) {
            (true, true) => self.merge_own(event, &receipt),
            (true, false) => Err("the device's own commit came back changed".into()),
            (false, true) if direct => Err("the device's own commit came back without its name".into()),
            (false, true) => Ok(Turn::Later),
            (false, false) => self.merge_others(event, &receipt, message),
        }
    }

    fn merge_own(&mut self, event: &CommitEvent, receipt: &RoomReceipt) -> Result<Turn, String> {
        let sender = Sender::Member(self.group.own_leaf_index());
        let staged = self.group.pending_commit().ok_or("the device's own commit is gone")?;
        self.check(receipt, staged)?;
        let sorting = mls::sort(self.group, &sender, staged)?;
        self.group.merge_pending_commit(self.provider).map_err(|error| error.to_string())?;
        let data = self.room.out.take().map(|out| out.authenticated_data).unwrap_or_default();
        Ok(Turn::Begun(advance(event, sorting, true, data)))
    }

    fn merge_others(
        &mut self,
        event: &CommitEvent,
        receipt: &RoomReceipt,
        message: &[u8],
    ) -> Result<Turn, String> {
        let (message, public) = mls::message(message).ok_or("it is no message to a group")?;
        let fits = public
            && message.content_type() == ContentType::Commit
            && message.epoch() == self.group.epoch()
            && message.group_id() == self.group.group_id();
        if !fits {
            return Err("it is no public commit of the epoch before".into());
        }
        let processed =
            self.group.process_message(self.provider, message).map_err(|error| error.to_string())?;
        let (sender, data) = (processed.sender().clone(), processed.aad().to_vec());
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err("it is no commit of somebody else".into());
        };
        self.check(receipt, &staged)?;
        let sorting = mls::sort(self.group, &sender, &staged)?;
        self.group.merge_staged_commit(self.provider, *staged).map_err(|error| error.to_string())?;
        Ok(Turn::Begun(advance(event, sorting, false, data)))
    }

    /// The epoch is the one that the receipt vouches for, and its delivery service is still the same.
    fn check(&self, receipt: &RoomReceipt, staged: &StagedCommit) -> Result<(), String> {
        if staged.self_removed() {
            // Who is removed cannot follow the transcript; what is left to see is the tree.
            vouches_for_tree(receipt, staged.group_context())?;
        } else {
            vouches(receipt, staged.group_context())?;
        }
        let senders = |context: &GroupContext| context.extensions().external_senders().cloned();
        if senders(staged.group_context()) != senders(self.group.public_group().group_context()) {
            return Err("the commit changes the group's external senders".into());
        }
        Ok(())
    }
}

/// Whether a commit's event says that it is the device's own.
pub(super) fn is_named(out: &Out, event: &CommitEvent, me: &UserId) -> bool {
    event.txn_id.as_ref().map(TxnId::as_str) == Some(out.txn_id.as_str()) && event.sender == *me
}

fn advance(event: &CommitEvent, sorting: Sorting, own: bool, authenticated_data: Vec<u8>) -> Box<Advance> {
    let leaf = |(client, signature_key)| Leaf { client, signature_key };
    Box::new(Advance {
        room_id: event.room_id.clone(),
        epoch: event.epoch,
        by: sorting.by,
        own,
        added: sorting.added.into_iter().map(leaf).collect(),
        rekeyed: sorting.rekeyed.into_iter().map(leaf).collect(),
        removed: sorting.removed,
        authenticated_data,
        auth_events: event.auth_events.clone(),
    })
}
