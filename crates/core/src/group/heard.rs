//! When the devices of a group were last heard. It is kept in memory alone: whoever is heard is heard again.

use std::collections::BTreeMap;

use crate::ids::ClientId;
use crate::limits;
use crate::time::Timestamp;

/// Devices, and when they were last heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(BTreeMap<ClientId, Timestamp>);

impl Heard {
    /// A device was heard. Where there are too many, the one that was silent longest is forgotten.
    pub(super) fn note(&mut self, client: &ClientId, now: Timestamp) {
        self.0.insert(client.clone(), now);
        while self.0.len() > limits::HEARD_DEVICES {
            let silent = self.0.iter().min_by_key(|(_, at)| **at).map(|(client, _)| client.clone());
            silent.map(|client| self.0.remove(&client));
        }
    }

    /// Those that were heard lately, the last one first.
    pub(super) fn lately(&self, now: Timestamp) -> Vec<ClientId> {
        let mut lately: Vec<(&Timestamp, &ClientId)> =
            self.0.iter().map(|(client, at)| (at, client)).collect();
        lately.retain(|(at, _)| **at <= now && now < at.plus(limits::HEARD_LATELY));
        lately.sort_by(|(one, _), (other, _)| other.cmp(one));
        lately.into_iter().map(|(_, client)| client.clone()).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets a device.
    pub(super) fn forget(&mut self, client: &ClientId) {
        self.0.remove(client);
    }
}
