//! Groups in memory between two commands: the ones used last, up to a bound of bytes.

use std::collections::{BTreeMap, HashMap};
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
    groups: HashMap<GroupId, Idle>,
    /// The same groups in the order in which they were used.
    by_use: BTreeMap<u64, GroupId>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Idle {
    used: u64,
    /// Its weight as it was counted.
    bytes: usize,
    group: Group,
}

impl LiveGroups {
    /// Room for groups of so many bytes together.
    pub fn new(bound_bytes: usize) -> Self {
        Self { bound_bytes, inside: Mutex::default() }
    }

    /// Takes a group out.
    pub fn take(&self, id: &GroupId) -> Option<Group> {
        self.inside().remove(id)
    }

    /// Puts a group back. Those that were used longest ago make room; one that is larger than all the room is not kept.
    pub fn put(&self, group: Group) {
        let bytes = group.weight_bytes();
        let mut inside = self.inside();
        inside.remove(group.id());
        if bytes > self.bound_bytes {
            return;
        }
        inside.uses = inside.uses.saturating_add(1);
        let used = inside.uses;
        inside.bytes = inside.bytes.saturating_add(bytes);
        inside.by_use.insert(used, group.id().clone());
        inside.groups.insert(group.id().clone(), Idle { used, bytes, group });
        while inside.bytes > self.bound_bytes {
            let oldest = inside.by_use.first_key_value().map(|(_, id)| id.clone());
            if oldest.and_then(|id| inside.remove(&id)).is_none() {
                break;
            }
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn remove(&mut self, id: &GroupId) -> Option<Group> {
        let Idle { used, bytes, group } = self.groups.remove(id)?;
        self.by_use.remove(&used);
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(group)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::forged::group;
    use super::*;

    fn id(name: &str) -> GroupId {
        GroupId::parse(name).unwrap()
    }

    /// Which of some groups are there, and what they weigh together.
    fn there(live: &LiveGroups) -> (Vec<String>, usize) {
        let inside = live.inside();
        let weights: usize = inside.groups.values().map(|idle| idle.group.weight_bytes()).sum();
        assert_eq!((weights, inside.groups.len()), (inside.bytes, inside.by_use.len()));
        let name = |id: &GroupId| String::from_utf8(id.as_bytes().to_vec()).unwrap();
        (inside.by_use.values().map(name).collect(), inside.bytes)
    }

    #[test]
    fn the_one_used_longest_ago_makes_room() {
        let weight = group("!a:a.org", 2).weight_bytes();
        let live = LiveGroups::new(3 * weight);
        for name in ["!a:a.org", "!b:a.org", "!c:a.org"] {
            live.put(group(name, 2));
        }
        assert_eq!(there(&live).1, 3 * weight, "exactly as much as there is room for");
        // To be taken out and put back is to be used.
        let a = live.take(&id("!a:a.org")).unwrap();
        assert!(live.take(&id("!a:a.org")).is_none());
        live.put(a);
        assert_eq!(there(&live).0, ["!b:a.org", "!c:a.org", "!a:a.org"]);
        live.put(group("!d:a.org", 2));
        assert_eq!(there(&live).0, ["!c:a.org", "!a:a.org", "!d:a.org"]);
        // Who comes again takes its own place, and counts once.
        live.put(group("!c:a.org", 2));
        assert_eq!(
            there(&live),
            (["!a:a.org", "!d:a.org", "!c:a.org"].map(str::to_owned).to_vec(), 3 * weight)
        );
        assert!(live.take(&id("!b:a.org")).is_none());
    }

    #[test]
    fn a_larger_one_takes_the_room_of_several_and_none_beyond_the_bound() {
        let (small, large) = (group("!a:a.org", 2).weight_bytes(), group("!a:a.org", 8).weight_bytes());
        assert!(large > 2 * small && large < 6 * small, "{small} {large}");
        let live = LiveGroups::new(large + small);
        for name in ["!a:a.org", "!b:a.org", "!c:a.org"] {
            live.put(group(name, 2));
            assert!(there(&live).1 <= large + small);
        }
        live.put(group("!large:a.org", 8));
        assert_eq!(there(&live).0, ["!c:a.org", "!large:a.org"]);
        // One beyond the bound is not kept, and drives nobody out; an older state of it is not kept either.
        live.put(group("!larger:a.org", 32));
        assert_eq!(there(&live).0, ["!c:a.org", "!large:a.org"]);
        live.put(group("!large:a.org", 32));
        assert_eq!(there(&live).0, ["!c:a.org"]);
    }
}
