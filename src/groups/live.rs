//! Groups in memory between two commands: the ones used last, up to a bound of bytes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use maypole_core::group::Group;
use maypole_core::ids::GroupId;

/// Groups in which nothing happens at the moment. Whoever works on one takes it out.
#[derive(Debug)]
pub struct LiveGroups {
    bound_bytes: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    groups: HashMap<GroupId, (u64, Group)>,
    bytes: usize,
    uses: u64,
}

impl LiveGroups {
    /// Room for groups of so many bytes together.
    pub fn new(bound_bytes: usize) -> Self {
        Self { bound_bytes, inside: Mutex::default() }
    }

    /// Takes a group out.
    pub fn take(&self, id: &GroupId) -> Option<Group> {
        let mut inside = self.inside();
        let (_, group) = inside.groups.remove(id)?;
        inside.bytes = inside.bytes.saturating_sub(group.weight_bytes());
        Some(group)
    }

    /// Puts a group back. Those that were used longest ago make room.
    pub fn put(&self, group: Group) {
        let mut inside = self.inside();
        inside.uses = inside.uses.saturating_add(1);
        let used = inside.uses;
        inside.bytes = inside.bytes.saturating_add(group.weight_bytes());
        if let Some((_, old)) = inside.groups.insert(group.id().clone(), (used, group)) {
            inside.bytes = inside.bytes.saturating_sub(old.weight_bytes());
        }
        while inside.bytes > self.bound_bytes {
            let oldest = inside.groups.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| id.clone());
            let Some((_, group)) = oldest.and_then(|id| inside.groups.remove(&id)) else { break };
            inside.bytes = inside.bytes.saturating_sub(group.weight_bytes());
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
