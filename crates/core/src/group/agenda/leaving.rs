//! The must-go set: leaves that have to go, by their clients, since a leaf's identity never changes and its index says
//! nothing in another epoch.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Agenda;
use crate::ids::ClientId;
use crate::limits;
use crate::time::Timestamp;

/// A leaf that must go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Whose leaf it is.
    pub client: ClientId,
    /// Why; each cause once, the first first.
    pub causes: Vec<Cause>,
    /// When it was first announced, in whatever epoch.
    pub announced_at: Timestamp,
}

/// Why a leaf must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Its user left.
    Left,
    /// Its user was kicked.
    Kicked,
    /// Its user was banned.
    Banned,
    /// Its device is gone.
    DeviceGone,
    /// Its device has another key.
    KeyReplaced,
    /// What had to happen for its user did not, so that it was never told how to join.
    Withheld,
    /// It asked for it.
    SelfRemove,
}

impl Agenda {
    /// Whether a leaf must go.
    pub fn is_leaving(&self, client: &ClientId) -> bool {
        self.leaving.iter().any(|leaving| leaving.client == *client)
    }

    /// Leaves must go. They are all leaves of the group; says which of them there was no room for.
    pub(crate) fn announce(&mut self, clients: &[ClientId], cause: Cause, now: Timestamp) -> Vec<ClientId> {
        let mut left_over = Vec::new();
        for client in clients {
            let is_full = self.leaving.len() >= limits::LEAVING;
            match self.leaving.iter_mut().find(|leaving| leaving.client == *client) {
                Some(known) if known.causes.contains(&cause) => {}
                Some(known) => known.causes.push(cause),
                None if is_full => left_over.push(client.clone()),
                None => {
                    let (client, causes) = (client.clone(), vec![cause]);
                    self.leaving.push(Leaving { client, causes, announced_at: now });
                }
            }
        }
        left_over
    }

    /// A cause is gone. A leaf with no other cause may stay; a removal that was proposed already waits on, because nobody
    /// can be made to forget it, and no commit must have it.
    pub(crate) fn withdraw(&mut self, clients: &[ClientId], cause: Cause) {
        for leaving in self.leaving.iter_mut().filter(|leaving| clients.contains(&leaving.client)) {
            leaving.causes.retain(|known| *known != cause);
        }
        self.leaving.retain(|leaving| !leaving.causes.is_empty());
    }

    /// The leaves that the service proposes to remove: the oldest, up to a bound.
    pub(crate) fn at_once(&self) -> impl Iterator<Item = &Leaving> {
        self.leaving.iter().take(limits::MUST_GO_AT_ONCE)
    }

    /// The leaves whose removal is to be proposed in this epoch and is not yet. One removal of a leaf is enough.
    pub(crate) fn unproposed(&self) -> Vec<ClientId> {
        let proposed = self.removed_clients();
        let service = self.of_service();
        let room = limits::SERVICE_PROPOSALS.saturating_sub(service);
        let missing = self.at_once().filter(|leaving| !proposed.contains(&leaving.client));
        missing.take(room).map(|leaving| leaving.client.clone()).collect()
    }

    /// The leaves that a member's commit must remove now: the oldest, of those that were announced long enough ago and whose
    /// removal everybody was told of in this epoch.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Leaving> {
        let proposed = self.removed_clients();
        self.at_once().filter(move |leaving| {
            leaving.announced_at.plus(limits::MUST_GO_GRACE) <= now && proposed.contains(&leaving.client)
        })
    }

    /// The proposals, as they were sent, that remove what must go by a commit and does not: as many as a refusal holds, and
    /// one at least. Nothing where nothing is missing.
    pub(crate) fn missing(&self, removed: &BTreeSet<&ClientId>, now: Timestamp) -> Vec<Vec<u8>> {
        let lacking: BTreeSet<&ClientId> =
            self.due(now).map(|leaving| &leaving.client).filter(|client| !removed.contains(client)).collect();
        let messages = self
            .proposals
            .iter()
            .filter_map(|waiting| lacking.contains(waiting.removes()?).then_some(&waiting.message));
        at_most(messages, limits::MISSING_PROPOSALS_BYTES)
    }
}

/// Messages up to a number of bytes, and one at least.
pub(super) fn at_most<'m>(messages: impl Iterator<Item = &'m Vec<u8>>, bound_bytes: usize) -> Vec<Vec<u8>> {
    let mut bytes = 0_usize;
    let fits = |message: &&Vec<u8>| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(message.len());
        is_first || bytes <= bound_bytes
    };
    messages.take_while(fits).cloned().collect()
}
