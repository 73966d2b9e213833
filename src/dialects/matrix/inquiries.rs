//! `m.mls.request`: what a device wants to know of a group, so that it can join it from outside or catch up.

use std::collections::BTreeSet;

use maypole_core::auth::Caller;
use maypole_core::batch::Backend;
use maypole_core::group::{Entry, Group, Terms};
use maypole_core::ids::{ClientId, Epoch, GroupId, InboxSeq, Lane, RoomId};
use maypole_core::ledger::{Answered, Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::{Delivery, InboxItem, Incoming, Owed, Recipient};
use maypole_core::rejection::Rejection;
use maypole_core::time::Timestamp;
use maypole_room::bytes::Bytes;
use maypole_room::commit_event::{AuthEvents, CommitEvent};
use maypole_room::names::{self, Name, Prefix};
use maypole_room::proposals::Proposals;
use maypole_room::request::{Asked, Request, Want};
use maypole_room::response::{self, Answer, CommitPage, CurrentEpoch, Response, TreeOfEpoch};
use serde_json::Value;

use super::blobs::Blobs;
use super::permits::Permits;
use super::telling::{EntryNotes, place_cited};
use crate::homeserver::CallError;

/// A request of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// The account that asks, as the homeserver vouches for it.
    pub caller: Caller,
    /// How it spells its event types; the answer is spelled the same.
    pub prefix: Prefix,
    /// What it sent.
    pub request: Request,
}

impl Inquiry {
    /// Reads a to-device message; `None` for event types that are no requests.
    pub fn read(item: &InboxItem) -> Option<Self> {
        let Incoming::ToDevice { kind, content } = &item.message else { return None };
        let (prefix, Name::Request) = names::parse(kind)? else { return None };
        Some(Self { caller: item.caller(), prefix, request: Request::read(content) })
    }

    /// The group that it is about.
    pub fn group(&self) -> Option<GroupId> {
        let asked = self.request.asked.as_ref().ok()?;
        asked.group_id.clone().or_else(|| GroupId::parse(asked.room_id.as_str()))
    }

    /// Refuses it.
    pub fn refuse(&self, row: InboxSeq, rejection: &Rejection, now: Timestamp) -> Answered {
        self.owe(row, &response::refusal(&self.request, rejection), now)
    }

    /// The device that asks.
    fn asks(&self, asked: &Asked) -> ClientId {
        ClientId { user: self.caller.get().clone(), device: asked.device.clone() }
    }

    fn owe(&self, row: InboxSeq, content: &Value, now: Timestamp) -> Answered {
        let user = self.caller.get().clone();
        let lane = Lane::of_user(&user);
        let recipients = vec![Recipient { user, device: self.request.device.clone() }];
        let kind = self.prefix.event_type(Name::Response);
        let delivery = Delivery::ToDevice { kind, content: content.to_string().into_bytes(), recipients };
        Answered { row, remember: None, owed: vec![Owed { lane, delivery, owed_at: now }] }
    }
}

/// The tree of an epoch that has passed, as it was read for an answer.
#[derive(Debug)]
pub enum PastTree {
    /// The device that asks came into the group with it.
    Tree(Vec<u8>),
    /// It did not.
    NotItsFirst,
    /// It is gone.
    Gone {
        /// The oldest epoch whose tree can be had.
        oldest: Epoch,
    },
    /// What is stored of it is damaged.
    Unreadable,
}

/// What an answer is made of.
pub struct Sources<'s, B> {
    /// What was written.
    pub ledger: &'s Ledger<B>,
    /// Who may know it.
    pub permits: &'s Permits,
    /// Where large things go.
    pub blobs: &'s Blobs,
    /// Who is who.
    pub terms: &'s dyn Terms,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The store cannot be read.
    Store(LedgerError),
    /// It is not told.
    Refused(Rejection),
}

impl From<LedgerError> for Unanswered {
    fn from(error: LedgerError) -> Self {
        Self::Store(error)
    }
}

impl From<Rejection> for Unanswered {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<CallError> for Unanswered {
    fn from(error: CallError) -> Self {
        tracing::warn!(%error, "what is asked for cannot be uploaded");
        let problem = "the homeserver takes no uploads now";
        Self::Refused(Rejection::Unavailable { users: Vec::new(), problem })
    }
}

impl<B: Backend> Sources<'_, B> {
    /// The epoch that has passed whose tree an answer needs, and the device that asks for it; for whoever may not know it, none.
    pub fn past(&self, inquiry: &Inquiry, group: Option<&Group>) -> Option<(Epoch, ClientId)> {
        let asked = inquiry.request.asked.as_ref().ok()?;
        let Want::RatchetTree { epoch } = asked.want else { return None };
        let group = group_of(asked, group).filter(|group| epoch < group.epoch())?;
        let asks = inquiry.asks(asked);
        self.is_inside(group, &asks).ok().map(|()| (epoch, asks))
    }

