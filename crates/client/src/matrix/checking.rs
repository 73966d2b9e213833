//! What came is held against what Matrix says: the keys that devices publish, and the events that a commit cites. A
//! homeserver or a delivery service that swaps a KeyPackage is seen by it. What cannot be found out in time is told too.

use std::collections::BTreeSet;

use maypole_core::ids::{Epoch, RoomId, Sha256};
use maypole_core::limits;
use maypole_room::commit_event::AuthEvents;
use ruma::RoomVersionId;
use ruma::room_version_rules::RoomVersionRules;
use serde_json::Value;

use super::keys::Published;
use super::{Client, MatrixError, keys};
use crate::check::cited;
use crate::device::{Advance, Event, Leaf};

/// Whether an event brings something that is to be checked.
pub(super) fn is_to_be_checked(event: &Event) -> bool {
    match event {
        Event::Joined { .. } => true,
        Event::Advanced(advance) => !leaves_of(event).is_empty() || cites(advance),
        _ => false,
    }
}

fn cites(advance: &Advance) -> bool {
    !advance.authenticated_data.is_empty() || advance.auth_events != AuthEvents::Inline(Vec::new())
}

/// Leaves that came, or came to have another key.
fn leaves_of(event: &Event) -> Vec<&Leaf> {
    match event {
        Event::Joined { members, .. } => members.iter().collect(),
        Event::Advanced(advance) => advance.added.iter().chain(&advance.rekeyed).collect(),
        _ => Vec::new(),
    }
}

/// What a check has found: something wrong, or nothing that could be held against it.
enum Found {
    Wrong(String),
    Nothing(String),
}

impl Found {
    fn told(self, room_id: RoomId, epoch: Epoch) -> Event {
        match self {
            Self::Wrong(problem) => Event::Suspect { room_id, epoch, problem },
            Self::Nothing(problem) => Event::Unchecked { room_id, epoch, problem },
        }
    }
}

impl Client {
    /// Checks everything that was told since the last time, and tells what is wrong with it.
    pub(super) async fn check_what_came(&mut self) {
        let came: Vec<Event> = self.stored.unchecked.iter().cloned().collect();
        let leaves = came.iter().flat_map(leaves_of);
        let published = self.published(leaves, limits::CLIENT_CHECK_WAIT).await;
        let mut found = Vec::new();
        for event in &came {
            let (room_id, epoch) = match event {
                Event::Joined { room_id, epoch, .. } => (room_id, *epoch),
                Event::Advanced(advance) => (&advance.room_id, advance.epoch),
                _ => continue,
            };
            let mut of_event = self.judge(&leaves_of(event), &published);
            if let Event::Advanced(advance) = event {
                of_event.extend(self.judge_cited(advance).await);
            }
            found.extend(of_event.into_iter().map(|found| found.told(room_id.clone(), epoch)));
        }
        // Only now, so that whoever stops waiting in between loses nothing.
        self.stored.unchecked.drain(..came.len().min(self.stored.unchecked.len()));
        found.into_iter().for_each(|event| self.tell(event));
    }

    /// Whether leaves are bound to their devices, by what these publish now: for those that a commit added, or whom one
    /// found in a group.
    pub async fn check_leaves(&self, leaves: &[Leaf]) -> Result<(), MatrixError> {
        let suite = keys::suite(&self.device)?;
        let published = self.published(leaves.iter(), limits::REQUEST_TIMEOUT).await?;
        leaves.iter().try_for_each(|leaf| published.check(leaf, suite))
    }

    async fn published(
        &self,
        leaves: impl Iterator<Item = &Leaf>,
        bound: std::time::Duration,
    ) -> Result<Published, MatrixError> {
        let users: BTreeSet<&str> = leaves.map(|leaf| leaf.client.user.as_str()).collect();
        self.http.published(&users.into_iter().collect::<Vec<_>>(), bound).await
    }

    /// Each leaf whose key is false; and, in one, how many are open.
    fn judge(&self, leaves: &[&Leaf], published: &Result<Published, MatrixError>) -> Vec<Found> {
        let (mut found, mut open, mut why) = (Vec::new(), 0_usize, None);
        for leaf in leaves {
            let checked = match published {
                Ok(published) => {
                    keys::suite(&self.device).and_then(|suite| published.check(leaf, suite)).map_err(Some)
                }
                Err(_) => Err(None),
            };
            match checked {
                Ok(()) => {}
                Err(Some(error @ MatrixError::Unpublished { .. })) => {
                    found.push(Found::Wrong(error.to_string()))
                }
                Err(error) => {
                    open += 1;
                    why =
                        why.or_else(|| error.as_ref().or(published.as_ref().err()).map(ToString::to_string));
                }
            }
        }
        if let Some(why) = why {
            found
                .push(Found::Nothing(format!("whether the keys of {open} leaves are their devices': {why}")));
        }
        found
    }

    /// Whether a commit came with what it cites.
    async fn judge_cited(&self, advance: &Advance) -> Option<Found> {
        if !cites(advance) {
            return None;
        }
        let version = self.stored.room_versions.get(&advance.room_id);
        let version = version.and_then(|version| RoomVersionId::try_from(version.as_str()).ok());
        let Some(rules) = version.and_then(|version| version.rules()) else {
            return Some(Found::Nothing("what a commit cites: the room's version is not known".into()));
        };
        match self.brought(&advance.auth_events).await {
            Ok(events) => check_cited(advance, &rules, &events),
            Err(found) => Some(found),
        }
    }

    /// The events that came with a commit, from where they lie.
    async fn brought(&self, auth_events: &AuthEvents) -> Result<Vec<Value>, Found> {
        let blob = match auth_events {
            AuthEvents::Inline(events) => return Ok(events.clone()),
            AuthEvents::Blob(blob) => blob,
        };
        let bytes = self.http.download_blob_within(blob, limits::CLIENT_CHECK_WAIT).await;
        let bytes = bytes.map_err(|error| Found::Nothing(format!("what a commit cites: {error}")))?;
        let wrong = |problem: String| Found::Wrong(format!("what a commit cites: {problem}"));
        if Sha256::of(&bytes) != blob.sha256 {
            return Err(wrong("its bytes are not those that were announced".into()));
        }
        match AuthEvents::from_blob(&bytes) {
            Ok(AuthEvents::Inline(events)) => Ok(events),
            Ok(AuthEvents::Blob(_)) => Err(wrong("it is somewhere else again".into())),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

fn check_cited(advance: &Advance, rules: &RoomVersionRules, events: &[Value]) -> Option<Found> {
    let checked = cited(&advance.room_id, rules, &advance.authenticated_data, events);
    checked.err().map(|error| Found::Wrong(error.to_string()))
}