    /// Answers an inquiry about a group that nobody changes meanwhile; with the tree of an epoch that [has passed](Self::past),
    /// if it needs one.
    pub async fn answer(
        &self,
        row: InboxSeq,
        inquiry: &Inquiry,
        group: Option<&Group>,
        past: Option<PastTree>,
        now: Timestamp,
    ) -> Result<Answered, LedgerError> {
        let found = match &inquiry.request.asked {
            Ok(asked) => self.find(inquiry, asked, group, past).await.map(|answer| (asked, answer)),
            Err(rejection) => Err(rejection.clone().into()),
        };
        match found {
            Ok((asked, answer)) => {
                let response = Response { request_id: asked.request_id.clone(), answer };
                Ok(inquiry.owe(row, &response.content(), now))
            }
            Err(Unanswered::Refused(rejection)) => Ok(inquiry.refuse(row, &rejection, now)),
            Err(Unanswered::Store(error)) => Err(error),
        }
    }

    async fn find(
        &self,
        inquiry: &Inquiry,
        asked: &Asked,
        group: Option<&Group>,
        past: Option<PastTree>,
    ) -> Result<Answer, Unanswered> {
        let room = &asked.room_id;
        let group = group_of(asked, group).ok_or(Rejection::UnknownGroup)?;
        let (user, asks) = (inquiry.caller.get(), inquiry.asks(asked));
        match asked.want {
            Want::GroupInfo => {
                if !self.permits.is_joined(room, user).await? {
                    return Err(Rejection::NotJoined { users: vec![user.clone()] }.into());
                }
                self.current(room, group).await
            }
            Want::Commits { from_epoch } => {
                self.is_inside(group, &asks)?;
                let oldest = self.oldest(group).await?;
                if from_epoch < oldest {
                    return Err(Rejection::EpochGone { from: from_epoch, oldest }.into());
                }
                self.page(room, group, &asks, from_epoch).await
            }
            Want::RatchetTree { epoch } => {
                self.is_inside(group, &asks)?;
                let tree = tree_of(group, epoch, past)?;
                Ok(Answer::RatchetTree(TreeOfEpoch {
                    room_id: room.clone(),
                    group_id: group.id().clone(),
                    epoch,
                    ratchet_tree: self.blobs.place(tree, limits::INLINE_BYTES).await?,
                }))
            }
        }
    }

    /// Refuses a device without a leaf, which is told nothing of what was before it.
    fn is_inside(&self, group: &Group, client: &ClientId) -> Result<(), Rejection> {
        let rule = "only a device with a leaf in the group may ask for its commits or its trees; ask for `group_info`";
        group.leaf_of(client, self.terms).map(drop).ok_or_else(|| Rejection::forbidden(rule))
    }

    /// The current epoch, to be joined by external commit.
    async fn current(&self, room: &RoomId, group: &Group) -> Result<Answer, Unanswered> {
        let epoch = group.epoch();
        let entries = self.ledger.log(group.id(), epoch, 1).await?;
        let missing =
            || LedgerError::Damaged(format!("group {:?}: no log entry of epoch {epoch}", group.id()));
        let entry = entries.into_iter().next().filter(|entry| entry.epoch == epoch).ok_or_else(missing)?;
        Ok(Answer::GroupInfo(CurrentEpoch {
            room_id: room.clone(),
            group_id: group.id().clone(),
            epoch,
            group_info: self.blobs.place(entry.group_info, limits::INLINE_BYTES).await?,
            ratchet_tree: self.blobs.place(group.mls().ratchet_tree(), limits::INLINE_BYTES).await?,
            receipt: serde_json::from_slice(&entry.receipt).unwrap_or_default(),
        }))
    }

    /// The oldest epoch from which commits are told: neither too many of them, nor any that the log has not any more.
    async fn oldest(&self, group: &Group) -> Result<Epoch, LedgerError> {
        let walked = group.epoch().get().saturating_sub(limits::LOG_WALK_EPOCHS);
        let begins = self.ledger.log_begins(group.id()).await?;
        // Who is in the epoch before the log's first needs that one next.
        let kept = begins.map_or(0, |begins| begins.get().saturating_sub(1));
        Ok(Epoch::new(walked.max(kept)).unwrap_or(Epoch::ZERO))
    }

    /// The commits that a device may see, as many as fit into an event.
    async fn page(
        &self,
        room: &RoomId,
        group: &Group,
        client: &ClientId,
        from: Epoch,
    ) -> Result<Answer, Unanswered> {
        let (commits, more) = self.commits(room, group, client, from, limits::COMMITS_IN_A_PAGE).await?;
        Ok(Answer::Commits(CommitPage {
            room_id: room.clone(),
            group_id: group.id().clone(),
            from_epoch: from,
            current_epoch: group.epoch(),
            commits,
            more,
        }))
    }

    /// The commits made in an epoch and later that a device with a leaf may see, oldest first, as many as fit into an
    /// event; and whether there are more. From an epoch that lies too far back there are none.
    pub async fn commits(
        &self,
        room: &RoomId,
        group: &Group,
        client: &ClientId,
        from: Epoch,
        most: usize,
    ) -> Result<(Vec<CommitEvent>, bool), Unanswered> {
        if from < self.oldest(group).await? {
            return Ok((Vec::new(), true));
        }
        let visible = self.visible(group, client, from).await?;
        let mut commits = Vec::new();
        let mut room_bytes = limits::OUTGOING_CONTENT_BYTES - limits::RESPONSE_FRAME_BYTES;
        let mut next = from.next();
        while let Some(first) = next.filter(|first| *first <= group.epoch()) {
            let entries = self.ledger.log(group.id(), first, limits::LOG_PAGE).await?;
            let Some(last) = entries.last() else { break };
            next = last.epoch.next();
            if entries.first().is_some_and(|entry| entry.epoch != first) {
                // They left the log meanwhile. Whoever asks again is told so.
                return Ok((Vec::new(), true));
            }
            for entry in entries {
                if !visible.contains(&entry.epoch) {
                    continue;
                }
                let event = self.event(room, group.id(), entry).await?;
                let bytes = event.content().to_string().len().saturating_add(1);
                if commits.len() >= most || bytes > room_bytes {
                    return Ok((commits, true));
                }
                room_bytes = room_bytes.saturating_sub(bytes);
                commits.push(event);
            }
        }
        Ok((commits, false))
    }

    /// The epochs whose commits a device may see: those made while it had a leaf. It has one now, so the log is walked back
    /// from here.
    async fn visible(
        &self,
        group: &Group,
        client: &ClientId,
        from: Epoch,
    ) -> Result<BTreeSet<Epoch>, LedgerError> {
        let mut came_and_went = Vec::new();
        let mut next = from.next();
        while let Some(first) = next.filter(|first| *first <= group.epoch()) {
            let entries = self.ledger.log(group.id(), first, limits::LOG_PAGE).await?;
            let Some(last) = entries.last() else { break };
            next = last.epoch.next();
            came_and_went.extend(
                entries
                    .iter()
                    .map(|entry| (entry.epoch, entry.joined.contains(client), entry.left.contains(client))),
            );
        }
        let mut has_leaf = group.leaf_of(client, self.terms).is_some();
        let mut visible = BTreeSet::new();
        for (epoch, came, went) in came_and_went.into_iter().rev() {
            has_leaf = went || (has_leaf && !came);
            if has_leaf {
                visible.insert(epoch);
            }
        }
        Ok(visible)
    }

    /// An entry of the log as it was told when it was new, without the committer's own name for it.
    async fn event(&self, room: &RoomId, group: &GroupId, entry: Entry) -> Result<CommitEvent, Unanswered> {
        let notes = EntryNotes::read(&entry.notes);
        let noted = |value: Option<Value>| value.and_then(|value| Bytes::read("message", &value).ok());
        let message = match noted(notes.message) {
            Some(message) => message,
            None => self.blobs.place(entry.message, limits::INLINE_BYTES).await?,
        };
        let auth_events = match noted(notes.auth_events) {
            Some(Bytes::Blob(blob)) => AuthEvents::Blob(blob),
            _ => place_cited(self.blobs, &entry.cited).await?,
        };
        let proposals = notes.proposals.and_then(|told| Proposals::read(&told).ok());
        Ok(CommitEvent {
            room_id: room.clone(),
            group_id: group.clone(),
            epoch: entry.epoch,
            message,
            sender: entry.sender.user,
            txn_id: None,
            auth_events,
            proposals: proposals.unwrap_or_default(),
            receipt: serde_json::from_slice(&entry.receipt).unwrap_or_default(),
        })
    }
}

/// Whoever was in the group before followed the commit, and has the tree.
const NOT_ITS_FIRST: &str = "the tree of a past epoch is for the devices that came in with it; \
                             who has lost its state joins again from outside";

/// The group that is asked about, if it is this one.
fn group_of<'g>(asked: &Asked, group: Option<&'g Group>) -> Option<&'g Group> {
    group.filter(|group| group.id().as_bytes() == asked.room_id.as_str().as_bytes())
}

/// The tree of an epoch: the present one, or one that has passed, as it was read.
fn tree_of(group: &Group, epoch: Epoch, past: Option<PastTree>) -> Result<Vec<u8>, Rejection> {
    let current = group.epoch();
    if epoch > current {
        return Err(Rejection::EpochAhead { asked: epoch, current });
    }
    if epoch == current {
        return Ok(group.mls().ratchet_tree());
    }
    match past {
        Some(PastTree::Tree(tree)) => Ok(tree),
        Some(PastTree::NotItsFirst) => Err(Rejection::forbidden(NOT_ITS_FIRST)),
        Some(PastTree::Gone { oldest }) => Err(Rejection::EpochGone { from: epoch, oldest }),
        Some(PastTree::Unreadable) | None => {
            let problem = "the tree of that epoch cannot be read; its operator knows";
            Err(Rejection::Unavailable { users: Vec::new(), problem })
        }
    }
}
